"""Anybody's model with the learned pooling in place of its average: the same predictions, and weights of its own."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras

layers, ops = keras.layers, keras.ops
slow = pytest.mark.slow


def numbers(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def images(model, count=3):
    return np.random.default_rng(0).uniform(0, 255, (count, *model.input_shape[1:])).astype("float32")


@pytest.fixture(autouse=True)
def _same_weights():
    keras.utils.set_random_seed(0)


def poolings(model):
    """All learned poolings of a model, nested ones included."""
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    own = [layer for layer in model.layers if isinstance(layer, ws.layers.GlobalDepthwisePooling2D)]
    return own + [layer for each in nested for layer in poolings(each)]


def as_if_trained(model):
    """The model with statistics and biases that aren't the ones it started with."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if not weight.name.endswith(("kernel", "count", "mean", "variance")) or "moving" in weight.name:
            weight.assign(numbers(weight) + 0.1 * rng.random(weight.shape))
    return model


def check(model):
    """The model with its pooling replaced: one, the same predictions, and no weight that it shares with the old one."""
    x = images(model)
    before = [numbers(y) for y in keras.tree.flatten(model(x, training=False))]
    replaced = ws.replace_pooling(model)
    (pooling,) = poolings(replaced)
    kept = [weight for weight in replaced.weights if not any(weight is own for own in pooling.weights)]
    for old, new in zip(model.weights, kept, strict=True):
        np.testing.assert_array_equal(numbers(new), numbers(old))
    assert any(weight is pooling.kernel for weight in replaced.trainable_weights)
    assert pooling.position_weights(pooling.layout.height, pooling.layout.width).all()  # every cell is covered
    for old, new in zip(before, keras.tree.flatten(replaced(x, training=False)), strict=True):
        differences = np.ptp(old, axis=0).max()  # between images
        assert differences > 0
        np.testing.assert_allclose(numbers(new), old, rtol=1e-6, atol=1e-3 * differences)
    pooling.set_weights([2 * weight for weight in pooling.get_weights()])
    for old, y in zip(before, keras.tree.flatten(model(x, training=False)), strict=True):
        np.testing.assert_array_equal(numbers(y), old)  # nothing is shared
    assert any(
        np.abs(numbers(y) - old).max() > 0 for y, old in zip(keras.tree.flatten(replaced(x)), before, strict=True)
    )
    return replaced


APPLICATIONS = [  # one of every family, and every kind of ending
    ("MobileNetV3Small", 64, {"minimalistic": True}),
    ("MobileNet", 64, {"alpha": 0.25}),
    ("MobileNetV2", 64, {"alpha": 0.35}),
    ("EfficientNetB0", 64, {}),
    ("EfficientNetV2B0", 64, {}),
    ("ConvNeXtTiny", 64, {}),
    ("DenseNet121", 64, {}),
    ("InceptionV3", 139, {}),
    ("InceptionResNetV2", 139, {}),
    ("NASNetMobile", 96, {}),
    ("ResNet50", 64, {}),
    ("ResNet50V2", 64, {}),
    ("Xception", 96, {}),
]
TRIED = len(APPLICATIONS) if keras.backend.backend() == "tensorflow" else 2  # JAX compiles every layer: minutes a model


@pytest.mark.parametrize(
    ("name", "side", "arguments"),
    [pytest.param(*case, marks=[slow] * (number > 0)) for number, case in enumerate(APPLICATIONS[:TRIED])],
)
def test_applications_keep_their_predictions(name, side, arguments):
    build = getattr(keras.applications, name)
    model = build(weights=None, classes=7, input_shape=(side, side, 3), classifier_activation=None, **arguments)
    check(model)  # as it starts: what it makes of an image is small, and nothing is added to it


def convolutions(x, filters=6):
    return layers.Conv2D(filters, 3, strides=4, activation="relu")(layers.Rescaling(1 / 255)(x))


def backbone(pooling=None, side=33, name="backbone"):
    inputs = keras.Input((side, side, 3))
    x = convolutions(inputs)
    return keras.Model(inputs, pooling(x) if pooling else x, name=name)


def functional(end, side=33, cls=keras.Model):
    inputs = keras.Input((side, side, 3), name="photograph")
    return cls(inputs, end(convolutions(inputs)))


def average(**arguments):
    return layers.GlobalAveragePooling2D(**arguments)


def nested_once():
    inputs = keras.Input((33, 33, 3))
    x = backbone()(inputs, training=False)
    return keras.Model(inputs, layers.Dense(3)(layers.Dropout(0.2)(average()(x))))


def nested_with_its_pooling():
    base = backbone(average())
    base.trainable = False
    return keras.Sequential([base, layers.Dense(3)])


