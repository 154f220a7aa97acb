"""Training recipes: the paper's (Tables 3, 4 and 8) and the course report's."""

import dataclasses

from wisesr_helpers._keras import keras
from wisesr_helpers.data.augment import Augmentation

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


# The paper's augmentation and recipes.

TABLE_3 = Augmentation(
    rotation_range=360.0,
    width_shift_range=0.1,
    height_shift_range=0.1,
    zoom_range=0.2,
    channel_shift_range=50.0,
    brightness_range=(0.0, 1.2),
    horizontal_flip=True,
    vertical_flip=True,
    convention=PAPER_CONVENTION,
)

# Table 4, its columns "Sub-ImageNet", "Intel Image Classification" and "MIT Indoors Scenes".
SUB_IMAGENET_224 = Recipe(
    epochs=148, batch_size=70, learning_rate=0.045, momentum=0.9, decay_rate=0.94, decay_epochs=2, augmentation=TABLE_3
)
INTEL_224 = Recipe(
    epochs=220, batch_size=70, learning_rate=0.045, momentum=0.9, decay_rate=0.94, decay_epochs=2, augmentation=TABLE_3
)
MIT_224 = Recipe(
    epochs=200, batch_size=70, learning_rate=0.045, momentum=0.9, decay_rate=0.94, decay_epochs=2, augmentation=TABLE_3
)
# Table 8.
MIT_512 = Recipe(
    epochs=130,
    batch_size=15,
    learning_rate=0.045,
    momentum=0.9,
    decay_rate=0.94,
    decay_epochs=2,
    weights="imagenet",
    augmentation=TABLE_3,
)

# The course report's, sections 3.1 and 3.2. What it does not state is chosen here: Adam, whose usual rates 0.0002 is
# one of (for SGD it would be very small), a learning rate that stays, and random initial weights.
MNIST = Recipe(epochs=6, batch_size=100, learning_rate=0.0002, momentum=None, decay_rate=1, decay_epochs=1)
CIFAR10 = Recipe(epochs=25, batch_size=100, learning_rate=0.0002, momentum=None, decay_rate=1, decay_epochs=1)
TINY_IMAGENET = Recipe(epochs=30, batch_size=100, learning_rate=0.0002, momentum=None, decay_rate=1, decay_epochs=1)
