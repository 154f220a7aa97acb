"""Downloads: Kaggle's own client against a server on this machine, and archives, whatever goes wrong on the way."""

import base64
import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
import stat
import sys
import threading
import time
import types
import zipfile

import pytest
from kaggle_imitation import (
    ARCHIVE,
    CHUNK,
    DAMAGED,
    FILES,
    SECRET,
    SIZE,
    closed_port,
    expired,
    expired_at_first,
    full,
    half,
    interrupt,
    left,
    refused,
    run,
    serve_at,
    silent,
    unannounced,
    unpacked,
    zipped,
)
from trees import build_tree

from wisesr_helpers.data import fetch
from wisesr_helpers.data.fetch import DamagedArchive, FetchError, UnsafeArchive, check_archive, unpack
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.storage import Held, default_cache, describe_size, folder_lock

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def downloaded(tmp_path):
    """Write an archive where the client would leave it: ``downloaded(content)``."""

    def write(content):
        (tmp_path / "downloads").mkdir(exist_ok=True)
        path = tmp_path / "downloads" / "toy-scenes.zip"
        path.write_bytes(content)
        return path

    return write


# The whole way


def test_a_dataset_is_fetched_and_unpacked(server, tmp_path, capsys):
    folder = fetch.fetch("toy", tmp_path)
    assert folder == tmp_path / "toy"
    assert unpacked(folder) == FILES
    first = capsys.readouterr().out.splitlines()[0]
    address = "https://www.kaggle.com/datasets/someone/toy-scenes"
    assert all(part in first for part in ("Toy Scenes", describe_size(SIZE), address, "for tests", str(folder)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]
    assert len(server.asked) == len(server.got) == 1
    assert fetch.fetch("toy", str(tmp_path)) == folder
    assert capsys.readouterr().out == f"Toy Scenes is already in '{folder}'.\n"
    shutil.rmtree(folder)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert "already downloaded and checked" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_without_a_folder_the_cache_is_used_and_the_size_may_be_unknown(server, toy, capsys):
    toy(zip_bytes=None)
    (default_cache() / "toy").mkdir(parents=True)
    (default_cache() / "toy" / ".DS_Store").write_bytes(b"how its window looked")
    assert fetch.fetch("toy") == default_cache() / "toy"
    assert unpacked(default_cache() / "toy") == FILES
    assert "of unknown size" in capsys.readouterr().out


def test_an_archive_from_the_browser_needs_no_network(toy, tmp_path, downloaded, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    downloaded(ARCHIVE)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_a_second_process_is_told_who_is_downloading(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    lock = folder_lock(tmp_path / "downloads", "downloaded into")
    with lock, pytest.raises(Held, match="is being downloaded into by"):
        fetch.fetch("toy", tmp_path)


@pytest.mark.parametrize("inner", ["", "wrapped"])
@pytest.mark.parametrize("name", ["mit", "intel", "sub_imagenet", "tiny_imagenet"])
def test_a_folder_that_was_unpacked_by_hand_is_taken_as_it_is_loaded(tmp_path, capsys, name, inner):
    build_tree(name, tmp_path / name / inner, per_class=(1, 1), classes=2, image_size=8)
    assert fetch.fetch(name, tmp_path) == tmp_path / name
    assert f"is already in '{tmp_path / name}'" in capsys.readouterr().out
    load_dataset(name, 8, tmp_path)


# Broken downloads


def test_a_killed_download_goes_on_where_it_was(server, tmp_path, monkeypatch):
    server.answers = [half]
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert f"bytes={CHUNK}-" in [headers.get("Range") for headers in server.got]


def test_an_address_that_expires_on_the_way_is_healed(server, tmp_path):
    """By the client since 2.2.5, which asks for another address; before, by a download from the start."""
    server.answers = [half, expired_at_first, expired_at_first]
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


@pytest.mark.parametrize("killed", [True, False])
def test_a_damaged_archive_is_healed(server, tmp_path, downloaded, killed):
    """The client goes on after an error body that a killed process left, and believes the sum."""
    path = downloaded(DAMAGED[:30_027] if killed else DAMAGED)
    if killed:
        partial = path.with_name("toy-scenes.zip.kaggle-partial")
        partial.write_text(json.dumps({"validator": '"first"', "size": SIZE}))
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_archive_that_is_damaged_after_it_was_checked_is_fetched_again_next_time(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "unpack", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    path = tmp_path / "downloads" / "toy-scenes.zip"
    times = path.stat()
    path.write_bytes(DAMAGED)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    refused(DamagedArchive, tmp_path)
    assert not path.exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (fetch, "download"),
        (fetch, "check_archive"),  # the archive is there, but was not checked
        (pathlib.Path, "write_text"),
        (fetch, "unpack"),
        (zipfile.ZipFile, "extract"),
        (fetch.os, "replace"),
    ],
)
def test_whatever_was_interrupted_can_be_repeated(server, tmp_path, monkeypatch, module, step):
    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    (tmp_path / ".toy.unpacking" / "Images").mkdir(parents=True, exist_ok=True)  # as a kill would leave
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]


# Refusals: what the server does → the sentence


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants a valid login (HTTP 401); set KAGGLE_API_TOKEN"),
        (403, "refuses access (HTTP 403); accept the terms"),
        (404, "has no dataset 'someone/toy-scenes' (HTTP 404)"),
        (429, "too many requests from here (HTTP 429); wait"),
        (503, "a fault of its own (HTTP 503); repeat later"),
        (418, "refuses the request (HTTP 418)"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(server, tmp_path, status, words):
    server.status = status
    assert words in refused(FetchError, tmp_path)
    server.status = 302
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


@pytest.mark.parametrize(
    ("kind", "content", "answers", "size", "words"),
    [
        (DamagedArchive, DAMAGED, [], SIZE, "is damaged (its entry 'Images/nursery/baby's_room.jpg.jpg' fails"),
        (DamagedArchive, b"<html>Sign in to go on</html>", [], None, "is not an intact zip archive"),
        (
            FetchError,
            zipped({"Images/elsewhere/a.jpg": b"1"}),
            [],
            None,
            "but not arranged as the dataset is read here",
        ),
        (FetchError, ARCHIVE, [], 123_456, f"{SIZE:,} bytes where 123,456 are expected"),
        ((DamagedArchive, FetchError), ARCHIVE, [unannounced] * 12, SIZE, ""),
        (FetchError, ARCHIVE, [expired], SIZE, "(HTTP 403)"),
        (FetchError, ARCHIVE, [half] * 6, SIZE, "with a working network the same command goes on"),
    ],
)
def test_what_is_no_archive_of_the_dataset_is_refused(server, toy, tmp_path, kind, content, answers, size, words):
    toy(zip_bytes=size)
    server.content, server.answers = content, answers
    message = refused(kind, tmp_path)
    assert words in message
    assert "signature" not in message  # of the address
    assert len(server.asked) <= 2
    if kind is DamagedArchive or size == 123_456:
        assert left(tmp_path) == []
    assert (tmp_path / "toy").exists() == ("arranged" in words)


def test_no_network_is_told_in_a_sentence(home, toy, tmp_path, monkeypatch):
    serve_at(monkeypatch, f"http://127.0.0.1:{closed_port()}")
    assert "the connection to Kaggle failed (ConnectionError)" in refused(FetchError, tmp_path)


@pytest.mark.parametrize("what", ["answer", "login", "file"])
def test_a_server_that_stays_silent_is_told_in_a_sentence(server, tmp_path, monkeypatch, what):
    """Of whom the dataset is asked, of whom a token's validity is asked before, or from whom the file comes."""
    monkeypatch.setattr(fetch, "PATIENCE", (5, 0.05))
    requests = pytest.importorskip("requests")
    send = requests.Session.send
    with silent() as address:
        if what == "file":
            server.file_at = address
        else:
            serve_at(monkeypatch, address)
        if what == "login":
            monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
        assert "the connection to Kaggle failed (ReadTimeout); with a working" in refused(FetchError, tmp_path)
    assert requests.Session.send is send


def test_a_second_download_waits_for_the_first_to_leave_requests_as_it_was():
    requests = pytest.importorskip("requests")
    send, found = requests.Session.send, []

    def second():
        with fetch._impatient():
            found.append(requests.Session.send is send)

    with fetch._impatient():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        assert found == []
    thread.join()
    assert found == [False]
    assert requests.Session.send is send


# Disks and folders


def test_too_little_room_is_told_before_the_download(server, toy, tmp_path, monkeypatch):
    toy(zip_bytes=None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    assert f"has 1 kB free and about {describe_size(2 * SIZE)} are needed" in refused(FetchError, tmp_path)
    assert left(tmp_path) == []


def test_a_disk_that_fills_during_the_download(server, tmp_path, monkeypatch):
    fetch.connect()  # imports it
    client = sys.modules["kaggle.api.kaggle_api_extended"]

    class Full(io.FileIO):
        write = full

    def open_full(path, mode="r"):
        return Full(path, mode) if str(path).endswith(".zip") else open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(client, "open", open_full, raising=False)
        assert "the disk is full; free some space and repeat" in refused(FetchError, tmp_path)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_a_disk_that_fills_during_unpacking(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extract", full)
        assert "the disk is full" in refused(FetchError, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home"]
        patch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
        assert "has 1 kB free and about 3.21 MB are needed" in refused(FetchError, tmp_path)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == 1


@pytest.mark.parametrize("where", ["file", "file/deeper", "toy"])
def test_a_file_in_place_of_the_folder(server, tmp_path, where):
    (tmp_path / where.partition("/")[0]).touch()
    assert "a file or folder can't be used (" in refused(FetchError, tmp_path if where == "toy" else tmp_path / where)


@pytest.mark.parametrize("target", ["mkdir", "TemporaryFile"])
def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch, target):
    def deny(path=None, *arguments, dir=None, **named):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir or path))

    monkeypatch.setattr(pathlib.Path if target == "mkdir" else fetch.tempfile, target, deny)
    message = refused(FetchError, tmp_path)
    assert f"(Permission denied: '{tmp_path / 'downloads'}'); give a folder that can be written" in message
    assert server.asked == []


@pytest.mark.parametrize("files", ["notes.txt", ".hidden", "prepared/mit--64x64--nearest/train.images", "half"])
def test_a_folder_that_holds_something_else_is_refused_and_kept(server, tmp_path, files):
    content = {name: data for name, data in FILES.items() if name != "TestImages.txt"}
    content = content if files == "half" else {files: b"mine", ".DS_Store": b""}
    for name, data in content.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_bytes(data)
    assert "is not empty and does not hold the dataset; move it away, or delete it" in refused(FetchError, tmp_path)
    assert unpacked(tmp_path / "toy") == content
    assert server.asked == []
    (tmp_path / "toy").rename(tmp_path / "away")
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


# Logins


def login(headers):
    kind, _, value = headers.get("Authorization", " ").partition(" ")
    return f"{kind} {base64.b64decode(value).decode() if kind == 'Basic' else value}"


def put_colab(monkeypatch, secrets):
    colab = types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=lambda key: secrets[key])
    monkeypatch.setitem(sys.modules, "google.colab", colab)


@pytest.mark.parametrize("place", ["key", "token", "file", "colab", "colab token", "key before colab"])
def test_a_login_is_sent_and_never_shown(server, home, tmp_path, monkeypatch, capfd, place):
    secrets = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": SECRET}
    if "token" in place:
        secrets = {"KAGGLE_API_TOKEN": SECRET}
    if "colab" in place:
        put_colab(monkeypatch, dict.fromkeys(secrets, "other") if "before" in place else secrets)
    if place in ("key", "token", "key before colab"):
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
    elif place == "file":
        (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "someone", "key": "{SECRET}"}}')
        (home / ".kaggle" / "kaggle.json").chmod(0o600)
    expected = f"Bearer {SECRET}" if "token" in place else f"Basic someone:{SECRET}"

    fetch.connect()
    extended = sys.modules["kaggle.api.kaggle_api_extended"]
    monkeypatch.setattr(extended.KaggleApi, "args", ["--verbose"])  # VERBOSE=1: print every request
    server.status = 401
    message = refused(FetchError, tmp_path)
    assert "(HTTP 401)" in message
    server.status = 302
    fetch.fetch("toy", tmp_path)
    assert [login(headers) for headers in server.asked] == [expected] * 2
    captured = capfd.readouterr()
    for shown in (message, captured.out, captured.err):
        assert SECRET not in shown
        assert base64.b64encode(f"someone:{SECRET}".encode()).decode() not in shown


