"""Backbones: names, shapes, preprocessing, and what they refuse."""

import urllib.error
import warnings

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.preprocessing import ImageNetPreprocessing
from wisesr_helpers.models import backbones


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("small_patch", 512, (16, 16, 96)),
        ("small_conv", 512, (16, 16, 96)),
        ("small_patch", (224, 330), (7, 10, 96)),
    ],
)
def test_feature_maps(name, size, shape):
    """Those of the paper's networks are in test_counts.py."""
    assert ws.build_backbone(name, image_size=size).output_shape[1:] == shape


def test_small_patch_sees_separate_patches():
    model = ws.build_backbone("small_patch", image_size=128)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 128, 128, 3)).astype("float32")
    changed = image.copy()
    changed[0, 32:64, 64:96] = rng.integers(0, 256, (32, 32, 3))
    differs = (np.asarray(model(image)) != np.asarray(model(changed))).any(axis=-1)[0]
    expected = np.zeros((4, 4), bool)
    expected[1, 2] = True
    np.testing.assert_array_equal(differs, expected)


@pytest.mark.parametrize("name", backbones.GROWING)
def test_between_the_small_ones_a_cell_sees_one_ring_of_neighbours_more(name):
    model = ws.build_backbone(name, image_size=288)  # 9×9 cells
    image = np.random.default_rng(0).integers(0, 255, (1, 288, 288, 3)).astype("float32")
    changed = image.copy()
    changed[:, 128:160, 128:160] = 0  # the middle cell
    moved = np.abs(model.predict_on_batch(image) - model.predict_on_batch(changed)).max(axis=(0, 3)) > 0
    side = int(name[-1])
    expected = np.zeros((9, 9), bool)
    expected[(9 - side) // 2 : (9 + side) // 2, (9 - side) // 2 : (9 + side) // 2] = True
    assert not moved[~expected].any()
    assert moved[(9 - side) // 2].any()  # up to its edge


def test_small_conv_sees_neighbours():
    model = ws.build_backbone("small_conv", image_size=256)
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3)).astype("float32")
    changed = image.copy()
    changed[0, 96:128, 96:128] = 0
    differs = (np.asarray(model(image)) != np.asarray(model(changed))).any(axis=-1)[0]
    assert differs.sum() > 4


def test_preprocessing_is_caffe_unless_the_backbone_normalises_itself():
    assert backbones.preprocessing_mode("MobileNet") == "caffe"
    assert ws.build_backbone("MobileNet", 96).get_layer("preprocessing").mode == "caffe"
    assert "preprocessing" not in [layer.name for layer in ws.build_backbone("EfficientNetB0", 96).layers]
    with pytest.raises(ValueError, match="EfficientNetB0 normalises its input itself"):
        ws.build_backbone("EfficientNetB0", 96, preprocessing="caffe")
    with pytest.raises(ValueError, match="Unknown preprocessing 'cafe'. Valid: caffe, tf, torch, none"):
        ws.build_backbone("Xception", 96, preprocessing="cafe")


def modules():
    """Module of keras.applications → names of its models."""
    found = {}
    for module in vars(keras.applications).values():
        if hasattr(module, "preprocess_input"):
            names = [name for name in vars(module) if name[0].isupper() and name in backbones.backbone_names()]
            found.setdefault(module.__name__, (module, names))
    return [pair for pair in found.values() if pair[1]]


@pytest.mark.parametrize(
    ("module", "names"), modules(), ids=lambda value: getattr(value, "__name__", "").split(".")[-1]
)
def test_weights_go_with_the_preprocessing_of_their_own_module(module, names):
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    expected = module.preprocess_input(image.copy(), data_format="channels_last")
    for name in names:
        mode = backbones.preprocessing_of_weights(name)
        ours = image if mode == "none" else keras.ops.convert_to_numpy(ImageNetPreprocessing(mode)(image))
        np.testing.assert_allclose(ours, expected, atol=1e-4, err_msg=name)


def test_an_unknown_backbone_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Unknown backbone 'Xceptoin'. Did you mean Xception"):
        ws.build_backbone("Xceptoin", 96)
    with pytest.raises(
        ValueError, match="Valid: small_patch, small_conv, small_patch_3, .*, and any model of keras.applications"
    ):
        ws.build_backbone("imagenet_utils", 96)


@pytest.mark.parametrize("size", ["512", (1, 2, 3), (0, 4), 2.5, True, (96, False), None])
def test_an_impossible_image_size_is_refused(size):
    with pytest.raises(
        ValueError, match=r"image_size must be a side in pixels or \(height, width\), in whole numbers of 1 or more"
    ):
        ws.build_backbone("small_patch", size)


def test_an_image_too_small_is_refused_with_the_backbones_name():
    with pytest.raises(ValueError, match="small_patch"):
        ws.build_backbone("small_patch", 16)


