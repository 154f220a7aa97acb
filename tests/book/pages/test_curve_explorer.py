"""What the curves to choose from hold: every epoch of every record, as it is printed."""

import json

import pytest
import records
from _pages import curve_explorer
from _pages.results import committed
from tests_support import ROOT

import wisesr_helpers as ws


def held(groups):
    """(scale, backbone, title, seed) → what a script gets of a run; studies are told apart by their titles."""
    return {
        (group["study"], group["scale"], group["backbone"], arm["title"], run["seed"]): run
        for group in groups
        for arm in group["arms"]
        for run in arm["runs"]
    }


def test_every_epoch_of_every_record_is_there_as_it_is_printed():
    found = held(curve_explorer.groups(committed()))
    paths = sorted((ROOT / "results").glob("*.json"))
    assert len(found) == len(paths)
    for path in paths:
        outcome = json.loads(path.read_text(encoding="utf-8"))["outcome"]
        own = outcome["parameters"]
        title = ", ".join([own["head"], *(f"{name} {value}" for name, value in sorted(own["options"].items()))])
        study = ws.STUDIES[own["study"]]
        study = study.datasets[own["dataset"]] if own["dataset"] else study
        run = found[study.title, own["scale"], own["backbone"], title, own["seed"]]
        for measure in ("top1", "test_top1"):
            printed = [f"{tenths // 10}.{tenths % 10}%" for tenths in run[measure]]
            assert printed == [f"{epoch[measure]:.1%}" for epoch in outcome["history"]]
        assert (run["best"], run["planned"]) == (outcome["best"]["epoch"], outcome["recipe"]["epochs"])


@pytest.fixture
def folder(tmp_path):
    records.publish(tmp_path, head="gap", correct=(50, 160))
    records.publish(tmp_path, head="gap", seed=3, **records.diverged((), step=1, loss=None))
    records.publish(tmp_path, head="wise", seed=1, correct=(50, 299), status="running", epochs=20)
    records.publish(tmp_path, head="wise", options={"start": "even"})
    records.publish(tmp_path, head="wise", backbone="small_conv")
    return tmp_path


def test_a_run_that_is_not_complete_says_so_and_one_without_an_epoch_has_no_values(folder):
    found = {key[2:]: run for key, run in held(curve_explorer.groups(ws.load_runs(folder))).items()}
    assert found["small_patch", "gap", 3] == {
        "seed": 3,
        "planned": found["small_patch", "gap", 3]["planned"],
        "best": None,
        "ending": "diverged in epoch 1",
        "test_top1": [],
        "top1": [],
    }
    assert found["small_patch", "wise", 1]["ending"] == "running (2 of 20 epochs)"
    assert found["small_patch", "gap", 0]["ending"] == ""
    assert found["small_patch", "gap", 0]["test_top1"] == [167, 533]


def test_the_ceiling_is_for_backbones_of_separate_patches_and_options_are_marked(folder):
    groups = {group["backbone"]: group for group in curve_explorer.groups(ws.load_runs(folder))}
    assert {name: group["ceiling"] for name, group in groups.items()} == {"small_patch": 500, "small_conv": None}
    marked = {arm["title"]: arm["options"] for arm in groups["small_patch"]["arms"]}
    assert marked == {"gap": False, "wise": False, "wise, start even": True}


def test_the_table_has_every_run_and_a_folder_without_records_a_sentence(folder, tmp_path):
    rows = curve_explorer.ends(ws.load_runs(folder)).set_index(["backbone", "head", "seed"])
    assert len(rows) == 5
    assert list(rows.loc["small_patch", "wise", 1])[-5:] == ["99.7%", "99.7%", 2, "99.7%", "running (2 of 20 epochs)"]
    assert "none" in set(rows.loc["small_patch", "gap", 3])
    assert "No run is committed" in curve_explorer.explorer(tmp_path / "empty").data
