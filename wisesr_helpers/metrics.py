"""Top-k accuracy with counts, intervals for it, and whether it beats a guess."""

import numpy as np


def top_k_correct(probabilities, labels, k=1):
    """Which images have their label among the k most probable classes.

    Ties are broken towards the lower class index, as ``argmax`` does, so that a constant prediction
    is not counted as right for every class. A row that holds NaN is wrong.

    Args:
        probabilities: Array (N, classes).
        labels: Integer array (N,).
        k: Number of classes considered; more than there are means all of them.

    Returns:
        Bool array (N,).
    """
    probabilities = np.asarray(probabilities)
    labels = np.asarray(labels)
    own = probabilities[np.arange(len(labels)), labels][:, None]  # (N, 1)
    ahead = np.arange(probabilities.shape[1]) < labels[:, None]  # (N, classes)
    rank = (probabilities > own).sum(axis=1) + ((probabilities == own) & ahead).sum(axis=1)
    return (rank < k) & np.isfinite(probabilities).all(axis=1)


def wilson_interval(correct, count, confidence=0.95):
    """Wilson's score interval of an accuracy.

    Args:
        correct: Number of correctly classified images.
        count: Number of images, at least 1.
        confidence: Coverage; default 0.95.

    Returns:
        (low, high), fractions.
    """
    from scipy.stats import binomtest

    interval = binomtest(int(correct), int(count)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def no_better_than_chance(correct, count, classes, confidence=0.95):
    """Whether an accuracy could be that of guessing: 1 / classes is not below its Wilson interval.

    True says that learning is not shown, not that there was none: few images show little.

    Args:
        correct: Number of correctly classified images.
        count: Number of images, at least 1.
        classes: Number of classes, equally likely to be guessed.
        confidence: Coverage of the two-sided interval; default 0.95.

    Returns:
        bool.

    Raises:
        ValueError: ``correct`` and ``count`` are no numbers of images.
    """
    return wilson_interval(correct, count, confidence)[0] <= 1 / classes
