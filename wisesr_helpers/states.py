"""The state of a compiled model as arrays and back: all that training changes in it, and nothing random."""

import numpy as np

from wisesr_helpers._keras import keras


def reseed(model, seed, epoch):
    """Seed every layer that draws random numbers, as a function of (seed, epoch, the layer's place)."""
    for place, layer in enumerate(model.layers):
        for generator in vars(layer).values():
            if isinstance(generator, keras.random.SeedGenerator):
                drawn = np.random.default_rng([seed, epoch, place]).integers(0, 2**31, generator.state.shape)
                generator.state.assign(drawn.astype(keras.backend.standardize_dtype(generator.state.dtype)))


def named_arrays(model):
    """(names, NumPy arrays) of a compiled model's variables, then of its optimiser's."""
    variables = _variables(model)
    return [variable.path for variable in variables], [keras.ops.convert_to_numpy(each) for each in variables]


def give_state(model, arrays):
    """Give a compiled model and its optimiser the values that :func:`named_arrays` took.

    Raises:
        ValueError: They are of another model.
    """
    for variable, array in zip(_variables(model), arrays, strict=True):
        variable.assign(array)


def give_weights(model, arrays):
    """Give a model its own part of what :func:`named_arrays` took: the first arrays, not its optimiser's."""
    for variable, array in zip(model.variables, arrays, strict=False):
        variable.assign(array)


def is_finite(model):
    """Whether all weights of a model are finite."""
    return all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in model.weights)


def _variables(model):
    return [*model.variables, *model.optimizer.variables]
