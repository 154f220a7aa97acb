"""Every content that a folder may hold decodes to what Pillow gives, or is refused with its reason; sizes and names."""

import concurrent.futures
import io
import json
import threading

import numpy as np
import pytest
import simplejpeg
from contents import ODD_NAMES, encode, picture, write_content, write_odd_names
from PIL import Image, ImageFile, features
from PIL.JpegImagePlugin import JpegImageFile
from trees import build_tree

from wisesr_helpers.data.folders import check_folder
from wisesr_helpers.data.images import (
    RESAMPLING,
    Unreadable,
    check_size,
    decode,
    find_images,
    nearest,
    printable,
    quiet_decoding,
    write_rgb,
)
from wisesr_helpers.data.load import load_dataset


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    return write_content(tmp_path_factory.mktemp("contents"))


def by_pillow(data, size=None, method=Image.Resampling.NEAREST):
    """What keras.utils.load_img does, with Pillow alone."""
    image = Image.open(io.BytesIO(data))
    image = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(image if size is None else image.resize(size[::-1], method))


def in_colour(image):
    return np.repeat(image[..., None], 3, -1) if image.ndim == 2 else image


def test_every_readable_content_is_what_pillow_gives(contents):
    seen = 0
    for name, content in contents.items():
        if not content.readable:
            continue
        data = content.path.read_bytes()
        with quiet_decoding():
            np.testing.assert_array_equal(in_colour(decode(data)), by_pillow(data), err_msg=name)
            for size in ((20, 33), (48, 64), (7, 64)):
                np.testing.assert_array_equal(in_colour(decode(data, size)), by_pillow(data, size), err_msg=name)
        seen += 1
    assert seen > 20


def test_what_can_not_be_read_is_refused_with_its_reason(contents):
    reasons = {
        "truncated JPEG": "truncated or damaged",
        "empty file": "empty file",
        "HTML page": "not an image",
        "bomb": "too many pixels",
    }
    refused = {name for name, content in contents.items() if not content.readable}
    assert refused == set(reasons)
    for name, reason in reasons.items():
        with quiet_decoding(), pytest.raises(Unreadable, match=reason):
            decode(contents[name].path.read_bytes())


