"""Maps of where a classifier looks: contributions add up to the logit, the CAMs are its slopes, times the features."""

import functools
import gc
import itertools
import re
import weakref

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models.attribution import SplitClassifier, pooling_weights, split_at
from wisesr_helpers.models.heads import head_layers

CLASSES = 4
MAPS = ["contribution_map", "grad_cam", "hires_cam"]
CAMS = MAPS[1:]


@functools.cache  # nobody changes it
def classifier(head, image_size):
    """A classifier with logits; every weight of its head is random, biases and negative ones included."""
    keras.utils.set_random_seed(0)
    model = ws.build_classifier("small_patch", head, classes=CLASSES, image_size=image_size, classifier_activation=None)
    rng = np.random.default_rng(1)
    for layer in model.layers[[layer.name for layer in model.layers].index("features") :]:
        layer.set_weights([rng.normal(size=weight.shape) / 10 for weight in layer.get_weights()])
    return model


def pictures(image_size, count=6):
    return np.random.default_rng(2).integers(0, 256, (count, image_size, image_size, 3), dtype="uint8")


def predicted_variously(head, image_size):
    """A classifier that predicts more than one class, and what it predicts."""
    model = classifier.__wrapped__(head, image_size)
    kernel, bias = model.get_layer("predictions").get_weights()
    logits = np.asarray(model.predict_on_batch(pictures(image_size)))
    model.get_layer("predictions").set_weights([kernel, bias - logits.mean(axis=0)])
    predicted = np.asarray(model.predict_on_batch(pictures(image_size))).argmax(axis=1)
    assert len(set(predicted)) > 1
    return model, predicted


def assert_same(actual, expected, tolerance=1e-5):
    """Equal but for a rounding of the largest value, which is no rounding itself."""
    most = np.abs(expected).max()
    assert most > 1e-2
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * most)


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("kind", MAPS)
def test_each_image_gets_the_class_it_is_given_and_else_the_predicted_one(kind, head):
    model, predicted = predicted_variously(head, 96)
    draw, images = getattr(ws, kind), pictures(96)
    by_class = [draw(model, images, [k] * len(images)) for k in range(CLASSES)]
    assert min(np.abs(one - two).max() for one, two in itertools.combinations(by_class, 2)) > 1e-2
    for chosen in ([3, 0, 2, 1, 1, 0], predicted, (2,) * len(images)):
        expected = [by_class[k][n] for n, k in enumerate(chosen)]
        np.testing.assert_allclose(draw(model, images, chosen), expected, atol=1e-6)
    np.testing.assert_array_equal(draw(model, images), draw(model, images, predicted))
    for same in (2, np.int64(2), np.full(len(images), 2, "uint8")):
        np.testing.assert_array_equal(draw(model, images, same), by_class[2])


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("kind", MAPS)
def test_batches_bound_what_is_processed_at_once_and_change_nothing(kind, head, monkeypatch):
    model, _ = predicted_variously(head, 96)
    draw, images, at_once = getattr(ws, kind), pictures(96, 5), []
    run = SplitClassifier.run
    monkeypatch.setattr(SplitClassifier, "run", lambda split, batch: at_once.append(len(batch)) or run(split, batch))
    for classes in (None, [3, 0, 2, 1, 1]):
        whole = draw(model, images, classes)
        np.testing.assert_allclose(draw(model, images, classes, batch_size=2), whole, atol=1e-6)
        np.testing.assert_allclose(draw(model, images[:4], classes and classes[:4], batch_size=4), whole[:4], atol=1e-6)
    assert at_once == [5, 2, 2, 2, 4] * 2  # an uneven last batch is filled up: it would be compiled for anew
    assert np.abs(whole[0] - whole[1:]).max() > 1e-2


