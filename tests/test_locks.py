"""One owner for a folder: the second is told who holds it, a dead one's is taken over."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from wisesr_helpers.locks import Held, owner

HOLD = """
import sys
from wisesr_helpers.locks import owner
with owner(sys.argv[1], "prepared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that owns ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_holds_it(tmp_path, holder):
    with pytest.raises(Held) as told, owner(tmp_path, "prepared"):
        pass
    assert f"'{tmp_path}' is being prepared by process {holder.pid} on {socket.gethostname()} since 20" in str(
        told.value
    )


def test_a_dead_owners_lock_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == holder.pid  # it had no time to tidy up
    with owner(tmp_path, "prepared"):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_it_is_given_back_even_after_a_failure(tmp_path):
    with pytest.raises(KeyError), owner(tmp_path, "prepared"):
        raise KeyError
    with owner(tmp_path, "prepared"):
        pass


def without_kernel_locks(monkeypatch):
    """A drive that has no locks of the kernel's, as some mounted ones."""
    import fcntl

    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refused)


def test_without_the_kernels_locks_the_living_are_respected_and_the_dead_are_not(tmp_path, holder, monkeypatch):
    without_kernel_locks(monkeypatch)
    with pytest.raises(Held, match=f"process {holder.pid} "), owner(tmp_path, "prepared"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with owner(tmp_path, "prepared"):
        pass


def test_without_the_kernels_locks_another_host_is_believed(tmp_path, monkeypatch):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "2026-01-01 00:00:00+00:00"}))
    with pytest.raises(Held, match="process 1 on elsewhere since 2026-01-01"), owner(tmp_path, "prepared"):
        pass


def test_a_lock_file_with_nonsense_is_no_lock(tmp_path, monkeypatch):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text("{half a li")
    with owner(tmp_path, "prepared"):
        pass
