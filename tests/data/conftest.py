"""A home without credentials, a dataset "toy", and Kaggle on this machine."""

import dataclasses
import gc
import threading
import time

import pytest
from kaggle_imitation import SIZE, Server, serve_at

from wisesr_helpers.data import sources


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
    """A function that puts a dataset "toy" into the catalogue; it has MIT's lists and folders, and is known by them."""

    def put(zip_bytes=SIZE, unpacked_bytes=10**7):
        toy = {"name": "toy", "title": "Toy Scenes", "kaggle": "someone/toy-scenes", "terms": "for tests"}
        source = dataclasses.replace(sources.SOURCES["mit"], **toy, zip_bytes=zip_bytes, unpacked_bytes=unpacked_bytes)
        monkeypatch.setitem(sources.SOURCES, "toy", source)
        return source

    put()
    return put


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