@pytest.mark.parametrize("colab", [False, True])
def test_without_credentials_no_login_is_sent(server, tmp_path, capfd, monkeypatch, colab):
    if colab:
        put_colab(monkeypatch, {})
    fetch.fetch("toy", tmp_path)
    assert not any("Authorization" in headers for headers in server.asked + server.got)
    captured = capfd.readouterr()
    assert "uthenticat" not in captured.out + captured.err


# The kaggle package itself


@contextlib.contextmanager
def other_kaggle(monkeypatch, tmp_path, files):
    """Another package called kaggle."""

    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
            monkeypatch.delitem(sys.modules, name)

    for name, text in files.items():
        path = tmp_path / "packages" / "kaggle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forget()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield
    forget()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('how to log in')\nexit(1)", "can't be started (SystemExit); update it"),
        ("raise OSError('Could not find kaggle.json')", "can't be started (OSError); update it"),
        ("import sixty", "can't be started (ModuleNotFoundError: No module named 'sixty')"),
        (
            "raise ModuleNotFoundError('No module', name='kaggle')",
            "not installed; install it with pip install 'wisesr_helpers[data]'",
        ),
    ],
)
def test_a_package_that_does_not_start(home, toy, tmp_path, monkeypatch, capsys, text, words):
    with other_kaggle(monkeypatch, tmp_path, {"__init__.py": text}):
        assert words in refused(FetchError, tmp_path)
    assert "how to log in" not in capsys.readouterr().out


