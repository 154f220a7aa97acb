"""One image file to one array, as the authors' reader does it (Pillow, RGB, resized without regard to aspect)."""

import contextlib
import io
import warnings

import numpy as np

RESAMPLING = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
# What Pillow may open here. Others, such as PostScript, would start programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
BLOCKS = 8  # of memory that Pillow keeps from image to image, each of 16 MB at most


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
        uint8 array (h, w, 3), or (h, w) for a grey image, whose three channels would be equal; read-only.

    Raises:
        Unreadable: The bytes are no image that can be decoded whole, with the reason.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Unreadable("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Unreadable("too many pixels")
            image = image if image.mode == "RGB" else image.convert("L" if image.mode in ("1", "L") else "RGB")
            if size is not None:
                width, height = min(size[1], image.width), min(size[0], image.height)
                if (width, height) != image.size:
                    image = image.resize((width, height), Image.Resampling[resample.upper()])
            return np.asarray(image)  # of bytes that nobody else has: no second copy
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too many pixels") from None
    except Exception as error:  # a damaged file can make Pillow fail in any of its decoders, in any way
        raise Unreadable("truncated or damaged") from error


@contextlib.contextmanager
def quiet_decoding():
    """Hold back what Pillow warns of while it decodes: every file is judged by what comes out of it.

    To be entered once, around all threads that decode: warnings are the whole process's, and so is the memory that
    Pillow uses again for the next image instead of asking the system for it anew.
    """
    from PIL import Image

    Image.init()  # before several threads would do it at once
    kept = Image.core.get_blocks_max()
    Image.core.set_blocks_max(max(kept, BLOCKS))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\..*")
            yield
    finally:
        Image.core.set_blocks_max(kept)  # frees what is over