def nested_in_a_frozen_sequence():
    base = keras.Sequential([backbone(), average()])
    base.trainable = False
    return keras.Sequential([base, layers.Dense(3)])


def nested_twice():
    return keras.Sequential([keras.Input((33, 33, 3)), nested_with_its_pooling(), layers.Dense(3)])


def normalised():
    first = layers.Normalization()
    first.adapt(np.random.default_rng(0).uniform(0, 255, (9, 33, 33, 3)))
    return keras.Sequential(
        [keras.Input((33, 33, 3)), first, layers.Conv2D(6, 3), average(), layers.BatchNormalization(), layers.Dense(3)]
    )


def with_operations():
    inputs = keras.Input((33, 33, 3))
    x = ops.relu(layers.Conv2D(6, 3)(inputs / 255.0)) + 1
    return keras.Model(inputs, layers.Dense(3)(layers.LayerNormalization()(average()(x))))


def squeezed(x):
    """With an average inside that isn't the model's own."""
    weights = layers.Dense(6, "sigmoid")(average(keepdims=True)(x))
    return layers.Dense(3)(average()(layers.Multiply()([x, weights])))


def two_outputs(x):
    x = average()(x)
    return {"kind": layers.Dense(3, name="kind")(x), "age": layers.Dense(1, name="age")(x)}


class WithStep(keras.Model):
    def train_step(self, *args):
        return super().train_step(*args)


MODELS = {
    "sequential": lambda: keras.Sequential(
        [keras.Input((33, 33, 3)), backbone(), average(), layers.Dropout(0.2), layers.Dense(3, "softmax")]
    ),
    "nested once": nested_once,
    "nested with its pooling": nested_with_its_pooling,
    "nested in a frozen sequence": nested_in_a_frozen_sequence,
    "nested twice": nested_twice,
    "normalised": normalised,
    "operations": with_operations,
    "an average inside": lambda: functional(squeezed),
    "dimensions kept": lambda: functional(lambda x: layers.Flatten()(layers.Conv2D(3, 1)(average(keepdims=True)(x)))),
    "average of the whole map": lambda: functional(
        lambda x: layers.Dense(3)(layers.Flatten()(layers.AveragePooling2D((8, 8))(x)))
    ),
    "two outputs": lambda: functional(two_outputs),
    "a function": lambda: functional(lambda x: layers.Dense(3)(average()(layers.Lambda(lambda x: 2 * x)(x)))),
    "a class of its own": lambda: functional(lambda x: layers.Dense(3)(average()(x)), cls=WithStep),
    "features only": lambda: backbone(average()),
    "ours": lambda: ws.build_classifier("small_conv", "gap", 3, image_size=96),
}


@pytest.mark.parametrize("name", MODELS)
def test_own_models_keep_their_predictions(name, tmp_path):
    model = as_if_trained(MODELS[name]())
    replaced = check(model)
    assert type(replaced) is type(model)
    assert [layer.name for layer in replaced.layers] == [layer.name for layer in model.layers]
    if name == "a function":  # Keras neither clones nor loads one unasked
        return
    again = keras.models.clone_model(replaced)
    again.set_weights(replaced.get_weights())
    replaced.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"WithStep": WithStep})
    x = images(model)
    expected = keras.tree.flatten(replaced(x, training=False))
    for other in [loaded] if name == "normalised" else [loaded, again]:  # set_weights leaves a Normalization stale
        for y, old in zip(keras.tree.flatten(other(x, training=False)), expected, strict=True):
            np.testing.assert_allclose(numbers(y), numbers(old), rtol=1e-5, atol=1e-6)


def test_arguments_are_the_layers_own():
    model = MODELS["sequential"]()
    (pooling,) = poolings(ws.replace_pooling(model))
    assert (pooling.cover, pooling.depthwise_initializer, pooling.pool_size) == ("exact", "average", None)
    assert isinstance(pooling.depthwise_constraint, keras.constraints.NonNeg)
    (pooling,) = poolings(
        ws.replace_pooling(
            model,
            pool_size=(1, 1),
            cover="blocks",
            depthwise_initializer=None,
            depthwise_constraint=None,
            sharing="radial",
            use_bias=False,
        )
    )
    assert (pooling.pool_size, pooling.cover, pooling.sharing, pooling.use_bias) == (1, "blocks", "radial", False)
    assert pooling.depthwise_constraint is None
    assert numbers(pooling.kernel).std() == pytest.approx(0.01, rel=0.5)


