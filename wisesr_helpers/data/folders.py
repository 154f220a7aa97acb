"""A user's own images, in class folders or listed in a CSV, as a dataset."""

import collections
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from wisesr_helpers.checks import check_whole, refusing
from wisesr_helpers.data.dataset import Dataset, class_counts
from wisesr_helpers.data.images import check_resample, check_size, printable, some_of
from wisesr_helpers.data.listings import (
    ABSENT,
    MALFORMED,
    TWO_CLASSES,
    Entry,
    FileFinder,
    class_labels,
    files_in,
    make_listing,
    read_csv,
    subfolders,
    usable_entries,
)
from wisesr_helpers.data.prepare import PLAIN, SPLITS, TURNED, find_copies, prepare, prepared_split
from wisesr_helpers.storage import default_cache

# Reasons in ``Listing.problems`` and ``FolderCheck``.
BESIDE = "beside the class folders"
EMPTY = "class folder without files"
NOT_TRAINED = "in a class without training images"
NO_TEST = "classes without test images"
FEW = 20  # images of a class below which little can be learned, and less be measured
FEW_IMAGES = f"classes with fewer than {FEW} images"
FEW_TESTED = 10  # test images of a class, of which an interval is half as wide as all that is possible
FEW_TEST_IMAGES = f"classes with fewer than {FEW_TESTED} test images, too few to say anything about one alone"
UNEQUAL = 5  # how many times as large as the smallest class the largest may be before it is noticed
FAR_APART = f"classes whose sizes are more than {UNEQUAL} times apart"
# Why a name is in no split, beside what a decoder says; for every other reason it is only noticed.
LEFT_OUT = (ABSENT, MALFORMED, BESIDE, EMPTY, NOT_TRAINED, TWO_CLASSES)
# Names of folders, in lower case, that hold a split; validation images are test images where there are no others.
TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
SCENES = ".embedded_scenes"  # a file of this name beside the class folders: they hold no photographs
TAKES = (
    "give a folder with one subfolder for each class, one with such folders under 'train' and 'test', or a CSV with "
    "the columns filename and class"
)


