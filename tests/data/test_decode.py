"""Every content that a folder may hold decodes to what Pillow gives, or is refused with its reason."""

import io

import numpy as np
import pytest
from contents import encode, picture, write_content
from PIL import Image

from wisesr_helpers.data.decode import BLOCKS, RESAMPLING, Unreadable, decode, quiet_decoding


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


@pytest.mark.parametrize("method", RESAMPLING)
def test_the_method_is_pillows(method):
    data = encode(picture(), "PNG")
    expected = by_pillow(data, (31, 29), Image.Resampling[method.upper()])
    np.testing.assert_array_equal(decode(data, (31, 29), method), expected)


def test_the_memory_that_pillow_keeps_is_given_back_afterwards():
    before = Image.core.get_blocks_max()
    with quiet_decoding():
        assert Image.core.get_blocks_max() >= BLOCKS > before
    assert Image.core.get_blocks_max() == before
