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


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in fuzz.LISTS.items() for file in files])
def test_it_notices_a_wrong_label(monkeypatch, name, file, split):
    original = fuzz.read_listing

    def swapped(asked, root):
        listing = original(asked, root)
        if asked.name != name:
            return listing
        first, *others = getattr(listing, split)
        first = dataclasses.replace(first, label=1 - min(1, first.label))
        return dataclasses.replace(listing, **{split: (first, *others)})

    monkeypatch.setattr(fuzz, "read_listing", swapped)
    monkeypatch.setattr(fuzz, "LISTS", fuzz.LISTS | {name: (file,)})
    with pytest.raises(AssertionError, match=r"of seed 0: AssertionError: \(Entry\(path="):
        fuzz.run(range(1, 90, 3))  # the lists' cases


def test_it_notices_a_foreign_error(monkeypatch):
    monkeypatch.setattr(fuzz, "decode", lambda *_: 1 / 0)
    with pytest.raises(AssertionError, match="case 0 of seed 0: ZeroDivisionError"):
        fuzz.run(range(3))


def test_it_notices_pixels_that_are_not_pillows(monkeypatch):
    original = fuzz.decode
    monkeypatch.setattr(fuzz, "decode", lambda data, size: original(data, size) ^ 1)
    with pytest.raises(AssertionError, match="of seed 0: AssertionError"):
        fuzz.run(range(60))
