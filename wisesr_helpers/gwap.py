"""Global weighted average pooling: the two things that go by that name, each as a layer."""

import math

from wisesr_helpers._keras import keras
from wisesr_helpers.layers import PACKAGE, PositionPooling2D, check_known_shape

ops = keras.ops


def weighted_sum(features, weights):
    """Sum a feature map over its positions with one weight a position.

    Args:
        features: Tensor (N, H, W, C), height and width known.
        weights: Tensor (N or 1, H, W, 1).

    Returns:
        Tensor (N, C).
    """
    positions = math.prod(features.shape[1:3])
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
        check_known_shape(self, input_shape)
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[3], 1), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def position_weights(self, inputs):
        """The weight of every position of every image: (N, H, W, 1), summing to 1 an image."""
        scores = ops.sigmoid(ops.matmul(inputs, self.kernel) + self.bias)  # (N, H, W, 1)
        weights = ops.softmax(ops.reshape(scores, (-1, math.prod(scores.shape[1:]))), axis=1)  # (N, H·W)
        return ops.reshape(weights, (-1, *scores.shape[1:]))

    def call(self, inputs):
        return weighted_sum(inputs, self.position_weights(inputs))

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
        check_known_shape(self, input_shape)
        _, height, width, _ = input_shape
        start = keras.initializers.Constant(1 / (height * width))
        self.kernel = self.add_weight(name="kernel", shape=(height, width), initializer=start)

    def call(self, inputs):
        return weighted_sum(inputs, ops.expand_dims(self.kernel, (0, 3)))

    def count_flops(self, input_shape):
        """Operations for one image: the weighted sum."""
        return 2 * math.prod(input_shape[1:])
