"""Files are there whole or not at all, one process holds a folder, and an array is made once."""

import contextlib
import errno
import hashlib
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import threading

import filelock
import numpy as np
import pytest

from wisesr_helpers import storage
from wisesr_helpers.storage import Held, cached_array, default_cache, folder_lock, sweep, whole_file, whole_path

NEW = b"new" * 100  # less than the buffer of an open file


def with_file(path, content=NEW, failure=None):
    with whole_file(path) as file:
        file.write(content)
        if failure:
            raise failure


def with_path(path, content=NEW, failure=None):
    with whole_path(path) as temporary:
        temporary.write_bytes(content)
        if failure:
            raise failure


both = pytest.mark.parametrize("write", [with_file, with_path])


def state(folder):
    """What lies in a folder, hidden files included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=[b"old", None], ids=["replaced", "first"])
def target(tmp_path, request):
    path = tmp_path / "e0001.weights.h5"
    if request.param is not None:
        path.write_bytes(request.param)
    return path


def failing(number, only=lambda *_: True, original=None):
    """A function that fails with an error of the system's where ``only`` says so."""

    def fail(*arguments, **options):
        if only(*arguments):
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    return fail


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


# Whole files


@both
def test_the_file_is_synced_whole_before_it_has_its_name_and_the_folder_after(target, write, monkeypatch):
    before, happened = state(target.parent), []

    def fsync(descriptor, original=os.fsync):
        happened.append("folder" if is_folder(descriptor) else os.fstat(descriptor).st_size)
        original(descriptor)

    def replace(source, destination, original=os.replace):
        happened.append("renamed")
        found = state(target.parent)
        assert found.pop(pathlib.Path(source).name) == NEW
        assert found == before
        original(source, destination)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write(target)
    assert happened == [len(NEW), "renamed", "folder"]
    assert state(target.parent) == {target.name: NEW}


def test_names_and_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with_file("x")
    with_path("y.tar.gz")
    storage.write_whole("z", "× 1\n")
    assert state(tmp_path) == {"x": NEW, "y.tar.gz": NEW, "z": b"\xc3\x97 1\n"}
    with whole_path("two words.keras") as temporary:
        assert temporary.name.startswith(".tmp-")
        assert temporary.name.endswith("-two words.keras")  # Keras looks at the suffix
        temporary.touch()


@both
@pytest.mark.parametrize("failure", [KeyError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_half_way_changes_nothing(target, write, failure):
    before = state(target.parent)
    with pytest.raises(failure):
        write(target, failure=failure)
    with pytest.raises(FileNotFoundError), whole_path(target):
        pass  # writes nothing
    assert state(target.parent) == before


@both
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF])
def test_a_disk_that_fails_changes_nothing(target, write, number, call, monkeypatch):
    before = state(target.parent)
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write(target)
    assert state(target.parent) == before


FULL = """
import pathlib, resource, signal, sys
from wisesr_helpers.storage import whole_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # from there on, the system refuses as a full disk does
try:
    with whole_file(sys.argv[1]) as file:
        file.write(bytes(9_000))
        file.write(bytes(1_500))
        if sys.argv[2] == "failing":
            raise KeyError("what went wrong first")
except (OSError, KeyError) as error:
    print(repr(error))
"""


@pytest.mark.parametrize(
    ("block", "told"),
    [("fine", "OSError(27, 'File too large')"), ("failing", "KeyError('what went wrong first')")],
)
def test_what_cannot_be_flushed_changes_nothing_and_hides_nothing(target, block, told):
    before = state(target.parent)
    done = subprocess.run([sys.executable, "-c", FULL, str(target), block], capture_output=True, text=True)
    assert done.stdout.strip() == told, done.stderr
    assert state(target.parent) == before


@both
def test_the_first_failure_is_told_where_tidying_up_fails_too(target, write, monkeypatch):
    before = state(target.parent)
    monkeypatch.setattr(os, "replace", failing(errno.ENOSPC))
    monkeypatch.setattr(pathlib.Path, "unlink", failing(errno.EROFS))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write(target)
    assert state(target.parent).items() > before.items()
    monkeypatch.undo()
    sweep(target.parent)
    assert state(target.parent) == before


@both
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_sync_is_put_up_with(tmp_path, write, number, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(number))
    write(tmp_path / "x")
    assert state(tmp_path) == {"x": NEW}


@both
def test_a_folder_that_may_not_be_read_is_no_hindrance_and_one_that_fails_is_told(tmp_path, write, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(errno.EACCES, lambda path, *_: path == tmp_path, os.open))
        write(tmp_path / "x")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, is_folder, os.fsync))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write(tmp_path / "y")
    assert state(tmp_path) == {"x": NEW, "y": NEW}  # the disk failed after the renaming


