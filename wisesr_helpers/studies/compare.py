"""Heads compared on one's own images, with the backbone frozen or trained."""

import dataclasses
import functools
import hashlib
import itertools
import math
import pathlib
import shutil
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import DEMO_NOTE, Dataset
from wisesr_helpers.data.prepare import SPLITS
from wisesr_helpers.layers.blocks import is_whole
from wisesr_helpers.metrics import (
    LEVEL,
    images_needed,
    judge,
    p_text,
    paired_comparison,
    paired_difference,
    points,
    top_k_correct,
    wilson_interval,
)
from wisesr_helpers.models.backbones import build_backbone, check_backbone, check_weights, preprocessing_of_weights
from wisesr_helpers.models.counts import count_params
from wisesr_helpers.models.heads import check_head, head_layers
from wisesr_helpers.progress import ProgressBar, ProgressLine, duration, say, tell
from wisesr_helpers.storage import default_cache, whole_path
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.studies.run import count, describe_augmentation, seeded_classifier
from wisesr_helpers.training.loop import compile_model, reseed, train, train_epoch
from wisesr_helpers.training.recipes import Recipe
from wisesr_helpers.training.runs import RunParameters, canonical, shown, unpack
from wisesr_helpers.versions import VERSIONS

# Heads on frozen features: the backbone is run once over all images, and then only heads are trained.
#
# No image is augmented, as its features are computed once. They are kept as float16, half of what the backbone gives:
# 7×7×2,048 values for each image make a gigabyte for 5,000 images as it is.

# Adam, because the features of backbones differ in size and its steps don't; the last epoch's rate is a twentieth.
RECIPE = Recipe(epochs=30, batch_size=32, learning_rate=1e-3, momentum=None, decay_rate=0.9, decay_epochs=1)
BATCH = 32  # images that the backbone sees at once


