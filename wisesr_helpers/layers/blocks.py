"""How a kernel's blocks lie on a feature map, and the averages and weighted sums of them that the poolings compute."""

import dataclasses
import functools

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import COVERS, SHARINGS, is_whole

ops = keras.ops


def default_pool_size(side):
    """The paper's window for a map (section 2.4): the smallest p ≥ 2 with side // p ≤ 5; 7 → 2, 16 → 3."""
    pool_size = 2
    while side // pool_size > 5:
        pool_size += 1
    return pool_size


def check_pool_size(pool_size, height, width):
    """The side of the window in cells, by the paper's rule for None; ValueError where it is larger than the map."""
    shorter = min(height, width)
    if pool_size is None:
        pool_size = default_pool_size(shorter)
        reason = f"the paper's rule asks for pool_size={pool_size}"
    else:
        reason = f"received pool_size={pool_size!r}"
    if not is_whole(pool_size) or pool_size > shorter:
        raise ValueError(
            f"A feature map of {height}×{width} cells takes a pool_size from 1 to {shorter} (a whole number; "
            f"1: no pre-averaging); {reason}. Use a larger image or a smaller pool_size."
        )
    return int(pool_size)


def check_layout(cover, sharing):
    """Check ``cover`` and ``sharing``; raise ValueError with the valid names."""
    for name, value, valid in (("cover", cover, COVERS), ("sharing", sharing, SHARINGS)):
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, valid))}; received {value!r}.")


