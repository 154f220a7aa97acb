"""The fused augmentation against Keras' own class, and against the formulas of the older convention."""

import cv2
import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_sample_images

from wisesr_helpers.data.augment import CONVENTIONS, Augmentation, apply_transform

PHOTOGRAPHS = load_sample_images().images
OPENCV = int(cv2.__version__.split(".")[0])
MOST = 2 if OPENCV >= 5 else 5  # grey levels: before 5, OpenCV rounds the weights of its interpolation to 5 bits
RANGES = {
    "rotation_range": 360,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "zoom_range": 0.2,
    "channel_shift_range": 50,
    "brightness_range": (0, 1.2),
    "horizontal_flip": True,
    "vertical_flip": True,
}


@pytest.fixture(scope="module")
def keras_generator():
    """The class that the authors' notebooks use, with their settings."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(**RANGES)


def cases(count=12):
    """(photograph, parameters), some square and some not; the parameters are drawn by the test itself."""
    rng = np.random.default_rng(0)
    for k in range(count):
        image = PHOTOGRAPHS[k % 2]
        side = (None, 224, 331)[k % 3]
        if side:
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        yield (
            image,
            {
                "theta": rng.uniform(-360, 360),
                "tx": rng.uniform(-0.1, 0.1) * height,
                "ty": rng.uniform(-0.1, 0.1) * width,
                "shear": (0, 0, 0, 11.0)[k % 4],
                "zx": rng.uniform(0.8, 1.2),
                "zy": rng.uniform(0.8, 1.2),
                "flip_horizontal": bool(rng.random() < 0.5),
                "flip_vertical": bool(rng.random() < 0.5),
                "channel_shift_intensity": rng.uniform(-50, 50),
                "brightness": rng.uniform(0, 1.2),
            },
        )


def by_formulas(image, params, convention):
    """The augmentation written down step by step, in NumPy and SciPy: float64, uint8 only where the class has it."""
    first, second = (1, 0) if convention == "keras3" else (0, 1)  # which axis the first coordinate runs along
    height, width = image.shape[:2]
    half = -0.5 if convention == "keras3" else 0.5
    centre = np.array([height / 2 + half, width / 2 + half])  # in this order in both
    theta, shear = np.deg2rad([params["theta"], params["shear"]])
    rotate = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    slant = np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
    grid = np.indices((height, width)).astype(float)
    out = np.stack([grid[first], grid[second]]) - centre[:, None, None]
    zoomed = out * np.array([params["zx"], params["zy"]])[:, None, None]
    slanted = np.tensordot(slant, zoomed, 1) + np.array([params["tx"], params["ty"]])[:, None, None]
    source = np.tensordot(rotate, slanted, 1) + centre[:, None, None]
    rows_columns = np.stack([source[first], source[second]])
    planes = np.moveaxis(image.astype(float), -1, 0)
    x = np.stack([ndimage.map_coordinates(plane, rows_columns, order=1, mode="nearest") for plane in planes], axis=-1)
    x = np.clip(x + params["channel_shift_intensity"], x.min(), x.max())
    x = x[:, ::-1] if params["flip_horizontal"] else x
    x = x[::-1] if params["flip_vertical"] else x
    if convention != "keras3":
        x = x - x.min()
        x = x / x.max() * 255 if x.max() else x
    return np.clip(np.trunc(params["brightness"] * np.trunc(x)), 0, 255)


def differences(pairs):
    """Absolute differences in grey levels of all pairs of images, in one array."""
    return np.concatenate([np.abs(ours.astype(float) - theirs).ravel() for ours, theirs in pairs])


def test_uint8_against_the_class_of_keras(keras_generator):
    found = differences(
        (apply_transform(image, params), keras_generator.apply_transform(image.astype("float32"), params))
        for image, params in cases()
    )
    assert found.max() <= MOST
    if OPENCV >= 5:
        assert (found <= 1).mean() >= 0.99


def test_the_exact_path_against_the_class_of_keras(keras_generator):
    found = differences(
        (apply_transform(image, params, exact=True), keras_generator.apply_transform(image.astype("float32"), params))
        for image, params in cases()
    )
    assert (found <= 1).mean() >= (0.9999 if OPENCV >= 5 else 0.99)


def test_the_formulas_are_those_of_the_class_where_both_conventions_share_them(keras_generator):
    """The oracle of the older convention, in its Keras 3 form, is the class itself but for float32's last digit."""
    found = differences(
        (by_formulas(image, params, "keras3"), keras_generator.apply_transform(image.astype("float32"), params))
        for image, params in cases(6)
    )
    assert (found <= 1).mean() > 0.9999
    assert (found == 0).mean() > 0.99


