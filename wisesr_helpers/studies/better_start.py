"""The project's own options of the head beside the paper's: what they make of the weights before training begins."""

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import refusing
from wisesr_helpers.metrics import minus
from wisesr_helpers.models.counts import head_params
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.images import signed
from wisesr_helpers.studies.grid import get_paper_study

_OPTIONS = {
    "wise": {},
    "wise, start 1/N": {"start": "average"},
    "wise, exact cover": {"cover": "exact"},
    "wise, radial": {"sharing": "radial"},
    "all three": {"start": "average", "cover": "exact", "sharing": "radial"},
}


@refusing()
def typed_rows(study):
    """What each row types, for ``ws.Rows``: title → keywords of ``ws.Experiment``; ValueError for another study."""
    get_paper_study(study)
    return {"gap": {"head": "gap"}} | {title: {"head": "wise", "options": own} for title, own in _OPTIONS.items()}


def poolings(feature_shape, seed=0):
    """Title → built, untrained ``GlobalDepthwisePooling2D`` of every row that has weights, on a map (H, W, C)."""
    built = {}
    for title, options in _OPTIONS.items():
        keras.utils.set_random_seed(seed)
        built[title] = head_layers("wise", feature_shape, 2, **options)[0]
        built[title].build((None, *feature_shape))
    return built


def starts(feature_shape, classes, seed=0):
    """What each row's pooling has to learn, and what it starts from, on a map (H, W, C): a DataFrame, a row a pooling.

    "sides of blocks" are in cells; "parameters" are those of the head, its classifier included; "set to 0 at once" is
    the share of the weights that the constraint lifts to 0, "sum of those left" a mean over the channels, 1 for GAP.
    """
    height, width, _ = feature_shape
    rows = []
    for title, layer in poolings(feature_shape, seed).items():
        layout, weights = layer.layout, layer.position_weights(height, width)
        sides = {*layout.rows, *layout.columns}
        rows.append(
            {
                "row": title,
                "blocks": "×".join(map(str, layout.numbers.shape)),
                "sides of blocks": " and ".join(map(str, sorted(sides))),
                "weights a channel": layout.count,
                "parameters": f"{head_params('wise', feature_shape, classes, **_OPTIONS[title]):,}",
                "cells without weight": f"{height * width - layout.covered} of {height * width}",
                "set to 0 at once": f"{(keras.ops.convert_to_numpy(layer.kernel) < 0).mean():.0%}",
                "sum of those left": f"{np.maximum(weights, 0).sum(axis=(0, 1)).mean():.3f}",
            }
        )
    return pd.DataFrame(rows)


def pooled(experiment, images):
    """The pooled vectors that an experiment's untrained classifier makes of images (N, H, W, 3): float32 (N, C)."""
    model = experiment.build()
    up_to_pooling = keras.Model(model.input, model.get_layer("pooling").output)
    return keras.ops.convert_to_numpy(up_to_pooling(images, training=False)).astype("float32")


def draw_starts(feature_shape, axes, seed=0):
    """The weight of every cell in one channel, on Axes (2, rows): as drawn, and below it after the constraint.

    A weight is shown as a multiple of global average pooling's; cells without one are crossed out.
    """
    maps = _maps(feature_shape, seed)
    most = max(np.nanmax(np.abs(drawn)) for drawn, _ in maps.values())
    said = []
    for column, (title, both) in zip(axes.T, maps.items(), strict=True):
        drawn, kept = both
        low, high = np.nanmin(drawn), np.nanmax(drawn)
        span = f"from {low:.2f} to {high:.2f}" if f"{low:.2f}" != f"{high:.2f}" else f"{low:.2f} everywhere"
        said.append(
            f"{title}: {minus(span)}, {np.isnan(drawn).sum()} cells without one; "
            f"after the constraint {(kept == 0).sum()} cells have 0"
        )
        for ax, values in zip(column, both, strict=True):
            image = ax.imshow(values, cmap=signed(), vmin=-most, vmax=most)
            ax.plot(*np.argwhere(np.isnan(values)).T[::-1], "x", color="0.5", markersize=3, markeredgewidth=0.8)
            ax.set_xticks([])
            ax.set_yticks([])
        column[0].set_title(title.replace(", ", ",\n"), fontsize=8)
    for ax, label in zip(axes[:, 0], ("as drawn", "after the constraint"), strict=True):
        ax.set_ylabel(label, fontsize=8)
    axes[0, 0].figure.colorbar(image, ax=axes, shrink=0.8, label="weight ÷ GAP's").ax.tick_params(labelsize=8)
    words = "Weights of the first channel as multiples of global average pooling's."
    return described(axes, f"{words} {'; '.join(said)}.")


def _maps(feature_shape, seed):
    """Title → (weights as drawn, after the constraint), each (H, W), NaN where a cell is in no block."""
    height, width, _ = feature_shape
    maps = {}
    for title, layer in poolings(feature_shape, seed).items():
        drawn = layer.position_weights(height, width)[..., 0] * height * width
        drawn[layer.layout.cells == layer.layout.count] = np.nan
        maps[title] = drawn, np.maximum(drawn, 0)
    return maps