def block_sides(length, window, cover="blocks"):
    """The sides of the blocks along one axis of a map, in cells.

    Args:
        length: Of the axis, in cells.
        window: Side p of a block, at most ``length``.
        cover: "blocks" (default): ⌊length/p⌋ blocks of p, and cells that fill none are left out (the paper's).
            "exact" (the project's own): as many blocks that leave nothing out, whose sides differ by one cell at
            most; the same from both ends, but where an odd number of cells goes into an even number of blocks.

    Returns:
        Tuple of int: 7 by 2 gives (2, 2, 2) or, exactly, (2, 3, 2).
    """
    count = length // window
    if cover == "blocks":
        return (window,) * count
    half = [(2 * k * length + count) // (2 * count) for k in range(count // 2 + 1)]  # k·length/count, rounded
    edges = half + [length - edge for edge in reversed(half[: (count + 1) // 2])]
    return tuple(np.diff(edges).tolist())


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Which weight of a kernel each cell of a feature map has.

    Attributes:
        height: Of the map, in cells.
        width: Of the map, in cells.
        window: Side p of a block in cells; "exact" blocks may be larger.
        rows: Height of each row of blocks, in cells.
        columns: Width of each column of blocks, in cells.
        numbers: Array (rows, columns): which weight each block has, counted from 0.
    """

    height: int
    width: int
    window: int
    rows: tuple
    columns: tuple
    numbers: np.ndarray

    @functools.cached_property
    def count(self):
        """How many weights there are for a channel."""
        return int(self.numbers.max()) + 1

    @functools.cached_property
    def cells(self):
        """Array (height, width): which weight each cell has; ``count`` where a cell is in no block."""
        cells = self.numbers.repeat(self.rows, axis=0).repeat(self.columns, axis=1)
        spare = (0, self.height - len(cells)), (0, self.width - cells.shape[1])
        return np.pad(cells, spare, constant_values=self.count)

    @property
    def inside(self):
        """Array (height, width) of bool: the cells that are in a block."""
        return self.cells < self.count

    @property
    def covered(self):
        """Number of cells that are in a block."""
        return sum(self.rows) * sum(self.columns)

    @functools.cached_property
    def sizes(self):
        """Array (count,): cells in a block, the mean over the blocks that have the weight.

        A weight is a block's average's, so a cell has that weight over this size. Blocks of several sizes that share
        a weight give all their cells the same.
        """
        return np.bincount(self.cells.ravel(), minlength=self.count)[: self.count] / np.bincount(self.numbers.ravel())

    @property
    def averaging(self):
        """Array (count,): the weights that make the weighted sum the mean of all cells that are covered."""
        return self.sizes / self.covered

    def cell_weights(self, weights):
        """Weights of a kernel (count, …) as weights of the cells (height, width, …), a tensor; 0 in no block."""
        weights = ops.convert_to_tensor(weights)
        others = [1] * (len(weights.shape) - 1)
        of_cells = weights / ops.cast(self.sizes.reshape(-1, *others), weights.dtype)
        of_cells = ops.pad(of_cells, [(0, 1), *[(0, 0)] * len(others)])  # beyond the last: of the cells in no block
        return ops.take(of_cells, self.cells, axis=0)


def lay_out(height, width, pool_size=None, cover="blocks", sharing=None):
    """The :class:`Layout` of a kernel on a feature map of ``height`` × ``width`` cells.

    ``pool_size`` is the side of a block in cells, by the paper's rule for None; ``cover`` is as for
    :func:`block_sides`. With ``sharing=None`` every block has a weight of its own, numbered row by row; with "radial"
    (the project's own) blocks at one distance from the kernel's centre share one, numbered from the centre outwards.
    ValueError for another ``cover`` or ``sharing``, or a block larger than the map.
    """
    check_layout(cover, sharing)
    window = check_pool_size(pool_size, height, width)
    rows, columns = (block_sides(length, window, cover) for length in (height, width))
    shape = len(rows), len(columns)
    numbers = np.arange(shape[0] * shape[1])
    if sharing == "radial":
        y, x = (np.arange(count) - (count - 1) / 2 for count in shape)
        squares = y[:, None] ** 2 + x**2  # of the distances, in blocks: multiples of 1/4, equal to the last bit
        numbers = np.unique(squares, return_inverse=True)[1]
    return Layout(height, width, window, rows, columns, numbers.reshape(shape))


def average_blocks(features, pool_size):
    """Averages of p×p blocks, rows and columns that fill none dropped: (N, H, W, C) → (N, H // p, W // p, C).

    The gradient is written out, every cell's being its block's over p²: XLA's own gradient of ``average_pool`` takes
    several times as long on a CPU.
    """
    if pool_size == 1:
        return features
    height, width = features.shape[1:3]

    @ops.custom_gradient
    def pool(x):
        def backward(*args, upstream=None):
            return _spread(_upstream(args, upstream) / pool_size**2, pool_size, height, width)

        return _average_pool(x, pool_size), backward

    return pool(features)


def global_depthwise_pool(features, kernel, bias=None, pool_size=1):
    """Average blocks of a feature map, then take one weighted sum per channel.

    It equals ``AveragePooling2D(pool_size)`` → ``DepthwiseConv2D`` whose kernel covers the whole
    map → ``Flatten``. A convolution that can be placed only once is a weighted sum, and computed as
    one it is several times faster.

    The gradient of a cell is its image's, times the weight of its block: written out here, it is one
    multiplication that makes one array of the map's size; derived step by step it would make several.

    Args:
        features: Tensor (N, H, W, C), height and width known.
        kernel: Tensor (H // pool_size, W // pool_size, C, 1), DepthwiseConv2D's layout.
        bias: Tensor (C,), or None.
        pool_size: Side of the averaged blocks in cells; 1 averages nothing.

    Returns:
        Tensor (N, C).

    Raises:
        ValueError: The map has another number of blocks than the kernel, or an unknown one.
    """
    height, width = features.shape[1:3]
    rows, columns, channels, _ = kernel.shape
    if None in (height, width) or (height // pool_size, width // pool_size) != (rows, columns):
        raise ValueError(
            f"A kernel {tuple(kernel.shape)} needs a feature map (N, H, W, {channels}) of {rows}×{columns} blocks of "
            f"{pool_size}×{pool_size} cells; received {tuple(features.shape)}."
        )

    @ops.custom_gradient
    def pool(x, weights):  # (N, H, W, C), (h·w, C)
        blocks = x if pool_size == 1 else _average_pool(x, pool_size)
        blocks = ops.reshape(blocks, (-1, rows * columns, channels))

        def backward(*args, upstream=None):
            gradient = ops.expand_dims(_upstream(args, upstream), 1)  # (N, 1, C)
            cells = ops.reshape(weights / pool_size**2, (1, rows, columns, channels))
            cells = ops.reshape(_spread(cells, pool_size, height, width), (height * width, channels))
            of_features = ops.reshape(gradient * cells, (-1, height, width, channels))
            return of_features, ops.sum(blocks * gradient, axis=0)

        return ops.sum(blocks * weights, axis=1), backward

    pooled = pool(features, ops.reshape(kernel, (rows * columns, channels)))  # (N, C)
    return pooled if bias is None else pooled + bias


def _average_pool(x, pool_size):
    return ops.average_pool(x, pool_size, strides=pool_size, padding="valid", data_format="channels_last")


def _spread(blocks, pool_size, height, width):
    """Every block's value at each of its cells, 0 where no block lies: (N, h, w, C) → (N, height, width, C).

    A broadcast and one padding: repeating along both axes would copy the whole map once more.
    """
    count, rows, columns, channels = ops.shape(blocks)
    cells = ops.reshape(blocks, (-1, rows, 1, columns, 1, channels))
    cells = ops.broadcast_to(cells, (count, rows, pool_size, columns, pool_size, channels))
    cells = ops.reshape(cells, (-1, rows * pool_size, columns * pool_size, channels))
    spare = height - rows * pool_size, width - columns * pool_size
    return ops.pad(cells, [(0, 0), (0, spare[0]), (0, spare[1]), (0, 0)]) if any(spare) else cells


def _upstream(args, upstream):
    """The gradient that reaches a custom one: TensorFlow and JAX hand it over by position, PyTorch by name."""
    return args[0] if upstream is None else upstream
