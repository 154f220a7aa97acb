"""How good a classifier is on a split."""

import math

import numpy as np

from wisesr_helpers.metrics import top_k_correct
from wisesr_helpers.models import predict_split


def evaluate(model, split, batch_size):
    """Top-1, top-5 and loss on a split.

    Args:
        model: ``keras.Model`` with class probabilities as output.
        split: ``Split``.
        batch_size: Images that are predicted at once.

    Returns:
        (evaluation, correct): a dict with loss (nats an image; not finite where the model's output is not), top1 and
        top5 (fractions), top1_correct, top5_correct and count (images); and the top-1 correctness, a bool array (N,).
    """
    probabilities = predict_split(model, split, batch_size)
    labels = np.asarray(split.labels)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    correct = top_k_correct(probabilities, labels, 1)
    among_five = int(top_k_correct(probabilities, labels, 5).sum())
    evaluation = {
        "loss": float(-np.log(np.maximum(own, 1e-7)).mean()),
        "top1": int(correct.sum()) / len(labels),
        "top5": among_five / len(labels),
        "top1_correct": int(correct.sum()),
        "top5_correct": among_five,
        "count": len(labels),
    }
    if not np.isfinite(probabilities).all():
        evaluation["loss"] = math.nan
    return evaluation, correct
