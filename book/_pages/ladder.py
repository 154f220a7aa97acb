"""The steps from GAP to Wise-SrNet: plain Keras, compared with the package's heads and drawn."""

import numpy as np

from _pages.markup import words
from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.models.counts import head_params
from wisesr_helpers.models.heads import head_layers

CHANNELS = 32  # of the maps that both are compared on: enough, and quick


def same(plain, head, feature_shape, classes):
    """Prove that plain Keras, ``(features) → class scores``, is a head of the package; RuntimeError if it is not.

    They have as many weights, and with them the same outputs.
    """
    small = (*feature_shape[:2], CHANNELS)
    features = keras.Input(small)
    ours = features
    for layer in head_layers(head, small, classes):
        ours = layer(ours)
    mine, package = keras.Model(features, plain(features)), keras.Model(features, ours)
    package.set_weights(mine.get_weights())
    maps = np.random.default_rng(0).normal(size=(4, *small)).astype("float32")
    apart = float(np.abs(mine(maps) - package(maps)).max())
    if apart > 1e-5:
        raise RuntimeError(f"The page's code and the head '{head}' differ by {apart}.")


def step(plain, head, feature_shape, classes):
    """Draw a head, after proving that plain Keras is the same; the arguments of :func:`same`."""
    same(plain, head, feature_shape, classes)
    plots.show(plots.head_figure([head], feature_shape, classes))
    weights = head_params(head, feature_shape, classes)
    return words(f"The package calls it <code>{head}</code>: {weights:,} parameters.")
