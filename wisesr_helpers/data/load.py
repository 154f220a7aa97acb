"""Load a dataset by its name: find it, check it, and prepare its images once."""

import hashlib
import os
import pathlib

from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.data.images import check_resample, check_size
from wisesr_helpers.data.listings import ABSENT, MALFORMED, TWO_CLASSES, UNKNOWN, read_arrays, read_listing
from wisesr_helpers.data.prepare import (
    PLAIN,
    SAME_BYTES,
    SPLITS,
    TWO_LABELS,
    find_copies,
    is_intact,
    prepare,
    prepared_split,
    read_account,
    read_header,
)
from wisesr_helpers.data.sources import find, get_source, missing
from wisesr_helpers.storage import default_cache

# Why a file is in no split; for every other reason it is only noticed, and used.
LEFT_OUT = (ABSENT, UNKNOWN, MALFORMED, TWO_CLASSES)


def load_dataset(name, image_size, data_dir=None, resample="nearest", strict=False):
    """A dataset, prepared for one image size.

    Args:
        name: One of ``data.sources.SOURCES``, such as "mit".
        image_size: Side in pixels, or (height, width).
        data_dir: Folder to search first, and to keep the prepared images in; None: the per-user cache folder.
        resample: How images are resized, one of ``data.images.RESAMPLING``; default "nearest", as the authors'.
        strict: Refuse a dataset with which anything is wrong; default False.

    Returns:
        Dataset; its ``left_out`` and ``noticed`` tell what is wrong with it.

    Raises:
        FileNotFoundError: The dataset is not on this machine; the message says where it was looked for, and how to
            get it.
        ValueError: An unknown name, an invalid argument, lists that can't be read, or ``strict`` and something is
            wrong.
        Held: Another process is preparing the dataset.
        OSError: The folder for the prepared images can't be written.
    """
    source = get_source(name)
    size = check_size(image_size)
    check_resample(resample)
    root = find(source, data_dir)
    folder = prepared_folder(source, size, data_dir, resample)
    header = read_header(folder) if root is None else None
    if root is None and header is None:
        raise FileNotFoundError(missing(source, data_dir))
    if source.classes:
        dataset = _from_arrays(source, root, size)
    elif root is not None:
        print(f"{source.title} is in '{root}'.")
        listing = read_listing(source, root)
        accounts = prepare(listing, size, folder, resample)
        dataset = _from_prepared(source, folder, size, listing.classes, accounts, listing.problems)
    else:
        print(f"{source.title}: the files are gone; taken as they were prepared in '{folder}'.")
        accounts = {split: read_account(folder, split)[1] for split in SPLITS}
        if not is_intact(folder, accounts):
            damaged = f"The prepared images in '{folder}' are damaged, and their files are gone."
            raise ValueError(f"{damaged} {missing(source, data_dir)}")
        dataset = _from_prepared(source, folder, size, header["classes"], accounts, header["problems"])
    if strict and (dataset.left_out or dataset.noticed):
        raise ValueError(f"{source.title} is not as it should be: {'; '.join(dataset.report())}.")
    return dataset


def prepared_folder(source, size, data_dir=None, resample="nearest"):
    """Folder of a dataset's prepared images; below the cache folder if ``data_dir`` can't be written."""
    base = pathlib.Path(data_dir).expanduser() if data_dir else default_cache()
    existing = next((path for path in (base, *base.parents) if path.exists()), base)
    if not os.access(existing, os.W_OK):
        base = default_cache()
    return base / "prepared" / f"{source.name}--{size[0]}x{size[1]}--{resample}"


def is_prepared(source, image_size, data_dir=None):
    """Whether :func:`load_dataset` would have nothing to download and nothing to decode."""
    if source.classes:
        return find(source, data_dir) is not None
    return read_header(prepared_folder(source, (image_size, image_size), data_dir)) is not None


def _from_prepared(source, folder, size, classes, accounts, problems):
    left_out = {reason: list(problems[reason]) for reason in problems if reason in LEFT_OUT}
    noticed = {reason: list(problems[reason]) for reason in problems if reason not in LEFT_OUT}
    for line in accounts["train"] + accounts["test"]:
        if "left_out" in line:
            left_out.setdefault(line["left_out"], []).append(line["file"])
        if "plain" in line:
            noticed.setdefault(PLAIN, []).append(line["file"])
    for split in SPLITS:
        if not any("shape" in line for line in accounts[split]):
            raise ValueError(
                f"{source.title} has no {split} image that can be decoded: "
                f"{'; '.join(f'{len(names)} {reason}' for reason, names in left_out.items())}. Get it again."
            )
    splits = {split: prepared_split(folder, split, accounts[split], size) for split in SPLITS}
    copies = find_copies(accounts)
    noticed |= {reason: copies[reason] for reason in (SAME_BYTES, TWO_LABELS) if reason in copies}
    return Dataset(source.title, tuple(classes), photographs=True, left_out=left_out, noticed=noticed, **splits)


def _from_arrays(source, root, size):
    *arrays, problems = read_arrays(source, root)
    height, width = arrays[0][0].shape[1:3]
    if height > size[0] or width > size[1]:
        raise ValueError(f"{source.title} has images of {height}×{width} pixels; ask for no smaller image size.")
    splits = {
        split: Split(images, labels, hashlib.sha256(images.data).hexdigest(), size)
        for split, (images, labels) in zip(SPLITS, arrays, strict=True)
    }
    return Dataset(source.title, source.classes, photographs=True, left_out=problems, **splits)