@both
def test_threads_do_not_write_into_one_temporary_file(tmp_path, write):
    contents = [bytes([number]) * 300_000 for number in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "x", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (only,) = state(tmp_path).values()
    assert only in contents


@both
def test_no_descriptor_is_left_open(tmp_path, write, monkeypatch):
    def lowest():
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = lowest()
    for number in (None, errno.EIO, errno.EINVAL):
        if number:
            monkeypatch.setattr(os, "fsync", failing(number))
        with contextlib.suppress(OSError):
            write(tmp_path / "x")
    assert lowest() == before


KILLED = """
import os, pathlib, sys
from wisesr_helpers.storage import whole_path
with whole_path(pathlib.Path(sys.argv[1]) / "model.keras") as place:
    place.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_swept_up(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(state(tmp_path)) == 2
    sweep(tmp_path)
    assert state(tmp_path) == {"model.keras": b"old"}


def test_nothing_else_is_swept_up(tmp_path, monkeypatch):
    others = ".lock|record.json|.tmp|.tmp-|.tmp-1-x|.tmp-1-0123456-x|.tmp-1-01234567-|.tmp-1-0123456g-x".split("|")
    others += [".tmp-x-01234567-x", "x.tmp-1-01234567-x", ".x.npy.12345", ".tmp-7-01234567-busy"]
    for name in (*others, ".tmp-1-01234567-x", ".tmp-4194304-89abcdef-e0001.weights.h5", ".tmp-1-01234567-a\nb"):
        (tmp_path / name).touch()
    (tmp_path / ".tmp-1-01234567-folder").mkdir()
    (tmp_path / ".tmp-1-01234567-folder" / ".tmp-1-01234567-x").touch()
    monkeypatch.setattr(os, "unlink", failing(errno.EBUSY, lambda path: "busy" in path, os.unlink))
    sweep(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".tmp-1-01234567-folder"}
    assert len(list(tmp_path.rglob("*"))) == len(others) + 2
    with pytest.raises(FileNotFoundError):
        sweep(tmp_path / "nowhere")


def test_windows_has_no_descriptors_of_folders(tmp_path, monkeypatch):
    opened = []

    class Windows:
        name = "nt"

        def __getattr__(self, name):
            return self.note if name == "open" else getattr(os, name)

        def note(self, path, flags, *rest):
            opened.append((os.path.isdir(path), flags))
            return os.open(path, flags, *rest)

    monkeypatch.setattr(storage, "os", Windows())
    with_path(tmp_path / "x")
    with_file(tmp_path / "x")
    assert opened == [(False, os.O_RDWR)] * 2


# One process a folder

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
            monkeypatch.setattr("fcntl.flock", failing(no_locks))
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
    assert set(state(tmp_path)) <= {".lock"}


@kernel_or_not
def test_a_killed_process_holds_nothing(tmp_path, hold, no_locks):
    holder = hold(no_locks)
    holder.kill()
    holder.wait()
    assert ".lock.json" in state(tmp_path)  # it had no time to tidy up
    with folder_lock(tmp_path, "trained"):
        assert ".lock.json" in state(tmp_path)
    assert set(state(tmp_path)) <= {".lock"}


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
def test_a_folder_that_cannot_be_written_is_an_error_and_stays_free(tmp_path, number, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(number))
        with pytest.raises(OSError, match=os.strerror(number)), folder_lock(tmp_path, "trained"):
            pass
    with folder_lock(tmp_path, "trained"):
        pass


# Arrays that are made once


def numbers(shape=(5, 4, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


@pytest.mark.parametrize("array", [numbers(), numbers().T, numbers()[:, ::2], numbers().astype("float32")])
@pytest.mark.parametrize("kept", [True, False])
def test_an_array_is_made_once_and_mapped_with_its_digest(tmp_path, array, kept, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, calls = tmp_path / "new" / "folder" if kept else None, []
    for _ in range(2):
        loaded, digest = cached_array(folder, "x", lambda: calls.append("made") or array)
        np.testing.assert_array_equal(loaded, array)
        assert loaded.dtype == array.dtype
        assert digest == hashlib.sha256(array.tobytes(order="C")).hexdigest()
        assert isinstance(loaded, np.memmap) == kept
    assert len(calls) == (1 if kept else 2)
    assert list(tmp_path.iterdir()) == ([tmp_path / "new"] if kept else [])
    other = numbers(seed=2)
    np.testing.assert_array_equal(cached_array(folder, "other", lambda: other)[0], other)


def test_making_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cached_array(tmp_path, "x", lambda: 1 / 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("only", [".npy", ".sha256"])
def test_writing_that_fails_leaves_nothing_that_is_taken(tmp_path, monkeypatch, only):
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(errno.EIO, lambda _, target: target.suffix == only, os.replace))
        with pytest.raises(OSError, match="could not be kept"):
            cached_array(tmp_path, "x", lambda: numbers(seed=1))
    other = numbers(seed=2)
    np.testing.assert_array_equal(cached_array(tmp_path, "x", lambda: other)[0], other)


@pytest.mark.parametrize("damage", ["half", "digest", "pixels"])
def test_what_is_damaged_is_made_again(tmp_path, damage, capsys):
    cached_array(tmp_path, "x", numbers)
    data = (tmp_path / "x.npy").read_bytes()
    if damage == "digest":
        (tmp_path / "x.sha256").unlink()
    else:
        (tmp_path / "x.npy").write_bytes(data[:-9] if damage == "half" else data[:-1] + bytes([data[-1] ^ 1]))
    np.testing.assert_array_equal(cached_array(tmp_path, "x", numbers)[0], numbers())
    assert (tmp_path / "x.npy").read_bytes() == data
    assert ("is damaged; it is made again." in capsys.readouterr().out) == (damage != "digest")


def test_a_folder_that_cannot_be_written_is_answered_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"could not be kept in '.*file/x' \(.+\)\. Give another folder with data_dir"):
        cached_array(tmp_path / "file" / "x", "x", numbers)


def test_the_default_folder_follows_the_environment_and_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WISESR_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
    monkeypatch.delenv("WISESR_CACHE")
    assert default_cache().is_relative_to(pathlib.Path.home())
    monkeypatch.setenv("HOME", str(tmp_path))
    cached_array("~/kept", "x", numbers)
    assert (tmp_path / "kept" / "x.npy").exists()
