"""The tests that claims.csv names: a claim's value by our count, or whether printed numbers and runs bear it out.

A test has a name and arguments, written ``gain: Table 5; Xception; wise_dropout; gap_dropout``. A *value* test returns
a number or a text, which the ledger compares with the printed value. A *judgement* returns a :class:`Finding`. About
photographs it rests on complete runs at paper scale where there are some, else on the printed accuracies, and never on
a demo; tests whose names begin with "demo" are about the embedded scenes only.
"""

import json
import math
from decimal import Decimal

import numpy as np
from scipy.stats import norm

from wisesr_helpers.metrics import (
    BETTER,
    LEVEL,
    NO_DIFFERENCE,
    WORSE,
    Difference,
    judge,
    no_better_than_chance,
    paired_comparison,
    unpaired_comparison,
    wilson_interval,
)
from wisesr_helpers.models.backbones import preprocessing_mode
from wisesr_helpers.studies.evidence import (
    BY_CONSTRUCTION,
    CONTRADICTED,
    NOT_REPRODUCED,
    NOT_SHOWN,
    NOT_SUPPORTED,
    OPEN,
    REPRODUCED,
    SHOWN,
    SUPPORTED,
    Finding,
    Model,
)
from wisesr_helpers.studies.grid import PAPER_STUDIES, REPORT_STUDIES, STUDIES
from wisesr_helpers.training.runs import canonical

FINAL_HEADS = {"Table 5": "wise_dropout", "Table 6": "wise", "Table 7": "wise_dropout", "Table 9": "wise"}
EARLY = 4  # "early" is after the first quarter of the epochs


def decimal(number):
    """A float that was read from text, as it was written."""
    return Decimal(repr(float(number)))


# Values: (evidence, *arguments) → Decimal or text.


def arithmetic(evidence, expression):
    """Sums of products, and one division at the end: "3×3×256 + 256×512", "100×486 ÷ 1000", "7 − 1"."""
    over, _, under = expression.partition("÷")
    terms = over.replace("−", "+ -1×").split("+")
    total = sum(math.prod(Decimal(factor.strip()) for factor in term.split("×")) for term in terms)
    return total / Decimal(under.strip()) if under else total


def cell(evidence, where, row, column):
    """The value at another place of the source."""
    entry = evidence.cell(where, row, column)
    return entry.value if math.isnan(entry.number) else decimal(entry.number)


def per_class(evidence, dataset, column):
    """Images of Table 2 per class."""
    return cell(evidence, "Table 2", dataset, column) / cell(evidence, "Table 2", dataset, "Number of Classes")


def distinct(evidence, column, *tables):
    """How many rows, heads or backbones the paper's tables have, together."""
    numbers = evidence.numbers
    return Decimal(numbers[(numbers["source"] == "paper") & numbers["where"].isin(tables)][column].nunique())


def gain(evidence, where, backbone, head, other):
    """The difference of two printed top-1 accuracies, in percentage points."""
    first, second = (Decimal(evidence.accuracy(where, backbone, name).printed) for name in (head, other))
    return 100 * (first - second)


def _gains(evidence, arguments):
    """Gains of the final head over GAP in the tables named, on the backbones named or on all."""
    tables = [name for name in arguments if name in FINAL_HEADS]
    wanted = [name for name in arguments if name not in FINAL_HEADS]
    pairs = [(where, backbone) for where in tables for backbone in wanted or PAPER_STUDIES[where].backbones]
    return [gain(evidence, where, backbone, FINAL_HEADS[where], "gap") for where, backbone in pairs]


def parameters(evidence, where, backbone, head=""):
    """Counted parameters of a model."""
    return Decimal(int(evidence.count(where, backbone, head).parameters))


def flops(evidence, where, backbone, head):
    """Counted operations of a model for one image."""
    return Decimal(int(evidence.count(where, backbone, head).flops))


def _growth(evidence, count, where, head, backbones):
    """By how many percent a count is larger than with GAP: the largest on the backbones named, or on all."""
    backbones = backbones or evidence.counts[evidence.counts["where"] == where]["backbone"].unique()
    return max(
        100 * (count(evidence, where, name, head) / count(evidence, where, name, "gap") - 1) for name in backbones
    )


def feature_map(evidence, where, backbone):
    """The last feature map of a backbone, "7×7×2048"."""
    counts = evidence.counts
    return counts[(counts["where"] == where) & (counts["backbone"] == backbone)]["feature_map"].iloc[0]


