"""Files that are written whole or not at all, locks on folders, the machine's devices, and the cache."""

import contextlib
import datetime
import errno
import hashlib
import json
import os
import pathlib
import re
import secrets
import socket

import filelock
import numpy as np

from wisesr_helpers._keras import keras

# Files that are written whole or not at all.

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a full or failing disk says otherwise
_TEMPORARY = re.compile(r"\.tmp-\d+-[0-9a-f]{8}-.+", re.DOTALL)


@contextlib.contextmanager
def whole_path(path):
    """A name in the same folder to write a file under; it becomes ``path`` when the block ends, and goes if it fails.

    For libraries that want a name, such as Keras; else :func:`whole_file`. It has the same suffixes.

    Raises:
        OSError: The file can't be written, or the disk is full or fails; what stood there before stays. Only if the
            disk fails after the renaming does the new file stand there.
        FileNotFoundError: The block wrote no file.
    """
    path = pathlib.Path(path)
    # Process ids are unique on one machine, and threads share one: hence the random digits.
    temporary = path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        # Reading is enough for fsync, and some drives can't open for both; Windows wants to write.
        _sync(temporary, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the caller must hear of the first failure
            temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # which has no descriptors of folders
        with contextlib.suppress(PermissionError):  # to write into a folder one need not be able to read it
            _sync(path.parent, os.O_RDONLY)


@contextlib.contextmanager
def whole_file(path):
    """As :func:`whole_path`, with the file open for writing bytes."""
    with whole_path(path) as temporary:
        file = open(temporary, "wb")  # noqa: SIM115 — closing must not hide why the block failed
        try:
            yield file
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            raise
        file.close()


def write_whole(path, text):
    """Write a text file (UTF-8) as :func:`whole_path` does."""
    with whole_file(path) as file:
        file.write(text.encode())


def sweep(folder):
    """Remove the temporary files that killed processes left in a folder, but not in its own folders.

    Nobody else may write to it, for a file that is being written looks the same. One that can't be removed stays.
    """
    for name in os.listdir(folder):
        if _TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError):  # it costs space, nothing else
                os.unlink(os.path.join(folder, name))


def _sync(path, flags):
    """Wait until a file or folder is on the disk; where the file system can't do that, go on without."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


# One process at a time writes to a folder.


class Held(RuntimeError):
    """Another process holds the folder; the text says which."""


@contextlib.contextmanager
def folder_lock(folder, what):
    """Hold a folder, which must exist, while the block runs, so that no other process writes to it.

    The lock is the kernel's, on ``.lock`` in the folder: it ends with its process, however that ends. Where the file
    system has no such locks (some mounted drives), it is the file ``.lock.soft``, which a killed process leaves
    behind: on the same machine it is then taken over, on another one the error says which file to delete.

    ``what`` is done to the folder, a participle for the error that others get, :class:`Held`: "prepared", "trained".
    """
    folder = pathlib.Path(folder)
    lock, note = _acquire(folder, what), folder / ".lock.json"
    try:
        since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        write_whole(note, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink()
        lock.release()


def _acquire(folder, what):
    try:
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(blocking=False)
        except (NotImplementedError, OSError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in {*_NOT_SUPPORTED, errno.ENOLCK}:
                raise
            lock = filelock.SoftFileLock(folder / ".lock.soft")
            lock.acquire(timeout=1)  # finding out that a holder is dead may take a second look
        return lock
    except filelock.Timeout as error:
        try:
            holder = json.loads((folder / ".lock.json").read_text())
            name = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, TypeError, KeyError):
            name = "another process"
        way_out = "Wait until it is done, or stop it."
        if isinstance(lock, filelock.SoftFileLock):
            way_out += f" If it is gone, delete '{lock.lock_file}'."
        raise Held(f"'{folder}' is being {what} by {name}. {way_out}") from error


# What this process may use of its machine.


def usable_cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def devices():
    """Names of the devices of Keras' backend: "cpu:0", "gpu:0", …."""
    if keras.backend.backend() != "torch":
        return keras.distribution.list_devices()
    import torch

    return [f"gpu:{k}" for k in range(torch.cuda.device_count())] or ["cpu:0"]  # Keras doesn't list torch's


def accelerators():
    """Names of the devices other than CPUs."""
    return [device for device in devices() if not device.startswith("cpu")]


# Arrays that are made once and memory-mapped afterwards.


def default_cache():
    """The per-user cache folder: ``WISESR_CACHE`` if set, else the platform's own."""
    import platformdirs

    return pathlib.Path(os.environ.get("WISESR_CACHE") or platformdirs.user_cache_dir("wisesr_helpers"))


def describe_size(size):
    """A number of bytes in words: "2.8 GB", "363 MB", "12 kB"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 1e3:.3g} kB"


def cached_array(folder, name, make):
    """An array and the SHA-256 of its bytes, made once by ``make()`` and kept as ``folder/name.npy``, memory-mapped.

    The name must say everything that the array depends on. ``folder=None`` keeps nothing on disk; an OSError names the
    folder and the way out.
    """
    if folder is None:
        array = make()
        return array, _digest(array)
    path = pathlib.Path(folder).expanduser() / f"{name}.npy"
    note = path.with_suffix(".sha256")
    if path.exists() and note.exists():
        with contextlib.suppress(OSError, ValueError, EOFError):
            array, digest = np.load(path, mmap_mode="r"), note.read_text()
            if _digest(array) == digest:
                return array, digest
        print(f"'{path}' is damaged; it is made again.")
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


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