def test_a_fine_tuned_model_goes_on_training_with_its_frozen_layers():
    """Bright on the left or on the right, which an average can't tell; the loss is nobody's but the model's."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 128)
    photographs = rng.uniform(0, 100, (128, 33, 33, 3)).astype("float32")
    for photograph, label in zip(photographs, labels, strict=True):
        photograph[:, 16 * label : 16 * label + 16] += 100
    keras.utils.set_random_seed(0)
    model = keras.Sequential([backbone(average(dtype="float32")), layers.Dense(2)])
    model.layers[0].trainable = False

    def own_loss(true, scores):
        return keras.losses.sparse_categorical_crossentropy(true, scores, from_logits=True)

    model.compile(keras.optimizers.Adam(0.1), own_loss, metrics=["accuracy"])
    replaced = ws.replace_pooling(model, pool_size=1)
    assert model.compiled
    assert not replaced.compiled
    frozen = replaced.layers[0].layers[2]
    before = frozen.get_weights()
    replaced.compile(keras.optimizers.Adam(0.1), own_loss, metrics=["accuracy"])
    accuracies = []
    for each in (model, replaced):
        each.fit(photographs, labels, epochs=10, verbose=0)
        accuracies.append(each.evaluate(photographs, labels, verbose=0)[1])
    assert accuracies[0] < 0.75
    assert accuracies[1] > 0.95
    np.testing.assert_array_equal(frozen.get_weights()[0], before[0])


def test_half_precision_is_kept():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = functional(lambda x: layers.Dense(3, dtype="float32")(average()(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    replaced = ws.replace_pooling(model)
    (pooling,) = poolings(replaced)
    assert pooling.dtype_policy.name == "mixed_float16"
    np.testing.assert_allclose(numbers(replaced(images(model))), numbers(model(images(model))), atol=2e-3)


def test_prediction_and_attribution_take_it():
    model = ws.build_classifier("small_conv", "gap", 3, image_size=96)
    model.class_names = ["dog", "cat", "hat"]
    x = images(model, 1)
    assert ws.predict(ws.replace_pooling(model), x)["class"].isin(model.class_names).all()
    maps = [ws.contribution_map(each, x, 0) for each in (model, ws.replace_pooling(model))]
    np.testing.assert_allclose(*maps, atol=1e-6)


def test_measurements_may_join_behind_the_pooling():
    photograph, measured = keras.Input((33, 33, 3), name="photograph"), keras.Input((4,), name="measured")
    x = layers.Concatenate()([average()(convolutions(photograph)), measured])
    model = keras.Model({"photograph": photograph, "measured": measured}, layers.Dense(3)(x))
    given = {"photograph": np.ones((2, 33, 33, 3)), "measured": np.ones((2, 4))}
    np.testing.assert_allclose(numbers(ws.replace_pooling(model)(given)), numbers(model(given)), atol=1e-6)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def two_branches(x):
    return layers.Dense(3)(layers.Concatenate()([average()(x), layers.GlobalMaxPooling2D()(x)]))


def two_photographs():
    inputs = [keras.Input((33, 33, 3)) for _ in range(2)]
    x = layers.Concatenate()([average()(convolutions(photograph)) for photograph in inputs])
    return keras.Model(inputs, layers.Dense(3)(x))


def of_any_size():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layers.Dense(3)(average()(layers.Conv2D(3, 3)(inputs))))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: functional(lambda x: layers.Dense(3)(layers.Flatten()(x))), "has no average pooling to replace"),
        (lambda: functional(two_branches), "in which all that comes from the images passes one Glob"),
        (lambda: functional(lambda x: layers.Flatten()(layers.AveragePooling2D(2)(x))), "no average pooling"),
        (lambda: functional(average(data_format="channels_first")), "has no average pooling to replace"),
        (lambda: keras.Sequential([average(), layers.Dense(3)]), "functional model, or a sequential one that is built"),
        (two_photographs, "has no average pooling to replace"),
        (Subclassed, "yourself"),
        (lambda: ws.build_classifier("small_conv", "wise", 3, image_size=96), "has no average pooling to replace"),
        (of_any_size, r"needs an input .* received \(None, None, None, 3\). Give the model an input of fixed size"),
    ],
)
def test_where_there_is_no_such_ending_a_sentence_says_so(build, said):
    with pytest.raises(ValueError, match=said):
        ws.replace_pooling(build())


def test_no_model_and_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="A Keras model is needed; received an object of type 'str'"):
        ws.replace_pooling("model.keras")
    with pytest.raises(ValueError, match="Unrecognized keyword arguments .*'pool'"):
        ws.replace_pooling(backbone(average()), pool=2)
    with pytest.raises(ValueError, match="8×8 cells takes a pool_size from 1 to 8"):
        ws.replace_pooling(backbone(average()), pool_size=9)
