"""Pictures that readers change: one photograph under both conventions, and weights before and after an update."""

import base64
import io
import re

import numpy as np
import pytest
from _pages import augmentation_sheet, first_update, inputs
from PIL import Image

from wisesr_helpers.data.augment import apply_transform
from wisesr_helpers.training.recipes import TABLE_3


def test_every_picture_is_the_packages_image_made_smaller():
    image = augmentation_sheet.flower()
    markup = augmentation_sheet.sheet().data
    held = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", markup)
    epochs = augmentation_sheet.EPOCHS
    shown = dict.fromkeys(held)  # the first stands in the page, too
    assert len(shown) == 2 * epochs + 1
    expected = [
        apply_transform(image, inputs.drawn(image, epoch), convention)
        for convention in ("keras_preprocessing_1_1", "keras3")
        for epoch in range(epochs)
    ]
    for data, whole in zip(shown, [*expected, image], strict=True):
        small = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), float)
        own = np.asarray(Image.fromarray(whole).resize((300, 200)), float)
        others = np.asarray(Image.fromarray(255 - whole).resize((300, 200)), float)
        assert np.abs(small - own).mean() < 4 < np.abs(small - others).mean()


def test_what_was_drawn_is_within_table_3_and_in_the_table():
    rows = augmentation_sheet.facts()
    assert len(rows) == augmentation_sheet.EPOCHS
    height, width = augmentation_sheet.flower().shape[:2]
    for row, (params, shown, apart) in zip(
        rows.to_dict("records"), augmentation_sheet.pictures().values(), strict=True
    ):
        assert row["brightness"] == f"{params['brightness']:.2f}"
        assert ("left to right" in row["flipped"]) == params["flip_horizontal"]
        assert ("top to bottom" in row["flipped"]) == params["flip_vertical"]
        first, second = (image.astype(float) for image in shown.values())
        assert float(row["conventions apart, grey levels"]) == pytest.approx(np.abs(first - second).mean(), abs=0.05)
        assert apart > 0
        assert abs(params["theta"]) <= TABLE_3.rotation_range
        assert max(abs(params["tx"]) / height, abs(params["ty"]) / width) <= TABLE_3.height_shift_range


def test_the_constraint_leaves_what_is_positive_and_the_average_adds_up_to_one():
    drawn, clipped, average = first_update.kernels().values()
    assert drawn.shape == (3, 3, first_update.CHANNELS)
    np.testing.assert_array_equal(clipped, np.maximum(drawn, 0))
    np.testing.assert_allclose(average, 1 / 9, rtol=1e-6)
    rows = first_update.facts().set_index("weights")
    below = int((drawn < 0).sum())
    assert rows.loc["as drawn", "negative"] == rows.loc["after the first update", "zero"] == f"{below} of {drawn.size}"
    mean = clipped.sum(axis=(0, 1)).mean()
    assert float(rows.loc["after the first update", "sum of a channel, mean"]) == pytest.approx(mean, abs=6e-4)


def test_without_javascript_all_three_states_are_drawn():
    markup = first_update.pictures().data
    drawn, clipped, _ = first_update.kernels().values()
    pictures = re.findall(r"<svg.*?</svg>", markup)
    assert [picture.count('class="against"') for picture in pictures] == [int((drawn < 0).sum()), 0, 0]
    assert [picture.count('class="none"') for picture in pictures] == [0, int((clipped == 0).sum()), 0]
    assert "display" not in markup
