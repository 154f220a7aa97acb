"""Ways to make a feature map smaller before the learned weights: those of section 3.4, "Methods that didn't work".

What the paper leaves open is decided here. Interpolation is that of ``tf.image.resize`` with its defaults, the likely
tool of authors who work with TensorFlow: centres of cells half a cell in, no anti-aliasing, cubic kernel with
a = −0.5; "area" averages what lies under an output cell, parts of cells by their share. Strides are those of the
pre-averaging alone. Cells are padded before averaging and count as cells.
"""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import check_reduction, whole_pool_size
from wisesr_helpers.layers.blocks import check_pool_size
from wisesr_helpers.layers.pooling import PACKAGE, START, check_channels_last, check_known_shape, check_map, wide

ops = keras.ops


def reduction_layer(pool_size, reduction="average", padding="none", strides=0):
    """The layer that makes a feature map smaller, named "reduction": (N, H, W, C) → (N, h, w, C).

    Args:
        pool_size: Side p of a block in cells.
        reduction: "average" (default); "bilinear", "bicubic", "nearest" or "area" interpolation to ⌊H/p⌋ × ⌊W/p⌋;
            or "depthwise", a depthwise convolution of kernel p and stride p with the start, the non-negative weights
            and the bias of the head's own (sections 2.4 and 3.4).
        padding: "none" (default), "zeros" or "ones" around a map that is averaged; see :class:`FixedReduction2D`.
        strides: Cells from one averaged block to the next; default 0: p.

    Raises:
        ValueError: An unknown value, padding or strides without averaging, a stride larger than the block, or padding
            around blocks of one cell.
    """
    check_reduction(reduction, padding, strides, pool_size)
    if reduction != "depthwise":
        return FixedReduction2D(pool_size, reduction, padding, strides, name="reduction")
    return keras.layers.DepthwiseConv2D(
        pool_size,
        strides=pool_size,
        depthwise_initializer=keras.initializers.RandomNormal(**START),
        depthwise_constraint="non_neg",
        data_format="channels_last",
        name="reduction",
    )


@keras.saving.register_keras_serializable(package=PACKAGE)
class FixedReduction2D(keras.layers.Layer):
    """Average or interpolate a feature map to a smaller one; nothing is learned (section 3.4).

    Every output is a fixed weighted sum of cells, and the weights are a product of one for the row and one for the
    column: the layer multiplies rows and columns with two constant matrices.

    Args:
        pool_size: Side p of a block in cells.
        reduction: "average" (default), "bilinear", "bicubic", "nearest" or "area"; interpolations give
            ⌊H/p⌋ × ⌊W/p⌋ cells.
        padding: "none" (default): rows and columns that fill no block are dropped. "zeros" or "ones": they are filled
            up with as many rows and columns of that number as the last block lacks, half of them before the map
            (an odd one goes behind it); a map that leaves nothing over gets as many as one more block takes, at least
            one on either side. 7 cells in blocks of 2 become 0 + 7 + 1, 16 in blocks of 3 become 1 + 16 + 1, 8 in
            blocks of 2 become 1 + 8 + 1.
        strides: Cells from one block to the next, at most p; default 0: p.

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height and width must be known.

    Output shape:
        4D tensor ``(batch_size, rows, columns, channels)``; with neither padding nor strides
        ``(batch_size, height // pool_size, width // pool_size, channels)``.

    Raises:
        ValueError: As :func:`reduction_layer`; or the input is not 4D, its height, width or channels are unknown, it
            is smaller than a block, or Keras is set to channels first.
    """

    def __init__(self, pool_size, reduction="average", padding="none", strides=0, **kwargs):
        check_reduction(reduction, padding, strides, pool_size)
        if reduction == "depthwise":
            raise ValueError(
                "reduction='depthwise' has weights to learn and is not fixed; reduction_layer makes its layer."
            )
        super().__init__(**kwargs)
        check_channels_last(self)
        self.pool_size = whole_pool_size(pool_size)
        self.reduction = reduction
        self.padding = padding
        self.strides = int(strides)

    def build(self, input_shape):
        check_known_shape(self, input_shape)
        _, height, width, _ = input_shape
        check_pool_size(self.pool_size, height, width)
        self.input_spec = keras.InputSpec(shape=(None, height, width, None))
        rows, columns = self._matrix(height), self._matrix(width)
        self.rows, self.columns = rows.astype(np.float32), columns.astype(np.float32)  # (h, H), (w, W)
        beside = 1 - np.outer(rows.sum(axis=1), columns.sum(axis=1))  # how much of each block lies beside the map
        self.constant = beside[..., None].astype(np.float32) if self.padding == "ones" else None  # (h, w, 1)

    def _matrix(self, side):
        if self.reduction == "average":
            return averaging_matrix(side, self.pool_size, self.strides or self.pool_size, self.padding != "none")
        return interpolation_matrix(side, side // self.pool_size, self.reduction)

    def call(self, inputs):
        inputs = ops.cast(check_map(self, inputs), wide(self))
        (h, height), (w, width) = self.rows.shape, self.columns.shape
        channels = ops.shape(inputs)[3]
        rows, columns = (ops.cast(matrix, inputs.dtype) for matrix in (self.rows, self.columns))
        x = ops.matmul(rows, ops.reshape(inputs, (-1, height, width * channels)))  # (N, h, W·C)
        x = ops.matmul(columns, ops.reshape(x, (-1, width, channels)))  # (N·h, w, C)
        x = ops.reshape(x, (-1, h, w, channels))
        x = x if self.constant is None else x + ops.cast(self.constant, x.dtype)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        check_known_shape(self, input_shape)
        batch, height, width, channels = input_shape
        return (batch, len(self._matrix(height)), len(self._matrix(width)), channels)

    def count_flops(self, input_shape):
        """Operations for one image: a block's size per output, or the multiply-adds of both matrix products, 2 each."""
        _, height, width, channels = input_shape
        _, h, w, _ = self.compute_output_shape(input_shape)
        if self.reduction == "average":
            return self.pool_size**2 * h * w * channels
        return 2 * h * width * (height + w) * channels

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "reduction": self.reduction,
            "padding": self.padding,
            "strides": self.strides,
        }