class FrozenFeatures:
    """The last feature maps of a dataset's images, computed once and memory-mapped afterwards.

    Args:
        dataset: ``Dataset``.
        backbone: Name, see :func:`wisesr_helpers.models.backbones.build_backbone`.
        weights: None (random, of seed 0), "imagenet", or the path of a weights file.
        cache: Folder that they are kept in; None: a per-user cache folder.
        preprocessing: See :func:`wisesr_helpers.models.backbones.preprocessing_mode`; None: for "imagenet" what those
            weights were trained with, else that function's default.

    Attributes:
        backbone: ``keras.Model``, images in, features out.
        train: float16 array (N, h, w, C) of the training images.
        test: The same of the test images.

    Raises:
        ValueError, FileNotFoundError: As ``build_backbone``; or a feature is larger than float16 can hold.
        OSError: The ImageNet weights can't be downloaded; or there is no room for the features.
    """

    def __init__(self, dataset, backbone, weights=None, cache=None, preprocessing=None):
        self.dataset = dataset
        keras.utils.set_random_seed(0)
        if preprocessing is None and weights == "imagenet":
            preprocessing = preprocessing_of_weights(backbone)
        self.backbone = build_backbone(backbone, dataset.train.size, weights, preprocessing)
        self.backbone.trainable = False
        folder = (pathlib.Path(cache).expanduser() if cache else default_cache()) / "features"
        state = _digest(self.backbone)
        paths = {split: folder / f"{backbone}-{_name(getattr(dataset, split), state)}.npy" for split in SPLITS}
        self._make_room(folder, paths)
        self.train, self.test = (self._features(split, path) for split, path in paths.items())

    def _make_room(self, folder, paths):
        """Say how large the features are that are missing, and refuse where there is no room."""
        missing = sum(len(getattr(self.dataset, split)) for split, path in paths.items() if not path.exists())
        shape = self.backbone.output_shape[1:]
        size = 2 * missing * math.prod(shape)
        if not missing:
            print(f"The features are taken from '{shown(folder)}'.")
            return
        sides = "×".join(f"{side:,}" for side in shape)
        print(f"Features of {missing:,} images, {sides} each, as float16: {_bytes(size)}, kept in '{shown(folder)}'.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"'{folder}' can't be made ({error.strerror}): give another folder with cache.") from error
        free = shutil.disk_usage(folder).free
        if size > free:
            raise OSError(
                f"The features take {_bytes(size)}, and '{folder}' has room for {_bytes(free)}: give another folder "
                "with cache, or smaller images."
            )

    def _features(self, split, path):
        images = getattr(self.dataset, split)
        shape = (len(images), *self.backbone.output_shape[1:])
        kept = _read(path, shape)
        if kept is None:
            with whole_path(path) as temporary:
                _compute(self.backbone, images, temporary, shape, f"features of {split}")
            kept = _read(path, shape)
        return kept

    def train_head(self, head, seed, recipe=RECIPE, **options):
        """Train one head on the features.

        Args:
            head: One of ``ws.HEADS``.
            seed: Of its first weights, the order of the images and its dropout.
            recipe: ``Recipe``; default Adam, batches of 32, 30 epochs. Its augmentation, weights and precision are of
                no effect.
            **options: The head's own, see :func:`wisesr_helpers.models.heads.head_layers`.

        Returns:
            (model, correct): the classifier, images in and probabilities out, with the dataset's ``class_names``; and
            which test images it gets right, a bool array (N,).

        Raises:
            ValueError: Options that the head doesn't take; or the training diverged.
        """
        shape, classes = self.backbone.output_shape[1:], len(self.dataset.classes)
        keras.utils.set_random_seed(seed)
        trained = keras.Sequential([keras.Input(shape), *head_layers(head, shape, classes, **options)])
        compile_model(trained, recipe, len(self.train), classes)
        batches = _Batches(self.train, self.dataset.train.labels, recipe.batch_size, seed)
        line = ProgressLine()
        for epoch in range(recipe.epochs):
            line.show(f"{head}, seed {seed}: epoch {epoch + 1} of {recipe.epochs}")
            reseed(trained, seed, epoch)
            *_, diverged = train_epoch(trained, batches, epoch, lambda epoch, step, loss: None)
            if diverged is not None:
                raise ValueError(
                    f"{head}, seed {seed}: the loss ceased to be finite in epoch {epoch + 1}. Give a recipe with a "
                    f"lower learning rate than {recipe.learning_rate:g}."
                )
        starts = range(0, len(self.test), BATCH)
        outputs = [trained.predict_on_batch(self.test[at : at + BATCH].astype(np.float32)) for at in starts]
        probabilities = np.concatenate([keras.ops.convert_to_numpy(output) for output in outputs])
        correct = top_k_correct(probabilities, self.dataset.test.labels)
        line.show(f"{head}, seed {seed}: {correct.sum():,} of {len(correct):,} test images", final=True)
        return self._joined(trained, head, **options), correct

    def _joined(self, trained, head, **options):
        """The backbone with a trained head, as one flat graph like ``ws.build_classifier``'s."""
        x = self.backbone.output
        layers = head_layers(head, x.shape[1:], len(self.dataset.classes), **options)
        for layer, source in zip(layers, trained.layers, strict=True):
            x = layer(x)
            layer.set_weights(source.get_weights())
        model = keras.Model(self.backbone.input, x, name=f"{self.backbone.name}_{head}")
        model.class_names = self.dataset.classes
        return model


class _Batches:
    """Features in batches, as ``train_epoch`` takes them; their order is a function of (seed, epoch)."""

    def __init__(self, features, labels, batch_size, seed):
        self.features = features
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))
        chosen = np.sort(order[index * self.batch_size : (index + 1) * self.batch_size])  # mapped files like order
        return self.features[chosen].astype(np.float32), self.labels[chosen]


def _digest(model):
    """SHA-256 of a model's weights, the kinds of its layers and its preprocessing, hexadecimal."""
    kinds = [(type(layer).__name__, layer.count_params(), getattr(layer, "mode", "")) for layer in model.layers]
    digest = hashlib.sha256(repr(kinds).encode())
    for variable in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).data)
    return digest.hexdigest()


def _name(split, state):
    """What a split's features depend on, in 16 hexadecimal digits."""
    said = {
        "layers": VERSIONS["layers"],
        "images": split.digest,
        "size": list(split.size),
        "state": state,
        "backend": keras.backend.backend(),
    }
    return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]


def _read(path, shape):
    """The features at a path, memory-mapped; None if there are none, or not of this shape."""
    try:
        features = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == shape and features.dtype == np.float16 else None


