"""Files that are whole or not there, locks, what the machine has, and the cache."""

import contextlib
import datetime
import errno
import hashlib
import json
import math
import os
import pathlib
import re
import secrets
import socket
import threading
import time

import numpy as np

# Files that are there whole or not at all.

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a full or failing disk says otherwise
_TEMPORARY = re.compile(r"\.tmp-\d+-[0-9a-f]{8}-.+", re.DOTALL)


@contextlib.contextmanager
def whole_file(path):
    """Open a file for writing bytes; it takes its name when the block ends, and not at all if it fails.

    Args:
        path: Where it is to be; what stands there before is replaced.

    Raises:
        OSError: It can't be written, the disk is full or fails; what stood there before stays. Only if the disk
            fails after the file has got its name does the new one stand there.
    """
    with _replacing(path) as temporary:
        file = open(temporary, "wb")  # noqa: SIM115 — closing must not hide why the block failed
        try:
            yield file
            file.flush()
            _sync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            raise
        file.close()


@contextlib.contextmanager
def whole_path(path):
    """Like :func:`whole_file`, for libraries that want a name to write to, such as Keras with ``.keras``.

    Args:
        path: Where the file is to be; what stands there before is replaced.

    Yields:
        ``pathlib.Path`` in the same folder, with the same suffixes, where the block has to write the file.

    Raises:
        OSError: As :func:`whole_file`; FileNotFoundError if the block wrote nothing there.
    """
    with _replacing(path) as temporary:
        yield temporary
        # Reading is enough for fsync, and some drives can't open for both; Windows wants to write.
        _sync_path(temporary, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def write_whole(path, text):
    """Write a text file (UTF-8) so that it is there whole or not at all.

    Raises:
        OSError: As :func:`whole_file`.
    """
    with whole_file(path) as file:
        file.write(text.encode())


def sweep(folder):
    """Remove the temporary files that killed processes left in a folder; one that can't be removed stays.

    Args:
        folder: A folder that nobody else writes to: a file that is being written looks the same. What lies deeper
            is not touched.

    Raises:
        OSError: The folder can't be read.
    """
    for name in os.listdir(folder):
        if _TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError):  # it costs space, nothing else
                os.unlink(os.path.join(folder, name))


@contextlib.contextmanager
def _replacing(path):
    """A path to write to, which takes the place of ``path`` when the block ends, and goes if it fails."""
    path = pathlib.Path(path)
    # Process ids are unique on one machine, and threads share one: hence the random digits.
    temporary = path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the caller must hear of the first failure
            temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # which has no descriptors of folders
        with contextlib.suppress(PermissionError):  # to write into a folder one need not be able to read it
            _sync_path(path.parent, os.O_RDONLY)


def _sync_path(path, flags):
    descriptor = os.open(path, flags)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor):
    """Wait until the disk has it; where the file system can't do that, go on without."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


# One owner for a folder that is being written.

BEAT = 10  # seconds between two signs of life of an owner
PATIENCE = 60  # seconds without one, after which an owner is taken for dead
POLL = 1  # seconds between two looks at another's signs of life
SETTLE = 2  # seconds between taking over and looking whether another did so too

_pause = time.sleep


class Held(RuntimeError):
    """Another process holds the folder; the text says which."""


@contextlib.contextmanager
def owner(folder, what):
    """Own a folder while the block runs.

    The lock is the kernel's where the file system has such locks: it goes with its process, however that ends.
    Where it has none, or perhaps a separate one on each machine (some mounted drives), the lock file itself is the
    lock: its owner rewrites it every ``BEAT`` seconds, and one that stays the same for ``PATIENCE`` seconds is taken
    over. No clocks are compared. That is safe on a drive that shows one machine's writes to the others within
    ``PATIENCE - BEAT`` seconds; two that take over at the same moment don't both go on if it does so within half of
    ``SETTLE``. Two machines with separate locks that start at the same moment in a folder that nobody holds both go
    on, and one of them says so after ``BEAT`` seconds.

    Args:
        folder: The folder; it must exist. Its lock is the file ``.lock`` inside.
        what: What is done there, for the sentence that others get: "prepared", "trained".

    Raises:
        Held: Another process holds it; the sentence names host, process and since when.
        OSError: The lock file can't be opened or written.
    """
    path = pathlib.Path(folder) / ".lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as file:
        certain = _wait(path, folder, what, _lock(file))
        mine = _myself()
        _write(file, mine)
        if not certain:
            _pause(SETTLE)
            content = _look(path)
            if content is not None and _read(content).get("token") != mine["token"]:
                raise _held(folder, what, content)
        with _beating(path, file, mine):
            yield


def _lock(file):
    """Whether the kernel's lock could be had; None where there is none."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):  # the latter from Windows' shares
        return False
    except (ImportError, OSError):
        return None