OLD = """
from kaggle.api.kaggle_api_extended import KaggleApi
api = KaggleApi()
api.authenticate()
"""
OLD_API = f"""
class KaggleApi:
    args = []
    download_file = None
    def authenticate(self):
        exit(1)
    def dataset_download_files(self, dataset, path=None, force=False, quiet=True, unzip=False):
        assert not (force or unzip)
        with open(path + "/toy-scenes.zip", "wb") as file:
            file.write({ARCHIVE!r})
"""


def test_a_package_that_ends_the_process_for_want_of_credentials_is_used_without(home, toy, tmp_path, monkeypatch):
    """As 2.0.2, which Colab has."""
    pytest.importorskip("requests")
    files = {"__init__.py": OLD, "api/__init__.py": "", "api/kaggle_api_extended.py": OLD_API}
    with other_kaggle(monkeypatch, tmp_path, files):
        assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_a_home_that_cannot_be_written(home, tmp_path):
    pytest.importorskip("kagglesdk")
    (tmp_path / "file").touch()
    os.environ.pop("KAGGLE_CONFIG_DIR")
    code = (
        "import kagglesdk.kaggle_env as env, sys\n"
        f"env._env_to_endpoint[env.KaggleEnv.PROD] = 'http://127.0.0.1:{closed_port()}'\n"
        "from wisesr_helpers.data.__main__ import main\n"
        f"sys.exit(main(['fetch', 'mit', '--data-dir', {str(tmp_path)!r}]))"
    )
    result = run(code, HOME=str(tmp_path / "file" / "home"), TMPDIR=str(tmp_path))
    assert result.returncode == 1
    assert "the connection to Kaggle failed" in result.stderr
    assert "Traceback" not in result.stderr


