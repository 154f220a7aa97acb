"""Heads: what they compute, against NumPy over (head, options, shape); what they cost, look at, and refuse."""

import functools
import itertools

import numpy as np
import pytest
from oracles import blocks_of_weights, numpy_pooling

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import default_pool_size
from wisesr_helpers.models import counts, heads
from wisesr_helpers.plots.heads import head_steps

CLASSES = 4
SHAPES = [(7, 7, 6), (9, 12, 5), (16, 16, 4)]
POOLING = [
    {"start": "average"},
    {"start": "even"},
    {"sharing": "radial"},
    {"bias": False},
    {"activation": "relu"},
    {"start": "average", "sharing": "radial", "bias": False, "activation": "relu"},
]
BLOCKS = [
    {"cover": "exact"},
    {"cover": "exact", "sharing": "radial"},
    {"cover": "exact", "start": "average", "bias": False},
    {"cover": "exact", "sharing": "radial", "start": "average", "activation": "relu"},
    *({"reduction": name} for name in ("bilinear", "bicubic", "nearest", "area", "depthwise")),
    {"reduction": "depthwise", "activation": "relu"},
    {"reduction": "bicubic", "bias": False},
    {"padding": "zeros"},
    {"padding": "ones"},
    {"strides": 1},
    {"padding": "ones", "strides": 1},
    {"constraint": "none"},
]
CASES = [
    *((head, {}) for head in ws.HEADS),
    *itertools.product(("depthwise", "depthwise_nonneg", "wise"), POOLING),
    *(("wise", options) for options in BLOCKS),
    ("wise_dropout", {"cover": "exact", "sharing": "radial"}),
    ("wise", {"pool_size": 1}),
    ("avg_fc", {"pool_size": 3}),
    ("gap", {"scale": 0.036}),
]


def words(value):
    return ",".join(f"{name}={one}" for name, one in value.items()) if isinstance(value, dict) else str(value)


cases = pytest.mark.parametrize(("head", "options"), CASES, ids=words)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def maps(shape, count=3):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


@functools.cache
def _built(head, options, shape):
    inputs = x = keras.Input(shape)
    x = keras.layers.Identity(name="features")(x)
    for layer in heads.head_layers(head, shape, CLASSES, classifier_activation=None, **dict(options)):
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) / np.sqrt(max(w.shape)) for w in model.get_weights()])
    return model


def built(head, options, shape):
    """Feature map in, logits out; weights random and of any sign, biases included. Nobody changes it."""
    return _built(head, tuple(options.items()), shape)


def block_means(x, p):
    n, height, width, channels = x.shape
    rows, columns = height // p, width // p
    return x[:, : rows * p, : columns * p].reshape(n, rows, p, columns, p, channels).mean(axis=(2, 4))


def rectified(x):
    return np.maximum(x, 0)


def vector(head, options, x, p, weights, model):
    """What the classifier reads, (N, …), in float64; nothing but the reduction's layer is shared with the package."""
    if head in ("gap", "gap_dropout"):
        return x.mean(axis=(1, 2)) * options.get("scale", 1)
    if head in ("avg_fc", "flatten_fc"):
        return (block_means(x, p) if head == "avg_fc" else x).reshape(len(x), -1)
    if head == "vgg_fc":
        a, b, c, d = weights
        return rectified(rectified(x.reshape(len(x), -1) @ a + b) @ c + d)
    if head == "gwap":
        scores = np.exp(1 / (1 + np.exp(-(x @ weights[0] + weights[1]))))
        return (x * scores / scores.sum(axis=(1, 2), keepdims=True)).sum(axis=(1, 2))
    if head == "gwap_fixed":
        return np.einsum("nhwc,hw->nc", x, weights[0])
    if {"reduction", "padding", "strides"} & set(options):  # tests/layers/test_reductions.py compares these layers
        reduction = model.get_layer("reduction")
        x, p, weights = keras.ops.convert_to_numpy(reduction(x)).astype(float), 1, weights[len(reduction.weights) :]
    kernel, *bias = weights
    if not head.startswith("wise"):
        p = 1
    groups = blocks_of_weights(*x.shape[1:3], p, options.get("cover"), options.get("sharing"))
    out = numpy_pooling(x, kernel, bias[0] if bias else 0, groups)
    return rectified(out) if options.get("activation") == "relu" else out


