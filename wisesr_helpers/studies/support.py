"""What the printed accuracies can support: intervals, comparisons, impossible values, and what would settle the rest.

Only the printed values and the sizes of the test sets are used. Neither tells how far another training would move a
value, so everything here is about chance in the test images alone: real uncertainty is larger.
"""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
from scipy.stats import norm

from wisesr_helpers.metrics import LEVEL, images_needed, judge, paired_comparison, unpaired_comparison, wilson_interval
from wisesr_helpers.published import published
from wisesr_helpers.studies.grid import PAPER_STUDIES, REPORT_STUDIES

MEASURES = {"Top-1 accuracy": "top-1", "Top-5 accuracy": "top-5"}

OVER_GAP, STEPS, NETWORKS = "over GAP", "step by step", "between networks"
# From GWAP by way of the depthwise layer to the final head (sections 2.3 and 2.4), and the text's other two baselines.
STEP_PAIRS = (
    ("depthwise", "gwap"),
    ("depthwise_nonneg", "depthwise"),
    ("wise", "depthwise_nonneg"),
    ("wise_dropout", "wise"),
    ("wise_dropout", "gap_dropout"),
    ("wise", "avg_fc"),
)
SPREAD = 0.01  # from one training to the next, assumed where seeds are counted; neither source gives it
POWER = 0.8


def possible(printed, images):
    """Whether a whole number of ``images`` gives an accuracy that is printed so, a str such as "0.3571"."""
    digits = len(printed.partition(".")[2])
    return any(f"{count / images:.{digits}f}" == printed for count in neighbours(printed, images))


def neighbours(printed, images):
    """The whole numbers of images on both sides of a printed accuracy."""
    exact = float(printed) * images
    return math.floor(exact), math.ceil(exact)


def accuracies(numbers=None):
    """Every printed accuracy with what its test set says about it.

    Args:
        numbers: The printed numbers, a DataFrame as :func:`wisesr_helpers.published.published` returns it; default
            that one.

    Returns:
        DataFrame, one row per printed accuracy: "source", "where", "row", "column", "study", "dataset" (of the report,
        as typed, else ""), "backbone", "head", "measure" ("top-1" or "top-5"), "printed" (text), "images" (of the test
        set), "correct" (the nearest whole number of them), "low" and "high" (Wilson's 95% interval, fractions),
        "possible" (whether a whole number of images gives the printed digits).
    """
    numbers = published() if numbers is None else numbers
    rows = []
    for entry in numbers[numbers["unit"] == "fraction"].itertuples():
        if entry.column not in MEASURES:
            continue
        if entry.source == "paper":
            study, dataset, backbone, head = PAPER_STUDIES[entry.where], "", entry.backbone, entry.head
        else:
            label, network = entry.row.split(" / ")
            study = next(each for each in REPORT_STUDIES.values() if each.dataset.startswith(label))
            dataset = study.source
            backbone = next(name for name in study.backbones if name.casefold() == network.casefold())
            head = study.head_for(backbone)
        correct = round(float(entry.value) * study.test_images)
        low, high = wilson_interval(correct, study.test_images)
        rows.append(
            {
                "source": entry.source,
                "where": entry.where,
                "row": entry.row,
                "column": entry.column,
                "study": study.name,
                "dataset": dataset,
                "backbone": backbone,
                "head": head,
                "measure": MEASURES[entry.column],
                "printed": entry.value,
                "images": study.test_images,
                "correct": correct,
                "low": low,
                "high": high,
                "possible": possible(entry.value, study.test_images),
            }
        )
    return pd.DataFrame(rows)


