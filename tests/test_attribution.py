"""Contribution maps: with the biases they add up to the logit, exactly."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.attribution import contribution_map, position_weights

CLASSES = 4


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
        added = contribution_map(model, images, [k] * len(images))
        assert added.dtype == np.float32
        assert added.shape == (len(images), image_size // 32, image_size // 32)
        np.testing.assert_allclose(added.sum(axis=(1, 2)) + biases[k], logits[:, k], atol=1e-4)
    assert np.ptp(logits, axis=1).min() > 1e-2  # the classes differ by more than the tolerance


@pytest.mark.parametrize("head", ["gap", "wise"])
def test_each_image_gets_the_class_it_is_given(head):
    model, images = classifier(head, 256), pictures(256)
    chosen = np.array([3, 0, 2, 1, 1, 0])
    mixed = contribution_map(model, images, chosen)
    for image, k, added in zip(images, chosen, mixed, strict=True):
        np.testing.assert_allclose(added, contribution_map(model, image[None], [k])[0], atol=1e-5)
    assert np.abs(mixed - contribution_map(model, images, (chosen + 1) % CLASSES)).max() > 1e-2


@pytest.mark.parametrize("head", ["gap", "wise"])
def test_the_predicted_class_is_the_default(head):
    model, images = classifier(head, 256), pictures(256)
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel, bias - np.asarray(model.predict_on_batch(images)).mean(axis=0)])
    predicted = np.asarray(model.predict_on_batch(images)).argmax(axis=1)
    assert len(set(predicted)) > 1
    default = contribution_map(model, images)
    np.testing.assert_array_equal(default, contribution_map(model, images, predicted))
    assert np.abs(default - contribution_map(model, images, [0] * len(images))).max() > 1e-2


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
    added = contribution_map(model, pictures(96))
    assert not added[:, 2].any()
    assert not added[:, :, 2].any()
    assert added[:, :2, :2].all()


def test_dropout_between_pooling_and_classifier_changes_nothing():
    plain = classifier("gap", 96)
    x = keras.layers.Dropout(0.5)(plain.get_layer("pooling").output)
    dropped = keras.Model(plain.input, plain.get_layer("predictions")(x))
    np.testing.assert_array_equal(contribution_map(dropped, pictures(96)), contribution_map(plain, pictures(96)))


def other_models():
    inputs = keras.Input((4, 4, 3))
    features = keras.layers.Identity(name="features")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    hidden = keras.layers.Dense(5, "relu")(pooled)
    return {
        "maximum": keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(features))),
        "hidden": keras.Model(inputs, keras.layers.Dense(2)(hidden)),
        "no-classifier": keras.Model(inputs, pooled),
        "no-features": keras.Sequential([inputs, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]),
    }


@pytest.mark.parametrize("kind", ["maximum", "hidden", "no-classifier", "no-features"])
def test_a_model_without_such_a_head_is_refused(kind):
    model = other_models()[kind]
    for take_apart in (lambda: contribution_map(model, np.zeros((1, 4, 4, 3))), lambda: position_weights(model)):
        with pytest.raises(ValueError, match=rf"'{model.name}'.*(can't be taken apart by positions|is not linear)"):
            take_apart()


def test_gwap_is_no_linear_head():
    with pytest.raises(ValueError, match="is not linear in the feature map"):
        position_weights(classifier("gwap", 96))
