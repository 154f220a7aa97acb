"""Heads compared on the same test images, each trained with several seeds, with the backbone frozen or trained."""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import check_whole, refusing
from wisesr_helpers.data.dataset import Dataset
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
from wisesr_helpers.models.backbones import build_backbone, check_backbone, check_weights, preprocessing_of_weights
from wisesr_helpers.models.counts import count_params
from wisesr_helpers.models.heads import check_head, head_layers
from wisesr_helpers.progress import duration, how_many, say, tell
from wisesr_helpers.storage import folder_lock
from wisesr_helpers.studies.frozen import RECIPE, FrozenFeatures
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.studies.run import describe_augmentation, describe_steps, seeded_classifier
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.loop import train
from wisesr_helpers.training.recipes import Recipe
from wisesr_helpers.training.runs import RunParameters, default_runs_dir, shown, unpack, write_errors
from wisesr_helpers.versions import behaviour

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
    """

    backbone: str
    correct: Mapping
    params: Mapping
    models: Mapping
    labels: np.ndarray
    classes: tuple

    @property
    def images(self):
        """Number of test images."""
        return len(self.labels)

    @property
    def baseline(self):
        """Share of the most frequent class among the test images, which is the top-1 of always answering with it."""
        return float(np.bincount(self.labels).max() / self.images)

    @functools.cached_property
    def runs(self):
        """DataFrame, a row a training: head, seed, params, correct, images, top1, and its Wilson interval low, high."""
        rows = [
            (head, seed, self.params[head], int(right.sum()))
            for head, seeds in self.correct.items()
            for seed, right in enumerate(seeds)
        ]
        return self._with_accuracy(pd.DataFrame(rows, columns=["head", "seed", "params", "correct"]))

    @functools.cached_property
    def heads(self):
        """DataFrame, a row a head, the best first: params, seeds, mean top-1, its Wilson interval, worst and best seed.

        The interval is that of one training with the mean number of correct images, since more seeds add no images.
        """
        columns = {"params": ("params", "first"), "seeds": ("seed", "size"), "correct": ("correct", "mean")}
        columns |= {"worst": ("top1", "min"), "best": ("top1", "max")}
        table = self._with_accuracy(self.runs.groupby("head", sort=False).agg(**columns).reset_index())
        table = table[["head", "params", "seeds", "top1", "low", "high", "worst", "best"]]
        return table.sort_values(["top1", "params"], ascending=[False, True], kind="stable", ignore_index=True)

    def _with_accuracy(self, table):
        """A table with a column "correct" and those that follow from it."""
        ends = [wilson_interval(round(correct), self.images) for correct in table["correct"]]
        low, high = zip(*ends, strict=True)
        return table.assign(images=self.images, top1=table["correct"] / self.images, low=low, high=high)

    @functools.cached_property
    def differences(self):
        """DataFrame, a row a pair of heads, the better one first.

        Columns: better, other; compared, the pair's :class:`wisesr_helpers.metrics.Difference`, and its values, as
        fractions: difference, low, high, p (exact), p_corrected (Holm), shown, reason; images_needed, how many would
        show a difference of 2 points at the strictest of Holm's levels; luck, whether seeds vary more than images.
        """
        pairs = list(itertools.combinations(self.heads["head"], 2))
        judged = judge({pair: paired_comparison(*(self.correct[head] for head in pair)) for pair in pairs})
        columns = ("difference", "low", "high", "p", "p_corrected", "shown", "reason")
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
                    **{name: getattr(compared, name) for name in columns},
                    "images_needed": images_needed(POINTS, discordant, confidence=1 - LEVEL / len(pairs)),
                    "luck": over_seeds > over_images,
                    "compared": compared,
                }
            )
        return pd.DataFrame(rows)

    def tables(self):
        """:attr:`heads` and :attr:`differences` for readers, two DataFrames in percentages, points and words.

        The number of images that would show a difference of 2 points stands only where no difference is shown, and its
        column only if there is such a pair.
        """
        heads = pd.DataFrame(
            {
                "head": row.head,
                "parameters": f"{row.params:,}",
                "top-1, mean of seeds": f"{row.top1:.1%}",
                "95% interval": f"{row.low:.1%} to {row.high:.1%}",
                "seeds": f"{row.seeds}, from {row.worst:.1%} to {row.best:.1%}",
            }
            for row in self.heads.itertuples()
        )
        seeds = self.heads["seeds"].min()
        needed = f"images needed for {100 * POINTS:g} points"
        pairs = pd.DataFrame(
            {
                "better": row.better,
                "other": row.other,
                "difference, points": points(row.difference),
                "95% interval": f"{points(row.low)} to {points(row.high)}",
                "p": p_text(row.p),
                "p, corrected": p_text(row.p_corrected),
                # A page cuts off what is longer; the recommendation has all of the reason.
                "shown": "yes" if row.shown else f"no: {row.reason.partition(':')[0]}".removesuffix(": "),
                needed: "" if row.shown else f"{_rounded(row.images_needed):,}",
                "larger share of luck": "seeds" if row.luck else "images" if seeds > 1 else "not known from one seed",
            }
            for row in self.differences.itertuples()
        )
        return heads, pairs if pairs[needed].any() else pairs.drop(columns=needed)

    @property
    def recommended(self):
        """The smallest head that the best one does not significantly beat."""
        best = self.heads["head"].iloc[0]
        pairs = self.differences[(self.differences["better"] == best) & ~self.differences["shown"]]
        return min([best, *pairs["other"]], key=self.params.get)

    @property
    def recommendation(self):
        """Which head to take, in sentences; or that the test images can't tell."""
        best, seeds = self.heads.iloc[0], int(self.heads["seeds"].iloc[0])
        if best["low"] <= self.baseline:
            return (
                f"Nothing shows that any head learned: the best, {best['head']}, gets {best['top1']:.1%} of "
                f"{self.images:,} test images right (95% interval {best['low']:.1%} to {best['high']:.1%}), and "
                f"always answering '{self.classes[np.bincount(self.labels).argmax()]}' gets {self.baseline:.1%} right. "
                "Train for more epochs, or give more images."
            )
        pairs = self.differences[self.differences["better"] == best["head"]]
        undecided = pairs[~pairs["shown"]]
        taken = [f"Take {best['head']} on {self.backbone}."]
        said = list(self._undecided(best["head"], undecided)) if len(undecided) else taken
        said += [
            f"{best['head']} is better than {row.other} by {row.compared.in_words(sign='')}."
            for row in pairs[pairs["shown"]].itertuples()
        ]
        if seeds == 1:
            said.append("One seed says nothing about the luck of a training: take 3 or more.")
        return " ".join(said)

    def _undecided(self, best, pairs):
        """Sentences about heads that the best one does not significantly beat."""
        differences = "; ".join(f"{best} − {row.other} is {row.compared.in_words()}" for row in pairs.itertuples())
        needed = _rounded(pairs["images_needed"].max())
        yield f"No difference that {self.images:,} test images can show: {differences}."
        if pairs["luck"].any():
            yield "The seeds differ more than the images do, so more seeds would help first."
        yield f"About {needed:,} test images would be needed to show a difference of {100 * POINTS:g} points."
        weights = self.params[self.recommended]
        yield f"Until then take {self.recommended}, which has the fewest weights of them ({weights:,})."


