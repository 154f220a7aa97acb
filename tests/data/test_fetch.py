"""Downloads: Kaggle's own client against a server on this machine, whatever goes wrong on the way."""

import base64
import errno
import gc
import http.server
import io
import json
import os
import pathlib
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import types
import zipfile

import pytest

from wisesr_helpers.data import __main__ as command_line
from wisesr_helpers.data import archives, catalogue, fetch
from wisesr_helpers.data.archives import DamagedArchive, UnsafeArchive, check_archive, unpack
from wisesr_helpers.data.cache import default_cache
from wisesr_helpers.data.fetch import FetchError
from wisesr_helpers.locks import Held, owner

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CHUNK = 2**20  # what the client writes at a time; less than that is lost with a connection
NOISE = random.Random(0)
FILES = {
    "Images/nursery/baby's_room.jpg.jpg": NOISE.randbytes(60_000),
    "Images/two words/é.jpg": NOISE.randbytes(3 * CHUNK),
    "TrainImages.txt": b"nursery/baby's_room.jpg.jpg",
    "empty.txt": b"",
}
SECRET = "c0ffee-not-to-be-shown"
MODIFIED = "Wed, 01 Jan 2020 00:00:00 GMT"


def zipped(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpacked(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def left(data_dir):
    """What lies among the downloads, but for the lock."""
    return [path for path in (data_dir / "downloads").iterdir() if path.name != ".lock"]


ARCHIVE = zipped(FILES)
SIZE = len(ARCHIVE)
DAMAGED = ARCHIVE[:30_000] + b"<Error>ExpiredToken</Error>" + ARCHIVE[30_027:]


def whole(handler, content):
    """Answer as a store of files does: all of it, or from the asked byte on."""
    start = int(re.match(r"bytes=(\d+)-", handler.headers.get("Range", "bytes=0-"))[1])
    handler.send_response(206 if "Range" in handler.headers else 200)
    handler.send_header("Content-Length", str(len(content) - start))
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("ETag", '"first"')
    handler.send_header("Last-Modified", MODIFIED)
    handler.end_headers()
    return content[start:]


def half(handler, content):
    """Announce everything, and hang up in the middle."""
    rest = whole(handler, content)
    return rest[: len(rest) // 2]


def expired(handler, content):
    """What a signed address answers when its time is over."""
    body = b"<Error>ExpiredToken</Error>"
    handler.send_response(403)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    return body


def expired_at_first(handler, content):
    """The first address has expired, one that was asked for anew has not."""
    return (expired if handler.path.endswith("signature=1") else whole)(handler, content)


def unannounced(handler, content):
    """Half of the file, without a word on its size."""
    handler.send_response(200)
    handler.end_headers()
    return content[: len(content) // 2]


class Server(http.server.ThreadingHTTPServer):
    """Kaggle's: a POST is answered with a redirection to a file, and that with what the test has put up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = ARCHIVE
        self.status = 302
        self.answers = []  # of the next GETs; ``whole`` afterwards
        self.asked, self.got = [], []  # headers of the POSTs and of the GETs


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("DatasetApiService/DownloadDataset"):
            self.send_error(404)  # the question whether a token is valid
            return
        self.server.asked.append(dict(self.headers))
        if self.server.status != 302:
            self.send_error(self.server.status)
            return
        self.send_response(302)
        host, port = self.server.server_address
        self.send_header("Location", f"http://{host}:{port}/file.zip?signature={len(self.server.asked)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.got.append(dict(self.headers))
        answer = self.server.answers.pop(0) if self.server.answers else whole
        self.wfile.write(answer(self, self.server.content))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, without credentials; whatever the test puts into these variables goes away with it."""
    names = ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "KAGGLE_CONFIG_DIR", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME")
    proxies = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    for name in (*names, *proxies, "KAGGLE_KEY", "VERBOSE", "VERBOSE_OUTPUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / "config"))
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def toy(monkeypatch):
    """A function that puts a dataset "toy" into the catalogue."""

    def put(zip_bytes=SIZE, unpacked_bytes=10**7):
        source = catalogue.Source("toy", "Toy Scenes", "someone/toy-scenes", zip_bytes, unpacked_bytes, "for tests")
        monkeypatch.setitem(catalogue.SOURCES, "toy", source)
        return source

    put()
    return put


def serve_at(monkeypatch, address):
    env = pytest.importorskip("kagglesdk.kaggle_env", reason="the extra 'data' is not installed")
    monkeypatch.setitem(env._env_to_endpoint, env.KaggleEnv.PROD, address)


@pytest.fixture
def server(home, toy, monkeypatch):
    """Kaggle, on this machine; the client doesn't sleep between its attempts."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with Server() as running:
        serve_at(monkeypatch, f"http://127.0.0.1:{running.server_address[1]}")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
    gc.collect()  # lest the answers that the client left open are noticed in another test


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refused(kind, data_dir, name="toy"):
    """The message of a fetch that fails; every one names the dataset, the folder and the two ways."""
    with pytest.raises(kind) as caught:
        fetch.fetch(name, data_dir)
    message = str(caught.value)
    folder = pathlib.Path(data_dir) / name
    assert message.startswith(f"Toy Scenes could not be fetched to '{folder}': ")
    assert f'python -m wisesr_helpers.data fetch {name} --data-dir "{data_dir}"' in message
    assert "https://www.kaggle.com/datasets/someone/toy-scenes" in message
    assert message.endswith(f"unpack it into '{folder}'.")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return message


# The whole way


def test_a_dataset_is_fetched_and_unpacked(server, tmp_path, capsys):
    folder = fetch.fetch("toy", tmp_path)
    assert folder == tmp_path / "toy"
    assert unpacked(folder) == FILES
    out = capsys.readouterr().out
    first = out.splitlines()[0]
    assert "Toy Scenes" in first
    assert archives.describe_size(SIZE) in first
    assert "https://www.kaggle.com/datasets/someone/toy-scenes" in first
    assert "for tests" in first
    assert str(folder) in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]
    assert len(server.asked) == len(server.got) == 1

    assert fetch.fetch("toy", str(tmp_path)) == folder
    assert capsys.readouterr().out == f"Toy Scenes is already in '{folder}'.\n"

    shutil.rmtree(folder)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert "already downloaded and checked" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_without_a_folder_the_cache_is_used(server):
    folder = fetch.fetch("toy")
    assert folder == default_cache() / "toy"
    assert unpacked(folder) == FILES


def test_an_empty_folder_and_an_unknown_size_are_no_hindrance(server, toy, tmp_path, capsys):
    toy(zip_bytes=None)
    (tmp_path / "toy").mkdir()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert "of unknown size" in capsys.readouterr().out


def test_an_archive_from_the_browser_needs_no_network(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(ARCHIVE)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_unknown_name_is_answered_with_the_known(tmp_path):
    with pytest.raises(ValueError, match="Unknown dataset 'nope'. Valid datasets: sub_imagenet, intel"):
        fetch.fetch("nope", tmp_path)


def test_a_second_process_is_told_who_is_downloading(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    with owner(tmp_path / "downloads", "downloaded into"), pytest.raises(Held, match="is being downloaded into by"):
        fetch.fetch("toy", tmp_path)


# Broken downloads


def test_a_broken_connection_goes_on_where_it_was(server, tmp_path):
    server.answers = [half]
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert [headers.get("Range") for headers in server.got] == [None, f"bytes={CHUNK}-"]


def test_a_killed_download_goes_on_where_it_was(server, tmp_path, monkeypatch):
    server.answers = [half]
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert f"bytes={CHUNK}-" in [headers.get("Range") for headers in server.got]


def test_an_address_that_expires_on_the_way_is_healed(server, tmp_path, capsys):
    server.answers = [half, expired_at_first, expired_at_first]
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == 2
    assert "Once more from the start" in capsys.readouterr().out


def test_an_error_body_that_a_killed_process_left_is_healed(server, tmp_path):
    """The client goes on after the error body, and believes the sum, which has the right size."""
    (tmp_path / "downloads").mkdir()
    path = tmp_path / "downloads" / "toy-scenes.zip"
    path.write_bytes(DAMAGED[:30_027])
    partial = path.with_name("toy-scenes.zip.kaggle-partial")
    partial.write_text(json.dumps({"validator": '"first"', "size": SIZE}))
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert [headers.get("Range") for headers in server.got] == [None, "bytes=30027-", None]


def test_a_damaged_archive_of_the_right_size_is_healed(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(DAMAGED)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_archive_that_stays_damaged_is_refused(server, tmp_path):
    server.content = DAMAGED
    message = refused(DamagedArchive, tmp_path)
    assert "is damaged (its entry 'Images/nursery/baby's_room.jpg.jpg' fails the checksum)" in message
    assert len(server.asked) == 2
    assert left(tmp_path) == []
    assert not (tmp_path / "toy").exists()


def test_a_page_in_place_of_an_archive_is_refused(server, toy, tmp_path):
    toy(zip_bytes=None)
    server.content = b"<html>Sign in to go on</html>"
    assert "is not an intact zip archive" in refused(DamagedArchive, tmp_path)


def test_another_size_than_known_is_refused_before_it_is_downloaded(server, toy, tmp_path):
    toy(zip_bytes=123_456)
    message = refused(FetchError, tmp_path)
    assert f"{SIZE:,} bytes where 123,456 are expected" in message
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_less_than_known_is_refused_if_no_size_was_announced(server, tmp_path):
    server.answers = [unannounced] * 12
    refused((DamagedArchive, FetchError), tmp_path)
    assert not (tmp_path / "toy").exists()


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


# Refusals and the network


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants a valid login (HTTP 401); set KAGGLE_API_TOKEN"),
        (403, "refuses access (HTTP 403); accept the terms"),
        (404, "has no dataset 'someone/toy-scenes' (HTTP 404)"),
        (429, "too many requests from here (HTTP 429); wait"),
        (500, "a fault of its own (HTTP 500); repeat later"),
        (503, "a fault of its own (HTTP 503); repeat later"),
        (418, "refuses the request (HTTP 418)"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(server, tmp_path, status, words):
    server.status = status
    assert words in refused(FetchError, tmp_path)
    server.status = 302
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_a_refusal_of_the_file_is_told_without_its_signed_address(server, tmp_path):
    server.answers = [expired]
    message = refused(FetchError, tmp_path)
    assert "(HTTP 403)" in message
    assert "signature" not in message


def test_no_network_is_told_in_a_sentence(home, toy, tmp_path, monkeypatch):
    serve_at(monkeypatch, f"http://127.0.0.1:{closed_port()}")
    message = refused(FetchError, tmp_path)
    assert "the connection to Kaggle failed (ConnectionError)" in message


def test_a_network_that_stays_broken_is_told_in_a_sentence(server, tmp_path):
    server.answers = [half] * 6
    assert "with a working network the same command goes on" in refused(FetchError, tmp_path)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert server.got[-1]["Range"]


# Disks and folders


def test_too_little_room_is_told_before_the_download(server, toy, tmp_path, monkeypatch):
    toy(zip_bytes=None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    assert f"has 1 kB free and about {archives.describe_size(2 * SIZE)} are needed" in refused(FetchError, tmp_path)
    assert left(tmp_path) == []


def full(*arguments, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*arguments, **named):
    raise KeyboardInterrupt


def test_a_disk_that_fills_during_the_download(server, tmp_path, monkeypatch):
    fetch._client()  # imports it
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
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
        assert "has 1 kB free and about 3.21 MB are needed" in refused(FetchError, tmp_path)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == 1


@pytest.mark.parametrize("where", ["", "deeper", "toy"])
def test_a_file_in_place_of_the_folder(server, tmp_path, where):
    base = tmp_path / "data"
    (tmp_path / "file").touch()
    if where == "toy":
        base.mkdir()
        (base / "toy").touch()
    else:
        base = tmp_path / "file" / where
    assert "a file or folder can't be used (" in refused(FetchError, base)


@pytest.mark.parametrize("target", ["mkdir", "TemporaryFile"])
def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch, target):
    def deny(path, *arguments, **named):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    if target == "mkdir":
        monkeypatch.setattr(pathlib.Path, "mkdir", deny)
    else:
        monkeypatch.setattr(fetch.tempfile, "TemporaryFile", lambda dir: deny(dir))
    message = refused(FetchError, tmp_path)
    assert f"(Permission denied: '{tmp_path / 'downloads'}'); give a folder that can be written" in message
    assert server.asked == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_is_closed(server, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in refused(FetchError, tmp_path / "closed")


# Killed between two steps


@pytest.mark.parametrize(
    ("module", "step", "requests"),
    [
        (fetch, "_download", 1),
        (fetch, "check_archive", 1),  # the archive is there, but was not checked
        (pathlib.Path, "write_text", 1),
        (fetch, "unpack", 1),
        (archives, "_check_entries", 1),
        (zipfile.ZipFile, "extract", 1),
        (archives.os, "replace", 1),
    ],
)
def test_whatever_was_interrupted_can_be_repeated(server, tmp_path, monkeypatch, module, step, requests):
    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == requests
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]


def test_what_a_killed_process_left_is_made_anew(server, tmp_path):
    (tmp_path / ".toy.unpacking" / "Images").mkdir(parents=True)
    (tmp_path / ".toy.unpacking" / "half.jpg").write_bytes(b"half")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(ARCHIVE[:500])
    (tmp_path / "downloads" / "toy-scenes.zip.verified").write_bytes(b"\xff\x00")
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert not (tmp_path / ".toy.unpacking").exists()


# Credentials


def test_without_credentials_no_login_is_sent(server, tmp_path, capfd):
    fetch.fetch("toy", tmp_path)
    assert not any("Authorization" in headers for headers in server.asked + server.got)
    captured = capfd.readouterr()
    assert "uthenticat" not in captured.out + captured.err


def login(headers):
    kind, _, value = headers.get("Authorization", " ").partition(" ")
    return f"{kind} {base64.b64decode(value).decode() if kind == 'Basic' else value}"


@pytest.mark.parametrize("place", ["key", "token", "file", "colab", "colab token"])
def test_a_login_is_sent_and_never_shown(server, home, tmp_path, monkeypatch, capfd, place):
    secrets = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": SECRET}
    if "token" in place:
        secrets = {"KAGGLE_API_TOKEN": SECRET}
    if place in ("key", "token"):
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
    elif place == "file":
        (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "someone", "key": "{SECRET}"}}')
        (home / ".kaggle" / "kaggle.json").chmod(0o600)
    else:
        put_colab(monkeypatch, secrets)
    expected = f"Bearer {SECRET}" if "token" in place else f"Basic someone:{SECRET}"

    fetch._client()
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


def put_colab(monkeypatch, secrets):
    class SecretNotFoundError(Exception):
        pass

    def get(key):
        if key not in secrets:
            raise SecretNotFoundError(key)
        return secrets[key]

    colab = types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google.colab", colab)


def test_the_environment_goes_before_colabs_secrets(server, tmp_path, monkeypatch):
    put_colab(monkeypatch, {"KAGGLE_USERNAME": "other", "KAGGLE_KEY": "other"})
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    fetch.fetch("toy", tmp_path)
    assert login(server.asked[0]) == f"Basic someone:{SECRET}"


def test_colab_without_secrets_downloads_without_a_login(server, tmp_path, monkeypatch):
    put_colab(monkeypatch, {})
    fetch.fetch("toy", tmp_path)
    assert "Authorization" not in server.asked[0]


# The kaggle package itself


def replace_kaggle(monkeypatch, tmp_path, files):
    """Another package called kaggle."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    for name, text in files.items():
        path = tmp_path / "packages" / "kaggle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "packages")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('how to log in')\nexit(1)", "can't be started (SystemExit); update it"),
        ("raise OSError('Could not find kaggle.json')", "can't be started (OSError); update it"),
        ("import sixty", "can't be started (ModuleNotFoundError: No module named 'sixty')"),
    ],
)
def test_a_package_that_does_not_start(home, toy, tmp_path, monkeypatch, capsys, text, words):
    replace_kaggle(monkeypatch, tmp_path, {"__init__.py": text})
    assert words in refused(FetchError, tmp_path)
    assert "how to log in" not in capsys.readouterr().out


def test_without_the_package_its_extra_is_named(home, toy, tmp_path, monkeypatch):
    def find_spec(name, *arguments):
        if name == "kaggle":
            raise ModuleNotFoundError("No module named 'kaggle'", name="kaggle")

    replace_kaggle(monkeypatch, tmp_path, {})
    monkeypatch.setattr(sys, "meta_path", [types.SimpleNamespace(find_spec=find_spec), *sys.meta_path])
    assert "not installed; install it with pip install 'wisesr_helpers[data]'" in refused(FetchError, tmp_path)


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
    replace_kaggle(monkeypatch, tmp_path, files)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


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


# Archives that would do harm


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
    path = tmp_path / "a.zip"
    entry = zipfile.ZipInfo("link")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc")
    with pytest.raises(UnsafeArchive, match="its entry 'link' is a link or a device"):
        check_archive(path, 1000)


def test_a_bomb_that_says_so(server, toy, tmp_path):
    toy(unpacked_bytes=100_000)
    message = refused(UnsafeArchive, tmp_path)
    assert "it unpacks to more than the 100 kB that are expected at the most" in message
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


def test_a_bomb_that_lies(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(lying(10, zipfile.crc32(bytes(10**6))))
    with pytest.raises(DamagedArchive, match="fails the checksum|not an intact"):
        check_archive(path, 1000)
    path.write_bytes(lying(10, zipfile.crc32(bytes(10))))  # and has the checksum to its lie
    unpack(path, tmp_path / "out", 1000)
    assert unpacked(tmp_path / "out") == {"zeros": bytes(10)}


def test_what_is_written_counts_and_not_what_was_announced(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a": b"1", "b": b"2"}))

    def extract(archive, entry, folder):
        (folder / entry.filename).write_bytes(bytes(600))
        return folder / entry.filename

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
    with pytest.raises(UnsafeArchive, match="more than the 1 kB"):
        unpack(path, tmp_path / "out", 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


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
    files = {"dir\\file.jpg": b"1", "two words/it's.jpg": b"2", "ü/日本.jpg": b"3"}
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(files))
    unpack(path, tmp_path / "ours", 1000)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "theirs")
    assert unpacked(tmp_path / "ours") == unpacked(tmp_path / "theirs")


# Keras' datasets


def test_mnist_without_a_network(tmp_path):
    code = "import sys; from wisesr_helpers.data.__main__ import main; sys.exit(main(['fetch', 'mnist']))"
    proxy = f"http://127.0.0.1:{closed_port()}"
    result = run(code, KERAS_HOME=str(tmp_path / "keras"), https_proxy=proxy, http_proxy=proxy)
    assert result.returncode == 1
    folder = tmp_path / "keras" / "datasets"
    assert result.stderr.startswith(
        f"MNIST could not be fetched to '{folder}': its server could not be reached; repeat"
    )
    assert "python -m wisesr_helpers.data fetch mnist" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, None),
        (ValueError("Incomplete or corrupted file detected."), "Keras says: Incomplete or corrupted file detected."),
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
    else:
        with pytest.raises(FetchError, match="CIFAR-10 could not be fetched") as caught:
            fetch.fetch("cifar10")
        assert words in str(caught.value)


# The command line


def test_the_list_names_every_dataset(capsys):
    assert command_line.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(catalogue.SOURCES)
    for line, source in zip(lines[1:], catalogue.SOURCES.values(), strict=True):
        for cell in (source.name, source.title, source.address, source.terms):
            assert cell in line


def test_the_command_fetches(server, tmp_path, capsys):
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path)]) == 0
    assert unpacked(tmp_path / "toy") == FILES
    server.status = 500
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path / "other")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Toy Scenes could not be fetched to")


