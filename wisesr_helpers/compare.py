"""Heads compared on anybody's images: every head trained alike with several seeds, measured on the same test images."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from wisesr_helpers import frozen
from wisesr_helpers.advice import Comparison
from wisesr_helpers.announce import describe_augmentation
from wisesr_helpers.backbones import check_backbone, check_weights, preprocessing_of_weights
from wisesr_helpers.counts import count_params
from wisesr_helpers.data.dataset import Dataset
from wisesr_helpers.heads import check_head
from wisesr_helpers.progress import duration
from wisesr_helpers.recipes import Recipe
from wisesr_helpers.running import count, seeded_classifier
from wisesr_helpers.runs import RunParameters, unpack
from wisesr_helpers.studies import get_study
from wisesr_helpers.training import train


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
    """What :func:`compare_heads` will do, checked before anything is loaded.

    Args:
        heads: Names of at least two of ``ws.HEADS``, a sequence or a text with commas.
        backbone: As :func:`compare_heads`.
        weights: As there; "none" stands for None.
        epochs: As there.
        seeds: As there.
        options: As there.
        frozen: As there.
        recipe: As there.

    Returns:
        Choice.

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
            f"options must be a mapping of heads to their options, such as {{'wise': {{'start': 'uniform'}}}}; "
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
    _check_whole("seeds", seeds, 1)
    _check_whole("epochs", epochs, 0)
    frozen = weights is not None if frozen is None else bool(frozen)
    own = recipe or _recipe(frozen)
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
        options: Head → its further options: ``{"wise": {"start": "uniform"}}``.
        cache: Folder that features are kept in; None: a per-user cache folder.
        frozen: Whether only heads are trained, on frozen features; None (default): where there are weights.
        recipe: ``Recipe``; None: the demo's for whole models, :data:`wisesr_helpers.frozen.RECIPE` for heads.

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
    return Comparison(
        backbone=choice.backbone,
        correct=correct,
        params={head: count_params(model) for head, model in models.items()},
        models=models,
        labels=np.asarray(dataset.test.labels),
        classes=dataset.classes,
        photographs=dataset.photographs,
    )


def _recipe(frozen_features):
    return frozen.RECIPE if frozen_features else get_study("mit_224").demo.recipe


def _on_features(dataset, choice, cache):
    features = frozen.FrozenFeatures(dataset, choice.backbone, choice.weights, cache)

    def train_head(head, seed):
        model, correct = features.train_head(head, seed, choice.recipe, **choice.options.get(head, {}))
        print(f"{head}, seed {seed}: {correct.sum():,} of {len(correct):,} test images", flush=True)
        return model, correct

    return train_head


def _whole(dataset, choice):
    def train_model(head, seed):
        parameters = RunParameters("own_images", "own", choice.backbone, head, seed)
        model = seeded_classifier(
            parameters, len(dataset.classes), dataset.train.size, choice.recipe, choice.options.get(head)
        )
        print(f"{head}, seed {seed}:", flush=True)
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
        print(f"An epoch takes about {duration(seconds)} here, a training {duration(seconds * epochs)}.", flush=True)


def _check_whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; received {value!r}.")
