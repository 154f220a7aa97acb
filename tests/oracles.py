"""Poolings by loops, and gradients by differences and as the backend derives them: nothing shared with the package."""

import fractions
import itertools

import numpy as np
import pytest

from wisesr_helpers._keras import keras

# Sides of exact blocks, written by hand.
SIDES = {
    (7, 2): (2, 3, 2),
    (6, 2): (2, 2, 2),
    (5, 3): (5,),
    (4, 3): (4,),
    (9, 2): (2, 3, 2, 2),
    (12, 2): (2,) * 6,
    (16, 3): (3, 3, 4, 3, 3),
    (17, 3): (3, 4, 3, 4, 3),
}


def exact_sides(length, p):
    """Block ends at the whole numbers nearest to those of equal parts, a half upwards; behind the middle mirrored."""
    count = length // p
    ends = [int(fractions.Fraction(k * length, count) + fractions.Fraction(1, 2)) for k in range(count + 1)]
    ends = [end if 2 * k <= count else length - ends[count - k] for k, end in enumerate(ends)]
    return tuple(np.diff(ends).tolist())


def blocks_of_weights(height, width, p, cover, sharing):
    """Lists of the blocks that share a weight, a block as slices; in the order of the weights."""
    axes = []
    for length in (height, width):
        ends = np.cumsum(
            [0, *((SIDES.get((length, p)) or exact_sides(length, p)) if cover == "exact" else (p,) * (length // p))]
        ).tolist()
        axes.append([slice(*pair) for pair in itertools.pairwise(ends)])
    groups = {}
    for (i, rows), (j, columns) in itertools.product(enumerate(axes[0]), enumerate(axes[1])):
        distance = np.hypot(i - (len(axes[0]) - 1) / 2, j - (len(axes[1]) - 1) / 2).round(6)
        groups.setdefault((i, j) if sharing is None else distance, []).append((rows, columns))
    return [groups[key] for key in sorted(groups)]


def numpy_pooling(x, kernel, bias, groups):
    """Every weight times the mean of all the cells under it, times the number of blocks."""
    out = np.zeros((len(x), x.shape[3])) + bias
    for weight, group in zip(kernel.reshape(len(groups), -1), groups, strict=True):
        cells = np.concatenate([x[:, rows, columns].reshape(len(x), -1, x.shape[3]) for rows, columns in group], axis=1)
        out += weight * len(group) * cells.mean(axis=1)
    return out


def gradients(function, *arrays):
    """Of the sum of squares of ``function``, by central differences in float64."""
    found = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            ends = []
            for step in (1e-3, -1e-3):
                moved = [np.array(each, "float64") for each in arrays]
                moved[k][index] += step
                ends.append((function(*moved) ** 2).sum())
            gradient[index] = (ends[0] - ends[1]) / 2e-3
        found.append(gradient)
    return found


def gradients_of_layer(layer, x):
    """Of the sum of squares of its output, by the input and by every weight, as the backend derives them."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_variables)])
    if keras.backend.backend() == "torch":
        import torch

        x = torch.tensor(x, requires_grad=True)
        weights = [weight.value for weight in layer.trainable_variables]
        return [gradient.numpy() for gradient in torch.autograd.grad((layer(x) ** 2).sum(), [x, *weights])]
    jax = pytest.importorskip("jax")
    weights = [weight.value for weight in layer.trainable_variables]

    def loss(x, weights):
        return (layer.stateless_call(weights, [], x)[0] ** 2).sum()

    of_x, of_weights = jax.grad(loss, argnums=(0, 1))(x, weights)
    return [of_x, *of_weights]
