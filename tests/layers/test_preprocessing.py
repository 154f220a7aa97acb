"""The paper's preprocessing as a layer, against Keras' own."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_equals_keras_on_arrays_and_survives_a_file(mode, tmp_path):
    x = np.random.default_rng(7).integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    expected = keras.applications.imagenet_utils.preprocess_input(x.astype("float32"), mode=mode)
    model = keras.Sequential([keras.Input((4, 5, 3)), ws.layers.ImageNetPreprocessing(mode)])
    np.testing.assert_allclose(model(x), expected, atol=1e-4)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch", "none"])
@pytest.mark.parametrize("size", [(32, 48), (39, 50)])
def test_patches_are_the_preprocessing_and_a_convolution(mode, size, tmp_path):
    x = np.random.default_rng(3).integers(0, 256, (2, *size, 3), dtype="uint8")
    expected = np.float32(x)
    if mode != "none":
        expected = keras.applications.imagenet_utils.preprocess_input(expected, mode=mode)
    model = keras.Sequential([keras.Input((*size, 3)), ws.layers.PatchEmbedding2D(5, 16, mode)])
    (kernel,) = model.get_weights()
    rows, columns = size[0] // 16, size[1] // 16
    patches = np.stack(
        [[expected[:, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16] for c in range(columns)] for r in range(rows)]
    )
    expected = np.einsum("rcnijk,ijkf->nrcf", patches, kernel)
    assert model.output_shape == (None, rows, columns, 5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), expected, atol=1e-4 * np.abs(expected).max())
    convolution = keras.Sequential([keras.Input((*size, 3)), keras.layers.Conv2D(5, 16, strides=16, use_bias=False)])
    assert ws.count_flops(model) == ws.count_flops(convolution)
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in convolution.weights]
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_the_layers_are_registered_under_the_names_that_saved_files_hold():
    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("wisesr_")}
    assert registered == {
        f"wisesr_helpers>{name}" for name in ws.layers.__all__ if isinstance(getattr(ws.layers, name), type)
    }
    assert {"wisesr_helpers>GlobalDepthwisePooling2D", "wisesr_helpers>ImageNetPreprocessing"} <= registered
