"""Archives that would do harm, or are damaged."""

import stat
import zipfile

import pytest
from kaggle_imitation import ARCHIVE, FILES, refused, unpacked, zipped

from wisesr_helpers.data.fetch import DamagedArchive, UnsafeArchive, check_archive, unpack

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.mark.parametrize(
    "name",
    ["/etc/evil", "../evil", "a/../../evil", "..\\evil", "\\evil", "C:\\evil", "c:evil", "\\\\host\\share\\evil"],
)
def test_an_entry_that_leaves_the_folder(tmp_path, name):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"good.txt": b"good", name: b"evil"}))
    for call in (lambda: check_archive(path, 1000), lambda: unpack(path, tmp_path / "out", 1000)):
        with pytest.raises(UnsafeArchive, match="would leave the folder"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_an_entry_that_is_a_link_or_a_device(tmp_path, kind):
    path = tmp_path / "a.zip"
    entry = zipfile.ZipInfo("link")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc")
    with pytest.raises(UnsafeArchive, match="its entry 'link' is a link or a device"):
        check_archive(path, 1000)


def test_a_bomb_that_says_so(server, toy, tmp_path):
    toy(unpacked_bytes=100_000)
    message = refused(UnsafeArchive, tmp_path)
    assert "it unpacks to more than the 100 kB that are expected at the most" in message
    assert len(server.asked) == 1
    assert not (tmp_path / "toy").exists()


def lying(size, crc):
    """An archive whose headers state ``size`` and ``crc`` for a million zeros."""
    content = bytearray(zipped({"zeros": bytes(10**6)}))
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        place = content.index(signature) + offset
        content[place : place + 4] = crc.to_bytes(4, "little")
        content[place + 8 : place + 12] = size.to_bytes(4, "little")
    return bytes(content)


def test_a_bomb_that_lies(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(lying(10, zipfile.crc32(bytes(10**6))))
    with pytest.raises(DamagedArchive, match="fails the checksum|not an intact"):
        check_archive(path, 1000)
    path.write_bytes(lying(10, zipfile.crc32(bytes(10))))  # and has the checksum to its lie
    unpack(path, tmp_path / "out", 1000)
    assert unpacked(tmp_path / "out") == {"zeros": bytes(10)}


def test_what_is_written_counts_and_not_what_was_announced(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"a": b"1", "b": b"2"}))

    def extract(archive, entry, folder):
        (folder / entry.filename).write_bytes(bytes(600))
        return folder / entry.filename

    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
    with pytest.raises(UnsafeArchive, match="more than the 1 kB"):
        unpack(path, tmp_path / "out", 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_damage_of_any_kind_is_called_so(tmp_path):
    path = tmp_path / "a.zip"
    encrypted = bytearray(zipped({"a": b"1"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1
    packed = zipped(FILES, zipfile.ZIP_BZIP2)
    samples = [b"", b"PK", ARCHIVE[:-30], zipped({}), bytes(encrypted), packed[:5000] + bytes(9000) + packed[14000:]]
    for content in samples:
        path.write_bytes(content)
        with pytest.raises(DamagedArchive, match="a.zip"):
            check_archive(path, 10**7)


def test_names_are_those_that_zipfile_makes(tmp_path):
    files = {"dir\\file.jpg": b"1", "two words/it's.jpg": b"2", "ü/日本.jpg": b"3"}
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(files))
    unpack(path, tmp_path / "ours", 1000)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "theirs")
    assert unpacked(tmp_path / "ours") == unpacked(tmp_path / "theirs")
