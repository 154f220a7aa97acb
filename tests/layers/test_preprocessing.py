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


def test_the_layers_are_registered_under_the_names_that_saved_files_hold():
    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("wisesr_")}
    assert registered == {
        f"wisesr_helpers>{name}" for name in ws.layers.__all__ if isinstance(getattr(ws.layers, name), type)
    }
    assert {"wisesr_helpers>GlobalDepthwisePooling2D", "wisesr_helpers>ImageNetPreprocessing"} <= registered
