"""What the pages on data and augmentation print."""

import csv

import numpy as np
import pytest
from _pages import inputs
from sklearn.datasets import load_sample_images

from wisesr_helpers.data.augment import apply_transform

FLOWER = load_sample_images().images[1]


@pytest.fixture
def printed(root):
    def read(name):
        with (root / "wisesr_helpers" / "published_data" / f"paper_{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return read


def test_table_2_is_the_printed_one(printed):
    shown = inputs.table_2().set_index("dataset")
    columns = {"Number of Classes": "classes", "Training Images": "training images", "Test Images": "test images"}
    for line in printed("table_2"):
        assert str(shown.loc[line["row"], columns[line["column"]]]).replace(",", "") == line["value"]
    assert len(shown) == 3
    assert shown.loc["MIT Indoors Scenes", "on Kaggle"] == "itsahmad/indoor-scenes-cvpr-2019"


def test_table_3_stands_beside_what_is_used_here(printed):
    shown = inputs.table_3().set_index("step")
    assert shown["printed"].tolist() == [line["value"] for line in printed("table_3")]
    assert shown.loc["Rotation", "here"] == "360.0"
    assert shown.loc["Zoom", "here"] == "0.2"
    assert "grey levels" in shown.loc["Channel Shift", "slip"]


def test_the_parity_is_measured_and_can_fail(monkeypatch):
    images = [image[:120, :150] for image in load_sample_images().images]
    table = inputs.parity(images, count=2).set_index("path")
    assert int(table.loc["uint8", "largest difference, grey levels"]) <= 5
    assert float(table.loc["exact", "differ by at most 1"].rstrip("%")) > 99
    monkeypatch.setattr(inputs, "apply_transform", lambda image, params, exact: np.zeros_like(image))
    assert float(inputs.parity(images, count=2)["differ by at most 1"][0].rstrip("%")) < 90


def test_steps_are_applied_one_at_a_time_and_then_together():
    params = {"theta": 30.0, "zx": 0.9, "flip_vertical": True, "brightness": 0.5}
    steps = inputs.augmentation_steps(FLOWER, params)
    np.testing.assert_array_equal(steps["as it is"], FLOWER)
    np.testing.assert_array_equal(steps["flips"], FLOWER[::-1])
    np.testing.assert_array_equal(steps["shift"], FLOWER)
    np.testing.assert_array_equal(steps["rotation"], apply_transform(FLOWER, {"theta": 30.0}))
    np.testing.assert_array_equal(steps["all of them"], apply_transform(FLOWER, params))


def test_the_conventions_are_compared_on_one_image():
    params = {"channel_shift_intensity": 50.0, "brightness": 1.0}
    images, apart = inputs.both_conventions(FLOWER, params)
    assert list(images) == ["keras3", "keras_preprocessing_1_1"]
    first, second = (image.astype(float) for image in images.values())
    assert apart == pytest.approx(np.abs(first - second).mean())
    assert apart > 5
