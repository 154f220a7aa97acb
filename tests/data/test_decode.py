"""Every content that a folder may hold decodes to what Pillow gives, or is refused with its reason."""

import concurrent.futures
import io

import numpy as np
import pytest
import simplejpeg
from contents import encode, picture, write_content
from PIL import Image, ImageFile, features
from PIL.JpegImagePlugin import JpegImageFile

from wisesr_helpers.data.images import RESAMPLING, Unreadable, decode, quiet_decoding


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
