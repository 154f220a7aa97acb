"""Two heads on the same test images: which of them gets which image right, and which images are shown of them."""

import functools

import numpy as np

from wisesr_helpers import attention
from wisesr_helpers._keras import keras
from wisesr_helpers.heads import REGISTRY, get_head, head_layers
from wisesr_helpers.layers import is_whole
from wisesr_helpers.plots import figure
from wisesr_helpers.rows import Rows
from wisesr_helpers.runs import was_right

WITHOUT_WEIGHTS = ("gwap", "avg_fc", "flatten_fc", "vgg_fc")  # theirs depend on the image or on the class


class Pair:
    """Two runs of one study that differ in their head alone, image by image.

    Everything typed is checked here, before anything is loaded.

    Args:
        study: One of ``ws.STUDIES``.
        heads: Two names of ``ws.HEADS``, with a comma between them: see :func:`two_heads`.
        images: How many images that both get right are shown; default 3.
        **common: Further keywords of ``ws.Experiment`` for both runs.

    Raises:
        ValueError: A value that can't be used, with those that can.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
        OSError: The runs folder can't be written.
    """

    def __init__(self, study, heads="gap, wise", images=3, **common):
        self.heads = two_heads(heads)
        if not is_whole(images):
            raise ValueError(f"images must be a whole number of at least 1; received {images!r}.")
        self.images = images
        self.rows = Rows(study, {head: {"head": head} for head in self.heads}, **common)

    @property
    def note(self):
        """What figures of these runs have to say about their data."""
        return self.rows.note

    def announce(self, notebook=""):
        """Print what was chosen, why, and which runs there are: see :meth:`wisesr_helpers.rows.Rows.announce`."""
        self.rows.announce(notebook)

    @property
    def dataset(self):
        """The runs' dataset."""
        return self.rows.first.dataset

    @functools.cached_property
    def runs(self):
        """DataFrame as ``ws.Rows.run`` returns it; a run that is not finished is trained when this is first asked for.

        Raises:
            Held, ValueError, OSError, MemoryError: As :func:`wisesr_helpers.running.run`.
        """
        return self.rows.run()

    @functools.cached_property
    def right(self):
        """Head → bool array (N,): which test images its run classifies correctly after the last whole epoch."""
        measured = {record["outcome"]["dataset"]["fingerprint"] for record in self.runs["record"]}
        if measured != {self.dataset.fingerprint}:
            other = "different test images" if len(measured) > 1 else "other test images than are here now"
            raise ValueError(
                f"The runs of {' and '.join(self.heads)} were measured on {other}. Train them again with "
                "overwrite=True."
            )
        return {head: was_right(record) for head, record in zip(self.heads, self.runs["record"], strict=True)}

    @functools.cached_property
    def models(self):
        """Head → its trained classifier after the last epoch."""
        return {head: experiment.load() for head, experiment in self.rows.experiments.items()}

    @functools.cached_property
    def untrained(self):
        """Head → a classifier of the same head on the same feature map, with weights as a training begins with them.

        Without the backbone: what the positions weigh doesn't depend on it.
        """
        keras.utils.set_random_seed(self.rows.first.parameters.seed)
        experiments = self.rows.experiments
        return {head: _head_alone(head, model, experiments[head].head_options) for head, model in self.models.items()}

    def both_right(self):
        """Indices of ``images`` test images that both heads get right: see :func:`choose`."""
        first, second = self.right.values()
        return choose(first & second, self.dataset.test.labels, self.images, f"{' and '.join(self.heads)} get right")

    def one_right(self):
        """Indices of at most two test images: for each of the heads, the first that it alone gets right."""
        first, second = self.right.values()
        chosen = []
        for head, mask in zip(self.heads, (first & ~second, second & ~first), strict=True):
            chosen += choose(mask, self.dataset.test.labels, 1, f"only {head} gets right")
        return chosen

    def class_figure(self, index):
        """Grad-CAM, HiResCAM and contributions of a test image for its own class, a row a head.

        Returns:
            (figure, description).
        """
        image, label = self._image(index)
        return self._figure(index, attention.class_maps(self.models, image, label), "")

    def rival_figure(self, index):
        """Contributions of a test image to its own class, to its rival, and their difference, a row a head.

        The rival is the class that the head with the smallest lead has next to the image's own, or before it.

        Returns:
            (figure, description).
        """
        image, label = self._image(index)
        scores = np.stack([attention.logits(model, image[None])[0] for model in self.models.values()])
        leads = scores[:, [label]] - np.delete(scores, label, axis=1)
        rival = np.delete(np.arange(scores.shape[1]), label)[leads.min(axis=0).argmin()]
        rivalry = f"; the other: {self.dataset.classes[rival]}"
        return self._figure(index, attention.rival_maps(self.models, image, label, rival), rivalry)

    def _image(self, index):
        return self.dataset.test.rgb([index])[0], int(self.dataset.test.labels[index])

    def _figure(self, index, maps, more):
        image, label = self._image(index)
        drawn, axes = figure(9, 4.6, columns=4, rows=2)
        attention.grid(image, maps, axes)
        guesses = {head: int(attention.logits(model, image[None])[0].argmax()) for head, model in self.models.items()}
        said = ", ".join(f"{head} says {self.dataset.classes[guess]}" for head, guess in guesses.items())
        title = f"test image {index}, class: {self.dataset.classes[label]}{more}"
        drawn.suptitle("\n".join(filter(None, (title, said, self.note))), fontsize=9)
        return drawn, f"{title[0].upper()}{title[1:]}; {said}. {attention.describe_grid(maps)}"


