"""Images as arrays: a file decoded as the authors' reader does it, and whatever images a user gives to a model."""

import contextlib
import functools
import io
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import simplejpeg

from wisesr_helpers.checks import is_whole

EXAMPLES = 3  # names shown of each reason
# Line ends, other control characters, and bytes of a file's name that are not UTF-8, as Python stands for them.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

RESAMPLING = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
# What Pillow may open here. Others, such as PostScript, would start programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
ORIENTATION = 0x0112  # of an EXIF tag: 1 is upright, 2 to 8 are turned or mirrored
MAX_PIXELS = 89_478_485  # Pillow's default; a limit of our own, as many a notebook switches Pillow's off


class Unreadable(Exception):
    """A file that is no image; its text is the reason, in a few words."""


def decode(data, size=None, resample="nearest", upright=False):
    """Decode an image file.

    The content decides, not the name. Alpha is dropped, palettes are resolved, and the first frame is taken, all as
    ``keras.utils.load_img`` does. No side is enlarged.

    Args:
        data: The file's bytes.
        size: (height, width) to reduce to, each side by itself; None: as large as it is.
        resample: One of ``RESAMPLING``; the authors' is "nearest".
        upright: Turn the image as its EXIF data say; default False, as ``load_img``.

    Returns:
        uint8 array (h, w, 3), or (h, w) for a grey image, whose three channels would be equal.

    Raises:
        Unreadable: The bytes are no image that Pillow decodes, with the reason. Damage that it doesn't notice, such as
            many a JPEG's tail of zeros, is decoded as it does.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data:
        raise Unreadable("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable("too many pixels")
            if upright and is_turned(data):
                image = ImageOps.exif_transpose(image)
            pixels = _sound_jpeg(data) if image.format == "JPEG" and image.mode == "RGB" else None
            if pixels is None:
                colour = "L" if image.mode in ("1", "L") else "RGB"
                pixels = np.asarray(image if image.mode == colour else image.convert(colour))
    except Unreadable:
        raise
    except UnidentifiedImageError:
        media = data[4:8] == b"ftyp"  # as telephones store photographs, and films beside them
        raise Unreadable("HEIC, AVIF or a film: save photographs as JPEG" if media else "not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too many pixels") from None
    except Exception as error:  # a damaged file can make Pillow fail in any of its decoders, in any way
        raise Unreadable("truncated or damaged") from error
    return pixels if size is None else _reduce(pixels, size, resample)


def is_turned(data):
    """Whether the EXIF data of an image file say that it has to be turned or mirrored to be upright."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            # Of a PNG file, Pillow would decode all pixels to look for EXIF data behind them.
            known = image.format != "PNG" or "exif" in image.info
            return known and image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # damaged EXIF data can make Pillow fail in any way, and the pixels may be whole
        return False


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


def _reduce(image, size, resample):
    """The image (h, w) or (h, w, channels) with no side longer than ``size``, as Pillow reduces it."""
    from PIL import Image

    height, width = map(min, image.shape[:2], size)
    if (height, width) == image.shape[:2]:
        return image
    if resample == "nearest":
        return image[nearest(image.shape[0], height)].take(nearest(image.shape[1], width), axis=1)

    def resize(pixels):
        return Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling[resample.upper()])

    if image.dtype == np.uint8 and image.shape[2:] in ((), (3,)):
        return np.asarray(resize(image))
    planes = np.moveaxis(image, -1, 0) if image.ndim == 3 else [image]  # Pillow has floats in one channel only
    return np.stack([resize(plane) for plane in planes], axis=-1)


def enlarge(image, size):
    """The image (h, w) or (h, w, 3) with the sides ``size``, by Pillow's nearest; as it is where it has them."""
    if image.shape[:2] == size:
        return image
    rows, columns = (nearest(*sides) for sides in zip(image.shape[:2], size, strict=True))
    return image[rows[:, None], columns]


def write_rgb(image, out):
    """Write an image into ``out`` (H, W, 3): RGB as it is, a grey one (H, W) or (H, W, 1) into all three channels."""
    if image.ndim == 3:
        out[...] = image
    else:
        for channel in range(3):  # five times as fast as NumPy's broadcasting
            out[..., channel] = image
    return out


