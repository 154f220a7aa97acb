"""What the pages on data and augmentation show: tables, and the parity with Keras' class."""

import dataclasses

import numpy as np
import pandas as pd

from wisesr_helpers.data.augment import CONVENTIONS, IDENTITY, apply_transform
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.plots.images import show_image
from wisesr_helpers.published import number, published
from wisesr_helpers.training.recipes import TABLE_3


def table_2():
    """Table 2 as printed, with where each dataset is had from.

    Returns:
        DataFrame: dataset, classes, training images, test images (as printed), name here, on Kaggle.
    """
    here = {
        "Sub-ImageNet": "sub_imagenet",
        "Intel Image Classification Challenge": "intel",
        "MIT Indoors Scenes": "mit",
    }
    rows = [
        {
            "dataset": dataset,
            "classes": int(number("Table 2", dataset, "Number of Classes")),
            "training images": f"{number('Table 2', dataset, 'Training Images'):,.0f}",
            "test images": f"{number('Table 2', dataset, 'Test Images'):,.0f}",
            "name here": name,
            "on Kaggle": SOURCES[name].kaggle,
        }
        for dataset, name in here.items()
    ]
    return pd.DataFrame(rows)


def table_3():
    """Table 3 as printed, beside the argument that carries it here.

    Returns:
        DataFrame: step, printed, unit, here, slip.
    """
    ours = dataclasses.replace(TABLE_3, convention="keras3")
    here = {
        "Horizontal Flip": ours.horizontal_flip,
        "Vertical Flip": ours.vertical_flip,
        "Zoom": ours.zoom_range,
        "Rotation": ours.rotation_range,
        "Width Shift": ours.width_shift_range,
        "Height Shift": ours.height_shift_range,
        "Channel Shift": ours.channel_shift_range,
        "Brightness Change (low)": ours.brightness_range[0],
        "Brightness Change (high)": ours.brightness_range[1],
        "Preprocessing": "the model's first layer",
    }
    printed = published().query("where == 'Table 3' and source == 'paper'")
    units = printed["unit"].replace({"text": "", "number": "", "percent": "%"})
    return pd.DataFrame(
        {
            "step": printed["row"],
            "printed": printed["value"],
            "unit": units,
            "here": [str(here[row]) for row in printed["row"]],
            "slip": printed["slip"],
        }
    )


def parity(images, count=6, seed=0):
    """Our augmentation beside the class of Keras, on random parameters of Table 3.

    Args:
        images: List of uint8 arrays (H, W, 3).
        count: Parameters drawn for each image.
        seed: Of the draws.

    Returns:
        DataFrame, a row a path ("uint8", "exact"): pixels compared, largest difference in grey levels, and the
        share of pixels that differ by at most 1.
    """
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    augmentation, theirs = dataclasses.replace(TABLE_3, convention="keras3"), ImageDataGenerator()
    differences = {"uint8": [], "exact": []}
    for index, image in enumerate(images):
        for k in range(count):
            params = augmentation.draw(np.random.default_rng([seed, index, k]), *image.shape[:2])
            expected = theirs.apply_transform(image.astype(np.float32), params)
            for path, found in differences.items():
                ours = apply_transform(image, params, exact=path == "exact")
                found.append(np.abs(ours.astype(np.float32) - expected).ravel())
    joined = {path: np.concatenate(found) for path, found in differences.items()}
    return pd.DataFrame(
        {
            "path": list(joined),
            "values compared": [f"{found.size:,}" for found in joined.values()],
            "largest difference, grey levels": [f"{found.max():.0f}" for found in joined.values()],
            "differ by at most 1": [f"{(found <= 1).mean():.4%}" for found in joined.values()],
        }
    )


def augmentation_steps(image, params, convention="keras3"):
    """What each step of the augmentation does to an image, one at a time, then all of them.

    Args:
        image: uint8 array (H, W, 3).
        params: dict, see ``ws.apply_transform``.
        convention: One of ``CONVENTIONS``.

    Returns:
        dict, title → uint8 array (H, W, 3).
    """
    chosen = {**IDENTITY, **params}
    steps = {
        "rotation": ("theta",),
        "shift": ("tx", "ty"),
        "zoom": ("zx", "zy"),
        "flips": ("flip_horizontal", "flip_vertical"),
        "channel shift": ("channel_shift_intensity",),
        "brightness": ("brightness",),
        "all of them": tuple(IDENTITY),
    }
    shown = {
        title: apply_transform(image, {key: chosen[key] for key in keys}, convention) for title, keys in steps.items()
    }
    return {"as it is": image, **shown}


def both_conventions(image, params):
    """An image under both conventions, and how far they are apart.

    Returns:
        (dict title → uint8 array (H, W, 3), mean absolute difference in grey levels).
    """
    shown = {convention: apply_transform(image, params, convention) for convention in CONVENTIONS}
    first, second = (image.astype(float) for image in shown.values())
    return shown, float(np.abs(first - second).mean())


def show_images(images, axes):
    """Images with their titles, one on each of the axes."""
    for ax, (title, image) in zip(np.ravel(axes), images.items(), strict=True):
        show_image(image, title, ax)
    return axes
