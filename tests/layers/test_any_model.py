"""The layers in anybody's model: any map, pool, option and dtype against NumPy; other maps; GAP's configuration."""

import functools
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import blocks_of_weights, gradients_of_layer, numpy_pooling

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import default_pool_size, global_depthwise_pool
from wisesr_helpers.layers.pooling import (
    BlockAveragePooling2D,
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.reductions import FixedReduction2D

BACKEND = keras.backend.backend()
OPTIONS = {
    "use_bias": [True, False],
    "cover": ["blocks", "exact"],
    "sharing": [None, "radial"],
    "activation": [None, "relu"],
}
HALVES = {"mixed_float16": 2**-11, "float16": 2**-11, "mixed_bfloat16": 2**-8, "bfloat16": 2**-8}
ROUNDING = {"float32": 0, **HALVES}  # of a result, its share
POOLINGS = {
    "blocks": lambda **kwargs: GlobalDepthwisePooling2D(2, **kwargs),
    "exact": lambda **kwargs: GlobalDepthwisePooling2D(3, cover="exact", **kwargs),
    "radial": lambda **kwargs: GlobalDepthwisePooling2D(sharing="radial", **kwargs),
    "shared": SharedPositionPooling2D,
}
LAYERS = {**POOLINGS, "reduction": lambda: FixedReduction2D(2)}


def numbers(x):
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")).astype("float64")


def some_map(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@st.composite
def cases(draw):
    """(layer not yet made, shape of its input, function of features and weights in NumPy, dtype policy, their mean)."""
    height, width = draw(st.tuples(*[st.integers(1, 10)] * 2))
    p, shorter = draw(st.integers(1, min(height, width))), min(height, width)
    kwargs = {"dtype": draw(st.sampled_from(sorted(ROUNDING))), "keepdims": draw(st.booleans())}
    match draw(st.sampled_from(["depthwise", "depthwise", "depthwise", "computed", "shared", "average"])):
        case "depthwise":
            kwargs["pool_size"] = draw(st.sampled_from([p, (p, p), *[None] * (shorter > 1)]))
            p = default_pool_size(shorter) if kwargs["pool_size"] is None else p
            for name, values in OPTIONS.items():
                kwargs[name] = draw(st.sampled_from(values))
            groups = blocks_of_weights(height, width, p, kwargs["cover"], kwargs["sharing"])
            layer = GlobalDepthwisePooling2D

            def oracle(x, kernel, bias=0):
                pooled = numpy_pooling(x, kernel, bias, groups)
                return np.maximum(pooled, 0) if kwargs["activation"] else pooled
        case "computed":
            assume(height * width > 1)  # Keras warns of a softmax over one number
            layer = GlobalWeightedAveragePooling2D

            def oracle(x, kernel, bias):
                powers = np.exp(1 / (1 + np.exp(-(x @ kernel + bias))))
                return (x * powers / powers.sum(axis=(1, 2), keepdims=True)).sum(axis=(1, 2))
        case "shared":
            layer = SharedPositionPooling2D

            def oracle(x, kernel):
                return np.einsum("nhwc,hw->nc", x, kernel)
        case "average":
            layer, kwargs = FixedReduction2D, {"pool_size": p, "dtype": kwargs["dtype"]}

            def oracle(x):
                rows, columns = height // p, width // p
                return x[:, : rows * p, : columns * p].reshape(-1, rows, p, columns, p, 3).mean(axis=(2, 4))

    shape = (draw(st.integers(1, 3)), height, width, 3)
    return functools.partial(layer, **kwargs), shape, oracle, kwargs, draw(st.sampled_from([0, 30]))


@given(cases())
@settings(derandomize=True, max_examples=15 if BACKEND == "jax" else 60, deadline=None, database=None)
def test_any_layer_equals_numpy_on_any_map(case):
    make, shape, oracle, kwargs, mean = case
    layer, rng = make(), np.random.default_rng(0)
    layer.build(shape)
    layer.set_weights([rng.normal(size=weight.shape) / 3 for weight in layer.get_weights()])
    given = keras.ops.cast(rng.normal(mean, 1, shape), layer.compute_dtype)
    x, weights = numbers(given), [numbers(weight) for weight in layer.weights]
    expected, found = oracle(x, *weights), layer(given)
    assert tuple(found.shape) == layer.compute_output_shape(shape)
    if kwargs.get("keepdims"):
        assert found.shape[1:3] == (1, 1)
        expected = expected[:, None, None]
    assert tuple(found.shape) == expected.shape
    assert keras.backend.standardize_dtype(found.dtype) == layer.compute_dtype
    added = np.abs(oracle(np.abs(x), *map(np.abs, weights))).max()  # what the last bits of a sum depend on
    np.testing.assert_allclose(
        numbers(found), expected, rtol=1.01 * ROUNDING[kwargs["dtype"]], atol=2e-6 * added + 1e-7
    )
    twin = type(layer).from_config(layer.get_config())
    twin.build(shape)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numbers(twin(given)), numbers(found))


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_under_half_precision_are_those_of_float32_rounded(name):
    layer, x = POOLINGS[name](dtype="mixed_float16"), some_map(2, 6, 7, 3).astype("float16").astype("float32")
    layer.build(x.shape)
    exact = POOLINGS[name]()
    exact.build(x.shape)
    layer.set_weights([weight.round(2) for weight in layer.get_weights()])
    exact.set_weights(layer.get_weights())
    for ours, theirs in zip(gradients_of_layer(layer, x), gradients_of_layer(exact, x), strict=True):
        np.testing.assert_allclose(np.asarray(ours, "float32"), theirs, rtol=4e-3, atol=4e-3)


def average_of(dtype, layer=GlobalDepthwisePooling2D, **options):
    return layer(cover="exact", depthwise_initializer="average", dtype=dtype, **options)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_large_constant_is_what_global_average_pooling_makes_of_it(dtype):
    x = keras.ops.full((1, 64, 64, 2), 3000, dtype=keras.DTypePolicy(dtype).compute_dtype)
    expected = numbers(keras.layers.GlobalAveragePooling2D(dtype=dtype)(x))
    assert (expected == (3008 if "bfloat16" in dtype else 3000)).all()
    for layer in (
        average_of(dtype),
        average_of(dtype, pool_size=1),
        SharedPositionPooling2D(dtype=dtype),
        GlobalWeightedAveragePooling2D(dtype=dtype),
        FixedReduction2D(64, dtype=dtype),
        BlockAveragePooling2D(64, dtype=dtype),
    ):
        np.testing.assert_array_equal(numbers(layer(x)).reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("side", [7, 33, 64])
def test_half_precision_errs_no_more_than_global_average_pooling(dtype, side):
    policy = keras.DTypePolicy(dtype)
    x = keras.ops.cast(100 + some_map(8, side, side, 16), policy.compute_dtype)
    expected = numbers(x).mean(axis=(1, 2))
    worst = np.abs(numbers(keras.layers.GlobalAveragePooling2D(dtype=policy)(x)) - expected).max()
    for options in ({}, {"pool_size": 1}, {"sharing": "radial"}):
        assert np.abs(numbers(average_of(policy, **options)(x)) - expected).max() <= 1.5 * worst


def both_sizes(layer, other):
    return r"[\s\S]*".join(re.escape(f"{height}, {width}") for height, width in ((8, 10), other))


@pytest.mark.parametrize("other", [(10, 12), (9, 10), (10, 8)])
@pytest.mark.parametrize("name", LAYERS)
def test_a_built_layer_refuses_another_map_and_names_both_sizes(name, other):
    layer = LAYERS[name]()
    layer(some_map(2, 8, 10, 3))
    x = some_map(2, *other, 3)
    said = both_sizes(layer, other)
    for call in (layer, layer.call, traced(layer), lambda x: layer(keras.Input((*other, 3)))):
        with pytest.raises(ValueError, match=said):
            call(x)
    with pytest.raises(ValueError, match=r"was built for feature maps \(None, 8, 10, .* received \(\d+, \d+, 3\)"):
        layer.call(x[0])


def traced(layer):
    """The layer as its backend compiles it."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(layer, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(layer)
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_a_subclassed_model_refuses_another_map(name):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.pooling, self.dense = LAYERS[name](), keras.layers.Dense(2)

        def call(self, x):
            return self.dense(keras.ops.reshape(self.pooling(x), (len(x), -1)))

    model = Model()
    assert model(some_map(2, 8, 10, 3)).shape == (2, 2)
    with pytest.raises(ValueError, match=both_sizes(model.pooling, (10, 12))):
        model(some_map(2, 10, 12, 3))


@pytest.mark.parametrize("name", POOLINGS)
def test_a_model_of_images_of_any_size_is_checked_when_it_runs(name):
    layer, inputs, x = POOLINGS[name](), keras.Input((None, None, 3)), some_map(2, 8, 10, 3)
    expected = layer(x)
    with pytest.raises(ValueError, match=r"was built for .* received \(None, None, None, 3\)\. Give it maps of that"):
        layer.call(inputs)
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), numbers(expected), atol=1e-6)
    for call in (model, functools.partial(model.predict, verbose=0)):
        with pytest.raises(Exception, match="8, ?10, ?3") as refused:  # TensorFlow's own where it has traced
            call(some_map(2, 10, 12, 3))
        assert re.search("10, ?12, ?3", str(refused.value))


def test_a_reduction_refuses_images_of_any_size():
    layer = FixedReduction2D(2)
    layer(some_map(2, 8, 10, 3))
    with pytest.raises(
        ValueError, match=r"needs an input .* received \(None, None, None, 3\)\. Give the model an input"
    ):
        layer(keras.Input((None, None, 3)))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces with sides that are unknown")
@pytest.mark.parametrize(
    ("shape", "jit_compile"),
    [((None, None, None, None), False), ((None, None, None, None), True), ((None, None, 10, 3), False)],
)
@pytest.mark.parametrize("name", [*LAYERS, "computed"])
def test_a_side_that_is_unknown_while_tracing_is_checked_when_it_runs(name, shape, jit_compile):
    import tensorflow as tf

    layer = {**LAYERS, "computed": GlobalWeightedAveragePooling2D}[name]()
    x, other = some_map(2, 8, 10, 3), some_map(2, 9, 10, 3)
    expected = layer(x)

    @tf.function(input_signature=[tf.TensorSpec(shape)], jit_compile=jit_compile)
    def pooled_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            pooled = layer(x)
        return pooled, tape.gradient(pooled, x)

    np.testing.assert_allclose(pooled_and_gradient(x)[0], expected, atol=1e-6)
    assert pooled_and_gradient(x)[1].shape == x.shape
    if name == "computed":
        np.testing.assert_allclose(pooled_and_gradient(other)[0], layer(other), atol=1e-6)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[2,9,10,3\] is not compatible .*\[\?,8,10,"):
            pooled_and_gradient(other)


def test_weights_from_the_features_take_any_map():
    layer = GlobalWeightedAveragePooling2D()
    layer(some_map(2, 8, 10, 3))
    fresh = GlobalWeightedAveragePooling2D()
    fresh.build((None, 10, 12, 3))
    fresh.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numbers(layer(some_map(2, 10, 12, 3))), numbers(fresh(some_map(2, 10, 12, 3))))


def test_the_function_refuses_a_kernel_of_another_map():
    with pytest.raises(ValueError, match=r"of 4×5 blocks of 2×2 cells; received \(2, 10, 12, 3\)"):
        global_depthwise_pool(some_map(2, 10, 12, 3), some_map(4, 5, 3, 1), pool_size=2)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("pooling", [GlobalDepthwisePooling2D, GlobalWeightedAveragePooling2D, SharedPositionPooling2D])
def test_is_built_from_global_average_poolings_configuration(pooling, keepdims, tmp_path):
    average = keras.layers.GlobalAveragePooling2D(keepdims=keepdims, name="avg_pool", dtype="mixed_float16")
    layer = pooling.from_config(average.get_config())
    assert (layer.name, layer.dtype_policy, layer.keepdims) == ("avg_pool", average.dtype_policy, keepdims)
    inputs = keras.Input((6, 7, 3))
    assert layer(inputs).shape == average(inputs).shape
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    x = some_map(2, 6, 7, 3)
    np.testing.assert_array_equal(numbers(keras.models.load_model(tmp_path / "model.keras")(x)), numbers(model(x)))


def test_takes_channels_last_where_keras_is_set_to_channels_first():
    x = some_map(2, 6, 7, 3)
    expected = numbers(GlobalDepthwisePooling2D(2, depthwise_initializer="ones")(x))
    keras.config.set_image_data_format("channels_first")
    try:
        layer = GlobalDepthwisePooling2D(2, depthwise_initializer="ones", data_format="channels_last")
        np.testing.assert_array_equal(numbers(layer(x)), expected)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("pooling", [GlobalDepthwisePooling2D, GlobalWeightedAveragePooling2D])
def test_weights_that_are_not_there_are_asked_for_in_a_sentence(pooling):
    arguments = (8, 10) if pooling is GlobalDepthwisePooling2D else (some_map(2, 8, 10, 3),)
    with pytest.raises(ValueError, match=r"'mine' has no weights yet: call it .* layer.build\(\(None, height, width"):
        pooling(name="mine").position_weights(*arguments)


def test_weights_of_another_map_are_refused():
    layer = GlobalDepthwisePooling2D(2, name="mine")
    layer.build((None, 8, 10, 3))
    with pytest.raises(ValueError, match=r"'mine' has weights for a map of 8×10 cells; received 10×8"):
        layer.position_weights(10, 8)


def test_a_file_of_weights_is_refused_by_a_layer_of_another_cover(tmp_path, monkeypatch):
    def model(side, cover):
        return keras.Sequential([keras.Input((side, 8, 3)), GlobalDepthwisePooling2D(2, cover=cover, name="mine")])

    path, ones = tmp_path / "model.weights.h5", some_map(2, 7, 8, 3) * 0 + 1
    saved = {cover: model(7, cover) for cover in ("blocks", "exact")}
    for (cover, own), other in zip(saved.items(), ("exact", "blocks"), strict=True):
        own.save_weights(path)
        same = model(7, cover)
        same.load_weights(path)
        np.testing.assert_allclose(numbers(same(ones)), numbers(own(ones)))
        with pytest.raises(ValueError, match=f"with cover='{cover}', and 'mine' has cover='{other}': make it with the"):
            model(7, other).load_weights(path)
    GlobalDepthwisePooling2D(2).save_own_variables({})  # not built, with nothing to say
    model(6, "blocks").save_weights(path)
    model(6, "exact").load_weights(path)  # the blocks are the same
    monkeypatch.setattr(GlobalDepthwisePooling2D, "save_own_variables", keras.layers.Layer.save_own_variables)
    saved["blocks"].save_weights(path)  # as files were before
    model(7, "exact").load_weights(path)


@pytest.mark.parametrize("arguments", [{"strides": 1}, {"padding": "same"}, {"pool_size": (1, 3)}], ids=str)
def test_averaged_blocks_that_are_not_separate_are_keras_own(arguments):
    arguments, x = {"pool_size": 2, **arguments}, some_map(2, 5, 7, 3)
    expected = keras.layers.AveragePooling2D(**arguments)(x)
    np.testing.assert_array_equal(BlockAveragePooling2D(**arguments)(x), expected)