@cases
@shapes
def test_a_head_equals_its_numpy_version(head, options, shape):
    model, x = built(head, options, shape), maps(shape)
    *inner, kernel, bias = [w.astype("float64") for w in model.get_weights()]
    p = options.get("pool_size") or default_pool_size(min(shape[:2]))
    expected = vector(head, options, x.astype("float64"), p, inner, model) @ kernel + bias
    np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 1e-3


@cases
@shapes
def test_counts_and_diagram_are_those_of_the_built_head(head, options, shape):
    model = built(head, options, shape)
    assert counts.head_params(head, shape, CLASSES, **options) == ws.count_params(model)
    assert counts.head_flops(head, shape, CLASSES, **options) == ws.count_flops(model)
    steps = head_steps(heads.head_layers(head, shape, CLASSES, **options), shape)
    layers = [layer for layer in model.layers[2:] if "dropout" not in layer.name]
    assert [step.shape for step in steps if step.layer != "dropout"][-len(layers) :] == [
        tuple(layer.output.shape[1:]) for layer in layers
    ]


@cases
@shapes
def test_contributions_add_up_to_the_logit_and_are_those_of_the_gradient(head, options, shape, monkeypatch):
    model, x, chosen = built(head, options, shape), maps(shape), [2, 0, 1]
    if head == "vgg_fc" or options.get("activation") == "relu":
        with pytest.raises(ValueError, match="can't be taken apart by positions"):
            ws.contribution_map(model, x, 0)
        assert ws.hires_cam(model, x, 0).any()
        return
    of_zeros = np.asarray(model.predict_on_batch(np.zeros_like(x)))[np.arange(3), chosen]
    logits = np.asarray(model.predict_on_batch(x))[np.arange(3), chosen]
    added = ws.contribution_map(model, x, chosen)
    np.testing.assert_allclose(added.sum(axis=(1, 2)) + of_zeros, logits, atol=2e-5)
    assert np.abs(added).max() > 2e-3 * options.get("scale", 1)
    if head != "gwap":  # its gradient also counts how the features change the weights
        by_weights = ws.grad_cam(model, x, chosen)
        monkeypatch.setattr("wisesr_helpers.models.attribution._linear_weights", lambda split: None)
        np.testing.assert_allclose(ws.hires_cam(model, x, chosen), added, atol=2e-5)
        np.testing.assert_allclose(ws.grad_cam(model, x, chosen), by_weights, atol=2e-5)


@cases
def test_a_head_survives_a_keras_file(head, options, tmp_path):
    model, x = built(head, options, (9, 12, 5)), maps((9, 12, 5))
    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
    assert [layer.get_config() for layer in loaded.layers] == [layer.get_config() for layer in model.layers]
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert type(ours.constraint) is type(theirs.constraint)


def test_every_value_of_every_option_is_among_the_cases():
    tried = {(head, name, value) for head, options in CASES for name, value in options.items()}
    for name, option in heads.REGISTRY["wise"].options.items():
        missing = {value for value in option.values[1:] if ("wise", name, value) not in tried}
        assert missing == ({2, 3, 4} if name == "strides" else set()), name


def test_every_head_is_listed_with_a_description():
    assert list(ws.HEADS) == list(heads.REGISTRY)
    assert all(len(description) > 20 for description in ws.HEADS.values())


def test_the_classifier_starts_as_the_authors_does():
    classifier = heads.head_layers("gap", (7, 7, 2048), 67)[-1]
    classifier.build((None, 2048))
    kernel, bias = classifier.get_weights()
    assert kernel.std() == pytest.approx(0.01, rel=0.02)
    assert not bias.any()
    assert classifier.dtype_policy.name == "float32"


def test_starts_of_the_poolings_by_hand():
    """By default as drawn; "average" and GWAP's one matrix as global average pooling of what the blocks cover."""
    x = maps((7, 9, 5))
    for head, options, covered in (
        ("wise", {"start": "average"}, x[:, :6, :8]),
        ("wise", {"start": "average", "cover": "exact"}, x),
        ("depthwise", {"start": "average"}, x),
        ("gwap_fixed", {}, x),
    ):
        pooled = keras.ops.convert_to_numpy(heads.head_layers(head, (7, 9, 5), CLASSES, **options)[0](x))
        np.testing.assert_allclose(pooled, covered.mean(axis=(1, 2)), atol=1e-6)
    even = keras.ops.convert_to_numpy(heads.head_layers("wise", (7, 7, 5), CLASSES, start="even")[0](x[:, :, :7]))
    scaled = x[:, :6, :6].mean(axis=(1, 2)) * heads.GAP_OPTIONS["scale"].values[1]
    np.testing.assert_allclose(even, scaled, rtol=0.01)  # which is where the 0.036 comes from
    drawn = keras.ops.convert_to_numpy(heads.head_layers("wise", (7, 9, 5), CLASSES)[0](x))
    assert np.abs(drawn - x[:, :6, :8].mean(axis=(1, 2))).max() > 1e-3