def _wait(path, folder, what, locked):
    """Return when nobody alive holds the folder: True if the kernel says so, False if the file does."""
    content = _look(path)
    holder = _read(content)
    if locked is False:
        raise _held(folder, what, content)
    here = holder.get("host") == socket.gethostname()
    if locked and (here or not holder):
        return True
    if content == b"" or (here and not _alive(holder["pid"])):
        return False
    name = _name(content)
    print(f"Waiting up to {PATIENCE} s to see whether '{folder}' is still being {what} by {name}.", flush=True)
    for _ in range(math.ceil(PATIENCE / POLL)):
        _pause(POLL)
        now = _look(path)
        if now == b"":  # done in the meantime
            return False
        if now not in (None, content):
            raise _held(folder, what, now if _read(now) else content)
    print(f"'{folder}' is taken over from {name}, who gave no sign of life for {PATIENCE} s.", flush=True)
    return False


@contextlib.contextmanager
def _beating(path, file, mine):
    """Give signs of life while the block runs, then empty the file, unless another took over."""
    stop = threading.Event()

    def beat():
        while not stop.wait(BEAT):
            content = _look(path)
            if _names_another(content, mine):
                print(f"'{path.parent}' was taken over by {_name(content)}; both may write there now.", flush=True)
                return
            mine["beat"] += 1
            with contextlib.suppress(OSError):  # a full disk, a drive that is gone: the next one may succeed
                _write(file, mine)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        # A forked child that leaves the block ends nothing.
        if os.getpid() == mine["pid"] and not _names_another(_look(path), mine):
            # The file stays: taking it away could take away the next owner's. If this fails, they find a dead owner.
            with contextlib.suppress(OSError):
                _write(file, None)


def _names_another(content, mine):
    holder = _read(content)
    return bool(holder) and holder.get("token") != mine["token"]


def _alive(pid):
    if os.name == "nt":  # where os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _myself():
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    # The token tells apart machines of one name and processes of one number.
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since, "token": secrets.token_hex(8), "beat": 0}


def _look(path):
    """The lock file's bytes, opened anew, as a drive may keep what an open file showed; None if it can't be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _read(content):
    """The owner whom a lock file names; {} if there is none that can be understood."""
    try:
        holder = json.loads(content or b"")
        known = isinstance(holder["host"], str) and isinstance(holder["pid"], int) and holder["pid"] > 0
        return holder if known else {}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}


def _name(content):
    holder = {"since": "?"} | _read(content)
    return "process {pid} on {host} since {since}".format(**holder) if "pid" in holder else "another process"


def _held(folder, what, content):
    return Held(f"'{folder}' is being {what} by {_name(content)}. Wait until it is done, or stop it.")


def _write(file, holder):
    text = json.dumps(holder).encode() if holder else b""
    file.seek(0)
    file.write(text)
    file.truncate(len(text))  # only now: nobody must find it empty in between
    os.close(os.dup(file.fileno()))  # mounted drives send what was written when a file is closed


# What this process may use of its machine.


def usable_cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def devices():
    """Names of the devices that Keras' backend computes on: "cpu:0", "gpu:0", …."""
    from wisesr_helpers._keras import keras

    if keras.backend.backend() != "torch":
        return keras.distribution.list_devices()
    import torch

    return [f"gpu:{k}" for k in range(torch.cuda.device_count())] or ["cpu:0"]  # Keras doesn't list torch's


# Arrays that are made once and memory-mapped afterwards.


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
    kept = _read_array(path, note)
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


def _read_array(path, note):
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