@pytest.mark.parametrize("kind", CAMS)
def test_relu_keeps_what_speaks_for_the_class(kind):
    model, images = classifier("gap", 96), pictures(96)
    raw = getattr(ws, kind)(model, images, 1)
    assert raw.min() < -1e-2
    assert raw.max() > 1e-2
    np.testing.assert_array_equal(getattr(ws, kind)(model, images, 1, relu=True), raw * (raw > 0))


def test_maps_of_four_cells_by_hand():
    inputs = keras.Input((2, 2, 1))
    features = keras.layers.Identity(name="features")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(features)))
    model.layers[-1].set_weights([np.array([[1.0, 0], [2, 0], [3, 0], [6, 0]]), np.zeros(2)])
    image = np.array([[1.0, 0], [0, 2]]).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(ws.hires_cam(model, image, 0), [[[1, 0], [0, 12]]])
    np.testing.assert_array_equal(ws.contribution_map(model, image, 0), [[[1, 0], [0, 12]]])
    assert ws.contribution_map(model, image, 0).dtype == np.float32
    np.testing.assert_array_equal(ws.grad_cam(model, image, 0), [[[3, 0], [0, 6]]])  # the mean weight is 3


def slopes(function, maps, step=1e-6):
    """Central differences of a function of one feature map (h, w, C), for every value of it: the same shape."""
    moves = step * np.eye(maps.size).reshape(-1, *maps.shape)
    return ((function(maps + moves) - function(maps - moves)) / (2 * step)).reshape(maps.shape)


@functools.cache  # nobody changes it
def with_softmax(head, end):
    """The classifier with probabilities."""
    model = classifier(head, 96)
    if end == "inside":
        other = ws.build_classifier("small_patch", head, classes=CLASSES, image_size=96)
        other.set_weights(model.get_weights())
        return other
    last = keras.layers.Activation("softmax") if end == "activation" else keras.layers.Softmax()
    return keras.Model(model.input, last(model.output))


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("end", ["inside", "activation", "softmax"])
@pytest.mark.parametrize("kind", MAPS)
def test_a_softmax_changes_nothing(kind, end, head):
    model, other, images = classifier(head, 96), with_softmax(head, end), pictures(96)
    np.testing.assert_allclose(np.asarray(other.predict_on_batch(images)).sum(axis=1), 1, rtol=1e-5)
    assert_same(getattr(ws, kind)(other, images), getattr(ws, kind)(model, images))


@pytest.mark.parametrize("head", ["wise", "avg_fc", "gwap"])
@pytest.mark.parametrize("kind", CAMS)
def test_only_a_nonlinear_head_needs_a_gradient(kind, head, monkeypatch):
    monkeypatch.setattr(SplitClassifier, "gradient", lambda split, features, classes: np.zeros_like(features))
    assert getattr(ws, kind)(classifier(head, 96), pictures(96)).any() == (head != "gwap")


IMAGES = pictures(96, 3)
TAKES = r"'small_patch_wise' takes images \(None, 96, 96, 3\), all of one size, uint8 or other numbers; received "
CLASS = r"class_indices must be one .* a list of 3 .* from 0 to 3. Received "


@pytest.mark.parametrize(
    ("images", "choices", "said"),
    [
        (IMAGES[0], {}, TAKES + r"uint8 of shape \(96, 96, 3\). One image is image\[None\]."),
        (IMAGES[:, :64], {}, TAKES + r"uint8 of shape \(3, 64, 96, 3\).$"),
        (IMAGES[:0], {}, TAKES + r"uint8 of shape \(0, 96, 96, 3\).$"),
        ([IMAGES[0], IMAGES[1, :64]], {}, TAKES + r"object of shape \(2,\).$"),
        (IMAGES.astype(str), {}, TAKES + r"<U3 of shape \(3, 96, 96, 3\).$"),
        *(
            (IMAGES, {"class_indices": classes}, CLASS + re.escape(repr(classes)))
            for classes in (4, -1, 1.0, "1", True, [], [0, 1], [0, 1, 4], [0, 1, -1], [0, 1, 2.5], [[0], [1, 2], 0])
        ),
        *(
            (IMAGES, {"batch_size": size}, f"batch_size must be a whole number of at least 1; received {size}.")
            for size in (0, -1, 1.5, True, None)
        ),
    ],
)
def test_what_can_not_be_drawn_is_refused(images, choices, said):
    for draw in (ws.grad_cam, ws.hires_cam, ws.contribution_map):
        with pytest.raises(ValueError, match=said):
            draw(classifier("wise", 96), images, **choices)