def _compute(model, split, path, shape, what):
    features = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    bar = ProgressBar(what, len(split), "images")
    for start in range(0, len(split), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(split)))
        maps = keras.ops.convert_to_numpy(model.predict_on_batch(split.rgb(chosen)))
        largest = float(np.abs(maps).max())
        if not largest < float(np.finfo(np.float16).max):
            raise ValueError(
                f"The features of {model.name} reach {largest:.3g}, more than float16 can hold: take another backbone."
            )
        features[chosen] = maps
        bar.show(start + len(chosen))
    features.flush()


def _bytes(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


# Heads on the same test images: accuracies and differences with intervals, in tables and words.

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
        """Sentences about heads that the best one does not significantly beat."""
        differences = "; ".join(f"{best} − {row.other} is {row.compared.in_words()}" for row in pairs.itertuples())
        needed = _rounded(pairs["images_needed"].max())
        yield f"No difference that {self.images:,} test images can show: {differences}."
        if pairs["luck"].any():
            yield "The seeds differ more than the images do, so more seeds would help first."
        yield f"About {needed:,} test images would be needed to show a difference of {100 * POINTS:g} points."
        weights = self.params[self.recommended]
        yield f"Until then take {self.recommended}, which has the fewest weights of them ({weights:,})."


_COLUMNS = ["difference", "low", "high", "p", "p_corrected", "shown", "reason"]


def _accuracy(correct, images, **row):
    low, high = wilson_interval(correct, images)
    return {**row, "top1": correct / images, "correct": correct, "images": images, "low": low, "high": high}


def _rounded(number):
    """A whole number to its first two digits."""
    return int(float(f"{number:.2g}"))


# Heads compared on anybody's images: every head trained alike with several seeds, measured on the same test images.


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is compared and how, all of it checked.

    Attributes:
        heads: Names, at least two.
        backbone: Its name.
        weights: The backbone's: None (random), "imagenet", or a path.
        frozen: Whether only heads are trained, on features that the backbone gives once.
        recipe: ``Recipe`` of every training.
        seeds: How many trainings there are for each head; the seeds are 0, 1, ….
        options: Head → its further options.
    """

    heads: tuple
    backbone: str
    weights: object
    frozen: bool
    recipe: Recipe
    seeds: int
    options: Mapping

    def describe(self):
        """Sentences: what is compared, and how it is trained."""
        recipe = self.recipe
        optimizer = "Adam" if recipe.momentum is None else f"SGD with momentum {recipe.momentum:g}"
        weights = "random weights" if self.weights is None else f"weights: {self.weights}"
        if self.weights == "imagenet" and self.frozen:
            weights += f", with their own preprocessing, {preprocessing_of_weights(self.backbone)}"
        way = (
            f"The backbone {self.backbone} ({weights}) is run once over all images, without augmentation, and only the "
            "heads are trained."
            if self.frozen
            else f"Whole models are trained, each a backbone {self.backbone} ({weights}) with a head. Trainings are "
            "not kept: interrupted, the comparison starts again."
        )
        rate = f"learning rate {recipe.learning_rate:g}"
        rate += f" × {recipe.decay_rate:.3g} every epoch" if recipe.decay_rate != 1 else ""
        augmented = [describe_augmentation(recipe.augmentation)] if recipe.augmentation and not self.frozen else []
        return [
            f"Heads: {', '.join(self.heads)}; {count(self.seeds, 'seed')} each.",
            way,
            f"Each training: {count(recipe.epochs, 'epoch')}, batch {recipe.batch_size}, {optimizer}, {rate}.",
            *augmented,
        ]


def choose(heads, backbone, weights=None, epochs=0, seeds=3, options=None, frozen=None, recipe=None):
    """What :func:`compare_heads` will do with these arguments, checked before anything is loaded.

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
            raise ValueError(f"options are for a head '{head}', which is not compared: {', '.join(heads)}.")
    check_backbone(backbone)
    weights = check_weights(backbone, None if weights == "none" else weights)
    for name, value, least in (("seeds", seeds, 1), ("epochs", epochs, 0)):
        if not is_whole(value, least):
            raise ValueError(f"{name} must be a whole number, {least} or more; received {value!r}.")
    frozen = weights is not None if frozen is None else bool(frozen)
    own = recipe or (RECIPE if frozen else get_study("mit_224").demo.recipe)
    epochs = epochs or own.epochs
    # The learning rate falls as far in fewer or more epochs.
    fitted = dataclasses.replace(
        own, epochs=epochs, decay_rate=own.decay_rate ** (own.epochs / epochs), weights=weights
    )
    return Choice(heads, backbone, weights, frozen, fitted, int(seeds), dict(options))


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
):
    """Train several heads alike on one dataset, and say which is better, if the test images can show it.

    Either the backbone's features are computed once and only heads are trained on them, in seconds (but for "vgg_fc",
    which is as large as a whole network); or whole models are trained. Trainings are not kept: an interrupted
    comparison starts again, from the features that are. The last epoch counts; nothing is chosen on the test images
    but what the advice chooses.

    Args:
        dataset: ``Dataset``, such as ``ws.image_folder`` returns.
        heads: Names of at least two of ``ws.HEADS``, a sequence or a text with commas; default GAP and Wise-SrNet.
        backbone: "small_conv" (default), "small_patch", or a model of ``keras.applications`` by its Keras name.
        weights: The backbone's: None (random, default), "imagenet", or the path of a weights file.
        epochs: 0 (default): the recipe's own; another number stretches its learning rates.
        seeds: Trainings for each head; default 3. One seed says nothing about how much luck there is in a training.
        options: Head → its further options: ``{"wise": {"start": "average"}}``.
        cache: Folder that features are kept in; None: a per-user cache folder.
        frozen: Whether only heads are trained, on frozen features; None (default): where there are weights.
        recipe: ``Recipe``; None: the demo's for whole models, :data:`wisesr_helpers.studies.compare.RECIPE` for heads.

    Returns:
        Comparison: its ``heads``, ``runs`` and ``differences`` are tables, ``recommendation`` is in words, and
        ``models`` has each head's classifier of seed 0.

    Raises:
        TypeError: ``dataset`` is no ``Dataset``.
        ValueError: A value that can't be used, with those that can; or a training diverged.
        FileNotFoundError: The weights file isn't there.
        OSError: The ImageNet weights can't be downloaded, or there is no room for the features.
        MemoryError: The device's memory is too small.
    """
    choice = choose(heads, backbone, weights, epochs, seeds, options, frozen, recipe)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"compare_heads takes a dataset, such as ws.image_folder('photos') returns; received {dataset!r}."
        )
    trainer = _on_features(dataset, choice, cache) if choice.frozen else _whole(dataset, choice)
    correct, models = {}, {}
    for head in choice.heads:
        right = []
        for seed in range(choice.seeds):
            model, of_seed = trainer(head, seed)
            right.append(of_seed)
            models.setdefault(head, model)
        correct[head] = np.array(right)
    comparison = Comparison(
        backbone=choice.backbone,
        correct=correct,
        params={head: count_params(model) for head, model in models.items()},
        models=models,
        labels=np.asarray(dataset.test.labels),
        classes=dataset.classes,
        photographs=dataset.photographs,
    )
    tell(comparison.recommendation)
    return comparison


