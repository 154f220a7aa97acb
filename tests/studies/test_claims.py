"""The ledger: its rows, and verdicts that follow printed values, counts, records and tolerances."""

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pandas as pd
import pytest
import records
from test_published import derived

from wisesr_helpers.metrics import judge, paired_comparison
from wisesr_helpers.models.heads import check_head
from wisesr_helpers.published import published
from wisesr_helpers.studies import claims, counted
from wisesr_helpers.studies.evidence import VERDICTS
from wisesr_helpers.studies.grid import STUDIES, get_study
from wisesr_helpers.training.runs import as_table, load_runs

NO_RUNS = as_table([])
WAITING = ("open", "not run")
OURS = ("reproduced", "not reproduced")


def ledger_of(runs=NO_RUNS, numbers=None, prose=None, counts=None):
    """The ledger of changed inputs, by id."""
    numbers = published() if numbers is None else numbers
    prose = claims.written() if prose is None else prose
    table = claims.ledger(numbers, prose, counted.stored() if counts is None else counts, runs)
    return table.set_index("id")


@pytest.fixture(scope="module")
def table(root):
    """The ledger of the committed records."""
    return ledger_of(load_runs(root / "results"))


# Rows.


def test_rows_are_well_formed(table):
    assert len(table) >= 200
    assert table.index.is_unique
    assert set(table["kind"]) == set(claims.KINDS)
    assert set(table["verdict"]) <= set(VERDICTS)
    assert (table["claim"].str.fullmatch(r"[A-Z\"].*\.")).all()
    not_run = table["verdict"] == "not run"  # without a test, or a demo without a record
    lacks_a_record = (table["verdict"] == "open") | (not_run & (table["source"] == "demo"))
    assert ((table["command"] != "") == lacks_a_record).all()
    assert (not_run == ((table["ours"] == "") & ((table["test"] == "") | (table["source"] == "demo")))).all()
    prose = table[table.index.isin(claims.written()["id"])]
    assert len(prose) > 250
    assert ((prose["quote"] == "") == (prose["source"] == "demo")).all()
    assert prose["quote"].str.split().str.len().max() <= 30  # a phrase and not a passage


def test_every_cell_and_every_comparison_has_its_row(table):
    printed = published()
    cells = printed[printed["where"].str.fullmatch(r"Table \d")]
    accuracies = cells[cells["unit"] == "fraction"]
    made = table[~table.index.isin(claims.written()["id"])]
    assert (made["kind"] != "comparison").sum() == len(cells)
    assert (made["kind"] == "accuracy").sum() == len(accuracies) == 117
    top1 = accuracies[(accuracies["column"] == "Top-1 accuracy") & (accuracies["source"] == "paper")]
    over_gap = made[(made["kind"] == "comparison") & made["test"].str.contains(r"\bgap\b")]
    assert len(over_gap) == (top1["head"] != "gap").sum() == 42


def test_most_claims_that_need_no_training_have_a_verdict(table):
    settled = table[~table["verdict"].isin(WAITING) & (table["scale"] != "demo") & (table["kind"] != "setting")]
    assert len(settled) >= 120
    assert set(settled["scale"]) == {"counted", "printed"}
    assert set(table[table["verdict"] == "open"]["kind"]) == {"accuracy", "comparison", "qualitative"}


# Verdicts, beside what is computed without the ledger.


def test_values_equal_those_that_the_tests_of_the_printed_numbers_derive(table):
    prose = claims.written()
    by_place = {(row.source, row.where, row.row, row.column): row.id for row in prose.itertuples() if row.row}
    compared = 0
    del by_place[
        "paper", "Section 2.3", "GWAP", "Parameters"
    ]  # the ledger counts the work cited, not the paper's words
    for (*place, _), (true, _) in derived().items():
        if tuple(place) in by_place:
            ours = table["ours"][by_place[tuple(place)]].replace(",", "")
            assert Fraction(ours) == pytest.approx(true, rel=1e-3, abs=5e-5), place
            compared += 1
    assert compared > 90


def test_disagreements_are_the_known_slips(table):
    slips = {tuple(entry[:4]) for entry in published().itertuples(index=False) if entry.slip}
    wrong_word_only = ("paper", "Section 2.2", "flatten example, rounded increase", "Parameters")
    not_stated = ("report", "Section 3.1", "training", "Learning rate")
    for row in claims.written().itertuples():
        place = (row.source, row.where, row.row, row.column)
        if row.row and place not in (wrong_word_only, not_stated):
            assert (table["verdict"][row.id] == "disagrees") == (place in slips), row.id
    unprinted = table[(table["verdict"] == "disagrees") & (table["published"] == "")]
    assert {tuple(row) for row in unprinted[["where", "ours"]].itertuples(index=False)} == {
        ("Section 1", "13"),  # cells of a 7×7 map that no 2×2 block holds
        ("Section 2.5", "13"),
        ("Section 5", "31"),  # of a 16×16 map, and blocks of 3×3
    }
    counts = table[table["kind"].isin(["count", "operation"]) & table.index.str.match(r"table-\d\.")]
    assert Counter(counts["verdict"]) == {"exact": 45, "agrees": 9}


