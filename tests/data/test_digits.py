"""scikit-learn's digits as a dataset: whole, split by index, enlarged as MNIST is."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from wisesr_helpers.data import embedded


@pytest.fixture(scope="module")
def dataset():
    return embedded.digits_dataset(32)


def grey(split):
    """The split's images as they are kept, in scikit-learn's levels: float (n, 64)."""
    return np.round(np.asarray(split.images).reshape(len(split), -1) / 255 * 16)


def test_of_every_class_the_first_two_thirds_train_and_the_rest_test(dataset):
    found = load_digits()
    for digit in range(10):
        expected = found.data[found.target == digit]
        cut = 2 * len(expected) // 3
        for split, part in ((dataset.train, expected[:cut]), (dataset.test, expected[cut:])):
            np.testing.assert_array_equal(grey(split)[split.labels == digit], part)
    assert (len(dataset.train), len(dataset.test)) == (embedded.COUNTS["train"], embedded.COUNTS["test"])
    assert len(dataset.train) + len(dataset.test) == len(found.data) == 1797


def test_no_image_is_in_both_splits(dataset):
    train, test = ({image.tobytes() for image in split.images} for split in (dataset.train, dataset.test))
    assert len(train) > len(test) > 500
    assert not train & test


def test_the_first_images_hold_every_class_equally_often():
    few = embedded.digits_dataset(32, train=20, test=10)
    assert sorted(few.train.labels) == sorted([*range(10)] * 2)
    assert sorted(few.test.labels) == [*range(10)]


@pytest.mark.parametrize("side", [8, 224, 299])
def test_images_are_enlarged_by_pillows_nearest(side):
    split = embedded.digits_dataset(side).test
    images = split.rgb([0, 17])
    for image, kept in zip(images, np.asarray(split.images)[[0, 17]], strict=True):
        expected = np.asarray(Image.fromarray(kept).resize((side, side), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=2))
    assert images.dtype == np.uint8
    assert images.max() == 255


def test_the_labels_can_be_learned_and_shuffled_ones_can_not(dataset):
    train, test = grey(dataset.train) / 16, grey(dataset.test) / 16

    def learned(labels):
        return KNeighborsClassifier(1).fit(train, labels).score(test, dataset.test.labels)

    assert learned(dataset.train.labels) > 0.85
    assert learned(np.random.default_rng(0).permutation(dataset.train.labels)) < 0.3


def test_two_makings_have_one_fingerprint_and_fewer_images_another(dataset):
    assert embedded.digits_dataset(32).fingerprint == dataset.fingerprint
    assert embedded.digits_dataset(32, train=20).fingerprint != dataset.fingerprint
    assert dataset.photographs is False


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"image_size": 7}, "have 8×8 pixels; ask for no smaller image size than 8"),
        ({"image_size": 8, "train": 1196}, "The train split of the digits has 1 to 1,195 images; received 1196"),
        ({"image_size": 8, "test": 0}, "The test split of the digits has 1 to 602 images; received 0"),
    ],
)
def test_what_is_not_there_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        embedded.digits_dataset(**asked)
