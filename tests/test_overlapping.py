"""What overlapping blocks change together is undone after the last of them, and not before."""

import contextlib

import pytest
from PIL import ImageFile

from wisesr_helpers.data.fetch import _impatient
from wisesr_helpers.data.images import quiet_decoding
from wisesr_helpers.overlapping import shared


def overlapping(block):
    """Two blocks of which the first ends before the second: pauses inside both, inside the second, and after both."""
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(block())
    second.enter_context(block())
    yield
    first.close()
    yield
    second.close()
    yield


def test_overlapping_decoding_refuses_half_files_to_its_end_and_restores_the_setting(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert [ImageFile.LOAD_TRUNCATED_IMAGES for _ in overlapping(quiet_decoding)] == [False, False, True]


def test_overlapping_downloads_are_impatient_to_their_end_and_leave_requests_as_it_was():
    requests = pytest.importorskip("requests")
    before = requests.Session.send
    assert [requests.Session.send is before for _ in overlapping(_impatient)] == [False, False, True]


def test_a_block_that_fails_undoes_the_change_and_another_can_follow():
    seen = []

    @shared
    @contextlib.contextmanager
    def change():
        seen.append("made")
        yield
        seen.append("undone")

    for _ in range(2):
        with pytest.raises(KeyError), change(), change():
            raise KeyError
    assert seen == ["made", "undone"] * 2
