"""Cutting a classifier at a feature map: anybody's model, its gradient there, and what is refused."""

import gc
import weakref

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models.attribution import split_at

layers = keras.layers


def images(count=3, side=4):
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype("float32")


def small(after, features=None, name="small"):
    """A model whose feature map is its image, or a layer's output; ``after`` makes scores of it."""
    inputs = keras.Input((4, 4, 3))
    x = (features or layers.Identity(name="features"))(inputs)
    return keras.Model(inputs, after(x), name=name)


def mean(x):
    return layers.GlobalAveragePooling2D()(x)


def plain(x):
    return layers.Dense(2, name="predictions")(mean(x))


def test_the_gradient_of_a_head_that_branches():
    def after(x):
        both = layers.Concatenate()([mean(x), layers.GlobalMaxPooling2D()(x)])
        return layers.Dense(2, "softmax", name="last")(layers.Dense(50, "relu", name="hidden")(both))

    model, maps, classes = small(after), images(), np.array([1, 0, 1])
    w1, b1 = model.get_layer("hidden").get_weights()
    w2, _ = model.get_layer("last").get_weights()
    expected = np.zeros_like(maps)
    for f, k, slope in zip(maps, classes, expected, strict=True):
        active = np.concatenate([f.mean(axis=(0, 1)), f.max(axis=(0, 1))]) @ w1 + b1 > 0
        of_mean, of_maximum = np.split(w1 @ (active * w2[:, k]), 2)
        slope[:] = of_mean / 16
        for channel in range(3):
            row, column = np.unravel_index(f[..., channel].argmax(), (4, 4))
            slope[row, column, channel] += of_maximum[channel]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(split_at(model).gradient(maps, classes), expected, atol=1e-5)
    np.testing.assert_allclose(ws.hires_cam(model, maps, classes), (expected * maps).sum(axis=-1), atol=1e-5)


def test_operations_that_are_no_layers_count():
    model = small(lambda x: layers.Dense(2, name="predictions")(mean(keras.ops.square(x))))
    kernel, _ = model.get_layer("predictions").get_weights()
    expected = 2 * images() ** 2 @ kernel[:, 1] / 16  # the slope 2·f/16, times f
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(ws.hires_cam(model, images(), 1), expected, atol=1e-5)


def test_what_goes_into_a_softmax_of_its_own_are_the_logits():
    model = small(lambda x: layers.Softmax()(layers.Dense(2, "relu", name="predictions")(mean(x))))
    kernel = np.array([[1.0, -1], [2, 0], [0, -3]], "float32")
    model.get_layer("predictions").set_weights([kernel, np.array([9, -9], "float32")])  # the rectifier lets one pass
    np.testing.assert_allclose(ws.hires_cam(model, images(), 0), images() @ kernel[:, 0] / 16, atol=1e-5)
    assert not ws.hires_cam(model, images(), 1).any()


@pytest.mark.parametrize(
    "end",
    [
        lambda x: layers.Dense(2, "softmax", bias_initializer="ones")(mean(x)),
        lambda x: layers.Dense(2, "softmax", use_bias=False)(mean(x)),
        lambda x: layers.Softmax()(layers.Reshape((3,))(layers.GlobalMaxPooling2D()(x))),
    ],
)
def test_the_softmax_of_the_logits_is_what_the_model_gives(end):
    model = small(end)
    logits = split_at(model).logits(images())
    exponentials = np.exp(logits)
    scores = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, model.predict_on_batch(images()), atol=1e-6)
    assert not np.allclose(logits.sum(axis=1), 1)  # they are no probabilities themselves


