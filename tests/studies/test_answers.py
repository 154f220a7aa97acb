"""Answers and figures on records that were never trained: the same sentence must not come out of every result."""

import json

import numpy as np
import pytest
import records
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers.studies import answers, questions
from wisesr_helpers.studies.questions import QUESTIONS
from wisesr_helpers.training import runs

EPOCHS = 8


@pytest.fixture(autouse=True)
def _all_current(monkeypatch):
    monkeypatch.setattr(answers, "is_current", lambda run: run.dataset != "old")


def kept(typed, share, training=None, **changes):
    """A run of these keywords that ends with ``share`` of its test images right."""
    spec = questions.spec(typed)
    count, identity = 600, spec.parameters.identity
    correct = [round(count * share * min(1, (k + 2) / EPOCHS)) for k in range(EPOCHS)]
    run = records.result(
        identity, head=spec.head.name, study=spec.study.name, seed=typed["seed"], images=count, correct=correct
    )
    rng = np.random.default_rng([typed["seed"], *identity.encode()])
    right = rng.permutation(np.arange(count) < correct[-1])
    history = tuple(row | {"top1": training if training is not None else row["top1"]} for row in run.history)
    return records.dataclasses.replace(run, correct=runs.pack(right), history=history, **changes)


def found(name, share, measured=None, training=0.8, **changes):
    """``Found`` of a question whose arm ``title`` ends at ``share(title)``."""
    question = QUESTIONS[name]
    table = [
        kept(question.run(title, seed), share(title), training, **changes)
        for title in question.arms
        for seed in range(question.seeds)
    ]
    return answers.Found(name, runs.as_table(table), measured)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in ("weights", "jumps")])
def test_without_records_every_question_is_open_and_with_equal_ones_nothing_is_shown(name):
    empty = answers.Found(name, runs.as_table([]))
    number = len(QUESTIONS[name].arms) * QUESTIONS[name].seeds
    assert empty.answer.startswith(f"Open: {number} of {number} runs have no current record. make results trains them.")
    with pytest.raises(ValueError, match=f"no record for '{name}'"):
        empty.draw(plots.figure()[1])
    equal = found(name, lambda title: 0.45)
    assert not equal.left
    assert "Open" not in equal.answer
    assert "Better: " not in equal.answer
    assert "Worse: " not in equal.answer
    drawn, ax = plots.figure()
    assert equal.draw(ax) is ax
    assert len(plots.alt_text(drawn)) > 60


def test_one_missing_diverged_or_older_record_is_said():
    question = QUESTIONS["parts"]
    table = [kept(question.run(title, seed), 0.5) for title in question.arms for seed in range(3)]
    assert answers.Found("parts", runs.as_table(table[1:])).left == ["wise, seed 0"]
    old = records.dataclasses.replace(table[0], dataset="old")
    assert answers.Found("parts", runs.as_table([old, *table[1:]])).answer.startswith("Open: 1 of 30 runs")
    gone = records.dataclasses.replace(table[5], status="diverged", divergence={"epoch": 3})
    said = answers.Found("parts", runs.as_table([*table[:5], gone, *table[6:]]))
    assert "Diverged, and in no comparison: start 1/N, seed 2." in said.answer
    assert "start 1/N" not in said.differences
    assert "start even" in said.differences


def test_a_demo_decides_only_if_every_seed_is_above_one_half():
    def share(title):
        return 0.9 if title.endswith("wise") else 0.45

    good = found("demos", share)
    assert good.answer.startswith("4 of 4 demos decide")
    assert good.headline.startswith("4 of 4 demos decide: in every seed")
    assert "with 95% intervals, on 600 test images and 3 seeds. Better: sub_imagenet_224: wise − gap" in good.answer
    assert "mit_224: wise − gap +45.0 (" in good.answer
    rows = good.runs.copy()
    weak = kept(QUESTIONS["demos"].run("intel_224, wise", 1), 0.53)
    rows["run"] = [weak if run.identity == weak.identity else run for run in rows["run"]]
    said = answers.Found("demos", rows).answer
    assert said.startswith("3 of 4 demos decide")
    assert "intel_224 49.0% to 57.0% (does not decide)" in said


def test_comparisons_are_named_by_both_arms_and_can_be_chosen():
    shares = {"stride 1": 0.9, "exact cover": 0.2}
    said = found("parts", lambda title: shares.get(title, 0.5))
    assert said.compared("exact cover", "stride 1").endswith(
        f"better: stride 1 − wise {_span(said, 'stride 1')}; worse: exact cover − wise {_span(said, 'exact cover')}."
    )
    assert "no difference shown: start 1/N − wise" in said.compared()
    assert said.headline.startswith(
        "Better than wise: stride 1. Worse than wise: exact cover. No difference from wise shown: "
    )
    assert f"Better: stride 1 − wise {_span(said, 'stride 1')}." in said.sentences


def _span(said, title):
    each = said.differences[title]
    return f"{answers.points(each.difference, '+')} ({answers.points(each.low)} to {answers.points(each.high)})"


