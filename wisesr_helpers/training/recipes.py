"""Training recipes as frozen dataclasses: the paper's (Tables 4 and 8) and the demo's."""

import dataclasses
import re

from wisesr_helpers.data.augment import Augmentation, paper_augmentation
from wisesr_helpers.published import number, printed

# The paper's runs are of 2021, before TensorFlow 2.9 brought Keras' own augmentation: its authors had the
# package keras_preprocessing 1.1, so this is what "the paper's augmentation" means throughout the project.
PAPER_CONVENTION = "keras_preprocessing_1_1"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Images per step.
        learning_rate: The first one.
        momentum: Of SGD; None: the optimiser is Adam with Keras' defaults.
        decay_rate: Factor on the learning rate at every step of the staircase; 1: it stays.
        decay_epochs: Epochs between two steps of the staircase; in optimiser steps
            ``decay_epochs · ⌊N / batch_size⌋``, as in the authors' code.
        weights: The backbone's initial weights: None (random) or "imagenet".
        augmentation: What is done to every training image anew in every epoch; None: nothing.
        accumulate: In how many parts a batch goes through the model; their gradients are averaged for one step.
            Batch norm sees a part at a time.
        precision: Of computing, one of ``PRECISIONS``; weights and probabilities are always float32.
        jit_compile: Whether XLA compiles the training step; None: with JAX only.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float | None
    decay_rate: float
    decay_epochs: int
    weights: str | None = None
    augmentation: Augmentation | None = None
    accumulate: int = 1
    precision: str = "float32"
    jit_compile: bool | None = None

    @property
    def micro_batch(self):
        """Images that go through the model at once, at most."""
        return -(-self.batch_size // self.accumulate)

    def accumulations(self):
        """Values of ``accumulate`` that split a batch into equal parts."""
        return [parts for parts in range(1, self.batch_size + 1) if self.batch_size % parts == 0]

    def optimizer(self, train_images):
        """A fresh Keras optimiser with its schedule, for a training split of ``train_images`` images."""
        from wisesr_helpers._keras import keras

        schedule = keras.optimizers.schedules.ExponentialDecay(
            self.learning_rate,
            decay_steps=self._decay_steps(train_images),
            decay_rate=self.decay_rate,
            staircase=True,
        )
        accumulated = {"gradient_accumulation_steps": self.accumulate if self.accumulate > 1 else None}
        if self.momentum is None:
            return keras.optimizers.Adam(schedule, **accumulated)
        return keras.optimizers.SGD(schedule, momentum=self.momentum, **accumulated)

    def learning_rate_at(self, part, train_images):
        """The learning rate when ``part`` parts of batches (batches, without accumulation) have been seen."""
        return self.learning_rate * self.decay_rate ** (part // self._decay_steps(train_images))

    def _decay_steps(self, train_images):
        # Keras hands a schedule the parts that were seen, not the optimiser's steps.
        return self.decay_epochs * max(1, train_images // self.batch_size) * self.accumulate


def paper_recipe(table, column):
    """The paper's recipe, read from its table of training parameters.

    Args:
        table: "Table 4" (224×224) or "Table 8" (512×512).
        column: The dataset, as the table's column is labelled.

    Returns:
        Recipe.

    Raises:
        ValueError: There is no such table or column.
    """
    decay = re.fullmatch(r"([\d.]+) every (\d+) epochs", printed(table, "Learning rate decay", column))
    momentum = re.search(r"momentum: ?([\d.]+)", printed(table, "Optimizer", column))
    return Recipe(
        epochs=int(number(table, "Epochs", column)),
        batch_size=int(number(table, "Batch Size", column)),
        learning_rate=number(table, "Initial Learning rate", column),
        momentum=float(momentum[1]),
        decay_rate=float(decay[1]),
        decay_epochs=int(decay[2]),
        weights="imagenet" if printed(table, "Transfer Learning", column).startswith("Yes") else None,
        augmentation=paper_augmentation(PAPER_CONVENTION),
    )


def report_recipe(dataset):
    """The course report's recipe (sections 3.1 and 3.2).

    What it does not state is chosen here: Adam, whose usual rates 0.0002 is one of (it would be a very small one
    for SGD), a learning rate that stays, and random initial weights.

    Args:
        dataset: "MNIST", "CIFAR-10" or "Tiny-ImageNet".

    Returns:
        Recipe.

    Raises:
        ValueError: The report has no such dataset.
    """
    return Recipe(
        epochs=int(number("Section 3.2", dataset, "Epochs", source="report")),
        batch_size=int(number("Section 3.1", "training", "Batch Size", source="report")),
        learning_rate=number("Section 3.1", "training", "Learning rate", source="report"),
        momentum=None,
        decay_rate=1,
        decay_epochs=1,
    )