def test_weights_are_loaded_from_a_path(tmp_path):
    trained = ws.build_backbone("small_patch", 96)
    trained.save_weights(tmp_path / "w.weights.h5")
    loaded = ws.build_backbone("small_patch", 96, weights=tmp_path / "w.weights.h5")
    for ours, theirs in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="do not fit small_conv"):
        ws.build_backbone("small_conv", 96, weights=tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match="small_patch has no ImageNet weights"):
        ws.build_backbone("small_patch", 96, weights="imagenet")


@pytest.mark.parametrize("weights", ["imagnet", "missing/w.weights.h5", "."])
def test_a_weights_file_that_is_not_there_is_named(weights):
    with pytest.raises(
        FileNotFoundError, match=rf"There is no weights file '{weights}'\. Give the path .*, 'imagenet', "
    ):
        ws.build_backbone("small_patch", 96, weights=weights)


@pytest.mark.parametrize("weights", [True, 3, ["w.weights.h5"]])
def test_weights_that_are_no_path_are_refused(weights):
    with pytest.raises(
        ValueError, match=r"weights must be None \(random\), 'imagenet' or the path of a file; received"
    ):
        ws.build_backbone("small_patch", 96, weights=weights)


def test_weights_in_the_home_folder_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ws.build_backbone("small_patch", 96).save_weights(tmp_path / "w.weights.h5")
    ws.build_backbone("small_patch", 96, weights="~/w.weights.h5")


@pytest.mark.parametrize(
    ("category", "refused"), [(DeprecationWarning, False), (RuntimeWarning, False), (UserWarning, True)]
)
def test_only_keras_own_warnings_say_that_weights_do_not_fit(category, refused, tmp_path, monkeypatch):
    """Keras warns by a UserWarning of a layer that it left as it was; libraries warn of other things."""
    path = tmp_path / "w.weights.h5"
    path.touch()
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: warnings.warn("something", category, stacklevel=1))
    with pytest.raises(ValueError, match="do not fit small_patch: something") if refused else pytest.warns(category):
        ws.build_backbone("small_patch", 96, weights=path)


# One of each kind that is built in a second; the paper's own are built in test_counts.py.
SMALLEST = """small_patch small_patch_3 small_conv ConvNeXtTiny EfficientNetB0 MobileNet MobileNetV2 MobileNetV3Small
ResNet50V2 VGG16""".split()


@pytest.mark.parametrize(
    "name",
    [
        *SMALLEST,
        *(pytest.param(name, marks=pytest.mark.slow) for name in backbones.backbone_names() if name not in SMALLEST),
    ],
)
def test_every_backbone_builds_and_is_counted(name):
    model = ws.build_backbone(name, image_size=224)
    assert model.layers[-1].name == "features"
    nested = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    assert not nested or name.startswith("ConvNeXt"), nested  # one flat graph; ConvNeXt's stem is Keras' own model
    height, width, channels = model.get_layer("features").output.shape[1:]
    assert (height, width) == ((5, 5) if name.startswith("Inception") else (7, 7))
    assert channels >= 96
    assert ws.count_flops(model) > 2 * height * width * channels
    inside = name.startswith("small_patch") or name.startswith(backbones.NORMALISES_INSIDE)
    assert ("preprocessing" in [layer.name for layer in model.layers]) != inside


def test_the_names_are_those_of_keras_applications():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert backbones.backbone_names() == ["small_patch", "small_conv", *backbones.GROWING, *names]
    for name in names:
        assert "include_top" in getattr(keras.applications, name).__code__.co_varnames


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Xception", "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("EfficientNetB0", "efficientnetb0_notop.h5"),
        pytest.param("NASNetMobile", "nasnet_mobile_no_top.h5", marks=pytest.mark.slow),
    ],
)
def test_imagenet_weights_offline_name_the_file_and_its_folder(name, file, monkeypatch):
    import keras.src.utils.file_utils as file_utils

    def refused(url, *_):
        raise urllib.error.HTTPError(url, 503, "no network in tests", None, None)

    monkeypatch.setattr(file_utils, "urlretrieve", refused)
    monkeypatch.setenv("KERAS_HOME", "keras-home")
    with pytest.raises(OSError, match=rf"weights of {name} could not be downloaded.* as keras-home/models/{file}"):
        ws.build_backbone(name, 224, weights="imagenet")


def test_imagenet_weights_become_the_models(tmp_path, monkeypatch):
    trained = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(128, 128, 3))
    trained.save_weights(tmp_path / "downloaded.weights.h5")
    monkeypatch.setattr(
        "keras.src.applications.mobilenet.file_utils.get_file", lambda *_, **__: tmp_path / "downloaded.weights.h5"
    )
    model = ws.build_backbone("MobileNet", 128, weights="imagenet")
    for ours, theirs in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
