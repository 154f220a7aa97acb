"""Batches: every epoch a permutation that is a function of (seed, epoch), also as ``fit`` asks for them."""

import numpy as np
import pytest

from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Split

COUNT = 23


def split(colour=False):
    """Images whose every pixel is their number; labels are that number, too."""
    numbers = np.arange(COUNT, dtype="uint8")
    images = np.broadcast_to(numbers[:, None, None], (COUNT, 4, 5)).copy()
    if colour:
        images = np.stack([images, images + 100, images + 200], axis=-1)
    return Split(images, np.arange(COUNT), "digest")


def labels(batches):
    return [batches[index][1].tolist() for index in range(len(batches))]


def flat(batches):
    return [label for batch in labels(batches) for label in batch]


def test_an_epoch_is_a_permutation_of_all_images_and_the_last_batch_is_smaller():
    batches = Batches(split(), 5, seed=0)
    assert len(batches) == 5
    assert [len(batch) for batch in labels(batches)] == [5, 5, 5, 5, 3]
    assert sorted(flat(batches)) == list(range(COUNT))
    assert flat(batches) != list(range(COUNT))


@pytest.mark.parametrize(("batch_size", "sizes"), [(23, [23]), (100, [23]), (1, [1] * 23), (22, [22, 1])])
def test_batch_sizes_at_the_edges(batch_size, sizes):
    batches = Batches(split(), batch_size, seed=0)
    assert [len(batch) for batch in labels(batches)] == sizes
    assert sorted(flat(batches)) == list(range(COUNT))


def test_the_images_belong_to_their_labels():
    for index in range(5):
        images, own = Batches(split(), 5, seed=3)[index]
        assert images.dtype == np.uint8
        assert images.shape == (len(own), 4, 5, 3)
        assert (images == np.asarray(own)[:, None, None, None]).all()


def test_grey_becomes_rgb_and_rgb_stays():
    grey, colour = Batches(split(), 5, seed=3)[0][0], Batches(split(colour=True), 5, seed=3)[0][0]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    np.testing.assert_array_equal(colour, grey + np.array([0, 100, 200], "uint8"))


def test_the_order_depends_on_seed_and_epoch_only():
    orders = [flat(Batches(split(), 5, seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert orders == [flat(Batches(split(), 5, seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 9  # (1, 0) is not (0, 1), either


def test_the_order_in_which_batches_are_asked_for_changes_nothing():
    np.random.seed(0)  # noqa: NPY002 — the global generator must play no part
    batches = Batches(split(), 5, seed=4)
    backwards = {index: batches[index][1].tolist() for index in reversed(range(5))}
    np.random.seed(99)  # noqa: NPY002
    assert [backwards[index] for index in range(5)] == labels(Batches(split(), 5, seed=4))
