"""Figures of where two heads look: what they draw is what the models compute, and what the words say of it."""

import functools

import numpy as np
import pytest
import records

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.models.attribution import pooling_weights
from wisesr_helpers.studies import where_it_looks
from wisesr_helpers.training.runs import pack

CLASSES, SIDE = 4, 256  # 8×8 cells; the paper's window of 2 leaves nothing out


@functools.cache  # nobody changes it
def classifier(head, side=SIDE):
    """A classifier with logits; every weight of its head is random, biases and negative ones included."""
    keras.utils.set_random_seed(0)
    model = ws.build_classifier("small_patch", head, classes=CLASSES, image_size=side, classifier_activation=None)
    rng = np.random.default_rng(1)
    for layer in model.layers[[layer.name for layer in model.layers].index("features") :]:
        layer.set_weights([rng.normal(size=weight.shape) / 10 for weight in layer.get_weights()])
    return model


def pictures(count=3, side=SIDE):
    return np.random.default_rng(2).integers(0, 256, (count, side, side, 3), dtype="uint8")


def pair():
    return {head: classifier(head) for head in ("gap", "wise")}


def test_the_parts_of_a_logit_add_up_to_the_models_own():
    models, images, classes = pair(), pictures(), [2, 0, 3]
    table = where_it_looks.decomposition(models, images, classes)
    assert list(table["image"]) == [0, 0, 1, 1, 2, 2]
    assert list(table["head"]) == ["gap", "wise"] * 3
    assert list(table["class"]) == [2, 2, 0, 0, 3, 3]
    for head, model in models.items():
        own = np.asarray(model.predict_on_batch(images))
        rows = table[table["head"] == head]
        np.testing.assert_allclose(rows["logit"], own[np.arange(3), classes], atol=1e-5)
        np.testing.assert_allclose(rows["sum"], rows["logit"], atol=1e-4)
        np.testing.assert_allclose(where_it_looks.logits(model, images), own, atol=1e-5)
    assert (table.loc[table["head"] == "gap", "pooling's bias"] == 0).all()
    wise = table[table["head"] == "wise"]
    kernel, bias = models["wise"].get_layer("predictions").get_weights()
    pooled = models["wise"].get_layer("pooling").get_weights()[1]
    np.testing.assert_allclose(wise["pooling's bias"], (pooled @ kernel)[classes], atol=1e-5)
    np.testing.assert_allclose(wise["classifier's bias"], bias[classes], rtol=1e-6)
    assert wise["pooling's bias"].abs().min() > 1e-3  # without it the sum would be another
    shown = where_it_looks.in_digits(table)
    assert list(shown["sum"]) == [f"{value:.4f}".replace("-", "−") for value in table["sum"]]
    assert list(shown["image"]) == list(table["image"])


def test_the_likeness_is_that_of_the_two_maps():
    models, images, classes = pair(), pictures(5), [0, 1, 2, 3, 0]
    table = where_it_looks.likeness(models, images, classes).set_index("head")
    for head, model in models.items():
        cams, exact = (draw(model, images, classes) for draw in (ws.grad_cam, ws.contribution_map))
        alike = [np.corrcoef(cam.ravel(), own.ravel())[0, 1] for cam, own in zip(cams, exact, strict=True)]
        assert table.loc[head, "correlation, median"] == f"{np.median(alike):.3f}"
        assert table.loc[head, "correlation, lowest"] == f"{min(alike):.3f}"
        other = sum(cam.sum() * own.sum() < 0 for cam, own in zip(cams, exact, strict=True))
        assert table.loc[head, "other sign"] == f"{other} ({other / 5:.0%})"
    assert table.loc["gap", "correlation, lowest"] == "1.000" > table.loc["wise", "correlation, lowest"]


def test_logits_are_those_before_a_softmax():
    model = ws.build_classifier("small_patch", "wise", classes=CLASSES, image_size=96)
    images = pictures(2, 96)
    powers = np.exp(where_it_looks.logits(model, images).astype(np.float64))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), model.predict_on_batch(images), atol=1e-6)


