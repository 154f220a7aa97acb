"""The answers to the questions: sentences and figures, computed from records."""

import functools
import json
import pathlib

import numpy as np

from wisesr_helpers.metrics import (
    BETTER,
    NO_DIFFERENCE,
    WORSE,
    judge,
    mean_interval,
    minus,
    paired_comparison,
    points,
    wilson_interval,
)
from wisesr_helpers.plots import evidence
from wisesr_helpers.plots.runs import accuracies, curves
from wisesr_helpers.progress import how_many
from wisesr_helpers.studies.experiment import is_current
from wisesr_helpers.studies.questions import CELLS, OURS, QUESTIONS, RIVALS, SEEN, TASKS, spec
from wisesr_helpers.studies.report import NO_BETTER, only_guesses
from wisesr_helpers.training.runs import as_table, project_root, shown

CEILING = 0.5  # of averaging on separate patches, by construction
NOTHING = "Nothing can be compared: no pair of arms is complete."
FLAT = 0.02  # what training accuracy may still gain in three epochs


class MissingError(ValueError):
    """There is nothing to draw or to measure from yet."""


class Found:
    """What the records say about one of ``QUESTIONS``; those that today's code would not make don't count.

    ``runs`` is a DataFrame in the order of arms and seeds, with the arms' titles in a column "row"; ``left`` and
    ``diverged`` are titles with the seeds that have no finished record, or diverged. ``measured`` is the folder with
    ``weights.json`` and ``jumps.json``, for the questions that need them.
    """

    def __init__(self, name, records, measured=None):
        self.name, self.question, self.measured = name, QUESTIONS[name], measured
        of_identity = {run.identity: run for run in records["run"] if run.status != "running" and is_current(run)}
        self._seeds, self.left, self.diverged = {}, [], []
        for title in self.question.arms:
            for seed in range(self.question.seeds):
                run = of_identity.get(spec(self.question.run(title, seed)).parameters.identity)
                if run is None:
                    self.left.append(f"{title}, seed {seed}")
                    continue
                self._seeds.setdefault(title, []).append(run)
                if run.status == "diverged":
                    self.diverged.append(f"{title}, seed {seed}")
        titled = [(title, run) for title, each in self._seeds.items() for run in each]
        self.runs = as_table([run for _, run in titled])
        self.runs.insert(0, "row", [title for title, _ in titled])

    def seeds(self, title):
        """The complete runs of an arm, by seed."""
        return [run for run in self._seeds.get(title, ()) if run.status == "complete"]

    def top1(self, title):
        """Final test top-1 of every complete run of an arm: float array (seeds,)."""
        return np.array([run.top1 for run in self.seeds(title)])

    @functools.cached_property
    def differences(self):
        """Title of the comparison → ``Difference``, judged together; only those all of whose runs are complete."""
        both = {title: [self.seeds(arm) for arm in pair] for title, pair in self.question.pairs.items()}
        whole = {title: arms for title, arms in both.items() if all(len(arm) == self.question.seeds for arm in arms)}
        return judge(
            {title: paired_comparison(*([run.right for run in arm] for arm in arms)) for title, arms in whole.items()}
        )

    @functools.cached_property
    def _said(self):
        """The answer in a sentence, then the numbers behind it; that it is open while records are missing."""
        if self.left and self.name != "jumps":
            number = len(self.question.arms) * self.question.seeds
            return [f"Open: {len(self.left)} of {number} runs have no current record. make results trains them."]
        try:
            return _SAID.get(self.name, _words)(self)
        except MissingError as error:
            return [f"Open: {error}"]

    @property
    def headline(self):
        """The answer in a sentence."""
        return self._said[0]

    @property
    def sentences(self):
        """The answer in parts: the headline, its numbers, what was compared, what diverged, only guesses or rises."""
        said = list(self._said)
        if self.open:
            return said
        if self.name not in _WITHOUT_COMPARISONS and self.differences:
            said.append(f"Differences in points, with 95% intervals, on {self._sample}.")
            said += [f"{word.capitalize()}: {'; '.join(each)}." for word, each in self._by_word().items()]
        if self.diverged:
            said.append(f"Diverged, and in no comparison: {'; '.join(self.diverged)}.")
        guesses = {title: sum(map(only_guesses, self.seeds(title))) for title in self._seeds}
        if any(guesses.values()):
            named = [f"{title} ({k} of {self.question.seeds} seeds)" for title, k in guesses.items() if k]
            said.append(f"{NO_BETTER.capitalize()}: {'; '.join(named)}.")
        rising = [title for title in self._seeds if _rises(self.seeds(title))]
        if rising:
            said.append(f"Not flat yet: {'; '.join(rising)}.")
        return said

    @property
    def answer(self):
        """The answer, in a sentence or a few; that it is open while records are missing."""
        return " ".join(self.sentences)

    @property
    def open(self):
        """Whether records or measurements are missing."""
        return self.headline.startswith("Open: ")

    def compared(self, *titles):
        """What comparisons show, by their word: all of the question, or those with these titles."""
        said = "; ".join(f"{word}: {', '.join(each)}" for word, each in self._by_word(*titles).items())
        if not said:
            return NOTHING
        return f"In points, with 95% intervals, on {self._sample}: {said}."

    def _by_word(self, *titles):
        """Word → what has it, with its difference and interval."""
        found = {word: [] for word in (BETTER, WORSE, NO_DIFFERENCE)}
        for title, one in self.differences.items():
            if not titles or title in titles:
                span = f"{points(one.difference, '+')} ({points(one.low)} to {points(one.high)})"
                found[one.word].append(f"{self.pair(title)} {span}")
        return {word: each for word, each in found.items() if each}

    @property
    def _sample(self):
        """On what accuracies are compared."""
        images = self.runs[self.runs["status"] == "complete"]["images"]
        span = " to ".join(f"{number:,}" for number in sorted({images.min(), images.max()}))
        return f"{span} test images and {how_many(self.question.seeds, 'seed')}"

    def pair(self, title):
        """What is compared, as a difference: the title, or both arms where it names none."""
        return title if " − " in title else " − ".join(self.question.pairs[title])

    def draw(self, ax):
        """The figure, on given axes; returns them, described. MissingError while there is nothing to draw.

        While records are missing it shows accuracies only: differences are judged when all are there.
        """
        if self.name == "weights":
            return evidence.radial_profile(_there(self.maps(), "weights"), ax)
        if self.name == "jumps":
            return evidence.jumps(_there(self.curves(), "jumps"), ax)
        if self.runs.empty:
            raise MissingError(f"There is no record for '{self.name}' yet.")
        if self.name == "few_images":
            return evidence.overfitting(self.runs[self.runs["status"] == "complete"], ax)
        if self.name == "convergence":
            return curves(self.runs, ax)
        if self.differences and not self.left and self.name not in ("demos", "heads"):
            judged = {self.pair(title): each for title, each in self.differences.items()}
            return evidence.differences(judged, ax)
        return accuracies(self.runs, ax)

    def maps(self):
        """Title → weights (H, W), one a seed, as multiples of averaging's, from ``weights.json``."""
        rows = _read(self.measured, "weights.json")
        return {
            title: [np.array(rows[run.identity]["cells"]) for run in runs if run.identity in rows]
            for title, runs in self._seeds.items()
        }

    def curves(self):
        """Title → list of {"moving", "anew"}, one a seed, from ``jumps.json``."""
        rows = _read(self.measured, "jumps.json")
        return {title: [row for row in rows if row["arm"] == title] for title in self.question.arms}


