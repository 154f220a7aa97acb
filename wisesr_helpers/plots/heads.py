"""Diagrams of heads, made from their layers, and of the cells of a feature map that they use."""

import dataclasses
import functools

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import check_pool_size
from wisesr_helpers.layers.pooling import (
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.reductions import FixedReduction2D
from wisesr_helpers.plots.figures import described, figure
from wisesr_helpers.plots.images import signed

layers = keras.layers

COMPUTING, ARRAY = "#F6D5CC", "#CFE3F2"  # layers and arrays, as the paper colours them
UNSEEN = "#888888"
TEXT_SIZE, PAD, ARROW = 8.5, 4, 15  # of a diagram's boxes and between them, in points


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of a head and its output."""

    layer: str  # what it computes, in the field's words
    detail: str  # its window, kernel or activation
    shape: tuple  # of the output for one image


def head_steps(head, feature_shape):
    """What a head does, step by step.

    Args:
        head: The layers from the feature map to the class scores, in order, as
            :func:`wisesr_helpers.models.heads.head_layers` returns them.
        feature_shape: (H, W, C) of the feature map.

    Returns:
        List of Step; the averaging of blocks is a step of its own.
    """
    steps, shape = [], tuple(feature_shape)
    for layer in head:
        if isinstance(layer, GlobalDepthwisePooling2D):
            layout = layer.lay_out(*shape[:2])
            shape = (*layout.numbers.shape, shape[2])
            if check_pool_size(layer.pool_size, layout.height, layout.width) > 1:
                steps.append(Step("average pooling", f"{_sides(layout.rows)}×{_sides(layout.columns)}", shape))
        after = tuple(layer.compute_output_shape((None, *shape))[1:])
        steps.append(Step(*_words(layer, shape, after), after))
        shape = after
    return steps


def _words(layer, shape, after):
    """(what computes, its detail) of a layer between arrays of these shapes."""
    size = _size(shape[:2])
    match layer:
        case GlobalDepthwisePooling2D():
            radial = ", radial" if layer.sharing == "radial" else ""
            linear = layer.activation is keras.activations.linear
            return "depthwise", f"{size}{radial}{_limit(layer)}{'' if linear else f', {layer.activation.__name__}'}"
        case layers.DepthwiseConv2D():
            return "depthwise", _size(layer.kernel_size) + _limit(layer)
        case FixedReduction2D() if layer.reduction != "average":
            return layer.reduction, f"to {_size(after[:2])}"
        case FixedReduction2D():
            strides = f", stride {layer.strides}" if layer.strides else ""
            padding = f", {layer.padding} around" if layer.padding != "none" else ""
            return "average pooling", f"{layer.pool_size}×{layer.pool_size}{strides}{padding}"
        case layers.GlobalAveragePooling2D():
            return "global average", size
        case layers.AveragePooling2D():
            return "average pooling", _size(layer.pool_size)
        case GlobalWeightedAveragePooling2D():
            return "weighted average", f"{size}, from the features"
        case SharedPositionPooling2D():
            return "weighted sum", f"{size}, one for all channels"
        case layers.Flatten():
            return "flatten", ""
        case layers.Dropout():
            return "dropout", f"{layer.rate:.0%}"
        case layers.Dense():
            return "fully connected", layer.activation.__name__
    return type(layer).__name__, ""


def _sides(blocks):
    """The sides of blocks along one axis in words: 3, or 3–4 where they differ."""
    return "–".join(map(str, sorted({min(blocks), max(blocks)})))


def _limit(layer):
    return ", weights ≥ 0" if isinstance(layer.depthwise_constraint, keras.constraints.NonNeg) else ""


def _size(shape):
    return "×".join(map(str, shape))


def head_diagram(steps, feature_shape, ax):
    """A head as boxes: layers that compute in red, the arrays between them in blue, as in Figures 3 and 8.

    Args:
        steps: What :func:`wisesr_helpers.plots.heads.head_steps` returns.
        feature_shape: (H, W, C) of the feature map.
        ax: Axes to draw on.

    Returns:
        ``ax``, described: every step and the shape of its output.
    """
    from matplotlib.transforms import offset_copy

    left, before = PAD, None
    for words, face in _boxes(steps, feature_shape):
        here, there = (offset_copy(ax.transAxes, ax.figure, x, units="points") for x in (left, before or left))
        ax.annotate(
            words,
            (0, 0.5),
            xycoords=there,
            xytext=(0, 0.5),
            textcoords=here,
            ha="left",
            va="center",
            fontsize=TEXT_SIZE,
            bbox={"boxstyle": f"round,pad={PAD / TEXT_SIZE}", "facecolor": face, "edgecolor": "#555555"},
            arrowprops=before and {"arrowstyle": "<-", "color": "#555555", "shrinkA": 2, "shrinkB": 2},
        )
        before = left + _width(words) + PAD
        left = before + ARROW + PAD
    ax.set_axis_off()
    parts = [f"a feature map of {_size(feature_shape)}"]
    for step in steps:
        detail = f" ({step.detail})" if step.detail else ""
        parts.append(f"{step.layer}{detail} gives {_size(step.shape)}")
    return described(ax, f"{'; '.join(parts)}.")


def head_diagram_width(steps, feature_shape):
    """The width of :func:`head_diagram` in points."""
    boxes = _boxes(steps, feature_shape)
    return sum(_width(words) + 2 * PAD for words, _ in boxes) + ARROW * (len(boxes) - 1)


def _boxes(steps, feature_shape):
    boxes = [(f"{_size(feature_shape)}\nfeature map", ARRAY)]
    for step in steps:
        boxes.append((f"{step.layer}\n{step.detail}".strip(), COMPUTING))
        boxes.append((_size(step.shape), ARRAY))
    return boxes


@functools.cache  # the same few boxes stand in many diagrams
def _width(words):
    from matplotlib.textpath import TextPath

    return max(TextPath((0, 0), line, size=TEXT_SIZE).get_extents().x1 for line in words.splitlines())


def small_map(values, ax, most=None):
    """A small map with the values written into its cells, darker where they are larger.

    Args:
        values: Array (H, W).
        ax: Axes to draw on.
        most: The value of the darkest cell, for maps that are coloured alike; default the largest of ``values``.

    Returns:
        ``ax``, described: the numbers, row by row.
    """
    values = np.asarray(values, "float64")
    most = most or values.max() or 1.0
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1.6 * most)  # dark text stays readable
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=10)
    _lines(ax, values.shape)
    rows = "; ".join(" ".join(f"{value:.2g}" for value in row) for row in values)
    return described(ax, f"rows from the top: {rows}.")


def weight_colours(maps):
    """How maps of weights are coloured alike, white at 0: options of ``imshow``; red and blue if some are negative."""
    most = max(float(np.abs(values).max()) for values in maps) or 1.0
    if min(values.min() for values in maps) < 0:
        return {"cmap": signed(), "vmin": -most, "vmax": most}
    return {"cmap": "Blues", "vmin": 0, "vmax": most}


def looked_at(seen, pool_size, ax):
    """A feature map with the blocks that are averaged in blue, and the cells that fill no block hatched.

    Args:
        seen: Array (H, W) of bool, as :func:`wisesr_helpers.models.counts.cells_looked_at` returns it.
        pool_size: Side of a block in cells.
        ax: Axes to draw on.

    Returns:
        ``ax``, described: how many cells are in no block.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    height, width = seen.shape
    # One image, for thousands of patches take seconds.
    ax.imshow(seen, cmap=ListedColormap(["white", ARRAY]), vmin=0, vmax=1)
    for row, column in np.argwhere(~seen):
        corner = (column - 0.5, row - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=UNSEEN, linewidth=0))
    _lines(ax, seen.shape, linewidth=0.4)
    for row in range(0, height - pool_size + 1, pool_size):
        for column in range(0, width - pool_size + 1, pool_size):
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, pool_size, pool_size, fill=False, edgecolor="#1F4E79", linewidth=1.5))
    return described(ax, f"{looked_at_in_words(seen, pool_size)}.")


