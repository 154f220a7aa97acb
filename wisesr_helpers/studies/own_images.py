"""Advice about heads for images of one's own, and images that stand in for them."""

import atexit
import dataclasses
import functools
import itertools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping

import numpy as np
import pandas as pd

from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import MIN_IMAGE_SIZE, class_pairs, draw_scenes
from wisesr_helpers.data.folders import SCENES
from wisesr_helpers.metrics import (
    LEVEL,
    images_needed,
    judge,
    p_text,
    paired_comparison,
    paired_difference,
    points,
    wilson_interval,
)
from wisesr_helpers.plots.runs import CHANCE, colour

# A folder of embedded scenes as image files, where a reader has no images of their own at hand: no photographs.

CLASSES = 2
# Scale → (training, test, new) scenes.
COUNTS = {"demo": (800, 300, 4), "smoke": (24, 16, 4)}


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """What a comparison is made on.

    Attributes:
        folder: Folder or CSV of images by class.
        new: Images to predict: a path; None: none were given.
        cache: Where what is computed of them is kept; None: the per-user cache folder.
    """

    folder: object
    new: object
    cache: object


def own_or_stand_in(folder="", new_images="", image_size=224, scale="auto"):
    """The reader's own images, or a stand-in of embedded scenes in a temporary folder.

    Args:
        folder: Of images by class, as :func:`wisesr_helpers.data.folders.check_folder` takes it; empty: the stand-in.
        new_images: Path of images to predict.
        image_size: Side of the scenes in pixels, at least 192; default 224.
        scale: How many scenes the stand-in has: "demo", "smoke", or "auto" (``WISESR_SCALE``, else "demo").

    Returns:
        Images. The stand-in goes with this process.

    Raises:
        FileNotFoundError: There is nothing at ``folder`` or at ``new_images``.
        ValueError: An unknown scale, or too small an image size for scenes.
    """
    asked = os.environ.get("WISESR_SCALE", "demo") if scale == "auto" else scale
    if asked not in ("auto", *COUNTS):
        raise ValueError(f"Unknown scale '{asked}'. Valid here: auto, {', '.join(COUNTS)}.")
    for path in filter(None, (folder, new_images)):
        if not pathlib.Path(path).expanduser().exists():
            raise FileNotFoundError(f"There is no folder or file '{path}'. Give another path, or leave it empty.")
    if folder:
        return Images(pathlib.Path(folder).expanduser(), new_images or None, None)
    if image_size < MIN_IMAGE_SIZE:
        raise ValueError(f"The stand-in needs image_size={MIN_IMAGE_SIZE} or more; received {image_size}.")
    made = _made(image_size, *COUNTS["demo" if asked == "auto" else asked])
    return Images(made / "embedded_scenes", new_images or made / "new", made / "cache")


def default_backbone(folder=""):
    """The backbone of a comparison that names none.

    Args:
        folder: The reader's own images; empty: the stand-in.

    Returns:
        "small_conv" for images; "small_patch" for the stand-in, whose point is what a head does by itself.
    """
    return "small_conv" if folder else "small_patch"


def write_scenes(folder, image_size, train, test, new=0, seed=0):
    """Write embedded scenes as PNG files: "embedded_scenes/train/<class>", ".../test/<class>", and "new".

    Args:
        folder: Where; made if missing.
        image_size: Side in pixels, at least 192.
        train: Number of training scenes; the two classes take turns.
        test: Number of test scenes, from handwriting that no training scene holds.
        new: Number of scenes like the test ones, in none of the splits; their names say their class.
        seed: Every scene is a function of (seed, split, index).
    """
    from PIL import Image

    folder, pairs = pathlib.Path(folder), class_pairs(CLASSES)
    names = [f"{a} inside, {b} outside" for a, b in pairs]
    drawn = {"train": draw_scenes(pairs, image_size, "train", train, seed)}
    drawn["test"] = draw_scenes(pairs, image_size, "test", test + new, seed)
    for split, scenes in drawn.items():
        for index, scene in enumerate(scenes):
            name = names[index % CLASSES]
            path = folder / "embedded_scenes" / split / name / f"{index:04d}.png"
            if split == "test" and index >= test:
                path = folder / "new" / f"{name} {index - test}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene).save(path, compress_level=1)
    (folder / "embedded_scenes" / SCENES).touch()