def test_what_the_printed_accuracies_show_and_do_not(table):
    assert table["ours"]["abstract.accuracy"] == "9 of 12 better, 3 of 12 no difference shown"
    expected = {
        "section-2.3.one-matrix": True,
        "section-2.4.depthwise-higher": False,
        "section-2.4.constraint": False,
        "section-2.4.pre-averaging": False,
        "section-3.2.1.final-better": True,
        "section-3.2.1.dropout": False,
        "section-3.2.2.significant": True,
        "section-3.3.xception-fails": True,
        "section-3.3.avg-fc-fails": False,
        "section-3.3.better-avg-fc": False,
        "section-4.resnet50": False,
        "report.section-4.2.1.mnist-equal": True,
        "report.section-4.2.vgg-lowest": False,
        "report.section-4.2.2.vgg-top1": True,
        "report.section-4.3.inception-top1": True,
        "report.section-4.2.2.resnet-top5": False,
    }
    words = {True: "supported by the printed numbers", False: "not supported by the printed numbers"}
    assert {name: table["verdict"][name] for name in expected} == {name: words[v] for name, v in expected.items()}


def test_a_difference_of_gains_is_as_uncertain_as_both(table):
    halves = [(0.7444 - 0.6953) / 2, (0.0811 - 0.0090) / 2]  # of Xception's gains at 512 and 224, by Agresti and Caffo
    ours = re.search(r"\+67\.6 points \(95% interval ([\d.]+) to ([\d.]+)", table["ours"]["section-2.1.larger-maps"])
    assert float(ours[2]) - float(ours[1]) == pytest.approx(200 * sum(half**2 for half in halves) ** 0.5, abs=0.15)


def test_demo_rows_say_what_the_committed_records_show(table, root):
    committed = load_runs(root / "results")
    papers = {name: study for name, study in STUDIES.items() if not study.datasets}  # the ledger's demos
    for name, study in papers.items():
        runs = [
            run for run in committed["run"] if (run.study, run.backbone) == (name, "small_patch") and not run.options
        ]
        runs = [run for run in runs if run.planned_epochs == study.demo.recipe.epochs]
        wise, gap = ({run.seed: run.right for run in runs if run.head == head} for head in ("wise", "gap"))
        both = sorted(wise.keys() & gap.keys())  # an interrupted grid may have trained one of a pair
        if not both:
            continue  # made by another recipe: the ledger says "not run" until they are made again
        found = judge({name: paired_comparison(*([right[seed] for seed in both] for right in (wise, gap)))})[name]
        words = {"better": "shown here", "worse": "contradicted here", "no difference shown": "not shown here"}
        row = table.loc[f"demo.{name}.better"]
        assert (row["verdict"], row["seeds"], row["scale"]) == (words[found.word], len(both), "demo")
        assert table["verdict"][f"demo.{name}.ceiling"] == "holds by construction"


# Negative controls.


# (where, row, column) → another printed value; the claim that it is about, its verdict before and after.
OTHER_VALUES = {
    ("Table 6", "Xception+GAP", "Parameters"): (
        "20,873,775",
        "table-6.xception-gap.parameters",
        "exact",
        "disagrees",
    ),
    ("Section 3.2.1", "Xception, over GAP with dropout", "Top-1 accuracy gain"): (
        "3.41",
        "section-3.2.1.gain-xception",
        "exact",
        "disagrees",
    ),
    ("Table 9", "Xception+GAP", "Top-1 accuracy"): (
        "0.0457",
        "section-3.3.xception-fails",
        "supported by the printed numbers",
        "not supported by the printed numbers",
    ),
    ("Table 5", "DenseNet121+Avg+Depthwise Conv+Constraints", "Top-1 accuracy"): (
        "0.6695",
        "table-5.densenet121.wise.over.gap",
        "not supported by the printed numbers",
        "supported by the printed numbers",
    ),
    ("Table 2", "Sub-ImageNet", "Training Images"): ("35000", "section-3.1.sub-per-class", "disagrees", "exact"),
    ("Table 4", "Epochs", "MIT Indoors Scenes"): ("220", "table-4.epochs.mit-indoors-scenes", "exact", "disagrees"),
}


