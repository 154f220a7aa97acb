"""Downloads: Kaggle's own client against a server on this machine, whatever goes wrong on the way."""

import json
import os
import pathlib
import shutil
import sys
import time
import zipfile

import pytest
from kaggle_imitation import (
    ARCHIVE,
    CHUNK,
    DAMAGED,
    FILES,
    SECRET,
    SIZE,
    closed_port,
    expired,
    expired_at_first,
    half,
    interrupt,
    left,
    refused,
    serve_at,
    silent,
    unannounced,
    unpacked,
    zipped,
)

from wisesr_helpers.data import fetch
from wisesr_helpers.data.fetch import DamagedArchive, FetchError
from wisesr_helpers.storage import Held, default_cache, describe_size, folder_lock

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# The whole way


def test_a_dataset_is_fetched_and_unpacked(server, tmp_path, capsys):
    folder = fetch.fetch("toy", tmp_path)
    assert folder == tmp_path / "toy"
    assert unpacked(folder) == FILES
    out = capsys.readouterr().out
    first = out.splitlines()[0]
    assert "Toy Scenes" in first
    assert describe_size(SIZE) in first
    assert "https://www.kaggle.com/datasets/someone/toy-scenes" in first
    assert "for tests" in first
    assert str(folder) in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]
    assert len(server.asked) == len(server.got) == 1

    assert fetch.fetch("toy", str(tmp_path)) == folder
    assert capsys.readouterr().out == f"Toy Scenes is already in '{folder}'.\n"

    shutil.rmtree(folder)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert "already downloaded and checked" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_without_a_folder_the_cache_is_used(server):
    folder = fetch.fetch("toy")
    assert folder == default_cache() / "toy"
    assert unpacked(folder) == FILES


def test_an_empty_folder_and_an_unknown_size_are_no_hindrance(server, toy, tmp_path, capsys):
    toy(zip_bytes=None)
    (tmp_path / "toy").mkdir()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert "of unknown size" in capsys.readouterr().out


