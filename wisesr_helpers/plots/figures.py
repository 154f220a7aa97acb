"""How a figure is made, gets its alt text, and is shown."""

import base64
import io

import numpy as np


def figure(width=7.0, height=3.5, columns=1, rows=1, **options):
    """A white figure with constrained layout, readable on light and dark pages.

    Args:
        width: Inches; default 7.
        height: Inches; default 3.5.
        columns: Number of panels side by side.
        rows: Number of panels below each other.
        **options: Of ``matplotlib.figure.Figure.subplots``.

    Returns:
        (figure, axes): a single Axes for one row and column, else an array of them.
    """
    from matplotlib.figure import Figure

    drawn = Figure((width, height), facecolor="white", layout="constrained")
    return drawn, drawn.subplots(rows, columns, **options)


def described(axes, text):
    """Attach alt text to axes; it replaces what was attached to any of them before.

    Args:
        axes: One Axes, or an array of those that the text is about.
        text: What is drawn on them, with its numbers.

    Returns:
        ``axes``.
    """
    panels = tuple(np.ravel(axes))
    texts = panels[0].figure.__dict__.setdefault("alt_texts", {})
    for others in [others for others in texts if set(others) & set(panels)]:
        del texts[others]
    texts[panels] = text
    return axes


def alt_text(drawn):
    """The alt text of a figure: its title, then the texts of its axes, that of a single Axes after its own title.

    Args:
        drawn: matplotlib Figure.

    Raises:
        ValueError: No text was attached to any of its axes.
    """
    texts = drawn.__dict__.get("alt_texts")
    if not texts:
        raise ValueError(
            "The figure has no description. Draw with functions of wisesr_helpers.plots, attach a text with "
            "plots.described(ax, text), or give it as plots.show(figure, text)."
        )
    parts = [f"{line}." for line in drawn.get_suptitle().splitlines()]
    for (ax, *others), text in texts.items():
        title = "" if others else ax.get_title() or ax.get_title(loc="left")
        parts.append(f"{title}: {text}" if title else text)
    return " ".join(parts)


def show(drawn, alt=None, dpi=110):
    """Display a figure with a description for readers who can't see it.

    Args:
        drawn: matplotlib Figure.
        alt: The description; None: :func:`alt_text`. It is also stored inside the PNG, where the book finds it, with
            the places of photographs and scenes, which dark pages show as they are.
        dpi: Pixels an inch; default 110.

    Raises:
        ValueError: There is no description.
    """
    from IPython.display import display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.image import imsave

    alt = alt or alt_text(drawn)
    drawn.set_dpi(dpi)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()  # now panels have their places
    texts = {"Description": alt, "Pictures": _pictures(drawn), "Software": None}
    png = io.BytesIO()
    imsave(png, canvas.buffer_rgba(), format="png", dpi=dpi, metadata=texts)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt}})


def _pictures(drawn):
    """Where a figure shows images in their own colours: "left top right bottom" in percent of it, joined by ";"."""
    places = []
    for ax in drawn.axes:
        if any(np.ndim(image.get_array()) == 3 or image.get_cmap().name == "gray" for image in ax.images):
            (left, bottom), (right, top) = ax.get_position().get_points() * 100
            places.append(f"{left:.2f} {100 - top:.2f} {right:.2f} {100 - bottom:.2f}")
    return ";".join(places)
