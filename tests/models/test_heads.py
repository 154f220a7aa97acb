"""Heads: what they are made of, and what they refuse."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import default_pool_size
from wisesr_helpers.models import heads
from wisesr_helpers.published import number


def test_every_head_is_listed_with_a_description():
    assert {"gap", "wise"} <= set(ws.HEADS)
    assert all(len(description) > 20 for description in ws.HEADS.values())


def test_an_unknown_head_is_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"Unknown head 'gapp'\. Valid heads: gap, .*wise"):
        heads.get_head("gapp")


def test_gap_takes_no_pool_size():
    with pytest.raises(ValueError, match="averages no blocks, so it takes no pool_size; received 3"):
        heads.head_layers("gap", (7, 7, 8), 4, pool_size=3)


@pytest.mark.parametrize("head", ["gap", "wise", "avg_fc", "gwap"])
def test_a_head_without_dropout_takes_no_dropout_rate(head):
    with pytest.raises(
        ValueError,
        match="has no dropout, so it takes no dropout_rate; received 0.5. Heads with dropout: gap_dropout, wi",
    ):
        heads.head_layers(head, (7, 7, 8), 4, dropout_rate=0.5)


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, float("nan"), True, "0.5"])
def test_an_impossible_dropout_rate_is_refused(rate):
    with pytest.raises(
        ValueError, match=r"dropout_rate is the share of the vector .*, a number from 0 to below 1; received "
    ):
        heads.head_layers("gap_dropout", (7, 7, 8), 4, dropout_rate=rate)


def test_no_dropout_is_a_rate_too():
    assert heads.head_layers("gap_dropout", (7, 7, 8), 4, dropout_rate=0)[1].rate == 0


@pytest.mark.parametrize("pool_size", [2.0, "2", True, 0])
def test_a_pool_size_that_is_no_number_of_cells_is_refused(pool_size):
    with pytest.raises(
        ValueError, match=r"pool_size must be a whole number of cells, at least 1 .*the paper's rule; received "
    ):
        heads.check_head("wise", pool_size=pool_size)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(ValueError, match="Head 'wise' has no option 'strat'"):
        heads.head_layers("wise", (7, 7, 8), 4, strat="average")


def test_the_old_word_for_a_start_is_taken_and_said_once(capsys):
    heads._say_old_word.cache_clear()
    old, again, today = (
        heads.head_layers("wise", (7, 7, 8), 4, start=word)[0].get_config()
        for word in ("uniform", "uniform", "average")
    )
    assert old == again == today
    assert capsys.readouterr().out == "Option start='uniform' is the old word for start='average' and does the same.\n"


def test_the_classifier_starts_as_the_authors_does():
    classifier = heads.head_layers("gap", (7, 7, 2048), 67)[-1]
    classifier.build((None, 2048))
    kernel, bias = classifier.get_weights()
    assert kernel.std() == pytest.approx(0.01, rel=0.02)
    assert not bias.any()
    assert classifier.dtype_policy.name == "float32"


MAPS = [(7, 7, 6), (9, 12, 5), (16, 16, 4)]


def blocks(x, p):
    """Averages of p×p blocks, by loops."""
    n, height, width, channels = x.shape
    out = np.zeros((n, height // p, width // p, channels))
    for i in range(height // p):
        for j in range(width // p):
            out[:, i, j] = x[:, i * p : (i + 1) * p, j * p : (j + 1) * p].mean(axis=(1, 2))
    return out


def positions(x, kernel, bias):
    return np.einsum("nhwc,hwc->nc", x, kernel[..., 0]) + bias


def qiu(x, kernel, bias):
    scores = np.exp(1 / (1 + np.exp(-(x @ kernel + bias))))
    return (x * scores / scores.sum(axis=(1, 2), keepdims=True)).sum(axis=(1, 2))


def flat(x):
    return x.reshape(len(x), -1)


def rectified(x, kernel, bias):
    return np.maximum(x @ kernel + bias, 0)


# Feature map, pool and weights → the vector that the classifier reads; nothing shared with the package.
ORACLES = {
    "gap": lambda x, p: x.mean(axis=(1, 2)),
    "gap_dropout": lambda x, p: x.mean(axis=(1, 2)),
    "depthwise": lambda x, p, *w: positions(x, *w),
    "depthwise_nonneg": lambda x, p, *w: positions(x, *w),
    "wise": lambda x, p, *w: positions(blocks(x, p), *w),
    "wise_dropout": lambda x, p, *w: positions(blocks(x, p), *w),
    "gwap": lambda x, p, *w: qiu(x, *w),
    "gwap_fixed": lambda x, p, w: np.einsum("nhwc,hw->nc", x, w),
    "avg_fc": lambda x, p: flat(blocks(x, p)),
    "flatten_fc": lambda x, p: flat(x),
    "vgg_fc": lambda x, p, a, b, c, d: rectified(rectified(flat(x), a, b), c, d),
}


def built(head, shape, **options):
    return keras.Sequential([keras.Input(shape), *heads.head_layers(head, shape, 4, **options)])


def with_random_weights(model, rng):
    model.set_weights([rng.normal(size=w.shape) / np.sqrt(max(w.shape)) for w in model.get_weights()])
    return model


def test_there_is_an_oracle_for_every_head():
    assert set(ORACLES) == set(ws.HEADS)


@pytest.mark.parametrize("shape", MAPS, ids=str)
@pytest.mark.parametrize("head", ORACLES)
def test_a_head_equals_its_numpy_version(head, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *shape)).astype("float32")
    model = with_random_weights(built(head, shape, classifier_activation=None), rng)
    *inner, kernel, bias = [w.astype("float64") for w in model.get_weights()]
    vector = ORACLES[head](x.astype("float64"), default_pool_size(min(shape[:2])), *inner)
    np.testing.assert_allclose(model.predict_on_batch(x), vector @ kernel + bias, atol=1e-4)


@pytest.mark.parametrize("head", ORACLES)
def test_a_head_survives_a_keras_file(head, tmp_path):
    model = with_random_weights(built(head, (9, 12, 5)), np.random.default_rng(1))
    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras")
    x = np.random.default_rng(2).normal(size=(2, 9, 12, 5)).astype("float32")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert type(ours.constraint) is type(theirs.constraint)


def constraint_of(head):
    return heads.head_layers(head, (7, 7, 8), 4)[0].depthwise_constraint


def test_the_non_negative_heads_are_constrained_and_the_other_is_not():
    assert constraint_of("depthwise") is None
    for head in ("depthwise_nonneg", "wise", "wise_dropout"):
        assert isinstance(constraint_of(head), keras.constraints.NonNeg)


@pytest.mark.parametrize("head", ["gap_dropout", "wise_dropout"])
def test_dropout_drops_half_in_training_and_nothing_otherwise(head):
    rate = [layer.rate for layer in heads.head_layers(head, (7, 7, 8), 4) if isinstance(layer, keras.layers.Dropout)]
    assert rate == [number("Section 3.2", "GAP with dropout", "Dropout rate") / 100]
    assert heads.head_layers(head, (7, 7, 8), 4, dropout_rate=0.25)[1].rate == 0.25


def test_gwap_of_equal_features_is_their_average():
    x = np.broadcast_to(np.arange(5, dtype="float32"), (2, 7, 7, 5))
    model = with_random_weights(built("gwap", (7, 7, 5), classifier_activation=None), np.random.default_rng(3))
    kernel, bias = model.get_weights()[-2:]
    np.testing.assert_allclose(model.predict_on_batch(x), x[:, 0, 0] @ kernel + bias, atol=1e-5)


def test_gwap_fixed_starts_as_global_average_pooling():
    x = np.random.default_rng(4).normal(size=(2, 7, 9, 5)).astype("float32")
    layer = heads.head_layers("gwap_fixed", (7, 9, 5), 4)[0]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), x.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("head", ["gwap", "gwap_fixed"])
def test_gwap_needs_an_input_of_known_size(head):
    with pytest.raises(ValueError, match="needs an input .* with all but the batch known"):
        heads.head_layers(head, (7, 7, 5), 4)[0].build((None, None, 7, 5))


@pytest.mark.parametrize("head", ["wise", "wise_dropout", "avg_fc"])
def test_a_map_too_small_for_its_pool_is_refused(head):
    with pytest.raises(
        ValueError, match="A feature map of 7×7 cells takes a pool_size from 1 to 7 .*received pool_size=8"
    ):
        heads.head_layers(head, (7, 7, 5), 4, pool_size=8)
    with pytest.raises(ValueError, match="1×3 cells .* the paper's rule asks for pool_size=2"):
        heads.head_layers(head, (1, 3, 5), 4)
