"""Comparing heads: features computed once, what is trained, what is called better and what is admitted to be open."""

import dataclasses
import re

import numpy as np
import pytest
from brightness import RECIPE, brightness
from scipy.stats import norm

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.metrics import judge, paired_comparison, wilson_interval
from wisesr_helpers.studies import compare, own_images
from wisesr_helpers.studies.compare import Comparison, FrozenFeatures, choose, compare_heads
from wisesr_helpers.training.recipes import Recipe


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return FrozenFeatures(brightness(), "small_conv", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(features):
    return features.train_head("wise", 1, RECIPE)


def test_the_features_are_the_backbones_in_half_precision(features):
    for split, stored in (("train", features.train), ("test", features.test)):
        images = getattr(features.dataset, split)
        expected = features.backbone.predict(images.rgb(np.arange(len(images))), verbose=0)
        assert (stored.shape, stored.dtype) == (expected.shape, np.float16)
        np.testing.assert_allclose(stored, expected, rtol=1e-3, atol=1e-4)


def test_they_are_computed_once_and_anew_for_other_images_or_weights(tmp_path, monkeypatch, capsys):
    computed, compute = [], compare._compute
    monkeypatch.setattr(compare, "_compute", lambda *args: computed.append(args[-1]) or compute(*args))
    FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    assert "Features of 59 images, 2×2×96 each, as float16: 0.0 MB" in capsys.readouterr().out
    FrozenFeatures(brightness(), "small_conv", cache=tmp_path)
    assert "The features are taken from" in capsys.readouterr().out
    assert len(computed) == 2
    FrozenFeatures(brightness(seed=1), "small_conv", cache=tmp_path)
    assert len(computed) == 4
    keras.utils.set_random_seed(5)
    ws.build_backbone("small_conv", 64).save_weights(tmp_path / "other.weights.h5")
    other = FrozenFeatures(brightness(), "small_conv", tmp_path / "other.weights.h5", tmp_path)
    assert len(computed) == 6
    expected = np.array(other.test)  # not the mapped file, whose end is about to go
    for path in (tmp_path / "features").glob("*.npy"):
        path.write_bytes(b"damaged")
    again = FrozenFeatures(brightness(), "small_conv", tmp_path / "other.weights.h5", tmp_path)
    np.testing.assert_array_equal(again.test, expected)


def test_imagenet_weights_get_their_own_preprocessing_and_features_of_another_are_not_taken(tmp_path, monkeypatch):
    asked = []

    def small(name, size, weights, preprocessing):
        asked.append((name, weights, preprocessing))
        return ws.build_backbone("small_conv", size, preprocessing=preprocessing)

    monkeypatch.setattr(compare, "build_backbone", small)
    own = FrozenFeatures(brightness(), "DenseNet121", "imagenet", tmp_path)
    papers = FrozenFeatures(brightness(), "DenseNet121", "imagenet", tmp_path, "caffe")
    FrozenFeatures(brightness(), "DenseNet121", None, tmp_path)
    assert asked == [("DenseNet121", "imagenet", mode) for mode in ("torch", "caffe")] + [("DenseNet121", None, None)]
    assert np.abs(own.test.astype(float) - papers.test.astype(float)).max() > 0.1


def test_a_head_learns_on_them_and_leaves_the_backbone_as_it_was(features, trained):
    model, correct = trained
    assert correct.all()
    for layer in features.backbone.layers:
        for ours, theirs in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    built = ws.build_classifier("small_conv", "wise", classes=2, image_size=64)
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in built.layers]
    assert ws.count_params(model) == ws.count_params(built)


def test_the_whole_classifier_says_what_the_head_did(features, trained, tmp_path):
    model, correct = trained
    test = features.dataset.test
    table = ws.predict(model, test.rgb(np.arange(len(test))))
    np.testing.assert_array_equal(table["class"] == np.array(features.dataset.classes)[test.labels], correct)
    model.save(tmp_path / "kept.keras")
    kept = ws.predict(keras.models.load_model(tmp_path / "kept.keras"), test.rgb([0, 1]), classes=["dark", "bright"])
    assert list(kept["class"]) == ["dark", "bright"]


def test_a_seed_decides_everything(features, trained):
    def weights(model):
        return np.concatenate([array.ravel() for array in model.get_layer("predictions").get_weights()])

    again, other = (features.train_head("wise", seed, RECIPE)[0] for seed in (1, 2))
    np.testing.assert_array_equal(weights(again), weights(trained[0]))
    assert not np.allclose(weights(other), weights(again))