def test_maps_of_a_class_are_the_three_that_the_package_draws():
    maps, image = where_it_looks.class_maps(pair(), pictures()[0], 1), pictures()[:1]
    assert list(maps) == ["gap", "wise"]
    for head, model in pair().items():
        drawn = [ws.grad_cam(model, image, 1), ws.hires_cam(model, image, 1), ws.contribution_map(model, image, 1)]
        assert list(maps[head]) == ["Grad-CAM", "HiResCAM", "contribution"]
        for map_, expected in zip(maps[head].values(), drawn, strict=True):
            np.testing.assert_array_equal(map_, expected[0])


def test_a_lead_is_the_difference_of_two_logits():
    image = pictures(1)
    for head, model in pair().items():
        lead = where_it_looks.rival_maps({head: model}, image[0], 3, 1)[head]["its lead"]
        with_biases = np.asarray(model.predict_on_batch(image))[0]
        biases = where_it_looks.decomposition({head: model}, image.repeat(2, axis=0), [3, 1])
        fixed = (biases["pooling's bias"] + biases["classifier's bias"]).to_numpy()
        assert lead.sum() + fixed[0] - fixed[1] == pytest.approx(with_biases[3] - with_biases[1], abs=1e-4)
        assert abs(lead.sum()) > 1e-3


MAPS = {
    "gap": {"one": np.array([[1.0, -4.0], [0.0, 2.0]]), "two": np.array([[0.5, 0.0], [0.0, 0.0]])},
    "wise": {"one": np.zeros((2, 2)), "two": np.full((2, 2), 3.0)},
}


def test_each_head_of_a_grid_has_one_symmetric_scale_and_a_bar_in_logit_units():
    image = np.zeros((8, 6, 3), "uint8")
    drawn, axes = plots.figure(columns=2, rows=3)
    assert where_it_looks.grid(image, MAPS, axes) is axes
    for column, titled, most in zip(axes.T, MAPS.values(), (4, 3), strict=True):
        assert [len(ax.images) for ax in column] == [1, 2, 2]
        for ax, (title, map_) in zip(column[1:], titled.items(), strict=True):
            np.testing.assert_array_equal(ax.images[1].get_array(), map_)
            assert ax.images[1].get_clim() == (-most, most)
            assert ax.images[1].get_extent() == [0, 6, 8, 0]
            assert ax.get_title() == f"{title}, sum {map_.sum():.3g}".replace("-", "−")
    bars = [ax for ax in drawn.axes if ax not in axes.flat]
    assert [bar.get_xlabel() for bar in bars] == [where_it_looks.UNIT] * 2
    assert [bar.get_xlim() for bar in bars] == [(-4, 4), (-3, 3)]
    said = plots.alt_text(drawn)
    assert "gap, one: sum −1, from −4 to 2, strongest at row 1 of 2 and column 2 of 2" in said
    assert "wise, two: sum 12, from 3 to 3, strongest at row 1 of 2 and column 1 of 2" in said
    axes = plots.figure(rows=2, squeeze=False)[1]
    where_it_looks.grid(image, {"gap": {"nothing": np.zeros((2, 2))}}, axes)
    assert axes[1, 0].images[1].get_clim() == (-1, 1)


RIGHT = {"gap": np.array([1, 1, 0, 0, 1, 0, 0], bool), "wise": np.array([1, 0, 1, 1, 1, 1, 0], bool)}


def test_counts_and_words_of_who_is_right():
    table = where_it_looks.counts(RIGHT)
    assert list(table.index) == ["gap right", "gap wrong"]
    assert table["wise right"].tolist() == [2, 3]
    assert table["wise wrong"].tolist() == [1, 1]
    assert where_it_looks.describe_selection(RIGHT) == (
        "The images that both gap and wise get right are 2 of 7 (29%). Left out are 1 that only gap gets right, 3 that "
        "only wise gets right, and 1 that neither does."
    )