def test_heads_that_only_guess_are_named():
    assert (
        "No better than chance: gap (5 of 5 seeds)."
        in found("heads", lambda title: 0.16 if title == "gap" else 0.5).answer
    )


def test_while_records_are_missing_no_difference_is_drawn():
    whole = found("parts", lambda title: 0.9 if title == "wise" else 0.5)
    for said, drawn_as in (
        (whole, "Differences"),
        (answers.Found("parts", whole.runs.iloc[1:]), "Final test top-1"),
    ):
        drawn, ax = plots.figure()
        said.draw(ax)
        assert plots.alt_text(drawn).startswith(drawn_as)
        assert said.open == (drawn_as != "Differences")


def test_averaging_above_its_ceiling_is_called_a_leak():
    assert "leak" not in found("heads", lambda title: 0.48).answer
    assert "gap is above its ceiling of 50%: the scenes leak" in found("heads", lambda title: 0.6).answer


def test_the_advantage_is_gone_where_wise_is_not_better_any_more():
    def share(title):
        return {"wise": 0.9, "gap": 0.45}[title.split(",")[0]] if "7×7" not in title else 0.9

    assert "is gone from 7×7 patches on." in found("receptive_field", share).answer
    assert "is gone from 1×1 patches on." in found("receptive_field", lambda title: 0.5).answer


def test_the_scale_explains_a_gain_only_if_the_scaled_average_has_it_too():
    shares = {"gap": 0.5, "gap × 0.036": 0.8, "wise": 0.8, "wise, start 1/N": 0.8}
    assert found("scale", shares.get).answer.startswith("The gain could come from the scale of the first output alone.")
    for other in ({"gap × 0.036": 0.5}, {"gap": 0.8}, {"wise": 0.95}, {"wise": 0.5}):
        assert found("scale", (shares | other).get).answer.startswith("The gain could not be shown to come"), other
    assert found("scale", (shares | {"gap × 0.036": 0.2}).get).answer.startswith(
        "The scale of the first output alone gives no gain"
    )


def test_overfitting_is_training_minus_test():
    shares = {"gap": 0.4, "avg_fc": 0.5, "wise": 0.7}
    said = found("few_images", shares.get, training=0.9).answer
    assert "gap +50.0 (50.0 to 50.0); avg_fc +40.0 (40.0 to 40.0); wise +20.0 (20.0 to 20.0)" in said


def test_the_faster_head_reaches_the_level_in_fewer_epochs():
    faster = found("convergence", lambda title: 0.9 if "wise" in title else 0.5)
    assert faster.headline == "small_conv: wise − gap: faster; 16×16 cells: wise − avg_fc: faster."
    assert faster.answer.count(": 3.00 and 7.00, difference −4.00 (95% interval ") == 2
    assert "Epochs to 45.0%, small_conv: wise − gap: " in faster.answer
    assert found("convergence", lambda title: 0.5).headline.count("no difference shown") == 2
    run = kept(QUESTIONS["convergence"].run("wise, small_conv", 0), 0.5)
    assert answers.epochs_to(run, 0.9) == EPOCHS + 1


def test_a_better_head_is_worse_nowhere_and_sooner_everywhere():
    def share(title):
        return 0.9 if title.startswith("ours") else 0.4

    assert found("better_head", share).answer.startswith(
        "With cover=exact wise is a better head by the protocol: worse in 0 of 16 comparisons; as accurate as "
    )
    for task in questions.TASKS:
        said = found(
            "better_head", lambda title, task=task: 0.99 if title == f"avg_fc, {task}" else share(title)
        ).answer
        assert "is not a better head by the protocol: worse in 1 of 16" in said
        assert f"Worse: {task}: ours − avg_fc." in said
        late = found("better_head", lambda title, task=task: 0.89 if title == f"wise, {task}" else share(title)).answer
        assert f"in half of the epochs, in some seed: {task}." in late
        assert "is not a better head" in late
        assert "on 3 of 4 tasks; with more parameters on 0." in late


def test_a_curve_that_still_rises_is_named():
    question = QUESTIONS["scale"]
    table = [
        kept(question.run(title, seed), 0.5, None if title == "gap" else 0.5)
        for title in question.arms
        for seed in range(3)
    ]
    assert answers.Found("scale", runs.as_table(table)).answer.endswith("Not flat yet: gap.")


def test_weights_are_described_for_every_seed(tmp_path):
    flat = found("weights", lambda title: 0.5)
    with pytest.raises(ValueError, match="python scripts/measure.py weights makes it"):
        answers.Found("weights", flat.runs, tmp_path).maps()
    y, x = np.mgrid[-3:4, -3:4]
    maps = {"rotated": np.full((7, 7), 1.0), "not rotated": np.exp(-np.hypot(x, y))}
    rows = {
        run.identity: {
            "cells": maps[title.split(", ")[1]].tolist(),
            "sums": [1.0, 0.5],
            "zero": 0.25,
            "zero_at_once": 0.5,
        }
        for title, run in zip(flat.runs["row"], flat.runs["run"], strict=True)
    }
    (tmp_path / "weights.json").write_text(json.dumps(rows))
    said = answers.Found("weights", flat.runs, tmp_path)
    assert "wise, rotated: centre over border 1.00 (1.00 to 1.00), sum a channel" in said.answer
    assert "sum a channel 0.75" in said.answer
    drawn, ax = plots.figure()
    said.draw(ax)
    assert "wise, rotated, 3 trainings: 1.00 up to half of the way to a corner, 1.00 beyond" in plots.alt_text(drawn)
    places, means = answers.evidence.profile(maps["not rotated"])
    assert (places[0], places[-1]) == (0, 1)
    np.testing.assert_allclose(means, np.exp(-places * np.hypot(3, 3)), atol=1e-5)


