"""Keras layers of the project: the pooling that the heads are made of, and the paper's preprocessing."""

import numpy as np

from wisesr_helpers._keras import keras

ops = keras.ops

PACKAGE = "wisesr_helpers"


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
    if isinstance(pool_size, bool) or not isinstance(pool_size, int) or not 1 <= pool_size <= shorter:
        raise ValueError(
            f"A feature map of {height}×{width} cells takes a pool_size from 1 to {shorter} (a whole number; "
            f"1: no pre-averaging); {reason}. Use a larger image or a smaller pool_size."
        )
    return pool_size


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
    spare = [side % pool_size for side in features.shape[1:3]]

    @ops.custom_gradient
    def pool(x):
        def backward(*args, upstream=None):
            gradient = args[0] if upstream is None else upstream
            gradient = ops.repeat(ops.repeat(gradient / pool_size**2, pool_size, axis=1), pool_size, axis=2)
            return ops.pad(gradient, [(0, 0), (0, spare[0]), (0, spare[1]), (0, 0)]) if any(spare) else gradient

        return ops.average_pool(x, pool_size, strides=pool_size, padding="valid"), backward

    return pool(features)


@keras.saving.register_keras_serializable(package=PACKAGE)
class BlockAveragePooling2D(keras.layers.AveragePooling2D):
    """``AveragePooling2D`` of separate blocks, by :func:`average_blocks`: the same values, a faster gradient under XLA.

    Args:
        pool_size: Side of a block in cells.

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height and width must be known.

    Output shape:
        4D tensor ``(batch_size, height // pool_size, width // pool_size, channels)``.
    """

    def call(self, inputs):
        return average_blocks(inputs, self.pool_size[0])


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


def global_depthwise_pool(features, kernel, bias=None, pool_size=1):
    """Average blocks of a feature map, then take one weighted sum per channel.

    It equals ``AveragePooling2D(pool_size)`` → ``DepthwiseConv2D`` whose kernel covers the whole
    map → ``Flatten``. A convolution that can be placed only once is a weighted sum, and computed as
    one it is several times faster.

    Args:
        features: Tensor (N, H, W, C), height and width known.
        kernel: Tensor (H // pool_size, W // pool_size, C, 1), DepthwiseConv2D's layout.
        bias: Tensor (C,), or None.
        pool_size: Side of the averaged blocks in cells; 1 averages nothing.

    Returns:
        Tensor (N, C).
    """
    height, width, channels, _ = kernel.shape
    blocks = ops.reshape(average_blocks(features, pool_size), (-1, height * width, channels))
    pooled = ops.sum(blocks * ops.reshape(kernel, (height * width, channels)), axis=1)  # (N, C)
    return pooled if bias is None else pooled + bias


@keras.saving.register_keras_serializable(package=PACKAGE)
class GlobalDepthwisePooling2D(keras.layers.Layer):
    """Pool a feature map to one value per channel with a learned weight for every position of it.

    The heart of Wise-SrNet (sections 2.3 and 2.4, Figures 1c, 3c–3f): where global average pooling
    gives every position the weight 1/(H·W), each channel learns its own. The defaults are the
    paper's final design: pre-averaging, N(0, 0.01), non-negative weights, a bias.

    A drop-in for ``keras.layers.GlobalAveragePooling2D``:

    >>> outputs = keras.layers.Dense(67, "softmax")(GlobalDepthwisePooling2D()(backbone.output))

    A saved model loads with ``keras.models.load_model`` once ``wisesr_helpers.layers`` is imported.

    Weights have the names, shapes and order of ``DepthwiseConv2D(depth_multiplier=1)``:
    ``depthwise_kernel`` (H // p, W // p, C, 1), then ``bias`` (C,).

    Args:
        pool_size: Side p of the averaged blocks in cells. None: the paper's rule, the smallest
            p ≥ 2 with side // p ≤ 5. 1: no pre-averaging (Figures 3c and 3d).
        use_bias: Whether a bias is added per channel. Default True.
        depthwise_initializer: Default N(0, 0.01) (Tables 4 and 8).
        bias_initializer: Default "zeros" (Tables 4 and 8).
        depthwise_regularizer: Default None.
        bias_regularizer: Default None.
        depthwise_constraint: Default "non_neg" (section 2.4); None lifts it.
        bias_constraint: Default None.

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height and width must be known.

    Output shape:
        2D tensor ``(batch_size, channels)``.

    Raises:
        ValueError: The input is not 4D, its height, width or channels are unknown, or it is smaller
            than the window.
    """

    def __init__(
        self,
        pool_size=None,
        use_bias=True,
        depthwise_initializer=None,
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        depthwise_constraint="non_neg",
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if depthwise_initializer is None:
            depthwise_initializer = keras.initializers.RandomNormal(mean=0.0, stddev=0.01)
        self.pool_size = pool_size
        self.use_bias = use_bias
        self.depthwise_initializer = keras.initializers.get(depthwise_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.depthwise_regularizer = keras.regularizers.get(depthwise_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.depthwise_constraint = keras.constraints.get(depthwise_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)

    def build(self, input_shape):
        if len(input_shape) != 4 or None in tuple(input_shape[1:]):
            raise ValueError(
                "GlobalDepthwisePooling2D learns a weight for every position, so it needs an input (batch, height, "
                f"width, channels) with all but the batch known; received {tuple(input_shape)}. "
                "Give the model an input of fixed size."
            )
        _, height, width, channels = input_shape
        self.window = check_pool_size(self.pool_size, height, width)
        self.kernel = self.add_weight(
            name="depthwise_kernel",
            shape=(height // self.window, width // self.window, channels, 1),
            initializer=self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(channels,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs):
        return global_depthwise_pool(inputs, self.kernel, self.bias, self.window)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[3])

    def count_flops(self, input_shape):
        """Operations for one image: the averaging of blocks, the weighted sum, and the bias."""
        height, width, channels, _ = self.kernel.shape
        blocks = height * width * channels
        averaging = self.window**2 * blocks if self.window > 1 else 0
        return averaging + 2 * blocks + (channels if self.use_bias else 0)

    def position_weights(self, height, width):
        """The weight of every cell of the map, (H, W, C), as a NumPy array; see :func:`spread_blocks`."""
        return spread_blocks(ops.convert_to_numpy(self.kernel)[..., 0], self.window, height, width)

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "use_bias": self.use_bias,
            "depthwise_initializer": keras.initializers.serialize(self.depthwise_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "depthwise_regularizer": keras.regularizers.serialize(self.depthwise_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "depthwise_constraint": keras.constraints.serialize(self.depthwise_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class ImageNetPreprocessing(keras.layers.Layer):
    """The preprocessing of ``keras.applications`` as a model's first layer, so that models take plain RGB.

    Args:
        mode: "caffe" (RGB → BGR, minus ImageNet's mean per channel; the paper's Table 3), "tf"
            (−1..1) or "torch" (0..1, minus mean, over standard deviation).

    Input shape:
        ``(batch_size, height, width, 3)``, RGB, 0..255.

    Output shape:
        The same, floating point.
    """

    def __init__(self, mode="caffe", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, inputs):
        return keras.applications.imagenet_utils.preprocess_input(
            ops.cast(inputs, self.compute_dtype), data_format="channels_last", mode=self.mode
        )

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
