"""Checkpoints: whole or not there, the newest good one found, and none taken from another run."""

import errno
import os
import resource

import numpy as np
import pytest

from wisesr_helpers.training.checkpoints import Checkpoint, Checkpoints

ORIGIN = {"code or settings": "c0de", "data": "da7a"}


def checkpoint(epoch):
    arrays = [np.full((3, 4), epoch, np.float32), np.array(epoch, np.int64)]
    return Checkpoint(epoch, ["kernel", "iteration"], arrays, {"history": [{"epoch": epoch, "loss": 0.1}]})


@pytest.fixture
def kept(tmp_path):
    saved = Checkpoints(tmp_path / "checkpoints", ORIGIN, "0123456789abcdef")
    for epoch in range(4):
        saved.save(checkpoint(epoch))
    return saved


def test_what_is_saved_comes_back(kept):
    found = kept.newest()
    assert (found.epoch, found.names, found.state) == (
        3,
        ["kernel", "iteration"],
        {"history": [{"epoch": 3, "loss": 0.1}]},
    )
    for ours, theirs in zip(found.arrays, checkpoint(3).arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def test_two_are_kept_and_those_asked_for(kept):
    assert kept.epochs() == [2, 3]
    kept.save(checkpoint(4), keep={2})
    assert kept.epochs() == [2, 3, 4]
    kept.prune({4})
    assert [path.name for path in kept.folder.iterdir()] == ["e0004.npz"]


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere").newest() is None
    assert Checkpoints(tmp_path / "nowhere").epochs() == []


def truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def one_byte_changed(path):
    data = bytearray(path.read_bytes())
    where = data.index(np.full(12, 3, np.float32).tobytes())
    data[where] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        one_byte_changed,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("{}"),
        lambda path: np.savez(path, header=np.zeros(3, np.uint8)),
        lambda path: np.savez(path, other=np.zeros(3)),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "one byte", "empty", "no archive", "no header", "other content", "missing"],
)
def test_a_damaged_one_is_passed_over_for_the_last_good_one(kept, damage, capsys):
    path = kept.folder / "e0003.npz"
    damage(path)
    assert kept.newest().epoch == 2
    assert ("The checkpoint of epoch 3 in" in capsys.readouterr().out) == path.exists()


def test_a_checkpoint_under_another_ones_name_is_not_taken(kept, capsys):
    (kept.folder / "e0002.npz").rename(kept.folder / "e0007.npz")
    assert kept.newest().epoch == 3
    assert "epoch 7" in capsys.readouterr().out


@pytest.mark.parametrize("what", list(ORIGIN))
def test_a_run_of_another_origin_is_not_gone_on_from(kept, what):
    other = Checkpoints(kept.folder, {**ORIGIN, what: "another"})
    with pytest.raises(ValueError, match=rf"holds 3 epochs of this run, trained with other {what} .*commit 0123456789"):
        other.newest()


def test_the_damaged_epoch_is_saved_again_and_later_leftovers_go(kept):
    truncated(kept.folder / "e0003.npz")
    (kept.folder / "e0009.npz").write_bytes(b"left")
    (kept.folder / f".tmp-{os.getpid()}-00000000-e0003.npz").write_bytes(b"left")
    kept.save(checkpoint(3))
    assert sorted(path.name for path in kept.folder.iterdir()) == ["e0002.npz", "e0003.npz"]
    assert kept.newest().epoch == 3


def test_a_disk_that_takes_no_more_spoils_nothing(kept):
    """A real failure in the middle of the file: the system refuses files of more than 500 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OSError, match="Epoch 4 can't be kept in .*What was saved before stays good"):
            kept.save(checkpoint(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in kept.folder.iterdir()) == ["e0002.npz", "e0003.npz"]
    assert kept.newest().epoch == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_systems_reason_is_in_the_sentence(kept, monkeypatch, number):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match=os.strerror(number)):
        kept.save(checkpoint(4))
    assert kept.newest().epoch == 3