def test_shuffled_labels_are_not_learned(features):
    dataset = brightness()
    labels = np.random.default_rng(0).permutation(dataset.train.labels)
    other = object.__new__(FrozenFeatures)
    vars(other).update(
        vars(features),
        dataset=Dataset("shuffled", dataset.classes, Split(dataset.train.images, labels, ""), dataset.test, False),
    )
    assert other.train_head("gap", 0, RECIPE)[1].mean() < 0.9


def test_options_reach_the_head(features):
    model, _ = features.train_head("wise", 0, RECIPE, bias=False)
    assert ws.count_params(model) == ws.count_params(
        ws.build_classifier("small_conv", "wise", classes=2, image_size=64, bias=False)
    )


def test_no_room_is_said_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(compare.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=re.escape("and '") + ".*has room for 0.0 MB: give another folder with cache"):
        FrozenFeatures(brightness(), "small_conv", cache=tmp_path)


def test_features_that_half_precision_can_not_hold_are_refused(tmp_path):
    keras.utils.set_random_seed(0)
    backbone = ws.build_backbone("small_conv", 64)
    last = backbone.get_layer("conv6_bn")
    gamma, *others = last.get_weights()
    last.set_weights([gamma * 1e7, *others])
    backbone.save_weights(tmp_path / "large.weights.h5")
    with pytest.raises(ValueError, match="more than float16 can hold"):
        FrozenFeatures(brightness(), "small_conv", tmp_path / "large.weights.h5", tmp_path)
    assert list((tmp_path / "features").iterdir()) == []


def test_divergence_is_said(features):
    wild = Recipe(epochs=3, batch_size=8, learning_rate=1e38, momentum=0.9, decay_rate=1, decay_epochs=1)
    with pytest.raises(ValueError, match="Give a recipe with a lower learning rate than 1e\\+38"):
        features.train_head("wise", 0, wild)


PARAMS = {"gap": 100, "wise": 150, "avg_fc": 300}


def comparison(images=300, seeds=3, classes=3, draw=0, **top1):
    """A comparison of heads that get so many of the same images right, each image with luck of its own."""
    rng = np.random.default_rng(draw)
    correct = {head: rng.random((seeds, images)) < share for head, share in top1.items()}
    labels = np.arange(images) % classes
    params = {head: PARAMS[head] for head in top1}
    return Comparison("small_conv", correct, params, {}, labels, tuple("abc"[:classes]), photographs=True)


def test_frozen_features_compare_heads_on_the_same_images():
    compared = compare_heads(brightness(), "gap, wise", "small_conv", seeds=2, frozen=True, recipe=RECIPE)
    assert list(compared.runs["head"]) == ["gap", "gap", "wise", "wise"]
    assert list(compared.runs["seed"]) == [0, 1, 0, 1]
    assert compared.correct["wise"].shape == (2, 19)
    assert compared.models["gap"].class_names == ("dark", "bright")
    for head in ("gap", "wise"):
        model = compared.models[head]
        assert compared.params[head] == ws.count_params(model)
        test = brightness().test
        said = ws.predict(model, test.rgb(np.arange(19)))["class"] == np.array(["dark", "bright"])[test.labels]
        np.testing.assert_array_equal(said, compared.correct[head][0])


def test_whole_models_are_trained_by_their_recipe():
    recipe = dataclasses.replace(RECIPE, epochs=2, momentum=0.9, learning_rate=0.05)
    compared = compare_heads(
        brightness(), ("gap", "wise"), "small_patch", seeds=1, recipe=recipe, options={"wise": {"bias": False}}
    )
    assert len(compared.runs) == 2
    assert compared.params["wise"] == ws.count_params(
        ws.build_classifier("small_patch", "wise", classes=2, image_size=64, bias=False)
    )
    test = brightness().test
    for head, model in compared.models.items():
        said = ws.predict(model, test.rgb(np.arange(19)))["class"] == np.array(["dark", "bright"])[test.labels]
        np.testing.assert_array_equal(said, compared.correct[head][0])
    assert "One seed says nothing about the luck" in compared.recommendation or compared.heads["low"][0] <= 10 / 19


def test_too_little_memory_is_answered_with_what_can_be_changed_here(monkeypatch):
    def train(*args, **named):
        raise MemoryError("Split each step with -y options; whole epochs are kept.")

    monkeypatch.setattr(compare, "train", train)
    with pytest.raises(MemoryError, match=r"gap on small_patch and \d+ images at once .* not kept\. Take a smaller"):
        compare_heads(brightness(), ("gap", "wise"), "small_patch", seeds=1)


