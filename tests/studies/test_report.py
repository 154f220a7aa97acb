"""Results in words and tables: what a run that is not complete, or learned nothing, may and may not look like."""

import csv
import dataclasses
import json
import re

import pytest
import records

import wisesr_helpers as ws
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.studies import report
from wisesr_helpers.studies.experiment import is_current
from wisesr_helpers.training import runs

record = records.result


def table_of(tmp_path, *choices):
    """The rows of the table of these runs, by head and seed, as dicts."""
    for each in choices:
        records.keep(tmp_path, **each)
    return report.results_table(runs.load_runs(tmp_path)).to_dict("records")


def test_a_complete_run_in_words():
    assert report.describe_result(record(correct=(60, 270))) == (
        "small_patch + wise: top-1 90.0% (95% interval 86.1% to 92.9%) after epoch 2, 270 of 300 test images; "
        "chance is 16.7% (demo: not the paper's data)."
    )


def test_a_diverged_run_in_words_has_no_accuracy_and_says_where_and_what_is_kept():
    said = report.describe_result(record(head="gap", **records.diverged((60, 99))))
    assert said == (
        "small_patch + gap diverged in epoch 3, step 17, at a learning rate of 0.0325: the loss or a weight stopped "
        "being finite (demo: not the paper's data). The last finite loss was 1.25. "
        "The weights of epoch 2 are kept."
    )


def test_a_run_that_diverged_at_once_in_words():
    said = report.describe_result(record(**records.diverged((), step=1, loss=None)))
    assert said == (
        "small_patch + wise diverged in epoch 1, step 1, at a learning rate of 0.0325: the loss or a weight stopped "
        "being finite (demo: not the paper's data). There was no finite loss. "
        "The weights that it started with are kept."
    )


def test_a_loss_of_nothing_is_a_finite_loss():
    assert "The last finite loss was 0. " in report.describe_result(record(**records.diverged((60,), loss=0.0)))


def test_photographs_are_not_called_a_demo():
    for choices in ({}, records.diverged(), records.diverged(()), {"correct": (50,)}):
        assert "demo: not the paper's data" in report.describe_result(record(**choices))
        assert "demo" not in report.describe_result(record(**choices, changes={"photographs": True}))


def test_the_table_says_of_each_run_whether_it_is_a_demo(tmp_path):
    demo = {"correct": (60,)}
    alike = table_of(tmp_path / "alike", demo, {**demo, "seed": 1})
    assert [row["kind"] for row in alike] == [DEMO_NOTE] * 2
    photographs = {**demo, "seed": 1, "photographs": True}
    assert [row["kind"] for row in table_of(tmp_path / "mixed", demo, photographs)] == [DEMO_NOTE, "demo"]


@pytest.mark.parametrize(("right", "guesses"), [(50, True), (62, True), (63, False), (0, True)])
def test_a_complete_run_that_is_no_better_than_a_guess_says_so(right, guesses):
    """Of 300 images in 6 classes; where the line lies is in the tests of metrics."""
    made = record(correct=(290, right))
    said = report.describe_result(made)
    ending = " That is no better than a guess among 6 classes: nothing shows that it learned."
    assert said.endswith("(demo: not the paper's data)." + (ending if guesses else ""))
    assert report.status(made) == ("complete, no better than chance" if guesses else "complete")


def test_a_running_run_in_words_is_not_judged():
    said = report.describe_result(record(correct=(50, 51), status="running", epochs=20))
    assert said.startswith("small_patch + wise, running (2 of 20 epochs): top-1 17.0% (")
    assert "guess" not in said
    said = report.describe_result(record(correct=(), status="running", epochs=20))
    assert said == "small_patch + wise, running (0 of 20 epochs): no whole epoch (demo: not the paper's data)."


def test_the_table_gives_a_final_accuracy_to_complete_runs_only(tmp_path):
    rows = table_of(
        tmp_path,
        {"seed": 0, "correct": (280, 270)},
        {"seed": 1, "correct": (280, 51)},
        {"seed": 2, **records.diverged((99, 60))},
        {"seed": 3, **records.diverged((), step=1, loss=None)},
        {"seed": 4, "correct": (60, 120, 99, 101), "status": "running", "epochs": 20},
        {"seed": 5, "correct": (), "status": "running", "epochs": 20},
        {"seed": 6, "correct": ()},  # another's record, complete without an epoch, must not stop a page
    )
    columns = ["epochs", "top-1, final epoch", "95% interval", "top-1, best epoch", "status"]
    assert [[row[column] for column in columns] for row in rows] == [
        [2, "90.0%", "86.1% to 92.9%", "93.3%", "complete"],
        [2, "17.0%", "13.2% to 21.7%", "93.3%", "complete, no better than chance"],
        [2, "none", "none", "33.0% (epoch 1)", "diverged in epoch 3, step 17"],
        [0, "none", "none", "none", "diverged in epoch 1, step 1"],
        [4, "none", "none", "40.0% (epoch 2)", "running (4 of 20 epochs)"],
        [0, "none", "none", "none", "running (0 of 20 epochs)"],
        [0, "none", "none", "none", "complete"],
    ]
    low, high = wilson_interval(270, 300)
    assert rows[0]["95% interval"] == f"{low:.1%} to {high:.1%}"