def _there(measured, name):
    """The arms of which something was measured."""
    there = {title: seeds for title, seeds in measured.items() if seeds}
    if not there:
        raise MissingError(f"Nothing is measured for '{name}' yet.")
    return there


def _read(folder, name):
    path = pathlib.Path(folder or (project_root() or pathlib.Path()) / "results/measured") / name
    if not path.exists():
        raise MissingError(f"There is no '{shown(path)}' yet: python scripts/measure.py {path.stem} makes it.")
    return json.loads(path.read_text(encoding="utf-8"))


def _rises(runs):
    """Whether the mean training accuracy of the last three epochs is still well above that of the three before."""
    curves = [[row["top1"] for row in run.history] for run in runs if run.epochs >= 6]
    return bool(curves) and np.mean([np.mean(each[-3:]) - np.mean(each[-6:-3]) for each in curves]) >= FLAT


def _words(found):
    """What comparisons show, in words alone; where all are with one arm, that is named once."""
    pairs = {title: found.question.pairs[title] for title in found.differences}
    other = {second for _, second in pairs.values()}
    one = other.pop() if len(other) == 1 else ""
    titled = {
        BETTER: f"Better than {one}" if one else "Better",
        WORSE: f"Worse than {one}" if one else "Worse",
        NO_DIFFERENCE: f"No difference from {one} shown" if one else "No difference shown",
    }
    named = {word: [] for word in (BETTER, WORSE, NO_DIFFERENCE)}
    for title, each in found.differences.items():
        named[each.word].append(pairs[title][0] if one else found.pair(title))
    said = [f"{titled[word]}: {'; '.join(titles)}." for word, titles in named.items() if titles]
    return [" ".join(said) or NOTHING]


