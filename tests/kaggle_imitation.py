"""Kaggle on this machine: a server that answers its client as the real one does, well or badly."""

import contextlib
import errno
import http.server
import io
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import zipfile

import pytest

from wisesr_helpers.data import fetch

CHUNK = 2**20  # what the client writes at a time; less than that is lost with a connection
NOISE = random.Random(0)
FILES = {
    "Images/nursery/baby's_room.jpg.jpg": NOISE.randbytes(60_000),
    "Images/two words/é.jpg": NOISE.randbytes(3 * CHUNK),
    "TrainImages.txt": b"nursery/baby's_room.jpg.jpg",
    "TestImages.txt": b"two words/\xc3\xa9.jpg",
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


def put_archive(data_dir, content):
    """Write an archive where the client would leave it."""
    (data_dir / "downloads").mkdir(exist_ok=True)
    path = data_dir / "downloads" / "toy-scenes.zip"
    path.write_bytes(content)
    return path


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
        self.file_at = "http://{}:{}".format(*self.server_address)
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
        self.send_header("Location", f"{self.server.file_at}/file.zip?signature={len(self.server.asked)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.got.append(dict(self.headers))
        answer = self.server.answers.pop(0) if self.server.answers else whole
        self.wfile.write(answer(self, self.server.content))

    def log_message(self, *arguments):
        pass


def serve_at(monkeypatch, address):
    env = pytest.importorskip("kagglesdk.kaggle_env", reason="the extra 'data' is not installed")
    monkeypatch.setitem(env._env_to_endpoint, env.KaggleEnv.PROD, address)


@contextlib.contextmanager
def silent():
    """The address of a server that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refused(kind, data_dir, name="toy"):
    """The message of a fetch that fails: dataset, folder, and, unless the disk is at fault, the other way to get it."""
    with pytest.raises(kind) as caught:
        fetch.fetch(name, data_dir)
    message = str(caught.value)
    folder = pathlib.Path(data_dir) / name
    assert message.startswith(f"Toy Scenes could not be fetched to '{folder}': ")
    assert "wisesr_helpers.data fetch" not in message  # it has just failed
    if "the disk is full" not in message and "a file or folder can't be used" not in message:
        assert "Or by hand: open https://www.kaggle.com/datasets/someone/toy-scenes in a browser" in message
        assert message.endswith(f"unpack it into '{folder}'.")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return message


def full(*arguments, **named):
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*arguments, **named):
    raise KeyboardInterrupt


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
