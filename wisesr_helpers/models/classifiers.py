"""Backbone and head as one classifier, and what it predicts."""

import concurrent.futures
from collections.abc import Iterable, Mapping, Set

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import is_whole
from wisesr_helpers.data.images import (
    EXAMPLES,
    Unreadable,
    check_resample,
    find_images,
    kind_of,
    load_image,
    quiet_decoding,
)
from wisesr_helpers.models.backbones import build_backbone
from wisesr_helpers.models.heads import check_head, head_layers
from wisesr_helpers.storage import usable_cores

TOP = 5  # classes listed an image


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
        backbone: Name, see :func:`wisesr_helpers.models.backbones.build_backbone`.
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
        ValueError: A value is not valid; the message names the valid ones. All are checked before the backbone is
            built, except whether ``pool_size`` fits the map.
        FileNotFoundError: The weights file isn't there.
        OSError: The ImageNet weights can't be downloaded.
    """
    if not is_whole(classes, least=2):
        raise ValueError(f"classes must be a whole number of at least 2; received {classes!r}.")
    check_head(head, pool_size, dropout_rate, **options)
    base = build_backbone(backbone, image_size, weights, preprocessing)
    shape = base.output_shape[1:]  # (h, w, C)
    layers = head_layers(head, shape, int(classes), pool_size, dropout_rate, classifier_activation, **options)
    return connect(base, layers, f"{backbone}_{head}")


def connect(backbone, layers, name):
    """A backbone's feature map sent through a head's layers: ``keras.Model``, one flat graph."""
    x = backbone.output  # (N, h, w, C)
    for layer in layers:
        x = layer(x)
    return keras.Model(backbone.input, x, name=name)


def predict_split(model, split, batch_size=15):
    """Class probabilities of a split's images, in order: float32 (N, classes)."""
    starts = range(0, len(split), batch_size)
    batches = (split.rgb(np.arange(start, min(start + batch_size, len(split)))) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(model.predict_on_batch(batch)) for batch in batches])


def predict(model, files, classes=None, resample="nearest", batch_size=15):
    """The most probable classes of images, a row an image in the order given.

    Images are resized to the model's input as its training data was: a side that is too long is reduced by
    ``resample``, one that is too short enlarged by Pillow's nearest; the aspect is ignored. Photographs are turned
    upright as their EXIF data say, which those of the paper's datasets are not.
    Only one batch is decoded at a time. Images without a prediction are named in a printed sentence.

    Args:
        model: A classifier (``ws.load_classifier``, ``ws.build_classifier`` or anybody's): images (N, H, W, 3) of a
            fixed size, 0..255, in; probabilities or logits (N, classes) out. For logits, their softmax is taken and
            a sentence says so.
        files: The path of an image, or of a folder: its images, recursively and sorted, known by suffix or content;
            hidden files and folders are passed over. Or a list of such paths. Or an array (N, H, W, 3) or (H, W, 3),
            grey (N, H, W) or (H, W), uint8 or other numbers from 0 to 255; or a list of arrays with one image each,
            of any sizes.
        classes: Names in the order of the model's outputs. None: ``model.class_names`` where the model has them, as
            from ``ws.load_classifier``, else "0", "1", ….
        resample: How larger images are reduced: "nearest" (default, the authors'), "bilinear", "bicubic", "lanczos",
            "box" or "hamming". Take what the model was trained with.
        batch_size: Images decoded and predicted at once; default 15.

    Returns:
        DataFrame: ``file`` (the path as given or found; of an array its number, from 0), ``class`` and
        ``probability`` of the most probable class, then ``class_2``, ``probability_2`` to ``class_5``,
        ``probability_5`` (fewer for a model with fewer classes), and ``problem``: empty, or why the image has no
        prediction; the other columns are then missing values.

    Raises:
        FileNotFoundError: A path that is neither a file nor a folder.
        TypeError: ``model`` is no Keras model, or ``files`` is none of the above.
        ValueError: A folder without images, no image at all, an array of another shape or with other values,
            another number of class names, an unknown ``resample``, a ``batch_size`` that is no whole number, or a
            model that doesn't take images of a fixed size or doesn't give class scores.
    """
    import pandas as pd

    size, count = _sizes(model)
    names = _class_names(model, classes, count)
    check_resample(resample)
    if not is_whole(batch_size):
        raise ValueError(f"batch_size must be a whole number of at least 1; received {batch_size!r}.")
    images = find_images(files)
    if _activation(model) is keras.activations.linear:
        print(f"'{model.name}' gives logits; the probabilities are their softmax.")

    def load(image):
        try:
            return load_image(image[1], size, resample), ""
        except Unreadable as error:
            return np.zeros((*size, 3), np.uint8), str(error)  # batches stay of one size: each is compiled for

    rows = []
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            with quiet_decoding():
                pixels, problems = zip(*pool.map(load, batch), strict=True)
            outputs = _outputs(model, pixels, problems, count)
            rows += [_row(scores, names, problem) for scores, problem in zip(outputs, problems, strict=True)]
    table = pd.DataFrame(rows, columns=_columns(min(TOP, count)))
    shown = [name for name, _ in images]
    # Paths as objects: not every file name is text that a column of strings can hold.
    table.insert(0, "file", pd.Series(shown, dtype=object if any(isinstance(name, str) for name in shown) else None))
    _say_problems(table)
    return table


