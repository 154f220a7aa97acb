"""Classifiers: exact counts, inputs, saving, and what they refuse."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.published import number, published

TABLE_1 = published().query("where == 'Table 1' and head in ['gap', 'wise']")


@pytest.mark.parametrize(("backbone", "head"), sorted(set(zip(TABLE_1["backbone"], TABLE_1["head"], strict=True))))
def test_counts_of_table_1(backbone, head):
    model = ws.build_classifier(backbone, head, classes=70, image_size=224)
    printed = TABLE_1.query("backbone == @backbone and head == @head").set_index("unit")["number"]
    assert ws.count_params(model) == printed["parameters"]
    assert round(ws.count_flops(model) / 1e9, 2) == printed["GFLOPs"]


TABLE_9 = published().query("where == 'Table 9' and column == 'Parameters' and head in ['gap', 'wise']")


@pytest.mark.parametrize("row", list(TABLE_9.itertuples()), ids=lambda row: f"{row.backbone}-{row.head}")
def test_parameters_of_table_9(row):
    classes = int(number("Table 2", "MIT Indoors Scenes", "Number of Classes"))
    assert ws.count_params(ws.build_classifier(row.backbone, row.head, classes, 512)) == row.number


def test_takes_bytes_and_floats_alike():
    model = ws.build_classifier("small_patch", "wise", classes=6, image_size=512)
    images = np.random.default_rng(0).integers(0, 256, (2, 512, 512, 3), dtype="uint8")
    probabilities = model.predict_on_batch(images)
    np.testing.assert_array_equal(probabilities, model.predict_on_batch(images.astype("float32")))
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, 6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_output_stays_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ws.build_classifier("small_patch", "wise", classes=6, image_size=256)
    finally:
        keras.config.set_dtype_policy("float32")
    images = np.zeros((1, 256, 256, 3), "uint8")
    assert model.predict_on_batch(images).dtype == np.float32
    assert model.get_layer("pooling").compute_dtype == "bfloat16"


def test_logits_without_activation():
    model = ws.build_classifier("small_patch", "gap", classes=3, image_size=96, classifier_activation=None)
    logits = model.predict_on_batch(np.full((1, 96, 96, 3), 200, "uint8"))
    assert not np.isclose(logits.sum(), 1)


@pytest.mark.parametrize("classes", [1, 0, 2.0, True, "6"])
def test_impossible_classes_are_refused(classes):
    with pytest.raises(ValueError, match="classes must be a whole number of at least 2; received"):
        ws.build_classifier("small_patch", "gap", classes=classes, image_size=96)


def test_load_classifier_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no trained classifier"):
        ws.load_classifier(tmp_path)


def test_a_layer_with_weights_and_no_rule_is_not_counted_as_nothing():
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.LSTM(2, name="odd")])
    with pytest.raises(ValueError, match="No rule counts the operations of 'odd'"):
        ws.count_flops(model)
