"""Download a dataset: from Kaggle with its own client, or with Keras where Keras has it."""

import contextlib
import errno
import os
import pathlib
import tempfile

from wisesr_helpers.data.archives import (
    DamagedArchive,
    UnsafeArchive,
    check_archive,
    describe_size,
    unpack,
)
from wisesr_helpers.data.cache import default_cache
from wisesr_helpers.data.catalogue import get_source, how_to_get
from wisesr_helpers.data.kaggle_client import FetchError, download
from wisesr_helpers.data.locate import holds
from wisesr_helpers.locks import owner

LEAVINGS = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave in folders that were only looked at


def fetch(name, data_dir=None):
    """Download a dataset, unless it is there already.

    Each step can be repeated after the process was killed: a half download goes on, a whole and checked archive is
    not downloaded again, a half unpacked folder is made anew.

    Args:
        name: One of the catalogue's names, such as "mit".
        data_dir: Folder that gets ``downloads/<archive>.zip`` and ``<name>/``; None for :func:`default_cache`.
            MNIST and CIFAR-10 go where Keras keeps its datasets, whatever is given here.

    Returns:
        The dataset's folder, a ``pathlib.Path``.

    Raises:
        ValueError: There is no such dataset, or its archive is damaged twice over or not safe to unpack.
        Held: Another process is downloading into the same folder.
        OSError: No network, no access, no room, a folder that can't be written or holds something else, or no kaggle
            package.
    """
    source = get_source(name)
    if source.kaggle:
        base = default_cache() if data_dir is None else pathlib.Path(data_dir).expanduser()
        folder, step = base / name, _from_kaggle
    else:
        folder = pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
        step = _from_keras
    failure = f"{source.title} could not be fetched to '{folder}':"
    try:
        step(source, folder)
    except (DamagedArchive, UnsafeArchive) as error:
        raise type(error)(f"{failure} {error} {how_to_get(source, folder)}") from None
    except OSError as error:
        # Without the client's own exception: its text holds signed addresses.
        raise FetchError(f"{failure} {_reason(error)} {how_to_get(source, folder)}") from None
    return folder


def _reason(error):
    if error.errno is None:  # a sentence of this package
        return str(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full; free some space and repeat, finished steps are kept."
    place = f": '{error.filename}'" if error.filename else ""
    return (
        f"a file or folder can't be used ({error.strerror}{place}); "
        "give a folder that can be written with data_dir (--data-dir)."
    )


def _from_kaggle(source, folder):
    if _is_there(source, folder):
        print(f"{source.title} is already in '{folder}'.", flush=True)
        return
    downloads = folder.parent / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=downloads):  # the client would try five times to write to a read-only folder
        pass
    with owner(downloads, "downloaded into"):
        archive = _archive(source, folder, downloads)
        print(f"Unpacking '{archive}' to '{folder}'.", flush=True)
        for name in LEAVINGS:  # only an empty folder can be replaced
            (folder / name).unlink(missing_ok=True)
        try:
            unpack(archive, folder, source.unpacked_bytes)
        except DamagedArchive:  # since it was checked
            _remove(archive)
            raise
    if not holds(source.name, folder):
        raise FetchError(
            f"what the archive '{archive}' held is in that folder, but not arranged as the dataset is read here, so it "
            "may have been rearranged on Kaggle. To repeat this changes nothing."
        )
    print(f"{source.title} is ready in '{folder}'; the archive '{archive}' may be deleted.", flush=True)


def _is_there(source, folder):
    """Whether the dataset is in the folder, where it would be loaded from; False if nothing is."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} <= set(LEAVINGS):
        return False
    if not holds(source.name, folder):
        raise FetchError(
            "the folder is not empty and does not hold the dataset; move it away, or delete it, and repeat."
        )
    return True


def _archive(source, folder, downloads):
    """The path of the dataset's archive, downloaded if need be, and checked."""
    path = downloads / f"{source.kaggle.split('/')[1]}.zip"
    note = _note(path)
    if path.exists():
        with contextlib.suppress(OSError, ValueError):  # no note, or none that can be read
            if note.read_text() == _stamp(path):
                print(f"'{path}' is already downloaded and checked.", flush=True)
                return path
        with contextlib.suppress(DamagedArchive):  # half of it, or one that was never checked
            return _checked(path, source)
    size = "of unknown size" if source.zip_bytes is None else f"of {describe_size(source.zip_bytes)}"
    print(
        f"Fetching {source.title}, an archive {size}, from {source.address} to '{folder}'; terms: {source.terms}.",
        flush=True,
    )
    try:
        download(source, downloads, path)
        return _checked(path, source)
    except DamagedArchive as error:
        # An address that expires during a download leaves an error page within the archive.
        print(f"Once more from the start: {error}", flush=True)
        _remove(path)
    try:
        download(source, downloads, path)
        return _checked(path, source)
    except DamagedArchive:
        _remove(path)
        raise


def _checked(path, source):
    print(f"Checking '{path}'.", flush=True)
    check_archive(path, source.unpacked_bytes, source.zip_bytes)
    _note(path).write_text(_stamp(path))
    return path


def _stamp(path):
    status = path.stat()
    return f"{status.st_size} bytes, modified at {status.st_mtime_ns} ns\n"


def _note(path):
    """The file that says that this archive was checked."""
    return path.with_name(f"{path.name}.verified")


def _remove(path):
    partial = path.with_name(f"{path.name}.kaggle-partial")  # where the client notes what it may go on with
    for file in (_note(path), partial, path):
        file.unlink(missing_ok=True)


def _from_keras(source, folder):
    where = f"'{folder}' (KERAS_HOME sets where)"
    print(f"Fetching {source.title} with Keras to {where}; terms: {source.terms}.", flush=True)
    try:
        from wisesr_helpers._keras import keras

        getattr(keras.datasets, source.name).load_data()
    except OSError:
        raise
    except Exception as error:
        if str(error).startswith("URL fetch failure"):
            raise FetchError("its server could not be reached; repeat with a working network.") from None
        raise FetchError(f"Keras says: {error}") from error
