"""Arrays that are made once and memory-mapped afterwards."""

import hashlib
import os
import pathlib

import numpy as np

from wisesr_helpers.files import whole_file, write_whole


def default_cache():
    """The per-user cache folder: ``WISESR_CACHE`` if set, else the platform's own."""
    import platformdirs

    return pathlib.Path(os.environ.get("WISESR_CACHE") or platformdirs.user_cache_dir("wisesr_helpers"))


def cached_array(folder, name, make):
    """``make()``'s array, kept as ``folder/name.npy`` and memory-mapped from there.

    The file appears under its name only when it is complete; its digest lies beside it.

    Args:
        folder: A path, or None to keep nothing on disk.
        name: File name without suffix; it must name everything the array depends on.
        make: Function without arguments that returns the array.

    Returns:
        The array and the SHA-256 of its bytes (hexadecimal).

    Raises:
        OSError: The folder can't be written, with the folder and the way out in the message.
    """
    if folder is None:
        array = make()
        return array, _digest(array)
    path = pathlib.Path(folder).expanduser() / f"{name}.npy"
    note = path.with_suffix(".sha256")
    kept = _read(path, note)
    if kept is not None:
        return kept
    array = make()
    digest = _digest(array)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.save(file, array)
        write_whole(note, digest)
    except OSError as error:
        raise OSError(
            f"The prepared images could not be kept in '{path.parent}' ({error.strerror or error}). "
            "Give another folder with data_dir, or free some space."
        ) from error
    return np.load(path, mmap_mode="r"), digest


def _read(path, note):
    """What is kept, if it is what was written; None if it is not there, and, with a word, if it is damaged."""
    if not (path.exists() and note.exists()):
        return None
    try:
        array, digest = np.load(path, mmap_mode="r"), note.read_text()
        if _digest(array) == digest:
            return array, digest
    except (OSError, ValueError, EOFError):
        pass
    print(f"'{path}' is damaged; it is made again.")
    return None


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
