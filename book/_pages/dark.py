"""How dark pages show what is drawn for white paper: one filter for figures, and the same for colours of drawings."""

from matplotlib.colors import to_hex, to_rgb

BACKGROUND, FOREGROUND = (18, 18, 18), (230, 234, 238)  # of a dark page
LIGHTER = 0.7  # an exponent, for thin lines

# White becomes the background, black the foreground, and a colour keeps its hue while its lightness (HSL) turns round:
# each pixel p becomes p − min + (1 − max) of its channels.
FILTER = f"""
<svg width="0" height="0" style="position: absolute" aria-hidden="true">
<filter id="dark" color-interpolation-filters="sRGB" x="0" y="0" width="100%" height="100%">
<feColorMatrix in="SourceGraphic" result="r" values="1 0 0 0 0  1 0 0 0 0  1 0 0 0 0  0 0 0 1 0"/>
<feColorMatrix in="SourceGraphic" result="g" values="0 1 0 0 0  0 1 0 0 0  0 1 0 0 0  0 0 0 1 0"/>
<feColorMatrix in="SourceGraphic" result="b" values="0 0 1 0 0  0 0 1 0 0  0 0 1 0 0  0 0 0 1 0"/>
<feBlend mode="darken" in="r" in2="g"/><feBlend mode="darken" in2="b" result="min"/>
<feBlend mode="lighten" in="r" in2="g"/><feBlend mode="lighten" in2="b"/>
<feColorMatrix result="1-max" values="-1 0 0 0 1  0 -1 0 0 1  0 0 -1 0 1  0 0 0 1 0"/>
<feBlend mode="difference" in="SourceGraphic" in2="min"/>
<feComposite operator="arithmetic" in2="1-max" k1="0" k2="1" k3="1" k4="0"/>
<feComponentTransfer>{
    "".join(
        f'<feFunc{channel} type="gamma" exponent="{LIGHTER}" amplitude="{(light - dark) / 255:.4f}" '
        f'offset="{dark / 255:.4f}"/>'
        for channel, dark, light in zip("RGB", BACKGROUND, FOREGROUND, strict=True)
    )
}</feComponentTransfer>
</filter></svg>
"""


def in_the_dark(colour):
    """What ``FILTER`` makes of a colour such as "#D55E00", as such a string."""
    red_green_blue = to_rgb(colour)
    lift = 1 - max(red_green_blue) - min(red_green_blue)
    ends = zip(red_green_blue, BACKGROUND, FOREGROUND, strict=True)
    return to_hex([(dark + max(0, share + lift) ** LIGHTER * (light - dark)) / 255 for share, dark, light in ends])


def add_filter(app, page, template, context, document):
    """Give every page the filter of dark figures."""
    if "body" in context:
        context["body"] = FILTER + context["body"]


def setup(app):
    app.connect("html-page-context", add_filter)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