def test_the_command_knows_the_names(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["fetch", "nope"])
    assert ended.value.code == 2
    assert "sub_imagenet" in capsys.readouterr().err


def test_the_command_can_be_stopped(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "fetch", interrupt)
    assert command_line.main(["fetch", "mit"]) == 130
    assert capsys.readouterr().err == "\nStopped; the same command goes on where it was.\n"


def test_importing_it_imports_little():
    code = "import wisesr_helpers.data.fetch, sys; print({'keras', 'tensorflow', 'kaggle'} & set(sys.modules))"
    assert run(code).stdout == "set()\n"


# The sentence on how to go on


def test_the_two_ways_name_the_folder_only_where_it_is_not_the_default(tmp_path):
    source = catalogue.get_source("mit")
    for folder, option in (
        (default_cache() / "mit", ""),
        (tmp_path / "mit", f' --data-dir "{tmp_path}"'),
        (tmp_path, f' --data-dir "{tmp_path}"'),
    ):
        sentence = catalogue.how_to_get(source, folder)
        assert f"python -m wisesr_helpers.data fetch mit{option};" in sentence
        assert sentence.endswith(f"unpack it into '{folder}'.")
    assert "python -m wisesr_helpers.data fetch mnist where" in catalogue.how_to_get(catalogue.get_source("mnist"), "x")