def looked_at_in_words(seen, pool_size):
    """The description of :func:`looked_at`, without a full stop."""
    height, width = seen.shape
    rows, columns = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
    text = f"a map of {height}×{width} cells in blocks of {pool_size}×{pool_size}"
    if seen.all():
        return text + ", which cover it"
    return (
        f"{text}, which cover its first {rows} rows and {columns} columns; "
        f"{seen.size - int(seen.sum())} of {seen.size} cells at the right and the bottom are in none"
    )


def _lines(ax, shape, linewidth=0.8):
    """Draw lines between the cells of a map, and no ticks."""
    for side, line in zip(shape, (ax.axhline, ax.axvline), strict=True):
        for k in range(side + 1):
            line(k - 0.5, color="#555555", linewidth=linewidth)
    ax.set_xticks([])
    ax.set_yticks([])


def head_figure(names, feature_shape, classes):
    """Diagrams of heads below each other, lettered if there are several.

    Args:
        names: Of ``ws.HEADS``.
        feature_shape: (H, W, C) of the feature map.
        classes: Number of classes.

    Returns:
        The figure, described.
    """
    from wisesr_helpers.models.heads import head_layers

    steps = {name: head_steps(head_layers(name, feature_shape, classes), feature_shape) for name in names}
    longest = max(head_diagram_width(each, feature_shape) for each in steps.values())
    drawn, axes = figure(max(8.3, longest / 72 + 0.2), 0.85 * len(names), rows=len(names), squeeze=False)
    for k, ((name, each), ax) in enumerate(zip(steps.items(), axes[:, 0], strict=True)):
        label = f"({chr(ord('a') + k)}) {name}" if len(names) > 1 else name
        head_diagram(each, feature_shape, ax).set_title(label, loc="left", fontsize=9, fontweight="bold")
    return drawn