def _on_features(dataset, choice, cache):
    features = FrozenFeatures(dataset, choice.backbone, choice.weights, cache)

    return lambda head, seed: features.train_head(head, seed, choice.recipe, **choice.options.get(head, {}))


def _whole(dataset, choice):
    def train_model(head, seed):
        parameters = RunParameters("own_images", "own", choice.backbone, head, seed)
        model = seeded_classifier(
            parameters, len(dataset.classes), dataset.train.size, choice.recipe, choice.options.get(head)
        )
        say(f"{head}, seed {seed}:")
        try:
            training = train(model, dataset, choice.recipe, seed, say_speed=_say_speed)
        except MemoryError as error:
            raise MemoryError(
                f"{head} on {choice.backbone} and {choice.recipe.batch_size} images at once don't fit into this "
                "device's memory, and what was trained before is not kept. Take a smaller backbone or smaller images, "
                "or train heads on frozen features, with weights."
            ) from error
        if training.status != "complete":
            where = training.divergence
            raise ValueError(
                f"{head}, seed {seed}, diverged in epoch {where['epoch']}, step {where['step']}, and what was trained "
                "before it is not kept. Take another backbone, or call ws.compare_heads with a recipe of a lower "
                f"learning rate than {choice.recipe.learning_rate:g}."
            )
        model.class_names = dataset.classes
        return model, unpack(training.correct, len(dataset.test))

    return train_model


def _say_speed(seconds, epochs):
    """Print how long a training takes, if it takes a minute or more."""
    if seconds * epochs >= 60:
        say(f"An epoch takes about {duration(seconds)} here, a training {duration(seconds * epochs)}.")
