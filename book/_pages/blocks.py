"""Blocks on maps of every size: the cells that are never looked at, for ``blocks.js`` and as a table."""

import functools

import pandas as pd
from IPython.display import HTML

from _pages import costs
from _pages.markup import radios, script_data, table
from wisesr_helpers.layers.blocks import default_pool_size, lay_out

SIDES = range(2, 21)  # of the map, in cells
BLOCKS = range(1, 5)
COVERS = {"blocks": "the paper’s blocks", "exact": "exact cover"}
FIRST = (7, 2)


@functools.cache
def layouts():
    """(side, block, cover) → ``Layout``, of those blocks that a map has room for."""
    return {
        (side, block, cover): lay_out(side, side, block, cover)
        for side in SIDES
        for block in BLOCKS
        if block <= side
        for cover in COVERS
    }


def data():
    """What the script gets: side → block → cover → the sides of the blocks and what follows from them."""
    found = {}
    for (side, block, cover), layout in layouts().items():
        found.setdefault(side, {}).setdefault(block, {})[cover] = {
            "sides": layout.rows,
            "weights": layout.count,
            "left": int((~layout.inside).sum()),
            "total": f"{costs.expected_total(layout.count):.3f}",
        }
    return {"maps": found, "rule": {side: default_pool_size(side) for side in SIDES}, "pixels": costs.stride()}


def ruled():
    """What the paper's rule leaves out, a row a map."""
    rows = []
    for side in SIDES:
        block = default_pool_size(side)
        layout = layouts()[side, block, "blocks"]
        left = int((~layout.inside).sum())
        rows.append(
            {
                "map": f"{side}×{side}",
                "block": f"{block}×{block}",
                "weights of a channel": layout.count,
                "never looked at": f"{left} of {side * side} cells ({left / side**2:.1%})",
            }
        )
    return pd.DataFrame(rows)


def explorer():
    """Choose a map and a block; without JavaScript a table of the paper's rule."""
    covers = radios("cover", COVERS, "blocks")
    side, block = FIRST
    return HTML(
        '<div class="play blocks"><div hidden>'
        f'<p><label>Map <input class="blocks-side" type="range" min="{SIDES[0]}" max="{SIDES[-1]}" value="{side}">'
        f'<output>{side}×{side}</output></label><label>Block <input class="blocks-block" type="range" '
        f'min="{BLOCKS[0]}" max="{BLOCKS[-1]}" value="{block}"><output>{block}×{block}</output></label></p>'
        f'<p role="radiogroup" aria-label="Cover">{covers}</p>'
        '<svg viewBox="0 0 280 280" role="img"></svg><p class="readout" aria-live="polite"></p></div>'
        "<noscript><p>Choosing needs JavaScript; the table has the paper’s own blocks.</p></noscript>"
        f"{script_data(data())}"
        '<details class="provenance"><summary>The paper’s blocks on every map, as a table</summary>'
        f"{table(ruled(), 'blocks.csv').data}</details></div>"
    )
