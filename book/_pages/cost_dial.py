"""What heads cost on maps, channels and classes to choose from, for ``cost_dial.js`` and as a table.

The script gets :func:`costs.coefficients` of each map, which tell the parameters for any channels and classes.
"""

import math

from IPython.display import HTML

from _pages import costs
from _pages.markup import ink, script_data
from wisesr_helpers.models.counts import head_params
from wisesr_helpers.plots import colour

CHANNELS = (128, 256, 512, 768, 1024, 1280, 1536, 1664, 1920, 2048)
CLASSES = (2, 6, 10, 20, 67, 70, 100, 200, 500, 1000)
ENDS = 2, 10  # of the logarithmic bars: powers of ten


def data():
    """What the script gets."""
    return {
        "sides": costs.SIDES,
        "channels": CHANNELS,
        "classes": CLASSES,
        "pixels": costs.stride(),
        "ends": ENDS,
        "heads": {head: [costs.coefficients(head, side) for side in costs.SIDES] for head in costs.GROWTH_HEADS},
    }


def dial():
    """Turn image, channels and classes; without JavaScript a table with the bars of Table 1's case."""
    (side, _, channels), classes = costs.usual_case()
    counted = {head: head_params(head, (side, side, channels), classes) for head in costs.GROWTH_HEADS}
    rows = "".join(
        f'<tr><th scope="row">{head}</th><td class="bar"><div style="width: {_share(value):.1f}%; '
        f'background: {ink(colour(head))}"></div></td><td class="count">{value:,}</td>'
        f'<td class="ratio">{_ratio(value / counted["gap"])}</td></tr>'
        for head, value in counted.items()
    )
    dials = "".join(
        f'<label>{name} <input type="range" min="0" max="{len(values) - 1}" value="{values.index(value)}"><output>'
        f"{shown}</output></label>"
        for name, values, value, shown in (
            ("Image", costs.SIDES, side, f"{side * costs.stride()}×{side * costs.stride()}"),
            ("Channels", CHANNELS, channels, f"{channels:,}"),
            ("Classes", CLASSES, classes, f"{classes:,}"),
        )
    )
    return HTML(
        f'<div class="play cost-dial"><p hidden>{dials}</p><table>'
        f"<caption>Heads on a {side}×{side}×{channels:,} map, {classes:,} classes</caption>"
        '<thead><tr><th scope="col">head</th><th scope="col"></th><th scope="col">parameters</th>'
        f'<th scope="col">of GAP’s</th></tr></thead><tbody>{rows}</tbody></table>'
        '<p class="help">The bars are logarithmic: ten times as many parameters make each bar longer by the same.</p>'
        "<noscript><p>Choosing another case needs JavaScript.</p></noscript>"
        f"{script_data(data())}</div>"
    )


def _share(value):
    """Length of a bar in percent."""
    return 100 * (math.log10(value) - ENDS[0]) / (ENDS[1] - ENDS[0])


def _ratio(ratio):
    return f"{ratio:.2f}×" if ratio < 100 else f"{ratio:,.0f}×"
