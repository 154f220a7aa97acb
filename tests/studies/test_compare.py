"""Comparing heads: what is trained, what is called better and what is admitted to be open."""

import dataclasses
import signal
import sys

import numpy as np
import pytest
import soak
from brightness import RECIPE, brightness
from scipy.stats import norm

import wisesr_helpers as ws
from wisesr_helpers.metrics import judge, paired_comparison, wilson_interval
from wisesr_helpers.studies import compare, own_images
from wisesr_helpers.studies.compare import Comparison, choose, compare_heads
from wisesr_helpers.studies.frozen import FrozenFeatures
from wisesr_helpers.training import loop

PARAMS = {"gap": 100, "wise": 150, "avg_fc": 300}


def comparison(images=300, seeds=3, classes=3, draw=0, **top1):
    """A comparison of heads that get so many of the same images right, each image with luck of its own."""
    rng = np.random.default_rng(draw)
    correct = {head: rng.random((seeds, images)) < share for head, share in top1.items()}
    labels = np.arange(images) % classes
    params = {head: PARAMS[head] for head in top1}
    return Comparison("small_conv", correct, params, {}, labels, tuple("abc"[:classes]))


@pytest.mark.parametrize(("frozen", "backbone"), [(True, "small_conv"), (False, "small_patch")])
def test_heads_are_compared_on_the_same_images(frozen, backbone):
    recipe = RECIPE if frozen else dataclasses.replace(RECIPE, epochs=2, momentum=0.9, learning_rate=0.05)
    options = {"wise": {"bias": False}}
    compared = compare_heads(
        brightness(), "gap, wise", backbone, seeds=2, frozen=frozen, recipe=recipe, options=options
    )
    assert list(compared.runs["head"]) == ["gap", "gap", "wise", "wise"]
    assert list(compared.runs["seed"]) == [0, 1, 0, 1]
    test = brightness().test
    for head, model in compared.models.items():
        assert compared.correct[head].shape == (2, 19)
        built = ws.build_classifier(backbone, head, classes=2, image_size=64, **options.get(head, {}))
        assert compared.params[head] == ws.count_params(built) == ws.count_params(model)
        assert model.class_names == ("dark", "bright")
        said = ws.predict(model, test.rgb(np.arange(19)))["class"] == np.array(["dark", "bright"])[test.labels]
        np.testing.assert_array_equal(said, compared.correct[head][0])


def test_too_little_memory_is_answered_with_what_can_be_changed_here(monkeypatch):
    def train(*args, **named):
        raise MemoryError("Split each step with -y options; whole epochs are kept.")

    monkeypatch.setattr(compare, "train", train)
    with pytest.raises(MemoryError, match=r"gap on small_patch and \d+ images at once .* memory\. Take a smaller"):
        compare_heads(brightness(), ("gap", "wise"), "small_patch", seeds=1)


WHOLE = dataclasses.replace(RECIPE, epochs=3, momentum=0.9, learning_rate=0.05)
COMPARE = """
import dataclasses, sys
sys.path.insert(0, 'tests')
from studies.test_compare import WHOLE, brightness, compare_heads
compare_heads(brightness(), 'gap_dropout, wise', 'small_patch', seeds=1, recipe=WHOLE, runs_dir=sys.argv[1])
"""


def no_training(*args):
    raise AssertionError("trained again")


def test_what_would_fail_at_a_later_head_is_refused_before_the_first_is_trained(tmp_path, monkeypatch):
    def compared(side, runs_dir):
        splits = {name: getattr(brightness(), name) for name in ("train", "test")}
        small = {
            name: dataclasses.replace(split, images=split.images[:, :side, :side], size=None)
            for name, split in splits.items()
        }
        dataset = dataclasses.replace(brightness(), **small)
        return compare_heads(dataset, "gap, wise", "small_patch", seeds=1, runs_dir=runs_dir)

    monkeypatch.setattr(loop, "train_epoch", no_training)
    file = tmp_path / "file"
    file.touch()
    for side, runs_dir, error, said in (
        (32, tmp_path / "runs", ValueError, "A feature map of 1×1 cells"),
        (64, file, OSError, "The trainings can't be kept in"),
    ):
        with pytest.raises(error, match=said) as told:
            compared(side, runs_dir)
        assert told.value._render_traceback_() == [f"{error.__name__}: {told.value}"]
    assert not (tmp_path / "runs").exists()
    with pytest.raises(AssertionError, match="trained again"):  # the control
        compared(64, tmp_path / "runs")


