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


def mcnemar(first, second):
    """P-value of "both classifiers are equally good", from which of the same images each got right; exact.

    With one run each it is McNemar's exact test: of the images that only one got right, how many are the first's, as
    coins fall. With several seeds an image counts by how many more of the first's runs got it right, and all signs
    are equally likely: the same test on numbers instead of coins. It says how well the difference would hold on
    other images, with these runs.

    Args:
        first: Bool array (N,), or (seeds, N): which images the first classifier got right.
        second: The same of the second, on the same images.

    Returns:
        float, two-sided.

    Raises:
        ValueError: The arrays differ in shape, or hold no image.
    """
    from scipy.stats import binom

    first, second = _paired(first, second)
    ahead = first.sum(axis=0) - second.sum(axis=0)  # (N,), from -seeds to seeds
    likely = np.ones(1)  # of the sum of the steps that go up, from 0 on
    for size in range(1, len(first) + 1):
        count = int((np.abs(ahead) == size).sum())
        steps = np.zeros(size * count + 1)
        steps[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        likely = np.convolve(likely, steps)
    sums = 2 * np.arange(len(likely)) - (len(likely) - 1)
    return min(1.0, float(likely[np.abs(sums) >= abs(ahead.sum())].sum()))


def paired_difference(first, second):
    """The difference of two classifiers' accuracies on the same images, and its variance, in two parts.

    Args:
        first: Bool array (N,), or (seeds, N): which images the first classifier got right.
        second: The same of the second.

    Returns:
        (difference, variance by other images, variance by other seeds); the last is 0 for one seed, which says
        nothing about others. The first part is Agresti and Min's (2005): half an image is added to each of the four
        outcomes of a pair, so that it is never 0. What the single runs are uncertain by is in both parts, which makes
        their sum too large rather than too small.

    Raises:
        ValueError: As :func:`mcnemar`.
    """
    first, second = _paired(first, second)
    seeds, images = first.shape
    each = first - second  # (seeds, N)
    by_image, by_seed = each.mean(axis=0), each.mean(axis=1)
    shrunk = by_image.sum() / (images + 2)
    over_images = (((by_image**2).sum() + 1) / (images + 2) - shrunk**2) / (images + 2)
    over_seeds = by_seed.var(ddof=1) / seeds if seeds > 1 else 0.0
    return float(by_image.mean()), float(over_images), float(over_seeds)


def paired_difference_interval(first, second, confidence=0.95):
    """Interval of the difference of two classifiers' accuracies on the same images, first minus second.

    Of both parts of :func:`paired_difference`: with several seeds it holds for other images and other seeds, with one
    seed for other images only. The quantile is Student's, with Satterthwaite's degrees of freedom.

    Args:
        first: Bool array (N,), or (seeds, N): which images the first classifier got right.
        second: The same of the second.
        confidence: Coverage; default 0.95.

    Returns:
        (low, high), fractions from -1 to 1.

    Raises:
        ValueError: As :func:`mcnemar`.
    """
    from scipy.stats import norm, t

    difference, over_images, over_seeds = paired_difference(first, second)
    seeds, images = _paired(first, second)[0].shape
    centre = difference * images / (images + 2)
    variance, quantile = over_images + over_seeds, norm.ppf(0.5 + confidence / 2)
    if over_seeds:
        quantile = t.ppf(
            0.5 + confidence / 2, variance**2 / (over_images**2 / max(1, images - 1) + over_seeds**2 / (seeds - 1))
        )
    half = quantile * np.sqrt(variance)
    return float(max(-1.0, centre - half)), float(min(1.0, centre + half))


def images_needed(difference, discordant, confidence=0.95, power=0.8):
    """How many test images would show a difference of two classifiers on the same images (Connor 1987).

    Args:
        difference: Of the accuracies that is to be shown, a fraction.
        discordant: Share of images that only one of the two gets right; at least ``difference`` is taken.
        confidence: Of the two-sided test; default 0.95.
        power: Probability that it is shown where it is there; default 0.8.

    Returns:
        int.
    """
    from scipy.stats import norm

    discordant = max(discordant, abs(difference))
    spread = norm.ppf(0.5 + confidence / 2) * np.sqrt(discordant) + norm.ppf(power) * np.sqrt(
        discordant - difference**2
    )
    return int(np.ceil((spread / difference) ** 2))


def holm(p_values):
    """P-values corrected for their number, by Holm: the chance that any of them is a false alarm stays the level.

    Args:
        p_values: Sequence of floats.

    Returns:
        float array, in the same order.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")
    raised = np.minimum(1, np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)))
    corrected = np.empty_like(raised)
    corrected[order] = raised
    return corrected


def _paired(first, second):
    """Both as int arrays (seeds, N)."""
    first, second = (np.atleast_2d(np.asarray(each, bool)).astype(int) for each in (first, second))
    if first.shape != second.shape or first.size == 0:
        raise ValueError(
            "Two classifiers are compared by which of the same images each got right, bool arrays (N,) or (seeds, N) "
            f"of one shape; received {first.shape} and {second.shape}."
        )
    return first, second
