"""The grid as work: which rows there are, how far each is, what it costs, and that its command makes it."""

import json
import math
import shlex
import subprocess
import sys

import pytest
import records
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers.models.classifiers import build_classifier
from wisesr_helpers.models.counts import count_flops
from wisesr_helpers.storage import describe_size
from wisesr_helpers.studies import counted, questions
from wisesr_helpers.studies import plan as module
from wisesr_helpers.studies.plan import COSTS, committed, describe, plan


def test_at_paper_scale_the_rows_are_those_of_the_printed_tables(tmp_path):
    rows = plan({"scale": "paper", "runs_dir": tmp_path})
    printed = ws.published().query("column == 'Top-1 accuracy' and backbone != '' and head != ''")
    tables = {study.table: name for name, study in ws.STUDIES.items() if not study.datasets}
    paper = printed.query("source == 'paper' and where in @tables")
    ours = [row.spec.parameters for row in rows]
    expected = {(tables[row.where], row.backbone, row.head) for row in paper.itertuples()}
    assert {(each.study, each.backbone, each.head) for each in ours if not each.dataset} == expected
    report = {(each.dataset, each.backbone, each.head) for each in ours if each.dataset}
    heads = {"VGG16": "vgg_fc", "InceptionV3": "gap", "ResNet50": "gap"}
    assert report == {(d, b, h) for d in ("mnist", "cifar10", "tiny_imagenet") for b, h in heads.items()}
    assert (len(rows), len({row.identity for row in rows}), {row.state for row in rows}) == (63, 63, {"missing"})


@pytest.mark.parametrize("scale", ["demo", "smoke"])
def test_at_other_scales_rows_have_the_small_backbones_and_none_twice(scale, tmp_path):
    rows = [row.spec.parameters for row in plan({"scale": scale, "runs_dir": tmp_path})]
    assert len({each.identity for each in rows}) == len(rows) == 20
    for name, study in ws.STUDIES.items():
        found = [(each.dataset, each.backbone, each.head) for each in rows if each.study == name]
        own = [("digits", "small_patch", "flatten_fc"), ("digits", "small_conv", "gap")]
        assert found == (own if study.datasets else [("", "small_patch", head) for head in study.heads])