def test_other_printed_values_change_the_verdicts(table):
    numbers = published()
    for (where, row, column), (value, *_) in OTHER_VALUES.items():
        chosen = (numbers["where"] == where) & (numbers["row"] == row) & (numbers["column"] == column)
        assert chosen.sum() == 1
        numbers.loc[chosen, ["value", "number"]] = [value, float(value.replace(",", ""))]
    changed = ledger_of(numbers=numbers)["verdict"]
    for _, name, before, after in OTHER_VALUES.values():
        assert (table["verdict"][name], changed[name]) == (before, after)


def test_another_count_changes_the_verdict(table):
    counts = counted.stored()
    counts.loc[(counts["where"] == "Table 1") & (counts["head"] == "wise"), "parameters"] += 100_000
    changed = ledger_of(counts=counts)["verdict"]
    assert changed["section-2.5.growth-densenet121"] == "disagrees"
    assert table["verdict"]["section-2.5.growth-densenet121"] == "agrees"


def test_other_tolerances_change_the_verdicts(table):
    others = {
        "section-3.3.fewer": ("rounded up", "disagrees"),
        "section-4.sub-low": ("rounding", "disagrees"),
        "section-1.no-loss": ("at most 13", "agrees"),
        "section-2.5.same-parameters": ("at most 0.5", "disagrees"),
        "section-2.5.growth-bound": ("rounding", "disagrees"),
    }
    prose = claims.written().set_index("id", drop=False)
    for name, (tolerance, _) in others.items():
        prose.loc[name, "tolerance"] = tolerance
    changed = ledger_of(prose=prose)["verdict"]
    for name, (_, after) in others.items():
        assert table["verdict"][name] != changed[name] == after, name


def test_a_test_that_does_not_exist_is_refused_with_those_that_do():
    prose = claims.written().iloc[:1].assign(test="gains: Table 5")
    with pytest.raises(
        ValueError, match=r"There is no test 'gains'\. Valid: GFLOPs, ahead then behind, arithmetic, .*gain, "
    ):
        ledger_of(prose=prose)


def scores(study, gap, wise):
    """Two demo runs with these test images right of 300, until the last epoch and after it."""
    recipe = dataclasses.asdict(STUDIES[study].demo.recipe)
    return [
        records.result(head=head, study=study, correct=(*(early,) * (recipe["epochs"] - 1), final), recipe=recipe)
        for head, (early, final) in (("gap", gap), ("wise", wise))
    ]


@pytest.mark.parametrize(
    ("gap", "wise", "better", "above_half", "sooner"),
    [
        ((50, 140), (150, 200), "shown here", "shown here", "shown here"),
        ((50, 140), (50, 140), "not shown here", "not shown here", "not shown here"),
        ((150, 140), (50, 60), "contradicted here", "contradicted here", "contradicted here"),
    ],
)
def test_another_record_changes_what_is_shown(gap, wise, better, above_half, sooner):
    ledger = ledger_of(as_table(scores("mit_512", gap, wise)))
    found = ledger["verdict"]
    assert found["demo.mit_512.better"] == better
    assert found["demo.mit_512.above-half"] == above_half
    assert found["demo.mit_512.sooner"] == sooner
    assert found["demo.mit_512.ceiling"] == "holds by construction"
    rows = [row for row in ledger.index if row.startswith("demo.mit_224.")]
    assert len(rows) == 4
    assert set(found[rows]) == {"not run"}
    assert set(ledger["command"][rows]) == {"make results"}


def test_a_run_above_the_ceiling_contradicts_it():
    found = ledger_of(as_table(scores("mit_512", (50, 200), (50, 200))))["verdict"]
    assert found["demo.mit_512.ceiling"] == "contradicted here"


# Photographs: records at paper scale, and nothing else.


def models_of(commands):
    """What commands train: mappings of study, dataset, backbone, head and options."""
    models = {}
    for command in {part for text in commands for part in text.split(" && ")}:
        words = shlex.split(command)
        assert words[0] == "papermill"
        assert words.count("scale") == 1
        options = json.loads(words.pop().removeprefix("options: ")) if "-y" in words else {}
        words = [word for word in words if word != "-y"]
        chosen = dict(zip(words[4::3], words[5::3], strict=True))
        study = re.fullmatch(r"notebooks/(\w+)\.ipynb", words[1])[1]
        check_head(chosen["head"], **options)
        assert chosen.pop("scale") == "paper"
        models[command] = {"study": study, "dataset": "", "options": options, **chosen}
    return list(models.values())