def test_jumps_are_judged_over_seeds(tmp_path):
    def write(anew):
        jumping = [0.2, 0.8, 0.2, 0.8]
        rows = [
            {
                "arm": arm,
                "seed": seed,
                "moving": jumping,
                "anew": [value + seed / 1000 * (k % 2) for k, value in enumerate(anew)],
            }
            for arm in QUESTIONS["jumps"].arms
            for seed in range(3)
        ]
        (tmp_path / "jumps.json").write_text(json.dumps(rows))
        return answers.Found("jumps", runs.as_table([]), tmp_path)

    calm = write([0.5] * 4)
    assert "60.00 with moving statistics, 0.10 with new ones (difference −59.90" in calm.answer
    assert "With batch-norm statistics taken anew: smaller at 0.1; smaller at 0.01." in calm.headline
    said = write([0.2, 0.8, 0.2, 0.8])
    assert said.headline.startswith(
        "Changes from epoch to epoch at a learning rate of 0.01, compared with 0.1: no difference"
    )
    assert said.headline.endswith("taken anew: no difference shown at 0.1; no difference shown at 0.01.")
    assert "Learning rate 0.01 − 0.1: difference +0.00, 95% interval 0.00 to 0.00." in said.answer
    drawn, ax = plots.figure()
    said.draw(ax)
    assert "learning rate 0.01: 60.0 points with moving statistics" in plots.alt_text(drawn)
    rows = json.loads((tmp_path / "jumps.json").read_text())
    for row in rows:
        row["moving"] = [0.5, 0.5 + row["seed"] / 1000] * 2 if row["arm"].endswith("0.01") else row["moving"]
    (tmp_path / "jumps.json").write_text(json.dumps(rows))
    assert "Learning rate 0.01 − 0.1: difference −59.90" in answers.Found("jumps", runs.as_table([]), tmp_path).answer
    rows = json.loads((tmp_path / "jumps.json").read_text())
    (tmp_path / "jumps.json").write_text(json.dumps(rows[1:]))
    assert answers.Found("jumps", runs.as_table([]), tmp_path).answer.startswith(
        "Open: learning rate 0.1 has 2 of 3 seeds"
    )


@pytest.mark.parametrize("what", ["weights", "jumps"])
def test_both_are_measured_on_real_trainings(what, tmp_path, monkeypatch):
    measure = load_script("measure")
    monkeypatch.setitem(measure.QUESTIONS, what, records.dataclasses.replace(QUESTIONS[what], seeds=1))
    measure.main([what, "--runs-dir", str(tmp_path / "runs")], tmp_path, scale="smoke", epochs=2)
    rows = json.loads((tmp_path / f"{what}.json").read_text())
    assert len(rows) == len(QUESTIONS[what].arms)
    if what == "jumps":
        assert all(len(row["moving"]) == len(row["anew"]) == 2 for row in rows)
        return
    for identity, row in rows.items():
        assert np.shape(row["cells"]) == ((16, 16) if identity.startswith("mit_512") else (7, 7))
        assert len(row["sums"]) == 96
        assert 0.4 < row["zero_at_once"] < 0.6
        assert np.mean(row["sums"]) == pytest.approx(np.mean(row["cells"]), rel=0.01)


def test_new_statistics_are_the_means_of_the_batches():
    measure = load_script("measure")
    keras = measure.keras
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(momentum=0.9)])
    batches = np.random.default_rng(0).normal(3, 2, (5, 8, 4)).astype("float32")
    measure.take_anew(model, batches)
    norm = model.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, batches.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, batches.var(axis=1).mean(axis=0), rtol=1e-5)
    assert norm.momentum == 0.9


def test_from_declaration_to_figure_with_real_trainings(tmp_path, monkeypatch):
    arms = {head: questions.SEVEN | {"head": head, "scale": "smoke"} for head in ("gap", "wise")}
    monkeypatch.setitem(QUESTIONS, "parts", questions.Question("?", arms, {"wise − gap": ("wise", "gap")}, "", seeds=2))
    for typed in questions.runs(["parts"]):
        ws.Experiment(**typed, runs_dir=str(tmp_path)).run()
    said = answers.Found("parts", ws.load_runs(tmp_path))
    assert "on 6 test images and 2 seeds. No difference shown: wise − gap " in said.answer
    drawn, ax = plots.figure()
    said.draw(ax)
    assert "wise − gap: +" in plots.alt_text(drawn) or "wise − gap: −" in plots.alt_text(drawn)
