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


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of the epochs 0 to 3, of which the last two are there."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", ORIGIN, "0123456789abcdef")
    for epoch in range(4):
        checkpoints.save(checkpoint(epoch))
    return checkpoints


def test_what_is_saved_comes_back(saved):
    found, expected = saved.newest(), checkpoint(3)
    assert (found.epoch, found.names, found.state) == (3, expected.names, expected.state)
    for ours, theirs in zip(found.arrays, expected.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def test_two_are_kept_and_those_asked_for(saved):
    assert saved.epochs() == [2, 3]
    saved.save(checkpoint(4), keep={2})
    assert saved.epochs() == [2, 3, 4]
    saved.prune({4})
    assert names(saved) == ["e0004.npz"]


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere").newest() is None
    assert Checkpoints(tmp_path / "nowhere").epochs() == []


def truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def one_byte_changed(path):
    data = bytearray(path.read_bytes())
    data[data.index(np.full(12, 3, np.float32).tobytes())] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "truncated": truncated,
    "one byte": one_byte_changed,
    "empty": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_text("{}"),
    "no header": lambda path: np.savez(path, header=np.zeros(3, np.uint8)),
    "other content": lambda path: np.savez(path, other=np.zeros(3)),
    "another epoch": lambda path: path.write_bytes(path.with_name("e0002.npz").read_bytes()),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_passed_over_for_the_last_good_one(saved, damage, capsys):
    path = saved.folder / "e0003.npz"
    DAMAGE[damage](path)
    assert saved.newest().epoch == 2
    assert ("The checkpoint of epoch 3 in" in capsys.readouterr().out) == path.exists()


@pytest.mark.parametrize("what", list(ORIGIN))
def test_a_run_of_another_origin_is_not_gone_on_from(saved, what):
    other = Checkpoints(saved.folder, {**ORIGIN, what: "another"})
    with pytest.raises(ValueError, match=rf"holds 3 epochs of this run, trained with other {what} .*commit 0123456789"):
        other.newest()


def test_the_damaged_epoch_is_saved_again_and_later_leftovers_go(saved):
    truncated(saved.folder / "e0003.npz")
    (saved.folder / "e0009.npz").write_bytes(b"left")
    (saved.folder / f".tmp-{os.getpid()}-00000000-e0003.npz").write_bytes(b"left")
    saved.save(checkpoint(3))
    assert names(saved) == ["e0002.npz", "e0003.npz"]
    assert saved.newest().epoch == 3


def test_a_disk_that_takes_no_more_spoils_nothing(saved):
    """A real failure in the middle of the file: the system refuses files of more than 500 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OSError, match="Epoch 4 can't be kept in .*What was saved before stays good"):
            saved.save(checkpoint(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(saved) == ["e0002.npz", "e0003.npz"]
    assert saved.newest().epoch == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_the_systems_reason_is_in_the_sentence(saved, monkeypatch, number):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match=os.strerror(number)):
        saved.save(checkpoint(4))
    assert saved.newest().epoch == 3
