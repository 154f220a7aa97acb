"""The pooling layer against the authors' stack of layers and against NumPy."""

import re
import subprocess
import sys

import numpy as np
import pytest
from gradients import gradients, gradients_of_layer

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import check_pool_size, default_pool_size
from wisesr_helpers.layers.pooling import (
    START,
    BlockAveragePooling2D,
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.preprocessing import ImageNetPreprocessing
from wisesr_helpers.models import heads
from wisesr_helpers.published import number, printed

SHAPES = [(7, 7, 64, 2), (7, 7, 64, 1), (16, 16, 32, 3), (9, 12, 8, 2)]  # height, width, channels, pool


def seeds_layers(height, width, pool_size):
    """The layers of the authors' README."""
    layers = [keras.layers.AveragePooling2D(pool_size, padding="valid")] if pool_size > 1 else []
    kernel = (height // pool_size, width // pool_size)
    return keras.Sequential(
        [*layers, keras.layers.DepthwiseConv2D(kernel, depthwise_constraint="non_neg"), keras.layers.Flatten()]
    )


def numpy_pooling(features, kernel, bias, p):
    """One loop a step, nothing shared with the package."""
    n, height, width, channels = features.shape
    out = np.zeros((n, channels))
    for i in range(height // p):
        for j in range(width // p):
            block = features[:, i * p : (i + 1) * p, j * p : (j + 1) * p].mean(axis=(1, 2))
            out += block * kernel[i, j, :, 0]
    return out + bias


def random_weights(layer, rng):
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])


@pytest.mark.parametrize(("height", "width", "channels", "p"), SHAPES)
def test_equals_the_seeds_layers_with_their_weights(height, width, channels, p):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, height, width, channels)).astype("float32")
    stack, layer = seeds_layers(height, width, p), GlobalDepthwisePooling2D(p)
    expected = stack(x)
    layer.build(x.shape)
    random_weights(stack, rng)
    layer.set_weights(stack.get_weights())
    assert not np.allclose(stack(x), expected)  # the weights did change
    np.testing.assert_allclose(layer(x), stack(x), atol=1e-5)


@pytest.mark.parametrize(("height", "width", "channels", "p"), SHAPES)
def test_equals_numpy(height, width, channels, p):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, height, width, channels)).astype("float32")
    layer = GlobalDepthwisePooling2D(p)
    layer.build(x.shape)
    random_weights(layer, rng)
    np.testing.assert_allclose(layer(x), numpy_pooling(x, *layer.get_weights(), p), atol=1e-4)


def test_trains_as_the_seeds_layers_do():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(8, 16, 16, 4)).astype("float32"), rng.normal(size=(8, 4)).astype("float32")
    stack, ours = seeds_layers(16, 16, 3), keras.Sequential([GlobalDepthwisePooling2D(3)])
    for model in (stack, ours):
        model.build((None, 16, 16, 4))
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    start = [rng.normal(size=w.shape) for w in stack.get_weights()]
    for model in (stack, ours):
        model.set_weights(start)
        model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for expected, ours_weight, before in zip(stack.get_weights(), ours.get_weights(), start, strict=True):
        assert not np.allclose(expected, before)
        np.testing.assert_allclose(ours_weight, expected, atol=1e-5)
    assert ours.get_weights()[0].min() == 0  # the constraint was at work


def test_is_global_average_pooling_when_every_weight_is_one_over_n():
    x = np.random.default_rng(3).normal(size=(2, 6, 6, 5)).astype("float32")
    layer = GlobalDepthwisePooling2D(2, depthwise_initializer=keras.initializers.Constant(1 / 9))
    np.testing.assert_allclose(layer(x), keras.layers.GlobalAveragePooling2D()(x), atol=1e-6)


def test_defaults_are_the_papers_final_design():
    layer = GlobalDepthwisePooling2D()
    layer.build((None, 16, 16, 2048))
    kernel, bias = layer.get_weights()
    assert kernel.shape == (5, 5, 2048, 1)
    assert bias.shape == (2048,)
    assert not bias.any()
    assert kernel.std() == pytest.approx(0.01, rel=0.02)
    assert abs(kernel.mean()) < 1e-3
    assert isinstance(layer.depthwise_constraint, keras.constraints.NonNeg)


