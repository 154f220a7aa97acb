"""The grid of the paper's runs: what a cell says follows from the printed tables and the records at paper scale."""

import csv
import dataclasses
import html
import re
from collections import Counter

import records
from _pages import run_grid
from tests_support import ROOT

import wisesr_helpers as ws

TABLES = {"Table 5": 21, "Table 6": 9, "Table 7": 15, "Table 9": 9}


def printed_top1():
    """(table, label) → printed top-1, read from the files."""
    found = {}
    for table in TABLES:
        path = ROOT / f"wisesr_helpers/published_data/paper_table_{table[-1]}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if line["column"] == "Top-1 accuracy":
                    found[table, line["row"]] = line["value"]
    return found


def test_all_printed_runs_are_there_and_their_gains_are_differences_of_printed_values():
    printed = printed_top1()
    runs = run_grid.runs()
    assert Counter(run["table"] for run in runs) == TABLES
    assert len(printed) == len(runs)
    for (table, label), run in zip(printed, runs, strict=True):
        assert (run["table"], run["backbone"]) == (table, label.split("+")[0])
        gap = printed[table, f"{run['backbone']}+GAP"]
        number = run["shown"].split()[-1]
        if label.endswith("+GAP"):
            assert number == f"{float(gap):.1%}"
        else:
            gain = round(10_000 * (float(printed[table, label]) - float(gap))) / 100
            assert number == f"{gain:+.2f}".replace("-", "−")
            assert run["gain"] == gain


def facts(runs, title):
    return next(dict(run["facts"]) | run for run in runs if run["title"] == title)


def test_the_state_is_by_interval_and_by_the_projects_rule():
    runs = run_grid.runs()
    for run in runs:
        said = dict(run["facts"]).get("Over GAP")
        if said is None:
            assert run["state"] in ("gap", "chance")
            continue
        low, high = (
            float(end.replace("−", "-")) for end in re.search(r"interval (−?[\d.]+) to (−?[\d.]+)", said).groups()
        )
        if run["state"] == "holds":
            assert low <= 0 <= high
        else:
            assert (low >= 0) == (run["state"] in ("better", "above"))
            assert ("the corrected p decides" in said) == (run["state"] in ("above", "below"))
    assert facts(runs, "Table 9, Xception + gap")["state"] == "chance"  # 1.6% of 67 classes
    assert facts(runs, "Table 5, Xception + gwap")["state"] == "worse"
    assert {run["state"] for run in runs} <= set(run_grid.STATES)


def test_slips_and_commands_are_those_of_the_row():
    runs = run_grid.runs()
    assert "478 give 0.3567" in facts(runs, "Table 7, Xception + gap_dropout")["Slips"]
    assert facts(runs, "Table 6, Xception + gap")["Slips"] == "none noted"
    assert facts(runs, "Table 9, DenseNet201 + wise")["command"] == (
        "papermill notebooks/mit_512.ipynb runs/out.ipynb -p backbone DenseNet201 -p head wise -p scale paper"
    )


def test_a_run_at_the_papers_scale_fills_its_cell_and_no_other(tmp_path):
    study = ws.STUDIES["mit_512"]
    kept = {"backbone": "Xception", "scale": "paper", "photographs": True, "images": 1340}
    recipe = dataclasses.asdict(study.recipe)
    whole = {"recipe": recipe, "epochs": study.recipe.epochs, "correct": (900,) * study.recipe.epochs}
    records.publish(tmp_path / "results", head="gap", **kept)  # by another recipe
    records.publish(tmp_path / "results", head="wise")  # a demo
    records.keep(tmp_path / "own", head="wise", seed=2, **kept, **whole)
    runs = run_grid.runs(tmp_path / "results", tmp_path / "own")
    here = {run["title"]: dict(run["facts"])["Here"] for run in runs}
    assert here.pop("Table 9, Xception + wise") == "67.2% (1 seed, yours)"
    assert set(here.values()) == {"not re-run"}


def test_without_javascript_the_table_has_every_gain():
    markup = run_grid.grid().data
    cells = re.findall(r'<td class="(\w+)" data-run="(\d+)">(.*?)</td>', markup)
    runs = run_grid.runs()
    assert sorted(int(number) for _, number, _ in cells) == list(range(len(runs)))
    for state, number, shown in cells:
        assert (state, html.unescape(shown)) == (runs[int(number)]["state"], runs[int(number)]["shown"])
    counted = re.findall(r"\((\d+)\)</li>", markup)
    assert sum(map(int, counted)) == len(runs)
