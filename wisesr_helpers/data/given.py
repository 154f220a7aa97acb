"""Images that a user gives: paths, folders and arrays, each made as large as a model takes it."""

import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from wisesr_helpers.data.dataset import EXAMPLES, printable
from wisesr_helpers.data.images import FORMATS, Unreadable, decode, nearest, quiet_decoding

TAKES = (
    "predict takes the path of an image or a folder, a list of paths, an array (N, H, W, 3) or (H, W, 3) (grey: "
    "(N, H, W) or (H, W)), or a list of arrays with one image each"
)


def given_images(files):
    """The images that ``files`` names or holds; none is decoded.

    Args:
        files: As :func:`wisesr_helpers.models.classifiers.predict` takes it.

    Returns:
        List of pairs (name, path or array), one an image: a path as given or found, an array by its number.

    Raises:
        FileNotFoundError: A path that is neither a file nor a folder.
        TypeError: ``files`` is nothing that can be an image.
        ValueError: A folder without images, no image at all, or an array that is none.
    """
    if isinstance(files, np.ndarray) and (files.dtype.kind not in "OU" or files.ndim == 0):
        given = _apart(files)
    elif isinstance(files, (str, os.PathLike)):
        given = [files]
    elif isinstance(files, Iterable) and not isinstance(files, (bytes, Mapping)):
        given = files
    else:
        raise TypeError(f"{TAKES}; received {kind_of(files)}.")
    images, highest = [], []
    for number, item in enumerate(given):
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
    """An image as a model takes it, resized as the training data is.

    Args:
        source: A path, or an array (h, w), (h, w, 1) or (h, w, 3) with values 0..255.
        size: (H, W). A longer side is reduced, a shorter one enlarged by Pillow's nearest.
        resample: How sides are reduced, see :func:`wisesr_helpers.data.images.decode`.

    Returns:
        Array (H, W, 3), read-only: uint8, or float32 of an array of floats.

    Raises:
        Unreadable: The file can't be read or decoded; its text is the reason.
    """
    if isinstance(source, np.ndarray):
        image = _reduced(source, size, resample)
    else:
        try:
            data = pathlib.Path(source).read_bytes()
        except OSError as error:
            raise Unreadable(f"can't be read ({error.strerror or error})") from error
        image = decode(data, size, resample)
    if image.shape[:2] != size:
        rows, columns = (nearest(*sides) for sides in zip(image.shape[:2], size, strict=True))
        image = image[rows[:, None], columns]
    return np.broadcast_to(image if image.ndim == 3 else image[..., None], (*size, 3))


def some_of(names):
    """How many there are, and the first ones: "4 ('a.jpg', 'b.jpg', 'c.jpg', …)"."""
    more = ", …" if len(names) > EXAMPLES else ""
    first = ", ".join(f"'{printable(name)}'" for name in names[:EXAMPLES])
    return f"{len(names):,} ({first}{more})"


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
    """The highest value of an array of one image, if it is of floats; others are taken to go up to 255.

    Raises:
        ValueError: It is no image, or its values are not 0..255.
    """
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


def _files_at(given):
    """Pairs (name, path) of the images at a path."""
    path = os.path.expanduser(given)
    if os.path.isfile(path):
        return [(os.fspath(given), path)]
    if not os.path.isdir(path):
        raise FileNotFoundError(
            f"There is no file or folder '{printable(given)}'. Give the path of an image, or of a folder."
        )
    images, others = [], []
    with quiet_decoding():
        for file in sorted(pathlib.Path(found) for found in _below(path, ())):
            (images if _is_image(file) else others).append(str(file))
    if not images:
        passed = f"; passed over: {some_of(others)}" if others else ""
        raise ValueError(
            f"The folder '{printable(given)}' holds no image that can be read ({', '.join(FORMATS)}){passed}. "
            "Give another folder."
        )
    if others:
        print(f"Passed over in '{printable(given)}', as no images that can be read: {some_of(others)}.")
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


def _reduced(array, size, resample):
    """An array (h, w) or (h, w, channels) as uint8 or float32, no side longer than ``size``, as ``decode`` does it."""
    from PIL import Image

    array = np.asarray(array, np.float32 if array.dtype.kind == "f" else np.uint8)
    height, width = map(min, array.shape[:2], size)
    if (height, width) == array.shape[:2]:
        return array
    planes = np.moveaxis(array, -1, 0) if array.ndim == 3 else [array]
    method = Image.Resampling[resample.upper()]
    return np.stack([Image.fromarray(np.ascontiguousarray(p)).resize((width, height), method) for p in planes], axis=-1)
