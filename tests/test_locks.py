"""One owner for a folder: the second is told who holds it, a dead one's is taken over."""

import contextlib
import errno
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import types

import pytest

from wisesr_helpers import storage
from wisesr_helpers.storage import Held, owner

# Owns a folder, and gives a sign of life for every line that it reads.
HOLD = """
import sys, threading, types
from wisesr_helpers import storage
folder, host, kernel = sys.argv[1:]
if host:
    storage.socket.gethostname = lambda: host
if not kernel:
    sys.modules["fcntl"] = None
class Told(threading.Event):
    def wait(self, seconds):
        print("ready", flush=True)
        return not sys.stdin.readline()
storage.threading = types.SimpleNamespace(Event=Told, Thread=threading.Thread)
storage.SETTLE = 0
with storage.owner(folder, "trained"):
    threading.Event().wait()
"""


@pytest.fixture
def hold(tmp_path):
    """Start another process that owns ``tmp_path``: ``hold(host="", kernel="yes")``."""
    started = []

    def start(host="", kernel="yes"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), host, kernel],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


class Waiting:
    """Stands in for sleeping: notes the seconds, and lets something happen meanwhile."""

    def __init__(self):
        self.seconds, self.meanwhile = [], lambda: None

    def __call__(self, seconds):
        self.seconds.append(seconds)
        self.meanwhile()


@pytest.fixture(autouse=True)
def waiting(monkeypatch):
    stand_in = Waiting()
    monkeypatch.setattr(storage, "_pause", stand_in)
    return stand_in


class Metronome:
    """Stands in for the event that the owner's thread waits for: it beats when told to."""

    def __init__(self):
        self.orders, self.waits = queue.Queue(), queue.Queue()

    def wait(self, seconds):
        self.waits.put(seconds)
        return self.orders.get()

    def set(self):
        self.orders.put(True)

    def beat(self):
        """Have the thread beat once, and return when it waits for the next."""
        assert self.waits.get(timeout=60) == 10
        self.orders.put(False)
        self.waits.put(self.waits.get(timeout=60))


@pytest.fixture
def metronome(monkeypatch):
    stand_in = Metronome()
    monkeypatch.setattr(storage, "threading", types.SimpleNamespace(Event=lambda: stand_in, Thread=threading.Thread))
    return stand_in


