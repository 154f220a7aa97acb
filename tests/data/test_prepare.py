"""Preparation: decoded once, exact, gone on with after a kill, never believed when its sources changed."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from trees import build_tree

from wisesr_helpers.data import prepare as module
from wisesr_helpers.data.images import Unreadable
from wisesr_helpers.data.listings import read_listing
from wisesr_helpers.data.prepare import PreparedImages, prepare, read_header
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.storage import Held, folder_lock

SIZE = (96, 120)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A tree that nobody changes."""
    return build_tree("mit", tmp_path_factory.mktemp("built") / "raw", per_class=(8, 4), classes=3, defects=0.01)


@pytest.fixture
def mit(built, tmp_path):
    """(tree, listing, folder to prepare into): a copy of the tree."""
    root = shutil.copytree(built.root, tmp_path / "raw")
    tree = dataclasses.replace(built, root=root, images=root / built.images.relative_to(built.root))
    return tree, read_listing(SOURCES["mit"], root), tmp_path / "prepared"


def images_of(folder, split, accounts):
    shapes = [tuple(line["shape"]) for line in accounts[split] if "shape" in line]
    return PreparedImages(folder / f"{split}.images", shapes)


def snapshot(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.startswith(".lock")
    }


def count_decoding(monkeypatch, stop_after=None):
    """Count the files that are decoded; after ``stop_after`` of them, be interrupted."""
    decoded = []
    original = module._decode_entry

    def counting(root, entry, *settings):
        if stop_after is not None and len(decoded) >= stop_after:
            raise KeyboardInterrupt
        decoded.append(entry.path)
        return original(root, entry, *settings)

    monkeypatch.setattr(module, "_decode_entry", counting)
    return decoded


def test_every_image_is_pillows_and_every_label_its_own(mit):
    tree, listing, folder = mit
    accounts = prepare(listing, SIZE, folder)
    for split in ("train", "test"):
        labels = tree.labels(split)
        good = [line for line in accounts[split] if "shape" in line]
        assert {line["file"].removeprefix("indoorCVPR_09/Images/"): line["label"] for line in good} == labels
        for line, image in zip(good, images_of(folder, split, accounts), strict=True):
            with Image.open(listing.root / line["file"]) as source:
                size = min(SIZE[1], source.width), min(SIZE[0], source.height)
                expected = np.asarray(source.convert("RGB").resize(size, Image.Resampling.NEAREST))
            shown = np.repeat(image[..., None], 3, -1) if image.ndim == 2 else image
            np.testing.assert_array_equal(shown, expected, err_msg=line["file"])


def test_what_can_not_be_decoded_is_named_with_its_reason(mit):
    tree, listing, folder = mit
    accounts = prepare(listing, SIZE, folder)
    left_out = {
        line["file"].removeprefix("indoorCVPR_09/Images/"): line["left_out"]
        for lines in accounts.values()
        for line in lines
        if "left_out" in line
    }
    assert set(left_out) == tree.unreadable
    for kind, reason in [
        ("truncated JPEG", "truncated or damaged"),
        ("empty file", "empty file"),
        ("HTML page", "not an image"),
    ]:
        assert {left_out[name] for name in tree.defects[kind]} == {reason}


def test_a_second_preparation_decodes_nothing(mit, monkeypatch):
    _, listing, folder = mit
    first = prepare(listing, SIZE, folder)
    decoded = count_decoding(monkeypatch)
    assert prepare(listing, SIZE, folder) == first
    assert decoded == []


@pytest.mark.parametrize("stop_after", [0, 1, 9, 30])
def test_an_interrupted_preparation_goes_on_where_it_was(mit, tmp_path, monkeypatch, stop_after, capsys):
    _, listing, folder = mit
    prepare(listing, SIZE, tmp_path / "uninterrupted")
    monkeypatch.setattr(module, "FLUSH", 4)
    with monkeypatch.context() as patch:
        count_decoding(patch, stop_after)
        patch.setattr(module, "usable_cores", lambda: 0)  # one thread decodes
        with pytest.raises(KeyboardInterrupt):
            prepare(listing, SIZE, folder)
    assert read_header(folder) is None
    before = sum(path.read_bytes().count(b"\n") - 1 for path in folder.glob("*.files") if path.stat().st_size)
    decoded = count_decoding(monkeypatch)
    prepare(listing, SIZE, folder)
    assert snapshot(folder) == snapshot(tmp_path / "uninterrupted")
    assert len(decoded) == len(listing.train) + len(listing.test) - before
    if stop_after == 30:
        assert before > 0
        assert "images were prepared before; going on from there" in capsys.readouterr().out


KILLED = """
import os, pathlib, sys
from wisesr_helpers.data import prepare as module
from wisesr_helpers.data.listings import read_listing
from wisesr_helpers.data.sources import SOURCES
module.FLUSH = 3
original = module._flush
flushes = []
def flush(file):
    flushes.append(file)
    if len(flushes) == int(sys.argv[3]):
        os.write(file.fileno(), b'{"half a li')  # what a kill in the middle of a write leaves
        os.kill(os.getpid(), 9)
    original(file)
module._flush = flush
module.prepare(read_listing(SOURCES["mit"], sys.argv[1]), (96, 120), pathlib.Path(sys.argv[2]))
"""


@pytest.mark.parametrize("at", [1, 2, 7, 8])
def test_a_kill_in_the_middle_of_a_write_loses_nothing_and_leaves_nothing_wrong(mit, tmp_path, at):
    tree, listing, folder = mit
    prepare(listing, SIZE, tmp_path / "uninterrupted")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tree.root), str(folder), str(at)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    prepare(listing, SIZE, folder)
    assert snapshot(folder) == snapshot(tmp_path / "uninterrupted")