@functools.lru_cache(maxsize=1024)
def nearest(source, target):
    """Which of ``source`` pixels each of ``target`` pixels shows: Pillow's nearest, int array (target,)."""
    from PIL import Image

    row = Image.fromarray(np.arange(source, dtype=np.int32)[None])
    return np.asarray(row.resize((target, 1), Image.Resampling.NEAREST))[0]


_decoding = threading.RLock()


@contextlib.contextmanager
def quiet_decoding():
    """Hold back what Pillow warns of while it decodes: every file is judged by what comes out of it.

    And let it refuse files that are cut off, though a notebook may have told it to fill them up
    (``ImageFile.LOAD_TRUNCATED_IMAGES``). To be entered around all threads that decode: warnings and Pillow's settings
    are the whole process's, so a second block waits for the first to put them back.
    """
    from PIL import Image, ImageFile

    with _decoding:
        Image.init()  # before several threads would do it at once
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\..*")
                yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def check_size(image_size):
    """A side in pixels or (height, width), as a pair of ``int``; ValueError for anything else."""
    try:
        pair = (image_size, image_size) if is_whole(image_size) else tuple(image_size)
    except TypeError:  # 224.0 or None: nothing that has members
        pair = ()
    if len(pair) != 2 or not all(map(is_whole, pair)):
        raise ValueError(
            "image_size must be a side in pixels or (height, width), in whole numbers of 1 or more, such as 224 or "
            f"(224, 320); received {image_size!r}."
        )
    return tuple(map(int, pair))


def check_resample(resample):
    """Raise ValueError, with the valid names, if ``resample`` is not one of ``RESAMPLING``."""
    if resample not in RESAMPLING:
        raise ValueError(f"Unknown resample {resample!r}. Valid: {', '.join(RESAMPLING)}.")


# File names in sentences.


def printable(name):
    r"""A name as one line of text that UTF-8 can encode: "two\nlines.jpg", "caf\udce9.jpg"; most are as they were."""
    return _NO_TEXT.sub(lambda found: repr(found[0])[1:-1], str(name))


def some_of(names):
    """The first of some names: "'a.jpg', 'b.jpg', 'c.jpg', …"."""
    shown = [f"'{printable(name)}'" for name in names[:EXAMPLES]]
    return ", ".join([*shown, "…"] if len(names) > EXAMPLES else shown)


# The images that a user gives: paths, folders and arrays, each made as large as a model takes it.

TAKES = (
    "predict takes the path of an image or a folder, a list of paths, an array (N, H, W, 3) or (H, W, 3) (grey: "
    "(N, H, W) or (H, W)), or a list of arrays with one image each"
)


def find_images(files):
    """The images that ``files`` names or holds, as ``ws.predict`` takes it; none is decoded.

    List of pairs (name, path or array), one an image: a path as given or found, an array by its number.
    """
    if isinstance(files, np.ndarray) and (files.dtype.kind not in "OU" or files.ndim == 0):
        items = _apart(files)
    elif isinstance(files, (str, os.PathLike)):
        items = [files]
    elif isinstance(files, Iterable) and not isinstance(files, (bytes, Mapping)):
        items = files
    else:
        raise TypeError(f"{TAKES}; received {kind_of(files)}.")
    images, highest = [], []
    for number, item in enumerate(items):
        if isinstance(item, np.ndarray):
            highest.append(_check_array(item))
            images.append((number, item))
        elif isinstance(item, (str, os.PathLike)):
            images += _files_at(item)
        else:
            raise TypeError(f"{TAKES}; received {kind_of(item)} at place {number}.")
    if not images:
        raise ValueError(f"There is no image to predict. {TAKES}; received an empty {type(files).__name__}.")
    if 0 < max(highest, default=0) <= 1:
        raise ValueError(
            "Arrays hold values from 0 to 255; none of those received exceeds 1. Multiply by 255 what goes from 0 to 1."
        )
    return images