def test_wise_weighs_a_position_by_its_block_and_leaves_out_what_fills_none():
    model = classifier("wise", 96)  # 3×3 cells, one block of 2×2
    depthwise, _ = model.get_layer("pooling").get_weights()  # (1, 1, 96, 1)
    expected = np.zeros((3, 3, 96))
    expected[:2, :2] = depthwise[0, 0, :, 0] / 4
    np.testing.assert_allclose(pooling_weights(model), expected, rtol=1e-5)


def test_weights_by_position_need_a_map_of_known_size():
    inputs = keras.Input((None, None, 3))
    features = keras.layers.Identity(name="features")(inputs)
    model = keras.Model(
        inputs, keras.layers.Dense(2, name="predictions")(keras.layers.GlobalAveragePooling2D()(features))
    )
    image = np.random.default_rng(0).normal(size=(1, 5, 4, 3))
    with pytest.raises(ValueError, match="a map of known size"):
        ws.contribution_map(model, image)
    kernel, _ = model.get_layer("predictions").get_weights()
    assert_same(ws.hires_cam(model, image, 1), image @ kernel[:, 1] / 20)


# Anybody's model: where it is split, its gradient there, and what is refused.

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


def dense(activation=None, units=2):
    return layers.Dense(units, activation, bias_initializer="ones")


def softmax(x):
    powers = np.exp(x)
    return powers / powers.sum(axis=-1, keepdims=True)


def branches(x):
    return dense("softmax")(dense("relu", 50)(layers.Concatenate()([mean(x), layers.GlobalMaxPooling2D()(x)])))


def logits_of_branches(maps, a, b, c, d):
    both = np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)
    return np.maximum(both @ a + b, 0) @ c + d


def head(name):
    """Applies a head of the project."""
    return lambda x: functools.reduce(lambda y, layer: layer(y), head_layers(name, (4, 4, 3), 2), x)


def logits_of_gwap(maps, w, b, kernel, bias):
    powers = np.exp(1 / (1 + np.exp(-(maps @ w + b))))  # (N, h, w, 1)
    return (maps * powers).sum(axis=(1, 2)) / powers.sum(axis=(1, 2)) @ kernel + bias


def logits_of_vgg(maps, a, b, c, d, kernel, bias):
    hidden = np.maximum(maps.reshape(len(maps), -1) @ a + b, 0)
    return np.maximum(hidden @ c + d, 0) @ kernel + bias


