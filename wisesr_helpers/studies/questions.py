"""The project's own experiments: what is asked, which runs answer it, and what decides.

Every run is one of a study's demo scale (:mod:`wisesr_helpers.studies.grid`) with something of it changed, so that a
record says by its name which it is, and questions share runs. ``results/protocol.md`` has the reasons and the costs; it
was committed before the runs.
"""

import dataclasses
from collections.abc import Mapping

from wisesr_helpers.studies.experiment import Experiment
from wisesr_helpers.studies.grid import PAPER_STUDIES


@dataclasses.dataclass(frozen=True)
class Question:
    """An experiment."""

    asks: str  # the question
    arms: Mapping  # title → keywords of ws.Experiment; what is not said is the demo's own
    pairs: Mapping  # title of a comparison → (first arm, second arm): what is compared, all in one table
    decides: str  # the rule, in words
    seeds: int = 3  # number of trainings of every arm; the seeds are 0, 1, …

    def runs(self):
        """Keywords of ``ws.Experiment`` for every run, seed by seed, so that an interrupted grid leaves whole seeds."""
        return [self.run(title, seed) for seed in range(self.seeds) for title in self.arms]

    def run(self, title, seed):
        """Keywords of ``ws.Experiment`` for one run."""
        return {"scale": "demo", "backbone": "small_patch", "seed": seed, **self.arms[title]}


def _by_study(suffix=""):
    """In each of the paper's studies, ``wise`` compared with ``gap``."""
    return {
        f"{study.name}: wise − gap": (f"{study.name}, wise{suffix}", f"{study.name}, gap{suffix}")
        for study in PAPER_STUDIES.values()
    }


def _against(reference, arms):
    """Every other arm compared with one of them."""
    return {title: (title, reference) for title in arms if title != reference}


SEVEN = {"study": "intel_224"}  # 7×7 cells: where the demos are hard
SIXTEEN = {"study": "mit_512"}  # 16×16 cells, the paper's section 3.3
BETTER = "Wilson's interval, and the one rule for better of wisesr_helpers.metrics, on all comparisons of the question."

# 1. The demos: every head of every study on separate patches, and two on ordinary convolutions.
DEMOS = {
    f"{study.name}, {head}": {"study": study.name, "head": head}
    for study in PAPER_STUDIES.values()
    for head in study.heads
}
CONV = {f"{title}, small_conv": arm | {"backbone": "small_conv"} for title, arm in DEMOS.items()}
CONV = {title: arm for title, arm in CONV.items() if arm["head"] in ("gap", "wise")}

# 2. The mechanism: every head, then the receptive field, then the map grows.
HEADS = {name: SEVEN | {"head": name} for name in "gap gwap_fixed depthwise_nonneg wise avg_fc".split()}
SEEN = {1: "small_patch", 3: "small_patch_3", 7: "small_patch_7"}  # cells across → backbone
FIELDS = {
    f"{head}, sees {cells}×{cells}": SEVEN | {"head": head, "backbone": backbone}
    for cells, backbone in SEEN.items()
    for head in ("gap", "wise")
}
CELLS = {7: 224, 10: 320, 16: 512}  # cells across → image size
SIZES = {
    f"{head}, {cells}×{cells} cells": SIXTEEN | {"head": head, "options": {"image_size": side}}
    for cells, side in CELLS.items()
    for head in ("gap", "avg_fc", "wise")
}

# 3. What is learned, with and without rotation over the full circle.
STILL = {"options": {"rotation_range": 0}}
WEIGHTS = {
    "wise, rotated": SIXTEEN | {"head": "wise"},
    "wise, not rotated": SIXTEEN | {"head": "wise"} | STILL,
    "depthwise_nonneg, rotated": SEVEN | {"head": "depthwise_nonneg"},
}


# 4. Which part does the work: one factor at a time from `wise`, start × sign in full, and section 3.4's dropped border.
def _wise(**options):
    return SEVEN | {"head": "wise", "options": options}


PARTS = {
    "wise": _wise(),
    "start 1/N": _wise(start="average"),
    "start even": _wise(start="even"),
    "any sign": _wise(constraint="none"),
    "start 1/N, any sign": _wise(start="average", constraint="none"),
    "no pre-averaging": SEVEN | {"head": "depthwise_nonneg"},
    "exact cover": _wise(cover="exact"),
    "stride 1": _wise(strides=1),
    "learning rate 0.03": _wise(learning_rate=0.03),
    "start 1/N, exact cover": _wise(start="average", cover="exact"),  # what the project's own head could be, see 6
}
# The same where averaging can solve the task, so that its scale may matter. Convolutions learn it sooner, and take
# twice as long: half of the epochs, and half of the training scenes.
SHORT = {"train": 800, "decay_rate": 0.757}


def _short(head, **options):
    return SEVEN | {"head": head, "backbone": "small_conv", "options": SHORT | options, "epochs": 12}


SCALES = {
    "gap": _short("gap"),
    "gap × 0.036": _short("gap", scale=0.036),
    "wise": _short("wise"),
    "wise, start 1/N": _short("wise", start="average"),
}

# 5. A third of the training scenes, as many steps.
FEW = {"options": {"train": 500, "decay_rate": 0.9327}, "epochs": 48}
FEW_IMAGES = {name: SEVEN | {"head": name} | FEW for name in ("gap", "avg_fc", "wise")}
CONVERGENCE = {
    "gap, small_conv": SCALES["gap"],
    "wise, small_conv": SCALES["wise"],
    "avg_fc, 16×16 cells": SIXTEEN | {"head": "avg_fc"},
    "wise, 16×16 cells": SIXTEEN | {"head": "wise"},
}

