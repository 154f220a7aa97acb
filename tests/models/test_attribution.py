"""Maps of where a classifier looks: contributions add up to the logit, the CAMs are its slopes, times the features."""

import functools
import gc
import re
import weakref

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models.attribution import SplitClassifier, position_weights, split_at

CLASSES = 4
NONLINEAR = ["gwap", "vgg_fc"]
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


def feature_maps(model, images):
    return np.asarray(keras.Model(model.input, model.get_layer("features").output).predict_on_batch(images))


def assert_same(actual, expected, tolerance=1e-5):
    """Equal but for a rounding of the largest value, which is no rounding itself."""
    most = np.abs(expected).max()
    assert most > 1e-2
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * most)


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("kind", MAPS)
def test_each_image_gets_the_class_it_is_given(kind, head):
    model, images = classifier(head, 256), pictures(256)
    draw = getattr(ws, kind)
    chosen = np.array([3, 0, 2, 1, 1, 0])
    mixed = draw(model, images, chosen)
    for image, k, own in zip(images, chosen, mixed, strict=True):
        np.testing.assert_allclose(own, draw(model, image[None], [k])[0], atol=1e-5)
    assert np.abs(mixed - draw(model, images, (chosen + 1) % CLASSES)).max() > 1e-2


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("kind", MAPS)
def test_the_predicted_class_is_the_default(kind, head):
    model, predicted = predicted_variously(head, 256)
    draw, images = getattr(ws, kind), pictures(256)
    default = draw(model, images)
    np.testing.assert_array_equal(default, draw(model, images, predicted))
    assert np.abs(default - draw(model, images, [0] * len(images))).max() > 1e-2


@pytest.mark.parametrize("kind", MAPS)
def test_one_class_stands_for_all_images(kind):
    model, images = classifier("wise", 96), pictures(96)
    draw = getattr(ws, kind)
    twos = draw(model, images, [2] * len(images))
    for same in (2, np.int64(2), (2,) * len(images), np.full(len(images), 2, "uint8")):
        np.testing.assert_array_equal(draw(model, images, same), twos)
    assert np.abs(draw(model, images, 1) - twos).max() > 1e-2


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


def logits_of(head, model, maps):
    """What a head makes of feature maps (N, h, w, C), written out in float64: (N, classes)."""
    weights = [w.astype(np.float64) for step in model.layers for w in step.get_weights()]
    if head == "gwap":
        w, b, kernel, bias = weights[-4:]
        powers = np.exp(1 / (1 + np.exp(-(maps @ w + b))))  # (N, h, w, 1)
        hidden = (maps * powers).sum(axis=(1, 2)) / powers.sum(axis=(1, 2))
    else:
        w1, b1, w2, b2, kernel, bias = weights[-6:]
        hidden = np.maximum(np.maximum(maps.reshape(len(maps), -1) @ w1 + b1, 0) @ w2 + b2, 0)
    return hidden @ kernel + bias


def slopes(function, maps, step=1e-6):
    """Central differences of a function of one feature map (h, w, C), for every value of it: the same shape."""
    moves = step * np.eye(maps.size).reshape(-1, *maps.shape)
    return ((function(maps + moves) - function(maps - moves)) / (2 * step)).reshape(maps.shape)


@pytest.mark.parametrize("head", NONLINEAR)
def test_the_cams_of_a_nonlinear_head_are_the_slopes_of_its_logit(head):
    model, images, chosen = classifier(head, 64), pictures(64, 2), [3, 1]
    maps = feature_maps(model, images).astype(np.float64)
    np.testing.assert_allclose(logits_of(head, model, maps), np.asarray(model.predict_on_batch(images)), rtol=1e-4)
    own = [slopes(lambda x, k=k: logits_of(head, model, x)[:, k], f) for f, k in zip(maps, chosen, strict=True)]
    slope = np.stack(own)  # (2, 2, 2, 96)
    assert_same(ws.hires_cam(model, images, chosen), (slope * maps).sum(axis=-1), 1e-4)
    assert_same(ws.grad_cam(model, images, chosen), (slope.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=-1), 1e-4)