def test_survives_a_keras_file_with_constraint_and_initialisers(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((9, 12, 6)),
            GlobalDepthwisePooling2D(
                2,
                depthwise_initializer=keras.initializers.RandomUniform(0.25, 0.5),
                bias_initializer="ones",
                depthwise_constraint="max_norm",
                bias_constraint="non_neg",
                depthwise_regularizer="l2",
            ),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(4).normal(size=(2, 9, 12, 6)).astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    ours, theirs = loaded.layers[0].get_config(), model.layers[0].get_config()
    assert ours == theirs
    assert isinstance(loaded.layers[0].kernel.constraint, keras.constraints.MaxNorm)
    assert isinstance(loaded.layers[0].bias.constraint, keras.constraints.NonNeg)
    assert loaded.layers[0].depthwise_initializer.minval == 0.25
    assert loaded.layers[0].kernel.regularizer is not None


def test_unconstrained_stays_unconstrained(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), GlobalDepthwisePooling2D(1, depthwise_constraint=None)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].kernel.constraint is None


@pytest.mark.parametrize(
    ("side", "p", "kernel"), [(7, 2, 3), (16, 3, 5), (10, 2, 5), (12, 3, 4), (4, 2, 2), (32, 6, 5)]
)
def test_the_papers_rule_for_the_pool(side, p, kernel):
    assert default_pool_size(side) == p
    assert side // p == kernel <= 5
    assert p == 2 or side // (p - 1) > 5


@pytest.mark.parametrize("pool_size", [8, 0, -1, 2.0, True])
def test_a_pool_that_does_not_fit_is_refused(pool_size):
    with pytest.raises(ValueError, match=r"7×9 cells takes a pool_size from 1 to 7 .* received pool_size="):
        check_pool_size(pool_size, 7, 9)


def test_a_map_too_small_for_the_papers_rule_is_refused():
    with pytest.raises(ValueError, match="1×1 cells takes a pool_size from 1 to 1 .* the paper's rule asks for"):
        check_pool_size(None, 1, 1)


@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 8, 3), (None, 8, 8, None)])
def test_an_input_of_unknown_size_is_refused(shape):
    with pytest.raises(ValueError, match=r"2D gives every position a weight, so it needs an input .* received \(None"):
        GlobalDepthwisePooling2D().build(shape)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


POOLINGS = [GlobalDepthwisePooling2D, GlobalWeightedAveragePooling2D, SharedPositionPooling2D]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_channels_first_is_refused_with_the_way_out(pooling, channels_first):
    with pytest.raises(
        ValueError,
        match=rf"{pooling.__name__} takes .* last, but keras.config.image_data_format\(\) is 'channels_first'; "
        r"valid is 'channels_last': call keras.config.set_image_data_format\('channels_last'\) before",
    ):
        pooling().build((None, 8, 7, 7))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("data_format", "channels_first", "It takes channels-last feature maps only: leave the argument out"),
        ("keepdims", True, r"always \(batch_size, channels\): leave the argument out, .*keras.layers.Reshape"),
    ],
)
def test_arguments_of_the_pooling_it_replaces_are_answered_with_what_to_do(pooling, option, value, instead):
    with pytest.raises(
        TypeError, match=rf"{pooling.__name__} has no argument {option}; received {option}={value!r}\. .*{instead}"
    ):
        pooling(**{option: value})


def test_other_arguments_are_keras_own():
    assert GlobalDepthwisePooling2D(name="mine", dtype="float16").name == "mine"
    with pytest.raises(ValueError, match="Unrecognized keyword arguments"):
        GlobalDepthwisePooling2D(strides=2)