def _rounded(number):
    """A whole number to its first two digits."""
    return int(float(f"{number:.2g}"))


@dataclasses.dataclass(frozen=True)
class Choice:
    """The checked arguments of a comparison."""

    heads: tuple  # names, at least two
    backbone: str
    weights: object  # the backbone's: None (random), "imagenet", or a path
    frozen: bool  # whether only heads are trained, on features that the backbone gives once
    recipe: Recipe  # of every training
    seeds: int  # number of trainings of each head; the seeds are 0, 1, …
    options: Mapping  # head → its further options

    def describe(self):
        """Sentences: what is compared, and how it is trained."""
        recipe = self.recipe
        weights = f"weights: {self.weights}" if self.weights else "random weights"
        if self.weights == "imagenet" and self.frozen:
            weights += f", with their own preprocessing, {preprocessing_of_weights(self.backbone)}"
        way = (
            f"The backbone {self.backbone} ({weights}) is run once over all images, without augmentation, and only the "
            "heads are trained."
            if self.frozen
            else f"Whole models are trained, each a backbone {self.backbone} ({weights}) with a head."
        )
        augmented = [describe_augmentation(recipe.augmentation)] if recipe.augmentation and not self.frozen else []
        return [
            f"Heads: {', '.join(self.heads)}; {how_many(self.seeds, 'seed')} each.",
            way,
            f"Each training: {describe_steps(recipe)}. It is kept: interrupted, the same command goes on from there.",
            *augmented,
        ]


