"""What the reductions of section 3.4 do to a feature map: counted, drawn, and said in words."""

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.alternatives import LEARNED, alternatives
from wisesr_helpers.reductions import FixedReduction2D, reduction_layers, spread_windows


def reductions(pool_size):
    """Title → layer, of what reduces the map in other ways than the final design, and of that itself.

    The learned one has weights as after its start and the constraint (section 2.4), drawn with seed 0.
    """
    keys = ("reduction", "padding", "strides")
    keras.utils.set_random_seed(0)
    return {
        title: reduction_layers(pool_size, **one.options)[0]
        for title, one in alternatives(pool_size).items()
        if not one.options or any(key in one.options for key in keys)
    }


def example_map(experiment):
    """One channel of the feature map that an experiment's untrained backbone makes of the first test image.

    Returns:
        float32 array (H, W): the channel whose values differ most.
    """
    model = experiment.build()
    features = keras.Model(model.input, model.get_layer("features").output)
    values = keras.ops.convert_to_numpy(features.predict_on_batch(experiment.dataset.test.rgb([0])))[0]
    return values[..., values.std(axis=(0, 1)).argmax()]


def cell_weights(layer, height, width):
    """How much each cell weighs in all outputs of a reduction together, as a multiple of the mean over the cells.

    Args:
        layer: As :func:`wisesr_helpers.reductions.reduction_layers` makes it.
        height: Of the map, in cells.
        width: Of the map, in cells.

    Returns:
        Array (height, width); under global average pooling it would be 1 everywhere.
    """
    _, rows, columns, _ = _built(layer, height, width).compute_output_shape((None, height, width, 1))
    ones = np.ones((rows, columns, 1))
    if isinstance(layer, FixedReduction2D):
        weights = layer.spread(ones)
    else:
        kernel = keras.ops.convert_to_numpy(layer.depthwise_constraint(layer.kernel))
        weights = spread_windows(kernel, ones, height, width)
    return weights[..., 0] / weights.mean()


def _built(layer, height, width):
    if not layer.built:
        layer.build((None, height, width, 1))
    return layer


def geometry(height, width, pool_size):
    """What each reduction leaves of a map, exactly.

    Returns:
        DataFrame, a row a reduction: "row", "map" (after it), "learned weights a channel" (with the pooling's behind
        it, biases left out), "cells not read", "largest weight of a cell" (the mean is 1; of fixed ones only).
    """
    rows = []
    for title, layer in reductions(pool_size).items():
        weights = cell_weights(layer, height, width)
        _, h, w, _ = layer.compute_output_shape((None, height, width, 1))
        fixed = isinstance(layer, FixedReduction2D)
        learned = h * w + (0 if fixed else pool_size**2)
        none = _left_out(layer, height, width)
        rows.append((title, f"{h}×{w}", learned, none, f"{weights.max():.2f}" if fixed else "learned"))
    names = ("row", "map", "learned weights a channel", "cells not read", "largest weight of a cell")
    return pd.DataFrame(rows, columns=names)


def _left_out(layer, height, width):
    """Cells that no output reads."""
    _built(layer, height, width)
    if isinstance(layer, FixedReduction2D):
        read = [int(matrix.any(axis=0).sum()) for matrix in (layer.rows, layer.columns)]
    else:
        read = [side // window * window for side, window in zip((height, width), layer.kernel_size, strict=True)]
    return height * width - read[0] * read[1]


def draw_reduced(feature_map, pool_size, axes):
    """A feature map as it is, and after every reduction; the fixed ones in the same colours.

    Args:
        feature_map: Array (H, W).
        pool_size: Side of a block in cells.
        axes: As many Axes as reductions, and one more; any others stay empty.
    """
    maps = {"the map": feature_map}
    for title, layer in reductions(pool_size).items():
        maps[title] = _reduce(layer, feature_map)
    fixed = [values for title, values in maps.items() if title != LEARNED]
    low, high = min(values.min() for values in fixed), max(values.max() for values in fixed)
    for ax, (title, values) in _panels(axes, maps):
        size = f"{values.shape[0]}×{values.shape[1]}"
        if title == LEARNED:  # it starts near zero, which in the others' colours would be one grey
            ax.imshow(values)
            ax.set_title(f"{title}\n{size}, own colours", fontsize=9)
        else:
            ax.imshow(values, vmin=low, vmax=high)
            ax.set_title(f"{title}\n{size}", fontsize=9)
    return axes


def describe_reduced(feature_map, pool_size):
    """:func:`draw_reduced` in words, from the same data."""
    said = [f"the map {feature_map.min():.2f} to {feature_map.max():.2f}"]
    for title, layer in reductions(pool_size).items():
        values = _reduce(layer, feature_map)
        said.append(f"{title} {values.shape[0]}×{values.shape[1]} cells, {values.min():.3g} to {values.max():.3g}")
    height, width = feature_map.shape
    return f"A feature map of {height}×{width} cells before and after each reduction. Values: {'; '.join(said)}."


def _reduce(layer, feature_map):
    """A feature map (H, W) after a reduction, whose constraint is applied as in training."""
    _built(layer, *feature_map.shape)
    if not isinstance(layer, FixedReduction2D):
        layer.kernel.assign(layer.depthwise_constraint(layer.kernel))
    return keras.ops.convert_to_numpy(layer(feature_map[None, ..., None].astype("float32")))[0, ..., 0]


def draw_cell_weights(height, width, pool_size, axes):
    """How much each cell of the map weighs in all outputs together, a panel a reduction; the mean is 1 in each.

    Args:
        height: Of the map, in cells.
        width: Of the map, in cells.
        pool_size: Side of a block in cells.
        axes: As many Axes as reductions at least; any others stay empty.
    """
    layers = reductions(pool_size)
    weights = {title: cell_weights(layer, height, width) for title, layer in layers.items()}
    most = max(np.abs(each).max() for each in weights.values())
    for ax, (title, values) in _panels(axes, weights):
        image = ax.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most)
        ax.set_title(f"{title}\n{_left_out(layers[title], height, width)} of {values.size} not read", fontsize=9)
    axes.flat[0].figure.colorbar(image, ax=axes, shrink=0.7, label="weight, mean 1")
    return axes


def describe_cell_weights(height, width, pool_size):
    """:func:`draw_cell_weights` in words, from the same data."""
    rows = geometry(height, width, pool_size).itertuples(index=False)
    cells, said = height * width, []
    for title, _, _, none, largest in rows:
        ends = "the weights of the others are learned" if largest == "learned" else f"the largest weight is {largest}"
        said.append(f"{title}: {none} of {cells} cells are not read, {ends}")
    return f"Weight of each cell in all outputs together, the mean being 1. {'; '.join(said)}."


def _panels(axes, shown):
    """Pairs of Axes and what they show; frames are taken off, and the Axes left over are empty."""
    for ax in axes.flat:
        ax.set_axis_off()
    return zip(axes.flat, shown.items(), strict=False)