def test_a_second_softmax_leaves_the_first_in_place():
    model = small(lambda x: layers.Softmax()(layers.Dense(2, "softmax", name="predictions")(mean(x))))
    model.get_layer("predictions").set_weights([np.array([[1.0, -1], [2, 0], [0, -3]]), np.zeros(2)])
    difference = np.array([2.0, 2, 3])  # of the kernel's columns
    share = 1 / (1 + np.exp(-images().mean(axis=(1, 2)) @ difference))[:, None, None]
    expected = share * (1 - share) * (images() @ difference) / 16
    np.testing.assert_allclose(ws.hires_cam(model, images(), 0), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-2


def test_logits_without_a_fully_connected_layer():
    convolution = layers.Conv2D(2, 1, name="features")
    model = small(lambda x: layers.Softmax()(mean(x)), convolution)
    kernel, bias = convolution.get_weights()
    expected = (images() @ kernel[0, 0] + bias)[..., 1] / 16
    np.testing.assert_allclose(ws.grad_cam(model, images(), 1), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-2


def test_a_logit_that_no_feature_moves_has_an_empty_map():
    model = small(lambda x: layers.Dense(2)(mean(keras.ops.stop_gradient(x))))
    assert not ws.hires_cam(model, images()).any()
    assert np.ptp(np.asarray(model.predict_on_batch(images()))) > 1e-2


@pytest.mark.parametrize("head", ["wise", "gwap"])
def test_another_layer_of_the_backbone_may_be_chosen(head):
    model = ws.build_classifier("small_patch", head, classes=4, image_size=96)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype="uint8")
    hires = ws.hires_cam(model, pictures, 1, layer="mix2_relu")  # what "features" passes on
    np.testing.assert_allclose(hires, ws.hires_cam(model, pictures, 1), rtol=1e-3, atol=1e-7)
    earlier = ws.hires_cam(model, pictures, 1, layer="mix1_relu")
    assert earlier.shape == (2, 6, 6)
    assert earlier.any()
    assert ws.grad_cam(model, pictures, 1, layer="mix1_relu").shape == (2, 6, 6)


@pytest.mark.parametrize("form", ["sequential", "nested"])
def test_other_forms_of_a_model(form):
    steps = [layers.Conv2D(5, 3, name="features"), layers.GlobalAveragePooling2D(), layers.Dense(2, name="predictions")]
    if form == "sequential":
        model = keras.Sequential([keras.Input((4, 4, 3)), *steps])
    else:
        inside = keras.Input((4, 4, 3))
        backbone = keras.Model(inside, steps[0](inside), name="features")
        model = small(lambda x: steps[2](steps[1](x)), backbone)
    kernel, bias = steps[0].get_weights()
    windows = np.lib.stride_tricks.sliding_window_view(images(), (3, 3), axis=(1, 2))  # (N, 2, 2, 3, 3, 3)
    maps = np.einsum("nhwcij,ijck->nhwk", windows, kernel) + bias
    expected = maps @ steps[2].get_weights()[0][:, 1] / 4
    for draw in (ws.contribution_map, ws.hires_cam, ws.grad_cam):
        np.testing.assert_allclose(draw(model, images(), 1), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-2


def test_a_sequential_model_that_is_continued_is_cut_anew():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Identity(name="features"), layers.Flatten()])
    model.add(layers.Dense(2))
    before = ws.hires_cam(model, images(), 1)
    model.add(layers.Dense(2, kernel_initializer=keras.initializers.Constant([[0, 0], [0, -3]])))
    np.testing.assert_allclose(ws.hires_cam(model, images(), 1), -3 * before, atol=1e-5)
    assert np.abs(before).max() > 1e-2


@pytest.mark.parametrize("head", ["gap", "gwap"])
def test_maps_follow_the_weights(head):
    model = ws.build_classifier("small_patch", head, classes=4, image_size=64)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype="uint8")
    draw = (ws.contribution_map, ws.hires_cam, ws.grad_cam)
    before = [cam(model, pictures, 1) for cam in draw]
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([2 * kernel, bias])
    for cam, first in zip(draw, before, strict=True):
        np.testing.assert_allclose(cam(model, pictures, 1), 2 * first, rtol=1e-4, atol=1e-6)
    patches = model.get_layer("mix2_bn")
    patches.set_weights([np.zeros_like(weight) for weight in patches.get_weights()])
    assert not any(cam(model, pictures, 1).any() for cam in draw)
    assert all(first.any() for first in before)


@pytest.mark.parametrize("head", ["wise", "gwap"])
def test_maps_of_a_model_in_half_precision(head):
    keras.utils.set_random_seed(0)
    exact = ws.build_classifier("small_patch", head, classes=4, image_size=64)
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = ws.build_classifier("small_patch", head, classes=4, image_size=64)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model.set_weights(exact.get_weights())
    assert model.get_layer("features").output.dtype == "float16"
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype="uint8")
    for draw in (ws.contribution_map, ws.hires_cam, ws.grad_cam):
        expected = draw(exact, pictures, 1)
        assert draw(model, pictures, 1).dtype == np.float32
        np.testing.assert_allclose(draw(model, pictures, 1), expected, atol=0.01 * np.abs(expected).max())


