"""What a dataset is: images, labels, class names, and an account of what was left out."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from wisesr_helpers.data.images import EXAMPLES, enlarge, some_of, write_rgb

DEMO_NOTE = "demo: not the paper's data"  # on every figure and record of the demo and smoke scales


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Attributes:
        images: Sequence of uint8 images (h, w) grey or (h, w, 3) RGB, none larger than ``size``; may be
            memory-mapped, and an array if all have one size.
        labels: Integer array (N,), indices into the dataset's classes.
        digest: SHA-256 that stands for the images, hexadecimal.
        size: (H, W) that a model gets; smaller images are enlarged as they are read, by Pillow's nearest.
            None: that of ``images``, an array.
        files: Names of the files in the order of the images, where each is one; else empty.
    """

    images: Sequence
    labels: np.ndarray
    digest: str
    size: tuple | None = None
    files: tuple = ()

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size or self.images.shape[1:3]))

    def __len__(self):
        return len(self.labels)

    def image(self, index):
        """One image, uint8 (H, W) or (H, W, 3); possibly a view of a mapped file."""
        return enlarge(np.asarray(self.images[index]), self.size)

    def rgb(self, indices):
        """The images at ``indices`` as uint8 (n, H, W, 3)."""
        images = np.empty((len(indices), *self.size, 3), np.uint8)
        for out, index in zip(images, indices, strict=True):
            write_rgb(self.image(index), out)
        return images


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset, ready to be trained on.

    Attributes:
        name: As readers know it.
        classes: Class names; a label is an index into them.
        train: Training split.
        test: Test split.
        photographs: False for the embedded scenes: nothing learned on them is a claim about photographs.
        left_out: Reason → names of what is in no split, as :func:`wisesr_helpers.data.images.printable` gives them.
        noticed: Reason → names of what is used all the same, likewise.
    """

    name: str
    classes: tuple
    train: Split
    test: Split
    photographs: bool
    left_out: Mapping = dataclasses.field(default_factory=dict)
    noticed: Mapping = dataclasses.field(default_factory=dict)

    @property
    def counts(self):
        """DataFrame with a row for each class: its images, in the columns "training" and "test"."""
        return class_counts(self.classes, training=self.train.labels, test=self.test.labels)

    @property
    def note(self):
        """What figures have to say about the data; empty for photographs."""
        return "" if self.photographs else DEMO_NOTE

    @property
    def fingerprint(self):
        """SHA-256 over both splits' images and labels and the class names, hexadecimal."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for split in (self.train, self.test):
            digest.update(split.digest.encode())
            digest.update(np.asarray(split.labels, dtype="<i8").tobytes())
        return digest.hexdigest()

    def summary(self):
        """What a record keeps of the data: its name, fingerprint, counts and image size, and what is wrong with it."""
        return {
            "name": self.name,
            "photographs": self.photographs,
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "train": len(self.train),
            "test": len(self.test),
            "image_size": list(self.train.size),
            "left_out": _counted(self.left_out),
            "noticed": _counted(self.noticed),
        }

    def describe(self):
        """Sentences: the counts, then everything that is wrong."""
        counts = (
            f"{self.name}: {len(self.train):,} training and {len(self.test):,} test images in "
            f"{len(self.classes)} classes."
        )
        return [counts, *(f"Note: {part}." for part in self.report())]

    def report(self):
        """What is wrong with the data, a sentence part a reason: "3 listed but absent ('a.jpg', 'b.jpg', …)"."""
        reasons = [*self.left_out.items(), *self.noticed.items()]
        return [f"{len(names):,} {reason} ({some_of(names)})" for reason, names in reasons]


def class_counts(classes, **labels):
    """DataFrame with a row for each class: how often its number is among each of the labels, a column each."""
    import pandas as pd

    counted = {name: np.bincount(of_split, minlength=len(classes)) for name, of_split in labels.items()}
    return pd.DataFrame(counted, index=classes).rename_axis(columns="class")  # one row of names above, not two


def _counted(reasons):
    return {reason: {"count": len(names), "first": list(names[:EXAMPLES])} for reason, names in reasons.items()}