def list_folder(path):
    """The ``Listing`` of a folder or CSV as :func:`check_folder` takes it; without test entries where none are named.

    Where an archive has wrapped the folder in others, the inner one is listed. With both validation and test images,
    the validation images are training images.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no folder or file '{path}'; {TAKES}.")
    if not path.is_dir():
        return _from_csv(path)
    path = _unwrapped(path)
    problems = collections.defaultdict(list)
    train, test, beside = _parts(path)
    problems[BESIDE] = beside = _names(path, beside)
    train, test = (_rows(path, folders, problems) for folders in (train, test))
    if not train:
        held = f"; beside them are {len(beside):,} files ('{printable(beside[0])}', …)" if beside else ""
        raise ValueError(f"The folder '{path}' has no class folders with files{held}: {TAKES}.")
    labels = class_labels(name for _, name in train + test)
    train, test = ([Entry(file, labels[name]) for file, name in rows] for rows in (train, test))
    return make_listing(path, map(printable, labels), train, test, problems)


def _unwrapped(path):
    """The folder, or the one inside it where an archive has wrapped it."""
    while not files_in(path):
        inner = subfolders(path)
        if len(inner) != 1 or not subfolders(inner[0]):
            break
        path = inner[0]
    return path


def _parts(path):
    """Folders with training classes; folders with test classes, none where nothing is so called; what is beside."""
    inner = subfolders(path)
    # A class may be called "train", too: then images are in it, not folders.
    divided = [folder for folder in inner if subfolders(folder)]
    train, test, validation = (
        [folder for folder in divided if folder.name.lower() in names] for names in (TRAIN, TEST, VALIDATION)
    )
    if not train:
        return [path], [], files_in(path)
    train, test = (train + validation, test) if test else (train, validation)
    others = [folder for folder in inner if folder not in train + test]
    return train, test, [*files_in(path), *others, *(file for folder in train + test for file in files_in(folder))]


def _rows(path, folders, problems):
    """Pairs (file, class name) of the class folders in some folders, sorted by class and name."""
    rows = []
    for folder in folders:
        for kind in subfolders(folder):
            files = _files_below(kind)
            rows += [(file, kind.name) for file in _names(path, files)]
            problems[EMPTY] += [] if files else _names(path, [kind])
    return rows


def _files_below(folder):
    """The files below a folder, but for hidden ones; links to folders are not followed."""
    found = []
    for place, inner, _ in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "__MACOSX")
        found += files_in(pathlib.Path(place))
    return found


def _names(path, found):
    return [each.relative_to(path).as_posix() for each in found]


def _from_csv(path):
    if path.suffix.lower() != ".csv":
        raise ValueError(f"'{path}' is a file, and no CSV; {TAKES}.")
    problems = collections.defaultdict(list)
    rows = read_csv(path, problems)
    if not rows:
        raise ValueError(f"'{path}' lists no image; {TAKES}.")
    labels = class_labels(name for _, name in rows)
    train = usable_entries(FileFinder(path.parent), rows, labels, problems)
    if len(problems[ABSENT]) == len(rows):
        raise FileNotFoundError(
            f"None of the {len(rows):,} images that '{path}' lists is there ({some_of(problems[ABSENT])}): write their "
            f"paths relative to the folder '{path.parent}'."
        )
    return make_listing(path.parent, map(printable, labels), train, (), problems)


@dataclasses.dataclass(frozen=True, eq=False)
class FolderCheck:
    """What a folder of images holds, and what is wrong with it; ``print`` it to read that in sentences.

    Attributes:
        name: The name of the folder or CSV.
        counts: DataFrame with a row for each class: its usable images, in the column "images", or in "train" and
            "test" where the folder names its test images.
        left_out: Reason → names of the files that can't be used.
        noticed: Reason → names of files and classes that are used all the same.
        stops: Sentences that say why no model can be trained on these images; empty if one can.
    """

    name: str
    counts: object
    left_out: Mapping
    noticed: Mapping
    stops: tuple

    def describe(self):
        """List of sentences: the counts, what prevents training, what is left out, what is noticed."""
        columns = {"images": "images", "train": "training images", "test": "test images"}
        numbers = " and ".join(f"{count:,} {columns[column]}" for column, count in self.counts.sum().items())
        kinds = "1 class" if len(self.counts) == 1 else f"{len(self.counts)} classes"
        left_out = [f"Left out: {len(names):,} ({some_of(names)}) {reason}." for reason, names in self.left_out.items()]
        noticed = [f"Note: {len(names):,} ({some_of(names)}) {reason}." for reason, names in self.noticed.items()]
        wrong = [*self.stops, *left_out, *noticed]
        return [f"{self.name}: {numbers} in {kinds}.", *(wrong or ["Nothing is wrong with them."])]

    def __str__(self):
        return "\n".join(self.describe())


@refusing()
def check_folder(folder, image_size=224, cache=None, resample="nearest"):
    """Check a folder of images before training on it: what it holds, and what is wrong with it.

    Every image is decoded and kept, so that :func:`image_folder` need not decode it again. The check reports the
    number of images in every class, files that can't be decoded and why, files beside the class folders, empty
    folders, the same file in two places (in two classes, or in train and test), images of one colour, images smaller
    than ``image_size``, images that are turned upright as their EXIF data say, classes with few images, and classes of
    very unequal size.

    Args:
        folder: A folder with one subfolder for each class; or with such folders under "train" and "test" (or "val",
            "valid", "validation"); or a CSV (UTF-8) with the columns "filename" (relative to the CSV) and "class".
        image_size: Side in pixels, or (height, width); default 224.
        cache: Folder for the decoded images; None: a per-user cache folder.
        resample: How larger images are reduced, see :func:`wisesr_helpers.data.images.decode`; default "nearest".

    Returns:
        FolderCheck; ``print`` it.

    Raises:
        FileNotFoundError: There is nothing at ``folder``, or none of the files that the CSV lists.
        ValueError: ``folder`` is no such folder or CSV, or names no image; or another argument is invalid.
        OSError: The decoded images can't be written.
    """
    found = _Found(folder, image_size, cache, resample)
    return FolderCheck(found.name, found.counts(), found.left_out, found.noticed, tuple(found.stops()))


@refusing()
def image_folder(folder, image_size=224, test_share=0.25, seed=0, cache=None, resample="nearest"):
    """A folder of images as a dataset; the images are decoded once and memory-mapped afterwards.

    Where the folder doesn't name its test images, they are the stated share of every class, to the nearest whole image:
    those with the smallest numbers drawn from their bytes and the seed. So copies stay in one split, renaming moves
    nothing, and adding or removing an image moves at most one other, of its own class. A class of two images or more
    has both training and test images. Photographs are turned upright as their EXIF data say.

    Args:
        folder: As for :func:`check_folder`.
        image_size: Side in pixels, or (height, width); default 224.
        test_share: Share of test images in each class, above 0 and below 1; default 0.25. Has no effect where the
            folder names its test images.
        seed: Seed of the draw, 0 or more; default 0.
        cache: Folder for the decoded images; None: a per-user cache folder.
        resample: How larger images are reduced; default "nearest". Give the same to ``ws.predict``.

    Returns:
        Dataset; its ``left_out`` and ``noticed`` tell what is wrong with it.

    Raises:
        FileNotFoundError, OSError: As for :func:`check_folder`.
        ValueError: As for :func:`check_folder`; or fewer than two classes, or no test images.
    """
    if not (isinstance(test_share, float) and 0 < test_share < 1):
        raise ValueError(f"test_share must be a share above 0 and below 1, such as 0.25; received {test_share!r}.")
    seed = check_whole("seed", seed, least=0)
    found = _Found(folder, image_size, cache, resample)
    for sentence in found.stops():
        raise ValueError(sentence)
    return found.dataset(test_share, seed)


class _Found:
    """The decoded images of a folder, with the problems of names and files."""

    def __init__(self, folder, image_size, cache, resample):
        self.size = check_size(image_size)
        check_resample(resample)
        path = pathlib.Path(folder).expanduser()
        listing = list_folder(path)
        self.name = printable(path.resolve().name)
        self.photographs = not (listing.root / SCENES).exists()
        self.divided = bool(listing.test)
        self.folder = _prepared_folder(path, self.size, cache, resample)
        self.lines = prepare(listing, self.size, self.folder, resample, upright=True)
        trained = {line["label"] for line in self.lines["train"] if "shape" in line}
        self.classes = tuple(name for label, name in enumerate(listing.classes) if label in trained)
        self._labels = {label: k for k, label in enumerate(sorted(trained))}
        self._problems(listing)

    def good(self, split):
        """Pairs (index among the decoded images, line) of a split's usable images."""
        decoded = [line for line in self.lines[split] if "shape" in line]
        return [(place, line) for place, line in enumerate(decoded) if line["label"] in self._labels]

    def labels(self, lines):
        return np.array([self._labels[line["label"]] for _, line in lines], int)

    def counts(self):
        """``FolderCheck.counts``."""
        columns = {"train": "train", "test": "test"} if self.divided else {"images": "train"}
        labels = {column: self.labels(self.good(split)) for column, split in columns.items()}
        return class_counts(self.classes, **labels)

    def stops(self):
        """Yield the sentences of ``FolderCheck.stops``."""
        if not self.classes:
            yield f"None of the images in '{self.name}' can be decoded: give others."
        elif len(self.classes) == 1:
            yield f"'{self.name}' has images of one class only ('{self.classes[0]}'): give at least two classes."
        elif self.divided and not self.good("test"):
            yield f"None of the test images in '{self.name}' can be used: give others, or leave the folder out."
        elif not self.divided and not _two_of_a_class(self.lines["train"]):
            yield (
                f"No class in '{self.name}' has two different images: give more, so that there are some to train on "
                "and some to test on."
            )

    def dataset(self, test_share, seed):
        """The images as a ``Dataset``."""
        chosen = {split: self.good(split) for split in SPLITS}
        noticed = dict(self.noticed)
        if not self.divided:
            tested = _divide([line for _, line in chosen["train"]], test_share, seed)
            chosen["test"] = [each for each in chosen["train"] if each[1]["sha256"] in tested]
            chosen["train"] = [each for each in chosen["train"] if each[1]["sha256"] not in tested]
        tests = np.bincount(self.labels(chosen["test"]), minlength=len(self.classes))
        for reason, found in ((NO_TEST, tests == 0), (FEW_TEST_IMAGES, (tests > 0) & (tests < FEW_TESTED))):
            if found.any():
                noticed[reason] = [self.classes[label] for label in np.flatnonzero(found)]
        splits = {split: self._split(split, lines) for split, lines in chosen.items()}
        return Dataset(
            self.name, self.classes, **splits, photographs=self.photographs, left_out=self.left_out, noticed=noticed
        )

    def _split(self, split, chosen):
        stored = split if self.divided else "train"
        places = [place for place, _ in chosen]
        return prepared_split(self.folder, stored, self.lines[stored], self.size, self.labels(chosen), places)

    def _problems(self, listing):
        left_out, noticed = collections.defaultdict(list), collections.defaultdict(list)
        for reason, names in listing.problems.items():
            (left_out if reason in LEFT_OUT else noticed)[reason] += names
        for line in (line for split in SPLITS for line in self.lines[split]):
            if "left_out" in line:
                left_out[line["left_out"]].append(line["file"])
            elif line["label"] not in self._labels:
                left_out[NOT_TRAINED].append(line["file"])
            else:
                for key, reason in (("plain", PLAIN), ("turned", TURNED)):
                    if key in line:
                        noticed[reason].append(line["file"])
                if any(side < full for side, full in zip(line["shape"], self.size, strict=False)):
                    noticed[f"smaller than {self.size[0]}×{self.size[1]} pixels"].append(line["file"])
        noticed |= find_copies({split: [line for _, line in self.good(split)] for split in SPLITS})
        sizes = self.counts().sum(axis=1)
        few = list(sizes.index[sizes < FEW])
        noticed |= {FEW_IMAGES: few} if few else {}
        if len(sizes) and sizes.max() > UNEQUAL * sizes.min():
            noticed[FAR_APART] = [f"{name}: {sizes[name]:,}" for name in (sizes.idxmin(), sizes.idxmax())]
        self.left_out, self.noticed = dict(left_out), dict(noticed)