def imitated(table, share=None, scale="paper", photographs=True, **choices):
    """Runs of every model that the open claims wait for: as good as printed, or with this share of images right."""
    printed = {tuple(row[1:]): row[0] for row in _printed_correct()}
    runs = []
    for model in models_of(table[table["verdict"] == "open"]["command"]):
        study = get_study(model["study"], model["dataset"])
        images, recipe = 1000, dataclasses.asdict(study.demo.recipe if scale == "demo" else study.recipe)
        near = printed.get((model["study"], model["dataset"], model["backbone"], model["head"]), 0.5)
        right = round((near if share is None else share) * images)
        made = {"scale": scale, "photographs": photographs, "images": images, "correct": (right,) * recipe["epochs"]}
        runs.append(records.result(**model, **(made | {"recipe": recipe} | choices)))
    return as_table(runs)


def _printed_correct():
    from wisesr_helpers.studies.support import accuracies

    for row in accuracies().itertuples():
        if row.measure == "top-1":
            yield row.correct / row.images, row.study, row.dataset, row.backbone, row.head


def test_records_at_paper_scale_fill_every_row_that_waits(table):
    runs = imitated(table)
    filled = ledger_of(runs)
    waited = filled[table["verdict"] == "open"]
    assert len(waited) > 100
    assert set(waited["verdict"]) <= set(OURS)
    assert set(waited["scale"]) == {"paper"}
    assert set(waited["seeds"]) == {1}
    top1 = waited[waited["test"].str.startswith("accuracy of runs") & waited["test"].str.endswith("top-1")]
    assert set(top1["verdict"]) == {"reproduced"}
    better = filled["verdict"]["table-9.densenet201.wise.over.gap"]
    assert better == filled["verdict"]["abstract.large-images"] == "reproduced"
    # Everything that is not about accuracies stays as it was.
    others = table["kind"].isin(["count", "operation", "arithmetic", "dataset", "setting"])
    assert filled[others].equals(ledger_of()[others])


def test_runs_far_from_the_printed_values_are_not_reproductions(table):
    filled = ledger_of(imitated(table, share=0.99))
    accuracies = filled[filled["test"].str.endswith("top-1") & (filled["kind"] == "accuracy")]
    assert Counter(accuracies["verdict"]) == {"not reproduced": 60, "reproduced": 3}  # MNIST's are near 0.99
    assert filled["verdict"]["abstract.accuracy"] == "not reproduced"
    assert filled["verdict"]["abstract.large-images"] == "not reproduced"


def test_nothing_but_complete_runs_of_photographs_at_paper_scale_says_anything_of_them(table):
    others = (
        {"scale": "demo", "photographs": False},  # with the demo's own recipe: what anybody may have on a laptop
        {"scale": "smoke", "photographs": False},
        {"scale": "paper", "photographs": False},
        {"scale": "demo", "photographs": True},
        {"status": "running"},
        {"epochs": 5},
        {"recipe": {"batch_size": 8}},
        {"behaviour": {"layers": 0}},
        {"changes": {"status": "diverged"}},
    )
    runs = [imitated(table, **choices) for choices in others]
    before, after = ledger_of(), ledger_of(pd.concat(runs))
    photographs = before["source"] != "demo"
    assert after[photographs].equals(before[photographs])
    assert not set(after[photographs]["verdict"]) & set(OURS)


def at_paper_scale(head, early, final, study="sub_imagenet_224", backbone="Xception", **options):
    """A run with these of 1,000 test images right, in the first quarter of the epochs and after it."""
    recipe = dataclasses.asdict(STUDIES[study].recipe)
    quarter = recipe["epochs"] // 4
    correct = (early,) * quarter + (final,) * (recipe["epochs"] - quarter)
    choices = {"head": head, "study": study, "backbone": backbone, "options": options, "correct": correct}
    return records.result(scale="paper", photographs=True, images=1000, recipe=recipe, **choices)


@pytest.mark.parametrize(
    ("depthwise", "gap", "verdict"),
    [
        ((600, 500), (500, 600), "reproduced"),
        ((600, 600), (500, 500), "not reproduced"),
        ((500, 500), (600, 600), "not reproduced"),
    ],
)
def test_ahead_early_and_behind_at_the_end_takes_both(depthwise, gap, verdict):
    backbones = STUDIES["sub_imagenet_224"].backbones
    runs = [at_paper_scale("depthwise", *depthwise, backbone=name) for name in backbones]
    runs += [at_paper_scale("gap", *gap, backbone=name) for name in backbones]
    assert ledger_of(as_table(runs))["verdict"]["section-3.2.1.ahead-early"] == verdict
    assert ledger_of(as_table(runs[:-1]))["command"]["section-3.2.1.ahead-early"] == (
        "papermill notebooks/sub_imagenet_224.ipynb runs/out.ipynb -p backbone DenseNet121 -p head gap -p scale paper"
    )