def test_the_model_stays_as_it_was():
    model = ws.build_classifier("small_patch", "gwap", classes=4, image_size=64)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype="uint8")
    described, scores = model.to_json(), np.asarray(model.predict_on_batch(pictures))
    for _ in range(3):
        ws.hires_cam(model, pictures)
    assert model.to_json() == described
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch(pictures)), scores)
    assert split_at(model) is split_at(model)
    assert len(model.get_layer("pooling")._inbound_nodes) == 2  # its own call, and one of the tail


def test_a_cut_goes_with_its_model():
    model = small(lambda x: plain(keras.ops.square(x)))
    ws.hires_cam(model, images())
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("kind", ["subclassed", "unbuilt", "two-outputs", "map", "vectors"])
def test_a_model_without_one_image_in_and_one_vector_out_is_refused(kind):
    inputs = keras.Input((4, 4, 3))
    vector = keras.Input((4,))
    model = {
        "subclassed": lambda: Subclassed(name="model"),
        "unbuilt": lambda: keras.Sequential([layers.Flatten(), layers.Dense(2)], name="model"),
        "two-outputs": lambda: keras.Model(inputs, [layers.Dense(2)(mean(inputs)) for _ in range(2)], name="model"),
        "map": lambda: keras.Model(inputs, layers.Conv2D(2, 1)(inputs), name="model"),
        "vectors": lambda: keras.Model(vector, layers.Dense(2)(vector), name="model"),
    }[kind]()
    with pytest.raises(ValueError, match="'model' must be a functional model, or a sequential one that is built, with"):
        ws.hires_cam(model, images())


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="A Keras model is needed; received an object of type 'str'."):
        ws.grad_cam("Xception", images())


def test_layers_with_a_feature_map_are_listed():
    model = ws.build_classifier("small_patch", "wise", classes=4, image_size=96)
    named = "the last first: 'features', 'mix2_relu', 'mix2_bn', 'mix2_conv', …."
    for missing in ("block14", "pooling", "predictions"):
        with pytest.raises(ValueError, match=f"'small_patch_wise' has no layer '{missing}' that gives .*; .*{named}$"):
            ws.grad_cam(model, np.zeros((1, 96, 96, 3)), layer=missing)
    with pytest.raises(ValueError, match="has no layer 'features' .*; those that do, the last first: 'only'.$"):
        ws.grad_cam(small(plain, layers.Identity(name="only")), images())
    inputs = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="has no layer 'features' .*; no layer does.$"):
        ws.grad_cam(keras.Model(inputs, plain(inputs)), images())


def test_a_layer_that_is_called_twice_gives_no_one_map():
    twice = layers.Conv2D(3, 1, name="features")
    with pytest.raises(ValueError, match="has no layer 'features' that gives one feature map"):
        ws.grad_cam(small(lambda x: plain(twice(x)), twice), images())


def test_a_path_past_the_layer_is_refused():
    inputs = keras.Input((4, 4, 3))
    inner = layers.Conv2D(3, 1, name="inner")(inputs)
    model = keras.Model(inputs, plain(layers.Add(name="sum")([inputs, inner])), name="residual")
    with pytest.raises(ValueError, match="'residual' can't be split at 'inner': a path leads past it"):
        ws.grad_cam(model, images(), layer="inner")
    assert ws.grad_cam(model, images(), layer="sum").any()


@pytest.mark.parametrize(
    "after",
    [
        lambda x: layers.Dense(2, "sigmoid", name="last")(mean(x)),
        lambda x: layers.Activation("tanh", name="last")(plain(x)),
        lambda x: layers.GlobalMaxPooling2D(name="last")(x),
    ],
)
def test_an_end_without_logits_is_refused(after):
    with pytest.raises(
        ValueError, match="The logits of 'small' can't be told from its outputs: its last layer, 'last'"
    ):
        ws.hires_cam(small(after), images())