@pytest.mark.parametrize(("height", "width", "p"), [(7, 5, 2), (6, 4, 2), (5, 4, 3), (3, 4, 1)])
def test_gradients_equal_central_differences(height, width, p):
    """Of the features, the kernel and the bias; with and without cells that fill no block."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(2, height, width, 3))
    kernel, bias = rng.normal(size=(height // p, width // p, 3, 1)), rng.normal(size=3)
    expected = gradients(lambda x, kernel, bias: numpy_pooling(x, kernel, bias, p), x, kernel, bias)
    layer = GlobalDepthwisePooling2D(p)
    layer.build((None, height, width, 3))
    layer.set_weights([kernel, bias])
    for ours, theirs in zip(gradients_of_layer(layer, x.astype("float32")), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(("height", "width", "p"), [(7, 5, 2), (6, 4, 2), (5, 4, 3), (3, 4, 1)])
def test_the_gradient_of_averaged_blocks_equals_central_differences(height, width, p):
    x = np.random.default_rng(10).normal(size=(2, height, width, 3))

    def averages(x):
        rows, columns = height // p, width // p
        return x[:, : rows * p, : columns * p].reshape(2, rows, p, columns, p, 3).mean(axis=(2, 4))

    (expected,) = gradients(averages, x)
    (ours,) = gradients_of_layer(BlockAveragePooling2D(p), x.astype("float32"))
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_a_pool_size_of_numpy_survives_a_keras_file(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), GlobalDepthwisePooling2D(np.int64(2))])
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").layers[0].pool_size == 2


def test_the_papers_constants_are_the_published_ones():
    assert {
        "mean": number("README", "code example, initializers", "Mean"),
        "stddev": number("README", "code example, initializers", "Standard deviation"),
    } == START
    for table, column in (("Table 4", "Sub-ImageNet"), ("Table 8", "MIT Indoors Scene")):
        said = printed(table, "Depthwise Convolution Layer Kernel Weight Initializer", column)
        mean, deviation = re.search(r"Mean:([\d.]+), Std:([\d.]+)", said).groups()
        assert (float(mean), float(deviation)) == (START["mean"], START["stddev"])
    for head in ("proposed head with dropout", "GAP with dropout"):
        assert number("Section 3.2", head, "Dropout rate") / 100 == heads.DROPOUT_RATE
    assert number("Section 1", "VGG fully connected layer", "Neurons") == heads.VGG_UNITS


def test_position_weights_cover_what_the_pool_sees():
    layer = GlobalDepthwisePooling2D(2)
    layer.build((None, 7, 7, 3))
    random_weights(layer, np.random.default_rng(5))
    weights = layer.position_weights(7, 7)
    assert (weights == 0).all(axis=-1).sum() == 13  # the cells that AveragePooling2D(2) never looks at
    x = np.random.default_rng(6).normal(size=(1, 7, 7, 3)).astype("float32")
    np.testing.assert_allclose((x[0] * weights).sum((0, 1)) + layer.get_weights()[1], layer(x)[0], atol=1e-5)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocessing_equals_keras_on_arrays(mode):
    x = np.random.default_rng(7).integers(0, 256, (2, 4, 5, 3), dtype="uint8")
    expected = keras.applications.imagenet_utils.preprocess_input(x.astype("float32"), mode=mode)
    np.testing.assert_allclose(ImageNetPreprocessing(mode)(x), expected, atol=1e-4)


def foreign_model(pooling):
    """Somebody's model, with the pooling as its only choice."""
    inputs = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu", padding="same")(inputs)  # (8, 12, 8)
    outputs = keras.layers.Dense(2, activation="softmax")(pooling(x))
    return keras.Model(inputs, outputs)


def test_a_drop_in_for_global_average_pooling_in_a_foreign_model(tmp_path):
    """Bright on the left or on the right: only a layer that knows positions can tell."""
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 256)
    images = rng.normal(0, 0.1, (256, 32, 48, 3)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[:, 24 * label : 24 * (label + 1)] += 1
    accuracies = {}
    for pooling in (keras.layers.GlobalAveragePooling2D(), GlobalDepthwisePooling2D()):
        keras.utils.set_random_seed(0)
        model = foreign_model(pooling)
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(images, labels, batch_size=32, epochs=8, verbose=0)
        accuracies[type(pooling).__name__] = model.evaluate(images, labels, verbose=0)[1]
    assert accuracies["GlobalDepthwisePooling2D"] > 0.95
    assert accuracies["GlobalAveragePooling2D"] < 0.8  # the control: the task needs positions
    model.save(tmp_path / "foreign.keras")
    np.save(tmp_path / "images.npy", images[:4])
    code = (
        "import wisesr_helpers.layers, keras, numpy as np\n"
        f"model = keras.models.load_model(r'{tmp_path / 'foreign.keras'}')\n"
        f"images = np.load(r'{tmp_path / 'images.npy'}')\n"
        f"np.save(r'{tmp_path / 'fresh.npy'}', model.predict(images, verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "fresh.npy"), model.predict(images[:4], verbose=0), atol=1e-6)