@pytest.mark.parametrize(
    ("plain", "changed", "worse", "not_better"),
    [
        (500, 400, "reproduced", "reproduced"),
        (500, 500, "not reproduced", "reproduced"),
        (500, 600, "not reproduced", "not reproduced"),
    ],
)
def test_options_and_efficientnet_are_compared_with_what_they_change(plain, changed, worse, not_better):
    def run(head, right, **more):
        return at_paper_scale(head, right, right, **{"study": "mit_224", **more})

    runs = [run("wise", plain), run("wise", changed, padding="ones"), run("wise", changed, reduction="area")]
    runs += [run("gap", plain, backbone="EfficientNetB0"), run("wise", changed, backbone="EfficientNetB0")]
    verdicts = ledger_of(as_table(runs))["verdict"]
    assert verdicts["section-3.4.unit-padding"] == worse
    assert verdicts["section-3.4.area"] == verdicts["section-4.efficientnet"] == not_better


# Slips.


def test_every_slip_is_listed_with_what_it_should_be(table):
    found = claims.slips(table.reset_index())
    assert len(found) == (published()["slip"] != "").sum() + 3 > 60
    assert found.notna().all(axis=None)
    assert (found[["printed", "why"]] != "").all(axis=None)
    should = found.groupby(["where", "about"])["should be"].agg(list)
    assert should["Section 3.3", "fully connected layer on the flattened map"] == ["35,127,296"]
    assert should["Section 2.5", "Xception with GAP"] == ["21,004,910"]
    assert should["Table 9", "Xception+Avg+Dense"] == ["0.7037 or 0.7045", "0.9104 or 0.9112"]
    assert should["Figure 3", "architectures shown"] == ["6"]
    quoted = found[-3:]  # sentences that the ledger contradicts
    assert (quoted["should be"] == "").all()
    left_out = [f"Cells left out: {cells}; the claim needs at most 0." for cells in (13, 13, 31)]
    assert list(quoted["why"]) == left_out
    empty = found[:-3][found[:-3]["should be"] == ""]
    assert len(empty) <= 6  # no values: words, and what is not stated


# In a terminal, and from Python.


@pytest.fixture
def command(table, monkeypatch):
    monkeypatch.setattr(claims, "claims", lambda: table.reset_index()[claims.COLUMNS])
    return claims.main


def test_the_command_filters_and_counts(command, capsys, table):
    assert command(["--where", "Section 2.4", "--verdict", "not supported by the printed numbers"]) == 0
    shown = capsys.readouterr().out
    assert "id: section-2.4.constraint\n" in shown
    assert "verdict: not supported by the printed numbers\n" in shown
    assert "section-2.3" not in shown
    chosen = table[table["where"].eq("Section 2.4") & table["verdict"].eq("not supported by the printed numbers")]
    assert shown.endswith(f"{len(chosen)} claims:\n  {len(chosen)} not supported by the printed numbers\n")
    assert command(["--source", "report", "--kind", "accuracy"]) == 0
    assert "18 claims:\n  18 open\n" in capsys.readouterr().out


def test_the_command_writes_csv_and_slips(command, tmp_path, table):
    assert command(["--csv", str(tmp_path / "claims.csv")]) == 0
    again = pd.read_csv(tmp_path / "claims.csv", dtype={"seeds": int}, keep_default_na=False)
    assert list(again.columns) == claims.COLUMNS
    assert list(again["verdict"]) == list(table["verdict"])
    assert command(["--slips", "--where", "Table 9", "--csv", str(tmp_path / "slips.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "slips.csv")) == 4


def test_the_command_says_when_nothing_is_as_asked_for(command, capsys):
    assert command(["--where", "Table 12"]) == 1
    assert capsys.readouterr().err == "No claim is as asked for. Leave out a filter.\n"
    with pytest.raises(SystemExit):
        command(["--verdict", "maybe"])
    assert "invalid choice: 'maybe'" in capsys.readouterr().err


def test_the_ledger_needs_no_keras(root):
    code = (
        "import sys, wisesr_helpers as ws; table = ws.claims('results'); "
        "print(len(table), sorted({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    count, loaded = done.stdout.split(maxsplit=1)
    assert int(count) >= 200
    assert loaded.strip() == "[]"