def without_kernel_locks(monkeypatch, reason=errno.ENOTSUP):
    """A drive that has no locks of the kernel's, as some mounted ones; None: a system that has none, as Windows."""
    if reason is None:
        monkeypatch.setitem(sys.modules, "fcntl", None)
        return
    import fcntl

    def refused(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", refused)


def another(**changes):
    """What a lock file of another machine's process holds."""
    holder = {"host": "elsewhere", "pid": 7, "since": "2026-01-01 00:00:00Z", "token": "theirs", "beat": 3}
    return json.dumps(holder | changes)


def content(folder):
    return json.loads((folder / ".lock").read_text())


def try_to_own(folder):
    with owner(folder, "trained"):
        assert content(folder)["pid"] == os.getpid()
    assert (folder / ".lock").read_text() == ""


ELSEWHERE = "process 7 on elsewhere since 2026-01-01 00:00:00Z"
kernel_or_not = pytest.mark.parametrize("kernel", [True, False], ids=["one machine's locks", "no locks"])


# With the kernel's locks


def test_the_second_is_told_who_holds_it(tmp_path, hold, waiting):
    holder = hold()
    with pytest.raises(Held) as told, owner(tmp_path, "trained"):
        pass
    name = f"process {holder.pid} on {socket.gethostname()} since 20"
    assert str(told.value).startswith(f"'{tmp_path}' is being trained by {name}")
    assert str(told.value).endswith(". Wait until it is done, or stop it.")
    assert waiting.seconds == []


def test_a_second_thread_is_no_better(tmp_path):
    with owner(tmp_path, "trained"), pytest.raises(Held, match=f"by process {os.getpid()} "):
        try_to_own(tmp_path)
    try_to_own(tmp_path)


def test_a_refusal_as_windows_shares_word_it_is_one(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch, errno.EACCES)
    with pytest.raises(Held, match=f"'{tmp_path}' is being trained by another process. Wait"):
        try_to_own(tmp_path)
    assert waiting.seconds == []


def test_a_dead_owners_lock_is_taken_over(tmp_path, hold, waiting, capsys):
    holder = hold()
    kill(holder)
    assert content(tmp_path)["pid"] == holder.pid  # it had no time to tidy up
    try_to_own(tmp_path)
    assert waiting.seconds == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("left", ["", "{half a li", "[]", "mine"])
def test_what_the_kernel_answers_for_is_taken_at_once(tmp_path, left, waiting, capsys):
    left = another(host=socket.gethostname(), pid=1) if left == "mine" else left  # 1 lives, but holds nothing
    (tmp_path / ".lock").write_text(left)
    try_to_own(tmp_path)
    assert waiting.seconds == []
    assert capsys.readouterr().out == ""


def test_a_lock_file_that_cannot_be_read_is_taken_at_once(tmp_path, monkeypatch, waiting):
    (tmp_path / ".lock").write_text(another())
    monkeypatch.setattr(storage, "_look", lambda path: None)
    with owner(tmp_path, "trained"):
        assert content(tmp_path)["pid"] == os.getpid()
    assert (tmp_path / ".lock").read_text() == ""
    assert waiting.seconds == []


# Where the lock file itself is the lock


@kernel_or_not
def test_a_dead_owner_on_another_machine_is_taken_over_after_a_while(
    tmp_path, hold, kernel, monkeypatch, waiting, capsys
):
    holder = hold(host="elsewhere", kernel="")
    kill(holder)
    if not kernel:
        without_kernel_locks(monkeypatch)
    name = f"process {holder.pid} on elsewhere since {content(tmp_path)['since']}"
    try_to_own(tmp_path)
    assert waiting.seconds == [1] * 60 + [2]
    assert capsys.readouterr().out.splitlines() == [
        f"Waiting up to 60 s to see whether '{tmp_path}' is still being trained by {name}.",
        f"'{tmp_path}' is taken over from {name}, who gave no sign of life for 60 s.",
    ]


@kernel_or_not
@pytest.mark.parametrize("after", [1, 60])
def test_a_living_owner_on_another_machine_is_respected(tmp_path, hold, kernel, after, monkeypatch, waiting):
    holder = hold(host="elsewhere", kernel="")
    if not kernel:
        without_kernel_locks(monkeypatch)

    def meanwhile():
        if len(waiting.seconds) == after:
            holder.stdin.write("beat\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "ready\n"

    waiting.meanwhile = meanwhile
    with pytest.raises(Held, match=f"being trained by process {holder.pid} on elsewhere since 20"):
        try_to_own(tmp_path)
    assert waiting.seconds == [1] * after  # told as soon as it is known
    assert content(tmp_path)["beat"] == 1


def test_a_living_owner_on_this_machine_is_respected(tmp_path, hold, monkeypatch, waiting):
    holder = hold(kernel="")
    without_kernel_locks(monkeypatch)

    def meanwhile():
        holder.stdin.write("beat\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "ready\n"

    waiting.meanwhile = meanwhile
    with pytest.raises(Held, match=f"process {holder.pid} on {socket.gethostname()} since 20"):
        try_to_own(tmp_path)
    assert waiting.seconds == [1]


@pytest.mark.parametrize("reason", [errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, None])
def test_a_dead_owner_on_this_machine_is_taken_over_at_once(tmp_path, hold, reason, monkeypatch, waiting, capsys):
    kill(hold(kernel=""))
    without_kernel_locks(monkeypatch, reason)
    try_to_own(tmp_path)
    assert waiting.seconds == [2]
    assert capsys.readouterr().out == ""


def test_a_living_process_that_got_a_dead_owners_number_is_found_out(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(another(host=socket.gethostname(), pid=os.getppid()))
    try_to_own(tmp_path)
    assert waiting.seconds == [1] * 60 + [2]


def test_nobodys_folder_is_taken_at_once(tmp_path, monkeypatch, waiting, capsys):
    without_kernel_locks(monkeypatch)
    try_to_own(tmp_path)
    try_to_own(tmp_path)
    assert waiting.seconds == [2, 2]
    assert capsys.readouterr().out == ""


def test_nonsense_may_be_somebodys_who_is_writing(tmp_path, monkeypatch, waiting, capsys):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text("{half a li")
    waiting.meanwhile = lambda: (tmp_path / ".lock").write_text(another())
    with pytest.raises(Held, match=f"is being trained by {ELSEWHERE}. Wait"):
        try_to_own(tmp_path)
    assert waiting.seconds == [1]
    assert "is still being trained by another process." in capsys.readouterr().out


def test_nonsense_that_stays_is_no_lock(tmp_path, monkeypatch, waiting, capsys):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text("{half a li")
    try_to_own(tmp_path)
    assert waiting.seconds == [1] * 60 + [2]
    assert f"'{tmp_path}' is taken over from another process, who gave" in capsys.readouterr().out


def test_a_name_that_turns_into_nonsense_is_still_told(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(another())
    waiting.meanwhile = lambda: (tmp_path / ".lock").write_text("{half a li")
    with pytest.raises(Held, match=ELSEWHERE):
        try_to_own(tmp_path)


@kernel_or_not
def test_an_owner_who_ends_is_waited_for_no_longer(tmp_path, kernel, monkeypatch, waiting, capsys):
    if not kernel:
        without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(another())

    def meanwhile():
        if len(waiting.seconds) == 5:
            (tmp_path / ".lock").write_text("")

    waiting.meanwhile = meanwhile
    try_to_own(tmp_path)
    assert waiting.seconds == [1] * 5 + [2]
    assert "taken over" not in capsys.readouterr().out


def test_a_drive_that_is_gone_for_a_moment_is_no_sign_of_life(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(another())
    look = storage._look
    monkeypatch.setattr(storage, "_look", lambda path: None if 3 < len(waiting.seconds) < 6 else look(path))
    try_to_own(tmp_path)
    assert waiting.seconds == [1] * 60 + [2]


def test_who_comes_second_while_both_take_over_leaves(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    waiting.meanwhile = lambda: (tmp_path / ".lock").write_text(another())
    with pytest.raises(Held, match="process 7 on elsewhere"):
        try_to_own(tmp_path)
    assert content(tmp_path)["token"] == "theirs"  # still its owner's


def test_who_finds_another_in_the_middle_of_a_rewrite_leaves_too(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    waiting.meanwhile = lambda: (tmp_path / ".lock").write_text("{half a li")
    with pytest.raises(Held, match="is being trained by another process"):
        try_to_own(tmp_path)


def test_a_drive_that_is_gone_while_that_is_looked_for_is_no_rival(tmp_path, monkeypatch, waiting):
    without_kernel_locks(monkeypatch)
    look = storage._look
    monkeypatch.setattr(storage, "_look", lambda path: None if waiting.seconds else look(path))
    with owner(tmp_path, "trained"):
        assert content(tmp_path)["pid"] == os.getpid()
    assert waiting.seconds == [2]


@pytest.mark.parametrize("rivals", [2, 5])
@pytest.mark.parametrize("left", ["", another()], ids=["nobody's", "a dead owner's"])
def test_of_those_who_take_over_at_the_same_moment_one_goes_on(tmp_path, left, rivals, monkeypatch):
    without_kernel_locks(monkeypatch)
    (tmp_path / ".lock").write_text(left)
    together = threading.Barrier(rivals)
    write = storage._write

    def write_after_all_have_looked(file, holder):
        if holder:
            together.wait(60)
        write(file, holder)

    def pause(seconds):
        if seconds == storage.SETTLE:  # all have written
            together.wait(60)

    monkeypatch.setattr(storage, "_write", write_after_all_have_looked)
    monkeypatch.setattr(storage, "_pause", pause)
    results, left_over = [], threading.Semaphore(0)

    def take():
        try:
            with owner(tmp_path, "trained"):
                results.append("owned")
                for _ in range(rivals - 1):  # the others look while this one owns the folder
                    left_over.acquire(timeout=60)
        except Held:
            results.append("held")
            left_over.release()

    threads = [threading.Thread(target=take) for _ in range(rivals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["held"] * (rivals - 1) + ["owned"]
    assert (tmp_path / ".lock").read_text() == ""


@pytest.mark.parametrize(
    "left",
    [b"", b"null", b"7", b"[]", b'"x"', b"{}", b"\xff\xfe", b"\0" * 120, b"[" * 100_000, b'{"host": "x"}']
    + [json.dumps({"host": host, "pid": pid}).encode() for host, pid in ((1, 1), ("x", "1"), ("x", 0), ("x", -1))],
)
def test_nobody_is_read_out_of_nonsense(left):
    assert storage._read(left) == {}
    assert storage._name(left) == "another process"


def test_who_is_alive_on_this_machine(monkeypatch):
    assert storage._alive(os.getpid())
    assert storage._alive(1)  # another user's, where tests don't run as root
    assert not storage._alive(2**31 - 1)
    assert not storage._alive(10**30)
    # On Windows os.kill ends the process that it is asked about.
    monkeypatch.setattr(storage, "os", types.SimpleNamespace(name="nt"))
    assert storage._alive(2**31 - 1)


# Signs of life


def test_an_owner_gives_signs_of_life(tmp_path, metronome, capsys):
    with owner(tmp_path, "trained"):
        first = content(tmp_path)
        for number in (1, 2, 3):
            metronome.beat()
            assert content(tmp_path) == first | {"beat": number}
    assert first["beat"] == 0
    assert (tmp_path / ".lock").read_text() == ""
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("failure", [None, KeyError])
def test_they_end_with_the_block(tmp_path, failure, monkeypatch):
    monkeypatch.setattr(storage, "BEAT", 10**6)  # and do so without waiting for the next
    before = threading.enumerate()
    with pytest.raises(KeyError) if failure else contextlib.nullcontext(), owner(tmp_path, "trained"):
        (thread,) = set(threading.enumerate()) - set(before)
        assert thread.daemon  # it keeps no process from ending
        if failure:
            raise failure
    assert threading.enumerate() == before
    try_to_own(tmp_path)


def test_a_sign_that_fails_disturbs_nobody(tmp_path, metronome, monkeypatch, capsys):
    write = storage._write
    with owner(tmp_path, "trained"):
        for error in (errno.ENOSPC, errno.EIO, errno.ENOTCONN):

            def fail(*_, error=error):
                raise OSError(error, os.strerror(error))

            monkeypatch.setattr(storage, "_write", fail)
            metronome.beat()
        assert content(tmp_path)["beat"] == 0
        monkeypatch.setattr(storage, "_write", write)
        metronome.beat()
        assert content(tmp_path)["beat"] == 4
    out = capsys.readouterr()
    assert out.out + out.err == ""


def test_a_deleted_folder_stays_deleted(tmp_path, metronome):
    folder = tmp_path / "run"
    folder.mkdir()
    with owner(folder, "trained"):
        shutil.rmtree(folder)
        metronome.beat()
        metronome.beat()
    assert not folder.exists()


def test_what_another_took_over_is_left_alone(tmp_path, metronome, capsys):
    with owner(tmp_path, "trained"):
        metronome.beat()
        (tmp_path / ".lock").write_text(another())
        metronome.set = lambda: None
        metronome.orders.put(False)  # the thread ends by itself
    assert (tmp_path / ".lock").read_text() == another()
    assert capsys.readouterr().out == f"'{tmp_path}' was taken over by {ELSEWHERE}; both may write there now.\n"


def test_a_lock_that_cannot_be_emptied_is_no_failure_of_what_was_done(tmp_path, monkeypatch):
    def fail(file, holder):
        raise OSError(errno.EIO, "Input/output error")

    with owner(tmp_path, "trained"):
        monkeypatch.setattr(storage, "_write", fail)
    assert content(tmp_path)["pid"] == os.getpid()


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def fail(file, holder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "_write", fail)
    with pytest.raises(OSError, match="No space left"):
        try_to_own(tmp_path)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        try_to_own(tmp_path / "nowhere")


def test_nobody_finds_the_file_empty_while_it_is_rewritten(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    found = []

    class Watched:
        """A file that is looked into after every call."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            def call(*arguments):
                result = getattr(self.file, name)(*arguments)
                found.append(path.read_bytes())
                return result

            return call

    with open(path, "r+b", buffering=0) as file:
        storage._write(Watched(file), {"a": "long" * 20})
        assert json.loads(found.pop()) == {"a": "long" * 20}
        found.clear()
        storage._write(Watched(file), {"a": 1})
        assert all(found)
        assert json.loads(found.pop()) == {"a": 1}
        storage._write(Watched(file), None)
        assert found.pop() == b""


def test_what_is_written_goes_out_while_the_file_stays_open(tmp_path, monkeypatch):
    duplicated, closed = [], []

    def dup(descriptor, original=os.dup):
        duplicated.append(original(descriptor))
        return duplicated[-1]

    def close(descriptor, original=os.close):
        closed.append((descriptor, json.loads((tmp_path / "lock").read_text())))
        original(descriptor)

    with open(tmp_path / "lock", "w+b", buffering=0) as file:
        monkeypatch.setattr(os, "dup", dup)
        monkeypatch.setattr(os, "close", close)
        storage._write(file, {"a": 1})
        monkeypatch.undo()
        assert closed == [(duplicated[0], {"a": 1})]
        assert os.path.samestat(os.fstat(file.fileno()), (tmp_path / "lock").stat())


FORK = """
import os, pathlib, sys
from wisesr_helpers.storage import owner
folder = pathlib.Path(sys.argv[1])
with owner(folder, "trained"):
    before = (folder / ".lock").read_text()
    child = os.fork()
    if child == 0:
        sys.exit()  # leaves the block
    assert os.waitpid(child, 0)[1] == 0
    assert (folder / ".lock").read_text() == before != ""
assert (folder / ".lock").read_text() == ""
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_ends_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
