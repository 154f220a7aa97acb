"""Two classes that anything can tell apart, and a recipe that does so in a second."""

import numpy as np

from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.training.recipes import Recipe

RECIPE = Recipe(epochs=6, batch_size=8, learning_rate=0.02, momentum=None, decay_rate=1, decay_epochs=1)


def brightness(train=40, test=19, seed=0):
    """A dataset of dark and bright images of 64×64 pixels."""
    rng = np.random.default_rng(seed)

    def split(count):
        labels = np.arange(count) % 2
        images = (labels[:, None, None] * 120 + rng.integers(0, 100, (count, 64, 64))).astype("uint8")
        return Split(images, labels, f"{seed} {count}")

    return Dataset("brightness", ("dark", "bright"), split(train), split(test), photographs=False)
