"""Blocks of a feature map, and weighted sums of them: the arithmetic behind the pooling layers."""

import numpy as np

from wisesr_helpers._keras import keras

ops = keras.ops


def average_blocks(features, pool_size):
    """Average blocks of a feature map; rows and columns that fill no block are dropped.

    ``AveragePooling2D`` with a gradient of its own: every cell gets its block's, divided by the block's
    size. XLA's gradient of the pooling takes several times as long on a CPU.

    Args:
        features: Tensor (N, H, W, C), height and width known.
        pool_size: Side of a block in cells.

    Returns:
        Tensor (N, H // pool_size, W // pool_size, C).
    """
    if pool_size == 1:
        return features
    height, width = features.shape[1:3]

    @ops.custom_gradient
    def pool(x):
        def backward(*args, upstream=None):
            return _spread(_upstream(args, upstream) / pool_size**2, pool_size, height, width)

        return ops.average_pool(x, pool_size, strides=pool_size, padding="valid"), backward

    return pool(features)


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


def spread_blocks(weights, pool_size, height, width):
    """Weights of averaged blocks as weights of the cells under them; cells that fill no block have 0.

    Args:
        weights: NumPy array (height // pool_size, width // pool_size, …).
        pool_size: Side of a block in cells.
        height: Of the feature map, in cells.
        width: Of the feature map, in cells.

    Returns:
        NumPy array (height, width, …).
    """
    cells = np.zeros((height, width, *weights.shape[2:]), weights.dtype)
    spread = (weights / pool_size**2).repeat(pool_size, axis=0).repeat(pool_size, axis=1)
    cells[: spread.shape[0], : spread.shape[1]] = spread
    return cells


def cell_weights(weights, layout):
    """Weights of a kernel as weights of the cells under them; cells in no block have 0.

    Args:
        weights: Tensor (``layout.count``, C).
        layout: :class:`wisesr_helpers.positions.Layout`.

    Returns:
        Tensor (H, W, C, 1), the kernel of :func:`global_depthwise_pool` that averages nothing.
    """
    of_cells = weights / ops.cast(layout.sizes[:, None], weights.dtype)  # (count, C)
    of_cells = ops.pad(of_cells, [(0, 1), (0, 0)])  # the number beyond the last: of the cells in no block
    return ops.expand_dims(ops.take(of_cells, layout.cells, axis=0), -1)


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
    """
    height, width = features.shape[1:3]
    rows, columns, channels, _ = kernel.shape

    @ops.custom_gradient
    def pool(x, weights):  # (N, H, W, C), (h·w, C)
        blocks = x if pool_size == 1 else ops.average_pool(x, pool_size, strides=pool_size, padding="valid")
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