def comparisons(printed=None):
    """Every comparison of two printed accuracies, by the project's rule (:func:`wisesr_helpers.metrics.judge`).

    Compared are, on each backbone, every head with GAP ("over GAP") and each head with the one that it builds on ("step
    by step"); of the report, the networks with each other ("between networks"). p-values are corrected by Holm within
    a table, a question and a measure.

    Which images each model got right isn't printed, so the comparison is unpaired. On the same images, the two models'
    mistakes could coincide as far as possible or as little as possible; both are computed, as bounds.

    Args:
        printed: DataFrame as :func:`accuracies` returns it; default that one.

    Returns:
        DataFrame, one row per comparison: "source", "where", "question", "study", "dataset", "measure", "backbone",
        "head", "other_backbone", "other_head", "images", "printed" (the difference of the printed values in points,
        text), then fractions of the nearest whole numbers of images: "difference", "low", "high" (95% interval,
        Agresti and Caffo), "p", "p_corrected", and "word" ("better", "worse", "no difference shown", of the first).
        "low", "high" and "word" again with "_if_paired_best" and "_if_paired_worst", the two bounds. "images_needed"
        and "seeds_needed": see :func:`settling`, 0 where a difference is shown or none is printed.
    """
    printed = accuracies() if printed is None else printed
    rows = []
    for (source, _, _), table in printed.groupby(["source", "where", "measure"], sort=False):
        for question, pairs in _pairs(source, table).items():
            judged = {
                "": judge(dict(enumerate(_unpaired(*pair) for pair in pairs))),
                "_if_paired_best": judge(dict(enumerate(_paired(*pair, together=True) for pair in pairs))),
                "_if_paired_worst": judge(dict(enumerate(_paired(*pair, together=False) for pair in pairs))),
            }
            for k, pair in enumerate(pairs):
                row = _compared(question, *pair, judged[""][k])
                for suffix, family in judged.items():
                    found = family[k]
                    row |= {f"low{suffix}": found.low, f"high{suffix}": found.high, f"word{suffix}": found.word}
                rows.append(row)
    return pd.DataFrame(rows)


def _compared(question, first, second, found):
    """The row of a comparison, but for its intervals and words."""
    images, seeds = (0, 0) if found.shown else settling(first.correct, second.correct, first.images)
    return {
        "source": first.source,
        "where": first.where,
        "question": question,
        "study": first.study,
        "dataset": first.dataset,
        "measure": first.measure,
        "backbone": first.backbone,
        "head": first.head,
        "other_backbone": second.backbone,
        "other_head": second.head,
        "images": first.images,
        "printed": f"{100 * (Decimal(first.printed) - Decimal(second.printed)):+.2f}",
        "difference": found.difference,
        "p": found.p,
        "p_corrected": found.p_corrected,
        "images_needed": images,
        "seeds_needed": seeds,
    }


def _pairs(source, table):
    """Question → pairs of rows of one table and measure that answer it."""
    rows = {(row.dataset, row.backbone, row.head): row for row in table.itertuples()}
    if source == "report":
        each = list(rows.values())
        networks = [(a, b) for k, a in enumerate(each) for b in each[k + 1 :] if a.dataset == b.dataset]
        return {NETWORKS: networks}
    backbones = dict.fromkeys(backbone for _, backbone, _ in rows)
    over_gap = [(row, rows[(*key[:2], "gap")]) for key, row in rows.items() if key[2] != "gap"]
    steps = [
        (rows["", backbone, head], rows["", backbone, other])
        for backbone in backbones
        for head, other in STEP_PAIRS
        if ("", backbone, head) in rows and ("", backbone, other) in rows
    ]
    return {OVER_GAP: over_gap, STEPS: steps}


def _unpaired(first, second):
    return unpaired_comparison(first.correct, first.images, second.correct, second.images)


def _paired(first, second, together):
    return paired_comparison(*right_images(first.correct, second.correct, first.images, together))


def right_images(correct, other_correct, images, together):
    """Which images two models got right, (images,) each, if their mistakes coincide as far or as little as they can."""
    places = np.arange(images)
    return places < correct, places < other_correct if together else places >= images - other_correct


def settling(correct, other_correct, images):
    """What it would take to show a difference as large as the printed one, by itself, with a power of 80%.

    Returns (test images, if the two models' mistakes are independent; trainings of each model on this test set, if
    trainings differ by a standard deviation of ``SPREAD``); 0, 0 if the two are printed alike.
    """
    if correct == other_correct:
        return 0, 0
    a, b = correct / images, other_correct / images
    spread = (norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * SPREAD / (a - b)
    return images_needed(a - b, a * (1 - b) + b * (1 - a), power=POWER), max(2, math.ceil(2 * spread**2))
