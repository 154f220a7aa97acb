"""Where two classifiers look, as figures: maps over images, and the logit taken apart."""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.attribution import contribution_map, grad_cam, hires_cam
from wisesr_helpers.cuts import cut_at
from wisesr_helpers.plots import attention, colour

UNIT = "logit units"


def logits(model, images):
    """The logits of images, before the softmax, as the model itself computes them.

    Args:
        model: A classifier whose last layer is fully connected, such as those of ``ws.build_classifier``.
        images: uint8 or float array (N, H, W, 3), RGB, 0..255; one at a time, so few.

    Returns:
        float32 array (N, classes).
    """
    cut = cut_at(model)
    return np.concatenate([cut.logits(cut.run(image[None])[0]) for image in images])


def decomposition(models, images, classes):
    """The logit of a class, taken apart: what the positions add, and what the biases do.

    What the pooling's bias adds is the logit of a feature map of zeros, without the classifier's bias.

    Args:
        models: Head → a classifier that is linear up to the logits.
        images: As for :func:`logits`.
        classes: One class an image, (N,).

    Returns:
        DataFrame, one row an image and head: image (its place in ``images``, from 0), head, class, positions (the sum
        of the contribution map), pooling's bias, classifier's bias, their sum, and the logit that the model computes.
    """
    import pandas as pd

    rows = []
    for head, model in models.items():
        cut = cut_at(model)
        nothing = cut.logits(np.zeros((1, *cut.features.shape[1:]), np.float32))[0]
        own = keras.ops.convert_to_numpy(cut.classifier.bias)
        added = contribution_map(model, images, classes, batch_size=1).sum(axis=(1, 2))
        for image, (k, positions, scores) in enumerate(zip(classes, added, logits(model, images), strict=True)):
            parts = (positions, nothing[k] - own[k], own[k])
            rows.append((image, head, int(k), *map(float, parts), float(sum(parts)), float(scores[k])))
    names = ["image", "head", "class", "positions", "pooling's bias", "classifier's bias", "sum", "logit"]
    return pd.DataFrame(rows, columns=names).sort_values("image", kind="stable", ignore_index=True)


def class_maps(models, image, label):
    """Grad-CAM, HiResCAM and contributions of one image for one class.

    Args:
        models: Head → classifier.
        image: uint8 array (H, W, 3).
        label: The class.

    Returns:
        dict, head → title → float32 array (h, w), in logit units.
    """
    kinds = {"Grad-CAM": grad_cam, "HiResCAM": hires_cam, "contribution": contribution_map}
    return {
        head: {title: draw(model, image[None], [label])[0] for title, draw in kinds.items()}
        for head, model in models.items()
    }


def likeness(models, images, classes):
    """How alike Grad-CAM and the contributions are, over images.

    Args:
        models: Head → classifier.
        images: uint8 array (N, H, W, 3).
        classes: One class an image, (N,).

    Returns:
        DataFrame, one row a head: "head", "images", "correlation, median", "correlation, lowest" (of the two maps of
        an image, over their cells) and "other sign" (images whose two sums have not one sign).
    """
    import pandas as pd

    rows = []
    for head, model in models.items():
        cams, exact = (draw(model, images, classes).reshape(len(images), -1) for draw in (grad_cam, contribution_map))
        varied = (np.ptp(cams, axis=1) > 0) & (np.ptp(exact, axis=1) > 0)  # a constant map is like no other
        alike = [np.corrcoef(*pair)[0, 1] for pair in zip(cams[varied], exact[varied], strict=True)]
        other = int((np.sign(cams.sum(axis=1)) != np.sign(exact.sum(axis=1))).sum())
        ends = [f"{end(alike):.3f}" if alike else "" for end in (np.median, np.min)]
        rows.append((head, len(images), *ends, f"{other} ({other / len(images):.0%})"))
    return pd.DataFrame(rows, columns=["head", "images", "correlation, median", "correlation, lowest", "other sign"])


def rival_maps(models, image, label, rival):
    """Contributions of one image to its class, to another one, and to the lead of the first over the second.

    Args:
        models: Head → classifier.
        image: uint8 array (H, W, 3).
        label: The image's class.
        rival: Another class.

    Returns:
        dict, head → title → float32 array (h, w), in logit units.
    """
    drawn = {}
    for head, model in models.items():
        own, other = (contribution_map(model, image[None], [k])[0] for k in (label, rival))
        drawn[head] = {"for its class": own, "for the other": other, "its lead": own - other}
    return drawn


def overlay(image, map_, ax, most=None):
    """A map over its image: red adds to the logit, blue takes away, and nothing is white.

    Args:
        image: uint8 array (H, W, 3).
        map_: float array (h, w), in logit units.
        ax: Axes to draw on.
        most: The colour scale reaches from −most to most; None: the largest value of the map, either way.
    """
    attention(image, map_, ax)
    if most is not None:
        ax.images[-1].set_clim(-most, most)
    return ax


def grid(image, maps, axes):
    """One image and its maps: a row a head, the image first, a head's maps on one colour scale with a colour bar.

    Not one scale for all heads: only differences of logits of one model decide, so another model's may be far larger.

    Args:
        image: uint8 array (H, W, 3).
        maps: dict, head → title → array (h, w), as :func:`class_maps` and :func:`rival_maps` return it.
        axes: Axes (heads, 1 + titles).
    """
    for row, (head, titled) in zip(axes, maps.items(), strict=True):
        most = max(float(np.abs(map_).max()) for map_ in titled.values()) or 1.0
        attention(image, None, row[0]).set_title(head, fontsize=9, fontweight="bold", color=colour(head))
        for ax, (title, map_) in zip(row[1:], titled.items(), strict=True):
            overlay(image, map_, ax, most).set_title(f"{title}\nsum {map_.sum():.3g}", fontsize=8)
        bar = row[0].figure.colorbar(row[-1].images[-1], ax=list(row), shrink=0.8, label=UNIT)
        bar.ax.tick_params(labelsize=7)
    return axes


def describe_grid(maps):
    """:func:`grid` in words, from the same maps: sum, range and strongest place of each."""
    parts = []
    for head, titled in maps.items():
        for title, map_ in titled.items():
            row, column = np.unravel_index(np.abs(map_).argmax(), map_.shape)
            place = f"row {row + 1} of {map_.shape[0]} and column {column + 1} of {map_.shape[1]}"
            span = f"from {map_.min():.2g} to {map_.max():.2g}"
            parts.append(f"{head}, {title}: sum {map_.sum():.3g}, {span}, strongest at {place}")
    return f"An image with its maps ({UNIT}). " + "; ".join(parts) + "."