def _demos(found):
    spans, decided = [], 0
    for name in dict.fromkeys(title.split(",")[0] for title in found.question.arms):
        ends = [wilson_interval(run.correct_images, run.final["count"]) for run in found.seeds(f"{name}, wise")]
        good = len(ends) == found.question.seeds and all(low > CEILING for low, _ in ends)
        decided += good
        low, high = min(ends, default=(float("nan"),) * 2)
        spans.append(f"{name} {low:.1%} to {high:.1%}{'' if good else ' (does not decide)'}")
    return [
        f"{decided} of {len(spans)} demos decide: in every seed the paper's head is above {CEILING:.0%}, the ceiling "
        "of averaging, by more than its interval.",
        f"The lowest interval of wise: {'; '.join(spans)}.",
    ]


def _of_shares(values):
    """The mean of shares and its 95% interval, which holds nothing below 0 or above 1."""
    return np.clip(mean_interval(values), 0, 1)


def _heads(found):
    means = []
    for title in found.question.arms:
        mean, low, high = _of_shares(found.top1(title)) if len(found.top1(title)) else (np.nan,) * 3
        means.append(f"{title} {mean:.1%} ({low:.1%} to {high:.1%})")
    _, low, _ = mean_interval(found.top1("gap")) if len(found.top1("gap")) else (0, 0, 0)
    leak = f" gap is above its ceiling of {CEILING:.0%}: the scenes leak." if low > CEILING else ""
    return [*_words(found), f"Mean top-1 with 95% intervals over seeds: {'; '.join(means)}.{leak}"]


def _receptive_field(found):
    gone = [k for k in SEEN if (each := found.differences.get(f"sees {k}×{k}: wise − gap")) and each.word != BETTER]
    end = f"from {gone[0]}×{gone[0]} patches on" if gone else f"at no size up to {max(SEEN)}×{max(SEEN)} patches"
    return [f"The advantage of wise over gap is gone {end}."]


def _map_size(found):
    tops = {head: [found.top1(f"{head}, {k}×{k} cells") for k in CELLS] for head in ("gap", "avg_fc", "wise")}
    said = [
        f"{head} {', '.join(f'{each.mean():.1%}' if len(each) else 'none' for each in top1)}"
        for head, top1 in tops.items()
    ]
    leads = [found.differences.get(f"{k}×{k} cells: wise − gap") for k in CELLS]
    shown = ", ".join("none" if each is None else points(each.difference, "+") for each in leads)
    cells = ", ".join(f"{k}×{k}" for k in CELLS)
    return [f"wise is ahead of gap by {shown} points on {cells} cells.", f"Mean top-1 on them: {'; '.join(said)}."]


def _scale(found):
    words = {title: each.word for title, each in found.differences.items()}
    scaled, learned = words.get("gap × 0.036 − gap"), words.get("wise − gap")
    if scaled == learned == BETTER and words.get("wise − gap × 0.036") == NO_DIFFERENCE:
        return ["The gain could come from the scale of the first output alone."]
    if scaled == WORSE:
        return ["The scale of the first output alone gives no gain: with it, gap is worse."]
    return ["The gain could not be shown to come from the scale of the first output alone."]


def _few_images(found):
    said = []
    for title in found.question.arms:
        over = [run.history[-1]["top1"] - run.top1 for run in found.seeds(title)]
        mean, low, high = mean_interval(over) if over else (np.nan,) * 3
        said.append(f"{title} {points(mean, '+')} ({points(low)} to {points(high)})")
    return [*_words(found), f"Training minus test top-1, points, with 95% intervals over seeds: {'; '.join(said)}."]


def epochs_to(run, level):
    """The first epoch whose test top-1 reaches ``level``; one more than the run has if none does."""
    return next((row["epoch"] for row in run.history if row["test_top1"] >= level), run.epochs + 1)


def _convergence(found):
    words, said = [], []
    for title, pair in found.question.pairs.items():
        arms = [found.seeds(arm) for arm in pair]
        if any(len(arm) < found.question.seeds for arm in arms):
            words.append(f"{title}: not all of its runs are complete")
            continue
        level = 0.9 * min(np.mean([run.top1 for run in arm]) for arm in arms)
        first, second = ([epochs_to(run, level) for run in arm] for arm in arms)
        mean, low, high = mean_interval(np.subtract(first, second))
        words.append(f"{title}: {'faster' if high < 0 else 'slower' if low > 0 else 'no difference shown'}")
        said.append(
            f"Epochs to {level:.1%}, {title}: {np.mean(first):.2f} and {np.mean(second):.2f}, difference {mean:+.2f} "
            f"(95% interval {low:.2f} to {high:.2f})."
        )
    return [minus(sentence) for sentence in (f"{'; '.join(words)}.", *said)]


