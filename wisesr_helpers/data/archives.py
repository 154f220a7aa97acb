"""Zip archives from the internet: checked before they are believed, unpacked so that nothing leaves the folder."""

import contextlib
import errno
import lzma
import os
import pathlib
import shutil
import stat
import struct
import zipfile
import zlib

# What zipfile raises on damaged input, beside its own error.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError)


class DamagedArchive(ValueError):
    """The archive is not what was sent; a new download may help."""


class UnsafeArchive(ValueError):
    """The archive is whole, but unpacking it could do harm."""


def describe_size(size):
    """Bytes as people say them: "2.8 GB", "363 MB", "12 kB"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 1e3:.3g} kB"


def check_space(folder, needed):
    """Make sure that the disk has room.

    Args:
        folder: A folder that exists.
        needed: Bytes that are going to be written.

    Raises:
        OSError: There is less room, with both numbers in the message.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"the disk has {describe_size(free)} free and about {describe_size(needed)} are needed; free some space "
            "or give a folder on another disk with data_dir (--data-dir)."
        )


def check_archive(path, limit, size=None):
    """Read a zip archive from end to end, without writing anything.

    Args:
        path: The archive.
        limit: Bytes that it may unpack to at the most.
        size: Bytes that the archive itself must have; None where that is not known.

    Raises:
        DamagedArchive: Wrong size, no zip archive, no entries, or an entry whose checksum is wrong.
        UnsafeArchive: It unpacks to more than ``limit``, or holds an entry that is a link or leaves the folder.
        OSError: It can't be read.
    """
    found = os.path.getsize(path)
    if size is not None and found != size:
        raise DamagedArchive(f"the archive '{path}' has {found:,} bytes instead of {size:,}.")
    try:
        with _reading(path) as archive:
            _check_entries(archive, limit)
            bad = archive.testzip()
    except OSError as error:
        # bz2 says "Invalid data stream" without a number, and a damaged offset seeks before the start.
        if error.errno in (None, errno.EINVAL):
            raise DamagedArchive(f"'{path}' is not an intact zip archive.") from error
        raise
    if bad is not None:
        raise DamagedArchive(f"the archive '{path}' is damaged (its entry '{bad}' fails the checksum).")


def unpack(path, folder, limit):
    """Unpack a zip archive: ``folder`` appears when everything is in it, or not at all.

    Names are treated as Python's ``zipfile`` does, so a backslash is part of a name except on Windows.

    Args:
        path: The archive.
        folder: Where its entries go; it must not exist, or be empty.
        limit: Bytes that may be written at the most.

    Raises:
        DamagedArchive, UnsafeArchive: As for :func:`check_archive`.
        OSError: It can't be read, or the folder not written.
    """
    folder = pathlib.Path(folder)
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    try:
        with _reading(path) as archive:
            entries = _check_entries(archive, limit)
            check_space(folder.parent, sum(entry.file_size for entry in entries))
            temporary.mkdir()
            written = 0
            for entry in _with_progress(entries):
                target = archive.extract(entry, temporary)
                # Counted on disk, whatever the headers state; of one entry zipfile writes no more than they do.
                written += 0 if entry.is_dir() else os.path.getsize(target)
                if written > limit:
                    raise _too_large(archive, limit)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _reading(path):
    """The open archive; whatever zipfile raises on damaged bytes becomes a DamagedArchive."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (DamagedArchive, UnsafeArchive):
        raise
    except _DAMAGE as error:
        raise DamagedArchive(f"'{path}' is not an intact zip archive.") from error


def _check_entries(archive, limit):
    entries = archive.infolist()
    if not entries:
        raise DamagedArchive(f"the archive '{archive.filename}' is empty.")
    for entry in entries:
        # Checked as Windows reads it, the strictest: either slash separates, a drive letter or a slash leads out.
        path = pathlib.PureWindowsPath(entry.filename)
        if path.anchor or ".." in path.parts:
            raise UnsafeArchive(
                f"the archive '{archive.filename}' is refused: its entry '{entry.filename}' would leave the folder."
            )
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(
                f"the archive '{archive.filename}' is refused: its entry '{entry.filename}' is a link or a device."
            )
    if sum(entry.file_size for entry in entries) > limit:
        raise _too_large(archive, limit)
    return entries


def _too_large(archive, limit):
    return UnsafeArchive(
        f"the archive '{archive.filename}' is refused: it unpacks to more than the {describe_size(limit)} that are "
        "expected at the most."
    )


def _with_progress(entries):
    try:
        from tqdm import tqdm  # comes with kaggle
    except ImportError:
        return entries
    return tqdm(entries, desc="Unpacking", unit=" files")