# Archives that would do harm, or are damaged


@pytest.mark.parametrize(
    "name",
    ["/etc/evil", "../evil", "a/../../evil", "..\\evil", "\\evil", "C:\\evil", "c:evil", "\\\\host\\share\\evil"],
)
def test_an_entry_that_leaves_the_folder(tmp_path, name):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"good.txt": b"good", name: b"evil"}))
    for call in (lambda: check_archive(path, 1000), lambda: unpack(path, tmp_path / "out", 1000)):
        with pytest.raises(UnsafeArchive, match="would leave the folder"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_an_entry_that_is_a_link_or_a_device(tmp_path, kind):
    entry = zipfile.ZipInfo("link")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(entry, "/etc")
    with pytest.raises(UnsafeArchive, match="its entry 'link' is a link or a device"):
        check_archive(tmp_path / "a.zip", 1000)


def test_a_bomb_that_says_so(server, toy, tmp_path):
    toy(unpacked_bytes=100_000)
    assert "it unpacks to more than the 100 kB that are expected at the most" in refused(UnsafeArchive, tmp_path)
    assert len(server.asked) == 1
    assert not (tmp_path / "toy").exists()


def lying(size, crc):
    """An archive whose headers state ``size`` and ``crc`` for a million zeros."""
    content = bytearray(zipped({"zeros": bytes(10**6)}))
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        place = content.index(signature) + offset
        content[place : place + 4] = crc.to_bytes(4, "little")
        content[place + 8 : place + 12] = size.to_bytes(4, "little")
    return bytes(content)


def test_a_bomb_that_lies(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    path.write_bytes(lying(10, zipfile.crc32(bytes(10**6))))
    with pytest.raises(DamagedArchive, match="fails the checksum|not an intact"):
        check_archive(path, 1000)
    path.write_bytes(lying(10, zipfile.crc32(bytes(10))))  # and has the checksum to its lie
    unpack(path, tmp_path / "out", 1000)
    assert unpacked(tmp_path / "out") == {"zeros": bytes(10)}

    def extract(archive, entry, folder):
        (folder / entry.filename).write_bytes(bytes(1600))
        return folder / entry.filename

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)  # what is written counts
    with pytest.raises(UnsafeArchive, match="more than the 1 kB"):
        unpack(path, tmp_path / "more", 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


def test_damage_of_any_kind_is_called_so(tmp_path):
    path = tmp_path / "a.zip"
    encrypted = bytearray(zipped({"a": b"1"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1
    packed = zipped(FILES, zipfile.ZIP_BZIP2)
    samples = [b"", b"PK", ARCHIVE[:-30], zipped({}), bytes(encrypted), packed[:5000] + bytes(9000) + packed[14000:]]
    for content in samples:
        path.write_bytes(content)
        with pytest.raises(DamagedArchive, match="a.zip"):
            check_archive(path, 10**7)


def test_names_are_those_that_zipfile_makes(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"dir\\file.jpg": b"1", "two words/it's.jpg": b"2", "ü/日本.jpg": b"3"}))
    unpack(path, tmp_path / "ours", 1000)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "theirs")
    assert unpacked(tmp_path / "ours") == unpacked(tmp_path / "theirs")


# Keras' datasets


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, None),
        (ValueError("Incomplete or corrupted file detected."), "Keras says: Incomplete or corrupted file detected."),
        (Exception("URL fetch failure on https://x: None -- [Errno -3]"), "its server could not be reached; repeat"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (ModuleNotFoundError("Keras has no backend to run on: install one."), "Keras says: Keras has no backend"),
    ],
)
def test_what_keras_says(tmp_path, monkeypatch, error, words):
    def load_data():
        if error is not None:
            raise error

    fake = types.ModuleType("wisesr_helpers._keras")
    cifar10 = types.SimpleNamespace(load_data=load_data)
    fake.keras = types.SimpleNamespace(datasets=types.SimpleNamespace(cifar10=cifar10))
    monkeypatch.setitem(sys.modules, "wisesr_helpers._keras", fake)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if error is None:
        assert fetch.fetch("cifar10") == tmp_path / "datasets"
        return
    with pytest.raises(FetchError) as caught:
        fetch.fetch("cifar10")
    said = str(caught.value)
    assert said.startswith(f"CIFAR-10 could not be fetched to '{tmp_path / 'datasets'}': ")
    assert words in said
    assert "python -m wisesr_helpers.data fetch cifar10" in said
