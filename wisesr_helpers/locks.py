"""One owner for a folder that is being written."""

import contextlib
import datetime
import json
import os
import pathlib
import socket


class Held(RuntimeError):
    """Another process holds the folder; the text says which."""


@contextlib.contextmanager
def owner(folder, what):
    """Own a folder while the block runs.

    The lock is the kernel's where the file system has such locks: it goes with its process, however that ends.
    Where it has none (some mounted drives), the lock file itself is the lock; one left behind by a process that
    ended on this machine is taken over.

    Args:
        folder: The folder; it must exist. Its lock is the file ``.lock`` inside.
        what: What is done there, for the sentence that others get: "prepared", "trained".

    Raises:
        Held: Another process holds it; the sentence names host, process and since when.
    """
    path = pathlib.Path(folder) / ".lock"
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
    try:
        held = file.read()
        if not _take(file, held):
            holder = _read(held)
            raise Held(
                f"'{folder}' is being {what} by process {holder.get('pid', '?')} on {holder.get('host', '?')} since "
                f"{holder.get('since', '?')}. Wait until it is done, or stop it."
            )
        _write(file, json.dumps(_myself()))
        try:
            yield
        finally:
            _write(file, "")  # the file stays: taking it away could take away the next owner's
    finally:
        file.close()


def _take(file, held):
    """Whether the kernel's lock could be had; where there is none, whether nobody alive is in the file."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        holder = _read(held)
        return not holder or (holder["host"] == socket.gethostname() and not _alive(holder["pid"]))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _myself():
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _read(text):
    try:
        holder = json.loads(text)
        return holder if isinstance(holder, dict) else {}
    except ValueError:
        return {}


def _write(file, text):
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