def test_the_older_convention_against_its_formulas():
    pairs = [(apply_transform(image, params, "keras_preprocessing_1_1"), image, params) for image, params in cases()]
    found = differences((ours, by_formulas(image, params, "keras_preprocessing_1_1")) for ours, image, params in pairs)
    stretched = 3  # the stretch to 0..255 enlarges a rounding of one level
    assert (found <= 1).mean() >= 0.98 if OPENCV >= 5 else (found <= 5).mean() >= 0.98
    assert found.max() <= MOST * stretched
    other = differences((ours, by_formulas(image, params, "keras3")) for ours, image, params in pairs)
    assert (other <= 5).mean() < 0.7  # the negative control: the conventions do differ


def test_the_older_convention_stretches_before_it_brightens():
    image = np.arange(100, 152, dtype=np.uint8)[:, None, None].repeat(52, 1).repeat(3, 2)
    params = {"channel_shift_intensity": 40.0, "brightness": 1.0}
    kept = apply_transform(image, params, "keras3")
    stretched = apply_transform(image, params, "keras_preprocessing_1_1")
    assert (kept.min(), kept.max()) == (140, 151)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_what_is_not_given_is_not_done():
    for convention in CONVENTIONS:
        np.testing.assert_array_equal(apply_transform(PHOTOGRAPHS[0], {}, convention), PHOTOGRAPHS[0])
    flipped = apply_transform(PHOTOGRAPHS[0], {"flip_horizontal": True})
    np.testing.assert_array_equal(flipped, PHOTOGRAPHS[0][:, ::-1])
    np.testing.assert_array_equal(apply_transform(PHOTOGRAPHS[0], {"flip_vertical": True}), PHOTOGRAPHS[0][::-1])


def test_the_shift_named_after_the_height_moves_columns_in_keras_3_and_rows_before():
    image = PHOTOGRAPHS[0]
    np.testing.assert_array_equal(apply_transform(image, {"tx": 5})[:, :-5], image[:, 5:])
    np.testing.assert_array_equal(apply_transform(image, {"tx": 5}, "keras_preprocessing_1_1")[:-5], image[5:])


def test_grey_images_come_out_as_their_three_channels_would():
    for image, params in cases(4):
        grey = image[..., 0].copy()
        for convention in CONVENTIONS:
            as_three = apply_transform(np.repeat(grey[..., None], 3, -1), params, convention)
            as_one = apply_transform(grey, params, convention)
            np.testing.assert_allclose(as_three[..., 1].astype(int), as_one, atol=1)


def test_black_and_plain_images_stay_finite():
    for level in (0, 77, 255):
        plain = np.full((32, 32, 3), level, np.uint8)
        for convention in CONVENTIONS:
            for exact in (False, True):
                out = apply_transform(plain, {"channel_shift_intensity": 30.0, "brightness": 1.0}, convention, exact)
                assert out.min() == out.max() == (level if convention == "keras3" else 0)


def test_drawn_parameters_fill_their_ranges_and_depend_on_the_generator_alone():
    augmentation = Augmentation(**RANGES)
    draws = [augmentation.draw(np.random.default_rng([3, k]), 100, 200) for k in range(2000)]
    assert draws[7] == augmentation.draw(np.random.default_rng([3, 7]), 100, 200)
    for name, low, high in [
        ("theta", -360, 360),
        ("tx", -10, 10),
        ("ty", -20, 20),
        ("zx", 0.8, 1.2),
        ("zy", 0.8, 1.2),
        ("channel_shift_intensity", -50, 50),
        ("brightness", 0, 1.2),
    ]:
        values = np.array([draw[name] for draw in draws])
        span = high - low
        assert low <= values.min() < low + 0.01 * span, name
        assert high - 0.01 * span < values.max() <= high, name
        assert abs(values.mean() - (low + high) / 2) < 0.03 * span, name
    for name in ("flip_horizontal", "flip_vertical"):
        assert 0.45 < np.mean([draw[name] for draw in draws]) < 0.55
    zooms = np.array([[draw["zx"], draw["zy"]] for draw in draws])
    assert abs(np.corrcoef(zooms.T)[0, 1]) < 0.1  # independent


