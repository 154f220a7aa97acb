"""Files are there whole or not at all; what killed processes left can be swept up."""

import errno
import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading
import zipfile

import pytest

from wisesr_helpers import storage
from wisesr_helpers.storage import sweep, whole_file, whole_path, write_whole

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
old_or_none = pytest.mark.parametrize("old", [b"old", None], ids=["replaced", "first"])


def state(folder):
    """What lies in a folder, hidden files included."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def target(tmp_path, old):
    path = tmp_path / "e0001.weights.h5"
    if old is not None:
        path.write_bytes(old)
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


def is_file(descriptor):
    return not is_folder(descriptor)


@both
@old_or_none
def test_it_is_there_when_the_block_ends_and_not_before(target, write, old, monkeypatch):
    seen = []

    def replace(source, destination, original=os.replace):
        seen.append(state(target.parent))
        original(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    write(target)
    assert state(target.parent) == {target.name: NEW}
    (before,) = seen
    assert before.pop(target.name, None) == old
    assert list(before.values()) == [NEW]


@both
def test_a_name_is_enough(tmp_path, write, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("x")
    assert state(tmp_path) == {"x": NEW}


def test_text_is_utf_8_with_its_own_line_ends(tmp_path):
    write_whole(tmp_path / "x", "× 1\n")
    assert (tmp_path / "x").read_bytes() == b"\xc3\x97 1\n"


@both
@pytest.mark.parametrize("failure", [KeyError, KeyboardInterrupt, SystemExit])
@old_or_none
def test_a_block_that_fails_half_way_changes_nothing(target, write, failure, old):
    before = state(target.parent)
    with pytest.raises(failure):
        write(target, failure=failure)
    assert state(target.parent) == before


@both
@old_or_none
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_changes_nothing(target, write, old, number, call, monkeypatch):
    before = state(target.parent)
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write(target)
    assert state(target.parent) == before


FULL = """
import contextlib, errno, pathlib, resource, signal, sys
from wisesr_helpers.storage import whole_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # from there on, the system refuses as a full disk does
path = pathlib.Path(sys.argv[1])
try:
    with whole_file(path) as file:
        file.write(bytes(9_000))
        file.write(bytes(1_500))
        if sys.argv[2] == "failing":
            raise KeyError("what went wrong first")
except (OSError, KeyError) as error:
    print(repr(error))
