"""Downloads to disks that are full, and to folders that can't be written."""

import errno
import io
import os
import pathlib
import shutil
import sys
import types
import zipfile

import pytest
from kaggle_imitation import (
    FILES,
    SIZE,
    full,
    left,
    refused,
    unpacked,
)

from wisesr_helpers.data import archives, fetch
from wisesr_helpers.data.fetch import FetchError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_too_little_room_is_told_before_the_download(server, toy, tmp_path, monkeypatch):
    toy(zip_bytes=None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    assert f"has 1 kB free and about {archives.describe_size(2 * SIZE)} are needed" in refused(FetchError, tmp_path)
    assert left(tmp_path) == []


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
