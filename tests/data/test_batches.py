"""Batches: every epoch a permutation that is a function of (seed, epoch)."""

import dataclasses

import numpy as np
import pytest

from wisesr_helpers.data.augment import Augmentation, apply_transform
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Split

COUNT = 23
AUGMENTATION = Augmentation(360, 0.1, 0.1, 0.2, 50, (0, 1.2), horizontal_flip=True, vertical_flip=True)


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


def test_parts_are_the_batches_cut_into_equal_pieces():
    whole, parts = Batches(split(), 6, seed=4, epoch=2), Batches(split(), 6, seed=4, epoch=2, parts=3)
    pieces = labels(parts)
    assert len(parts) == len(pieces) == 3 * len(whole) == 12
    assert [len(piece) for piece in pieces] == [2] * 9 + [2, 2, 1]  # 23 images: the last batch has five
    assert [[*a, *b, *c] for a, b, c in zip(*[iter(pieces)] * 3, strict=True)] == labels(whole)


def test_a_last_batch_with_fewer_images_than_parts_repeats_them():
    parts = labels(Batches(split(), 11, seed=4, parts=11))
    assert [len(piece) for piece in parts] == [1] * 33
    assert sorted(flat for piece in parts[:22] for flat in piece) == sorted(set(range(COUNT)) - set(parts[22]))
    assert len({tuple(piece) for piece in parts[22:]}) == 1


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


def noisy_split(size=None):
    """Images that differ in every pixel."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 10, 3), dtype=np.uint8)
    return Split(images, np.arange(COUNT), "digest", size)


def pixels(batches):
    return np.concatenate([batches[index][0] for index in range(len(batches))])


@pytest.mark.parametrize("convention", ["keras3", "keras_preprocessing_1_1"])
def test_each_image_is_augmented_by_parameters_of_its_own(convention):
    augmentation = dataclasses.replace(AUGMENTATION, convention=convention)
    batches = Batches(noisy_split(), 5, seed=6, epoch=2, augmentation=augmentation)
    for index in range(len(batches)):
        images, own = batches[index]
        for image, i in zip(images, own.tolist(), strict=True):
            params = augmentation.draw(np.random.default_rng([6, 2, i]), 12, 10)
            np.testing.assert_array_equal(image, apply_transform(noisy_split().images[i], params, convention))


def test_the_number_of_threads_changes_nothing():
    made = [
        pixels(Batches(noisy_split(), 5, 7, epoch=1, augmentation=AUGMENTATION, threads=threads))
        for threads in (1, 2, 5)
    ]
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_a_batch_prepared_ahead_is_never_another_epochs():
    batches = Batches(noisy_split(), 5, 7, augmentation=AUGMENTATION)
    batches[0]  # prepares batch 1 of epoch 0
    batches.epoch = 1
    fresh = Batches(noisy_split(), 5, 7, epoch=1, augmentation=AUGMENTATION)
    np.testing.assert_array_equal(batches[1][0], fresh[1][0])
    assert not np.array_equal(batches[1][0], Batches(noisy_split(), 5, 7, augmentation=fresh.augmentation)[1][0])


def test_epochs_and_seeds_augment_differently():
    made = {
        (seed, epoch): Batches(noisy_split(), COUNT, seed, epoch, AUGMENTATION)[0][0].tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(made.values())) == 4


def test_small_images_are_enlarged_as_pillow_does_it():
    from PIL import Image

    large = noisy_split((29, 31))
    images, own = Batches(large, 5, seed=0)[1]
    for image, i in zip(images, own.tolist(), strict=True):
        expected = Image.fromarray(large.images[i]).resize((31, 29), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(image, np.asarray(expected))


def test_what_fails_in_a_thread_is_raised():
    class Broken:
        shape = (COUNT, 4, 5)

        def __getitem__(self, index):
            raise OSError("the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"):
        Batches(Split(Broken(), np.arange(COUNT), ""), 5, seed=0)[0]
