"""Downloads to disks that are full, and to folders that can't be written or hold something already."""

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
from trees import build_tree

from wisesr_helpers.data import fetch
from wisesr_helpers.data.fetch import FetchError
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.storage import describe_size

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


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


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db"])
def test_what_a_file_manager_left_is_no_hindrance(server, tmp_path, name):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / name).write_bytes(b"how its window looked")
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


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


@pytest.mark.parametrize("inner", ["", "wrapped"])
@pytest.mark.parametrize("name", ["mit", "intel", "sub_imagenet", "tiny_imagenet"])
def test_a_folder_that_was_unpacked_by_hand_is_taken_as_it_is_loaded(tmp_path, capsys, name, inner):
    build_tree(name, tmp_path / name / inner, per_class=(1, 1), classes=2, image_size=8)
    assert fetch.fetch(name, tmp_path) == tmp_path / name
    assert f"is already in '{tmp_path / name}'" in capsys.readouterr().out
    load_dataset(name, 8, tmp_path)