def test_a_range_of_zero_draws_nothing():
    still = Augmentation(0, 0, 0, 0, 0, (1, 1), False, False)
    draw = still.draw(np.random.default_rng(0), 64, 64)
    np.testing.assert_array_equal(apply_transform(PHOTOGRAPHS[1], draw), PHOTOGRAPHS[1])


@pytest.mark.parametrize(
    ("image", "params", "convention", "message"),
    [
        (
            PHOTOGRAPHS[0].astype("float32"),
            {},
            "keras3",
            r"takes uint8 images \(H, W, 3\) or \(H, W\); received float32",
        ),
        (PHOTOGRAPHS[0][None], {}, "keras3", r"received uint8 \(1, 427, 640, 3\)"),
        (PHOTOGRAPHS[0], {"angle": 3}, "keras3", "Unknown parameter 'angle' of apply_transform. Valid: theta, tx"),
        (PHOTOGRAPHS[0], {}, "keras2", "Unknown convention 'keras2'. Valid conventions: keras3, keras_preprocessing"),
    ],
)
def test_mistakes_are_answered(image, params, convention, message):
    with pytest.raises(ValueError, match=message):
        apply_transform(image, params, convention)


@pytest.mark.parametrize("exact", [False, True])
def test_images_in_any_order_in_memory_come_out_alike(exact):
    image = np.random.default_rng(3).integers(0, 256, (40, 56, 3), np.uint8)
    params = {"theta": 30, "tx": 4, "brightness": 1.3}
    expected = apply_transform(image, params, exact=exact)
    planes = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    for other in (planes, np.asfortranarray(image), image[::-1][::-1]):
        np.testing.assert_array_equal(apply_transform(other, params, exact=exact), expected)
    grey = image[..., 0]
    np.testing.assert_array_equal(apply_transform(grey, params), apply_transform(grey.copy(), params))


@pytest.mark.parametrize("params", [{"theta": 30}, {"theta": 30, "brightness": 0.7}])
@pytest.mark.parametrize("exact", [False, True])
def test_a_grey_image_is_written_into_three_channels(params, exact):
    grey = np.random.default_rng(4).integers(0, 256, (24, 32), np.uint8)
    expected = apply_transform(grey, params, exact=exact)
    three, one = np.empty((24, 32, 3), np.uint8), np.empty((24, 32), np.uint8)
    assert apply_transform(grey, params, exact=exact, out=three) is three
    assert apply_transform(grey, params, exact=exact, out=one) is one
    np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(three, np.repeat(expected[..., None], 3, axis=2))


def test_the_older_brightness_stretches_an_image_to_all_levels_first():
    image = np.repeat(np.array([[10, 60, 110, 210]], np.uint8)[..., None], 3, axis=2)
    darkened = apply_transform(image, {"brightness": 0.5}, "keras_preprocessing_1_1")
    levels = [int(0.5 * int((level - 10) / 200 * 255)) for level in (10, 60, 110, 210)]
    assert darkened[0, :, 0].tolist() == levels == [0, 31, 63, 127]


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((8, 9, 3), np.float32),
        np.zeros((8, 10, 3), np.uint8),
        np.zeros((8, 9), np.uint8),
        np.zeros((3, 8, 9), np.uint8).transpose(1, 2, 0),
        [[0]],
    ],
)
def test_an_output_that_can_not_hold_the_result_is_refused(out):
    image = np.full((8, 9, 3), 7, np.uint8)
    with pytest.raises(ValueError, match=r"out must be a contiguous uint8 array of the shape \(8, 9, 3\); received"):
        apply_transform(image, {"theta": 10}, out=out)