def test_what_is_printed_before_names_the_augmentation_and_what_is_not_kept():
    whole = " ".join(choose("gap, wise", "small_conv").describe())
    assert "Trainings are not kept" in whole
    assert "rotation ±360°" in whole
    heads = " ".join(choose("gap, wise", "DenseNet121", "imagenet").describe())
    assert "with their own preprocessing, torch" in heads
    assert "rotation" not in heads


def test_a_training_that_diverges_is_no_result():
    wild = dataclasses.replace(RECIPE, epochs=2, momentum=0.9, learning_rate=1e38)
    with pytest.raises(ValueError, match="gap, seed 0, diverged in epoch 1, step .* lower learning rate than 1e\\+38"):
        compare_heads(brightness(), ("gap", "wise"), "small_patch", seeds=1, recipe=wild)


def test_what_is_chosen_where_nothing_is_said():
    assert choose(("gap", "wise"), "small_conv").frozen is False
    assert choose("gap,wise", "small_conv", "none").weights is None
    assert choose("gap,wise", "ResNet50", "imagenet").frozen is True
    assert choose("gap,wise", "ResNet50", "imagenet", frozen=False).recipe.weights == "imagenet"


@pytest.mark.parametrize("frozen", [True, False])
def test_other_epochs_end_at_the_same_learning_rate(frozen):
    ends = []
    for epochs in (0, 5, 60):
        recipe = choose("gap,wise", "small_conv", epochs=epochs, frozen=frozen).recipe
        ends.append(recipe.decay_rate**recipe.epochs)
        assert recipe.epochs == epochs or not epochs
    np.testing.assert_allclose(ends, ends[0])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"heads": "gap, wize"}, "Unknown head 'wize'"),
        ({"heads": "gap"}, "at least two different ones; received gap"),
        ({"heads": ("gap", "gap")}, "at least two different ones"),
        ({"heads": 5}, "heads must be names, such as 'gap, wise' or .*; received 5"),
        ({"backbone": "small_con"}, "Did you mean small_conv"),
        ({"weights": "imagenet"}, "small_conv has no ImageNet weights"),
        ({"epochs": -1}, "epochs must be a whole number, 0 or more; received -1"),
        ({"seeds": 0}, "seeds must be a whole number, 1 or more; received 0"),
        ({"options": {"start": "uniform"}}, "options must be a mapping of heads to their options"),
        ({"options": {"gap": {"start": "uniform"}}}, "Head 'gap' has no option 'start'"),
        ({"options": {"avg_fc": {}}}, "'avg_fc', which is not compared"),
    ],
)
def test_what_can_not_be_compared_is_refused_before_anything_is_loaded(typed, said):
    with pytest.raises(ValueError, match=said):
        compare_heads(None, **{"heads": "gap, wise", "backbone": "small_conv", **typed})


def test_the_tables_are_those_of_the_metrics():
    compared = comparison(gap=0.6, wise=0.7, avg_fc=0.65)
    assert list(compared.heads["head"]) == ["wise", "avg_fc", "gap"]
    for row in compared.runs.itertuples():
        right = compared.correct[row.head][row.seed]
        assert (row.correct, row.top1) == (right.sum(), pytest.approx(right.mean()))
        assert (row.low, row.high) == pytest.approx(wilson_interval(right.sum(), 300))
    rows = {(row.better, row.other): row for row in compared.differences.itertuples()}
    judged = judge({pair: paired_comparison(*(compared.correct[head] for head in pair)) for pair in rows})
    for pair, row in rows.items():
        assert row.compared == judged[pair]
        assert row.difference == judged[pair].difference >= 0
        assert (row.low, row.high, row.p) == (row.compared.low, row.compared.high, row.compared.p)
        assert (row.p_corrected, row.shown) == (row.compared.p_corrected, row.compared.shown)


def test_what_is_better_is_recommended():
    compared = comparison(gap=0.5, wise=0.8)
    row = compared.differences.iloc[0]
    assert row["shown"]
    expected = f"is better than gap by {100 * row['difference']:.1f} points (95 % interval {100 * row['low']:.1f} to"
    assert compared.recommendation.startswith(f"Take wise on {compared.backbone}. wise {expected}")
    assert "p < 0.001" in compared.recommendation
    assert compared.recommended == "wise"


