"""The cache: an array is there whole or not at all, and is made once."""

import hashlib
import io
import pathlib

import numpy as np
import pytest

from wisesr_helpers import storage
from wisesr_helpers.storage import cached_array, default_cache


def numbers(shape=(5, 4, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


class Maker:
    """Counts how often it is asked."""

    def __init__(self, array):
        self.array = array
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.array


def sha256(array):
    return hashlib.sha256(array.tobytes(order="C")).hexdigest()


@pytest.mark.parametrize("array", [numbers(), numbers().T, numbers()[:, ::2], numbers().astype("float32")])
def test_the_array_comes_back_with_its_digest(tmp_path, array):
    for folder in (tmp_path, None):
        for _ in range(2):
            loaded, digest = cached_array(folder, "x", lambda: array)
            np.testing.assert_array_equal(loaded, array)
            assert loaded.dtype == array.dtype
            assert digest == sha256(array)


def test_the_second_call_maps_the_file_and_does_not_make(tmp_path):
    make = Maker(numbers())
    cached_array(tmp_path / "new" / "folder", "x", make)
    loaded, digest = cached_array(tmp_path / "new" / "folder", "x", make)
    assert make.calls == 1
    assert digest == sha256(make.array)
    assert isinstance(loaded, np.memmap)
    assert loaded.mode == "r"


def test_another_name_is_another_array(tmp_path):
    first, second = Maker(numbers(seed=1)), Maker(numbers(seed=2))
    cached_array(tmp_path, "first", first)
    loaded, _ = cached_array(tmp_path, "second", second)
    np.testing.assert_array_equal(loaded, second.array)


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = Maker(numbers())
    cached_array(None, "x", make)
    cached_array(None, "x", make)
    assert make.calls == 2
    assert list(tmp_path.iterdir()) == []


def test_making_that_fails_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        cached_array(tmp_path, "x", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["array", "rename", "digest"])
def test_writing_that_fails_leaves_nothing_that_is_taken(tmp_path, monkeypatch, stage):
    original = storage.os.replace

    def save_half(file, array):
        whole = io.BytesIO()
        np.lib.format.write_array(whole, array)
        file.write(whole.getvalue()[:-7])
        raise OSError(28, "No space left on device")

    def replace(source, target):
        if stage == "rename" or target.suffix == ".sha256":
            raise OSError(5, "Input/output error")
        original(source, target)

    with monkeypatch.context() as patch:
        if stage == "array":
            patch.setattr(storage.np, "save", save_half)
        else:
            patch.setattr(storage.os, "replace", replace)
        with pytest.raises(OSError, match="could not be kept"):
            cached_array(tmp_path, "x", lambda: numbers(seed=1))
    assert {path.name for path in tmp_path.iterdir()} <= {"x.npy"}  # whole, but without its digest
    make = Maker(numbers(seed=2))
    loaded, digest = cached_array(tmp_path, "x", make)
    assert make.calls == 1
    np.testing.assert_array_equal(loaded, make.array)
    assert digest == sha256(make.array)


def test_a_half_written_file_of_a_killed_process_is_not_taken(tmp_path):
    (tmp_path / ".x.npy.12345").write_bytes(b"\x93NUMPY half")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY half")  # without its digest
    make = Maker(numbers())
    loaded, _ = cached_array(tmp_path, "x", make)
    np.testing.assert_array_equal(loaded, make.array)


def test_a_folder_that_cannot_be_written_is_answered_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "scenes"
    with pytest.raises(
        OSError, match=r"could not be kept in '.*file/scenes' \(.+\)\. Give another folder with data_dir"
    ):
        cached_array(folder, "x", numbers)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    cached_array("~/kept", "x", numbers)
    assert (tmp_path / "kept" / "x.npy").exists()


def test_the_default_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WISESR_CACHE", str(tmp_path / "here"))
    assert default_cache() == tmp_path / "here"
    monkeypatch.delenv("WISESR_CACHE")
    assert default_cache().is_relative_to(pathlib.Path.home())