def test_a_killed_comparison_goes_on_and_a_finished_one_is_taken_from_its_folder(tmp_path, capsys, monkeypatch):
    def compared(runs_dir, heads="gap_dropout, wise"):
        return compare_heads(brightness(), heads, "small_patch", seeds=1, recipe=WHOLE, runs_dir=runs_dir)

    def equal(one, other):
        assert {head: right.tolist() for head, right in one.correct.items()} == {
            head: right.tolist() for head, right in other.correct.items()
        }
        for head, model in one.models.items():
            for ours, theirs in zip(model.get_weights(), other.models[head].get_weights(), strict=True):
                np.testing.assert_array_equal(ours, theirs)

    words = [sys.executable, "-c", COMPARE, tmp_path]
    assert soak.start(tmp_path, "within:2:3", words=words).returncode == -signal.SIGKILL
    gone_on = compared(tmp_path)
    assert "gap_dropout, seed 0, goes on after epoch 1:\nepoch 2 of 3" in capsys.readouterr().out
    whole = compared(tmp_path / "whole")
    equal(gone_on, whole)
    monkeypatch.setattr(loop, "train_epoch", no_training)
    equal(compared(tmp_path), whole)
    said = capsys.readouterr().out
    assert "wise, seed 0: trained before, taken from '" in said
    for others in ({"dataset": brightness(seed=1)}, {"options": {"wise": {"bias": False}}}, {"epochs": 4}):
        settings = {"dataset": brightness(), "recipe": WHOLE, "runs_dir": tmp_path, "seeds": 1} | others
        with pytest.raises(AssertionError, match="trained again"):
            compare_heads(heads="wise, gap_dropout", backbone="small_patch", **settings)