def test_options_have_a_column_where_a_run_has_some(tmp_path):
    (plain,) = table_of(tmp_path / "plain", {"seed": 0})
    assert "options" not in plain
    rows = table_of(tmp_path / "both", {"seed": 0}, {"seed": 1, "options": {"start": "uniform", "cover": "exact"}})
    assert [row["options"] for row in rows] == ["", '{"cover": "exact", "start": "uniform"}']


def todays(**changes):
    """A record as the demo of mit_512 makes it today, with changes."""
    demo = ws.STUDIES["mit_512"].demo
    recipe = dataclasses.replace(demo.recipe, **changes.get("recipe", {}))
    kept = {key: value for key, value in changes.items() if key in ("behaviour", "scale", "head", "options")}
    plan = {"train_images": demo.train, "test_images": demo.test} | changes.get("data", {})
    return record(**kept, changes={"recipe": json.loads(json.dumps(dataclasses.asdict(recipe))), **plan})


def test_a_record_is_current_while_versions_recipe_and_plan_are_todays():
    assert is_current(todays())
    assert is_current(todays(recipe={"epochs": 3}))  # more epochs go on with the same run


@pytest.mark.parametrize(
    "changes",
    [
        {"behaviour": None},
        {"behaviour": {"layers": 0}},
        {"recipe": {"learning_rate": 0.04}},
        {"data": {"train_images": 3}},
        {"data": {"image_size": (224, 224)}},
        {"scale": "smoke"},
        {"scale": "withdrawn"},
        {"head": "withdrawn"},
        {"options": {"withdrawn": True}},
    ],
)
def test_a_record_is_not_current_otherwise(changes):
    assert not is_current(todays(**changes))


def top1_of_table_9(root):
    with (root / "wisesr_helpers" / "published_data" / "paper_table_9.csv").open(encoding="utf-8", newline="") as file:
        return {line["row"]: line["value"] for line in csv.DictReader(file) if line["column"] == "Top-1 accuracy"}


def test_published_results_are_the_printed_values_with_intervals(root):
    rows = report.published_results("mit_512")
    assert list(rows["top-1, printed"]) == list(top1_of_table_9(root).values())
    assert list(rows.loc[0, ["backbone", "head", "parameters, printed"]]) == ["Xception", "gap", "20,998,763"]
    # 661 of 1340, by Wilson's formula by hand
    assert rows["95% interval of top-1, computed here"][3] == "46.7% to 52.0%"


def test_counts_beside_the_published_ones_say_what_they_count(monkeypatch):
    asked = []
    monkeypatch.setattr(report, "build_classifier", lambda *typed: asked.append(typed))
    monkeypatch.setattr(report, "count_params", lambda model: 20_998_763)
    monkeypatch.setattr(report, "count_flops", lambda model: 47_968_000_000)
    rows = report.counts_beside_published("mit_512", "gap")
    assert list(rows.columns) == ["backbone", "parameters, printed", "parameters, counted", "GFLOPs, counted"]
    assert list(rows.iloc[0]) == ["Xception", "20,998,763", "20,998,763", 47.97]
    assert asked == [(name, "gap", 67, 512) for name in ("Xception", "ResNet50V2", "DenseNet201")]


def test_impossible_accuracies_are_those_whose_slip_says_so():
    rows = ws.published().query("where == 'Table 9' and unit == 'fraction'")
    assert report.impossible_accuracies("mit_512") == ((rows["slip"] != "").sum(), len(rows)) == (4, 18)


def test_the_published_row_that_failed_to_train_is_computed_to_be_that():
    rows = report.published_results("mit_512")
    (column,) = [name for name in rows.columns if "chance" in name]
    assert column == "beside chance (1.5%), computed here"
    marked = rows[rows[column] == "no better than chance"]
    assert list(zip(marked["backbone"], marked["head"], strict=True)) == [("Xception", "gap")]
    assert set(rows[column]) == {"no better than chance", "better"}
    lows = [float(re.match(r"[\d.]+", text)[0]) for text in rows["95% interval of top-1, computed here"]]
    assert [low <= 100 / 67 for low in lows] == list(rows[column] == "no better than chance")


def test_the_published_rows_are_held_against_the_number_of_classes(monkeypatch):
    monkeypatch.setitem(ws.STUDIES, "mit_512", dataclasses.replace(ws.STUDIES["mit_512"], classes=2))
    rows = report.published_results("mit_512")
    above = rows[rows["beside chance (50.0%), computed here"] == "better"]
    assert list(above["top-1, printed"]) == ["0.7041", "0.7362", "0.5388", "0.6037"]  # 0.4933 is not


@pytest.mark.parametrize("study", ["sub_imagenet_224", "intel_224", "mit_224", "mit_512"])
def test_every_table_of_the_paper_is_held_against_its_own_number_of_classes(study):
    rows = report.published_results(study)
    (column,) = [name for name in rows.columns if "chance" in name]
    assert column == f"beside chance ({1 / ws.STUDIES[study].classes:.1%}), computed here"
    assert (rows[column] == "better").sum() == len(rows) - (study == "mit_512")
