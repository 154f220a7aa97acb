"""Images as figures: the right image under each title."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images

from wisesr_helpers.data.augment import apply_transform, paper_augmentation
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.plots import images as plots_images

FLOWER = load_sample_images().images[1]


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (9, 40, 40, 3), dtype=np.uint8)
    split = Split(images, np.array([2, 0, 1, 0, 2, 2, 1, 0, 1]), "")
    return Dataset("made up", ("a", "b", "c"), split, split, photographs=True)


def axes(count):
    return Figure().subplots(1, count)


def shown(ax):
    return np.asarray(ax.images[0].get_array())


def test_each_class_is_shown_by_an_image_of_its_own(dataset):
    drawn = plots_images.labelled_sample(dataset, axes(3))
    assert [ax.get_title() for ax in drawn] == ["a", "b", "c"]
    for ax, index in zip(drawn, (1, 2, 0), strict=True):
        np.testing.assert_array_equal(shown(ax), dataset.test.images[index])


def test_fewer_axes_than_classes_show_the_first_classes(dataset):
    assert [ax.get_title() for ax in plots_images.labelled_sample(dataset, axes(2))] == ["a", "b"]


def test_the_augmented_sample_is_what_training_sees(dataset):
    augmentation = paper_augmentation("keras3")
    drawn = plots_images.augmented_sample(dataset, augmentation, axes(3), seed=4)
    assert [ax.get_title() for ax in drawn] == ["as it is", "epoch 1", "epoch 2"]
    np.testing.assert_array_equal(shown(drawn[0]), dataset.train.images[0])
    for ax, epoch in ((drawn[1], 0), (drawn[2], 1)):
        batches = Batches(dataset.train, 9, 4, epoch, augmentation)
        images, _ = batches[0]
        np.testing.assert_array_equal(shown(ax), images[0])  # one batch holds all, in the order of the split


def test_without_augmentation_the_image_stays(dataset):
    for ax in plots_images.augmented_sample(dataset, None, axes(2)):
        np.testing.assert_array_equal(shown(ax), dataset.train.images[0])


def test_steps_are_applied_one_at_a_time_and_then_together():
    params = {"theta": 30.0, "zx": 0.9, "flip_vertical": True, "brightness": 0.5}
    steps = plots_images.augmentation_steps(FLOWER, params)
    np.testing.assert_array_equal(steps["as it is"], FLOWER)
    np.testing.assert_array_equal(steps["flips"], FLOWER[::-1])
    np.testing.assert_array_equal(steps["shift"], FLOWER)
    np.testing.assert_array_equal(steps["rotation"], apply_transform(FLOWER, {"theta": 30.0}))
    np.testing.assert_array_equal(steps["all of them"], apply_transform(FLOWER, params))


def test_the_conventions_are_compared_on_one_image():
    params = {"channel_shift_intensity": 50.0, "brightness": 1.0}
    images, apart = plots_images.both_conventions(FLOWER, params)
    assert list(images) == ["keras3", "keras_preprocessing_1_1"]
    first, second = (image.astype(float) for image in images.values())
    assert apart == pytest.approx(np.abs(first - second).mean())
    assert apart > 5