def test_a_second_process_is_refused(mit):
    _, listing, folder = mit
    folder.mkdir()
    with folder_lock(folder, "prepared"), pytest.raises(Held, match="is being prepared by process"):
        prepare(listing, SIZE, folder)


def test_a_changed_source_is_noticed(mit, capsys, monkeypatch):
    _, listing, folder = mit
    first = prepare(listing, SIZE, folder)
    name = listing.train[3].path
    Image.new("RGB", (50, 50), (9, 99, 199)).save(listing.root / name, "JPEG")
    decoded = count_decoding(monkeypatch)
    second = prepare(listing, SIZE, folder)
    assert "or what prepares it, changed since; each split concerned is prepared again." in capsys.readouterr().out
    assert sorted(decoded) == sorted(entry.path for entry in listing.train)
    changed = [line["file"] for line, other in zip(second["train"], first["train"], strict=True) if line != other]
    assert changed == [name]
    np.testing.assert_allclose(images_of(folder, "train", second)[3][0, 0], (9, 99, 199), atol=3)


@pytest.mark.parametrize("damage", ["truncate", "json", "account", "header"])
def test_a_folder_damaged_by_hand_is_made_again(mit, damage):
    _, listing, folder = mit
    prepare(listing, SIZE, folder)
    whole = snapshot(folder)
    if damage == "truncate":
        os.truncate(folder / "train.images", 1000)
    elif damage == "json":
        (folder / "prepared.json").write_text("{")
    elif damage == "header":
        (folder / "prepared.json").write_text('{"schema": 1, "plan": 3}')
    else:
        text = (folder / "test.files").read_bytes()
        (folder / "test.files").write_bytes(text[: len(text) // 2])
    prepare(listing, SIZE, folder)
    assert snapshot(folder) == whole


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(mit, tmp_path, monkeypatch):
    _, listing, folder = mit
    monkeypatch.setattr(module, "FLUSH", 4)
    original, flushes = module._flush, []

    def full(file):
        flushes.append(file)
        if len(flushes) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(file)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_flush", full)
        with pytest.raises(OSError, match="can't be kept in .*No space left on device.*free some space") as told:
            prepare(listing, SIZE, folder)
    assert "\n" not in str(told.value)
    decoded = count_decoding(monkeypatch)
    prepare(listing, SIZE, folder)
    assert len(decoded) < len(listing.train) + len(listing.test)
    prepare(listing, SIZE, tmp_path / "other")
    assert snapshot(folder) == snapshot(tmp_path / "other")


def test_a_plain_image_is_noticed(mit):
    _, listing, folder = mit
    Image.new("RGB", (200, 200)).save(listing.root / listing.train[5].path, "PNG")
    accounts = prepare(listing, SIZE, folder)
    assert [line["file"] for line in accounts["train"] if line.get("plain")] == [listing.train[5].path]


def test_digests_are_of_the_stored_pixels(mit):
    _, listing, folder = mit
    accounts = prepare(listing, SIZE, folder)
    good = [line for line in accounts["test"] if "shape" in line]
    for line, image in zip(good, images_of(folder, "test", accounts), strict=True):
        assert int(line["pixels"], 16) == zlib.crc32(image.tobytes())
        assert line["sha256"] == hashlib.sha256((listing.root / line["file"]).read_bytes()).hexdigest()


def test_nothing_larger_than_its_source_is_stored(tmp_path):
    tree = build_tree("tiny_imagenet", tmp_path / "raw", per_class=(3, 2), classes=2)
    accounts = prepare(read_listing(SOURCES["tiny_imagenet"], tree.root), (224, 224), tmp_path / "prepared")
    assert {tuple(line["shape"][:2]) for line in accounts["train"]} == {(64, 64)}
    assert (tmp_path / "prepared" / "train.images").stat().st_size <= len(accounts["train"]) * 64 * 64 * 3


def test_a_file_that_may_not_be_read_is_named(mit, monkeypatch):
    _, listing, _ = mit
    forbidden = listing.root / listing.train[2].path

    def read(self):
        if self == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied")
        return self.open("rb").read()

    monkeypatch.setattr(type(forbidden), "read_bytes", read)
    line, pixels = module._decode_entry(listing.root, listing.train[2], SIZE, "nearest")
    assert line["left_out"] == "can't be read (Permission denied)"
    assert pixels is None


def test_the_accounts_are_lines_of_json(mit):
    _, listing, folder = mit
    prepare(listing, SIZE, folder)
    plan, *lines = [json.loads(line) for line in (folder / "train.files").read_text().splitlines()]
    assert (plan["size"], plan["resample"]) == (list(SIZE), "nearest")
    assert len(lines) == len(listing.train)


def test_a_damaged_file_can_fail_in_any_way(monkeypatch):
    for error in (SyntaxError("broken"), struct_error(), ZeroDivisionError(), MemoryError(), KeyError(1)):

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Image, "open", fail)
            with pytest.raises(Unreadable, match="truncated or damaged"):
                module.decode(b"x" * 100, SIZE)


def struct_error():
    import struct

    return struct.error("unpack requires 4 bytes")


def test_pixels_that_never_reached_the_disk_are_decoded_again(mit, tmp_path):
    """After a loss of power a file can have its length but not its content."""
    _, listing, folder = mit
    prepare(listing, SIZE, folder)
    whole = snapshot(folder)
    (folder / "prepared.json").unlink()
    size = (folder / "train.images").stat().st_size
    with open(folder / "train.images", "r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))
    prepare(listing, SIZE, folder)
    assert snapshot(folder) == whole
