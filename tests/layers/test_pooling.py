"""The poolings against the authors' stack of layers, NumPy and central differences. tests/models has them as heads."""

import re
import subprocess
import sys

import numpy as np
import pytest
from oracles import blocks_of_weights, gradients, gradients_of_layer, numpy_pooling

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.pooling import (
    START,
    BlockAveragePooling2D,
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.reductions import FixedReduction2D
from wisesr_helpers.models import heads
from wisesr_helpers.published import number, printed

POOLINGS = [GlobalDepthwisePooling2D, GlobalWeightedAveragePooling2D, SharedPositionPooling2D]
LAYOUTS = [("blocks", None), ("exact", None), ("blocks", "radial"), ("exact", "radial")]  # cover, sharing


def built(height, width, p, cover="blocks", sharing=None, **arguments):
    """A layer of three channels with random weights of both signs."""
    layer = GlobalDepthwisePooling2D(p, cover=cover, sharing=sharing, **arguments)
    layer.build((None, height, width, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def some_map(height, width, count=2, channels=3):
    return np.random.default_rng(1).normal(size=(count, height, width, channels)).astype("float32")


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("cover", "sharing"), LAYOUTS)
@pytest.mark.parametrize(("height", "width", "p"), [(7, 7, 2), (16, 16, 3), (17, 16, 3), (9, 12, 2), (5, 4, 1)])
def test_equals_numpy(height, width, p, cover, sharing, activation):
    layer, x = built(height, width, p, cover, sharing, activation=activation), some_map(height, width, 20)
    groups = blocks_of_weights(height, width, p, cover, sharing)
    kernel, bias = layer.get_weights()
    assert kernel.shape == ((len(groups), 3) if sharing else (height // p, width // p, 3, 1))
    assert layer.kernel.name == ("radial_kernel" if sharing else "depthwise_kernel")
    expected = numpy_pooling(x, kernel, bias, groups)
    assert (expected < 0).any()  # so relu does something
    np.testing.assert_allclose(layer(x), np.maximum(expected, 0) if activation else expected, atol=1e-5)
    weights = layer.position_weights(height, width)
    np.testing.assert_allclose((x * weights).sum((1, 2)) + bias, expected, atol=1e-5)
    assert (weights != 0).all() == (cover == "exact" or (height % p, width % p) == (0, 0))
    averaged = 0 if p == 1 else (weights[..., 0] != 0).sum()
    assert layer.count_flops(x.shape) == 3 * (averaged + 2 * (height // p) * (width // p) + 1)


@pytest.mark.parametrize(("cover", "sharing"), LAYOUTS)
@pytest.mark.parametrize(("height", "width", "p"), [(7, 6, 2), (6, 4, 1), (5, 4, 3)])
def test_gradients_equal_central_differences(height, width, p, cover, sharing):
    """Of the features, the kernel and the bias; with and without cells that fill no block."""
    layer, x = built(height, width, p, cover, sharing), some_map(height, width)
    groups = blocks_of_weights(height, width, p, cover, sharing)
    expected = gradients(lambda x, kernel, bias: numpy_pooling(x, kernel, bias, groups), x, *layer.get_weights())
    for ours, theirs in zip(gradients_of_layer(layer, x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(("height", "width", "p"), [(7, 5, 2), (6, 4, 2), (5, 4, 3), (3, 4, 1)])
def test_averaged_blocks_and_their_gradient(height, width, p):
    x = some_map(height, width)

    def averages(x):
        rows, columns = height // p, width // p
        return x[:, : rows * p, : columns * p].reshape(2, rows, p, columns, p, 3).mean(axis=(2, 4))

    np.testing.assert_allclose(BlockAveragePooling2D(p)(x), averages(x), atol=1e-6)
    (expected,) = gradients(averages, x)
    (ours,) = gradients_of_layer(BlockAveragePooling2D(p), x)
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def authors_layers(height, width, pool_size):
    """The layers of the authors' README."""
    layers = [keras.layers.AveragePooling2D(pool_size, padding="valid")] if pool_size > 1 else []
    kernel = (height // pool_size, width // pool_size)
    return keras.Sequential(
        [*layers, keras.layers.DepthwiseConv2D(kernel, depthwise_constraint="non_neg"), keras.layers.Flatten()]
    )


@pytest.mark.parametrize(
    ("height", "width", "channels", "p"), [(7, 7, 64, 2), (7, 7, 64, 1), (16, 16, 32, 3), (9, 12, 8, 2)]
)
def test_takes_the_weights_of_the_authors_layers_and_trains_as_they_do(height, width, channels, p):
    rng = np.random.default_rng(2)
    x, y = some_map(height, width, 8, channels), rng.normal(size=(8, channels)).astype("float32")
    stack, ours = authors_layers(height, width, p), keras.Sequential([GlobalDepthwisePooling2D(p)])
    for model in (stack, ours):
        model.build((None, height, width, channels))
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    start = [rng.normal(size=w.shape) for w in stack.get_weights()]
    for model in (stack, ours):
        model.set_weights(start)
    np.testing.assert_allclose(ours(x), stack(x), atol=1e-4)
    for model in (stack, ours):
        model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for expected, ours_weight, before in zip(stack.get_weights(), ours.get_weights(), start, strict=True):
        assert not np.allclose(expected, before)
        np.testing.assert_allclose(ours_weight, expected, atol=1e-5)
    assert ours.get_weights()[0].min() == 0  # the constraint was at work


@pytest.mark.parametrize("sharing", [None, "radial"])
@pytest.mark.parametrize(
    ("height", "width", "p", "cover"),
    [(7, 7, None, "exact"), (16, 16, None, "exact"), (17, 12, 3, "exact"), (7, 9, 1, "blocks"), (6, 6, 2, "blocks")],
)
def test_average_starts_as_global_average_pooling(height, width, p, cover, sharing):
    x = some_map(height, width)
    layer = GlobalDepthwisePooling2D(p, depthwise_initializer="average", cover=cover, sharing=sharing)
    np.testing.assert_allclose(layer(x), keras.layers.GlobalAveragePooling2D()(x), atol=1e-6)
    assert np.abs(GlobalDepthwisePooling2D(p, cover=cover, sharing=sharing)(x) - x.mean((1, 2))).max() > 1e-3


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


def test_the_papers_constants_are_the_published_ones():
    assert number("README", "code example, initializers", "Mean") == START["mean"]
    assert number("README", "code example, initializers", "Standard deviation") == START["stddev"]
    for table, column in (("Table 4", "Sub-ImageNet"), ("Table 8", "MIT Indoors Scene")):
        said = printed(table, "Depthwise Convolution Layer Kernel Weight Initializer", column)
        mean, deviation = re.search(r"Mean:([\d.]+), Std:([\d.]+)", said).groups()
        assert (float(mean), float(deviation)) == (START["mean"], START["stddev"])
    for head in ("proposed head with dropout", "GAP with dropout"):
        assert number("Section 3.2", head, "Dropout rate") / 100 == heads.DROPOUT_RATE
    assert number("Section 1", "VGG fully connected layer", "Neurons") == heads.VGG_UNITS


def test_survives_a_keras_file_with_constraint_and_initialisers(tmp_path):
    layer = GlobalDepthwisePooling2D(
        np.int64(2),  # a file holds no NumPy integers
        depthwise_initializer=keras.initializers.RandomUniform(0.25, 0.5),
        bias_initializer="ones",
        depthwise_constraint="max_norm",
        bias_constraint="non_neg",
        depthwise_regularizer="l2",
        bias_regularizer="l1",
    )
    model = keras.Sequential([keras.Input((9, 12, 6)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = some_map(9, 12, 2, 6)
    np.testing.assert_array_equal(loaded(x), model(x))
    other = loaded.layers[0]
    assert other.get_config() == layer.get_config()
    assert (other.pool_size, other.depthwise_initializer.minval) == (2, 0.25)
    assert isinstance(other.kernel.constraint, keras.constraints.MaxNorm)
    assert isinstance(other.bias.constraint, keras.constraints.NonNeg)
    assert isinstance(other.kernel.regularizer, keras.regularizers.L2)
    assert isinstance(other.bias.regularizer, keras.regularizers.L1)


def test_a_layer_that_starts_as_the_average_survives_an_h5_file(tmp_path):
    model = keras.Sequential([keras.Input((9, 12, 6)), GlobalDepthwisePooling2D(depthwise_initializer="average")])
    model.layers[0].set_weights([weights + 0.5 for weights in model.layers[0].get_weights()])
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded(some_map(9, 12, 2, 6)), model(some_map(9, 12, 2, 6)))
    assert loaded.layers[0].get_config() == model.layers[0].get_config()


def test_initialiser_regulariser_and_constraint_are_the_radial_weights():
    layer = GlobalDepthwisePooling2D(
        sharing="radial", depthwise_initializer=keras.initializers.Constant(0.5), depthwise_regularizer="l2"
    )
    x = some_map(16, 16)
    layer(x)
    kernel = layer.get_weights()[0]
    np.testing.assert_array_equal(kernel, np.full((6, 3), 0.5, "float32"))  # not 25 weights for a channel
    np.testing.assert_allclose(layer.losses, [0.01 * 18 * 0.25], rtol=1e-5)
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.train_on_batch(x, np.full((2, 3), -5.0))
    assert layer.get_weights()[0].min() == 0  # the step went below
    assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)


def test_gwap_of_equal_features_is_their_average_and_its_weights_sum_to_one():
    layer, x = GlobalWeightedAveragePooling2D(), some_map(7, 9)
    equal = np.broadcast_to(np.arange(3, dtype="float32"), (2, 7, 9, 3))
    np.testing.assert_allclose(layer(equal), equal[:, 0, 0], atol=1e-5)
    weights = keras.ops.convert_to_numpy(layer.position_weights(x))
    np.testing.assert_allclose(weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert np.ptp(weights) > 1e-3


def test_operations_of_gwap_by_hand():
    assert GlobalWeightedAveragePooling2D().count_flops((None, 7, 9, 3)) == 2 * (2 * 7 * 9 * 3) + 7 * 9
    assert SharedPositionPooling2D().count_flops((None, 7, 9, 3)) == 2 * 7 * 9 * 3


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


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
    ("shape", "said"),
    [
        *(
            (shape, r"gives every position a weight, so it needs an input .* received \(None")
            for shape in [(None, None, None, 3), (None, 8, 8, None), (None, None, 7, 5)]
        ),
        ((None, 8, 3), r"takes feature maps, 4D .* received \(None, 8, 3\)\. Put it behind the last convolution"),
    ],
)
def test_an_input_of_unknown_size_or_no_map_is_refused(pooling, shape, said):
    with pytest.raises(ValueError, match=f"{pooling.__name__} {said}"):
        pooling().build(shape)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data_format": "channels_first"}, "channels last, but data_format is 'channels_first'; valid is"),
        ({"rates": 2}, "Unrecognized keyword arguments"),
    ],
)
def test_other_arguments_are_refused(pooling, arguments, said):
    with pytest.raises(ValueError, match=said):
        pooling(**arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cover": "all"}, "cover must be one of 'blocks', 'exact'; received 'all'"),
        ({"sharing": "rings"}, "sharing must be one of None, 'radial'; received 'rings'"),
        ({"pool_size": 8}, "7×9 cells takes a pool_size from 1 to 7 .* received pool_size=8"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        GlobalDepthwisePooling2D(**arguments).build((None, 7, 9, 3))


@pytest.mark.parametrize("pool_size", [True, 0, 2.0, (2, 3), (2,), (2, 2, 2), (2.0, 2.0), "2"])
def test_a_pool_size_that_is_no_square_is_refused_at_once(pool_size):
    said = rf"pool_size must be a whole number .* or \(p, p\), .*; received {re.escape(repr(pool_size))}\."
    for layer in (GlobalDepthwisePooling2D, FixedReduction2D):
        with pytest.raises(ValueError, match=said):
            layer(pool_size)


def foreign_model(pooling):
    """Somebody's model, with the pooling as its only choice."""
    inputs = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu", padding="same")(inputs)  # (8, 12, 8)
    outputs = keras.layers.Dense(2, activation="softmax")(pooling(x))
    return keras.Model(inputs, outputs)


LOADS = """
import keras, numpy as np, wisesr_helpers
try:
    keras.models.load_model("foreign.keras")
except TypeError as error:
    print(error)
import wisesr_helpers.layers
model = keras.models.load_model("foreign.keras")
np.save("fresh.npy", model.predict(np.load("images.npy"), verbose=0))
"""


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
    done = subprocess.run([sys.executable, "-c", LOADS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Could not locate class 'GlobalDepthwisePooling2D'" in done.stdout
    np.testing.assert_allclose(np.load(tmp_path / "fresh.npy"), model.predict(images[:4], verbose=0), atol=1e-6)