def test_trained_heads_are_kept_where_features_are_frozen(tmp_path, capsys, monkeypatch):
    def interrupted(self, trained, name, *others):
        return stopped() if name.startswith("wise") else train(self, trained, name, *others)

    def stopped(*args):
        raise KeyboardInterrupt

    def compared():
        return compare_heads(brightness(), "gap, wise", seeds=2, frozen=True, recipe=RECIPE, cache=tmp_path)

    train = FrozenFeatures._train
    monkeypatch.setattr(FrozenFeatures, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compared()
    said = "Interrupted: what the backbone computed is kept, and '"
    assert said in (printed := capsys.readouterr().out)
    assert printed.endswith("' keeps what is trained; the same command goes on from there.\n")
    monkeypatch.setattr(compare, "FrozenFeatures", stopped)
    with pytest.raises(KeyboardInterrupt):
        compared()
    assert said in capsys.readouterr().out
    monkeypatch.setattr(compare, "FrozenFeatures", FrozenFeatures)
    monkeypatch.setattr(FrozenFeatures, "_train", train)
    first = compared()
    said = capsys.readouterr().out
    assert [line.endswith("trained before") for line in said.splitlines() if ", seed " in line][-4:] == [1, 1, 0, 0]
    monkeypatch.setattr(FrozenFeatures, "_train", no_training)
    again = compared()
    test = brightness().test.rgb(range(19))
    for head, model in first.models.items():
        np.testing.assert_array_equal(again.correct[head], first.correct[head])
        np.testing.assert_array_equal(again.models[head].predict(test), model.predict(test))


def test_the_time_of_all_trainings_is_said_where_it_is_a_minute_or_more(capsys):
    compare._say_speed(4, 24, 0.6, 24)
    assert capsys.readouterr().out == ""
    compare._say_speed(4, 24, 2.5, 20)
    said = "An epoch takes about 2 s here, a training 1 min 0 s, all 4 of them 4 min 0 s."
    assert capsys.readouterr().out == f"{said}\n"


def test_what_is_printed_before_names_the_augmentation_and_what_is_kept():
    whole = " ".join(choose("gap, wise", "small_conv").describe())
    assert "It is kept: interrupted, the same command goes on from there." in whole
    assert "rotation ±360°" in whole
    heads = " ".join(choose("gap, wise", "DenseNet121", "imagenet").describe())
    assert "with their own preprocessing, torch" in heads
    assert "rotation" not in heads


@pytest.mark.parametrize(("frozen", "where"), [(True, ": the loss stopped"), (False, ", diverged in epoch 1, step")])
def test_a_training_that_diverges_is_no_result(frozen, where):
    wild = dataclasses.replace(RECIPE, epochs=2, momentum=0.9, learning_rate=1e38)
    with pytest.raises(ValueError, match=f"gap, seed 0{where} .*lower learning rate than 1e\\+38"):
        compare_heads(brightness(), ("gap", "wise"), "small_patch", seeds=1, recipe=wild, frozen=frozen)


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
        ({"options": {"avg_fc": {}}}, "'avg_fc' that is not compared. Compared heads: gap, wise"),
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
    expected = f"is better than gap by {100 * row['difference']:.1f} points (95% interval {100 * row['low']:.1f} to"
    assert compared.recommendation.startswith(f"Take wise on {compared.backbone}. wise {expected}")
    assert "p < 0.001" in compared.recommendation
    assert not any(name.startswith("images needed") for name in compared.tables()[1])
    assert compared.recommended == "wise"


def test_the_tables_for_readers_say_the_same_in_percent():
    compared = comparison(gap=0.5, wise=0.8, avg_fc=0.79)
    heads, pairs = compared.tables()
    first = compared.heads.iloc[0]
    assert list(heads["head"]) == list(compared.heads["head"])
    assert heads["top-1, mean of seeds"][0] == f"{first['top1']:.1%}"
    assert heads["95% interval"][0] == f"{first['low']:.1%} to {first['high']:.1%}"
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
    compared = comparison(seeds=1, gap=0.7, wise=0.7)
    assert compared.tables()[1]["larger share of luck"].tolist() == ["not known from one seed"]
    assert "One seed says nothing about the luck" in compared.recommendation


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
    assert compared.tables()[1]["shown"][0] == "no: the interval decides, and contains 0"
    assert "the interval decides, and contains 0: unlike p, it counts the luck of other" in compared.recommendation


def test_with_three_heads_the_open_and_the_shown_are_told_apart():
    compared = comparison(gap=0.4, wise=0.8, avg_fc=0.8)
    said = compared.recommendation
    assert said.startswith("No difference that 300 test images can show: ")
    assert "better than gap by" in said
    assert "Until then take wise" in said
    assert "take gap" not in said
    assert compared.recommended == "wise"


def test_nothing_is_recommended_where_nothing_was_learned():
    """Beside the most frequent class, which is more than chance where the test images are lopsided."""
    compared = comparison(classes=2, gap=0.5, wise=0.51)
    assert compared.recommendation.startswith("Nothing shows that any head learned: the best, ")
    assert "always answering 'a' gets 50.0% right" in compared.recommendation
    compared = comparison(gap=0.75, wise=0.75)
    assert "any head learned" not in compared.recommendation
    lopsided = dataclasses.replace(compared, labels=np.repeat([0, 1, 2], [240, 30, 30]))
    assert lopsided.baseline == 0.8
    assert "any head learned" in lopsided.recommendation


def test_figures_show_the_tables():
    compared = comparison(gap=0.5, wise=0.8, avg_fc=0.79)
    _, axes = ws.plots.figure(columns=2)
    assert own_images.accuracies(compared, axes[0]) is axes[0]
    assert axes[0].get_xlabel() == "test top-1; dots: seeds, cross: mean"
    assert own_images.differences(compared, axes[1]) is axes[1]
    heads = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert heads == list(compared.heads["head"])[::-1]
    dots = {line.get_xdata()[0]: line.get_markerfacecolor() for line in axes[1].lines if line.get_marker() == "o"}
    for row in compared.differences.itertuples():
        assert (dots[row.difference] != "white") == row.shown
    said = ws.plots.alt_text(axes[0].figure)
    for row in compared.heads.itertuples():
        assert f"{row.head} {row.top1:.1%} ({row.low:.1%} to {row.high:.1%}" in said