def _head_alone(head, model, options):
    features = keras.Input(model.get_layer("features").output.shape[1:])
    x = keras.layers.Identity(name="features")(features)
    for layer in head_layers(head, features.shape[1:], model.output_shape[-1], **options):
        x = layer(x)
    return keras.Model(features, x, name=head)


def two_heads(heads):
    """Two names of heads out of a text.

    Args:
        heads: Two different heads with a comma between them, each with weights of its positions that hold for every
            image and class: all of ``ws.HEADS`` but "gwap", "avg_fc", "flatten_fc" and "vgg_fc".

    Returns:
        List of two names.

    Raises:
        ValueError: Another number of heads, one twice, one that is unknown or has no such weights.
    """
    names = [name.strip() for name in heads.split(",")] if isinstance(heads, str) else []
    for name in filter(None, names):
        if get_head(name).name in WITHOUT_WEIGHTS:
            valid = ", ".join(other for other in REGISTRY if other not in WITHOUT_WEIGHTS)
            raise ValueError(
                f"Head '{name}' has no weights of positions that hold for every image and class. Valid heads: {valid}."
            )
    if len(names) != 2 or len(set(names)) != 2 or not all(names):
        raise ValueError(
            f"heads must be two different heads with a comma between them, such as 'gap, wise'; received {heads!r}."
        )
    return names


def choose(mask, labels, count, what):
    """Images of which something is true: the first of every class in turn, then the second ones, and so on.

    Fewer than ``count`` are said in a printed sentence.

    Args:
        mask: Bool array (N,).
        labels: Integer array (N,), each image's class.
        count: How many are wanted.
        what: What is true of them, in words: "only wise gets right".

    Returns:
        List of at most ``count`` indices.
    """
    found, labels = np.flatnonzero(mask), np.asarray(labels)
    turns = np.zeros(len(found), int)
    for k, index in enumerate(found):
        turns[k] = (labels[found[:k]] == labels[index]).sum()
    if len(found) < count:
        print(
            f"Of the {len(labels):,} test images, {len(found) or 'none'} {'is' if len(found) < 2 else 'are'} such "
            f"that {what}; {count} {'was' if count == 1 else 'were'} asked for."
        )
    return [int(index) for index in found[np.lexsort((labels[found], turns))][:count]]


def counts(right):
    """How many test images both heads, either or neither gets right.

    Args:
        right: Head → bool array (N,), of two heads.

    Returns:
        DataFrame, the first head's rows "right" and "wrong", the second's columns.
    """
    import pandas as pd

    (first, mine), (second, other) = right.items()
    sides = ((True, "right"), (False, "wrong"))
    return pd.DataFrame(
        {
            f"{second} {word}": [int(((other == side) & (mine == own)).sum()) for own, _ in sides]
            for side, word in sides
        },
        index=[f"{first} {word}" for _, word in sides],
    )


def describe_selection(right):
    """What showing only images that both heads get right leaves out, in words."""
    (first, mine), (second, other) = right.items()
    images, both = len(mine), int((mine & other).sum())
    kept = f"The images that both {first} and {second} get right are {both:,} of {images:,} ({both / images:.0%})."
    only_first, only_second, neither = (int(mask.sum()) for mask in (mine & ~other, other & ~mine, ~mine & ~other))
    return (
        f"{kept} Left out are {only_first:,} that only {first} gets right, {only_second:,} that only {second} gets "
        f"right, and {neither:,} that neither does."
    )