@functools.cache
def _made(*counts):
    """A temporary folder with scenes; removed when the process ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wisesr-own-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_scenes(folder, *counts)
    return folder


# Heads on the same test images: accuracies and differences with intervals, in tables, figures and words.

POINTS = 0.02  # a difference that the sentence about the number of images asks for


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Heads on one backbone, trained alike and measured on the same test images.

    Attributes:
        backbone: Its name.
        correct: Head → bool array (seeds, N): which test images each training got right.
        params: Head → weights of the whole model.
        models: Head → its classifier of seed 0, with ``class_names``.
        labels: Integer array (N,), of the test images.
        classes: Class names.
        photographs: False for the embedded scenes.
    """

    backbone: str
    correct: Mapping
    params: Mapping
    models: Mapping
    labels: np.ndarray
    classes: tuple
    photographs: bool

    @property
    def images(self):
        """Number of test images."""
        return len(self.labels)

    @property
    def note(self):
        """What figures have to say about the images; empty for photographs."""
        return "" if self.photographs else DEMO_NOTE

    @property
    def baseline(self):
        """Share of the most frequent class among the test images: top-1 of who always answers with it."""
        return float(np.bincount(self.labels).max() / self.images)

    @functools.cached_property
    def runs(self):
        """DataFrame, a row a training: head, seed, params, top1, correct, images, and top-1's Wilson interval."""
        rows = [
            _accuracy(int(right.sum()), self.images, head=head, seed=seed, params=self.params[head])
            for head, seeds in self.correct.items()
            for seed, right in enumerate(seeds)
        ]
        return pd.DataFrame(rows)

    @functools.cached_property
    def heads(self):
        """DataFrame, a row a head, the best first: params, seeds, mean top-1, its Wilson interval, worst and best seed.

        The interval is that of one training with the mean number of correct images: more seeds are not more images.
        """
        rows = []
        for head, right in self.correct.items():
            by_seed = right.mean(axis=1)
            row = _accuracy(round(right.sum() / len(right)), self.images, head=head, params=self.params[head])
            rows.append(
                {**row, "top1": right.mean(), "seeds": len(right), "worst": by_seed.min(), "best": by_seed.max()}
            )
        columns = ["head", "params", "seeds", "top1", "low", "high", "worst", "best"]
        table = pd.DataFrame(rows)[columns]
        return table.sort_values(["top1", "params"], ascending=[False, True], kind="stable", ignore_index=True)

    @functools.cached_property
    def differences(self):
        """DataFrame, a row a pair of heads, the better one first.

        Columns: better, other; difference of their mean top-1, a fraction, with low and high, its 95 % interval; p
        (exact) and p_corrected (Holm); shown, whether this is a difference, and reason, see
        :class:`wisesr_helpers.metrics.Difference`, which "compared" holds; images_needed, to show one of 2 points at
        the strictest of Holm's levels; luck, whether the seeds differ more than the images do.
        """
        pairs = list(itertools.combinations(self.heads["head"], 2))
        judged = judge({pair: paired_comparison(*(self.correct[head] for head in pair)) for pair in pairs})
        rows = []
        for (better, other), compared in judged.items():
            first, second = self.correct[better], self.correct[other]
            _, over_images, over_seeds = paired_difference(first, second)
            # An image counts by its squared difference, 1 or 0 with one seed; never 0 in all, as in the interval.
            ahead = first.mean(axis=0) - second.mean(axis=0)
            discordant = ((ahead**2).sum() + 1) / (self.images + 2)
            rows.append(
                {
                    "better": better,
                    "other": other,
                    **{name: getattr(compared, name) for name in _COLUMNS},
                    "images_needed": images_needed(POINTS, discordant, confidence=1 - LEVEL / len(pairs)),
                    "luck": over_seeds > over_images,
                    "compared": compared,
                }
            )
        return pd.DataFrame(rows)

    def tables(self):
        """:attr:`heads` and :attr:`differences` for readers: percentages, points, and words.

        Returns:
            (heads, differences), DataFrames. The number of images that a difference of 2 points takes stands only
            where no difference is shown.
        """
        heads = pd.DataFrame(
            {
                "head": row.head,
                "parameters": f"{row.params:,}",
                "top-1, mean of seeds": f"{row.top1:.1%}",
                "95 % interval": f"{row.low:.1%} to {row.high:.1%}",
                "seeds": f"{row.seeds}, from {row.worst:.1%} to {row.best:.1%}",
            }
            for row in self.heads.itertuples()
        )
        seeds = self.heads["seeds"].min()
        pairs = pd.DataFrame(
            {
                "better": row.better,
                "other": row.other,
                "difference, points": points(row.difference),
                "95 % interval": f"{points(row.low)} to {points(row.high)}",
                "p": p_text(row.p),
                "p, corrected": p_text(row.p_corrected),
                "shown": "yes" if row.shown else f"no: {row.reason}" if row.reason else "no",
                f"images needed for {100 * POINTS:g} points": "" if row.shown else f"{_rounded(row.images_needed):,}",
                "larger share of luck": "seeds" if row.luck else "images" if seeds > 1 else "not known from one seed",
            }
            for row in self.differences.itertuples()
        )
        return heads, pairs

    @property
    def recommended(self):
        """The head to take: that of the fewest weights of the best one and those it is not shown to be better than."""
        best = self.heads["head"].iloc[0]
        pairs = self.differences[(self.differences["better"] == best) & ~self.differences["shown"]]
        return min([best, *pairs["other"]], key=self.params.get)

    @property
    def recommendation(self):
        """Which head to take, in sentences; where the test images can't tell, that they can't."""
        best, seeds = self.heads.iloc[0], int(self.heads["seeds"].iloc[0])
        if best["low"] <= self.baseline:
            return (
                f"Nothing shows that any head learned: the best, {best['head']}, has {best['top1']:.1%} of "
                f"{self.images:,} test images right (95 % interval {best['low']:.1%} to {best['high']:.1%}), and "
                f"always answering '{self.classes[np.bincount(self.labels).argmax()]}' has {self.baseline:.1%}. "
                "Train for more epochs, or give more images."
            )
        pairs = self.differences[self.differences["better"] == best["head"]]
        undecided = pairs[~pairs["shown"]]
        taken = f"Take {best['head']} on {self.backbone}."
        said = list(self._undecided(best["head"], undecided)) if len(undecided) else [taken]
        said += [
            f"{best['head']} is better than {row.other} by {row.compared.in_words(sign='')}."
            for row in pairs[pairs["shown"]].itertuples()
        ]
        if seeds == 1:
            said.append("One seed says nothing about the luck of a training: take 3 or more.")
        return " ".join(said)

    def _undecided(self, best, pairs):
        """Sentences about heads that the best one is not shown to be better than."""
        differences = "; ".join(f"{best} − {row.other} is {row.compared.in_words()}" for row in pairs.itertuples())
        needed = _rounded(pairs["images_needed"].max())
        yield f"No difference that {self.images:,} test images can show: {differences}."
        if pairs["luck"].any():
            yield "The seeds differ more than the images do, so more seeds would help first."
        yield f"About {needed:,} test images would be needed to show a difference of {100 * POINTS:g} points."
        weights = self.params[self.recommended]
        yield f"Until then take {self.recommended}, which has the fewest weights of them ({weights:,})."


