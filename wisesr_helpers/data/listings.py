"""Read datasets on a disk as the authors' code or Keras reads them: lists and folders of image files, and arrays."""

import collections
import csv
import dataclasses
import itertools
import os
import pathlib
import pickle
from collections.abc import Mapping

import numpy as np

from wisesr_helpers.data.images import printable

# Reasons in ``Listing.problems``.
MALFORMED = "malformed line"
UNKNOWN = "unknown label"
ABSENT = "listed but absent"
TWICE = "listed twice"
TWO_CLASSES = "listed under two classes"
BOTH_SPLITS = "in train and test"
OTHER_CASE = "found under other case"
NO_TRAINING = "class without training images"

MIT_FOLDERS = (
    "indoorCVPR_09/Images",
    "indoorCVPR_09/indoorCVPR_09/Images",
    "indoorCVPR_09/Images/Images",
    "Images",
    "Images/Images",
    "",
)
SAMPLE = 30  # how many listed files decide which folder the images lie in
AGAIN = "Delete it and get it again"


class FileFinder:
    """Finds files below a folder; each subfolder is read once, as looking up every file is slow on mounted drives."""

    def __init__(self, root):
        self.root = root
        self._read = {}

    def find(self, path):
        """(path as on disk, whether it is a file), by its exact name or else by one in other upper and lower case."""
        actual, is_folder = self._look(path)
        return actual, is_folder is False

    def _look(self, path):
        """Path on disk; True for a folder, False for a file, None if absent."""
        if not path:
            return "", True
        head, _, tail = path.rpartition("/")
        if head not in self._read:
            actual, is_folder = self._look(head)
            names = _scan(os.path.join(self.root, actual)) if is_folder else {}
            self._read[head] = actual, names, {name.casefold(): name for name in sorted(names, reverse=True)}
        parent, names, folded = self._read[head]
        tail = tail if tail in names else folded.get(tail.casefold(), tail)
        return (f"{parent}/{tail}" if parent else tail), names.get(tail)


def exist(folder, *names):
    """Whether the folder can be read and holds all of these names."""
    return all(os.path.exists(folder / name) for name in names)


def folder_with(root, names, below=("",)):
    """The first of the folders ``below`` a path that holds all these names; None if none does."""
    return next((root / inner for inner in below if exist(root / inner, *names)), None)


def _scan(folder):
    """Name → whether it is a folder; empty where the folder can't be read."""
    try:
        with os.scandir(folder) as items:
            return {item.name: item.is_dir() for item in items}
    except OSError:
        return {}


def subfolders(root):
    """The subfolders in alphabetical order, but for hidden ones and those that macOS leaves in archives."""
    names = sorted(name for name, is_folder in _scan(root).items() if is_folder)
    return [pathlib.Path(root) / name for name in names if not name.startswith(".") and name != "__MACOSX"]


def files_in(folder):
    """The files in alphabetical order, but for those that file managers leave behind."""
    names = sorted(name for name, is_folder in _scan(folder).items() if not is_folder)
    return [folder / n for n in names if not n.startswith(".") and n.lower() not in ("thumbs.db", "desktop.ini")]


def read_lines(path):
    """The lines of a UTF-8 text file, without their ends (LF or CRLF); ValueError where it can't be read."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.rstrip("\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ValueError(f"'{path}' can't be read ({why}). Correct it, or get it again.") from error


def read_csv(path, problems):
    """Pairs (path, class name) of a CSV with the columns filename and class; backslashes become slashes."""
    reader = csv.reader(read_lines(path))
    try:
        header = [column.strip() for column in next(reader, [])]
        if not {"filename", "class"} <= set(header):
            raise ValueError(
                f"'{path}' needs the columns 'filename' and 'class', separated by a comma; it has "
                f"{', '.join(map(repr, header)) or 'none'}. Correct it, or get it again."
            )
        rows, (file, kind) = [], (header.index("filename"), header.index("class"))
        for row in reader:
            if len(row) > max(file, kind) and row[file].strip() and row[kind].strip():
                rows.append((row[file].strip().replace("\\", "/").removeprefix("./"), row[kind].strip()))
            elif row:
                problems[MALFORMED].append(",".join(row))
    except csv.Error as error:
        raise ValueError(f"'{path}' is not a CSV file ({error}). Correct it, or get it again.") from error
    return rows


# Image files: which there are, in which split, of which class. No image is decoded here.


@dataclasses.dataclass(frozen=True)
class Entry:
    """One image file: its path relative to the listing's root, with forward slashes, and its label."""

    path: str
    label: int


