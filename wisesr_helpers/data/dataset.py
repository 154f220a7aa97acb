"""What a dataset is: images, labels, class names, and an account of what was left out."""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8 array (N, H, W) grey or (N, H, W, 3) RGB; may be memory-mapped.
        labels: Integer array (N,), indices into the dataset's classes.
        digest: SHA-256 of the images' bytes, hexadecimal.
    """

    images: np.ndarray
    labels: np.ndarray
    digest: str

    def __len__(self):
        return len(self.labels)

    def rgb(self, indices):
        """The images at ``indices`` as uint8 (n, H, W, 3)."""
        images = np.asarray(self.images[indices])
        return np.repeat(images[..., None], 3, axis=-1) if images.ndim == 3 else images


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset, ready to be trained on.

    Attributes:
        name: As readers know it.
        classes: Class names; a label is an index into them.
        train: Training split.
        test: Test split.
        photographs: False for the embedded scenes: nothing learned on them is a claim about photographs.
        left_out: Reason → number of files that were set aside.
    """

    name: str
    classes: tuple
    train: Split
    test: Split
    photographs: bool
    left_out: Mapping = dataclasses.field(default_factory=dict)

    @property
    def fingerprint(self):
        """SHA-256 over both splits' images and labels and the class names, hexadecimal."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for split in (self.train, self.test):
            digest.update(split.digest.encode())
            digest.update(np.asarray(split.labels, dtype="<i8").tobytes())
        return digest.hexdigest()

    def summary(self):
        """What a record keeps of the data: name, fingerprint, counts, image size, what was left out."""
        return {
            "name": self.name,
            "photographs": self.photographs,
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "train": len(self.train),
            "test": len(self.test),
            "image_size": list(self.train.images.shape[1:3]),
            "left_out": dict(self.left_out),
        }
