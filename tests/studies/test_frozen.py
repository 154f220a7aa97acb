"""Heads on frozen features: computed once, trained on by heads alone, joined to the backbone afterwards."""

import re

import numpy as np
import pytest
from brightness import RECIPE, brightness

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.studies import frozen
from wisesr_helpers.studies.frozen import FrozenFeatures


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return FrozenFeatures(brightness(), "small_conv", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(features):
    return features.train_head("wise", 1, RECIPE)


def test_the_features_are_the_backbones_in_half_precision(features):
    for split, stored in (("train", features.train), ("test", features.test)):
        images = getattr(features.dataset, split)
        expected = features.backbone.predict(images.rgb(np.arange(len(images))), verbose=0)
        assert (stored.shape, stored.dtype) == (expected.shape, np.float16)
        np.testing.assert_allclose(stored, expected, rtol=1e-3, atol=1e-4)


def test_they_are_computed_once_and_anew_for_other_images_or_weights(tmp_path, monkeypatch, capsys):
    computed, compute = [], frozen._compute
    monkeypatch.setattr(frozen, "_compute", lambda *args: computed.append(args[-1]) or compute(*args))
    FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    assert "Features of 59 images, 2×2×96 each, as float16: 45.3 kB" in capsys.readouterr().out
    FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    assert "The features are taken from" in capsys.readouterr().out
    assert len(computed) == 2
    FrozenFeatures(brightness(seed=1), "small_conv", cache=tmp_path)
    assert len(computed) == 4
    keras.utils.set_random_seed(5)
    ws.build_backbone("small_conv", 64).save_weights(tmp_path / "other.weights.h5")
    other = FrozenFeatures(brightness(), "small_conv", tmp_path / "other.weights.h5", tmp_path)
    assert len(computed) == 6
    expected = np.array(other.test)  # not the mapped file, whose end is about to go
    for path in (tmp_path / "features").glob("*.npy"):
        path.write_bytes(b"damaged")
    again = FrozenFeatures(brightness(), "small_conv", tmp_path / "other.weights.h5", tmp_path)
    np.testing.assert_array_equal(again.test, expected)


def test_an_interrupted_computation_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "NOTED", 2)
    monkeypatch.setattr(frozen, "BATCH", 4)
    seen = []

    def dies_at(place):
        def build(*args):
            model = build_backbone(*args)
            predict = model.predict_on_batch

            def predict_on_batch(images):
                if len(seen) == place:
                    raise KeyboardInterrupt
                seen.append(len(images))
                return predict(images)

            model.predict_on_batch = predict_on_batch
            return model

        return build

    build_backbone = frozen.build_backbone
    whole = FrozenFeatures(brightness(), "small_conv", cache=tmp_path / "whole")
    monkeypatch.setattr(frozen, "build_backbone", dies_at(5))
    with pytest.raises(KeyboardInterrupt):
        FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    monkeypatch.setattr(frozen, "build_backbone", dies_at(-1))
    again = FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    assert sum(seen) == 59 + 4  # the fifth batch was not noted
    np.testing.assert_array_equal(again.train, whole.train)
    np.testing.assert_array_equal(again.test, whole.test)
    assert {path.suffix for path in (tmp_path / "features").iterdir()} == {".npy"}


def test_imagenet_weights_get_their_own_preprocessing_and_features_of_another_are_not_taken(tmp_path, monkeypatch):
    asked = []

    def small(name, size, weights, preprocessing):
        asked.append((name, weights, preprocessing))
        return ws.build_backbone("small_conv", size, preprocessing=preprocessing)

    monkeypatch.setattr(frozen, "build_backbone", small)
    own = FrozenFeatures(brightness(), "DenseNet121", "imagenet", tmp_path)
    papers = FrozenFeatures(brightness(), "DenseNet121", "imagenet", tmp_path, "caffe")
    FrozenFeatures(brightness(), "DenseNet121", None, tmp_path)
    assert asked == [("DenseNet121", "imagenet", mode) for mode in ("torch", "caffe")] + [("DenseNet121", None, None)]
    assert np.abs(own.test.astype(float) - papers.test.astype(float)).max() > 0.1


def test_a_head_learns_on_them_and_leaves_the_backbone_as_it_was(features, trained):
    model, correct = trained
    assert correct.all()
    for layer in features.backbone.layers:
        for ours, theirs in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    built = ws.build_classifier("small_conv", "wise", classes=2, image_size=64)
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in built.layers]
    assert ws.count_params(model) == ws.count_params(built)


def test_the_whole_classifier_says_what_the_head_did(features, trained, tmp_path):
    model, correct = trained
    test = features.dataset.test
    table = ws.predict(model, test.rgb(np.arange(len(test))))
    np.testing.assert_array_equal(table["class"] == np.array(features.dataset.classes)[test.labels], correct)
    model.save(tmp_path / "kept.keras")
    kept = ws.predict(keras.models.load_model(tmp_path / "kept.keras"), test.rgb([0, 1]), classes=["dark", "bright"])
    assert list(kept["class"]) == ["dark", "bright"]


def test_a_seed_decides_everything(features, trained):
    def weights(model):
        return np.concatenate([array.ravel() for array in model.get_layer("predictions").get_weights()])

    again, other = (features.train_head("wise", seed, RECIPE)[0] for seed in (1, 2))
    np.testing.assert_array_equal(weights(again), weights(trained[0]))
    assert not np.allclose(weights(other), weights(again))


def test_shuffled_labels_are_not_learned(features):
    dataset = brightness()
    labels = np.random.default_rng(0).permutation(dataset.train.labels)
    other = object.__new__(FrozenFeatures)
    vars(other).update(
        vars(features),
        dataset=Dataset("shuffled", dataset.classes, Split(dataset.train.images, labels, ""), dataset.test, False),
    )
    assert other.train_head("gap", 0, RECIPE)[1].mean() < 0.9


def test_no_room_is_said_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=re.escape("and '") + ".*has room for 1 kB: give another folder with cache"):
        FrozenFeatures(brightness(), "small_conv", cache=tmp_path)


def test_features_that_half_precision_can_not_hold_are_refused(tmp_path):
    keras.utils.set_random_seed(0)
    backbone = ws.build_backbone("small_conv", 64)
    last = backbone.get_layer("conv6_bn")
    gamma, *others = last.get_weights()
    last.set_weights([gamma * 1e7, *others])
    backbone.save_weights(tmp_path / "large.weights.h5")
    with pytest.raises(ValueError, match="more than float16 can hold"):
        FrozenFeatures(brightness(), "small_conv", tmp_path / "large.weights.h5", tmp_path)
    assert list((tmp_path / "features").iterdir()) == []