def test_the_tables_for_readers_say_the_same_in_percent():
    compared = comparison(gap=0.5, wise=0.8, avg_fc=0.79)
    heads, pairs = compared.tables()
    first = compared.heads.iloc[0]
    assert list(heads["head"]) == list(compared.heads["head"])
    assert heads["top-1, mean of seeds"][0] == f"{first['top1']:.1%}"
    assert heads["95 % interval"][0] == f"{first['low']:.1%} to {first['high']:.1%}"
    for said, row in zip(pairs.itertuples(index=False), compared.differences.itertuples(), strict=True):
        assert said[:3] == (row.better, row.other, f"{100 * row.difference:.1f}".replace("-", "−"))
    assert list(pairs["shown"]) == ["yes" if shown else "no" for shown in compared.differences["shown"]]
    assert set(pairs["shown"]) == {"yes", "no"}
    assert set(compared.differences["reason"]) == {""}
    assert [bool(text) for text in pairs["images needed for 2 points"]] == list(pairs["shown"] == "no")
    assert pairs.loc[pairs["shown"] == "yes", "p"].iloc[0] == "< 0.001"


def test_what_the_images_can_not_show_is_not_claimed():
    compared = comparison(gap=0.8, wise=0.8)
    row = compared.differences.iloc[0]
    assert not row["shown"]
    said = compared.recommendation
    assert said.startswith(f"No difference that 300 test images can show: {row['better']} − {row['other']} is +")
    assert "Until then take gap, which has the fewest weights of them (100)." in said
    assert f"About {float(f'{row.images_needed:.2g}'):,.0f} test images would be needed" in said


def test_more_heads_need_more_images():
    """Each pair is held to a stricter level: 0.05 / 3 instead of 0.05."""
    two, three = (comparison(gap=0.7, wise=0.7, **more).differences for more in ({}, {"avg_fc": 0.7}))
    of_pair = three[(three["better"] != "avg_fc") & (three["other"] != "avg_fc")]["images_needed"].item()
    strictness = ((norm.ppf(1 - 0.025 / 3) + norm.ppf(0.8)) / (norm.ppf(0.975) + norm.ppf(0.8))) ** 2
    assert of_pair / two["images_needed"].item() == pytest.approx(strictness, rel=0.01)


def test_one_seed_tells_nothing_of_luck():
    (said,) = comparison(seeds=1, gap=0.7, wise=0.7).tables()[1]["larger share of luck"]
    assert said == "not known from one seed"


def test_a_folder_in_place_of_a_dataset_is_answered_with_how_to_read_it():
    with pytest.raises(TypeError, match=r"such as ws\.image_folder\('photos'\) returns; received 'mine'"):
        compare_heads("mine", "gap, wise")


def test_one_lucky_seed_is_no_difference():
    compared = comparison(gap=0.6, wise=0.6)
    compared.correct["wise"][0] = True
    compared.correct["wise"][1:] = compared.correct["gap"][1:]
    row = compared.differences.iloc[0]
    assert row["p"] < 1e-6  # the exact test knows nothing of seeds
    assert row["luck"]
    assert not row["shown"]
    assert "more seeds would help first" in compared.recommendation
    assert compared.tables()[1]["shown"][0].startswith("no: the interval decides")


def test_with_three_heads_the_open_and_the_shown_are_told_apart():
    compared = comparison(gap=0.4, wise=0.8, avg_fc=0.8)
    said = compared.recommendation
    assert said.startswith("No difference that 300 test images can show: ")
    assert "better than gap by" in said
    assert "Until then take wise" in said
    assert "take gap" not in said
    assert compared.recommended == "wise"


def test_nothing_is_recommended_where_nothing_was_learned():
    compared = comparison(classes=2, gap=0.5, wise=0.51)
    assert compared.recommendation.startswith("Nothing shows that any head learned: the best, ")
    assert "always answering 'a' has 50.0%" in compared.recommendation


def test_the_baseline_is_the_most_frequent_class():
    compared = comparison(gap=0.75, wise=0.75)
    lopsided = dataclasses.replace(compared, labels=np.repeat([0, 1, 2], [240, 30, 30]))
    assert lopsided.baseline == 0.8
    assert "any head learned" in lopsided.recommendation
    assert "any head learned" not in compared.recommendation


def test_figures_show_the_tables():
    compared = comparison(gap=0.5, wise=0.8, avg_fc=0.79)
    _, axes = ws.plots.figure(columns=2)
    assert own_images.accuracies(compared, axes[0]) is axes[0]
    assert own_images.differences(compared, axes[1]) is axes[1]
    heads = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert heads == list(compared.heads["head"])[::-1]
    dots = {line.get_xdata()[0]: line.get_markerfacecolor() for line in axes[1].lines if line.get_marker() == "o"}
    for row in compared.differences.itertuples():
        assert (dots[100 * row.difference] != "white") == row.shown
    said = ws.plots.alt_text(axes[0].figure)
    for row in compared.heads.itertuples():
        assert f"{row.head} {row.top1:.1%} ({row.low:.1%} to {row.high:.1%}" in said