@pytest.mark.parametrize("head", ["wise", "gwap"])
@pytest.mark.parametrize("end", ["inside", "activation", "softmax"])
@pytest.mark.parametrize("kind", MAPS)
def test_a_softmax_changes_nothing(kind, end, head):
    model, images = classifier(head, 96), pictures(96)
    if end == "inside":
        other = ws.build_classifier("small_patch", head, classes=CLASSES, image_size=96)
        other.set_weights(model.get_weights())
    else:
        last = keras.layers.Activation("softmax") if end == "activation" else keras.layers.Softmax()
        other = keras.Model(model.input, last(model.output))
    np.testing.assert_allclose(np.asarray(other.predict_on_batch(images)).sum(axis=1), 1, rtol=1e-5)
    assert_same(getattr(ws, kind)(other, images), getattr(ws, kind)(model, images))


@pytest.mark.parametrize("head", ["gap", "wise", "depthwise", "gwap_fixed", "gwap", "flatten_fc"])
def test_both_cams_are_one_behind_equal_weights_and_differ_behind_weights_by_position(head):
    model, images = classifier(head, 256), pictures(256)
    grad, hires = ws.grad_cam(model, images, 0), ws.hires_cam(model, images, 0)
    if head == "gap":
        assert_same(grad, hires, 1e-6)
    else:
        assert np.abs(grad - hires).max() > 0.1 * np.abs(hires).max()


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
    depthwise, _ = model.get_layer("pooling").get_weights()
    kernel, _ = model.get_layer("predictions").get_weights()
    assert depthwise.shape == (1, 1, 96, 1)
    expected = np.zeros((3, 3, 96, CLASSES))
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for channel in range(96):
            expected[row, column, channel] = depthwise[0, 0, channel, 0] / 4 * kernel[channel]
    np.testing.assert_allclose(position_weights(model), expected, rtol=1e-5)
    added = ws.contribution_map(model, pictures(96))
    assert not added[:, 2].any()
    assert not added[:, :, 2].any()
    assert added[:, :2, :2].all()


def other_models():
    inputs = keras.Input((4, 4, 3))
    features = keras.layers.Identity(name="features")(inputs)
    mean, flat, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Flatten(), keras.layers.Dense
    overlapping = keras.layers.AveragePooling2D(2, strides=1)(features)
    padded = keras.layers.AveragePooling2D(3, padding="same")(features)
    oblong = keras.layers.AveragePooling2D((2, 1))(features)
    return {
        "maximum": keras.Model(inputs, dense(2)(keras.layers.GlobalMaxPooling2D()(features))),
        "hidden": keras.Model(inputs, dense(2)(dense(5, "relu")(mean(features)))),
        "no-classifier": keras.Model(inputs, keras.layers.Softmax()(mean(features))),
        "squared": keras.Model(inputs, dense(2)(mean(keras.ops.square(features)))),
        "rectified": keras.Model(inputs, keras.layers.Softmax()(dense(2, "relu")(mean(features)))),
        "two-paths": keras.Model(
            inputs, dense(2)(keras.layers.Add()([mean(features), keras.layers.GlobalMaxPooling2D()(features)]))
        ),
        "overlapping": keras.Model(inputs, dense(2)(flat(overlapping))),
        "padded": keras.Model(inputs, dense(2)(keras.layers.Flatten()(padded))),
        "oblong": keras.Model(inputs, dense(2)(keras.layers.Flatten()(oblong))),
    }


@pytest.mark.parametrize("kind", other_models())
def test_a_model_without_such_a_head_is_refused(kind):
    model = other_models()[kind]
    for take_apart in (lambda: ws.contribution_map(model, np.zeros((1, 4, 4, 3))), lambda: position_weights(model)):
        with pytest.raises(ValueError, match=rf"'{model.name}' can't be taken apart by positions: .* 'features'"):
            take_apart()


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