def accuracies(comparison, ax):
    """Top-1 of every head: a dot for each seed, and the 95 % interval of their mean; a line at the most frequent class.

    Args:
        comparison: ``Comparison``.
        ax: Axes to draw on.
    """
    rows = list(comparison.heads.iloc[::-1].itertuples())
    for y, row in enumerate(rows):
        ax.plot([row.low, row.high], [y, y], color=colour(row.head), linewidth=2, alpha=0.6)
        ax.plot(row.top1, y, "|", color=colour(row.head), markersize=14, markeredgewidth=2)
        by_seed = comparison.correct[row.head].mean(axis=1)
        ax.plot(by_seed, np.full(len(by_seed), y + 0.18), "o", color=colour(row.head), markersize=4)
    ax.axvline(comparison.baseline, **CHANCE)
    place = {"transform": ax.get_xaxis_transform(), "fontsize": 8, "color": CHANCE["color"], "va": "bottom"}
    ax.text(comparison.baseline, 0, " most frequent class", **place)
    ax.set_yticks(range(len(rows)), [row.head for row in rows])
    ax.set(xlim=(0, 1.02), ylim=(-0.5, len(rows) - 0.4), xlabel="test top-1: mean and seeds")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.grid(axis="x", alpha=0.3)
    return ax


def differences(comparison, ax):
    """The differences between heads in points, with their 95 % intervals; filled dots where one is shown.

    Args:
        comparison: ``Comparison``.
        ax: Axes to draw on.
    """
    rows = list(comparison.differences.iloc[::-1].itertuples())
    for y, row in enumerate(rows):
        ink = colour(row.better) if row.shown else "0.45"
        ax.plot([100 * row.low, 100 * row.high], [y, y], color=ink, linewidth=2, alpha=0.6)
        ax.plot(100 * row.difference, y, "o", color=ink, markerfacecolor=ink if row.shown else "white", markersize=6)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_yticks(range(len(rows)), [f"{row.better} − {row.other}" for row in rows])
    ax.set(ylim=(-0.5, len(rows) - 0.5), xlabel="difference of test top-1, points")
    ax.grid(axis="x", alpha=0.3)
    return ax


def describe(comparison):
    """:func:`accuracies` and :func:`differences` in words, from the same data."""
    heads = "; ".join(
        f"{row.head} {row.top1:.1%} ({row.low:.1%} to {row.high:.1%}; seeds from {row.worst:.1%} to {row.best:.1%})"
        for row in comparison.heads.itertuples()
    )
    pairs = "; ".join(
        f"{row.better} − {row.other} {row.compared.in_words()}" for row in comparison.differences.itertuples()
    )
    return (
        f"Test top-1 of heads on {comparison.backbone} with 95 % intervals: {heads}. The most frequent class is "
        f"{comparison.baseline:.1%}. Differences: {pairs}."
    )


_COLUMNS = ["difference", "low", "high", "p", "p_corrected", "shown", "reason"]


def _accuracy(correct, images, **row):
    low, high = wilson_interval(correct, images)
    return {**row, "top1": correct / images, "correct": correct, "images": images, "low": low, "high": high}


def _rounded(number):
    """A whole number to its first two digits."""
    return int(float(f"{number:.2g}"))


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