@dataclasses.dataclass(frozen=True, eq=False)
class Listing:
    """The image files of a dataset.

    Attributes:
        root: Folder that the entries' paths start from.
        classes: Class names; a label is an index into them.
        train: Training entries, in the order of the list, or by class and name where there is no list.
        test: Test entries, likewise.
        problems: Reason → names, each once, as :func:`wisesr_helpers.data.images.printable` gives them. Entries
            "listed but absent", with an "unknown label", in a "malformed line" or "listed under two classes" are in
            no split; an entry "listed twice" is in its split once; others are used.
    """

    root: pathlib.Path
    classes: tuple[str, ...]
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]
    problems: Mapping[str, tuple[str, ...]]


def read_listing(source, root):
    """The :class:`Listing` of a dataset that comes as image files, in the folder that ``sources.find`` found.

    ValueError where a list can't be read or a split has no usable image, FileNotFoundError where one is missing.
    """
    base = source.base(root)
    problems = collections.defaultdict(list)
    folder, classes, train, test = source.read(base, problems)
    for split, entries in (("training", train), ("test", test)):
        if not entries:
            counts = ", ".join(f"{len(names)} {reason}" for reason, names in problems.items() if names)
            raise ValueError(
                f"{source.title} at '{base}' has no usable image in its {split} split ({counts or 'it is empty'}). "
                "Unpack the whole archive there, or give another folder."
            )
    in_train = {entry.path for entry in train}
    problems[BOTH_SPLITS] += [entry.path for entry in test if entry.path in in_train]
    trained = {entry.label for entry in train}
    problems[NO_TRAINING] += [name for label, name in enumerate(classes) if label not in trained]
    return make_listing(folder, classes, train, test, problems)


def make_listing(root, classes, train, test, problems):
    """A ``Listing`` that names each problem once, in printable characters."""
    problems = {reason: tuple(map(printable, dict.fromkeys(names))) for reason, names in problems.items() if names}
    return Listing(root, tuple(classes), tuple(train), tuple(test), problems)


def sub_imagenet(base, problems):
    """``train.csv`` and ``test.csv``; the classes are the sorted ones of train.csv, as Keras' flow_from_dataframe."""
    rows = {split: read_csv(base / f"{split}.csv", problems) for split in ("train", "test")}
    labels = class_labels(name for _, name in rows["train"])
    finder, splits = FileFinder(base), []
    for split, listed in rows.items():
        inner = (f.relative_to(base).as_posix() for place in (base, *subfolders(base)) for f in subfolders(place))
        start = _image_folder(finder, [path for path, _ in listed], itertools.chain([""], inner), f"{split}.csv")
        splits.append(usable_entries(finder, [(start + path, name) for path, name in listed], labels, problems))
    return base, list(labels), *splits


def intel(base, problems):
    """The folders ``seg_train/seg_train/<class>`` and ``seg_test/seg_test/<class>``; ``seg_pred`` has no labels."""
    folders = {}
    for split in ("seg_train", "seg_test"):
        folders[split] = base / split
        while (folders[split] / split).is_dir():
            folders[split] /= split
    labels = class_labels(folder.name for folder in subfolders(folders["seg_train"]))
    splits = []
    for folder in folders.values():
        splits.append(usable_entries(FileFinder(base), _files_by_class(base, folder), labels, problems))
    return base, list(labels), *splits


