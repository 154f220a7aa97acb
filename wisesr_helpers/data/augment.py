"""The paper's augmentation (Table 3), fused: one affine warp and one table look-up an image, uint8 in and out.

It draws and applies what Keras' ``ImageDataGenerator`` does with the authors' settings. All geometric steps
are one affine map, flips included; all colour steps are one monotone map of a grey level, so they cost one
look-up in a table of 256 entries.
"""

import dataclasses
import math
import threading

import numpy as np

from wisesr_helpers.data.images import write_rgb

CONVENTIONS = ("keras3", "keras_preprocessing_1_1")

# The keys of Keras' own ``apply_transform``, with what a missing one means.
IDENTITY = {
    "theta": 0,
    "tx": 0,
    "ty": 0,
    "shear": 0,
    "zx": 1,
    "zy": 1,
    "flip_horizontal": False,
    "flip_vertical": False,
    "channel_shift_intensity": None,
    "brightness": None,
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Ranges that random parameters are drawn from, under the names of ``ImageDataGenerator``'s arguments.

    Attributes:
        rotation_range: Degrees; angles are uniform in ± this.
        width_shift_range: Share of the width; uniform in ± this.
        height_shift_range: Share of the height; uniform in ± this.
        zoom_range: Both factors are uniform, and independent, in 1 ± this.
        channel_shift_range: Grey levels; uniform in ± this, the same for all channels.
        brightness_range: Factor from … to.
        horizontal_flip: Whether half of the images are mirrored left to right.
        vertical_flip: Whether half of the images are mirrored top to bottom.
        convention: See :func:`apply_transform`.
    """

    rotation_range: float
    width_shift_range: float
    height_shift_range: float
    zoom_range: float
    channel_shift_range: float
    brightness_range: tuple
    horizontal_flip: bool
    vertical_flip: bool
    convention: str = "keras3"

    def __post_init__(self):
        _check_convention(self.convention)

    def draw(self, rng, height, width):
        """Random parameters of one image of that size, with the keys of Keras' ``get_random_transform``.

        As there, "tx" comes from the height.
        """
        drawn = rng.random(9).tolist()  # at once: a call of the generator costs as much as a number

        def within(limit):
            return (2 * drawn.pop() - 1) * limit

        low, high = self.brightness_range
        return {
            "theta": within(self.rotation_range),
            "tx": within(self.height_shift_range) * height,
            "ty": within(self.width_shift_range) * width,
            "shear": 0,
            "zx": 1 + within(self.zoom_range),
            "zy": 1 + within(self.zoom_range),
            "flip_horizontal": drawn.pop() < 0.5 and self.horizontal_flip,
            "flip_vertical": drawn.pop() < 0.5 and self.vertical_flip,
            "channel_shift_intensity": within(self.channel_shift_range),
            "brightness": low + drawn.pop() * (high - low),
        }


def apply_transform(image, params, convention="keras3", exact=False, out=None):
    """Apply one set of augmentation parameters to an image, as ``ImageDataGenerator.apply_transform`` does.

    Steps: affine map (rotation, shift, shear, zoom about the centre; border pixels repeated; bilinear),
    channel shift clipped to the image's own range, flips, brightness.

    Args:
        image: uint8 array (H, W, 3), or (H, W) for a grey image, whose three channels would be equal.
        params: dict with any of Keras' keys: theta, shear (degrees), tx, ty (pixels), zx, zy (factors; above 1
            shrinks), flip_horizontal, flip_vertical, channel_shift_intensity (grey levels), brightness (factor).
        convention: "keras3": as Keras 3 and TensorFlow since 2.9 do it. "keras_preprocessing_1_1": as the
            authors' versions did it: brightness first stretches the image to 0..255, and the affine map has
            rows for its first coordinate and a centre half a pixel off.
        exact: Interpolate in float32 instead of uint8: nearer to Keras' last digit, and slower.
        out: Contiguous uint8 array (H, W, 3) or of the image's shape to write the result to; None: a new array of
            the image's shape.

    Returns:
        uint8 array of the same shape, or ``out``.

    Raises:
        ValueError: No uint8 image, an ``out`` that can't hold the result, an unknown key or convention.
    """
    _check_convention(convention)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(
            f"apply_transform takes uint8 images (H, W, 3) or (H, W); received {image.dtype} {image.shape}."
        )
    unknown = sorted(set(params) - set(IDENTITY))
    if unknown:
        raise ValueError(f"Unknown parameter '{unknown[0]}' of apply_transform. Valid: {', '.join(IDENTITY)}.")
    params = {**IDENTITY, **params}
    matrix = affine_matrix(params, *image.shape[:2], convention)
    image = np.ascontiguousarray(image)  # OpenCV reads any order and writes one
    out = np.empty_like(image) if out is None else _checked(out, image)
    if exact:
        warped = _warp(image.astype(np.float32), matrix)
        return _write(colour_map(warped, warped.min(), warped.max(), params, convention), out)
    warped = _warp(image, matrix)
    if params["channel_shift_intensity"] is None and params["brightness"] is None:
        return _write(warped, out)
    table = colour_map(_LEVELS, warped.min(), warped.max(), params, convention)
    return _write(warped, out, table)


def affine_matrix(params, height, width, convention="keras3"):
    """The geometric steps as one float64 matrix (2, 3) that takes (column, row, 1) of the output to the input."""
    theta, shear = math.radians(params["theta"]), math.radians(params["shear"])
    cos, sin = math.cos(theta), math.sin(theta)
    zx, zy = params["zx"], params["zy"]
    # rotation · shear · zoom, on (first, second) coordinates
    a, b = cos * zx, -(cos * math.sin(shear) + sin * math.cos(shear)) * zy
    c, d = sin * zx, (cos * math.cos(shear) - sin * math.sin(shear)) * zy
    # Keras calls the first coordinate x, and takes half the *height* for its centre, whichever axis it is.
    half = -0.5 if convention == "keras3" else 0.5
    x, y = height / 2 + half, width / 2 + half
    shift_x = x + cos * params["tx"] - sin * params["ty"] - a * x - b * y
    shift_y = y + sin * params["tx"] + cos * params["ty"] - c * x - d * y
    if convention != "keras3":  # its first coordinate is the row
        a, b, c, d, shift_x, shift_y = d, c, b, a, shift_y, shift_x
    if params["flip_horizontal"]:
        a, c, shift_x, shift_y = -a, -c, shift_x + a * (width - 1), shift_y + c * (width - 1)
    if params["flip_vertical"]:
        b, d, shift_x, shift_y = -b, -d, shift_x + b * (height - 1), shift_y + d * (height - 1)
    return np.array([[a, b, shift_x], [c, d, shift_y]])


def colour_map(values, low, high, params, convention="keras3"):
    """The colour steps, applied to grey levels: float32 in, uint8 of the same shape out.

    ``low`` and ``high`` are the smallest and the largest level of the warped image, all channels together.
    """
    low, high = np.float32(low), np.float32(high)
    intensity, brightness = params["channel_shift_intensity"], params["brightness"]
    if intensity is not None:
        intensity = np.float32(intensity)
        values = np.minimum(np.maximum(values + intensity, low), high)
        low, high = (min(max(level + intensity, low), high) for level in (low, high))
    if brightness is None:
        return values.astype(np.uint8)
    if convention != "keras3":
        spread = high - low
        values = (values - low) / (spread if spread else np.float32(1)) * np.float32(255)
    return np.minimum(np.float32(brightness) * np.trunc(values), np.float32(255)).astype(np.uint8)


_LEVELS = np.arange(256, dtype=np.float32)
_scratch = threading.local()


def _warp(image, matrix):
    """The warped image, in an array that this thread's next call will use again."""
    from wisesr_helpers.data._cv2 import cv2

    buffers = _scratch.__dict__.setdefault("arrays", {})
    key = image.shape, image.dtype.char
    if key not in buffers:
        buffers.clear()
        buffers[key] = np.empty_like(image)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, dst=buffers[key], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _write(image, out, table=None):
    """Write an image, looked up in a table if there is one, into ``out``."""
    from wisesr_helpers.data._cv2 import cv2

    if table is not None and image.ndim == out.ndim:
        return cv2.LUT(image, table, dst=out)
    image = image if table is None else cv2.LUT(image, table)
    if out.ndim == 3:
        return write_rgb(image, out)
    out[...] = image
    return out


def _checked(out, image):
    fits = isinstance(out, np.ndarray) and out.shape in (image.shape, (*image.shape[:2], 3))
    if not (fits and out.dtype == np.uint8 and out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(
            f"out must be a contiguous uint8 array of the shape {image.shape}"
            f"{f' or {(*image.shape, 3)}' if image.ndim == 2 else ''}; received {getattr(out, 'dtype', type(out))} "
            f"{getattr(out, 'shape', '')}."
        )
    return out


def _check_convention(convention):
    if convention not in CONVENTIONS:
        raise ValueError(f"Unknown convention '{convention}'. Valid conventions: {', '.join(CONVENTIONS)}.")