def _two_of_a_class(lines):
    """Whether any class has two different images."""
    different = {(line["label"], line["sha256"]) for line in lines if "shape" in line}
    return len(different) > len({label for label, _ in different})


def _divide(lines, test_share, seed):
    """Set of the SHA-256 of the files that are test images."""
    classes, tested, trained = collections.defaultdict(set), set(), set()
    for line in lines:
        classes[line["label"]].add(line["sha256"])
    for _, digests in sorted(classes.items()):
        wanted = min(max(1, int(test_share * len(digests) + 0.5)), len(digests) - 1)
        # The same bytes in two classes are where the first of them has put them.
        free = sorted(digests - tested - trained, key=lambda digest: _draw(seed, digest))
        tested.update(free[: max(0, wanted - len(digests & tested))])
        trained |= digests - tested
    return tested


def _draw(seed, digest):
    return hashlib.sha256(f"{seed} {digest}".encode()).digest()


def _prepared_folder(path, size, cache, resample):
    """Where the decoded images of a folder are kept for one size."""
    place = hashlib.sha256(str(path.resolve()).encode(errors="replace")).hexdigest()[:8]
    readable = re.sub(r"\W+", "-", path.resolve().name, flags=re.ASCII).strip("-")[:40]
    base = pathlib.Path(cache).expanduser() if cache else default_cache()
    return base / "prepared" / f"own-{readable}-{place}--{size[0]}x{size[1]}--{resample}"