def mit(base, problems):
    """``TrainImages.txt`` and ``TestImages.txt``, lines ``class/file``; the folder's name on disk is the class."""
    lists = mit_lists(base)
    listed = []
    for name in ("TrainImages.txt", "TestImages.txt"):
        lines = [line.strip() for line in read_lines(lists / name)]
        listed.append([line for line in lines if _is_class_and_file(line)])
        problems[MALFORMED] += [line for line in lines if line and not _is_class_and_file(line)]
    start = _image_folder(FileFinder(base), listed[0], MIT_FOLDERS, "TrainImages.txt")
    finder = FileFinder(base / start)
    rows = [[(path, finder.find(path)[0].split("/")[0]) for path in paths] for paths in listed]
    labels = class_labels(name for _, name in rows[0])
    return base / start, list(labels), *(usable_entries(finder, split, labels, problems) for split in rows)


def _is_class_and_file(line):
    return line.count("/") == 1 and all(line.split("/"))


def tiny_imagenet(base, problems):
    """``train/<wnid>/images`` and ``val``: the validation split is "test" here, as the test images have no labels."""
    labels = class_labels(line.strip() for line in read_lines(base / "wnids.txt") if line.strip())
    pairs = (line.partition("\t") for line in read_lines(base / "words.txt"))
    words = {wnid: text.split(",")[0].strip() for wnid, _, text in pairs}
    names = [words.get(wnid) or wnid for wnid in labels]
    classes = [f"{name} ({wnid})" if names.count(name) > 1 else name for name, wnid in zip(names, labels, strict=True)]
    train, test = _files_by_class(base, base / "train", "images"), []
    for line in read_lines(base / "val" / "val_annotations.txt"):
        columns = line.split("\t")
        if len(columns) >= 2 and all(columns[:2]):
            test.append((f"val/images/{columns[0]}", columns[1].strip()))
        elif line.strip():
            problems[MALFORMED].append(line)
    finder = FileFinder(base)
    return base, classes, *(usable_entries(finder, rows, labels, problems) for rows in (train, test))


def _files_by_class(base, folder, inner=""):
    """Pairs (path below ``base``, class name) of the files in the class folders of a folder."""
    files = ((image, kind.name) for kind in subfolders(folder) for image in files_in(kind / inner))
    return [(image.relative_to(base).as_posix(), name) for image, name in files]


def class_labels(names):
    """Class name → label, in alphabetical order."""
    return {name: label for label, name in enumerate(sorted(set(names)))}


def usable_entries(finder, rows, labels, problems):
    """Entries of the usable ones of ``rows``, pairs (path, class name); the others are added to ``problems``."""
    entries, contradicted, noticed = {}, {}, []
    for path, name in rows:
        actual, found = finder.find(path)
        if name not in labels:
            problems[UNKNOWN].append(path)
        elif not found:
            problems[ABSENT].append(path)
        elif actual in entries and entries[actual].label != labels[name]:
            contradicted[actual] = True
        elif actual in entries:
            noticed.append((TWICE, actual, path))
        else:
            entries[actual] = Entry(actual, labels[name])
            noticed += [(OTHER_CASE, actual, path)] if actual != path else []
    for actual in contradicted:  # neither class is the truer one
        del entries[actual]
    problems[TWO_CLASSES] += contradicted
    for reason, actual, path in noticed:
        problems[reason] += [path] if actual in entries else []
    return list(entries.values())


