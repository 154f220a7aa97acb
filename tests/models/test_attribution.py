"""Maps of where a classifier looks: contributions add up to the logit, the CAMs are its slopes, times the features."""

import functools

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models import attribution
from wisesr_helpers.models.attribution import SplitClassifier, position_weights

CLASSES = 4
NONLINEAR = ["gwap", "vgg_fc"]
LINEAR = [head for head in ws.HEADS if head not in NONLINEAR]
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


def bias_terms(model):
    """What the logits hold without any feature: (classes,)."""
    kernel, bias = model.get_layer("predictions").get_weights()
    pooling = [layer for layer in model.layers if isinstance(layer, ws.layers.GlobalDepthwisePooling2D)]
    return bias + (pooling[0].get_weights()[1] @ kernel if pooling else 0)


@pytest.mark.parametrize("image_size", [96, 256])
@pytest.mark.parametrize("head", [head for head in ws.HEADS if head != "vgg_fc"])
def test_contributions_and_biases_add_up_to_the_logit_of_every_class(head, image_size):
    model, images = classifier(head, image_size), pictures(image_size)
    logits = np.asarray(model.predict_on_batch(images))
    biases = bias_terms(model)
    assert (np.abs(biases) > 1e-3).all()
    for k in range(CLASSES):
        added = ws.contribution_map(model, images, [k] * len(images))
        assert added.dtype == np.float32
        assert added.shape == (len(images), image_size // 32, image_size // 32)
        np.testing.assert_allclose(added.sum(axis=(1, 2)) + biases[k], logits[:, k], atol=1e-4)
    assert np.ptp(logits, axis=1).min() > 1e-2  # the classes differ by more than the tolerance


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


@pytest.mark.parametrize("head", ["gap", "wise", "gwap"])
@pytest.mark.parametrize("kind", MAPS)
def test_each_image_gets_the_class_it_is_given(kind, head):
    model, images = classifier(head, 256), pictures(256)
    draw = getattr(ws, kind)
    chosen = np.array([3, 0, 2, 1, 1, 0])
    mixed = draw(model, images, chosen)
    for image, k, own in zip(images, chosen, mixed, strict=True):
        np.testing.assert_allclose(own, draw(model, image[None], [k])[0], atol=1e-5)
    assert np.abs(mixed - draw(model, images, (chosen + 1) % CLASSES)).max() > 1e-2


@pytest.mark.parametrize("head", ["gap", "wise", "gwap"])
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


@pytest.mark.parametrize("head", LINEAR)
def test_weights_and_gradient_of_a_linear_head_make_the_same_maps(head, monkeypatch):
    model, images, chosen = classifier(head, 96), pictures(96), [3, 0, 2, 1, 1, 0]
    by_weights = {kind: getattr(ws, kind)(model, images, chosen) for kind in MAPS}
    assert_same(by_weights["hires_cam"], by_weights["contribution_map"])
    monkeypatch.setattr(attribution, "_linear_weights", lambda split: None)
    for kind in CAMS:
        assert_same(getattr(ws, kind)(model, images, chosen), by_weights[kind])


@pytest.mark.parametrize("head", ["gap", "wise", "avg_fc", *NONLINEAR])
@pytest.mark.parametrize("kind", CAMS)
def test_only_a_nonlinear_head_needs_a_gradient(kind, head, monkeypatch):
    asked = []

    def gradient(split, features, classes):
        asked.append(features.shape)
        return np.zeros_like(features)

    monkeypatch.setattr(SplitClassifier, "gradient", gradient)
    image_size = 64 if head == "vgg_fc" else 96
    maps = getattr(ws, kind)(classifier(head, image_size), pictures(image_size))
    assert bool(asked) == (head in NONLINEAR)
    assert maps.any() == (head not in NONLINEAR)


@pytest.mark.parametrize("head", ["gap", "gap_dropout"])
def test_behind_global_average_pooling_both_cams_are_one(head):
    model, images = classifier(head, 96), pictures(96)
    assert_same(ws.grad_cam(model, images), ws.hires_cam(model, images), 1e-6)


@pytest.mark.parametrize("head", ["wise", "depthwise", "gwap_fixed", "gwap", "flatten_fc"])
def test_behind_weights_by_position_the_cams_differ(head):
    model, images = classifier(head, 256), pictures(256)
    grad, hires = ws.grad_cam(model, images, 0), ws.hires_cam(model, images, 0)
    assert np.abs(grad - hires).max() > 0.1 * np.abs(hires).max()


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


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize(
    "classes",
    [4, -1, 1.0, "1", True, [], [0, 1], [0, 1, 4], [0, 1, -1], [0, 1, 2.5], [[0], [1], [2]], [[0], [1, 2], 0]],
)
def test_classes_that_the_images_cannot_have_are_refused(classes, kind):
    with pytest.raises(
        ValueError, match="class_indices must be one .* a list of 3 .* from 0 to 3. Received"
    ) as refused:
        getattr(ws, kind)(classifier("wise", 96), pictures(96, 3), classes)
    assert repr(classes) in str(refused.value)


@pytest.mark.parametrize("kind", MAPS)
def test_images_that_the_model_does_not_take_are_refused(kind):
    draw, model, whole = getattr(ws, kind), classifier("wise", 96), pictures(96, 2)
    takes = r"'small_patch_wise' takes images \(None, 96, 96, 3\), all of one size, uint8 or other numbers; received "
    with pytest.raises(ValueError, match=takes + r"uint8 of shape \(96, 96, 3\). One image is image\[None\]."):
        draw(model, whole[0])
    for images, received in (
        (whole[:, :64], r"uint8 of shape \(2, 64, 96, 3\)."),
        (whole[:0], r"uint8 of shape \(0, 96, 96, 3\)."),
        ([whole[0], whole[1, :64]], r"object of shape \(2,\)."),
        (whole.astype(str), r"<U3 of shape \(2, 96, 96, 3\)."),
    ):
        with pytest.raises(ValueError, match=takes + received + "$"):
            draw(model, images)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, None])
def test_a_batch_is_a_whole_number_of_images(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be a whole number of at least 1; received {batch_size}."):
        ws.grad_cam(classifier("gap", 96), pictures(96), batch_size=batch_size)


def test_gap_weighs_every_position_the_same():
    model = classifier("gap", 256)
    kernel, _ = model.get_layer("predictions").get_weights()  # (96, 4)
    weights = position_weights(model)
    assert weights.shape == (8, 8, 96, CLASSES)
    np.testing.assert_allclose(weights, np.broadcast_to(kernel / 64, weights.shape), rtol=1e-6)


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


def test_dropout_between_pooling_and_classifier_changes_nothing():
    plain = classifier("gap", 96)
    x = keras.layers.Dropout(0.5)(plain.get_layer("pooling").output)
    dropped = keras.Model(plain.input, plain.get_layer("predictions")(x))
    np.testing.assert_array_equal(ws.contribution_map(dropped, pictures(96)), ws.contribution_map(plain, pictures(96)))


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


@pytest.mark.parametrize("head", NONLINEAR)
def test_a_nonlinear_head_has_no_weights_by_position(head):
    with pytest.raises(ValueError, match="can't be taken apart by positions: .* ws.hires_cam take any head"):
        position_weights(classifier(head, 64))


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
