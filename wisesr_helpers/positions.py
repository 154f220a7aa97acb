"""Positions of a feature map: its blocks, their distance from the centre, and which weight every cell has."""

import dataclasses
import functools
import numbers

import numpy as np

COVERS = ("blocks", "exact")
SHARINGS = (None, "radial")


def is_whole(value, least=1):
    """Whether a value is a whole number, Python's or NumPy's but no bool, of at least ``least``."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least


def default_pool_size(side):
    """The paper's rule for the window of the pre-averaging (section 2.4).

    Args:
        side: Shorter side of the feature map, in cells.

    Returns:
        The smallest p ≥ 2 with ``side // p <= 5``: 7 → 2 (a 3×3 kernel), 16 → 3 (5×5).
    """
    pool_size = 2
    while side // pool_size > 5:
        pool_size += 1
    return pool_size


def check_pool_size(pool_size, height, width):
    """Resolve ``pool_size=None`` by the paper's rule and refuse a window larger than the map.

    Args:
        pool_size: Side of the window in cells, or None for :func:`default_pool_size`.
        height: Height of the feature map in cells.
        width: Width of the feature map in cells.

    Returns:
        The side of the window, an int.

    Raises:
        ValueError: ``pool_size`` is no whole number from 1 to the map's shorter side.
    """
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
    """Refuse a way to lay a kernel on a map that there is none of.

    Args:
        cover: One of ``COVERS``.
        sharing: One of ``SHARINGS``.

    Raises:
        ValueError: Another value; the valid ones are listed.
    """
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


def _squared_distances(rows, columns):
    """Of every block of a kernel from the kernel's centre, in blocks: array (rows, columns)."""
    y, x = (np.arange(count) - (count - 1) / 2 for count in (rows, columns))
    return y[:, None] ** 2 + x**2  # multiples of 1/4, so equal ones are equal to the last bit


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """How the weights of a kernel lie on a feature map.

    Attributes:
        height: Of the map, in cells.
        width: Of the map, in cells.
        rows: Height of each row of blocks, in cells.
        columns: Width of each column of blocks, in cells.
        numbers: Array (rows, columns): which weight each block has, counted from 0.
    """

    height: int
    width: int
    rows: tuple
    columns: tuple
    numbers: np.ndarray

    @property
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


def lay_out(height, width, window, cover="blocks", sharing=None):
    """Lay a kernel on a feature map.

    Args:
        height: Of the map, in cells.
        width: Of the map, in cells.
        window: Side of a block in cells, as :func:`check_pool_size` returns it.
        cover: As for :func:`block_sides`.
        sharing: None (default): every block has a weight of its own, numbered row by row. "radial" (the project's
            own): blocks at one distance from the kernel's centre share one, numbered from the centre outwards.

    Returns:
        Layout.

    Raises:
        ValueError: As :func:`check_layout`.
    """
    check_layout(cover, sharing)
    rows, columns = (block_sides(length, window, cover) for length in (height, width))
    shape = len(rows), len(columns)
    numbers = np.arange(shape[0] * shape[1])
    if sharing == "radial":
        numbers = np.unique(_squared_distances(*shape), return_inverse=True)[1]
    return Layout(height, width, rows, columns, numbers.reshape(shape))
