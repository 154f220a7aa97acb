"""Which image files anybody's folder or CSV names, of which class, and in which split; none is opened."""

import collections
import os
import pathlib

from wisesr_helpers.data.dataset import EXAMPLES, printable
from wisesr_helpers.data.disk import Disk, files_in, read_csv, subfolders
from wisesr_helpers.data.listings import ABSENT, OTHER_CASE, TWICE, TWO_CLASSES, Entry, made_listing

BESIDE = "beside the class folders"
EMPTY = "class folder without files"
NOT_TRAINED = "in a class without training images"
# Names of folders, in lower case, that hold a split; validation images are test images where there are no others.
TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
TAKES = (
    "give a folder with one subfolder for each class, one with such folders under 'train' and 'test', or a CSV with "
    "the columns filename and class"
)


def read_labelled(path):
    """The files of a folder with a subfolder for each class, or of a CSV.

    Args:
        path: A folder whose subfolders are the classes; or one with the folders "train" and "test" (or "val",
            "valid", "validation"), whose subfolders are; or a CSV (UTF-8) with the columns "filename", relative to
            the CSV and with slashes or backslashes, and "class". A folder that holds nothing but one folder with
            such folders stands for that one. With validation and test images, the former are training images.

    Returns:
        Listing; its test entries are empty where nothing says which they are.

    Raises:
        FileNotFoundError: There is nothing at ``path``, or nothing that the CSV lists.
        ValueError: ``path`` is no such folder or CSV, or names no image.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no folder or file '{path}'; {TAKES}.")
    if not path.is_dir():
        return _from_csv(path)
    path = _unwrapped(path)
    problems = collections.defaultdict(list)
    parts = _parts(path, problems)
    rows = {split: _rows(path, folders, problems) for split, folders in parts.items()}
    if not rows["train"]:
        beside = problems[BESIDE]
        held = f"; beside them are {len(beside):,} files ('{printable(beside[0])}', …)" if beside else ""
        raise ValueError(f"The folder '{path}' has no class folders with files{held}: {TAKES}.")
    labels = {name: label for label, name in enumerate(sorted({name for _, name in rows["train"]}))}
    problems[NOT_TRAINED] = [file for file, name in rows["test"] if name not in labels]
    entries = {
        split: [Entry(file, labels[name]) for file, name in found if name in labels] for split, found in rows.items()
    }
    return made_listing(path, map(printable, labels), entries["train"], entries["test"], problems)


def _unwrapped(path):
    """The folder, or the one inside it where an archive has wrapped it."""
    while not files_in(path):
        inner = list(subfolders(path))
        if len(inner) != 1 or not any(subfolders(inner[0])):
            break
        path = inner[0]
    return path


def _parts(path, problems):
    """Split → folders of classes; "test" has none where the folder isn't divided."""
    inner = list(subfolders(path))
    named = {names: [folder for folder in inner if folder.name.lower() in names] for names in (TRAIN, TEST, VALIDATION)}
    # A class may be called "train", too: then images are in it, not folders.
    divided = {names: [folder for folder in found if any(subfolders(folder))] for names, found in named.items()}
    if not divided[TRAIN]:
        problems[BESIDE] += _names(path, files_in(path))
        return {"train": [path], "test": []}
    test = divided[TEST] or divided[VALIDATION]
    train = divided[TRAIN] + (divided[VALIDATION] if divided[TEST] else [])
    others = [folder for folder in inner if folder not in train + test]
    problems[BESIDE] += _names(path, [*files_in(path), *others])
    problems[BESIDE] += [name for folder in train + test for name in _names(path, files_in(folder))]
    return {"train": train, "test": test}


def _rows(path, folders, problems):
    """Pairs (file, class name) of the class folders below some folders, sorted by class and name."""
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
    return [pathlib.Path(each).relative_to(path).as_posix() for each in found]


def _from_csv(path):
    if path.suffix.lower() != ".csv":
        raise ValueError(f"'{path}' is a file, and no CSV; {TAKES}.")
    problems = collections.defaultdict(list)
    try:
        rows = read_csv(path, problems)
    except ValueError as error:  # whose advice is about the archives of published datasets
        raise ValueError(f"{str(error).removesuffix(' Take the file from the archive again.')} Mend it.") from error
    if not rows:
        raise ValueError(f"'{path}' lists no image; {TAKES}.")
    disk, classes, noticed = Disk(path.parent), collections.defaultdict(list), collections.defaultdict(list)
    for listed, name in rows:
        file, found = disk.find(listed)
        if not found:
            problems[ABSENT].append(listed)
            continue
        noticed[OTHER_CASE] += [(file, listed)] if file != listed else []
        noticed[TWICE] += [(file, listed)] if name in classes[file] else []
        classes[file].append(name)
    if not classes:
        first = ", ".join(f"'{printable(name)}'" for name in problems[ABSENT][:EXAMPLES])
        raise FileNotFoundError(
            f"None of the {len(rows):,} images that '{path}' lists is there ({first}, …): write their paths relative "
            f"to the folder '{path.parent}'."
        )
    problems[TWO_CLASSES] = [file for file, names in classes.items() if len(set(names)) > 1]
    usable = {file: names[0] for file, names in classes.items() if len(set(names)) == 1}
    for reason, named in noticed.items():
        problems[reason] += [listed for file, listed in named if file in usable]
    labels = {name: label for label, name in enumerate(sorted(set(usable.values())))}
    train = [Entry(file, labels[name]) for file, name in usable.items()]
    return made_listing(path.parent, map(printable, labels), train, (), problems)
