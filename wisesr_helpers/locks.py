"""One owner for a folder that is being written."""

import contextlib
import datetime
import json
import math
import os
import pathlib
import secrets
import socket
import threading
import time

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
