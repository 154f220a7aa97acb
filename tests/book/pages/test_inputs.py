"""What the pages on data and augmentation print."""

import csv

import numpy as np
import pytest
from _pages import inputs
from sklearn.datasets import load_sample_images


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
