"""Runs: their names, and records that are there whole, unchanged, or not at all."""

import base64
import hashlib
import json
import os
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import records

from wisesr_helpers.training import runs

COLUMNS = [
    *("study", "dataset", "scale", "backbone", "head", "seed", "options", "status", "top1", "top5"),
    *("best_top1", "correct", "images", "epochs", "params", "commit", "identity", "folder", "run"),
]


def name(**changed):
    chosen = {"study": "mit_512", "scale": "demo", "backbone": "small_patch", "head": "wise", "seed": 0, **changed}
    return runs.RunParameters(**chosen).identity


def test_a_run_is_named_by_what_it_is_and_eight_digits_of_its_options():
    assert name() == name(options={}) == "mit_512--demo--small_patch--wise--s0"
    assert name(dataset="cifar10", seed=12) == "mit_512--cifar10--demo--small_patch--wise--s12"
    digits = hashlib.sha256(b'{"pool_size":2,"start":"uniform"}').hexdigest()[:8]
    assert name(options={"start": "uniform", "pool_size": 2}) == f"{name()}--{digits}"
    nested = {"a": 1, "b": {"c": 2, "d": 3}}
    assert name(options=nested) == name(options={"b": {"d": 3, "c": 2}, "a": 1})
    others = [nested, {"a": 2, "b": 1}, {"a": 1}, {"a": "1"}, {"a": 1, "b": {"c": 2, "d": 4}}, {}]
    assert len({name(options=options) for options in others}) == 6
    changes = [{"study": "mit_224"}, {"scale": "smoke"}, {"backbone": "small_conv"}, {"head": "gap"}, {"seed": 1}]
    assert len({name(), name(dataset="digits"), *(name(**change) for change in changes)}) == 7


def test_the_outcomes_hash_does_not_depend_on_the_order_of_keys():
    outcome = {"b": [1, {"d": 0.5, "c": None}], "a": "é"}
    again = {"a": "é", "b": [1, {"c": None, "d": 0.5}]}
    text = json.dumps(again, separators=(",", ":"))
    assert runs.outcome_hash(outcome) == runs.outcome_hash(again) == hashlib.sha256(text.encode()).hexdigest()
    assert runs.outcome_hash({**outcome, "a": "e"}) != runs.outcome_hash(outcome)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1578])
def test_a_mask_comes_back_as_it_was_packed(count):
    mask = np.random.default_rng(count).random(count) < 0.4
    assert base64.b64decode(runs.pack(mask)) == np.packbits(mask).tobytes()
    np.testing.assert_array_equal(runs.unpack(runs.pack(mask), count), mask)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    outcome, execution = records.halves()
    folder = tmp_path / "new" / "a-run"
    written = runs.write_record(folder, outcome, execution)
    for path in (folder, folder / "record.json", str(folder)):
        record = runs.read_run(path)
        assert record == written
        assert (record.identity, record.outcome_sha256) == ("a-run", runs.outcome_hash(outcome))
        assert (list(record.history), record.execution) == (outcome["history"], execution)
    assert json.loads((folder / "record.json").read_text())["outcome"] == outcome
    assert [path.name for path in folder.iterdir()] == ["record.json"]
    moved = runs.read_run(folder.rename(tmp_path / "moved"))
    assert (moved, moved.folder) == (written, tmp_path / "moved")


def test_the_same_outcome_is_written_as_the_same_bytes(tmp_path):
    for _ in range(2):
        records.keep(tmp_path / "a")
        records.keep(tmp_path / "b")
    first, second = sorted(tmp_path.glob("*/*/record.json"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_record_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, monkeypatch, broken):
    record = records.keep(tmp_path, correct=(60,))
    folder = tmp_path / record.identity
    before = (folder / "record.json").read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    sentence = rf"The run can't be kept in '{folder}' \(No space left on device\)\. .*Make room .*runs_dir"
    with pytest.raises(OSError, match=sentence):
        records.keep(tmp_path, correct=(60, 270))
    assert (folder / "record.json").read_bytes() == before
    assert runs.read_run(folder) == record


def test_a_file_in_place_of_the_folder_is_answered_with_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"can't be kept in '.*file/run' \(.+\)\. .* another folder with runs_dir"):
        runs.write_record(tmp_path / "file" / "run", *records.halves())


@pytest.mark.parametrize("changes", [({"loss": float("nan")}, {}), ({}, {"seconds": [float("inf")]})])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path, changes):
    record = records.keep(tmp_path)
    halves = [{**half, **change} for half, change in zip(records.halves(), changes, strict=True)]
    with pytest.raises(ValueError, match="JSON"):
        runs.write_record(tmp_path / record.identity, *halves)
    assert runs.read_run(tmp_path / record.identity) == record


def edited(folder, change):
    """The file of a record that was changed by hand."""
    path = folder / records.keep(folder).identity / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record, sort_keys=True))
    return path


