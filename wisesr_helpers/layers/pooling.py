"""The poolings that the heads are made of, as Keras layers."""

import math

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import COVERS, whole_pool_size
from wisesr_helpers.layers.blocks import average_blocks, check_layout, global_depthwise_pool, lay_out

ops = keras.ops

PACKAGE = "wisesr_helpers"

START = {"mean": 0.0, "stddev": 0.01}  # normal distribution of the first weights (Tables 4 and 8, the authors' README)


@keras.saving.register_keras_serializable(package=PACKAGE)
class BlockAveragePooling2D(keras.layers.AveragePooling2D):
    """``AveragePooling2D`` of separate blocks, by :func:`average_blocks`: the same values, a faster gradient under XLA.

    Under half precision the sums are made in float32.

    Args:
        pool_size: Side of a block in cells.

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height and width must be known.

    Output shape:
        4D tensor ``(batch_size, height // pool_size, width // pool_size, channels)``.
    """

    def call(self, inputs):
        side = self.pool_size[0]
        blocks = (self.pool_size, self.strides, self.padding, self.data_format)
        if blocks != ((side, side), (side, side), "valid", "channels_last") or None in tuple(inputs.shape[1:]):
            return super().call(inputs)
        return ops.cast(average_blocks(ops.cast(inputs, wide(self)), side), self.compute_dtype)


def check_channels_last(layer, data_format=None):
    """ValueError unless ``data_format``, by Keras' own setting for None, is "channels_last"."""
    origin = "keras.config.image_data_format()" if data_format is None else "data_format"
    data_format = data_format or keras.config.image_data_format()
    if data_format != "channels_last":
        raise ValueError(
            f"{type(layer).__name__} takes feature maps with their channels last, but {origin} is {data_format!r}; "
            "valid is 'channels_last': call keras.config.set_image_data_format('channels_last') before the model is "
            "built."
        )


def check_known_shape(layer, input_shape):
    """ValueError unless the shape is (N, H, W, C) and known but for the batch."""
    name = type(layer).__name__
    if len(input_shape) != 4:
        raise ValueError(
            f"{name} takes feature maps, 4D (batch, height, width, channels); received {tuple(input_shape)}. Put it "
            "behind the last convolution, before anything flattens or averages; one map is features[None]."
        )
    if None in tuple(input_shape[1:]):
        raise ValueError(
            f"{name} gives every position a weight, so it needs an input (batch, height, width, channels) with all but "
            f"the batch known; received {tuple(input_shape)}. Give the model an input of fixed size."
        )


def check_map(layer, inputs):
    """The inputs; an error unless they have the map that the layer was built for.

    Keras checks ``input_spec``, too, but neither where a wrapper calls ``layer.call`` nor where a side is unknown
    while TensorFlow traces; then the check is part of the graph.
    """
    expected, received = layer.input_spec.shape, tuple(inputs.shape)
    if None in received[1:] and keras.backend.backend() == "tensorflow" and not keras.utils.is_keras_tensor(inputs):
        import tensorflow as tf

        return tf.ensure_shape(inputs, expected)
    if len(received) != 4 or any(own not in (None, side) for own, side in zip(expected, received, strict=True)):
        raise ValueError(
            f"'{layer.name}' was built for feature maps {expected} and gives every position a weight; received "
            f"{received}. Give it maps of that size, or make a new layer for these."
        )
    return inputs


def wide(layer):
    """The dtype that a layer computes in: its own, or float32 where that is half precision."""
    return keras.backend.result_type(layer.compute_dtype, "float32")


