"""Drawings of heads and of small maps, and the same in words; :mod:`wisesr_helpers.plots` draws data."""

import numpy as np

COMPUTING, ARRAY = "#F6D5CC", "#CFE3F2"  # layers and arrays, as the paper colours them
UNSEEN = "#888888"
TEXT_SIZE, PAD, ARROW = 8.5, 4, 15  # of a diagram's boxes and between them, in points


def head_diagram(steps, feature_shape, ax):
    """A head as boxes: layers that compute in red, the arrays between them in blue, as in Figures 3 and 8.

    Args:
        steps: What :func:`wisesr_helpers.diagrams.head_steps` returns.
        feature_shape: (H, W, C) of the feature map.
        ax: Axes to draw on.
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
    return ax


def head_diagram_width(steps, feature_shape):
    """Points that :func:`head_diagram` takes from left to right."""
    boxes = _boxes(steps, feature_shape)
    return sum(_width(words) + 2 * PAD for words, _ in boxes) + ARROW * (len(boxes) - 1)


def _boxes(steps, feature_shape):
    boxes = [(f"{_size(feature_shape)}\nfeature map", ARRAY)]
    for step in steps:
        boxes.append((f"{step.layer}\n{step.detail}".strip(), COMPUTING))
        boxes.append((_size(step.shape), ARRAY))
    return boxes


def _width(words):
    from matplotlib.textpath import TextPath

    return max(TextPath((0, 0), line, size=TEXT_SIZE).get_extents().x1 for line in words.splitlines())


def describe_head_diagram(steps, feature_shape):
    """:func:`head_diagram` in words, from the same steps."""
    parts = [f"a feature map of {_size(feature_shape)}"]
    for step in steps:
        detail = f" ({step.detail})" if step.detail else ""
        parts.append(f"{step.layer}{detail} gives {_size(step.shape)}")
    return "; ".join(parts)


def small_map(values, ax):
    """A small map with its numbers written into the cells, darker where they are larger.

    Args:
        values: Array (H, W).
        ax: Axes to draw on.
    """
    values = np.asarray(values, "float64")
    most = values.max() or 1.0
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1.6 * most)  # dark text stays readable
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=10)
    _lines(ax, values.shape, 1)
    return ax


def describe_small_map(values):
    """:func:`small_map` in words: its rows from the top."""
    rows = ["  ".join(f"{value:.2g}" for value in row) for row in np.asarray(values)]
    return "rows from the top: " + "; ".join(" ".join(row.split()) for row in rows)


def looked_at(seen, pool_size, ax):
    """A feature map with the blocks that are averaged in blue, and the cells that fill no block hatched.

    Args:
        seen: Array (H, W) of bool, as :func:`wisesr_helpers.costs.cells_looked_at` returns it.
        pool_size: Side of a block in cells.
        ax: Axes to draw on.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    height, width = seen.shape
    # One image, for thousands of patches take seconds.
    ax.imshow(seen, cmap=ListedColormap(["white", ARRAY]), vmin=0, vmax=1)
    for row, column in np.argwhere(~seen):
        corner = (column - 0.5, row - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="////", edgecolor=UNSEEN, linewidth=0))
    _lines(ax, seen.shape, 1, linewidth=0.4)
    for row in range(0, height - pool_size + 1, pool_size):
        for column in range(0, width - pool_size + 1, pool_size):
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, pool_size, pool_size, fill=False, edgecolor="#1F4E79", linewidth=1.5))
    return ax


def describe_looked_at(seen, pool_size):
    """:func:`looked_at` in words, from the same cells."""
    height, width = seen.shape
    rows, columns = (int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum()))
    text = f"a map of {height}×{width} cells in blocks of {pool_size}×{pool_size}"
    if seen.all():
        return text + ", which cover it"
    return (
        f"{text}, which cover its first {rows} rows and {columns} columns; "
        f"{seen.size - int(seen.sum())} of {seen.size} cells at the right and the bottom are in none"
    )


def _size(shape):
    return "×".join(map(str, shape))


def _lines(ax, shape, step, linewidth=0.8):
    for side, line in zip(shape, (ax.axhline, ax.axvline), strict=True):
        for k in range(0, side + 1, step):
            line(k - 0.5, color="#555555", linewidth=linewidth)
    ax.set_xticks([])
    ax.set_yticks([])