def test_an_archive_from_the_browser_needs_no_network(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(ARCHIVE)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_unknown_name_is_answered_with_the_known(tmp_path):
    with pytest.raises(ValueError, match="Unknown dataset 'nope'. Valid datasets: sub_imagenet, intel"):
        fetch.fetch("nope", tmp_path)


def test_a_second_process_is_told_who_is_downloading(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    with (
        folder_lock(tmp_path / "downloads", "downloaded into"),
        pytest.raises(Held, match="is being downloaded into by"),
    ):
        fetch.fetch("toy", tmp_path)


# Broken downloads


def test_a_broken_connection_goes_on_where_it_was(server, tmp_path):
    server.answers = [half]
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert [headers.get("Range") for headers in server.got] == [None, f"bytes={CHUNK}-"]


def test_a_killed_download_goes_on_where_it_was(server, tmp_path, monkeypatch):
    server.answers = [half]
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert f"bytes={CHUNK}-" in [headers.get("Range") for headers in server.got]


def test_an_address_that_expires_on_the_way_is_healed(server, tmp_path):
    """By the client since 2.2.5, which asks for another address; before, by a download from the start."""
    server.answers = [half, expired_at_first, expired_at_first]
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_error_body_that_a_killed_process_left_is_healed(server, tmp_path):
    """The client goes on after the error body, and believes the sum, which has the right size."""
    (tmp_path / "downloads").mkdir()
    path = tmp_path / "downloads" / "toy-scenes.zip"
    path.write_bytes(DAMAGED[:30_027])
    partial = path.with_name("toy-scenes.zip.kaggle-partial")
    partial.write_text(json.dumps({"validator": '"first"', "size": SIZE}))
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert [headers.get("Range") for headers in server.got] == [None, "bytes=30027-", None]


def test_a_damaged_archive_of_the_right_size_is_healed(server, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(DAMAGED)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_an_archive_that_stays_damaged_is_refused(server, tmp_path):
    server.content = DAMAGED
    message = refused(DamagedArchive, tmp_path)
    assert "is damaged (its entry 'Images/nursery/baby's_room.jpg.jpg' fails the checksum)" in message
    assert len(server.asked) == 2
    assert left(tmp_path) == []
    assert not (tmp_path / "toy").exists()


def test_a_page_in_place_of_an_archive_is_refused(server, toy, tmp_path):
    toy(zip_bytes=None)
    server.content = b"<html>Sign in to go on</html>"
    assert "is not an intact zip archive" in refused(DamagedArchive, tmp_path)


def test_an_archive_of_another_arrangement_is_refused(server, toy, tmp_path):
    server.content = zipped({"Images/elsewhere/a.jpg": b"1"})
    toy(zip_bytes=None)
    assert "but not arranged as the dataset is read here" in refused(FetchError, tmp_path)


def test_another_size_than_known_is_refused_before_it_is_downloaded(server, toy, tmp_path):
    toy(zip_bytes=123_456)
    message = refused(FetchError, tmp_path)
    assert f"{SIZE:,} bytes where 123,456 are expected" in message
    assert len(server.asked) == 1
    assert left(tmp_path) == []


def test_less_than_known_is_refused_if_no_size_was_announced(server, tmp_path):
    server.answers = [unannounced] * 12
    refused((DamagedArchive, FetchError), tmp_path)
    assert not (tmp_path / "toy").exists()


def test_an_archive_that_is_damaged_after_it_was_checked_is_fetched_again_next_time(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "unpack", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    path = tmp_path / "downloads" / "toy-scenes.zip"
    times = path.stat()
    path.write_bytes(DAMAGED)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    refused(DamagedArchive, tmp_path)
    assert not path.exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


# Refusals and the network


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "wants a valid login (HTTP 401); set KAGGLE_API_TOKEN"),
        (403, "refuses access (HTTP 403); accept the terms"),
        (404, "has no dataset 'someone/toy-scenes' (HTTP 404)"),
        (429, "too many requests from here (HTTP 429); wait"),
        (500, "a fault of its own (HTTP 500); repeat later"),
        (503, "a fault of its own (HTTP 503); repeat later"),
        (418, "refuses the request (HTTP 418)"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(server, tmp_path, status, words):
    server.status = status
    assert words in refused(FetchError, tmp_path)
    server.status = 302
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES


def test_a_refusal_of_the_file_is_told_without_its_signed_address(server, tmp_path):
    server.answers = [expired]
    message = refused(FetchError, tmp_path)
    assert "(HTTP 403)" in message
    assert "signature" not in message


def test_no_network_is_told_in_a_sentence(home, toy, tmp_path, monkeypatch):
    serve_at(monkeypatch, f"http://127.0.0.1:{closed_port()}")
    message = refused(FetchError, tmp_path)
    assert "the connection to Kaggle failed (ConnectionError)" in message


def test_a_server_that_stays_silent_is_told_in_a_sentence(home, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PATIENCE", (5, 0.05))
    requests = pytest.importorskip("requests")
    send = requests.Session.send
    with silent() as address:
        serve_at(monkeypatch, address)
        assert "the connection to Kaggle failed (ReadTimeout); with a working" in refused(FetchError, tmp_path)
    assert requests.Session.send is send


def test_a_login_that_is_never_answered_does_not_hang(home, toy, tmp_path, monkeypatch):
    """The client asks whether a token is valid before anything else."""
    monkeypatch.setattr(fetch, "PATIENCE", (5, 0.05))
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    with silent() as address:
        serve_at(monkeypatch, address)
        assert "the connection to Kaggle failed (ReadTimeout)" in refused(FetchError, tmp_path)


def test_a_file_that_is_never_sent_is_told_in_a_sentence(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "PATIENCE", (5, 0.05))
    with silent() as address:
        server.file_at = address
        assert "the connection to Kaggle failed (ReadTimeout)" in refused(FetchError, tmp_path)
    assert len(server.asked) == 1


def test_a_network_that_stays_broken_is_told_in_a_sentence(server, tmp_path):
    server.answers = [half] * 6
    assert "with a working network the same command goes on" in refused(FetchError, tmp_path)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert server.got[-1]["Range"]


# Killed between two steps


@pytest.mark.parametrize(
    ("module", "step", "requests"),
    [
        (fetch, "download", 1),
        (fetch, "check_archive", 1),  # the archive is there, but was not checked
        (pathlib.Path, "write_text", 1),
        (fetch, "unpack", 1),
        (fetch, "_check_entries", 1),
        (zipfile.ZipFile, "extract", 1),
        (fetch.os, "replace", 1),
    ],
)
def test_whatever_was_interrupted_can_be_repeated(server, tmp_path, monkeypatch, module, step, requests):
    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch("toy", tmp_path)
    assert not (tmp_path / "toy").exists()
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert len(server.asked) == requests
    assert sorted(path.name for path in tmp_path.iterdir()) == ["downloads", "home", "toy"]


def test_what_a_killed_process_left_is_made_anew(server, tmp_path):
    (tmp_path / ".toy.unpacking" / "Images").mkdir(parents=True)
    (tmp_path / ".toy.unpacking" / "half.jpg").write_bytes(b"half")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy-scenes.zip").write_bytes(ARCHIVE[:500])
    (tmp_path / "downloads" / "toy-scenes.zip.verified").write_bytes(b"\xff\x00")
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    assert not (tmp_path / ".toy.unpacking").exists()