def _better_head(found):
    worse = [title for title, each in found.differences.items() if each.word == WORSE]
    slow, larger = [], []
    for task in TASKS:
        ours, papers = found.seeds(f"ours, {task}"), found.seeds(f"wise, {task}")
        larger += [task] if any(run.params > other.params for run in ours for other in papers) else []
        times = [2 * epochs_to(run, other.top1) / other.epochs for run, other in zip(ours, papers, strict=False)]
        if len(times) < found.question.seeds or max(times) > 1:
            slow.append(task)
    holds = len(found.differences) == len(TASKS) * len(RIVALS) and not (worse or slow or larger)
    options = ", ".join(f"{name}={value}" for name, value in OURS["options"].items())
    return [
        f"With {options} wise is {'a' if holds else 'not a'} better head by the protocol: worse in {len(worse)} of "
        f"{len(found.differences)} comparisons; as accurate as wise in half of its epochs, in every seed, on "
        f"{len(TASKS) - len(slow)} of {len(TASKS)} tasks; with more parameters on {len(larger)}.",
        *([f"Worse: {'; '.join(worse)}."] if worse else []),
        *([f"Not as accurate as wise in half of the epochs, in some seed: {'; '.join(slow)}."] if slow else []),
        *([f"Larger: {'; '.join(larger)}."] if larger else []),
    ]


def _weights(found):
    rows, said, spans = _read(found.measured, "weights.json"), [], {"zero_at_once": [], "zero": []}
    for title in found.question.arms:
        own = [rows[run.identity] for run in found.seeds(title) if run.identity in rows]
        if len(own) < found.question.seeds:
            number = f"{len(own)} of {found.question.seeds} seeds"
            raise MissingError(f"{title} has {number}. python scripts/measure.py weights makes them.")
        middle = [evidence.profile(np.array(row["cells"])) for row in own]
        ratio = [means[places <= 0.5].mean() / means[places > 0.5].mean() for places, means in middle]
        for key, each in spans.items():
            each.append(np.mean([row[key] for row in own]))
        values = {
            "centre over border": (ratio, "{:.2f}"),
            "sum a channel": ([np.mean(row["sums"]) for row in own], "{:.2f}"),
            "set to 0 by the first update": ([row["zero_at_once"] for row in own], "{:.1%}"),
            "at 0 in the end": ([row["zero"] for row in own], "{:.1%}"),
        }
        texts = []
        for name, (each, form) in values.items():
            mean, low, high = map(form.format, (_of_shares if "%" in form else mean_interval)(each))
            texts.append(f"{name} {mean} ({low} to {high})")
        said.append(minus(f"{title}: {', '.join(texts)}."))
    at_once, in_the_end = (f"{min(each):.1%} to {max(each):.1%}" for each in spans.values())
    return [
        f"The first update sets {at_once} of the weights to 0; after training {in_the_end} are 0.",
        "Means with 95% intervals over seeds; for averaging the four are 1, 1, 0 and 0.",
        *said,
    ]


def _jumps(found):
    said, words, moving = [], [], {}
    for title, seeds in found.curves().items():
        if len(seeds) < found.question.seeds:
            number = f"{len(seeds)} of {found.question.seeds} seeds"
            raise MissingError(f"{title} has {number}. python scripts/measure.py jumps makes them.")
        moving[title], anew = ([evidence.change(seed[way]) for seed in seeds] for way in ("moving", "anew"))
        means = [f"{100 * np.mean(each):.2f}" for each in (moving[title], anew)]
        word, span = _smaller(np.subtract(anew, moving[title]))
        words.append(f"{word} at {title.removeprefix('learning rate ')}")
        said.append(f"{title.capitalize()}: {means[0]} with moving statistics, {means[1]} with new ones ({span}).")
    large, small = moving
    word, span = _smaller(np.subtract(moving[small], moving[large]))
    rates = [name.removeprefix("learning rate ") for name in (small, large)]
    return [
        f"Changes from epoch to epoch at a learning rate of {rates[0]}, compared with {rates[1]}: {word}. With "
        f"batch-norm statistics taken anew: {'; '.join(words)}.",
        "Mean change of test top-1 from epoch to epoch, in points.",
        *said,
        f"Learning rate {rates[0]} − {rates[1]}: {span}.",
    ]


def _smaller(differences):
    """(Whether differences over seeds are below 0, in a word; their mean and interval in points)."""
    mean, low, high = (100 * value for value in mean_interval(differences))
    word = "smaller" if high < 0 else "larger" if low > 0 else NO_DIFFERENCE
    return word, minus(f"difference {mean:+.2f}, 95% interval {low:.2f} to {high:.2f}")


_SAID = {
    "demos": _demos,
    "heads": _heads,
    "receptive_field": _receptive_field,
    "map_size": _map_size,
    "weights": _weights,
    "scale": _scale,
    "few_images": _few_images,
    "convergence": _convergence,
    "better_head": _better_head,
    "jumps": _jumps,
}
_WITHOUT_COMPARISONS = ("convergence", "weights", "jumps", "better_head")  # their own sentences name those that count