def test_what_is_named_is_what_there_is(tmp_path):
    def named(**config):
        rows = plan({"scale": "smoke", "runs_dir": tmp_path, **config})
        return {(row.spec.parameters.backbone, row.spec.parameters.head, row.spec.parameters.seed) for row in rows}

    assert named(heads="wise", seeds="0,3") == {("small_patch", "wise", 0), ("small_patch", "wise", 3)}
    assert named(heads="avg_fc", backbones="Xception,small_conv", seeds=7) == {
        ("Xception", "avg_fc", 7),
        ("small_conv", "avg_fc", 7),
    }
    assert named(backbones="VGG16") == {("VGG16", "vgg_fc", 0)}  # the digits stand in for three datasets
    assert named(heads=None) == named()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"scal": "demo"}, "^The grid has no configuration 'scal'. Valid: scale, runs_dir, data_dir, seeds, backbones"),
        ({"scale": "huge"}, "^The grid has no scale 'huge'. Valid: paper, demo, smoke.$"),
        ({"heads": "gap,wize"}, "^The grid has no head 'wize'. Valid: gap, gap_dropout, "),
        ({"backbones": "ResNet51"}, "^The grid has no backbone 'ResNet51'. Valid: Xception, "),
        ({"seeds": "0,-1"}, "^seeds must be whole numbers with commas, such as 0,1,2; received '0,-1'.$"),
        ({"seeds": ""}, "^seeds must be"),
    ],
)
def test_what_the_grid_does_not_have_is_refused_with_what_it_has(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(config)


# What a record holds → the state of its row.
STATES = {
    "complete": {},
    "diverged": {"status": "diverged", "correct": (1,), "divergence": {"epoch": 2, "step": 1, "loss": 1.0}},
    "running": {"status": "running", "correct": (1,)},
    "stale": {"behaviour": {"layers": 0}},
}


@pytest.mark.parametrize("state", STATES)
def test_the_record_says_how_far_a_row_is(tmp_path, state):
    config = {"scale": "smoke", "runs_dir": tmp_path, "heads": "avg_fc"}
    records.keep_row(plan(config)[0], **STATES[state])
    (row,) = plan(config)
    assert (row.state, row.done) == (state, state in ("complete", "diverged"))
    assert row.command.endswith("-p overwrite True") == (state == "stale")


def test_a_longer_run_is_done_a_shorter_one_is_not_and_a_damaged_record_is_none(tmp_path, capsys):
    config = {"scale": "smoke", "runs_dir": tmp_path, "heads": "avg_fc"}
    (row,) = plan(config)
    records.keep_row(row, correct=(1,) * 5)
    assert plan(config)[0].state == "complete"
    assert module.state(row.spec.folder, 6) == "running"
    (row.spec.folder / "record.json").write_text("{")
    assert plan(config)[0].state == "missing"
    assert "is no record of a run" in capsys.readouterr().err


def test_every_command_makes_the_run_of_its_row(tmp_path):
    rows = plan({"scale": "smoke", "runs_dir": tmp_path, "seeds": "0,2"})
    for row in [*rows, *plan({"scale": "smoke", "runs_dir": tmp_path, "backbones": "ResNet50,small_conv"})]:
        words = shlex.split(row.command)
        assert words[:3] == ["papermill", f"notebooks/{row.spec.study.name}.ipynb", f"{tmp_path}/{row.identity}.ipynb"]
        typed = dict(zip(words[4::3], words[5::3], strict=True)) | {"study": row.spec.study.name}
        made = ws.Experiment(**typed | {"seed": int(typed["seed"])})
        assert made.spec.folder == row.spec.folder
        assert made.spec.recipe == row.spec.recipe


def test_the_committed_rows_are_those_of_the_results_and_a_clean_tree_makes_them(root, tmp_path):
    rows = {row.identity: row for row in committed(tmp_path / "none", tmp_path)}
    assert set(rows) >= {path.stem for path in (root / "results").glob("*.json")}
    assert set(rows) >= {questions.spec(typed).parameters.identity for typed in questions.runs()}
    dirty, clean = list(rows.values())[:2]
    records.keep_row(clean)
    records.keep_row(dirty, clean=False)
    states = [row.state for row in committed(tmp_path / "none", tmp_path)]
    assert states == ["stale", "complete", *["missing"] * (len(rows) - 2)]
    (tmp_path / "results").mkdir()
    with pytest.raises(SystemExit, match=f"{len(rows) - 1} rows are not done .* '{dirty.identity}' is stale"):
        load_script("results").main(tmp_path, tmp_path / "results")
    kept = tmp_path / "results" / f"{clean.identity}.json"
    made, taken = (json.loads(path.read_text()) for path in (clean.spec.folder / "record.json", kept))
    assert taken["execution"].pop("command").split()[2] == f"runs/{clean.identity}.ipynb"
    made["execution"].pop("command")
    assert taken == made
    assert clean.identity not in {row.identity for row in committed(tmp_path / "results", tmp_path)}


def test_targets_are_studies_tables_and_figures_the_reports_by_its_name():
    found = {name for row in plan({"scale": "paper"}) for name in row.targets}
    tables = {"table_5", "table_6", "table_7", "table_9", "report_table_1"}
    figures = {"figure_4", "figure_5", "figure_6", "figure_7", "figure_9"}
    assert found == {*ws.STUDIES, *tables, *figures, *(f"report_figure_{k}" for k in range(2, 8))}


def test_estimates_follow_from_operations_and_say_that_they_are_estimates(tmp_path):
    rows = {row.identity: row for row in plan({"scale": "paper", "runs_dir": tmp_path})}
    row = rows["mit_512--paper--Xception--wise--s0"]
    assert math.isclose(row.hours, 130 * (3 * 5360 + 1340) * 47.97e9 / 4e12 / 3600)
    weights, outputs = 21.0e6 * 4, 184.2e6 * 4
    assert math.isclose(row.memory, module.PROCESS + 15 * outputs + 3 * weights)  # SGD's momentum, gradients
    assert math.isclose(row.disk, 8 * weights)
    vgg = rows["deeper_networks--mnist--paper--VGG16--vgg_fc--s0"]
    assert math.isclose(vgg.disk, 11 * 134.3e6 * 4)  # Adam keeps two numbers for a weight
    assert row.estimate == "about 7 h 32 min, 12.3 GB of memory, 672 MB of disk (estimates)"
    records.keep_row(row)
    said = describe(plan({"scale": "paper", "runs_dir": tmp_path}))
    assert said.startswith("1 of 63 rows are done, 62 missing. Estimated for those, one after another: 14")


def test_estimates_of_small_backbones_are_the_measured_minutes_and_of_others_two_cores(tmp_path):
    (small,) = plan({"scale": "smoke", "runs_dir": tmp_path, "heads": "avg_fc"})
    assert math.isclose(small.hours, 0.2 / 60)
    (named,) = plan({"scale": "smoke", "runs_dir": tmp_path, "heads": "avg_fc", "backbones": "Xception"})
    assert math.isclose(named.hours, 2 * (3 * 12 + 6) * 47.97e9 / 0.05e12 / 3600)


def test_photographs_are_counted_once_for_the_rows_that_share_them(tmp_path):
    rows = {row.identity: row for row in plan({"scale": "paper", "runs_dir": tmp_path})}
    xception, resnet = (rows[f"mit_512--paper--{name}--wise--s0"] for name in ("Xception", "ResNet50V2"))
    photographs = (5360 + 1340) * 512 * 512 * 3
    assert xception.images == photographs
    whole = describe_size(xception.disk + resnet.disk + photographs)
    assert f"{whole} of disk with prepared images." in describe([xception, resnet])
    arrays = rows["deeper_networks--mnist--paper--ResNet50--gap--s0"]
    assert [row.images for row in (arrays, *plan({"runs_dir": tmp_path}))] == [0] * 21


def test_the_commands_of_what_is_left_are_printed(tmp_path):
    words = [
        sys.executable,
        "-m",
        "wisesr_helpers.studies.plan",
        "scale=smoke",
        f"runs_dir={tmp_path}",
        "heads=avg_fc,gwap",
    ]
    rows = plan({"scale": "smoke", "runs_dir": tmp_path, "heads": "avg_fc,gwap"})
    records.keep_row(rows[0])
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (0, [row.command for row in rows[1:]])
    done = subprocess.run([*words, "seed=1"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The grid has no configuration 'seed'. Valid: scale, ")


def test_costs_are_those_of_the_tables_counts():
    """The stored counts are those of networks built now (tests/models/test_counts.py)."""
    found = counted.stored().query("head == 'gap'")
    by_row = {(row.backbone, row.image_size): (row.flops / 1e9, row.parameters / 1e6) for row in found.itertuples()}
    assert len(by_row) == 8
    for name, costs in by_row.items():
        assert COSTS[name][:2] == pytest.approx(costs, rel=0.03, abs=0.06), name


SMALL = ("small_patch", "small_conv")


@pytest.mark.parametrize(
    ("backbone", "side"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each[0] not in SMALL)) for each in COSTS],
)
def test_costs_are_what_is_counted(backbone, side):
    model = build_classifier(backbone, "vgg_fc" if backbone == "VGG16" else "gap", 67, side)
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    built = [count_flops(model) / 1e9, model.count_params() / 1e6, outputs / 1e6]
    assert COSTS[backbone, side] == pytest.approx(built, rel=0.03, abs=0.06)