def _sizes(model):
    """((height, width) of a model's input, number of its classes); TypeError or ValueError as :func:`predict` says."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"predict takes a Keras model first; received {kind_of(model)}. Load a run's with ws.load_classifier(run)."
        )
    taken, given = _shape(model, "input_shape"), _shape(model, "output_shape")
    if len(taken) != 4 or taken[3] != 3 or not all(map(is_whole, taken[1:3])):
        raise ValueError(
            "predict needs a model with one input, images (None, height, width, 3) of a fixed size; "
            f"'{model.name}' takes {taken or 'something else'}. Build one with ws.build_classifier(…, image_size=…)."
        )
    if len(given) != 2 or not is_whole(given[1], least=2):
        raise ValueError(
            "predict needs a model with one output, scores (None, classes) of at least 2 classes; "
            f"'{model.name}' gives {given or 'something else'}. Build one with ws.build_classifier(…, classes=…)."
        )
    return taken[1:3], given[1]


def _shape(model, name):
    """The shape of a model's only input or output; () if it has several, or none yet."""
    shape = getattr(model, name, ())
    plain = isinstance(shape, tuple) and all(side is None or is_whole(side) for side in shape)
    return shape if plain else ()


def _class_names(model, classes, count):
    origin = "model.class_names" if classes is None else "classes"
    classes = getattr(model, "class_names", None) if classes is None else classes
    if classes is None:
        return [str(number) for number in range(count)]
    ordered = isinstance(classes, Iterable) and not isinstance(classes, (str, bytes, Mapping, Set))
    names = [str(name) for name in classes] if ordered else []
    if len(names) != count:
        received = f"{len(names)} names" if ordered else kind_of(classes)
        raise ValueError(
            f"{origin} must be a list of {count} names, in the order of the outputs of '{model.name}'; received "
            f"{received}."
        )
    return names


def _outputs(model, pixels, problems, count):
    """Class probabilities of one batch, float64 (N, classes); NaN where there is a problem, or no finite output."""
    outputs = np.full((len(pixels), count), np.nan)
    if all(problems):
        return outputs
    scores = keras.ops.convert_to_numpy(model.predict_on_batch(np.stack(pixels))).astype(np.float64)
    good = np.isfinite(scores).all(axis=1) & [not problem for problem in problems]
    outputs[good] = _probabilities(model, scores[good])
    return outputs


def _activation(model):
    return getattr(model.layers[-1], "activation", None) if model.layers else None


def _probabilities(model, scores):
    """Class probabilities (N, classes) of a model's finite outputs; ValueError if they are no probabilities either."""
    activation = _activation(model)
    if activation is keras.activations.linear:
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    # Of another model's last layer, only the numbers tell; half precision rounds each of them.
    if activation is not keras.activations.softmax and not (
        np.all(scores >= 0) and np.allclose(scores.sum(axis=1), 1, atol=0.02)
    ):
        raise ValueError(
            f"The outputs of '{model.name}' are no class probabilities: they don't sum to 1. predict needs a model "
            "that ends in a softmax, or in logits (a last layer without activation)."
        )
    return scores


def _row(scores, names, problem):
    """Class and probability in turn, the most probable first and equals in the order of the outputs; the problem."""
    if np.isnan(scores).any():
        return *(None, np.nan) * min(TOP, len(names)), problem or "the model's output is not finite"
    order = np.argsort(-scores, kind="stable")[:TOP]
    return *(value for k in order for value in (names[k], float(scores[k]))), ""


def _columns(top):
    suffixes = ["", *(f"_{place}" for place in range(2, top + 1))]
    return [*(f"{what}{suffix}" for suffix in suffixes for what in ("class", "probability")), "problem"]


def _say_problems(table):
    bad = table[table["problem"] != ""]
    if bad.empty:
        return
    named = [f"{name!r} ({problem})" for name, problem in zip(bad["file"], bad["problem"], strict=True)]
    more = ", …" if len(named) > EXAMPLES else ""
    print(
        f"{len(bad):,} of {len(table):,} {'image' if len(table) == 1 else 'images'} without a prediction: "
        f"{', '.join(named[:EXAMPLES])}{more}."
    )
