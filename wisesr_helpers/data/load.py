"""A dataset by name: found, checked, prepared once, and ready to be trained on."""

import collections
import hashlib
import numbers
import os
import pathlib

import numpy as np

from wisesr_helpers.data import arrays, listings
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.data.images import RESAMPLING
from wisesr_helpers.data.locate import find, missing
from wisesr_helpers.data.prepare import PLAIN, SPLITS, PreparedImages, is_intact, prepare, read_account, read_header
from wisesr_helpers.data.sources import get_source
from wisesr_helpers.storage import default_cache

# Why a file is in no split; every other reason is only noticed, and the file is used.
LEFT_OUT = (listings.ABSENT, listings.UNKNOWN, listings.MALFORMED, listings.TWO_CLASSES)
SAME_BYTES = "in train and test, byte for byte"
TWO_LABELS = "same bytes, different labels"


def load_dataset(name, image_size, data_dir=None, resample="nearest", strict=False):
    """A dataset, prepared for one image size.

    Args:
        name: One of ``catalogue.SOURCES``.
        image_size: Side in pixels, or (height, width).
        data_dir: Where to look first, and where the prepared images are kept; None: the per-user cache folder.
        resample: How images are resized, one of ``decode.RESAMPLING``; the authors' is "nearest".
        strict: Refuse a dataset of which anything was left out or noticed.

    Returns:
        Dataset; its ``left_out`` and ``noticed`` tell what is wrong with it.

    Raises:
        FileNotFoundError: It is not on this machine; the places looked in, and how to get it.
        ValueError: An unknown name, a value that can't be used, lists that can't be read, or ``strict`` and something
            is wrong.
        Held: Another process is preparing it.
        OSError: The folder for the prepared images can't be written.
    """
    source = get_source(name)
    size = check_size(image_size)
    check_resample(resample)
    root = find(name, data_dir)
    if name in arrays.CLASSES:
        if root is None:
            raise FileNotFoundError(missing(name, data_dir))
        dataset = _from_arrays(source, root, size)
    else:
        folder = prepared_folder(name, size, data_dir, resample)
        if root is not None:
            print(f"{source.title} is in '{root}'.")
            listing = listings.read_listing(name, root)
            accounts = prepare(listing, size, folder, resample)
            classes, problems = listing.classes, listing.problems
        else:
            header = read_header(folder)
            if header is None:
                raise FileNotFoundError(missing(name, data_dir))
            print(f"{source.title}: the files are gone; taken as they were prepared in '{folder}'.")
            accounts = {split: read_account(folder, split)[1] for split in SPLITS}
            if not is_intact(folder, accounts):
                damaged = f"The prepared images in '{folder}' are damaged, and their files are gone."
                raise ValueError(f"{damaged} {missing(name, data_dir)}")
            classes, problems = tuple(header["classes"]), header["problems"]
        dataset = _from_prepared(source, folder, size, classes, accounts, problems)
    if strict and (dataset.left_out or dataset.noticed):
        raise ValueError(f"{source.title} is not as it should be: {'; '.join(dataset.report())}.")
    return dataset


def check_size(image_size):
    """The size of images that was asked for, as a pair.

    Args:
        image_size: Side in pixels, or (height, width); NumPy's whole numbers count as such.

    Returns:
        (height, width), two ``int``.

    Raises:
        ValueError: It is neither.
    """
    try:
        pair = (image_size, image_size) if isinstance(image_size, numbers.Integral) else tuple(image_size)
    except TypeError:  # 224.0 or None: nothing that has members
        pair = ()
    whole = [side for side in pair if isinstance(side, numbers.Integral) and not isinstance(side, bool) and side > 0]
    if len(pair) != 2 or len(whole) != 2:
        raise ValueError(
            "image_size must be a side in pixels or (height, width), in whole numbers of 1 or more, such as 224 or "
            f"(224, 320); received {image_size!r}."
        )
    return tuple(map(int, pair))


def check_resample(resample):
    """Refuse what is no way of resizing.

    Raises:
        ValueError: It is none; the valid ones are listed.
    """
    if resample not in RESAMPLING:
        raise ValueError(f"Unknown resample {resample!r}. Valid: {', '.join(RESAMPLING)}.")


def prepared_folder(name, size, data_dir=None, resample="nearest"):
    """Where the images of a dataset are kept for one size; the cache folder if ``data_dir`` can't be written."""
    base = pathlib.Path(data_dir).expanduser() if data_dir else default_cache()
    existing = next((path for path in (base, *base.parents) if path.exists()), base)
    if not os.access(existing, os.W_OK):
        base = default_cache()
    return base / "prepared" / f"{name}--{size[0]}x{size[1]}--{resample}"


def is_prepared(name, image_size, data_dir=None):
    """Whether :func:`load_dataset` would have nothing to download and nothing to decode."""
    if name in arrays.CLASSES:
        return find(name, data_dir) is not None
    return read_header(prepared_folder(name, (image_size, image_size), data_dir)) is not None


def _from_prepared(source, folder, size, classes, accounts, problems):
    left_out = {reason: list(problems[reason]) for reason in problems if reason in LEFT_OUT}
    noticed = {reason: list(problems[reason]) for reason in problems if reason not in LEFT_OUT}
    splits = {}
    for split in SPLITS:
        good = [line for line in accounts[split] if "shape" in line]
        for line in accounts[split]:
            if "left_out" in line:
                left_out.setdefault(line["left_out"], []).append(line["file"])
            if "plain" in line:
                noticed.setdefault(PLAIN, []).append(line["file"])
        if not good:
            raise ValueError(
                f"{source.title} has no {split} image that can be decoded: "
                f"{'; '.join(f'{len(names)} {reason}' for reason, names in left_out.items())}. Get it again."
            )
        digest = hashlib.sha256("".join(line["sha256"] + line["pixels"] for line in good).encode()).hexdigest()
        images = PreparedImages(folder / f"{split}.images", [tuple(line["shape"]) for line in good])
        splits[split] = Split(images, np.array([line["label"] for line in good]), digest, size)
    noticed |= _copies(accounts)
    return Dataset(source.title, tuple(classes), photographs=True, left_out=left_out, noticed=noticed, **splits)


def _copies(accounts):
    """Files with the same bytes: across the splits, and within the training split under different labels."""
    train = collections.defaultdict(list)
    for line in accounts["train"]:
        if "sha256" in line:
            train[line["sha256"]].append(line)
    found = {
        SAME_BYTES: [line["file"] for line in accounts["test"] if line.get("sha256") in train],
        TWO_LABELS: [
            line["file"] for lines in train.values() if len({line["label"] for line in lines}) > 1 for line in lines
        ],
    }
    return {reason: names for reason, names in found.items() if names}


def _from_arrays(source, root, size):
    classes, *splits, problems = arrays.read_arrays(source.name, root)
    smaller = any(side > target for side, target in zip(splits[0][0].shape[1:3], size, strict=True))
    if smaller:
        height, width = splits[0][0].shape[1:3]
        raise ValueError(f"{source.title} has images of {height}×{width} pixels; ask for no smaller image size.")
    made = {
        split: Split(images, labels, hashlib.sha256(images.data).hexdigest(), size)
        for split, (images, labels) in zip(SPLITS, splits, strict=True)
    }
    return Dataset(source.title, classes, photographs=True, left_out=problems, **made)
