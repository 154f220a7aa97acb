"""Committed records trained again: the same bytes, or within the stated tolerance; whatever was changed is noticed."""

import copy
import json

import pytest
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers.training import runs

script = load_script("results_check")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The record of a smoke run, as a dict."""
    folder = tmp_path_factory.mktemp("made")
    run = ws.Experiment("intel_224", head="gap", scale="smoke", runs_dir=str(folder)).run()
    return json.loads((folder / run.identity / runs.RECORD).read_text())


def commit(folder, record):
    """Write a record with the hash that its outcome has."""
    record["outcome_sha256"] = runs.outcome_hash(record["outcome"])
    (folder / f"{record['identity']}.json").write_text(json.dumps(record))


def test_an_unchanged_record_is_the_same_byte_for_byte(made, tmp_path, capsys):
    commit(tmp_path, copy.deepcopy(made))
    script.main(["--runs", "9"], tmp_path)
    assert "the same (byte for byte)." in capsys.readouterr().out


@pytest.mark.parametrize("threads", [2, 64], ids=["same machine", "other machine"])
def test_a_changed_record_is_noticed(made, tmp_path, capsys, threads):
    """Its hash was made anew, so that reading alone can't tell."""
    record = copy.deepcopy(made)
    record["execution"]["threads"] = threads if threads == 64 else record["execution"]["threads"]
    record["outcome"]["history"][0]["loss"] *= 1.2
    commit(tmp_path, record)
    with pytest.raises(SystemExit, match=f"1 of 1 records differ: {record['identity']}"):
        script.main([], tmp_path)
    said = capsys.readouterr().out
    assert ("other outcome on the same configuration: history" in said) == (threads == 2)
    assert ("loss of the first epoch" in said) == (threads == 64)


def test_a_record_whose_hash_is_another_is_noticed(made, tmp_path):
    record = copy.deepcopy(made)
    record["outcome"]["final"]["top1"] = 1.0
    (tmp_path / "one.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="1 of 1 records differ: one"):
        script.main([], tmp_path)


def test_on_another_machine_last_bits_may_differ_but_no_more(made):
    other = copy.deepcopy(made)
    other["execution"]["versions"]["keras"] = "9.9.9"
    other["outcome"]["history"][0]["loss"] *= 1.01
    assert script.differences(made, other) == []
    for key, value in (("recipe", {}), ("dataset", {}), ("model", {})):
        changed = copy.deepcopy(other)
        changed["outcome"][key] = value
        assert len(script.differences(made, changed)) == 1, key
    other["outcome"]["final"]["top1"] = made["outcome"]["final"]["top1"] + 0.2
    assert "final top-1" in script.differences(made, other)[0]


def test_a_sample_is_drawn_by_its_seed(made, tmp_path, monkeypatch, capsys):
    for k in range(20):
        (tmp_path / f"{k}.json").write_text("{}")
    drawn = []
    monkeypatch.setattr(script, "check", lambda path, folder: drawn.append(path.stem) or ("", []))
    for seed in ("1", "1", "2"):
        script.main(["--runs", "3", "--seed", seed], tmp_path)
    assert drawn[:3] == drawn[3:6] != drawn[6:]
    assert len(set(drawn[:3])) == 3