class PositionPooling2D(keras.layers.Layer):
    """What the poolings with weights by position share: (batch_size, height, width, channels) in, one vector out.

    Under half precision the weights are kept, and the sums made, in float32, as ``GlobalAveragePooling2D`` sums.

    Args:
        data_format: None (default) or "channels_last".
        keepdims: Whether the output is ``(batch_size, 1, 1, channels)``; default False: ``(batch_size, channels)``.

    Raises:
        ValueError: Another ``data_format``, or Keras is set to channels first and it isn't given.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        check_channels_last(self, data_format)
        self.keepdims = bool(keepdims)

    def build(self, input_shape):
        check_known_shape(self, input_shape)
        self.input_spec = keras.InputSpec(shape=(None, *input_shape[1:]))

    def add_weight(self, *args, **kwargs):
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        return super().add_weight(*args, dtype=dtype, autocast=False, **kwargs)

    def call(self, inputs):
        pooled = ops.cast(self.pool(ops.cast(check_map(self, inputs), wide(self))), self.compute_dtype)  # (N, C)
        return ops.expand_dims(pooled, (1, 2)) if self.keepdims else pooled

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(1, 1) * self.keepdims, input_shape[3])

    def check_built(self):
        """ValueError unless the layer has its weights."""
        if not self.built:
            raise ValueError(
                f"'{self.name}' has no weights yet: call it on a feature map, or layer.build((None, height, width, "
                "channels)), first."
            )

    def get_config(self):
        return {**super().get_config(), "data_format": "channels_last", "keepdims": self.keepdims}


@keras.saving.register_keras_serializable(package=PACKAGE)
class GlobalDepthwisePooling2D(PositionPooling2D):
    """Pool a feature map to one value per channel with a learned weight for every position of it.

    The heart of Wise-SrNet (sections 2.3 and 2.4, Figures 1c, 3c–3f): where global average pooling
    gives every position the weight 1/(H·W), each channel learns its own. The defaults are the
    paper's final design: pre-averaging, a start near zero, non-negative weights, a bias.

    A drop-in for ``keras.layers.GlobalAveragePooling2D``:

    >>> pooled = GlobalDepthwisePooling2D()(backbone.output)
    >>> outputs = keras.layers.Dense(67, "softmax")(pooled)

    Its weights start near zero, as the paper's; with ``depthwise_initializer="average", cover="exact"`` it starts as
    the average. A saved model loads with ``keras.models.load_model`` after ``import wisesr_helpers.layers``.

    Weights have the names, shapes and order of ``DepthwiseConv2D(depth_multiplier=1)``:
    ``depthwise_kernel`` (H // p, W // p, C, 1), then ``bias`` (C,). With ``sharing="radial"`` the first is
    ``radial_kernel`` (distances, C), the centre's first. A file of weights says which ``cover`` they belong to, where
    that makes a difference; a layer of the other one refuses it.

    The project's own and not the paper's are ``depthwise_initializer="average"``, ``cover="exact"`` and
    ``sharing="radial"``; each goes with each, and with every ``pool_size``.

    Args:
        pool_size: Side p of the averaged blocks in cells, or (p, p). None: the paper's rule, the smallest
            p ≥ 2 with side // p ≤ 5. 1: no pre-averaging (Figures 3c and 3d).
        use_bias: Whether a bias is added per channel. Default True.
        depthwise_initializer: Default None: the paper's normal distribution (Tables 4 and 8), ``START``.
            "average": the weights with which the layer is the mean of all cells that it covers; where it covers
            every cell, and the bias is 0, it starts as ``GlobalAveragePooling2D``.
        bias_initializer: Default "zeros" (Tables 4 and 8).
        depthwise_regularizer: Default None.
        bias_regularizer: Default None.
        depthwise_constraint: Default "non_neg" (section 2.4); None lifts it.
        bias_constraint: Default None.
        cover: "blocks" (default, the paper's): separate blocks of p×p cells; rows and columns that fill none are
            dropped. "exact": as many blocks, of nearly equal sides, that leave no cell out
            (:func:`wisesr_helpers.layers.blocks.block_sides`).
        sharing: None (default): every block has its own weight. "radial": a channel has one weight for each distance
            of a block from the kernel's centre, 6 for 5×5 blocks and 3 for 3×3. Initialiser, regulariser and
            constraint are those weights'. Blocks of several sizes that share one give all their cells the same.
        activation: Of the pooled vector, the bias added. Default None (section 2.4).
        data_format: None (default) or "channels_last", so that a ``GlobalAveragePooling2D``'s configuration is taken.
        keepdims: As there; default False.

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height and width must be known. A built layer takes maps
        of its own size only.

    Output shape:
        2D tensor ``(batch_size, channels)``; with ``keepdims``, 4D ``(batch_size, 1, 1, channels)``.

    Raises:
        ValueError: The input is not 4D, its height, width or channels are unknown, it is smaller than the
            window, or not of the size that the layer was built for; another ``pool_size``, ``cover``, ``sharing`` or
            ``data_format``, or Keras is set to channels first.
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
        cover="blocks",
        sharing=None,
        activation=None,
        **kwargs,
    ):
        check_layout(cover, sharing)
        super().__init__(**kwargs)
        if depthwise_initializer is None:
            depthwise_initializer = keras.initializers.RandomNormal(**START)
        elif depthwise_initializer is keras.layers.average:  # what Keras' reader of .h5 files makes of the word
            depthwise_initializer = "average"
        self.pool_size = None if pool_size is None else whole_pool_size(pool_size)
        self.use_bias = use_bias
        self.starts_as_average = isinstance(depthwise_initializer, str) and depthwise_initializer == "average"
        self.depthwise_initializer = (
            depthwise_initializer if self.starts_as_average else keras.initializers.get(depthwise_initializer)
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.depthwise_regularizer = keras.regularizers.get(depthwise_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.depthwise_constraint = keras.constraints.get(depthwise_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.cover = cover
        self.sharing = sharing
        self.activation = keras.activations.get(activation)

    def lay_out(self, height, width):
        """How the kernel lies on a map of that size: :class:`wisesr_helpers.layers.blocks.Layout`."""
        return lay_out(height, width, self.pool_size, self.cover, self.sharing)

    def build(self, input_shape):
        super().build(input_shape)
        _, height, width, channels = input_shape
        self.layout = self.lay_out(height, width)
        radial = self.sharing == "radial"
        self.kernel = self.add_weight(
            name="radial_kernel" if radial else "depthwise_kernel",
            shape=(self.layout.count, channels) if radial else (*self.layout.numbers.shape, channels, 1),
            initializer=self._average if self.starts_as_average else self.depthwise_initializer,
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

    def _average(self, shape, dtype=None):
        """The kernel with which the layer is the mean of the cells that it covers."""
        start = self.layout.averaging.repeat(shape[-1 if self.sharing else -2])
        return ops.convert_to_tensor(start.reshape(shape), dtype)

    def pool(self, features):
        """(N, H, W, C) → (N, C)."""
        layout = self.layout
        if self.sharing is None and {*layout.rows, *layout.columns} == {layout.window}:
            pooled = global_depthwise_pool(features, self.kernel, self.bias, layout.window)
        else:
            cells = ops.expand_dims(self._cell_weights(), -1)  # (H, W, C, 1)
            pooled = global_depthwise_pool(features, cells, self.bias)
        return self.activation(pooled)

    def _cell_weights(self):
        return self.layout.cell_weights(ops.reshape(self.kernel, (self.layout.count, -1)))  # (H, W, C)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.built and (self.layout.height % self.layout.window or self.layout.width % self.layout.window):
            store["cover"] = np.array(COVERS.index(self.cover))

    def load_own_variables(self, store):
        saved = {name: store[name] for name in sorted(store.keys())}
        cover = COVERS[int(saved.pop("cover", COVERS.index(self.cover)))]
        if cover != self.cover:
            raise ValueError(
                f"These weights are of a layer with cover={cover!r}, and '{self.name}' has cover={self.cover!r}: make "
                "it with the same, or use its set_weights if that is meant."
            )
        super().load_own_variables(saved)

    def count_flops(self, input_shape):
        """Operations for one image: the averaging of blocks, the weighted sum of them, and the bias."""
        _, height, width, channels = input_shape
        layout = self.lay_out(height, width)
        averaging = layout.covered * channels if layout.window > 1 else 0
        return averaging + 2 * layout.numbers.size * channels + (channels if self.use_bias else 0)

    def position_weights(self, height, width):
        """The weight of every cell of the map, (H, W, C), as a NumPy array; cells in no block have 0.

        ValueError where the layer isn't built, or was for a map of another size.
        """
        self.check_built()
        if (height, width) != (self.layout.height, self.layout.width):
            raise ValueError(
                f"'{self.name}' has weights for a map of {self.layout.height}×{self.layout.width} cells; received "
                f"{height}×{width}."
            )
        return ops.convert_to_numpy(self._cell_weights())

    def get_config(self):
        initializer = self.depthwise_initializer
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "use_bias": self.use_bias,
            "depthwise_initializer": (
                initializer if self.starts_as_average else keras.initializers.serialize(initializer)
            ),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "depthwise_regularizer": keras.regularizers.serialize(self.depthwise_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "depthwise_constraint": keras.constraints.serialize(self.depthwise_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "cover": self.cover,
            "sharing": self.sharing,
            "activation": keras.activations.serialize(self.activation),
        }


def weighted_sum(features, weights):
    """Sum of a feature map with a weight for every position: (N, H, W, C), (N or 1, H, W, 1) → (N, C)."""
    height, width = ops.shape(features)[1:3]
    positions = height * width
    rows = ops.reshape(weights, (-1, 1, positions))  # (N or 1, 1, H·W)
    columns = ops.reshape(features, (-1, positions, features.shape[3]))  # (N, H·W, C)
    return ops.matmul(rows, columns)[:, 0]


@keras.saving.register_keras_serializable(package=PACKAGE)
class GlobalWeightedAveragePooling2D(PositionPooling2D):
    """Average a feature map with weights that are computed from the features themselves.

    The class-agnostic module of Qiu (2018, "Global Weighted Average Pooling Bridges Pixel-level
    Localization and Image-level Classification"), which the paper cites for GWAP: a 1×1 convolution scores
    every position, a sigmoid bounds the scores, and a softmax over the positions makes weights of them. An
    image has one weight a position, the same for all channels.

    Weights: ``kernel`` (C, 1), then ``bias`` (1,).

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; height, width and channels must be known.

    Output shape:
        2D tensor ``(batch_size, channels)``.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = keras.InputSpec(shape=(None, None, None, input_shape[3]))  # no weight belongs to a position
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[3], 1), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def position_weights(self, inputs):
        """The weight of every position of every image: (N, H, W, 1), summing to 1 an image."""
        self.check_built()
        scores = ops.sigmoid(ops.matmul(inputs, self.kernel) + self.bias)  # (N, H, W, 1)
        height, width = ops.shape(scores)[1:3]
        weights = ops.softmax(ops.reshape(scores, (-1, height * width)), axis=1)  # (N, H·W)
        return ops.reshape(weights, (-1, height, width, 1))

    def pool(self, features):
        return weighted_sum(features, self.position_weights(features))

    def count_flops(self, input_shape):
        """Operations for one image: the 1×1 convolution with its bias, and the weighted sum."""
        return 4 * math.prod(input_shape[1:]) + math.prod(input_shape[1:3])


@keras.saving.register_keras_serializable(package=PACKAGE)
class SharedPositionPooling2D(PositionPooling2D):
    """Sum a feature map with one learned matrix of weights, the same for all channels and images.

    GWAP as the paper describes it (section 2.3, Figure 1b). It starts as global average pooling, every weight
    1/(H·W), and nothing bounds or normalises the weights afterwards; the paper says neither.

    Weights: ``kernel`` (H, W).

    Input shape:
        4D tensor ``(batch_size, height, width, channels)``; all but the batch must be known.

    Output shape:
        2D tensor ``(batch_size, channels)``.
    """

    def build(self, input_shape):
        super().build(input_shape)
        _, height, width, _ = input_shape
        start = keras.initializers.Constant(1 / (height * width))
        self.kernel = self.add_weight(name="kernel", shape=(height, width), initializer=start)

    def pool(self, features):
        return weighted_sum(features, ops.expand_dims(self.kernel, (0, 3)))

    def count_flops(self, input_shape):
        """Operations for one image: the weighted sum."""
        return 2 * math.prod(input_shape[1:])
