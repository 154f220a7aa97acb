"""Arrays that are made once and memory-mapped afterwards."""

import hashlib
import os
import pathlib

import numpy as np


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
    if not (path.exists() and note.exists()):
        array = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, lambda file: np.save(file, array))
            _replace(note, lambda file: file.write(_digest(array).encode()))
        except OSError as error:
            raise OSError(
                f"The prepared images could not be kept in '{path.parent}' ({error.strerror or error}). "
                "Give another folder with data_dir, or free some space."
            ) from error
    return np.load(path, mmap_mode="r"), note.read_text()


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _replace(path, write):
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
