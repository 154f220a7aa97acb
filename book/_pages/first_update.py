"""Weights as they are drawn, as the constraint leaves them, and as the average: pictures that a reader changes."""

import functools

import numpy as np
import pandas as pd
from IPython.display import HTML

from _pages.markup import radios, script_data, table
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.pooling import START
from wisesr_helpers.metrics import minus
from wisesr_helpers.models.heads import head_layers

SIDE = 7  # of the map, in cells
CHANNELS = 18  # that are drawn
COLUMNS = 6
SEED = 0
STRONG = 2 * START["stddev"]  # a weight of this size has the full colour
STATES = {
    "drawn": "as drawn",
    "clipped": "after the first update",
    "average": "start as average",
}


@functools.cache
def kernels():
    """State → weights (3, 3, channels), by the package's own layers. The update's step is taken for very small."""
    keras.utils.set_random_seed(SEED)
    found = {}
    for start in ("normal", "average"):
        layer = head_layers("wise", (SIDE, SIDE, CHANNELS), 2, start=start)[0]
        layer.build((None, SIDE, SIDE, CHANNELS))
        found[start] = layer
    drawn = found["normal"].kernel
    states = drawn, found["normal"].depthwise_constraint(drawn), found["average"].kernel
    return {name: keras.ops.convert_to_numpy(each)[..., 0] for name, each in zip(STATES, states, strict=True)}


def facts():
    """What the weights of each state have in common, a row a state."""
    rows = []
    for state, weights in kernels().items():
        sums = weights.sum(axis=(0, 1))
        rows.append(
            {
                "weights": STATES[state],
                "negative": _share(weights < 0),
                "zero": _share(weights == 0),
                "sum of a channel, mean": _number(sums.mean()),
                "smallest and largest": f"{_number(sums.min())} and {_number(sums.max())}",
            }
        )
    return pd.DataFrame(rows)


def _share(mask):
    return f"{mask.sum()} of {mask.size}"


def _number(value):
    return minus(f"{value:.3f}")


def pictures():
    """Change between the states; without JavaScript all of them below each other, and a table."""
    rows = facts()
    choices = radios("state", dict(enumerate(STATES.values())), 0)
    figures = "".join(
        f'<div class="state">{_picture(weights, described)}<p>{described}</p></div>'
        for weights, described in zip(kernels().values(), map(_described, rows.to_dict("records")), strict=True)
    )
    return HTML(
        f'<div class="play update"><p role="radiogroup" aria-label="Weights" hidden>{choices}</p>{figures}'
        f"{script_data(len(STATES))}{table(rows, compact=True).data}</div>"
    )


def _described(row):
    return (
        f"{row['weights'].capitalize()}: {row['negative']} weights are negative, {row['zero']} are zero. "
        f"The weights of a channel add up to {row['sum of a channel, mean']} on average."
    )


def _picture(weights, said):
    """The channels side by side, each with its sum below."""
    drawn = []
    for channel in range(CHANNELS):
        row, column = divmod(channel, COLUMNS)
        left, top = 56 * column + 5, 66 * row + 2
        for y, x in np.ndindex(weights.shape[:2]):
            value = weights[y, x, channel]
            kind = "for" if value > 0 else "against" if value < 0 else "none"
            strength = min(1, abs(value) / STRONG)
            drawn.append(
                f'<rect class="{kind}" x="{left + 15 * x}" y="{top + 15 * y}" width="14" height="14" '
                f'fill-opacity="{strength:.2f}"/>'
            )
        drawn.append(f'<text x="{left + 22}" y="{top + 57}">{_number(weights[..., channel].sum())}</text>')
    height = 66 * -(-CHANNELS // COLUMNS)
    return f'<svg viewBox="0 0 {56 * COLUMNS} {height}" role="img" aria-label="{said}">{"".join(drawn)}</svg>'
