"""Section 3.4: reductions of the feature map against TensorFlow's resize and Keras' pooling, and heads with them."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.checks import INTERPOLATIONS, check_reduction
from wisesr_helpers.layers.reductions import (
    FixedReduction2D,
    cell_weights,
    reduction_layer,
)
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots.heads import head_steps

CHANNELS = 4


def maps(height, width, count=4, seed=0):
    return np.random.default_rng(seed).normal(size=(count, height, width, CHANNELS)).astype("float32")


def classifier(side, **options):
    """Feature map in, logits out, weights random and positive, so that nothing is cut off."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((side, side, CHANNELS))
    for layer in head_layers("wise", x.shape[1:], 3, classifier_activation=None, **options):
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(1)
    model.set_weights([np.abs(rng.normal(size=weight.shape)) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize(("height", "width", "pool_size"), [(7, 7, 2), (16, 16, 3), (9, 12, 4), (5, 8, 1)])
@pytest.mark.parametrize("reduction", INTERPOLATIONS)
def test_interpolations_are_tensorflows(reduction, height, width, pool_size):
    tf = pytest.importorskip("tensorflow", reason="the oracle is tf.image.resize")
    x = maps(height, width)
    expected = np.asarray(tf.image.resize(x, (height // pool_size, width // pool_size), method=reduction))
    # TensorFlow's cubic kernel is a table of 1024 steps a cell.
    tolerance = 3e-3 if reduction == "bicubic" else 1e-5
    own = keras.ops.convert_to_numpy(FixedReduction2D(pool_size, reduction)(x))
    np.testing.assert_allclose(own, expected, rtol=0, atol=tolerance)
    if pool_size > 1:
        averaged = keras.ops.convert_to_numpy(keras.ops.average_pool(x, pool_size))
        assert np.abs(averaged - expected).max() > 10 * tolerance


@pytest.mark.parametrize(
    ("side", "pool_size", "strides", "around"),  # cells before and after
    [
        (7, 2, 0, (0, 1)),
        (16, 3, 0, (1, 1)),
        (8, 2, 0, (1, 1)),
        (15, 3, 0, (1, 2)),
        (8, 4, 0, (2, 2)),
        (7, 2, 1, (1, 1)),
        (16, 3, 2, (0, 1)),
    ],
)
@pytest.mark.parametrize("padding", ["none", "zeros", "ones"])
def test_averages_are_those_of_a_padded_map(padding, side, pool_size, strides, around):
    x = maps(side, side)
    own = keras.ops.convert_to_numpy(FixedReduction2D(pool_size, padding=padding, strides=strides)(x))
    average = keras.layers.AveragePooling2D(pool_size, strides or pool_size)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)), constant_values=padding == "ones")
    plain = keras.ops.convert_to_numpy(average(x))
    expected = plain if padding == "none" else keras.ops.convert_to_numpy(average(padded))
    np.testing.assert_allclose(own, expected, rtol=0, atol=1e-6)
    if padding != "none":
        assert own.shape[1] > plain.shape[1]
        other = np.pad(x, ((0, 0), around, around, (0, 0)), constant_values=padding != "ones")
        assert np.abs(own - keras.ops.convert_to_numpy(average(other))).max() > 0.1


def test_the_learned_reduction_starts_and_is_bound_as_the_heads_own_weights():
    first = reduction_layer(2, "depthwise")
    own = head_layers("depthwise_nonneg", (3, 3, CHANNELS), 3)[0]
    assert first(maps(7, 7)).shape == (4, 3, 3, CHANNELS)
    assert first.use_bias
    assert first.depthwise_initializer.get_config() | {"seed": None} == (
        own.depthwise_initializer.get_config() | {"seed": None}
    )
    assert isinstance(first.depthwise_constraint, keras.constraints.NonNeg)
    assert [weight.shape for weight in first.weights] == [(2, 2, CHANNELS, 1), (CHANNELS,)]


@pytest.mark.parametrize(
    "options",
    [
        *({"reduction": name} for name in (*INTERPOLATIONS, "depthwise")),
        {"padding": "ones"},
        {"strides": 1, "activation": "relu"},
    ],
    ids=str,
)
def test_every_reduction_trains(options):
    model = classifier(7, **options)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.train_on_batch(np.abs(maps(7, 7)), np.arange(4) % 3))
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_what_unit_padding_adds_belongs_to_the_biases():
    """7 cells in blocks of 2 are filled up by one row and one column: a half or three quarters of the last blocks."""
    model = classifier(7, padding="ones")
    kernel, bias = model.get_layer("pooling").get_weights()
    weights, own = model.get_layer("predictions").get_weights()
    beside = np.zeros((4, 4))
    beside[3], beside[:, 3], beside[3, 3] = 1 / 2, 1 / 2, 3 / 4
    pooled = (kernel[..., 0] * beside[..., None]).sum(axis=(0, 1)) + bias
    empty = np.asarray(model.predict_on_batch(np.zeros((1, 7, 7, CHANNELS), "float32")))
    np.testing.assert_allclose(empty[0], pooled @ weights + own, atol=1e-4)


def other_convolutions():
    conv = keras.layers.DepthwiseConv2D
    return {
        "overlapping": conv(2, strides=1),
        "padded": conv(2, strides=2, padding="same"),
        "multiplied": conv(2, strides=2, depth_multiplier=2),
        "rectified": conv(2, strides=2, activation="relu"),
    }


@pytest.mark.parametrize("kind", other_convolutions())
def test_another_convolution_before_the_pooling_is_not_taken_for_the_papers(kind):
    inputs = keras.Input((7, 7, CHANNELS))
    x = other_convolutions()[kind](keras.layers.Identity(name="features")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(ws.layers.GlobalDepthwisePooling2D(1)(x)))
    with pytest.raises(ValueError, match="can't be taken apart by positions"):
        ws.contribution_map(model, maps(7, 7), 0)


@pytest.mark.parametrize(
    ("options", "layer", "detail"),
    [
        ({"reduction": "bilinear"}, "bilinear", "to 3×3"),
        ({"reduction": "depthwise"}, "depthwise", "2×2, weights ≥ 0"),
        ({"strides": 1, "padding": "ones"}, "average pooling", "2×2, stride 1, ones around"),
    ],
    ids=str,
)
def test_diagrams_say_what_reduces(options, layer, detail):
    shape = (7, 7, CHANNELS)
    first = head_steps(head_layers("wise", shape, 3, **options), shape)[0]
    assert (first.layer, first.detail) == (layer, detail)


@pytest.mark.parametrize(
    ("options", "flops"),  # of the reduction of 7×7 cells, a channel
    [
        ({"strides": 1}, 6 * 6 * 2 * 2),
        ({"padding": "ones"}, 4 * 4 * 2 * 2),
        ({"reduction": "bilinear"}, 2 * (3 * 7) * 7 + 2 * (3 * 3) * 7),  # 3×7 cells of 7 each, then 3×3 of 7 each
        ({"reduction": "depthwise"}, 3 * 3 * (2 * 2 * 2 + 1)),
    ],
    ids=str,
)
def test_operations_by_hand(options, flops):
    inputs = keras.Input((7, 7, CHANNELS))
    layer = reduction_layer(2, **options)
    assert ws.count_flops(keras.Model(inputs, layer(inputs))) == flops * CHANNELS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reduction": "linear"}, "reduction must be one of average, bilinear, .*depthwise; received 'linear'"),
        ({"padding": "same"}, "padding must be one of none, zeros, ones; received 'same'"),
        ({"strides": -1}, "strides must be a whole number of cells, 0 for the block's side; received -1"),
        ({"strides": True}, "strides must be a whole number .* received True"),
        ({"pool_size": 2.0}, "pool_size must be a whole number of cells, at least 1 .* received 2.0"),
        ({"reduction": "area", "padding": "ones"}, "belong to reduction='average'; received padding='ones'"),
        ({"reduction": "depthwise", "strides": 1}, "belong to reduction='average'; .* strides=1 with"),
        ({"strides": 3}, "A stride of 3 would leave cells between blocks of 2×2 out; give strides from 1 to 2"),
        ({"pool_size": 1, "padding": "zeros"}, "A pool_size of 1 averages nothing, so there is nothing to pad"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(arguments, said):
    arguments = {"pool_size": 2, **arguments}
    for refuse in (check_reduction, reduction_layer, FixedReduction2D):
        with pytest.raises(ValueError, match=said):
            refuse(**arguments)


def test_a_learned_reduction_is_no_fixed_one():
    with pytest.raises(ValueError, match="reduction_layer makes its layer"):
        FixedReduction2D(2, "depthwise")


def test_a_map_smaller_than_a_block_is_refused():
    with pytest.raises(ValueError, match="A feature map of 2×7 cells takes a pool_size from 1 to 2"):
        FixedReduction2D(3)(maps(2, 7))


@pytest.mark.parametrize("reduction", ["average", *INTERPOLATIONS])
def test_weights_of_outputs_spread_to_cells_give_the_same_sum(reduction):
    layer, x = FixedReduction2D(3, reduction), maps(16, 9)
    weights = np.random.default_rng(3).normal(size=(5, 3, CHANNELS))
    reduced = keras.ops.convert_to_numpy(layer(x)).astype(np.float64)
    cells = cell_weights(layer, weights, 16, 9)
    assert cells.shape == (16, 9, CHANNELS)
    np.testing.assert_allclose((reduced * weights).sum(axis=(1, 2)), (x * cells).sum(axis=(1, 2)), atol=1e-4)