"""


@old_or_none
@pytest.mark.parametrize("block", ["fine", "failing"])
def test_what_cannot_be_flushed_changes_nothing_and_hides_nothing(target, old, block):
    before = state(target.parent)
    done = subprocess.run([sys.executable, "-c", FULL, str(target), block], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first = "KeyError('what went wrong first')" if block == "failing" else "OSError(27, 'File too large')"
    assert done.stdout.strip() == first
    assert state(target.parent) == before


@both
@old_or_none
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_the_first_failure_is_told_where_tidying_up_fails_too(target, write, old, number, monkeypatch):
    monkeypatch.setattr(os, "replace", failing(errno.ENOSPC))
    monkeypatch.setattr(pathlib.Path, "unlink", failing(number))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write(target)
    left = state(target.parent)
    assert left.pop(target.name, None) == old
    monkeypatch.undo()
    sweep(target.parent)
    assert state(target.parent) == ({} if old is None else {target.name: old})


@both
@pytest.mark.parametrize("where", [is_file, is_folder, lambda descriptor: True], ids=["file", "folder", "both"])
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_sync_is_put_up_with(tmp_path, write, where, number, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(number, where, os.fsync))
    write(tmp_path / "x")
    assert state(tmp_path) == {"x": NEW}


@both
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_after_the_renaming_is_told(tmp_path, write, number, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(number, is_folder, os.fsync))
    with pytest.raises(OSError, match=os.strerror(number)):
        write(tmp_path / "x")
    assert state(tmp_path) == {"x": NEW}


@both
def test_the_file_is_synced_whole_before_it_has_its_name_and_the_folder_after(tmp_path, write, monkeypatch):
    happened = []

    def fsync(descriptor, original=os.fsync):
        status = os.fstat(descriptor)
        folder = stat.S_ISDIR(status.st_mode)
        assert not folder or os.path.samestat(status, os.stat(tmp_path))
        happened.append("folder" if folder else status.st_size)
        original(descriptor)

    def replace(source, destination, original=os.replace):
        happened.append("renamed")
        original(source, destination)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write(tmp_path / "x")
    assert happened == [len(NEW), "renamed", "folder"]


@both
def test_a_folder_that_may_not_be_read_is_no_hindrance(tmp_path, write, monkeypatch):
    monkeypatch.setattr(os, "open", failing(errno.EACCES, lambda path, *_: path == tmp_path, os.open))
    write(tmp_path / "x")
    assert state(tmp_path) == {"x": NEW}


@pytest.mark.parametrize("name", ["e0001.weights.h5", "model.keras", "plain", ".hidden.json", "two words.tar.gz"])
def test_a_path_to_write_to_has_the_folder_and_the_suffixes(tmp_path, name):
    with whole_path(str(tmp_path / name)) as temporary:
        assert isinstance(temporary, pathlib.Path)
        assert not temporary.exists()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".tmp-")
        assert temporary.name.endswith(f"-{name}")
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("x", "y")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert zipfile.ZipFile(tmp_path / name).read("x") == b"y"


@old_or_none
def test_a_block_that_writes_nothing_is_an_error(target, old):
    before = state(target.parent)
    with pytest.raises(FileNotFoundError), whole_path(target):
        pass
    assert state(target.parent) == before


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
    write(tmp_path / "x")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write(tmp_path / "x")
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    write(tmp_path / "x")
    assert lowest() == before


KILLED = """
import os, pathlib, sys
from wisesr_helpers import storage
folder = pathlib.Path(sys.argv[1])
with getattr(storage, sys.argv[2])(folder / "model.keras") as place:
    place.write(b"half") if sys.argv[2] == "whole_file" else place.write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("whole", ["whole_file", "whole_path"])
def test_what_a_killed_process_left_is_swept_up(tmp_path, whole):
    (tmp_path / "model.keras").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), whole], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(state(tmp_path)) == 2
    sweep(tmp_path)
    assert state(tmp_path) == {"model.keras": b"old"}


def test_nothing_else_is_swept_up(tmp_path):
    others = [
        ".lock",
        "record.json",
        ".tmp",
        ".tmp-",
        ".tmp-1-x",
        ".tmp-1-0123456-x",
        ".tmp-1-01234567-",
        ".tmp-1-0123456g-x",
        ".tmp-x-01234567-x",
        "x.tmp-1-01234567-x",
        ".x.npy.12345",
        ".nfs000000000123",
    ]
    for name in others:
        (tmp_path / name).touch()
    below = tmp_path / "below"
    below.mkdir()
    (below / ".tmp-1-01234567-x").touch()
    (tmp_path / ".tmp-1-01234567-folder").mkdir()
    for name in (".tmp-1-01234567-x", ".tmp-4194304-89abcdef-e0001.weights.h5", ".tmp-1-01234567-a\nb"):
        (tmp_path / name).touch()
    sweep(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {*others, "below", ".tmp-1-01234567-folder"}
    assert len(list(below.iterdir())) == 1


def test_what_cannot_be_removed_stays_and_the_rest_goes(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f".tmp-{number}-01234567-x").touch()
    monkeypatch.setattr(os, "unlink", failing(errno.EBUSY, lambda path: "tmp-1-" in path, os.unlink))
    sweep(tmp_path)
    assert list(state(tmp_path)) == [".tmp-1-01234567-x"]


def test_a_folder_that_is_not_there_cannot_be_swept(tmp_path):
    with pytest.raises(FileNotFoundError):
        sweep(tmp_path / "nowhere")


def test_windows_has_no_descriptors_of_folders(tmp_path, monkeypatch):
    opened = []

    def note(path, flags, *rest, original=os.open):
        opened.append((os.path.isdir(path), flags))
        return original(path, flags, *rest)

    class Windows:
        name = "nt"

        def __getattr__(self, name):
            return note if name == "open" else getattr(os, name)

    monkeypatch.setattr(storage, "os", Windows())
    with_path(tmp_path / "x")
    with_file(tmp_path / "x")
    assert opened == [(False, os.O_RDWR)]