def test_the_execution_and_the_order_of_keys_may_differ(tmp_path):
    path = edited(tmp_path, lambda record: record["execution"].update(device="another"))
    assert runs.read_run(path).execution["device"] == "another"


def test_an_outcome_changed_by_hand_is_refused_with_both_hashes(tmp_path):
    path = edited(tmp_path, lambda record: record["outcome"]["final"].update(top1=0.99))
    record = json.loads(path.read_text())
    found, said = runs.outcome_hash(record["outcome"]), record["outcome_sha256"]
    assert found != said
    sentence = f"'{path}' was changed after it was written: its SHA-256 is {found}, the record says {said}"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        runs.read_run(path)


# A change by hand → what is said of the file.
REFUSED = {
    "not finite": (lambda record: record["outcome"]["final"].update(top1=float("nan")), "none, because a value is not"),
    **{
        f"schema {schema!r}": (
            lambda record, schema=schema: record.update(schema=schema),
            f"' has schema {schema}; this version reads 2 and 3. Train the run again",
        )
        for schema in (0, 1, 4, "2")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_record_of_another_kind_is_refused_with_its_file(tmp_path, case):
    change, said = REFUSED[case]
    path = edited(tmp_path, change)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        runs.read_run(path)
    assert said in str(caught.value)


GARBAGE = [b"", b"{", b"[]", b"3", b"null", b'"text"', b"{}", b"\xff\xfe\x00", b'{"schema": 2}']


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_file_that_is_no_record_is_refused(tmp_path, garbage):
    path = tmp_path / "x.json"
    path.write_bytes(garbage)
    said = r"x\.json' is no record of a run \(.*\)\. Move it elsewhere, or train the run again"
    with pytest.raises(ValueError, match=said):
        runs.read_run(path)


def test_no_folders_and_empty_folders_hold_no_runs(tmp_path):
    for table in (runs.load_runs(), runs.load_runs(tmp_path), runs.load_runs(tmp_path / "missing", tmp_path)):
        assert isinstance(table, pd.DataFrame)
        assert len(table) == 0
        assert list(table.columns) == COLUMNS


def test_a_row_holds_what_the_record_says(tmp_path):
    record = records.keep(tmp_path, head="gap", seed=2, correct=(60, 280, 270), status="diverged")
    (row,) = runs.load_runs(tmp_path).to_dict("records")
    expected = ["mit_512", "embedded scenes", "demo", "small_patch", "gap", 2, "", "diverged", 0.9, 1.0, 280 / 300]
    expected += [270, 300, 3, 87_654, records.COMMIT, "mit_512--demo--small_patch--gap--s2", str(tmp_path), record]
    assert row == dict(zip(COLUMNS, expected, strict=True))


def test_a_run_without_an_epoch_has_no_accuracy(tmp_path):
    records.keep(tmp_path, correct=(), status="running")
    (row,) = runs.load_runs(tmp_path).to_dict("records")
    assert [row[column] for column in ("top1", "top5", "best_top1", "correct", "images")] == [None] * 5
    assert row["epochs"] == 0


def test_each_run_is_listed_once_from_the_first_folder(tmp_path):
    committed, own = tmp_path / "results", tmp_path / "runs"
    for folder, write, seeds in ((committed, records.publish, (0, 1)), (own, records.keep, (1, 2))):
        for seed in seeds:
            write(folder, seed=seed, correct=(100 if folder == committed else 200,))
    (own / "notes").mkdir()
    (own / "notes" / "model.keras").touch()
    (committed / "README.md").touch()
    for folders, expected in (
        ((committed, own), {0: 100, 1: 100, 2: 200}),
        ((own, committed), {0: 100, 1: 200, 2: 200}),
    ):
        table = runs.load_runs(*folders)
        assert table["identity"].is_unique
        assert dict(zip(table["seed"], table["correct"], strict=True)) == expected
    assert runs.load_runs(str(own)).equals(runs.load_runs(own))


def foreign(change):
    """A record that keeps its hash and lacks what pages read."""
    outcome, execution = records.halves(seed=9)
    change(outcome, execution)
    whole = {"schema": runs.SCHEMA, "identity": "foreign", "outcome": outcome, "execution": execution}
    return json.dumps({**whole, "outcome_sha256": runs.outcome_hash(outcome)})


FOREIGN = {
    "{": "is no record of a run",
    foreign(lambda outcome, execution: outcome["parameters"].pop("head")): "'head'",
    foreign(lambda outcome, execution: outcome.update(dataset=3)): "not subscriptable",
    foreign(lambda outcome, execution: outcome["final"].pop("count")): "'count'",
    foreign(lambda outcome, execution: outcome.pop("best")): "'best'",
    foreign(lambda outcome, execution: execution.pop("versions")): "'versions'",
    foreign(lambda outcome, execution: execution.clear()): "'backend'",
}


@pytest.mark.parametrize(("text", "said"), FOREIGN.items())
def test_a_file_that_is_no_record_is_passed_over_and_said_where_that_is_asked_for(tmp_path, text, said):
    kept = records.keep(tmp_path)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json' is no record of a run \(.*\)\. Move it") as caught:
        runs.load_runs(tmp_path)
    assert said in str(caught.value)
    skipped = []
    assert list(runs.load_runs(tmp_path, skipped=skipped)["identity"]) == [kept.identity]
    assert skipped == [str(caught.value).replace(str(tmp_path), runs.shown(tmp_path))]


def test_a_record_that_cannot_be_read_is_passed_over_as_well(tmp_path):
    records.keep(tmp_path)
    whole, skipped = runs.load_runs(tmp_path), []
    assert runs.load_runs(tmp_path, skipped=skipped).equals(whole)
    assert skipped == []
    (tmp_path / "x.json").symlink_to(tmp_path / "gone")
    assert runs.load_runs(tmp_path, skipped=skipped).equals(whole)
    assert skipped == [f"'{runs.shown(tmp_path)}/x.json' can't be read (No such file or directory)."]


def test_runs_go_where_the_environment_says(monkeypatch, tmp_path, root):
    monkeypatch.setenv("WISESR_RUNS", str(tmp_path / "elsewhere"))
    assert runs.default_runs_dir() == tmp_path / "elsewhere"
    for unset in (lambda: monkeypatch.setenv("WISESR_RUNS", ""), lambda: monkeypatch.delenv("WISESR_RUNS")):
        unset()
        assert runs.default_runs_dir() == root / "runs"
    monkeypatch.setattr(runs, "project_root", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert runs.default_runs_dir() == tmp_path / "runs"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WISESR_RUNS", "~/kept")  # as in runs_dir, data_dir and WISESR_CACHE
    assert runs.default_runs_dir() == tmp_path / "kept"


def test_paths_are_shown_from_the_project_the_working_directory_or_home(monkeypatch, tmp_path, root):
    tmp_path = tmp_path.resolve()
    home, work, real = (tmp_path / name for name in ("home", "work", "real"))
    for folder in (work, real):
        folder.mkdir()
    home.symlink_to(real)  # a home folder behind a link is not spelt out
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    assert runs.shown(root / "runs" / "x") == "runs/x"
    assert runs.shown(str(root / "tests" / ".." / "runs")) == "runs"
    assert runs.shown("runs/x") == runs.shown(work / "runs" / "x") == "runs/x"
    assert runs.shown(home / "runs" / "x") == runs.shown(real / "runs" / "x") == "~/runs/x"
    assert runs.shown(tmp_path / "other") == str(tmp_path / "other")
    for path in (root, work, home, home / "a" / ".." / "b"):
        assert not os.path.isabs(runs.shown(path))


def test_the_commit_of_a_record_and_whether_anything_but_records_differs_from_it(monkeypatch, tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    monkeypatch.setattr(runs, "project_root", lambda: tmp_path)
    assert runs.git_state() == (None, None)
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    commit = git("rev-parse", "HEAD")
    assert runs.git_state() == (commit, True)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "record.json").touch()
    assert runs.git_state() == (commit, True)
    assert runs.git_state(besides="notebooks") == (commit, False)
    monkeypatch.setattr(runs, "project_root", lambda: None)
    assert runs.git_state() == (None, None)


def test_what_a_result_says_of_itself():
    choices = ({}, {"status": "running", "epochs": 4}, records.diverged())
    ends = [records.result(**choice).ending for choice in choices]
    assert ends == ["complete", "running (2 of 4 epochs)", "diverged in epoch 3"]
    embedded, photographs = records.result(), records.result(changes={"photographs": True})
    assert embedded.note
    assert photographs.note == ""
    assert (embedded.chance, embedded.epochs, embedded.planned_epochs) == (1 / 6, 2, 2)


@pytest.mark.parametrize("mask", [np.ones(8, bool), np.zeros(3, bool), np.array([1, 0, 1, 1, 0, 0, 1], bool)])
def test_what_was_right_is_read_from_the_record(mask):
    kept = records.result(changes={"correct": runs.pack(mask), "test_images": len(mask)})
    np.testing.assert_array_equal(kept.right, mask)


def test_a_run_without_an_epoch_knows_nothing_of_its_images():
    with pytest.raises(ValueError, match="'mine' has no whole epoch"):
        _ = records.result("mine", correct=()).right


def test_a_record_of_before_the_versions_is_an_older_one(tmp_path):
    """Schema 2 had a hash of the code in its outcome, and no versions."""
    outcome, execution = records.halves(behaviour=None)
    outcome["code"] = "0" * 64
    whole = {"schema": 2, "identity": "old", "outcome": outcome, "execution": execution}
    (tmp_path / "old.json").write_text(json.dumps({**whole, "outcome_sha256": runs.outcome_hash(outcome)}))
    (run,) = runs.load_runs(tmp_path)["run"]
    assert run.older
    assert run.top1 == 0.9
    assert not records.result().older
