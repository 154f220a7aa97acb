"""Images as figures: the right image under each title, and words with the same classes and numbers."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex

from wisesr_helpers import plots
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.training.recipes import TABLE_3

SIDE = 96


@pytest.fixture(scope="module")
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), dtype="uint8")
    split = Split(images, np.array([2, 0, 1, 0, 2, 3, 1, 3]), "digest")
    return Dataset("noise", ("zero", "one", "two", "three"), split, split, photographs=False)


@pytest.fixture(scope="module")
def model():
    from wisesr_helpers._keras import keras
    from wisesr_helpers.models.classifiers import build_classifier

    keras.utils.set_random_seed(0)
    return build_classifier("small_patch", "gap", classes=4, image_size=SIDE)


def shown(ax):
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("rows", [1, 2])
def test_a_labelled_sample_is_the_first_test_image_of_each_class(dataset, rows):
    drawn, axes = plots.figure(columns=2, rows=rows, squeeze=False)
    assert plots.labelled_sample(dataset, axes) is axes
    names = dataset.classes[: axes.size]
    for ax, first, name in zip(axes.flat, (1, 2, 0, 5), names, strict=False):
        np.testing.assert_array_equal(shown(ax), dataset.test.rgb([first])[0])
        assert ax.get_title() == name
    assert plots.alt_text(drawn) == f"Test images of the first classes: {'; '.join(names)}."


def test_the_augmented_sample_is_what_training_sees(dataset):
    augmentation = dataclasses.replace(TABLE_3, convention="keras3")
    drawn, axes = plots.figure(columns=3)
    assert plots.augmented_sample(dataset, augmentation, axes, seed=4) is axes
    assert [ax.get_title() for ax in axes] == ["as it is", "epoch 1", "epoch 2"]
    np.testing.assert_array_equal(shown(axes[0]), dataset.train.rgb([0])[0])
    for epoch, ax in enumerate(axes[1:]):
        images, _ = Batches(dataset.train, 8, 4, epoch, augmentation)[0]
        np.testing.assert_array_equal(shown(ax), images[0])  # one batch holds all, in the order of the split
    assert plots.alt_text(drawn) == "A training image as it is, and as epochs 1 to 2 show it."


def test_without_augmentation_the_image_stays(dataset):
    drawn, axes = plots.figure(columns=2)
    for ax in plots.augmented_sample(dataset, None, axes):
        np.testing.assert_array_equal(shown(ax), dataset.train.rgb([0])[0])
    assert plots.alt_text(drawn).endswith(", which is the same.")


def test_contributions_show_and_say_classes_predictions_and_the_strongest_cell(dataset, model):
    drawn, axes = plots.figure(columns=2)
    assert plots.contributions(model, dataset, axes) is axes
    indices = [1, 5]  # the first images of the first and the last class
    guesses = np.asarray(model.predict_on_batch(dataset.test.rgb(indices))).argmax(axis=1)
    for ax, index, label, guess in zip(axes, indices, ("zero", "three"), guesses, strict=True):
        assert ax.get_title() == f"{label}\n→ {dataset.classes[guess]}"
        np.testing.assert_array_equal(shown(ax), dataset.test.rgb([index])[0])
        added = np.asarray(ax.images[1].get_array())
        row, column = np.argwhere(np.abs(added) == np.abs(added).max())[0]
        assert (
            f"{label}, predicted {dataset.classes[guess]}, most from the cell in row {row + 1} of 3 and column "
            f"{column + 1} of 3: {added[row, column]:+.2g}"
        ) in plots.alt_text(drawn)


def test_attention_is_symmetric_around_nothing_and_covers_the_image():
    image = np.zeros((8, 6, 3), "uint8")
    added = np.array([[1.0, -4.0], [0.0, 2.0]])
    ax = plots.figure()[1]
    assert plots.attention(image, added, ax) is ax
    below, above = ax.images
    assert below.get_extent() == above.get_extent() == [0, 6, 8, 0]
    np.testing.assert_array_equal(above.get_array(), added)
    assert above.get_clim() == (-4, 4)
    (faint, strongest), (nothing, half) = above.cmap(above.norm(above.get_array()))
    assert to_hex(half) == "#e34a33"
    assert to_hex(strongest) == "#3182bd"
    opacity = [nothing[3], faint[3], half[3], strongest[3]]
    np.testing.assert_allclose(opacity, [0, 0.85 * 0.25**0.8, 0.85 * 0.5**0.8, 0.85], atol=0.01)
    assert above.cmap(above.norm(0.04))[3] < 0.05  # a hundredth of the strongest, such as noise
    least = plots.attention(image, np.zeros((2, 2)), plots.figure()[1]).images[1]
    assert least.get_clim() == (-1, 1)