def test_the_non_negative_heads_are_constrained_and_the_other_is_not():
    def constraint(head):
        return heads.head_layers(head, (7, 7, 8), 4)[0].depthwise_constraint

    assert constraint("depthwise") is None
    for head in ("depthwise_nonneg", "wise", "wise_dropout"):
        assert isinstance(constraint(head), keras.constraints.NonNeg)
    assert heads.head_layers("wise", (7, 7, 8), 4, constraint="none")[0].depthwise_constraint is None


def test_a_head_names_all_that_it_takes():
    taken = {name: heads.get_head(name).arguments for name in ws.HEADS}
    assert taken["gap"] == list(heads.get_head("gap").options)
    assert taken["gap_dropout"][-1] == "dropout_rate"
    assert taken["wise"][-1] == "pool_size"
    assert taken["wise_dropout"] == [*taken["wise"], "dropout_rate"]


@pytest.mark.parametrize("head", ["gap_dropout", "wise_dropout"])
def test_dropout_drops_half_in_training_and_another_share_if_asked(head):
    for asked, rate in ((None, 0.5), (0.25, 0.25), (0, 0)):
        assert heads.head_layers(head, (7, 7, 8), 4, dropout_rate=asked)[1].rate == rate


def test_the_old_word_for_a_start_is_taken_and_said_once(capsys):
    heads._say_old_word.cache_clear()
    old, again, today = (
        heads.head_layers("wise", (7, 7, 8), 4, start=start)[0].get_config()
        for start in ("uniform", "uniform", "average")
    )
    assert old == again == today
    assert capsys.readouterr().out == "Option start='uniform' is the old word for start='average' and does the same.\n"


PAPERS_RULE = r"pool_size must be a whole number of cells, at least 1 .*the paper's rule; received "
SHARE = r"dropout_rate is the share of the vector .*, a number from 0 to below 1; received "
NO_DROPOUT = "has no dropout, so it takes no dropout_rate; received 0.5. Heads with dropout: gap_dropout, wise_dropout."


@pytest.mark.parametrize(
    ("head", "typed", "said"),
    [
        ("gapp", {}, r"Unknown head 'gapp'\. Valid heads: gap, .*wise"),
        ("wise", {"strat": "average"}, "Head 'wise' has no option 'strat'; it takes start, sharing, bias, activation"),
        ("gap", {"start": "average"}, "Head 'gap' has no option 'start'; it takes scale"),
        ("gap_dropout", {"start": "average"}, "Head 'gap_dropout' has no option 'start'; it takes none"),
        ("wise", {"bias": 1}, "Option 'bias' must be one of True, False; received 1"),
        ("wise", {"start": "zero"}, "Option 'start' must be one of normal, average, even; received 'zero'"),
        ("wise", {"reduction": "nearest", "padding": "ones"}, "belong to reduction='average'"),
        ("wise", {"cover": "exact", "strides": 1}, "about separate averaged blocks; received cover='exact' with"),
        ("gap", {"pool_size": 3}, "averages no blocks, so it takes no pool_size; received 3"),
        *(("wise", {"pool_size": size}, PAPERS_RULE) for size in (2.0, "2", True, 0)),
        *((head, {"dropout_rate": 0.5}, NO_DROPOUT) for head in ("gap", "wise", "avg_fc", "gwap")),
        *(("gap_dropout", {"dropout_rate": rate}, SHARE) for rate in (1, 1.0, -0.1, float("nan"), True, "0.5")),
        *((head, {"pool_size": 8}, "7×7 cells .* from 1 to 7 .*=8") for head in ("wise", "wise_dropout", "avg_fc")),
    ],
)
def test_what_a_head_does_not_take_is_refused(head, typed, said):
    with pytest.raises(ValueError, match=said):
        heads.head_layers(head, (7, 7, 8), 4, **typed)


def test_a_map_too_small_for_the_papers_rule_is_refused():
    with pytest.raises(ValueError, match="1×3 cells .* the paper's rule asks for pool_size=2"):
        heads.head_layers("avg_fc", (1, 3, 5), 4)
