"""The paper's preprocessing inside a model: as its first layer, or folded into it."""

import numpy as np

from wisesr_helpers._keras import keras, quiet_stderr
from wisesr_helpers.layers.pooling import PACKAGE

ops = keras.ops


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
        x = ops.cast(inputs, self.compute_dtype)
        if self.mode != "caffe":
            return _preprocess(x, self.mode)
        # The same values as Keras' own, whose reversed indexing takes several times as long on a CPU.
        shift = _preprocess(np.zeros((1, 3), "float32"), "caffe")[0, ::-1]  # minus the mean, in RGB
        return ops.flip(x + ops.cast(shift.copy(), self.compute_dtype), axis=-1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package=PACKAGE)
class PatchEmbedding2D(keras.layers.Layer):
    """:class:`ImageNetPreprocessing`, then a convolution of separate patches, as one product: the same values, sooner.

    Preprocessing is linear in every channel, so it folds into the kernel and leaves the images as they are. On a CPU
    a float copy of a large image costs more than all products of a small network.

    Args:
        filters: Number of output channels.
        patch_size: Side of a patch in pixels; what is left of the image behind the last whole patch is not read.
        mode: "caffe", "tf", "torch" or "none".

    Input shape:
        ``(batch_size, height, width, 3)``, RGB, 0..255; height and width must be known.

    Output shape:
        ``(batch_size, height // patch_size, width // patch_size, filters)``.
    """

    def __init__(self, filters, patch_size, mode="caffe", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.patch_size = patch_size
        self.mode = mode

    def build(self, input_shape):
        # As Conv2D(filters, patch_size, use_bias=False) behind the preprocessing would have it.
        shape = (self.patch_size, self.patch_size, 3, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="glorot_uniform")
        # TensorFlow cuts patches out of the uint8 image and says, once a process, that oneDNN leaves that to Eigen.
        with quiet_stderr():
            ops.transpose(ops.zeros((1, 1), "uint8"))

    def call(self, inputs):
        side = self.patch_size
        _, rows, columns, filters = self.compute_output_shape(inputs.shape)
        x = ops.cast(inputs, self.compute_dtype)[:, : rows * side, : columns * side]
        x = ops.transpose(ops.reshape(x, (-1, rows, side, columns, side * 3)), (0, 1, 3, 2, 4))
        x = ops.reshape(x, (-1, rows, columns, side * side * 3))
        kernel, shift = self._of_rgb()
        return ops.matmul(x, ops.reshape(kernel, (-1, filters))) + shift  # (N, rows, columns, filters)

    def _of_rgb(self):
        """The kernel for plain RGB (side, side, 3, filters), and what it adds to every patch (filters,)."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.mode == "none":
            return kernel, ops.zeros(self.filters, self.compute_dtype)
        black, white = (_preprocess(np.full((1, 3), value, "float32"), self.mode)[0] for value in (0, 255))
        shift = ops.sum(kernel * ops.convert_to_tensor(black[:, None], self.compute_dtype), axis=(0, 1, 2))
        kernel = kernel * ops.convert_to_tensor((white - black)[:, None] / 255, self.compute_dtype)
        return ops.flip(kernel, axis=2) if self.mode == "caffe" else kernel, shift

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return batch, height // self.patch_size, width // self.patch_size, self.filters

    def count_flops(self, input_shape):
        """Operations for one image: those of the convolution, 2 per multiply-add."""
        _, rows, columns, filters = self.compute_output_shape(input_shape)
        return 2 * 3 * self.patch_size**2 * rows * columns * filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "patch_size": self.patch_size, "mode": self.mode}


def _preprocess(x, mode):
    return keras.applications.imagenet_utils.preprocess_input(x, data_format="channels_last", mode=mode)
