"""One process a folder: the second is told who holds it, a killed one's lock does not hold."""

import errno
import os
import socket
import subprocess
import sys

import filelock
import pytest

from wisesr_helpers.storage import Held, folder_lock

HOLD = """
import errno, os, sys
from wisesr_helpers.storage import folder_lock
if sys.argv[2]:
    import fcntl
    def no_locks(*_): raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))
    fcntl.flock = no_locks
with folder_lock(sys.argv[1], "trained"):
    print("holds", flush=True)
    sys.stdin.readline()
"""
kernel_or_not = pytest.mark.parametrize("no_locks", ["", errno.ENOTSUP, errno.ENOLCK], ids=["kernel", "soft", "nolck"])


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Start another process that holds ``tmp_path``; an error number takes the kernel's locks away from both."""
    started = []

    def start(no_locks=""):
        if no_locks:
            monkeypatch.setattr("fcntl.flock", refusing(no_locks))
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), str(no_locks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def refusing(number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    return flock


def files(folder):
    return {path.name for path in folder.iterdir()}


@kernel_or_not
def test_the_second_is_told_who_holds_it_until_it_ends(tmp_path, hold, no_locks):
    holder = hold(no_locks)
    with pytest.raises(Held) as told, folder_lock(tmp_path, "trained"):
        pass
    who = f"process {holder.pid} on {socket.gethostname()} since 20"
    assert str(told.value).startswith(f"'{tmp_path}' is being trained by {who}")
    way_out = f" If it is gone, delete '{tmp_path / '.lock.soft'}'." if no_locks else ""
    assert str(told.value).endswith(f". Wait until it is done, or stop it.{way_out}")
    holder.communicate("\n")
    with folder_lock(tmp_path, "trained"):
        pass
    assert files(tmp_path) <= {".lock"}


@kernel_or_not
def test_a_killed_process_holds_nothing(tmp_path, hold, no_locks):
    holder = hold(no_locks)
    holder.kill()
    holder.wait()
    assert ".lock.json" in files(tmp_path)  # it had no time to tidy up
    with folder_lock(tmp_path, "trained"):
        assert ".lock.json" in files(tmp_path)
    assert files(tmp_path) <= {".lock"}


def test_a_dead_holder_on_another_machine_without_locks_is_named_with_the_file_to_delete(tmp_path, hold):
    hold(errno.ENOTSUP).kill()
    soft = tmp_path / ".lock.soft"
    soft.write_text(soft.read_text().replace(socket.gethostname(), "elsewhere"))
    with pytest.raises(Held, match=f"If it is gone, delete '{soft}'."), folder_lock(tmp_path, "trained"):
        pass
    soft.unlink()
    with folder_lock(tmp_path, "trained"):
        pass


def test_the_same_process_cannot_hold_it_twice_and_a_failure_lets_go(tmp_path):
    def hold():
        with folder_lock(tmp_path, "trained"):
            with pytest.raises(Held, match=f"by process {os.getpid()} "), folder_lock(tmp_path, "trained"):
                pass
            raise KeyError

    with pytest.raises(KeyError):
        hold()
    with folder_lock(tmp_path, "trained"):
        pass


@pytest.mark.parametrize("left", ["", "{half a li", "[]", '{"pid": 7}'])
def test_a_holder_that_cannot_be_read_is_another_process(tmp_path, left):
    with filelock.FileLock(tmp_path / ".lock"):
        (tmp_path / ".lock.json").write_text(left)
        with pytest.raises(Held, match="is being prepared by another process. Wait"), folder_lock(tmp_path, "prepared"):
            pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_an_error_and_leaves_it_free(tmp_path, number, monkeypatch):
    real = os.replace

    def replace(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match=os.strerror(number)), folder_lock(tmp_path, "trained"):
        pass
    monkeypatch.setattr(os, "replace", real)
    with folder_lock(tmp_path, "trained"):
        pass