def test_images_are_chosen_from_the_classes_in_turn_and_too_few_are_said(capsys):
    labels = [0, 0, 0, 2, 1, 0, 2, 1]
    mask = np.array([0, 1, 1, 1, 1, 1, 1, 0], bool)
    assert where_it_looks.choose(mask, labels, 4, "it fits") == [1, 4, 3, 2]
    assert where_it_looks.choose(mask, labels, 6, "it fits") == [1, 4, 3, 2, 6, 5]
    assert capsys.readouterr().out == ""
    assert where_it_looks.choose(mask, labels, 7, "it fits") == [1, 4, 3, 2, 6, 5]
    assert "Of the 8 test images, 6 are such that it fits; 7 were asked for." in capsys.readouterr().out
    assert where_it_looks.choose(~mask[:1] & mask[:1], labels[:1], 1, "it fits") == []
    assert "none is such that it fits; 1 was asked for." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("gap",), "two different heads with a comma between them, such as 'gap, wise'; received 'gap'"),
        (("gap, gap",), "received 'gap, gap'"),
        (("gap, wise, depthwise",), "two different heads"),
        (("gap,",), "received 'gap,'"),
        ((["gap", "wise"],), "received \\['gap', 'wise'\\]"),
        (("gap, vise",), "Unknown head 'vise'. Valid heads: "),
        (("gap, gwap",), "Head 'gwap' has no weights of positions"),
        (("avg_fc, gap",), "Valid heads: gap, wise, gap_dropout, depthwise, "),
        *((("gap, wise", images), "images must be a whole number, 1 or more") for images in (0, -1, 2.0, "3", True)),
    ],
)
def test_what_makes_no_pair_is_refused(typed, message):
    with pytest.raises(ValueError, match=message):
        where_it_looks.Pair("mit_512", *typed)


def test_the_heads_that_are_refused_are_those_without_weights_of_positions():
    refused = {}
    for head in ws.HEADS:
        try:
            pooling_weights(ws.build_classifier("small_patch", head, classes=2, image_size=128))
        except ValueError as error:
            refused[head] = str(error)
    assert sorted(refused) == sorted(where_it_looks.WITHOUT_WEIGHTS)
    assert "every class has weights of its own, not every channel" in refused["avg_fc"]


def test_a_pair_knows_the_predictions_of_both_its_runs(tmp_path):
    two = where_it_looks.Pair("mit_224", "wise, gap", 2, epochs=1, runs_dir=tmp_path)
    labels, everything = np.asarray(two.dataset.test.labels), two.dataset.test.rgb(range(len(two.dataset.test)))
    assert list(two.runs["row"]) == ["wise", "gap"]
    for head, model in two.models.items():
        predicted = np.asarray(model.predict_on_batch(everything)).argmax(axis=1)
        np.testing.assert_array_equal(two.right[head], predicted == labels)
    parts = where_it_looks.decomposition(two.models, everything[:2], labels[:2])
    assert list(parts["class"]) == [two.dataset.classes[k] for k in labels[:2].repeat(2)]
    for index in two.both_right():
        assert two.right["wise"][index]
        assert two.right["gap"][index]
    for index in two.one_right():
        assert two.right["wise"][index] != two.right["gap"][index]
    for head, model in two.untrained.items():
        assert pooling_weights(model).shape == (7, 7, 96), head
    start, learned = (pooling_weights(models["wise"]) for models in (two.untrained, two.models))
    assert start.min() < 0 <= learned.min()  # the constraint acts with the first step


def made_up(labels, right):
    """A pair of random models on random images."""
    two = where_it_looks.Pair("mit_512", "gap, wise", 1)
    split = Split(pictures(len(labels)), np.array(labels), "x")
    two.rows.first.dataset = Dataset("noise", ("zero", "one", "two", "three"), split, split, photographs=False)
    two.models, two.right = pair(), {head: np.array(mask, bool) for head, mask in right.items()}
    return two


def test_a_pair_chooses_what_both_and_what_one_of_them_gets_right(capsys):
    two = made_up([0, 1, 2, 3, 0], {"gap": [0, 0, 1, 1, 1], "wise": [0, 1, 1, 0, 1]})
    assert two.both_right() == [4]
    assert two.one_right() == [1, 3]
    assert made_up([0, 1], {"gap": [0, 0], "wise": [0, 1]}).one_right() == [1]
    assert "Of the 2 test images, none is such that only gap gets right; 1 was" in capsys.readouterr().out