# What makes scores of a feature map, and its logits in NumPy, given the map and the weights.
ENDS = {
    "gwap": (head("gwap"), logits_of_gwap),
    "vgg_fc": (head("vgg_fc"), logits_of_vgg),
    "branches": (branches, logits_of_branches),
    "an operation": (
        lambda x: dense()(mean(keras.ops.square(x))),
        lambda maps, a, b: (maps**2).mean(axis=(1, 2)) @ a + b,
    ),
    "a softmax of its own": (
        lambda x: layers.Softmax()(dense("relu")(mean(x))),
        lambda maps, a, b: np.maximum(maps.mean(axis=(1, 2)) @ a + b, 0),
    ),
    "a second softmax": (
        lambda x: layers.Softmax()(dense("softmax")(mean(x))),
        lambda maps, a, b: softmax(maps.mean(axis=(1, 2)) @ a + b),
    ),
    "no bias": (
        lambda x: layers.Dense(2, "softmax", use_bias=False)(mean(x)),
        lambda maps, a: maps.mean(axis=(1, 2)) @ a,
    ),
    "no fully connected layer": (
        lambda x: layers.Softmax()(mean(layers.Conv2D(2, 1)(x))),
        lambda maps, a, b: maps.mean(axis=(1, 2)) @ a[0, 0] + b,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_cams_of_a_nonlinear_head_are_the_slopes_of_its_logit(end):
    after, logits = ENDS[end]
    model, maps, classes, rng = small(after), images(), np.array([1, 0, 1]), np.random.default_rng(0)
    weights = [rng.normal(size=w.shape) / np.sqrt(w.shape[0]) for w in model.get_weights()]
    model.set_weights(weights)
    np.testing.assert_allclose(split_at(model).logits(maps), logits(maps, *weights), atol=1e-5)
    slope = np.stack(
        [slopes(lambda x, k=k: logits(x, *weights)[:, k], f) for f, k in zip(maps.astype(float), classes, strict=True)]
    )  # (3, 4, 4, 3)
    assert_same(ws.hires_cam(model, maps, classes), (slope * maps).sum(axis=-1), 1e-4)
    assert_same(ws.grad_cam(model, maps, classes), (slope.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=-1), 1e-4)


def test_a_logit_that_no_feature_moves_has_an_empty_map():
    model = small(lambda x: layers.Dense(2)(mean(keras.ops.stop_gradient(x))))
    assert not ws.hires_cam(model, images()).any()
    assert np.ptp(np.asarray(model.predict_on_batch(images()))) > 1e-2


@pytest.mark.parametrize("head", ["wise", "gwap"])
def test_another_layer_of_the_backbone_may_be_chosen(head):
    model = ws.build_classifier("small_patch", head, classes=4, image_size=96)
    given = pictures(96, 2)
    hires = ws.hires_cam(model, given, 1, layer="mix2_relu")  # what "features" passes on
    np.testing.assert_allclose(hires, ws.hires_cam(model, given, 1), rtol=1e-3, atol=1e-7)
    earlier = ws.hires_cam(model, given, 1, layer="mix1_relu")
    assert earlier.shape == (2, 6, 6)
    assert earlier.any()
    assert ws.grad_cam(model, given, 1, layer="mix1_relu").shape == (2, 6, 6)


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
    given = pictures(64, 2)
    draw = (ws.contribution_map, ws.hires_cam, ws.grad_cam)
    before = [cam(model, given, 1) for cam in draw]
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([2 * kernel, bias])
    for cam, first in zip(draw, before, strict=True):
        np.testing.assert_allclose(cam(model, given, 1), 2 * first, rtol=1e-4, atol=1e-6)
    patches = model.get_layer("mix2_bn")
    patches.set_weights([np.zeros_like(weight) for weight in patches.get_weights()])
    assert not any(cam(model, given, 1).any() for cam in draw)
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
    given = pictures(64, 2)
    for draw in (ws.contribution_map, ws.hires_cam, ws.grad_cam):
        expected = draw(exact, given, 1)
        assert draw(model, given, 1).dtype == np.float32
        np.testing.assert_allclose(draw(model, given, 1), expected, atol=0.01 * np.abs(expected).max())


def test_the_model_stays_as_it_was():
    model = ws.build_classifier("small_patch", "gwap", classes=4, image_size=64)
    given = pictures(64, 2)
    described, scores = model.to_json(), np.asarray(model.predict_on_batch(given))
    for _ in range(3):
        ws.hires_cam(model, given)
    assert model.to_json() == described
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch(given)), scores)
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