@refusing()
def choose(heads, backbone, weights=None, epochs=0, seeds=3, options=None, frozen=None, recipe=None):
    """Check the arguments of :func:`compare_heads`, whose names and defaults they have, before anything is loaded.

    Returns:
        Choice. The text "none" for ``weights`` stands for None.

    Raises:
        ValueError: A value that can't be used, with those that can.
        FileNotFoundError: The weights file isn't there.
    """
    if not isinstance(heads, str | Sequence) or not all(isinstance(head, str) for head in heads):
        raise ValueError(f"heads must be names, such as 'gap, wise' or ('gap', 'wise'); received {heads!r}.")
    heads = tuple(name.strip() for name in heads.split(",")) if isinstance(heads, str) else tuple(heads)
    options = {} if options is None else options
    if not isinstance(options, Mapping) or not all(isinstance(value, Mapping) for value in options.values()):
        raise ValueError(
            f"options must be a mapping of heads to their options, such as {{'wise': {{'start': 'average'}}}}; "
            f"received {options!r}."
        )
    for head in heads:
        check_head(head, **options.get(head, {}))
    if len(set(heads)) < max(2, len(heads)):
        raise ValueError(f"heads must be at least two different ones; received {', '.join(heads) or 'none'}.")
    for head in options:
        if head not in heads:
            raise ValueError(f"options has a head '{head}' that is not compared. Compared heads: {', '.join(heads)}.")
    check_backbone(backbone)
    weights = check_weights(backbone, None if weights == "none" else weights)
    seeds, epochs = check_whole("seeds", seeds), check_whole("epochs", epochs, least=0)
    frozen = weights is not None if frozen is None else bool(frozen)
    own = recipe or (RECIPE if frozen else get_study("mit_224").demo.recipe)
    epochs = epochs or own.epochs
    # The learning rate falls as far in fewer or more epochs.
    fitted = dataclasses.replace(
        own, epochs=epochs, decay_rate=own.decay_rate ** (own.epochs / epochs), weights=weights
    )
    return Choice(heads, backbone, weights, frozen, fitted, seeds, dict(options))


def compare_heads(
    dataset,
    heads=("gap", "wise"),
    backbone="small_conv",
    weights=None,
    epochs=0,
    seeds=3,
    options=None,
    cache=None,
    frozen=None,
    recipe=None,
    runs_dir="",
):
    """Train several heads alike on one dataset, and say which is better where the test images can show it.

    Either the backbone's features are computed once and only heads are trained on them, each in seconds ("vgg_fc" takes
    longer: it is as large as a whole network); or whole models are trained. Features, trained heads and the whole
    epochs of whole models are kept, each under all that it depends on, so that an interrupted comparison goes on from
    there, and one with more heads or seeds trains only those. Accuracies are those of the last epoch, so nothing but
    the recommended head is chosen on the test images.

    Args:
        dataset: ``Dataset``, such as ``ws.image_folder`` returns.
        heads: Names of at least two of ``ws.HEADS``, a sequence or a text with commas; default GAP and Wise-SrNet.
        backbone: "small_conv" (default), "small_patch", or a model of ``keras.applications`` by its Keras name.
        weights: The backbone's: None (random, default), "imagenet", or the path of a weights file.
        epochs: 0 (default): the recipe's own; with another number the learning rate falls as far.
        seeds: Trainings of each head; default 3. One seed can't show how much a training depends on luck.
        options: Head → its further options: ``{"wise": {"start": "average"}}``.
        cache: Folder to keep features in; None: a per-user cache folder.
        frozen: True: train only heads, on frozen features; None (default): True where there are ``weights``.
        recipe: ``Recipe``; None: the demo's for whole models, :data:`wisesr_helpers.studies.frozen.RECIPE` for heads.
        runs_dir: Where trainings are kept; empty: see :func:`wisesr_helpers.training.runs.default_runs_dir`.

    Returns:
        Comparison: its ``heads``, ``runs`` and ``differences`` are tables, ``recommendation`` is in words, and
        ``models`` has each head's classifier of seed 0.

    Raises:
        TypeError: ``dataset`` is no ``Dataset``.
        ValueError: A value that can't be used, with those that can, or a training diverged.
        FileNotFoundError: The weights file isn't there.
        OSError: The ImageNet weights can't be downloaded, or there is no room for the features or a training.
        Held: Another process is training one of the heads.
        MemoryError: The device's memory is too small.
    """
    choice = choose(heads, backbone, weights, epochs, seeds, options, frozen, recipe)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"compare_heads takes a dataset, such as ws.image_folder('photos') returns; received {dataset!r}."
        )
    runs_dir = pathlib.Path(runs_dir).expanduser() if runs_dir else default_runs_dir()
    with refusing():  # a feature map that is too small for one of the heads, and a folder that can't be
        feature_shape = build_backbone(choice.backbone, dataset.train.size).output_shape[1:]
        for head in choice.heads:
            head_layers(head, feature_shape, len(dataset.classes), **choice.options.get(head, {}))
        with write_errors(runs_dir, "The trainings"):
            runs_dir.mkdir(parents=True, exist_ok=True)
    correct, models = {}, {}
    try:
        features = FrozenFeatures(dataset, choice.backbone, choice.weights, cache) if choice.frozen else None
        for head in choice.heads:
            right = []
            for seed in range(choice.seeds):
                model, of_seed = _train(dataset, features, choice, head, seed, runs_dir)
                right.append(of_seed)
                models.setdefault(head, model)
            correct[head] = np.array(right)
    except KeyboardInterrupt:
        kept = "what the backbone computed is kept, and " if choice.frozen else ""
        say(f"Interrupted: {kept}'{shown(runs_dir)}' keeps what is trained; the same command goes on from there.")
        raise
    comparison = Comparison(
        backbone=choice.backbone,
        correct=correct,
        params={head: count_params(model) for head, model in models.items()},
        models=models,
        labels=np.asarray(dataset.test.labels),
        classes=dataset.classes,
    )
    tell(comparison.recommendation)
    return comparison