@pytest.mark.parametrize("index", range(4))
def test_figures_of_a_pair_name_the_class_its_rival_and_what_each_head_says(index):
    two = made_up([0, 1, 2, 3], {"gap": [1] * 4, "wise": [1] * 4})
    names, scores = two.dataset.classes, {}
    leads = {}
    for head, model in two.models.items():
        scores[head] = np.asarray(model.predict_on_batch(two.dataset.test.rgb([index])))[0]
        leads |= {(scores[head][index] - scores[head][k], k): head for k in range(CLASSES) if k != index}
    rival = min(leads)[1]
    said = ", ".join(f"{head} says {names[own.argmax()]}" for head, own in scores.items())
    for draw, title, drawn_maps in (
        (two.class_figure, "", "wise, HiResCAM: sum "),
        (two.rival_figure, f"; the other: {names[rival]}", "wise, its lead: sum "),
    ):
        drawn = draw(index)
        assert len(drawn.axes) == 10  # two columns of an image, three maps and a colour bar
        head_line = f"test image {index}, class: {names[index]}{title}"
        assert drawn.get_suptitle() == f"{head_line}\n{said}\n{two.note}"
        alt = plots.alt_text(drawn)
        assert alt.startswith(f"{head_line}. {said}. {two.note}. An image with its maps (logit units). gap, ")
        assert drawn_maps in alt


def test_runs_that_were_measured_on_other_images_are_not_put_beside_todays():
    two = made_up([0, 1], {"gap": [0, 1], "wise": [1, 1]})
    del two.right
    kept = {"data_fingerprint": two.dataset.fingerprint, "test_images": 2, "correct": pack([True, True])}
    record, other = records.result(changes=kept), records.result(changes={**kept, "data_fingerprint": "other"})
    two.runs = {"run": [record, record]}
    assert set(two.right) == {"gap", "wise"}
    for found, said in (([other, other], "other test images than are here now"), ([record, other], "different test")):
        vars(two).pop("right", None)
        two.runs = {"run": found}
        with pytest.raises(ValueError, match=rf"were measured on {said}.*Train them again with overwrite=True"):
            _ = two.right


POOLING = ["gap", "gap_dropout", "depthwise", "depthwise_nonneg", "wise", "wise_dropout", "gwap_fixed"]


@pytest.mark.parametrize("head", POOLING)
def test_weights_of_positions_are_what_a_lit_position_adds_to_the_pooled_vector(head):
    model = classifier(head, 352)  # 11×11 cells: windows of 2 leave the last row and column out
    weights = pooling_weights(model)
    assert weights.shape == (11, 11, 96)
    after = model.layers[[layer.name for layer in model.layers].index("features") + 1 : -1]
    rng = np.random.default_rng(3)
    features = rng.normal(size=(2, 11, 11, 96)).astype("float32")
    pooled = []
    for x in (features, np.zeros_like(features)):
        for layer in after:
            x = layer(x)
        pooled.append(keras.ops.convert_to_numpy(x))
    expected = pooled[0] - pooled[1]
    np.testing.assert_allclose(np.einsum("nijc,ijc->nc", features, weights), expected, atol=1e-4)
    assert np.abs(expected).max() > 1e-2
    unseen = where_it_looks.never_seen(weights)
    left_out = 21 if head.startswith("wise") else 0
    assert unseen.sum() == left_out
    assert unseen[10].all() == unseen[:, 10].all() == bool(left_out)


def test_the_papers_map_of_16_cells_leaves_31_of_256_unseen():
    weights = pooling_weights(classifier("wise", 512))
    even = np.ones((16, 16))
    assert where_it_looks.describe_unseen(weights, -even).startswith(
        "31 of the 256 cells count for nothing in any channel, and 12.1% of Grad-CAM lies there; "
    )
    assert where_it_looks.describe_unseen(weights[:15, :15], even[:15, :15]) == "every cell counts."
    clipped = np.maximum(weights, 0)
    share = (clipped[:15, :15] == 0).mean()
    assert 0.4 < share < 0.6
    assert where_it_looks.describe_unseen(clipped, even).endswith(f" weights {share:.0%} are exactly 0.")