@pytest.mark.parametrize("limit", [None, 10**12])
def test_pillows_limit_of_pixels_may_be_switched_off(contents, limit, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for name in ("JPEG", "PNG", "GIF"):
        data = contents[name].path.read_bytes()
        np.testing.assert_array_equal(decode(data), by_pillow(data))
    with pytest.raises(Unreadable, match="too many pixels"):
        decode(contents["bomb"].path.read_bytes())


def test_the_limit_itself_is_allowed(monkeypatch):
    data = encode(picture(), "PNG")
    monkeypatch.setattr("wisesr_helpers.data.images.MAX_PIXELS", 48 * 64)
    assert decode(data).shape == (48, 64, 3)
    monkeypatch.setattr("wisesr_helpers.data.images.MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(Unreadable, match="too many pixels"):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_a_file_is_refused_though_pillow_was_told_to_fill_it_up(kind, monkeypatch):
    whole = encode(picture(240, 320), kind)
    half = whole[: len(whole) // 2]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert by_pillow(half).shape == (240, 320, 3)

    def refused(data):
        with pytest.raises(Unreadable, match="truncated or damaged"):
            decode(data)
        return True

    with quiet_decoding(), concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(refused, [half] * 8))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    with pytest.raises(KeyboardInterrupt), quiet_decoding():
        raise KeyboardInterrupt
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_no_program_is_started_for_a_file():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"
    with pytest.raises(Unreadable, match="not an image"):
        decode(postscript)


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif", b"qt  "])
def test_what_a_telephone_stores_is_named(brand):
    with pytest.raises(Unreadable, match="^HEIC, AVIF or a film: save photographs as JPEG$"):
        decode(b"\0\0\0\x18ftyp" + brand + bytes(400))


def test_a_grey_image_stays_one_channel():
    assert decode(encode(picture().convert("L"), "PNG")).shape == (48, 64)


def test_no_side_is_enlarged():
    data = encode(picture(), "PNG")
    assert decode(data, (100, 100)).shape == (48, 64, 3)
    np.testing.assert_array_equal(decode(data, (100, 32)), by_pillow(data, (48, 32)))


JPEGS = {
    **{
        f"subsampling {kind}": lambda image, kind=kind: simplejpeg.encode_jpeg(np.asarray(image), 80, "RGB", kind)
        for kind in ("444", "422", "420", "440", "411")
    },
    "progressive": lambda image: encode(image, "JPEG", progressive=True),
    "with restarts": lambda image: encode(image, "JPEG", restart_marker_rows=1),
    "stored as RGB": lambda image: encode(image, "JPEG", keep_rgb=True),
    "coarse": lambda image: encode(image, "JPEG", quality=5),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_sound_jpeg_is_what_pillow_gives_and_not_decoded_by_it(kind, monkeypatch):
    image = picture().crop((0, 0, 61, 47))
    data = JPEGS[kind](image)
    with monkeypatch.context() as without:
        without.setattr(JpegImageFile, "load", None)
        pixels = decode(data)
    np.testing.assert_array_equal(pixels, by_pillow(data))


def test_a_damaged_jpeg_is_judged_by_pillow():
    data = bytearray(encode(picture(), "JPEG"))
    del data[-100:-60]  # of the pixels: the decoder goes on behind the gap
    with quiet_decoding():
        np.testing.assert_array_equal(decode(bytes(data)), by_pillow(data))
    with pytest.raises(ValueError, match="premature|Corrupt"):
        simplejpeg.decode_jpeg(bytes(data), strict=True)


def test_a_tail_of_zeros_is_used_as_pillow_decodes_it():
    whole = encode(picture(240, 320), "JPEG", quality=95)
    data = whole[: len(whole) // 2] + bytes(1_000_000)  # zeros are codes, too: of the missing pixels
    with quiet_decoding():
        np.testing.assert_array_equal(decode(data), by_pillow(data))
    assert not np.array_equal(by_pillow(data), by_pillow(whole))


def test_another_decoder_in_pillow_is_asked_itself(monkeypatch):
    monkeypatch.setattr(features, "check_feature", lambda name: False)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    data = encode(picture(), "JPEG")
    np.testing.assert_array_equal(decode(data), by_pillow(data))


@pytest.mark.parametrize("method", RESAMPLING)
def test_the_method_is_pillows(method):
    data = encode(picture(), "PNG")
    expected = by_pillow(data, (31, 29), Image.Resampling[method.upper()])
    np.testing.assert_array_equal(decode(data, (31, 29), method), expected)


@pytest.mark.parametrize(("source", "target"), [(28, 224), (28, 299), (64, 224), (150, 224), (3, 7), (7, 512)])
def test_enlarging_takes_pillows_pixels_for_every_size(source, target):
    values = np.arange(source, dtype=np.uint8)
    shown = Image.fromarray(values[:, None]).resize((1, target), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(values[nearest(source, target)], np.asarray(shown)[:, 0])


@pytest.mark.parametrize(
    ("size", "pair"),
    [(64, (64, 64)), (np.uint8(64), (64, 64)), ([64, 80], (64, 80)), (np.array([64, 80]), (64, 80))],
)
def test_a_size_is_a_pair_of_pythons_whole_numbers(size, pair):
    assert check_size(size) == pair
    assert {type(side) for side in check_size(size)} == {int}


def test_a_grey_image_is_written_into_three_channels_and_colours_as_they_are():
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    grey = colour[..., 0]
    for image, expected in (
        (colour, colour),
        (grey, np.stack([grey] * 3, -1)),
        (grey[..., None], np.stack([grey] * 3, -1)),
    ):
        np.testing.assert_array_equal(write_rgb(image, np.zeros_like(colour)), expected)


def test_decoding_in_another_thread_waits_and_the_setting_is_restored_after_both(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    found = []

    def second():
        with quiet_decoding():
            found.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    with quiet_decoding(), quiet_decoding():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        assert found == []
    thread.join()
    assert found == [False]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


# Names that are no text, or more than a line, are shown so that they can be printed.


def printed(*lines):
    """The lines that a stream of UTF-8 gets, which takes nothing else."""
    with io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict", newline="\n") as stream:
        print(*lines, sep="\n", file=stream)
        stream.seek(0)
        return stream.read().removesuffix("\n").split("\n")


def test_odd_names_are_shown_as_one_line_and_others_as_they_are():
    for name, expected in ODD_NAMES.items():
        assert printable(name) == printable(printable(name)) == expected
    for name in ("baby's_room.jpg.jpg", "käse 寺院 🏛.jpg", "dir\\file.JPEG", "a b\u202fc.png", "", "100%25.jpg"):
        assert printable(name) == name


def test_a_report_of_odd_names_can_be_printed(tmp_path):
    tree = build_tree("intel", tmp_path, per_class=(2, 1), image_size=24)
    for split in ("train", "test"):
        names = write_odd_names(tmp_path / f"seg_{split}" / f"seg_{split}" / tree.classes[0], b"")
    assert len(names) >= 2  # not every file system takes all of them
    dataset = load_dataset("intel", 24, tmp_path)
    assert len(dataset.train) == tree.train
    said = printed(*dataset.describe())
    assert len(said) == len(dataset.describe())
    assert said[-1].startswith(f"Note: {2 * len(names)} empty file (")
    reported = {name.rpartition("/")[2] for name in dataset.left_out["empty file"]}
    assert reported == set(names)
    printed(json.dumps(dataset.summary(), ensure_ascii=False))


def test_odd_names_that_can_be_read_are_used(tmp_path):
    tree = build_tree("intel", tmp_path, per_class=(2, 1), image_size=24)
    names = write_odd_names(tmp_path / "seg_train" / "seg_train" / tree.classes[0], encode(picture(), "JPEG"))
    dataset = load_dataset("intel", 24, tmp_path)
    assert len(dataset.train) == tree.train + len(names)
    assert dataset.left_out == {}


def test_a_folder_of_odd_names_and_odd_classes_can_be_told_of(tmp_path, capsys):
    for k, kind in enumerate((*ODD_NAMES, "plain")):
        try:
            (tmp_path / "own" / kind).mkdir(parents=True)
        except OSError:  # macOS takes UTF-8 only
            continue
        for n in range(2):
            (tmp_path / "own" / kind / f"{n}.png").write_bytes(encode(picture(24 + k, 24 + n), "PNG"))
    odd = write_odd_names(tmp_path / "own" / "plain", b"")
    beside = write_odd_names(tmp_path / "own", b"")
    check = check_folder(tmp_path / "own", 24)
    assert len(printed(check)) == len(check.describe())
    assert set(check.left_out["beside the class folders"]) == set(beside)
    assert set(check.left_out["empty file"]) == {f"plain/{name}" for name in odd}
    assert set(check.counts.index) <= {*ODD_NAMES.values(), "plain"}
    assert len(check.counts) == len(beside) + 1
    capsys.readouterr()
    write_odd_names(tmp_path / "own", b"no image", end=".txt")
    find_images(tmp_path / "own")
    (said,) = printed(capsys.readouterr().out.removesuffix("\n"))
    assert said.startswith("Passed over in '")
