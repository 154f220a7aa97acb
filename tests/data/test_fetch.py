"""Downloads: Kaggle's own client against a server on this machine, and archives, whatever goes wrong on the way."""

import base64
import contextlib
import errno
import io
import json
import os
import shutil
import stat
import sys
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
    put_archive,
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
from wisesr_helpers.data.fetch import DamagedArchive, FetchError, unpack
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.storage import Held, default_cache, describe_size, folder_lock

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


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


def test_without_a_folder_the_cache_is_used_and_the_size_may_be_unknown(server, toy, capsys):
    toy(zip_bytes=None)
    (default_cache() / "toy").mkdir(parents=True)
    (default_cache() / "toy" / ".DS_Store").write_bytes(b"how its window looked")
    assert fetch.fetch("toy") == default_cache() / "toy"
    assert unpacked(default_cache() / "toy") == FILES
    assert "of unknown size" in capsys.readouterr().out


def test_an_archive_from_the_browser_needs_no_kaggle(home, toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    assert "not installed; install it with pip install 'wisesr_helpers[data]'" in refused(FetchError, tmp_path)
    put_archive(tmp_path, ARCHIVE)
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
def test_a_damaged_archive_is_healed(server, tmp_path, killed):
    """The client goes on after an error body that a killed process left, and believes the sum."""
    path = put_archive(tmp_path, DAMAGED[:30_027] if killed else DAMAGED)
    if killed:
        partial = path.with_name("toy-scenes.zip.kaggle-partial")
        partial.write_text(json.dumps({"validator": '"first"', "size": SIZE}))
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


@pytest.mark.parametrize(
    ("module", "step"),
    [(fetch, "download"), (zipfile.ZipFile, "testzip"), (zipfile.ZipFile, "extract"), (fetch.os, "replace")],
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


# Refusals


@pytest.mark.parametrize(
    ("dataset", "answers", "words"),
    [
        ({}, {"status": 401}, "wants a valid login (HTTP 401); set KAGGLE_API_TOKEN"),
        ({}, {"status": 403}, "refuses access (HTTP 403); accept the terms"),
        ({}, {"status": 404}, "has no dataset 'someone/toy-scenes' (HTTP 404)"),
        ({}, {"status": 429}, "too many requests from here (HTTP 429); wait"),
        ({}, {"status": 503}, "a fault of its own (HTTP 503); repeat later"),
        ({}, {"status": 418}, "refuses the request (HTTP 418)"),
        ({}, {"answers": [expired]}, "(HTTP 403)"),
        ({}, {"answers": [half] * 6}, "with a working network the same command goes on"),
        ({}, {"answers": [unannounced] * 12}, ""),
        ({}, {"content": DAMAGED}, "is damaged (its entry 'Images/nursery/baby's_room.jpg.jpg' fails"),
        ({"zip_bytes": None}, {"content": b"<html>Sign in to go on</html>"}, "is not an intact zip archive"),
        ({"zip_bytes": 123_456}, {}, f"{SIZE:,} bytes where 123,456 are expected"),
        ({"unpacked_bytes": 100_000}, {}, "it unpacks to 3.21 MB, and no more than 100 kB are expected"),
        ({"zip_bytes": None}, {"content": zipped({"elsewhere/a.jpg": b"1"})}, "but its files are not arranged as"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(server, toy, tmp_path, dataset, answers, words):
    toy(**dataset)
    vars(server).update(answers)
    message = refused(FetchError, tmp_path)
    assert words in message
    assert "signature" not in message  # of the address
    assert len(server.asked) <= 2
    if "content" in answers and "arranged" not in words:  # what is no archive is not kept
        assert left(tmp_path) == []
    assert (tmp_path / "toy").exists() == ("arranged" in words)
    if "arranged" not in words:
        toy()
        vars(server).update(status=302, answers=[], content=ARCHIVE)
        assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


@pytest.mark.parametrize("what", ["answer", "login", "file"])
def test_no_network_or_a_silent_server_is_told_in_a_sentence(server, tmp_path, monkeypatch, what):
    """Of whom the dataset is asked, of whom a token's validity is asked before, or from whom the file comes."""
    with monkeypatch.context() as patch:
        serve_at(patch, f"http://127.0.0.1:{closed_port()}")
        assert "the connection to Kaggle failed (ConnectionError)" in refused(FetchError, tmp_path)
    monkeypatch.setattr(fetch, "TIMEOUT", (5, 0.05))
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
    file = tmp_path / where.partition("/")[0]
    file.touch()
    message = refused(FetchError, tmp_path if where == "toy" else tmp_path / where)
    assert f"a file or folder can't be used (Not a directory: '{file}" in message
    assert "); give a folder that can be written with data_dir (--data-dir)." in message


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
        ("print('how to log in')\nexit(1)", "can't be started (SystemExit: 1); update it"),
        ("raise OSError('No kaggle.json')", "can't be started (OSError: No kaggle.json); update it"),
        ("import sixty", "can't be started (ModuleNotFoundError: No module named 'sixty')"),
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


# Archives


def written(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    return tmp_path / "a.zip"


def test_no_entry_leaves_the_folder_and_none_is_a_link(tmp_path):
    names = [
        "/etc/evil",
        "../evil",
        "a/../../evil",
        "..\\evil",
        "C:\\evil",
        "dir\\file.jpg",
        "two words/it's.jpg",
        "ü/日本.jpg",
    ]
    path = written(tmp_path, zipped({name: name.encode() for name in names}))
    with zipfile.ZipFile(path, "a") as archive:
        for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
            entry = zipfile.ZipInfo(f"special{kind}")
            entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
            archive.writestr(entry, "/etc")
    unpack(path, tmp_path / "ours", 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "ours"]
    assert all(path.is_dir() or (path.is_file() and not path.is_symlink()) for path in (tmp_path / "ours").rglob("*"))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "theirs")
    assert unpacked(tmp_path / "ours") == unpacked(tmp_path / "theirs")


def lying(size, crc):
    """An archive whose headers state ``size`` and ``crc`` for a million zeros."""
    content = bytearray(zipped({"zeros": bytes(10**6)}))
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        place = content.index(signature) + offset
        content[place : place + 4] = crc.to_bytes(4, "little")
        content[place + 8 : place + 12] = size.to_bytes(4, "little")
    return bytes(content)


def test_a_bomb_that_lies_writes_no_more_than_it_says(tmp_path):
    unpack(written(tmp_path, lying(10, zipfile.crc32(bytes(10)))), tmp_path / "out", 1000)
    assert unpacked(tmp_path / "out") == {"zeros": bytes(10)}


def encrypted():
    content = bytearray(zipped({"a": b"1"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    return bytes(content)


BZIP2 = zipped(FILES, zipfile.ZIP_BZIP2)
NAMELESS = zipped({"its name": b"1"}).replace(b"its name", bytes(8))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"PK", ARCHIVE[:-30], zipped({}), encrypted(), BZIP2[:5000] + bytes(9000) + BZIP2[14000:]),
        *(lying(10, zipfile.crc32(bytes(10**6))), NAMELESS),
    ],
    ids=len,
)
def test_damage_of_any_kind_is_called_so(tmp_path, content):
    with pytest.raises(DamagedArchive, match="a.zip"):
        unpack(written(tmp_path, content), tmp_path / "out", 10**7)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


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

    cifar10 = types.SimpleNamespace(load_data=load_data)
    monkeypatch.setattr(fetch, "keras", types.SimpleNamespace(datasets=types.SimpleNamespace(cifar10=cifar10)))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if error is None:
        assert fetch.fetch("cifar10") == tmp_path / "datasets"
        return
    with pytest.raises(FetchError) as caught:
        fetch.fetch("cifar10")
    said = str(caught.value)
    assert said.startswith(f"CIFAR-10 could not be fetched to '{tmp_path / 'datasets'}': ")
    assert words in said
    assert "wisesr_helpers.data fetch" not in said  # it has just failed
    by_hand = f"Or by hand: copy the folder ~/.keras/datasets of a computer that has it to '{tmp_path / 'datasets'}'"
    assert (by_hand in said) == ("disk" not in words)
