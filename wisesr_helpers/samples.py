"""Images as figures: samples of a dataset, and what augmentation does to them."""

import numpy as np

from wisesr_helpers.augment import CONVENTIONS, IDENTITY, apply_transform


def labelled_sample(dataset, axes):
    """Test images of the first classes, one on each of the axes, titled with its class."""
    labels = np.asarray(dataset.test.labels)
    for ax, label in zip(np.ravel(axes), np.unique(labels), strict=False):
        index = int(np.flatnonzero(labels == label)[0])
        show_image(dataset.test.rgb([index])[0], dataset.classes[label], ax)
    return axes


def augmented_sample(dataset, augmentation, axes, seed=0):
    """The first training image, then what its first epochs make of it; as it is everywhere if nothing is done.

    Args:
        dataset: Dataset.
        augmentation: ``Augmentation`` or None.
        axes: Axes to draw on, one an image.
        seed: The run's.
    """
    from wisesr_helpers.data.batches import Batches

    batches = Batches(dataset.train, len(dataset.train), seed, augmentation=augmentation, threads=1)
    for epoch, ax in enumerate(np.ravel(axes), start=-1):
        image = dataset.train.rgb([0])[0] if epoch < 0 else batches.augmented(0, epoch)
        show_image(image, "as it is" if epoch < 0 else f"epoch {epoch + 1}", ax)
    return axes


def augmentation_steps(image, params, convention="keras3"):
    """What each step of the augmentation does to an image, one at a time, then all of them.

    Args:
        image: uint8 array (H, W, 3).
        params: dict, see :func:`wisesr_helpers.augment.apply_transform`.
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


def show_image(image, title, ax):
    """One image with a title, without a frame."""
    ax.imshow(image)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    return ax