def _train(dataset, features, choice, head, seed, runs_dir):
    """(classifier, which test images it gets right): trained whole, or its head alone where there are features.

    A training that was interrupted goes on, and one that was finished is taken from its folder.
    """
    recipe, options = choice.recipe, choice.options.get(head, {})
    settings = _settings(dataset, features, choice, head)
    parameters = RunParameters("own_images", "own", choice.backbone, head, seed, settings)
    folder = runs_dir / parameters.identity
    checkpoints = Checkpoints(folder / "checkpoints", {"settings": settings})
    with contextlib.ExitStack() as stack:
        with write_errors(folder, "The training"):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(folder_lock(folder, "trained"))
        if features is not None:
            return features.train_head(head, seed, recipe, checkpoints, **options)
        return _train_whole(dataset, choice, parameters, checkpoints, options)


def _settings(dataset, features, choice, head):
    """All that a training depends on but backbone, head and seed, as JSON gives it back."""
    weights = choice.weights if features is None else features.state
    if features is None and weights not in (None, "imagenet"):
        weights = hashlib.sha256(pathlib.Path(weights).expanduser().read_bytes()).hexdigest()
    settings = {
        "recipe": dataclasses.asdict(choice.recipe) | {"weights": weights},
        "options": dict(choice.options.get(head, {})),
        "frozen": choice.frozen,
        "data": dataset.fingerprint,
        "size": dataset.train.size,
        "versions": behaviour(dataset.photographs),
        "backend": keras.backend.backend(),  # each draws other random numbers from a seed
    }
    return json.loads(json.dumps(settings))


def _train_whole(dataset, choice, parameters, checkpoints, options):
    head, seed, recipe = parameters.head, parameters.seed, choice.recipe
    model = seeded_classifier(parameters, len(dataset.classes), dataset.train.size, recipe, options)
    model.class_names = dataset.classes
    start = checkpoints.newest()
    done = start.epoch if start else 0
    trainings = len(choice.heads) * choice.seeds if seed == 0 else 0  # said once for each head
    say_speed = functools.partial(_say_speed, trainings, recipe.epochs)
    if done == recipe.epochs:
        say(f"{head}, seed {seed}: trained before, taken from '{shown(checkpoints.folder.parent)}'.")
    else:
        say(f"{head}, seed {seed}, goes on after epoch {done}:" if done else f"{head}, seed {seed}:")
    try:
        training = train(model, dataset, recipe, seed, checkpoints, start, say_speed=say_speed)
    except MemoryError as error:
        raise MemoryError(
            f"{head} on {choice.backbone} and {recipe.batch_size} images at once don't fit into this device's memory. "
            "Take a smaller backbone or smaller images, or train heads on frozen features, with weights."
        ) from error
    if training.status != "complete":
        where = training.divergence
        raise ValueError(
            f"{head}, seed {seed}, diverged in epoch {where['epoch']}, step {where['step']}. Take another backbone, or "
            f"call ws.compare_heads with a recipe of a lower learning rate than {recipe.learning_rate:g}."
        )
    checkpoints.prune({recipe.epochs})
    return model, unpack(training.correct, len(dataset.test))


def _say_speed(trainings, epochs, seconds, _):
    """Print how long an epoch, a training and all of them take, if that is a minute or more."""
    whole = seconds * epochs
    if whole * trainings >= 60:
        say(
            f"An epoch takes about {duration(seconds)} here, a training {duration(whole)}, all {trainings} of them "
            f"{duration(whole * trainings)}."
        )
