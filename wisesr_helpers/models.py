"""Backbone and head as one classifier."""

import os
import pathlib

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import build_backbone
from wisesr_helpers.heads import check_head, head_layers
from wisesr_helpers.layers import is_whole
from wisesr_helpers.runs import BEST_MODEL, FINAL_MODEL, read_record


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


def load_classifier(run, epoch="final"):
    """The trained classifier of a run.

    Args:
        run: The run's folder, a str or path.
        epoch: "final" (default): with the weights of the last epoch. "best": of the epoch with the highest top-1
            on the test split; it was chosen on that split, so it flatters.

    Returns:
        ``keras.Model``: uint8 or float RGB (N, H, W, 3), 0..255, in; float32 (N, classes) out. Its attribute
        ``class_names``, a tuple in the order of the outputs, is there if the run's record can be read and has as
        many names as the model has outputs.

    Raises:
        ValueError: ``epoch`` is neither, ``run`` is a file, or the file of the model can't be loaded.
        FileNotFoundError: There is no such folder, it holds no trained classifier, or the best epoch's was not kept.
    """
    if epoch not in ("final", "best"):
        raise ValueError(f"epoch must be 'final' (the last one) or 'best'; received {epoch!r}.")
    folder = pathlib.Path(run).expanduser()
    if folder.is_file():
        raise ValueError(f"load_classifier takes a run's folder; '{run}' is a file. Give the folder that it lies in.")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder '{run}'. Give a run's, such as 'runs/mit_512--demo--small_patch--wise--s0'."
        )
    outcome = _outcome(folder)
    path = _model_file(folder, epoch, outcome)
    try:
        model = keras.models.load_model(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make Keras fail in any of its readers, in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ValueError(
            f"'{path}' can't be loaded: it is damaged, or was saved by a newer version ({reason}). Train the run again "
            "with overwrite=True."
        ) from error
    names = outcome.get("dataset", {}).get("classes", ())
    if len(names) == model.output_shape[-1]:
        model.class_names = tuple(names)
    return model


def _outcome(folder):
    """The outcome in a run's record; empty where there is no record, or none that can be read."""
    try:
        return read_record(folder)["outcome"]
    except (OSError, ValueError):
        return {}


def _model_file(folder, epoch, outcome):
    """The file of that epoch's classifier.

    Raises:
        FileNotFoundError: The folder has none.
    """
    final, best = folder / FINAL_MODEL, folder / BEST_MODEL
    if epoch == "best" and best.exists():
        return best
    if not final.exists():
        raise FileNotFoundError(f"'{folder}' holds no trained classifier ({final.name}). Train the run first.")
    if epoch == "final":
        return final
    number, last = ((outcome.get(key) or {}).get("epoch") for key in ("best", "final"))
    if number is not None and number == last:
        return final
    known = f"the best epoch is {number}, the last {last}" if number else "no record that can be read says which it was"
    raise FileNotFoundError(
        f"'{folder}' does not hold the classifier of the best epoch ({best.name}; {known}). Take epoch='final', or "
        "train the run again with overwrite=True."
    )


def check_model_path(path):
    """Where a classifier can be kept, checked before it is trained.

    Args:
        path: File name that ends with ".keras", a str or path; empty or None: nowhere.

    Returns:
        ``pathlib.Path``, or None for an empty one.

    Raises:
        ValueError: Another ending, or a folder of that name.
        OSError: There is no such folder, or it can't be written.
    """
    if path is None or str(path) in ("", "."):
        return None
    file = pathlib.Path(path).expanduser()
    if file.suffix != ".keras" or file.is_dir():
        raise ValueError(
            f"A classifier is kept in a file that ends with .keras, such as 'best.keras'; received '{path}'."
        )
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise OSError(f"No classifier can be kept in '{path}': '{file.parent}' is no folder that can be written.")
    if file.exists() and not os.access(file, os.W_OK):
        raise OSError(f"No classifier can be kept in '{path}': the file is there, and can't be written.")
    return file


def predict_split(model, split, batch_size=15):
    """Class probabilities of a split's images, in order: float32 (N, classes)."""
    starts = range(0, len(split), batch_size)
    batches = (split.rgb(np.arange(start, min(start + batch_size, len(split)))) for start in starts)
    return np.concatenate([keras.ops.convert_to_numpy(model.predict_on_batch(batch)) for batch in batches])
