"""Gradients by differences and as the backend derives them, for the tests of layers and heads."""

import numpy as np
import pytest

from wisesr_helpers._keras import keras


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
    jax = pytest.importorskip("jax")
    weights = [weight.value for weight in layer.trainable_variables]

    def loss(x, weights):
        return (layer.stateless_call(weights, [], x)[0] ** 2).sum()

    of_x, of_weights = jax.grad(loss, argnums=(0, 1))(x, weights)
    return [of_x, *of_weights]