def refused(kind):
    """A model that can't be split at "features"."""
    inputs, vector, twice = keras.Input((4, 4, 3)), keras.Input((4,)), layers.Conv2D(3, 1, name="features")
    return {
        "no model": lambda: "Xception",
        "subclassed": lambda: Subclassed(name="model"),
        "unbuilt": lambda: keras.Sequential([layers.Flatten(), layers.Dense(2)], name="model"),
        "two outputs": lambda: keras.Model(inputs, [dense()(mean(inputs)) for _ in range(2)], name="model"),
        "map": lambda: keras.Model(inputs, layers.Conv2D(2, 1)(inputs), name="model"),
        "vectors": lambda: keras.Model(vector, dense()(vector), name="model"),
        "no map": lambda: keras.Model(inputs, plain(inputs)),
        "another name": lambda: small(plain, layers.Identity(name="only")),
        "called twice": lambda: small(lambda x: plain(twice(x)), twice),
        "sigmoid": lambda: small(lambda x: layers.Dense(2, "sigmoid", name="last")(mean(x))),
        "tanh": lambda: small(lambda x: layers.Activation("tanh", name="last")(plain(x))),
        "maximum": lambda: small(layers.GlobalMaxPooling2D(name="last")),
    }[kind]()


NO_GRAPH = "'model' must be a functional model, or a sequential one that is built, with"
NO_LOGITS = "The logits of 'small' can't be computed: its last layer, 'last', must be a softmax, a fully"


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("no model", TypeError, "A Keras model is needed; received an object of type 'str'."),
        *((kind, ValueError, NO_GRAPH) for kind in ("subclassed", "unbuilt", "two outputs", "map", "vectors")),
        ("no map", ValueError, "has no layer 'features' .*; no layer does.$"),
        ("another name", ValueError, "has no layer 'features' .*; those that do, the last first: 'only'.$"),
        ("called twice", ValueError, "has no layer 'features' that gives one feature map"),
        *((kind, ValueError, NO_LOGITS) for kind in ("sigmoid", "tanh", "maximum")),
    ],
)
def test_a_model_that_can_not_be_split_is_refused(kind, error, said):
    with pytest.raises(error, match=said):
        ws.hires_cam(refused(kind), images())


@pytest.mark.parametrize(
    "after",
    [
        lambda x: dense()(layers.GlobalMaxPooling2D()(x)),
        lambda x: dense()(dense("relu", 5)(mean(x))),
        lambda x: layers.Softmax()(mean(x)),
        lambda x: dense()(mean(keras.ops.square(x))),
        lambda x: layers.Softmax()(dense("relu")(mean(x))),
        lambda x: dense()(layers.Add()([mean(x), layers.GlobalMaxPooling2D()(x)])),
        *(
            lambda x, pooling=pooling: dense()(layers.Flatten()(layers.AveragePooling2D(**pooling)(x)))
            for pooling in ({"pool_size": 2, "strides": 1}, {"pool_size": 3, "padding": "same"}, {"pool_size": (2, 1)})
        ),
    ],
)
def test_a_head_that_can_not_be_taken_apart_is_refused(after):
    model = small(after)
    for take_apart in (lambda: ws.contribution_map(model, images()), lambda: pooling_weights(model)):
        with pytest.raises(ValueError, match="'small' can't be taken apart by positions: .* 'features'"):
            take_apart()


def test_layers_with_a_feature_map_are_listed():
    model = ws.build_classifier("small_patch", "wise", classes=4, image_size=96)
    named = "the last first: 'features', 'mix2_relu', 'mix2_bn', 'mix2_conv', …."
    for missing in ("block14", "pooling", "predictions"):
        with pytest.raises(ValueError, match=f"'small_patch_wise' has no layer '{missing}' that gives .*; .*{named}$"):
            ws.grad_cam(model, np.zeros((1, 96, 96, 3)), layer=missing)


def test_a_path_past_the_layer_is_refused():
    inputs = keras.Input((4, 4, 3))
    inner = layers.Conv2D(3, 1, name="inner")(inputs)
    model = keras.Model(inputs, plain(layers.Add(name="sum")([inputs, inner])), name="residual")
    with pytest.raises(ValueError, match="'residual' can't be split at 'inner': a path leads past it"):
        ws.grad_cam(model, images(), layer="inner")
    assert ws.grad_cam(model, images(), layer="sum").any()
