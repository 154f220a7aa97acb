"""What the pages on data and augmentation show: tables, augmented images, and the parity with Keras' class."""

import dataclasses

import numpy as np
import pandas as pd

from wisesr_helpers.data.augment import CONVENTIONS, IDENTITY, apply_transform
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.plots.images import show_image
from wisesr_helpers.published import number, published
from wisesr_helpers.training.recipes import TABLE_3


def table_2():
    """Table 2 as printed, with where each dataset is had from."""
    here = {
        "Sub-ImageNet": "sub_imagenet",
        "Intel Image Classification Challenge": "intel",
        "MIT Indoors Scenes": "mit",
    }
    return pd.DataFrame(
        {
            "dataset": dataset,
            "classes": int(number("Table 2", dataset, "Number of Classes")),
            "training images": f"{number('Table 2', dataset, 'Training Images'):,.0f}",
            "test images": f"{number('Table 2', dataset, 'Test Images'):,.0f}",
            "name here": name,
            "on Kaggle": SOURCES[name].kaggle,
        }
        for dataset, name in here.items()
    )


def used(paper):
    """How many images runs at the paper's scale found on disk: a sentence."""
    if paper.empty:
        return "No run at the paper's scale is recorded, so nothing can be said here about the real files yet."
    found = (f"{run.dataset} {run.train_images:,} + {run.test_images:,} images" for run in paper["run"])
    return f"Used by the recorded runs at the paper's scale: {', '.join(dict.fromkeys(found))}."


def table_3():
    """Table 3 as printed, beside the argument that carries it here."""
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
    return pd.DataFrame(
        {
            "step": printed["row"],
            "printed": printed["value"],
            "unit": printed["unit"].replace({"text": "", "number": "", "percent": "%"}),
            "here": [str(here[row]) for row in printed["row"]],
            "slip": printed["slip"],
        }
    )


def parity(images, count=3):
    """Our augmentation beside the class of Keras, on ``count`` random draws from Table 3 for each image."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    augmentation, theirs = dataclasses.replace(TABLE_3, convention="keras3"), ImageDataGenerator()
    differences = {"uint8": [], "exact": []}
    for index, image in enumerate(images):
        for k in range(count):
            params = augmentation.draw(np.random.default_rng([0, index, k]), *image.shape[:2])
            expected = theirs.apply_transform(image.astype(np.float32), params)
            for path, found in differences.items():
                ours = apply_transform(image, params, exact=path == "exact")
                found.append(np.abs(ours.astype(np.float32) - expected).ravel())
    joined = {path: np.concatenate(found) for path, found in differences.items()}
    return pd.DataFrame(
        {
            "path": path,
            "values compared": f"{found.size:,}",
            "largest difference, grey levels": f"{found.max():.0f}",
            "differ by at most 1": f"{(found <= 1).mean():.4%}",
        }
        for path, found in joined.items()
    )


def augmentation_steps(image, params, convention="keras3"):
    """What each step of the augmentation does to an image, one at a time, then all of them: title → image."""
    chosen = {**IDENTITY, **params}
    steps = {
        "as it is": (),
        "rotation": ("theta",),
        "shift": ("tx", "ty"),
        "zoom": ("zx", "zy"),
        "flips": ("flip_horizontal", "flip_vertical"),
        "channel shift": ("channel_shift_intensity",),
        "brightness": ("brightness",),
        "all of them": tuple(IDENTITY),
    }
    return {
        title: apply_transform(image, {key: chosen[key] for key in keys}, convention) for title, keys in steps.items()
    }


def strong(image):
    """Parameters within Table 3's ranges, most near their ends, for an image (H, W, 3): the keys of Keras' own."""
    height, width = image.shape[:2]
    return {
        "theta": 140.0,
        "tx": 0.09 * height,
        "ty": -0.09 * width,
        "zx": 1 - TABLE_3.zoom_range,
        "zy": 1 + TABLE_3.zoom_range,
        "flip_horizontal": True,
        "channel_shift_intensity": 0.9 * TABLE_3.channel_shift_range,
        "brightness": 0.25,
    }


def in_words(params):
    """Parameters of an augmentation in words."""
    return (
        f"{params['theta']:g}° of rotation, shifts of 9%, zoom {params['zx']:g} and {params['zy']:g}, a channel shift "
        f"of {params['channel_shift_intensity']:g} grey levels and a brightness of {params['brightness']:g}"
    )


def draws(image, count):
    """What the first epochs make of an image, with Table 3 in the paper's convention: title → image."""
    return {
        f"epoch {epoch + 1}": apply_transform(image, drawn(image, epoch), TABLE_3.convention) for epoch in range(count)
    }


def drawn(image, epoch):
    """The parameters that an epoch, counted from 0, draws from Table 3 for an image."""
    return TABLE_3.draw(np.random.default_rng([0, epoch]), *image.shape[:2])


def both_conventions(image, params):
    """An image under both conventions, title → image, and their mean absolute difference in grey levels."""
    shown = {convention: apply_transform(image, params, convention) for convention in CONVENTIONS}
    first, second = (image.astype(float) for image in shown.values())
    return shown, float(np.abs(first - second).mean())


def show_images(images, axes):
    """Images with their titles, one on each of the axes."""
    for ax, (title, image) in zip(np.ravel(axes), images.items(), strict=True):
        show_image(image, title, ax)
