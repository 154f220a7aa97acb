"""Maps of test images are those of the package, and what their sentences add up is the logit."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.embedded import scenes_dataset
from wisesr_helpers.studies import explore

SIZE, CLASSES = 224, 4


@pytest.fixture(scope="module")
def dataset():
    return scenes_dataset(SIZE, CLASSES, train=4, test=6)


@pytest.fixture(scope="module")
def model():
    """A classifier whose pooling and biases are all but zero."""
    keras.utils.set_random_seed(0)
    model = ws.build_classifier("small_conv", "wise", CLASSES, SIZE)
    rng = np.random.default_rng(1)
    for name in ("pooling", "predictions"):
        layer = model.get_layer(name)
        layer.set_weights([np.abs(rng.normal(size=weight.shape)) for weight in layer.get_weights()])
    return model


def test_the_viewers_maps_are_those_of_the_package(model, dataset):
    functions = {"contribution": ws.contribution_map, "HiResCAM": ws.hires_cam, "Grad-CAM": ws.grad_cam}
    assert list(functions) == list(explore.METHODS)
    maps = {}
    for method, function in functions.items():
        seen = explore.image_map(model, dataset, 2, 1, method)
        np.testing.assert_allclose(seen.values, function(model, dataset.test.rgb([2]), [1])[0], rtol=1e-5)
        maps[method] = seen.values
    np.testing.assert_allclose(maps["contribution"], maps["HiResCAM"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(maps["contribution"], maps["Grad-CAM"], rtol=1e-2)


def test_logits_and_their_sums_are_those_of_a_model_without_softmax(model, dataset):
    plain = ws.build_classifier("small_conv", "wise", CLASSES, SIZE, classifier_activation=None)
    plain.set_weights(model.get_weights())
    images = dataset.test.rgb(range(len(dataset.test)))
    logits = np.asarray(plain.predict_on_batch(images))
    for index, k in ((0, 0), (5, 3)):
        seen = explore.image_map(model, dataset, index, k)
        assert seen.logit == pytest.approx(logits[index, k], rel=1e-4)
        kernel, bias = model.get_layer("predictions").get_weights()
        assert seen.empty == pytest.approx(bias[k] + model.get_layer("pooling").get_weights()[1] @ kernel[:, k])
        assert seen.adds_up
        assert ", the logit (to 0.1%)." in " ".join(seen.sentences())
        cam = explore.image_map(model, dataset, index, k, "Grad-CAM")
        assert not cam.adds_up
        assert ", not the logit (to 0.1%)." in " ".join(cam.sentences())


def test_true_and_predicted_are_told_apart(model, dataset):
    predicted = np.asarray(model.predict_on_batch(dataset.test.rgb(range(6)))).argmax(axis=1)
    index = int(np.flatnonzero(predicted != dataset.test.labels)[0])
    seen = {chosen: explore.image_map(model, dataset, index, chosen) for chosen in ("predicted", "true")}
    assert seen["predicted"].chosen == predicted[index]
    assert seen["true"].chosen == dataset.test.labels[index]
    assert not np.array_equal(seen["predicted"].values, seen["true"].values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"index": 6}, "0 to 5; received 6"),
        ({"chosen": 9}, "predicted, true, 0, 1, 2, 3; received 9"),
        ({"method": "CAM"}, "contribution, HiResCAM, Grad-CAM; received 'CAM'"),
    ],
)
def test_an_image_class_or_method_that_is_not_there_is_refused(model, dataset, wrong, message):
    with pytest.raises(ValueError, match=message):
        explore.image_map(model, dataset, **wrong)


def test_sums_are_held_to_the_precision_that_the_model_computes_in(model, dataset):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = ws.build_classifier("small_conv", "wise", CLASSES, SIZE)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    assert explore.image_map(half, dataset).adds_up
    assert not explore.image_map(half, dataset, method="Grad-CAM").adds_up
    assert explore.image_map(model, dataset).precision < explore.image_map(half, dataset).precision