@pytest.mark.parametrize("shape", [(16, 16, 5), (7, 7, 3), (5, 8, 2), (1, 1, 1)])
def test_a_radial_profile_is_what_a_loop_over_the_cells_finds(shape):
    weights = np.random.default_rng(4).normal(size=shape).astype("float32")
    height, width, channels = shape
    rings = {}
    for i in range(height):
        for j in range(width):
            away = np.sqrt((i - (height - 1) / 2) ** 2 + (j - (width - 1) / 2) ** 2)
            rings.setdefault(int(away), []).append((away, weights[i, j].astype(float)))
    profile = where_it_looks.radial_profile(weights)
    assert len(profile) == len(rings)
    assert profile["cells"].sum() == height * width
    for row, (_, cells) in zip(profile.itertuples(), sorted(rings.items()), strict=True):
        means = [sum(values[c] for _, values in cells) / len(cells) for c in range(channels)]
        assert row.cells == len(cells)
        assert row.distance == pytest.approx(np.mean([away for away, _ in cells]))
        assert row.mean == pytest.approx(np.mean(means))
        ranks = np.arange(channels) / max(channels - 1, 1)
        low, high = (np.interp(share, ranks, sorted(means)) for share in (0.1, 0.9))
        assert (row.low, row.high) == pytest.approx((low, high))


def test_channels_are_ranked_from_the_centre_outwards_and_dead_ones_left_out():
    weights = np.zeros((5, 5, 4), "float32")
    weights[0, 0, 0] = 1  # a corner
    weights[2, 2, 1] = -1  # the centre, whatever the sign
    weights[2, 1, 3] = 1
    assert where_it_looks.ranked_channels(weights, 3) == [1, 3, 0]
    assert where_it_looks.ranked_channels(weights, 2) == [1, 0]
    assert where_it_looks.ranked_channels(weights, 9) == [1, 3, 0]


def test_the_grid_of_weights_draws_mean_and_channels_and_crosses_out_what_is_unseen():
    weights = {head: pooling_weights(classifier(head, 352)) for head in ("gap", "wise")}
    drawn, axes = plots.figure(columns=3, rows=2)
    assert where_it_looks.weight_grid(weights, axes) is axes
    for row, map_ in zip(axes, weights.values(), strict=True):
        np.testing.assert_allclose(row[0].images[0].get_array(), map_.mean(axis=-1), rtol=1e-6)
        first, last = where_it_looks.ranked_channels(map_, 2)
        np.testing.assert_array_equal(row[1].images[0].get_array(), map_[..., first])
        np.testing.assert_array_equal(row[2].images[0].get_array(), map_[..., last])
        crossed = {(y, x) for x, y in zip(*row[0].lines[0].get_data(), strict=True)}
        assert crossed == set(map(tuple, np.argwhere((map_ == 0).all(axis=-1))))
    assert len(crossed) == 21
    for row in axes:
        assert len({ax.images[0].get_clim() for ax in row}) == 1
    gap, wise = axes[:, 0]
    assert gap.images[0].get_clim()[1] < wise.images[0].get_clim()[1] / 2
    assert [ax.get_ylabel() for ax in drawn.axes if ax not in axes.flat] == ["weight of a cell"] * 2
    said = plots.alt_text(drawn)
    assert f"channel {first}, channel {last}, from the most central" in said
    assert "gap: the mean over channels reaches from 0.0083 to 0.0083" in said  # 1/121
    assert "21 of 121 cells crossed out" in said


def test_profiles_draw_what_was_learned_beside_the_start():
    trained = {head: pooling_weights(classifier(head)) for head in ("gap", "wise")}
    start = {"gap": trained["gap"], "wise": np.zeros((8, 8, 96), "float32")}
    ax = where_it_looks.profiles(trained, start, plots.figure()[1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["gap", "wise", "wise, before the training"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1 / 64, rtol=1e-5)
    profile = where_it_looks.radial_profile(trained["wise"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), profile["mean"])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), profile["distance"])
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(profile["high"].max())
    said = plots.alt_text(ax.figure)
    assert "gap: 0.016 at the centre and 0.016 at the corner;" in said
    assert said.endswith("wise, before the training: 0 at the centre and 0 at the corner.")
