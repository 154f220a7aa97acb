"""The paper's preprocessing as a model's first layer."""

import numpy as np

from wisesr_helpers._keras import keras
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


def _preprocess(x, mode):
    return keras.applications.imagenet_utils.preprocess_input(x, data_format="channels_last", mode=mode)