# 6. A better head: chosen by 4, judged once on handwriting, classes and tasks that chose nothing.
OURS = {"head": "wise", "options": {"cover": "exact"}}  # by the protocol's rule, after 4
RIVALS = {name: {"head": name} for name in ("gap", "wise", "wise_dropout", "avg_fc")}
OTHER_HANDS = {"study": "mit_224", "options": {"test_third": "middle"}}
DIGITS = {"study": "deeper_networks", "dataset": "digits"}
TASKS = {
    "scenes, small_patch": OTHER_HANDS,
    "scenes, small_conv": {
        "study": "mit_224",
        "options": {"test_third": "middle"} | SHORT,
        "epochs": 12,
        "backbone": "small_conv",
    },
    "digits, small_patch": DIGITS,
    "digits, small_conv": DIGITS | {"backbone": "small_conv"},
}
JUDGED = {
    f"{name}, {task}": common | head | {"options": common.get("options", {}) | head.get("options", {})}
    for task, common in TASKS.items()
    for name, head in {"ours": OURS, **RIVALS}.items()
}

# 8. Why test curves jump: the learning rate stays, as in the paper's first epochs, or is a tenth of it.
JUMPS = {
    f"learning rate {rate:g}": SEVEN
    | {"head": "wise", "options": {"learning_rate": rate, "decay_rate": 1.0}, "epochs": 12}
    for rate in (0.1, 0.01)
}

QUESTIONS = {
    "demos": Question(
        "Does every demo decide whether the paper's head can do what averaging can't?",
        DEMOS,
        _by_study(),
        "It does if, in every seed, the lower end of wise's 95% interval is above one half, the ceiling of gap.",
    ),
    "demos_conv": Question(
        "Does the head still help on ordinary convolutions, which see the whole scene?",
        CONV,
        _by_study(", small_conv"),
        f"{BETTER} One seed each: the answer is about the four studies together.",
        seeds=1,
    ),
    "heads": Question(
        "Which heads do what averaging can't, on separate patches?",
        HEADS,
        _against("gap", HEADS) | {"wise beside avg_fc": ("wise", "avg_fc")},
        BETTER,
        seeds=5,
    ),
    "receptive_field": Question(
        "How much of the head's advantage is left as the receptive field grows?",
        FIELDS,
        {f"sees {k}×{k}: wise − gap": (f"wise, sees {k}×{k}", f"gap, sees {k}×{k}") for k in SEEN},
        f"{BETTER} The advantage is gone at the first size at which wise is no longer better.",
    ),
    "map_size": Question(
        "What does a growing map do to each head, by the same recipe?",
        SIZES,
        {
            f"{k}×{k} cells: wise − {other}": (f"wise, {k}×{k} cells", f"{other}, {k}×{k} cells")
            for k in CELLS
            for other in ("gap", "avg_fc")
        },
        f"{BETTER} The paper's claim is that gap falls and wise does not.",
    ),
    "weights": Question(
        "What do the learned weights look like, with and without rotation?",
        WEIGHTS,
        {},
        "Described, not judged: radial profile, share of weights at 0, sum a channel beside averaging's 1, by seed.",
    ),
    "parts": Question("Which part of the head does the work?", PARTS, _against("wise", PARTS), BETTER),
    "scale": Question(
        "Could the paper's gain come from the scale of the head's first output alone?",
        SCALES,
        {
            "gap × 0.036 − gap": ("gap × 0.036", "gap"),
            "wise − gap": ("wise", "gap"),
            "wise − gap × 0.036": ("wise", "gap × 0.036"),
            "wise, start 1/N − wise": ("wise, start 1/N", "wise"),
        },
        f"{BETTER} It could if wise and the scaled gap are both better than gap, and not different from each other.",
    ),
    "few_images": Question(
        "Does a head overfit less than fully connected layers, with few training images?",
        FEW_IMAGES,
        _against("avg_fc", FEW_IMAGES),
        f"{BETTER} And the difference of training and test accuracy, with its interval over seeds.",
    ),
    "convergence": Question(
        "Does the paper's head converge faster?",
        CONVERGENCE,
        {
            "small_conv: wise − gap": ("wise, small_conv", "gap, small_conv"),
            "16×16 cells: wise − avg_fc": ("wise, 16×16 cells", "avg_fc, 16×16 cells"),
        },
        "Epochs until nine tenths of the lower of both final accuracies is reached first; it is faster if the 95% "
        "interval over seeds of the difference is below 0.",
    ),
    "better_head": Question(
        "Is the project's own head at least as accurate as the best of the others, in half of the epochs?",
        JUDGED,
        {f"{task}: ours − {rival}": (f"ours, {task}", f"{rival}, {task}") for task in TASKS for rival in RIVALS},
        f"{BETTER} On every task ours is worse than none, and reaches the final accuracy of wise in at most half of "
        "the epochs in every seed.",
    ),
    "jumps": Question(
        "Do batch-norm statistics make test curves jump?",
        JUMPS,
        {},
        "The mean change of test accuracy from epoch to epoch, with moving statistics and with statistics taken anew "
        "from training images; they do if it is smaller with the latter, by an interval over seeds that excludes 0.",
    ),
}
MEASURED = ("jumps",)  # by a loop of their own, not by records


def runs(names=()):
    """Keywords of ``ws.Experiment`` for the runs of questions, each once; without names, of all but ``MEASURED``."""
    for name in names:
        if name not in QUESTIONS:
            raise ValueError(f"Unknown question '{name}'. Valid questions: {', '.join(QUESTIONS)}.")
    chosen = names or [name for name in QUESTIONS if name not in MEASURED]
    return list(
        {spec(typed).parameters.identity: typed for name in chosen for typed in QUESTIONS[name].runs()}.values()
    )


def spec(typed):
    """The ``RunSpec`` of a run's keywords."""
    return Experiment(**typed).spec
