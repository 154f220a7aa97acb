"""Top-k accuracy, its interval, whether it beats a guess, and the project's one rule for "better"."""

import dataclasses
import functools
import re

import numpy as np

LEVEL = 0.05  # of every test; intervals cover 1 - LEVEL
BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"


def top_k_correct(probabilities, labels, k=1):
    """Which images have their label among the k most probable classes: bool (N,), of (N, classes) and (N,).

    Of equal probabilities the lower class index counts as the larger one, as with ``argmax``, so that a constant
    prediction is not right for every class. A row that holds NaN is wrong; more classes than there are mean all.
    """
    probabilities = np.asarray(probabilities)
    labels = np.asarray(labels)
    own = probabilities[np.arange(len(labels)), labels][:, None]  # (N, 1)
    ahead = np.arange(probabilities.shape[1]) < labels[:, None]  # (N, classes)
    rank = (probabilities > own).sum(axis=1) + ((probabilities == own) & ahead).sum(axis=1)
    return (rank < k) & np.isfinite(probabilities).all(axis=1)


@functools.cache  # pages and tables ask for the same ones again and again
def wilson_interval(correct, count):
    """Wilson's 95% score interval of an accuracy, from the numbers of correct and of all images: (low, high)."""
    from scipy.stats import binomtest

    interval = binomtest(int(correct), int(count)).proportion_ci(1 - LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def no_better_than_chance(correct, count, classes):
    """Whether an accuracy could be that of guessing: its Wilson interval reaches down to 1 / classes or below.

    True means that learning is not shown, not that there was none: few images show little.
    """
    return wilson_interval(correct, count)[0] <= 1 / classes


@dataclasses.dataclass(frozen=True)
class Difference:
    """The accuracy of one classifier minus that of another.

    Attributes:
        difference: A fraction, from -1 to 1.
        low: Lower end of its 95% interval.
        high: Upper end.
        p: Two-sided p-value of "both are equally good".
        p_corrected: The same, corrected by Holm for the number of comparisons in a table; None until :func:`judge`.
        word: "better", "worse" or "no difference shown", about the first classifier; empty until :func:`judge`.
    """

    difference: float
    low: float
    high: float
    p: float
    p_corrected: float | None = None
    word: str = ""

    @property
    def shown(self):
        """Whether one of the two is better."""
        return self.word in (BETTER, WORSE)

    @property
    def reason(self):
        """Why no difference is shown although p alone or the interval alone would show one; else empty."""
        if self.word != NO_DIFFERENCE or (self.low <= 0 <= self.high and self.p >= LEVEL):
            return ""
        if self.p_corrected < LEVEL:
            return "the interval decides, and contains 0: unlike p, it counts the luck of other trainings too"
        return f"the corrected p decides: it is not below {LEVEL:g}"

    def in_words(self, sign="+"):
        """As in "+2.3 points (95% interval −1.0 to 5.6, p = 0.17)"; with an empty ``sign``, without a plus."""
        corrected = ", corrected for the number of comparisons" if self.p_corrected not in (None, self.p) else ""
        reason = f"; {self.reason}" if self.reason else ""
        return f"{points(self.difference, sign)} points (95% interval {self._span}, {self._p}{corrected}{reason})"

    @property
    def brief(self):
        """As in "+2.3 (−1.0 to 5.6), p = 0.17": for the cells of a table that says what these are."""
        return f"{points(self.difference, '+')} ({self._span}), {self._p}"

    @property
    def _span(self):
        return f"{points(self.low)} to {points(self.high)}"

    @property
    def _p(self):
        p = p_text(self.p if self.p_corrected is None else self.p_corrected)
        return f"p {p}" if p.startswith("<") else f"p = {p}"


def judge(differences):
    """The project's one rule for "better", applied to all comparisons of one table.

    A classifier is better (or worse) than another if **both** show it: the 95% interval of the difference excludes 0,
    and the p-value, corrected by Holm for the number of comparisons, is below 0.05. Neither is enough by itself: the
    interval accounts for other trainings but not for the number of comparisons, the p-value the other way round. If
    only one shows a difference, the word is "no difference shown", and ``reason`` says why.

    Args:
        differences: Mapping of any keys to ``Difference``, the whole table.

    Returns:
        dict with the same keys, to ``Difference`` with ``p_corrected`` and ``word``.
    """
    corrected = holm([each.p for each in differences.values()])
    judged = {}
    for (key, each), p in zip(differences.items(), corrected, strict=True):
        shown = p < LEVEL and not each.low <= 0 <= each.high
        word = (BETTER if each.low > 0 else WORSE) if shown else NO_DIFFERENCE
        judged[key] = dataclasses.replace(each, p_corrected=float(p), word=word)
    return judged


def paired_comparison(first, second):
    """Two classifiers compared on the same images: :func:`mcnemar` and :func:`paired_difference_interval`.

    Args:
        first: Bool array (N,), or (seeds, N): which images the first classifier got right.
        second: The same of the second, on the same images.

    Raises:
        ValueError: The arrays differ in shape, or hold no image.
    """
    low, high = paired_difference_interval(first, second)
    return Difference(paired_difference(first, second)[0], low, high, mcnemar(first, second))


def unpaired_comparison(correct, count, other_correct, other_count):
    """Two classifiers compared by their counts of correct images, where nothing else is known, as for published ones.

    After Agresti and Caffo (2000): one right and one wrong image are added to each. Unlike Newcombe's, this interval
    and the p-value come from one formula, so that they never contradict each other.

    Returns:
        ``Difference``, of the first minus the other.
    """
    from scipy.stats import norm

    for right, images in ((correct, count), (other_correct, other_count)):
        if not 0 <= right <= images or images < 1:
            raise ValueError(
                f"Correct images must be 0 to the number of images, 1 or more; received {right}, {images}."
            )
    first, second = (correct + 1) / (count + 2), (other_correct + 1) / (other_count + 2)
    spread = np.sqrt(first * (1 - first) / (count + 2) + second * (1 - second) / (other_count + 2))
    half = norm.ppf(1 - LEVEL / 2) * spread
    return Difference(
        float(correct / count - other_correct / other_count),
        float(max(-1.0, first - second - half)),
        float(min(1.0, first - second + half)),
        float(2 * norm.sf(abs(first - second) / spread)),
    )


def points(difference, sign=""):
    """A difference of two fractions in percentage points."""
    return minus(f"{100 * difference:{sign}.1f}")


def minus(text):
    """A text with minus signs in place of the hyphens of its negative numbers; "top-1" and "2-3" stay."""
    return re.sub(r"(?<!\w)-(?=\d)|(?<=\de)-(?=\d)", "−", text)


def p_text(p):
    """A p-value to two digits; below 0.001 only that."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def mcnemar(first, second):
    """Exact p-value of "both classifiers are equally good", from which of the same images each got right.

    With one run each it is McNemar's exact test: the sign test on the images that only one of the two got right. With
    several seeds, an image's value is the number of the first's runs that got it right minus the second's, and in the
    test each value may have either sign with equal probability. It is about other images, not about other trainings.

    Arguments and errors are those of :func:`paired_comparison`.

    Returns:
        float, two-sided.
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

    Arguments and errors are those of :func:`paired_comparison`.

    Returns:
        (difference, variance due to the images, variance due to the seeds). The first variance is Agresti and Min's
        (2005): half an image is added to each of the four outcomes of a pair, so that it is never 0. The second is 0
        for one seed, which says nothing about others. The uncertainty of the single runs is in both, so that their sum
        is too large rather than too small.
    """
    first, second = _paired(first, second)
    seeds, images = first.shape
    each = first - second  # (seeds, N)
    by_image, by_seed = each.mean(axis=0), each.mean(axis=1)
    shrunk = by_image.sum() / (images + 2)
    over_images = (((by_image**2).sum() + 1) / (images + 2) - shrunk**2) / (images + 2)
    over_seeds = by_seed.var(ddof=1) / seeds if seeds > 1 else 0.0
    return float(by_image.mean()), float(over_images), float(over_seeds)


def paired_difference_interval(first, second):
    """95% interval of the difference of two classifiers' accuracies on the same images, first minus second.

    From both variances of :func:`paired_difference`: with several seeds it is about other images and other seeds, with
    one seed about other images only. The quantile is Student's, with Satterthwaite's degrees of freedom.

    Arguments and errors are those of :func:`paired_comparison`.

    Returns:
        (low, high), fractions from -1 to 1.
    """
    from scipy.stats import norm, t

    difference, over_images, over_seeds = paired_difference(first, second)
    seeds, images = _paired(first, second)[0].shape
    centre = difference * images / (images + 2)
    variance, quantile = over_images + over_seeds, norm.ppf(1 - LEVEL / 2)
    if over_seeds:
        freedom = variance**2 / (over_images**2 / max(1, images - 1) + over_seeds**2 / (seeds - 1))
        quantile = t.ppf(1 - LEVEL / 2, freedom)
    half = quantile * np.sqrt(variance)
    return float(max(-1.0, centre - half)), float(min(1.0, centre + half))


def mean_interval(values):
    """Mean of a measure (seeds,), with Student's 95% interval: (mean, low, high); without bounds for one seed."""
    from scipy.stats import t

    values = np.asarray(values, float)
    mean, more = float(values.mean()), len(values) - 1
    half = float(t.ppf(1 - LEVEL / 2, more) * values.std(ddof=1) / np.sqrt(len(values))) if more else np.inf
    return mean, mean - half, mean + half


def images_needed(difference, discordant, confidence=0.95, power=0.8):
    """How many test images it takes to show a difference of two classifiers on the same images (Connor 1987).

    ``difference`` is of the accuracies, a fraction; ``discordant`` is the share of images that only one of the two gets
    right, raised to ``difference`` if smaller; ``confidence`` is the two-sided test's, and ``power`` the probability
    that it shows the difference.
    """
    from scipy.stats import norm

    discordant = max(discordant, abs(difference))
    spread = norm.ppf(0.5 + confidence / 2) * np.sqrt(discordant) + norm.ppf(power) * np.sqrt(
        discordant - difference**2
    )
    return int(np.ceil((spread / difference) ** 2))


def holm(p_values):
    """Holm's correction of p-values (N,) for their number: a float array (N,), in the same order."""
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
            "Two classifiers are compared by which of the same images each got right: two bool arrays of one shape, "
            f"(N,) or (seeds, N); received {first.shape} and {second.shape}."
        )
    return first, second
