"""One image file to one array, as the authors' reader does it (Pillow, RGB, resized without regard to aspect)."""

import contextlib
import functools
import io
import warnings

import numpy as np
import simplejpeg

from wisesr_helpers.overlapping import shared

RESAMPLING = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
# What Pillow may open here. Others, such as PostScript, would start programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 89_478_485  # Pillow's default; a limit of our own, as many a notebook switches Pillow's off


class Unreadable(Exception):
    """A file that is no image; its text is the reason, in a few words."""


def decode(data, size=None, resample="nearest"):
    """Decode an image file.

    The content decides, not the name. Alpha is dropped, palettes are resolved, the first frame is taken, and a
    rotation in the EXIF data is ignored: all as ``keras.utils.load_img`` does. No side is enlarged.

    Args:
        data: The file's bytes.
        size: (height, width) to reduce to, each side by itself; None: as large as it is.
        resample: One of ``RESAMPLING``; the authors' is "nearest".

    Returns:
        uint8 array (h, w, 3), or (h, w) for a grey image, whose three channels would be equal.

    Raises:
        Unreadable: The bytes are no image that Pillow decodes, with the reason. Damage that it doesn't notice, such as
            many a JPEG's tail of zeros, is decoded as it does.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Unreadable("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable("too many pixels")
            pixels = _sound_jpeg(data) if image.format == "JPEG" and image.mode == "RGB" else None
            if pixels is None:
                colour = "L" if image.mode in ("1", "L") else "RGB"
                pixels = np.asarray(image if image.mode == colour else image.convert(colour))
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too many pixels") from None
    except Exception as error:  # a damaged file can make Pillow fail in any of its decoders, in any way
        raise Unreadable("truncated or damaged") from error
    return pixels if size is None else _reduced(pixels, size, resample)


def _sound_jpeg(data):
    """The pixels of a JPEG file in which the decoder finds nothing amiss; None where Pillow has to judge.

    Pillow and simplejpeg wrap one decoder, libjpeg-turbo, and give the same pixels; simplejpeg does it without
    Pillow's copies and calls back into the interpreter. What it refuses need not be damaged: a stray byte between two
    segments gets the same words from it as a gap in the pixels.
    """
    from PIL import features

    if not features.check_feature("libjpeg_turbo"):  # another decoder's rounding may differ
        return None
    try:
        return simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None


def _reduced(pixels, size, resample):
    """The image with no side longer than ``size``, as Pillow reduces it."""
    height, width = (min(sides) for sides in zip(size, pixels.shape[:2], strict=True))
    if (height, width) == pixels.shape[:2]:
        return pixels
    if resample == "nearest":
        return pixels[nearest(pixels.shape[0], height)].take(nearest(pixels.shape[1], width), axis=1)
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling[resample.upper()]))


@functools.lru_cache(maxsize=1024)
def nearest(source, target):
    """Which of ``source`` pixels each of ``target`` pixels shows: Pillow's nearest, int array (target,)."""
    from PIL import Image

    row = Image.fromarray(np.arange(source, dtype=np.int32)[None])
    return np.asarray(row.resize((target, 1), Image.Resampling.NEAREST))[0]


@shared
@contextlib.contextmanager
def quiet_decoding():
    """Hold back what Pillow warns of while it decodes: every file is judged by what comes out of it.

    And let it refuse files that are cut off, though a notebook may have told it to fill them up
    (``ImageFile.LOAD_TRUNCATED_IMAGES``). To be entered around all threads that decode: warnings and Pillow's settings
    are the whole process's.
    """
    from PIL import Image, ImageFile

    Image.init()  # before several threads would do it at once
    as_set = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\..*")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = as_set
