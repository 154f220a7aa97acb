"""The fuzz run itself: bounded, repeatable, and able to fail."""

import dataclasses

import fuzz
import pytest


def test_damaged_files_end_in_a_report_or_a_sentence():
    endings = fuzz.run(range(300))
    assert sum(endings.values()) == 300
    for kind in (
        "image: as Pillow gives it",
        "image: set aside, truncated",
        "list: read",
        "list: refused",
        "archive: ",
    ):
        assert any(ending.startswith(kind) for ending in endings), kind
    assert fuzz.run(range(300)) == {**endings}  # the same cases again


@pytest.mark.slow
def test_more_damaged_files():
    assert sum(fuzz.run(range(1000, 11000), seed=1).values()) == 10_000


def test_it_notices_a_wrong_label(monkeypatch):
    original = fuzz.read_listing

    def swapped(name, root):
        listing = original(name, root)
        first = dataclasses.replace(listing.train[0], label=1 - min(1, listing.train[0].label))
        return dataclasses.replace(listing, train=(first, *listing.train[1:]))

    monkeypatch.setattr(fuzz, "read_listing", swapped)
    with pytest.raises(AssertionError, match="of seed 0: AssertionError"):
        fuzz.run(range(60))


def test_it_notices_a_foreign_error(monkeypatch):
    monkeypatch.setattr(fuzz, "decode", lambda *_: 1 / 0)
    with pytest.raises(AssertionError, match="case 0 of seed 0: ZeroDivisionError"):
        fuzz.run(range(3))


def test_it_notices_pixels_that_are_not_pillows(monkeypatch):
    original = fuzz.decode
    monkeypatch.setattr(fuzz, "decode", lambda data, size: original(data, size) ^ 1)
    with pytest.raises(AssertionError, match="of seed 0: AssertionError"):
        fuzz.run(range(60))
