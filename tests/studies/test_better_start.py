"""The project's own options of the pooling: start as an average, exact cover, a radial kernel; in every combination."""

import functools
import itertools

import numpy as np
import pytest
from gradients import gradients, gradients_of_layer

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.pooling import GlobalDepthwisePooling2D
from wisesr_helpers.models.counts import head_params
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots.heads import head_steps
from wisesr_helpers.studies import better_start

MAPS = [(7, 7, 2), (16, 16, 3), (17, 16, 3), (9, 12, 2), (5, 4, 1)]  # height, width, side of a block
LAYOUTS = [("blocks", None), ("exact", None), ("blocks", "radial"), ("exact", "radial")]  # cover, sharing
# Sides of exact blocks, written by hand.
SIDES = {
    (7, 2): (2, 3, 2),
    (6, 2): (2, 2, 2),
    (5, 2): (3, 2),
    (9, 2): (2, 3, 2, 2),
    (12, 2): (2,) * 6,
    (16, 3): (3, 3, 4, 3, 3),
    (17, 3): (3, 4, 3, 4, 3),
    (5, 1): (1,) * 5,
    (4, 1): (1,) * 4,
}


def blocks_of_weights(height, width, p, cover, sharing):
    """Lists of the blocks that share a weight, a block as slices; in the order of the weights."""
    axes = []
    for length in (height, width):
        ends = np.cumsum([0, *(SIDES[length, p] if cover == "exact" else (p,) * (length // p))]).tolist()
        axes.append([slice(*pair) for pair in itertools.pairwise(ends)])
    groups = {}
    for (i, rows), (j, columns) in itertools.product(enumerate(axes[0]), enumerate(axes[1])):
        distance = np.hypot(i - (len(axes[0]) - 1) / 2, j - (len(axes[1]) - 1) / 2).round(6)
        groups.setdefault((i, j) if sharing is None else distance, []).append((rows, columns))
    return [groups[key] for key in sorted(groups)]


def numpy_pooling(x, kernel, bias, groups):
    """Every weight times the mean of all the cells under it, times the number of blocks."""
    out = np.zeros((len(x), x.shape[3])) + bias
    for weight, group in zip(kernel.reshape(len(groups), -1), groups, strict=True):
        cells = np.concatenate([x[:, rows, columns].reshape(len(x), -1, x.shape[3]) for rows, columns in group], axis=1)
        out += weight * len(group) * cells.mean(axis=1)
    return out


def built(height, width, p, cover, sharing, **arguments):
    """A layer of three channels with random weights of both signs."""
    layer = GlobalDepthwisePooling2D(p, cover=cover, sharing=sharing, **arguments)
    layer.build((None, height, width, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def some_map(height, width, count=2):
    return np.random.default_rng(1).normal(size=(count, height, width, 3)).astype("float32")


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(("cover", "sharing"), LAYOUTS)
@pytest.mark.parametrize(("height", "width", "p"), MAPS)
def test_equals_numpy(height, width, p, cover, sharing, activation):
    layer, x = built(height, width, p, cover, sharing, activation=activation), some_map(height, width, 20)
    groups = blocks_of_weights(height, width, p, cover, sharing)
    kernel, bias = layer.get_weights()
    assert kernel.shape == ((len(groups), 3) if sharing else (height // p, width // p, 3, 1))
    expected = numpy_pooling(x, kernel, bias, groups)
    assert (expected < 0).any()  # so relu does something
    np.testing.assert_allclose(layer(x), np.maximum(expected, 0) if activation else expected, atol=1e-5)
    weights = layer.position_weights(height, width)
    np.testing.assert_allclose((x * weights).sum((1, 2)) + bias, expected, atol=1e-5)


@pytest.mark.parametrize(("cover", "sharing"), LAYOUTS)
@pytest.mark.parametrize(("height", "width", "p"), [(7, 6, 2), (5, 4, 1)])
def test_gradients_equal_central_differences(height, width, p, cover, sharing):
    layer, x = built(height, width, p, cover, sharing), some_map(height, width)
    groups = blocks_of_weights(height, width, p, cover, sharing)
    expected = gradients(lambda x, kernel, bias: numpy_pooling(x, kernel, bias, groups), x, *layer.get_weights())
    for ours, theirs in zip(gradients_of_layer(layer, x), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("sharing", [None, "radial"])
@pytest.mark.parametrize(
    ("height", "width", "p", "cover"),
    [(7, 7, None, "exact"), (16, 16, None, "exact"), (17, 12, 3, "exact"), (7, 9, 1, "blocks")],
)
def test_starts_as_global_average_pooling(height, width, p, cover, sharing):
    x = some_map(height, width)
    layer = GlobalDepthwisePooling2D(p, depthwise_initializer="average", cover=cover, sharing=sharing)
    np.testing.assert_allclose(layer(x), keras.layers.GlobalAveragePooling2D()(x), atol=1e-6)
    assert np.abs(GlobalDepthwisePooling2D(p, cover=cover, sharing=sharing)(x) - x.mean((1, 2))).max() > 1e-3


@pytest.mark.parametrize("sharing", [None, "radial"])
def test_separate_blocks_start_as_the_average_of_what_they_cover(sharing):
    x = some_map(7, 7)
    start = np.asarray(GlobalDepthwisePooling2D(depthwise_initializer="average", sharing=sharing)(x))
    np.testing.assert_allclose(start, x[:, :6, :6].mean((1, 2)), atol=1e-6)
    assert np.abs(start - x.mean((1, 2))).max() > 1e-2  # 13 of 49 cells are missing


@pytest.mark.parametrize(("cover", "sharing"), LAYOUTS)
@pytest.mark.parametrize(("height", "width", "p"), [(7, 7, 2), (16, 16, 3), (17, 16, 3)])
def test_exact_cover_sees_every_cell_and_a_radial_kernel_no_direction(height, width, p, cover, sharing):
    weights = built(height, width, p, cover, sharing).position_weights(height, width)
    assert (weights != 0).all() == (cover == "exact")
    inside = weights[: height // p * p, : width // p * p] if cover == "blocks" else weights
    assert np.array_equal(inside, inside[::-1, ::-1]) == (sharing == "radial")


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


def test_weights_are_named_for_what_they_are():
    names = {sharing: built(7, 7, 2, "exact", sharing).kernel.name for sharing in (None, "radial")}
    assert names == {None: "depthwise_kernel", "radial": "radial_kernel"}


OPTIONS = {"start": "average", "cover": "exact", "sharing": "radial", "bias": False, "activation": "relu"}
CHOICES = [names for count in range(len(OPTIONS) + 1) for names in itertools.combinations(OPTIONS, count)]
SHAPE, CLASSES = (7, 6, 4), 5
every_choice = pytest.mark.parametrize("names", CHOICES, ids="+".join)


@functools.cache  # nobody changes it
def classifier(names):
    """A head with those options on images that are feature maps, its weights random and of both signs."""
    options = {name: OPTIONS[name] for name in names}
    inputs = x = keras.layers.Input(SHAPE)
    x = keras.layers.Identity(name="features")(x)
    for layer in head_layers("wise", SHAPE, CLASSES, classifier_activation=None, **options):
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(2)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def images():
    return np.random.default_rng(3).normal(size=(6, *SHAPE)).astype("float32")


@every_choice
def test_parameters_and_operations_by_hand(names):
    model, options = classifier(names), {name: OPTIONS[name] for name in names}
    weights = 3 if "sharing" in names else 9
    bias = 0 if "bias" in names else 4
    assert ws.count_params(model) == weights * 4 + bias + (4 + 1) * 5
    assert head_params("wise", SHAPE, CLASSES, **options) == ws.count_params(model)
    averaged = 7 * 6 if "cover" in names else 6 * 6
    assert ws.count_flops(model) == averaged * 4 + 2 * 9 * 4 + bias + (2 * 4 + 1) * 5


@every_choice
def test_survives_a_keras_file(names, tmp_path):
    model = classifier(names)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images()), model(images()))
    ours, theirs = (each.get_layer("pooling").get_config() for each in (loaded, model))
    assert ours == theirs
    if "start" in names:
        assert ours["depthwise_initializer"] == "average"


@every_choice
def test_contributions_and_biases_add_up_to_the_logit_unless_it_is_rectified(names):
    model = classifier(names)
    if "activation" in names:
        with pytest.raises(ValueError, match="can't be taken apart by positions"):
            ws.contribution_map(model, images(), 0)
        assert ws.hires_cam(model, images(), 0).any()
        return
    kernel, bias = model.get_layer("predictions").get_weights()
    if "bias" not in names:
        bias = bias + model.get_layer("pooling").get_weights()[1] @ kernel
    logits = np.asarray(model(images()))
    for k in range(CLASSES):
        added = ws.contribution_map(model, images(), k).sum(axis=(1, 2))
        np.testing.assert_allclose(added + bias[k], logits[:, k], atol=1e-4)
    assert np.ptp(logits, axis=1).min() > 0.1


def test_a_diagram_says_what_was_chosen():
    steps = head_steps(
        head_layers("wise", (16, 16, 8), 5, cover="exact", sharing="radial", activation="relu"), (16, 16, 8)
    )
    assert [(step.layer, step.detail) for step in steps[:2]] == [
        ("average pooling", "3–4×3–4"),
        ("depthwise", "5×5, radial, weights ≥ 0, relu"),
    ]


@pytest.mark.parametrize(("argument", "value"), [("cover", "all"), ("sharing", "rings")])
def test_other_values_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be one of .*; received '{value}'"):
        GlobalDepthwisePooling2D(**{argument: value})


def test_the_table_of_starts_by_hand():
    """Of 7×7 cells; half of the drawn weights are negative, and the others' mean is σ·√(2/π)."""
    table = better_start.starts((7, 7, 2048), 10).set_index("row")
    assert list(table["weights a channel"]) == [9, 9, 9, 3, 3]
    assert list(table["cells without weight"]) == ["13 of 49", "13 of 49", "0 of 49", "13 of 49", "0 of 49"]
    assert table.loc["wise", "parameters"] == f"{(9 + 1) * 2048 + 2049 * 10:,}"
    assert table.loc["all three", "parameters"] == f"{(3 + 1) * 2048 + 2049 * 10:,}"
    for row in ("wise, start 1/N", "all three"):
        assert tuple(table.loc[row, ["set to 0 at once", "sum of those left"]]) == ("0%", "1.000")
    assert table.loc["wise", "set to 0 at once"] in ("49%", "50%", "51%")
    assert float(table.loc["wise", "sum of those left"]) == pytest.approx(9 * 0.01 / np.sqrt(2 * np.pi), abs=0.001)


def test_the_figure_of_starts_in_words():
    figure, axes = ws.plots.figure(9, 3, columns=5, rows=2)
    better_start.draw_starts((7, 7, 4), axes)
    parts = ws.plots.alt_text(figure).split("; ")
    assert "wise, start 1/N: 1.36 everywhere, 13 cells without one" in parts  # 49 of 36
    assert parts[-2].startswith("all three: 1.00 everywhere, 0 cells without one")
    assert parts[-1] == "after the constraint 0 cells have 0."
    drawn, kept = (ax.images[0].get_array() for ax in axes[:, 0])
    assert drawn.min() < 0 == kept.min()
    assert drawn.mask.sum() == kept.mask.sum() == 13
    assert f"after the constraint {(kept == 0).sum()} cells have 0" in parts


def test_the_rows_are_of_the_papers_studies():
    assert list(better_start.typed_rows("mit_224")) == ["gap", *better_start.poolings((7, 7, 2))]
    with pytest.raises(ValueError, match="one of the paper's four: sub_imagenet_224, .*; received 'deeper_networks'"):
        better_start.typed_rows("deeper_networks")