def _image_folder(finder, paths, folders, listed_in):
    """Which of ``folders`` holds most of some listed files, as a prefix: "" or ending in a slash."""
    best, most = None, 0
    sample = paths[:: 1 + len(paths) // SAMPLE]  # from all over the list, as a whole class may be absent
    for folder in folders:
        start = f"{folder}/" if folder else ""
        hits = sum(finder.find(start + path)[1] for path in sample)
        if hits > most:
            best, most = start, hits
        if 2 * hits > len(sample):
            break
    if best is None:
        if not paths:
            raise ValueError(f"'{listed_in}' in '{finder.root}' lists no image. Unpack the archive there again.")
        raise FileNotFoundError(
            f"The images that '{listed_in}' lists are not in '{finder.root}' or its subfolders: there is no "
            f"'{printable(paths[0])}', for example. Unpack the whole archive there, or give the folder that holds them."
        )
    return best


def mit_lists(root):
    """The folder of MIT's two lists: ``root``, or one of its subfolders that the images lie beside."""
    has_images = any(exist(root, images) for images in MIT_FOLDERS[:-1])
    beside = subfolders(root) if has_images else ()
    lists = (folder for folder in (root, *beside) if exist(folder, "TrainImages.txt", "TestImages.txt"))
    return next(lists, None)


# MNIST and CIFAR-10 come as arrays, from where Keras or their own archives put them.


def read_arrays(source, root):
    """A dataset that comes as arrays: ``((x_train, y_train), (x_test, y_test), problems)``.

    Images are uint8 (N, 28, 28) or (N, 32, 32, 3), contiguous, labels int64 (N,); ``problems`` is a dict, reason →
    names ("train/17", by split and index) of the images left out.
    """
    splits, unknown = [], []
    for split, (images, labels, path) in source.read(source.base(root)).items():
        known = (labels >= 0) & (labels < len(source.classes))
        if not known.any():
            raise ValueError(
                f"'{path}' has no image with a label from 0 to {len(source.classes) - 1} in its {split} split. {AGAIN}."
            )
        unknown += [f"{split}/{index}" for index in np.flatnonzero(~known)]
        # A copy of 150 MB only where something is left out.
        splits.append((images, labels) if known.all() else (images[known], labels[known]))
    return *splits, {UNKNOWN: tuple(unknown)} if unknown else {}


def mnist(base):
    """Split → (images (N, 28, 28), labels (N,), file)."""
    path = base / "mnist.npz"
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys if key in archive}
    except Exception as error:  # a damaged archive raises whatever its damage hits
        raise _damaged(path, "an .npz archive of plain arrays", error) from error
    if len(arrays) < len(keys):
        raise ValueError(f"'{path}' lacks {', '.join(key for key in keys if key not in arrays)}. {AGAIN}.")
    return {
        split: (*_checked(arrays[f"x_{split}"], arrays[f"y_{split}"], (28, 28), path), path)
        for split in ("train", "test")
    }


def cifar10(base):
    """Split → (images (N, 32, 32, 3), labels (N,), file or folder)."""
    batches = [_cifar10_batch(base / f"data_batch_{number}") for number in range(1, 6)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return {"train": (images, labels, base), "test": (*_cifar10_batch(base / "test_batch"), base / "test_batch")}


def _cifar10_batch(path):
    """One pickled batch: images (N, 32, 32, 3), labels (N,)."""
    try:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
            batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
            images, labels = batch["data"], np.asarray(batch["labels"])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"'{path.name}' is missing in '{path.parent}'. Unpack the archive again.") from error
    except Exception as error:  # a damaged pickle raises whatever its damage hits
        raise _damaged(path, "a batch of CIFAR-10 (a pickled dict of 'data' and 'labels')", error) from error
    images, labels = _checked(images, labels, (3072,), path)
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels  # planes → (N, 32, 32, 3)


def _checked(images, labels, shape, path):
    """Images uint8 (N, *shape) and labels int64 (N,), or one sentence on what they are instead."""
    good_images = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == shape
    good_labels = labels.dtype.kind in "iu" and labels.shape in ((labels.size,), (labels.size, 1))
    if not (good_images and images.ndim > len(shape) and good_labels and len(images) == labels.size > 0):
        received = f"{getattr(images, 'dtype', type(images).__name__)} {getattr(images, 'shape', '')}".strip()
        raise ValueError(
            f"'{path}' should hold uint8 images (N, {', '.join(map(str, shape))}) and N whole-number labels; it holds "
            f"{received} and {labels.dtype} {labels.shape}. {AGAIN}."
        )
    return np.ascontiguousarray(images), labels.reshape(-1).astype(np.int64)


def _damaged(path, expected, error):
    return ValueError(f"'{path}' is damaged or not {expected} ({str(error) or type(error).__name__}). {AGAIN}.")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays, dicts, lists, bytes and numbers; a pickle that asks for more could run code, and is refused.

    Keras unpickles CIFAR-10 without such a look, but only what it has downloaded and checked itself.
    """

    def find_class(self, module, name):
        module = module.replace("numpy.core", "numpy._core")  # as NumPy 1 wrote it
        if f"{module} {name}" not in (
            "numpy._core.multiarray _reconstruct", "numpy ndarray", "numpy dtype", "_codecs encode",
        ):  # fmt: skip
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module, name)
