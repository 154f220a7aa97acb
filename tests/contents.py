"""One file of every content that a folder of photographs may hold, and a few that it should not."""

import io
import pathlib
import struct
import typing
import zlib

import numpy as np
from PIL import Image


class Content(typing.NamedTuple):
    """A file, and whether Pillow reads a picture from it."""

    path: pathlib.Path
    readable: bool


def html():
    """An error page, as some servers send it in place of a picture."""
    return b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"


def gif(image, frames=1):
    """A GIF whose first frame is ``image`` and whose others are black."""
    black = Image.new("RGB", image.size)
    return encode(image, "GIF", save_all=frames > 1, append_images=[black] * (frames - 1))


def encode(image, kind, **options):
    """A picture's file, as bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bomb(side=13400):
    """A valid PNG of a few kilobytes and, with its side's default, over twice Pillow's limit of pixels.

    One bit per pixel, all black.
    """

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = bytes(side * (1 + -(-side // 8)))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")]
    )


def picture(height=48, width=64):
    """A photograph's stand-in, RGB: red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    pixels = [255 * columns // (width - 1), 255 * rows // (height - 1), np.full_like(rows, 90)]
    return Image.fromarray(np.stack(pixels, axis=-1).astype(np.uint8))


# Names that no UTF-8 stream takes, that break a line or that steer a terminal, and how they are to be shown.
ODD_NAMES = {
    "caf\udce9": r"caf\udce9",  # Latin-1, as old archives have it
    "two\nlines": r"two\nlines",
    "red\x1b[31m": r"red\x1b[31m",
    "line\u2028separator": r"line\u2028separator",
}


def write_odd_names(folder, data, end=".jpg"):
    """Write one file under each of the odd names that the file system takes; return these names as they are shown."""
    written = []
    for name, shown in ODD_NAMES.items():
        try:
            (folder / f"{name}{end}").write_bytes(data)
        except OSError:  # macOS takes UTF-8 only
            continue
        written.append(f"{shown}{end}")
    return written


def write_content(folder):
    """Write one file of every content.

    Args:
        folder: Where to; made if need be.

    Returns:
        Name → Content. All but the bomb show ``picture()`` or a part of it.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = picture()
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.asarray(image)[..., 0]))
    palette = image.quantize(64)
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera was held upright: turn by 90° to see it so
    jpeg = encode(image, "JPEG", quality=95)
    files = {
        "JPEG": ("plain.jpg", jpeg, True),
        "grey JPEG": ("grey.jpg", encode(image.convert("L"), "JPEG"), True),
        "CMYK JPEG": ("cmyk.jpg", encode(image.convert("CMYK"), "JPEG"), True),
        "progressive JPEG": ("progressive.jpg", encode(image, "JPEG", progressive=True), True),
        "rotated JPEG": ("rotated.jpg", encode(image, "JPEG", exif=rotated), True),
        "PNG": ("plain.png", encode(image, "PNG"), True),
        "palette PNG": ("palette.png", encode(palette, "PNG"), True),
        "transparent palette PNG": ("holes.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 4))), True),
        "16-bit grey PNG": ("deep.png", encode(deep, "PNG"), True),
        "RGBA PNG": ("rgba.png", encode(alpha, "PNG"), True),
        "LA PNG": ("la.png", encode(alpha.convert("LA"), "PNG"), True),
        "GIF": ("still.gif", gif(image), True),
        "animated GIF": ("moving.gif", gif(image, frames=3), True),
        "BMP": ("plain.bmp", encode(image, "BMP"), True),
        "WEBP": ("plain.webp", encode(image, "WEBP"), True),
        "TIFF": ("plain.tiff", encode(image, "TIFF"), True),
        "PNG named .jpg": ("disguised.jpg", encode(image, "PNG"), True),
        "truncated JPEG": ("truncated.jpg", jpeg[: len(jpeg) // 2], False),
        "empty file": ("empty.jpg", b"", False),
        "HTML page": ("page.jpg", html(), False),
        "bomb": ("bomb.png", bomb(), False),
        "name with spaces": ("a room with a view.jpg", jpeg, True),
        "name with an apostrophe": ("baby's_room.jpg.jpg", jpeg, True),
        "name in unicode": ("käse 寺院 🏛.jpg", jpeg, True),
        "name with a hash": ("room#1.jpg", jpeg, True),
        "name with a percent sign": ("100%25.jpg", jpeg, True),
        "name with a newline": ("two\nlines.jpg", jpeg, True),
    }
    for name, data, _ in files.values():
        (folder / name).write_bytes(data)
    return {content: Content(folder / name, readable) for content, (name, _, readable) in files.items()}