def cell_weights(layer, weights, height, width):
    """Weights (h, w, C) of a reduction's outputs as weights (height, width, C) of the map's cells; NumPy arrays.

    The layer is a built :class:`FixedReduction2D`, or ``DepthwiseConv2D`` with a stride of its kernel's size, unpadded.
    Cells that no output reads have 0; what padding adds has no part in it.
    """
    if isinstance(layer, FixedReduction2D):
        return np.einsum("hH,hwc,wW->HWc", layer.rows, weights, layer.columns, optimize=True).astype(weights.dtype)
    kernel = ops.convert_to_numpy(layer.kernel)[..., 0]  # (p, q, C)
    (p, q), (h, w, channels) = layer.kernel_size, weights.shape
    windows = weights[:, None, :, None] * kernel[None, :, None]  # (h, p, w, q, C)
    spare = (0, height - h * p), (0, width - w * q), (0, 0)
    return np.pad(windows.reshape(h * p, w * q, channels), spare)


def averaging_matrix(side, pool_size, strides, padded=False):
    """Averages of blocks along one axis as an array (blocks, side); cells that are padded have no column."""
    spare = (side - pool_size) % strides
    # A stride of 1 leaves nothing over and would ask for one cell; it takes two for one on either side.
    added = (strides - spare if spare else max(strides, 2)) if padded else 0
    before = added // 2
    blocks = (side + added - pool_size) // strides + 1
    first = np.arange(blocks)[:, None] * strides - before
    cells = np.arange(side)
    return ((first <= cells) & (cells < first + pool_size)) / pool_size


def interpolation_matrix(side, size, reduction):
    """Interpolation of ``side`` cells along one axis to ``size``, as an array (size, side) whose rows sum to 1."""
    scale = side / size
    out, cells = np.arange(size)[:, None], np.arange(side)
    if reduction == "nearest":
        return (cells == np.floor((out + 0.5) * scale)) * 1.0
    if reduction == "area":
        under = np.minimum(cells + 1, (out + 1) * scale) - np.maximum(cells, out * scale)
        return np.maximum(under, 0) / scale
    centre = (out + 0.5) * scale - 0.5
    distance = np.abs(centre - cells)
    if reduction == "bilinear":
        weights = np.maximum(1 - distance, 0)
    else:  # Keys' cubic convolution with a = -0.5
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weights = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)  # at the border, cells that aren't there have no share