def blocks(evidence, side, block, *more):
    """The whole blocks of a square map or image, "3×3"; further sizes are put behind."""
    return "×".join([str(int(side) // int(block))] * 2 + list(more))


def setting(evidence, study, field):
    """A setting of the project's recipe for a study or a report's dataset, in the words of the table."""
    study = REPORT_STUDIES.get(study) or STUDIES[study]
    recipe = study.recipe
    words = {
        "image_size": f"{study.image_size}x{study.image_size}",
        "optimizer": f"SGD (momentum:{recipe.momentum})",
        "decay": f"{recipe.decay_rate} every {recipe.decay_epochs} epochs",
        "transfer": "Yes (ImageNet Pre-trained Weights)" if recipe.weights == "imagenet" else "No",
        "weights": "Keras Random Initialization" if recipe.weights is None else recipe.weights,
        "preprocessing": f"Yes ({preprocessing_mode(study.backbones[0]).capitalize()})",
    }
    if field in words:
        return words[field]
    name, _, part = field.partition(" ")  # "zoom_range %", "brightness_range 0"
    value = getattr(recipe if hasattr(recipe, name) else recipe.augmentation, name)
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return decimal(value[int(part)]) if part.isdigit() else decimal(value) * (100 if part else 1)


VALUES = {
    "arithmetic": arithmetic,
    "blocks": blocks,
    "cell": cell,
    "cells left out": lambda evidence, side, block: Decimal(
        int(side) ** 2 - (int(side) // int(block) * int(block)) ** 2
    ),
    "distinct": distinct,
    "elsewhere": lambda evidence, text: text,  # what another sentence says, as the claim tells
    "gain": gain,
    "least gain": lambda evidence, *arguments: min(_gains(evidence, arguments)),
    "most gain": lambda evidence, *arguments: max(_gains(evidence, arguments)),
    "per class": per_class,
    "setting": setting,
}
COUNTS = {
    "channels": lambda evidence, *model: Decimal(feature_map(evidence, *model).split("×")[-1]),
    "feature map": feature_map,
    "fewer parameters": lambda evidence, where, backbone, head, other: (
        parameters(evidence, where, backbone, other) - parameters(evidence, where, backbone, head)
    ),
    "GFLOPs": lambda evidence, *model: flops(evidence, *model) / 10**9,
    "growth": lambda evidence, where, head, *backbones: _growth(evidence, parameters, where, head, backbones),
    "growth of operations": lambda evidence, where, head: _growth(evidence, flops, where, head, ()),
    "parameters": parameters,
    "ratio": lambda evidence, where, backbone, head, other, other_head: (
        parameters(evidence, where, backbone, head) / parameters(evidence, where, other, other_head)
    ),
}


# Judgements of comparisons, each of a list of pairs of models.


def head_pairs(*arguments):
    """Two heads in tables, on the backbones named or on all: "Table 5; Table 6; wise; gap; Xception"."""
    studies = [PAPER_STUDIES[name] for name in arguments if name in PAPER_STUDIES]
    head, other, *wanted = arguments[len(studies) :]
    return [
        (Model(study.name, backbone, head), Model(study.name, backbone, other))
        for study in studies
        for backbone in wanted or study.backbones
    ]


def option_pairs(study, backbone, head, options):
    """A head with options, and without them."""
    return [(Model(study, backbone, head, options=canonical(json.loads(options))), Model(study, backbone, head))]


def network_pairs(*arguments):
    """One of the report's networks and another, or all others, on datasets: "VGG16; ResNet50; mnist; cifar10"."""
    pairs = []
    for study in (REPORT_STUDIES[name] for name in arguments if name in REPORT_STUDIES):
        first, *others = [name for name in arguments if name in study.backbones]
        models = {name: Model(study.name, name, study.head_for(name), study.source) for name in study.backbones}
        pairs += [(models[first], models[other]) for other in others or study.backbones if other != first]
    return pairs


# Name → (function: arguments → pairs; the words that the claim allows of each).
COMPARISONS = {
    "better": (head_pairs, (BETTER,)),
    "not better": (head_pairs, (WORSE, NO_DIFFERENCE)),
    "option worse": (option_pairs, (WORSE,)),
    "option not better": (option_pairs, (WORSE, NO_DIFFERENCE)),
    "best network": (network_pairs, (BETTER,)),
    "worst network": (network_pairs, (WORSE,)),
    "no difference": (network_pairs, (NO_DIFFERENCE,)),
}


def compare(evidence, name, *arguments):
    """Judge a test of ``COMPARISONS`` by runs if all its models have some, else by the printed accuracies.

    The argument "top-5" is for printed top-5 accuracies: records keep no comparison of those.
    """
    make, allowed = COMPARISONS[name]
    measure = "top-5" if "top-5" in arguments else "top-1"
    pairs = make(*(each for each in arguments if each != measure))
    found, seeds = recorded(evidence, pairs, "paper") if measure == "top-1" else ({}, 0)
    found, scale = (found, "paper") if found else (printed(evidence, pairs, measure), "printed")
    if not found:
        return open_finding(evidence, pairs)
    return _finding(found, allowed, scale, seeds)


def _finding(found, allowed, scale, seeds):
    holds = all(each.word in allowed for each in found.values())
    yes, no = (REPRODUCED, NOT_REPRODUCED) if scale == "paper" else (SUPPORTED, NOT_SUPPORTED)
    return Finding(in_words(found), yes if holds else no, scale, seeds)


def in_words(found):
    """One difference as a sentence; of several, how many are which."""
    words = [each.word for each in found.values()]
    if len(words) == 1:
        return f"{words[0]}: {next(iter(found.values())).in_words()}"
    return ", ".join(f"{words.count(word)} of {len(words)} {word}" for word in dict.fromkeys(words))


def open_finding(evidence, pairs):
    """An open finding, with the commands of the models that lack a run."""
    models = dict.fromkeys(model for pair in pairs for model in pair)
    missing = [model for model in models if not evidence.seeds(model, "paper")]
    return Finding(verdict=OPEN, command=" && ".join(model.command for model in missing or models))


def printed(evidence, pairs, measure="top-1"):
    """Pair → ``Difference`` of the printed accuracies; {} where one isn't printed."""
    found = {pair: evidence.difference(measure, pair) for pair in pairs}
    return found if all(found.values()) else {}


def recorded(evidence, pairs, scale):
    """(pair → ``Difference`` on the same images, judged together; the fewest seeds); ({}, 0) where one lacks runs."""
    compared, seeds = {}, []
    for pair in pairs:
        first, second = (evidence.seeds(model, scale) for model in pair)
        common = [k for k in first if k in second and first[k].data_fingerprint == second[k].data_fingerprint]
        if not common:
            return {}, 0
        compared[pair] = paired_comparison(*(np.array([runs[k].right for k in common]) for runs in (first, second)))
        seeds.append(len(common))
    return judge(compared), min(seeds)


def early(evidence, pairs, scale):
    """The same after the first quarter of the epochs, where records keep counts only: unpaired, of the seeds' means."""
    compared, seeds = {}, []
    for pair in pairs:
        both = [list(evidence.seeds(model, scale).values()) for model in pair]
        if not all(both):
            return {}, 0
        counts = []
        for runs in both:
            top1 = [run.history[max(1, run.planned_epochs // EARLY) - 1]["test_top1"] for run in runs]
            counts += [round(float(np.mean(top1)) * runs[0].test_images), runs[0].test_images]
        compared[pair] = unpaired_comparison(*counts)
        seeds.append(min(map(len, both)))
    return judge(compared), min(seeds)


# Other judgements: (evidence, *arguments) → Finding.


def only_chance(evidence, where, *arguments):
    """Whether models of a table, backbone and head in turn, are no better than guessing."""
    study, names = PAPER_STUDIES[where], list(zip(arguments[::2], arguments[1::2], strict=True))
    runs = [list(evidence.seeds(Model(study.name, *name), "paper").values()) for name in names]
    if all(runs):
        counts = [(run.correct_images, run.final["count"]) for each in runs for run in each]
        yes, no, scale, seeds = REPRODUCED, NOT_REPRODUCED, "paper", min(map(len, runs))
    else:
        rows = [evidence.accuracy(where, *name) for name in names]
        counts = [(row.correct, row.images) for row in rows]
        yes, no, scale, seeds = SUPPORTED, NOT_SUPPORTED, "printed", 0
    verdict = yes if all(no_better_than_chance(*each, study.classes) for each in counts) else no
    ours = ", ".join("{:.1%} to {:.1%}".format(*wilson_interval(*each)) for each in counts)
    return Finding(f"{ours}; chance is {1 / study.classes:.1%}", verdict, scale, seeds)


def larger_gain(evidence, *places):
    """Whether a head gains more over GAP in one place than in another: pairs of "Table 9, Xception, wise"."""
    gains = []
    for place in places:
        where, backbone, head = place.split(", ")
        gains.append(tuple(Model(PAPER_STUDIES[where].name, backbone, name) for name in (head, "gap")))
    found, seeds = recorded(evidence, gains, "paper")
    found, scale = (found, "paper") if found else (printed(evidence, gains), "printed")
    pairs = zip(gains[::2], gains[1::2], strict=True)
    return _finding(judge({pair: minus(*(found[each] for each in pair)) for pair in pairs}), (BETTER,), scale, seeds)


def minus(first, second):
    """A difference of two independent differences; its interval is as wide as both together, in squares."""
    half = math.hypot(first.high - first.low, second.high - second.low) / 2
    difference = first.difference - second.difference
    p = 2 * norm.sf(abs(difference) / half * norm.ppf(1 - LEVEL / 2))
    return Difference(difference, difference - half, difference + half, float(p))


def sooner(evidence, *arguments):
    """Whether a head is better than another early in training; arguments as of "better"."""
    found, seeds = early(evidence, head_pairs(*arguments), "paper")
    if not found:
        return open_finding(evidence, head_pairs(*arguments))
    return _finding(found, (BETTER,), "paper", seeds)


def ahead_then_behind(evidence, *arguments):
    """Whether a head is better than another early in training, and worse at its end."""
    found, seeds = recorded(evidence, head_pairs(*arguments), "paper")
    if not found:
        return open_finding(evidence, head_pairs(*arguments))
    at_first, at_last = sooner(evidence, *arguments), _finding(found, (WORSE,), "paper", seeds)
    verdict = REPRODUCED if at_first.verdict == at_last.verdict == REPRODUCED else NOT_REPRODUCED
    return Finding(f"early: {at_first.ours}; at the end: {at_last.ours}", verdict, "paper", seeds)


def accuracy(evidence, model, measure, value, tolerance):
    """Whether the mean final accuracy of a model's runs is within a tolerance of a printed value, both fractions."""
    runs = evidence.seeds(model, "paper").values()
    if not runs:
        return Finding(verdict=OPEN, command=model.command)
    ours = float(np.mean([run.top1 if measure == "top-1" else run.top5 for run in runs]))
    verdict = REPRODUCED if abs(ours - value) <= tolerance else NOT_REPRODUCED
    return Finding(f"{ours:.4f}", verdict, "paper", len(runs))


# Of the embedded scenes, whose mirrored classes a head that forgets positions can only guess between.
NO_DEMO = Finding(command="make results")


def demo_ceiling(evidence, study, backbone, head):
    """One half is the ceiling by construction, unless the whole interval of a run lies above it."""
    runs, ends = _ends(evidence, study, backbone, head)
    if not runs:
        return NO_DEMO
    verdict = CONTRADICTED if (ends[:, 0] > 0.5).any() else BY_CONSTRUCTION
    return Finding(_finals(runs), verdict, "demo", len(runs))


def demo_above_half(evidence, study, backbone, head):
    """Whether the intervals of all runs lie above one half."""
    runs, ends = _ends(evidence, study, backbone, head)
    if not runs:
        return NO_DEMO
    verdict = SHOWN if (ends > 0.5).all() else CONTRADICTED if (ends < 0.5).all() else NOT_SHOWN
    return Finding(_finals(runs), verdict, "demo", len(runs))


def _ends(evidence, *model):
    """A model's demo runs, and an array (runs, 2) with the ends of the intervals of their final top-1."""
    runs = list(evidence.seeds(Model(*model), "demo").values())
    return runs, np.array([wilson_interval(run.correct_images, run.final["count"]) for run in runs])


def _finals(runs):
    return ", ".join(f"{run.top1:.1%}" for run in runs)


def demo_comparison(evidence, compared, study, backbone, head, other):
    """Whether a head is better than another, as ``compared`` by :func:`recorded` or :func:`early`."""
    found, seeds = compared(evidence, [(Model(study, backbone, head), Model(study, backbone, other))], "demo")
    if not found:
        return NO_DEMO
    ((_, each),) = found.items()
    verdict = {BETTER: SHOWN, WORSE: CONTRADICTED, NO_DIFFERENCE: NOT_SHOWN}[each.word]
    return Finding(in_words(found), verdict, "demo", seeds)


JUDGEMENTS = {
    "ahead then behind": ahead_then_behind,
    "demo above half": demo_above_half,
    "demo better": lambda evidence, *names: demo_comparison(evidence, recorded, *names),
    "demo ceiling": demo_ceiling,
    "demo sooner": lambda evidence, *names: demo_comparison(evidence, early, *names),
    "larger gain": larger_gain,
    "only chance": only_chance,
    "sooner": sooner,
}
