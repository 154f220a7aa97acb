"""Backbone and head as one classifier."""

import pathlib

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import build_backbone
from wisesr_helpers.heads import check_head, head_layers
from wisesr_helpers.layers import is_whole


def build_classifier(
    backbone,
    head="wise",
    classes=1000,
    image_size=224,
    weights=None,
    pool_size=None,
    dropout_rate=None,
    preprocessing=None,
    classifier_activation="softmax",
    **options,
):
    """One classifier of a backbone and a head, as one flat graph.

    Args:
        backbone: Name, see :func:`wisesr_helpers.backbones.build_backbone`.
        head: One of ``ws.HEADS``.
        classes: Number of classes, at least 2.
        image_size: Side in pixels, or (height, width).
        weights: The backbone's: None (random), "imagenet", or a path.
        pool_size: Side of the averaged blocks in cells; None: the paper's rule, the smallest p ≥ 2 with
            side // p ≤ 5 (7 → 2, 16 → 3).
        dropout_rate: From 0 to below 1; None: the head's own; a value for a head without dropout is an error.
        preprocessing: None: "caffe" as in the paper, except for backbones that normalise inside.
        classifier_activation: "softmax", or None for logits.
        **options: The head's own options.

    Returns:
        ``keras.Model``: uint8 or float RGB (N, H, W, 3), 0..255, in; float32 (N, classes) out. Its
        last feature map is the output of the layer named "features".

    Raises:
        ValueError: A value that can't be used, with those that can. Only a ``pool_size`` that doesn't fit
            the map is found out after the backbone is built.
        FileNotFoundError: The weights file isn't there.
        OSError: The ImageNet weights can't be downloaded.
    """
    # What can be refused is refused before a backbone is built or downloaded, which takes its time.
    if not is_whole(classes, least=2):
        raise ValueError(f"classes must be a whole number of at least 2; received {classes!r}.")
    check_head(head, pool_size, dropout_rate, **options)
    base = build_backbone(backbone, image_size, weights, preprocessing)
    x = base.output  # (N, h, w, C)
    steps = head_layers(head, x.shape[1:], int(classes), pool_size, dropout_rate, classifier_activation, **options)
    for layer in steps:
        x = layer(x)
    return keras.Model(base.input, x, name=f"{backbone}_{head}")


def load_classifier(run):
    """The trained classifier of a run.

    Args:
        run: The run's folder.

    Returns:
        ``keras.Model`` with the weights of the last epoch.

    Raises:
        FileNotFoundError: The folder holds no trained classifier.
    """
    path = pathlib.Path(run) / "model.keras"
    if not path.exists():
        raise FileNotFoundError(f"'{run}' holds no trained classifier (model.keras). Train the run first.")
    return keras.models.load_model(path)


def predict_split(model, split, batch_size=15):
    """Class probabilities of a split's images, in order: float32 (N, classes)."""
    starts = range(0, len(split), batch_size)
    batches = (split.rgb(np.arange(start, min(start + batch_size, len(split)))) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(model.predict_on_batch(batch)) for batch in batches])