def load_image(source, size, resample):
    """An image as a model takes it: turned upright as its EXIF data say, and resized as the training data is.

    ``source`` is a path, or an array (h, w), (h, w, 1) or (h, w, 3) with values 0..255. A side longer than ``size``,
    (H, W), is reduced by ``resample``, see :func:`decode`, a shorter one enlarged by Pillow's nearest. The image is
    uint8 (H, W, 3), or float32 of an array of floats; Unreadable says why a file can't be read or decoded.
    """
    if isinstance(source, np.ndarray):
        dtype = np.float32 if source.dtype.kind == "f" else np.uint8
        image = _reduce(np.asarray(source, dtype), size, resample)
    else:
        try:
            data = pathlib.Path(source).read_bytes()
        except OSError as error:
            raise Unreadable(f"can't be read ({error.strerror or error})") from error
        image = decode(data, size, resample, upright=True)
    return write_rgb(enlarge(image, size), np.empty((*size, 3), image.dtype))


def kind_of(value):
    """What was received, for an error: plain values as they are, others by their type."""
    plain = isinstance(value, (str, bytes, int, float, type(None)))
    return repr(value) if plain else f"an object of type '{type(value).__name__}'"


def _apart(array):
    """The images of an array that was given by itself: one, or one along its first axis."""
    shape = array.shape
    if len(shape) != 3 or shape[2] in (1, 3):
        return array if len(shape) > 3 else [array]
    if shape[0] == 3 or shape[2] in (2, 4):  # grey images, or channels that come first or have transparency
        raise ValueError(
            f"An array {shape} may be one image or several; valid is (H, W, 3), or (N, H, W) for grey images. Put "
            "the channels last and leave out transparency, or give a list of images (H, W)."
        )
    return array


def _check_array(array):
    """The highest value of an array of one image, whole numbers taken to go up to 255; ValueError if it is none."""
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise ValueError(
            f"An image as an array has the shape (H, W, 3), or (H, W) if it is grey; received {shape}. Put the "
            "channels last and leave out transparency."
        )
    if array.dtype.kind not in "uif":
        raise ValueError(
            f"An image as an array holds values from 0 to 255, as uint8 or other numbers; received {array.dtype}. "
            "Convert it."
        )
    if array.dtype == np.uint8:
        return 255
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # so is NaN
        raise ValueError(
            f"An image as an array holds values from 0 to 255; received {low:g} to {high:g}. Give it as it was before "
            "it was normalised: that is the model's part."
        )
    return float(high) if array.dtype.kind == "f" else 255


def _files_at(place):
    """Pairs (name, path) of the images at a path."""
    path = os.path.expanduser(place)
    if os.path.isfile(path):
        return [(os.fspath(place), path)]
    if not os.path.isdir(path):
        raise FileNotFoundError(
            f"There is no file or folder '{printable(place)}'. Give the path of an image, or of a folder."
        )
    images, others = [], []
    with quiet_decoding():
        for file in sorted(pathlib.Path(found) for found in _below(path, ())):
            (images if _is_image(file) else others).append(str(file))
    if not images:
        passed = f"; passed over: {len(others):,} ({some_of(others)})" if others else ""
        raise ValueError(
            f"The folder '{printable(place)}' holds no image that can be read ({', '.join(FORMATS)}){passed}. "
            "Give another folder."
        )
    if others:
        print(
            f"Passed over in '{printable(place)}', as no images that can be read: {len(others):,} ({some_of(others)})."
        )
    return [(file, file) for file in images]


def _below(folder, above):
    """Paths of the files below a folder, but for hidden ones; links are followed, but not in circles."""
    above = (*above, os.path.realpath(folder))
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except OSError:
        yield folder  # what can't be looked into is passed over by its name
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry.path
        elif os.path.realpath(entry.path) not in above:
            yield from _below(entry.path, above)


def _is_image(path):
    """Whether a file is an image by its suffix or, with any other, by its content."""
    from PIL import Image

    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        return False
    if Image.registered_extensions().get(path.suffix.lower()) in FORMATS:
        return True
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True
    except Exception:  # Pillow reads what looks like a header, and can fail at it in any way
        return False
