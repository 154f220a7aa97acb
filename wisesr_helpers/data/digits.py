"""scikit-learn's handwritten digits: 1,797 real images in ten classes that need no download, and a real test set."""

import functools
import hashlib

import numpy as np

from wisesr_helpers.data.dataset import Dataset, Split

SIDE = 8  # pixels
LEVELS = 16  # the brightest of scikit-learn's grey levels
COUNTS = {"train": 1195, "test": 602}  # images of the splits


@functools.cache
def _splits():
    """Split → (images uint8 (n, 8, 8), labels (n,), indices among scikit-learn's (n,)), the classes taking turns."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / LEVELS)).astype(np.uint8)
    found = {}
    for split in COUNTS:
        chosen = [_of_split(np.flatnonzero(digits.target == digit), split) for digit in range(10)]
        turns = np.concatenate([np.arange(len(indices)) for indices in chosen])
        indices = np.concatenate(chosen)[np.argsort(turns, kind="stable")]
        found[split] = (images[indices], digits.target[indices].astype(np.int64), indices)
    return found


def _of_split(indices, split):
    cut = 2 * len(indices) // 3
    return indices[:cut] if split == "train" else indices[cut:]


def digits_dataset(image_size, train=COUNTS["train"], test=COUNTS["test"]):
    """The digits as a dataset: of every class the first two thirds in scikit-learn's order train, the rest test.

    The images are kept at 8×8 and enlarged as they are read, by Pillow's nearest, as those of MNIST are.

    Args:
        image_size: Side in pixels, at least 8.
        train: Number of training images, at most ``COUNTS["train"]``, the default; the classes take turns.
        test: The same of the test split.

    Returns:
        Dataset of grey uint8 images; its splits' ``rgb`` gives (n, image_size, image_size, 3).

    Raises:
        ValueError: The image size is below 8, or a split is asked for more images than there are, or for none.
    """
    if image_size < SIDE:
        raise ValueError(f"The digits have {SIDE}×{SIDE} pixels; ask for no smaller image size than {SIDE}.")
    splits = {}
    for split, count in (("train", train), ("test", test)):
        if not 1 <= count <= COUNTS[split]:
            raise ValueError(f"The {split} split of the digits has 1 to {COUNTS[split]:,} images; received {count}.")
        images, labels, _ = _splits()[split]
        images = np.ascontiguousarray(images[:count])
        digest = hashlib.sha256(images.data).hexdigest()
        splits[split] = Split(images, labels[:count], digest, (image_size, image_size))
    return Dataset(name="scikit-learn's digits", classes=tuple("0123456789"), photographs=False, **splits)
