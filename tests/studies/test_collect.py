"""Records that were made elsewhere: taken whole, once, and only where they agree with themselves."""

import json
import subprocess
import sys

import pytest
import records

from wisesr_helpers.studies import collect
from wisesr_helpers.training import runs


def forged(folder, change, **choices):
    """The file of a record that was changed, and its hash with it."""
    path = folder / records.keep(folder, **choices).identity / "record.json"
    record = json.loads(path.read_text())
    change(record)
    record["outcome_sha256"] = runs.outcome_hash(record["outcome"])
    path.write_text(json.dumps(record))
    return path


def snapshot(folder):
    """Path and bytes of every file."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_records_of_folders_and_of_files_are_taken_whole_and_once(tmp_path, capsys):
    away, here = tmp_path / "away", tmp_path / "here"
    kept = [records.keep(away), records.keep(away, head="gap", **records.diverged()), records.publish(away, seed=1)]
    assert collect.main(["import", str(away), "--runs-dir", str(here)]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        f"'{run.identity}' is taken ({run.ending}, top-1 {run.top1:.2%}, cpu:0, commit 0123456789)." for run in kept
    )
    assert {run.identity: run for run in runs.load_runs(here)["run"]} == {run.identity: run for run in kept}
    assert (here / kept[0].identity / "record.json").read_bytes() == (kept[0].folder / "record.json").read_bytes()
    before = snapshot(here)
    assert collect.main(["import", str(away), "--runs-dir", str(here)]) == 0
    assert capsys.readouterr().out.count("is here already.") == 3
    assert snapshot(here) == before
    assert len(list(here.iterdir())) == 3  # no folder of the copying is left


def test_a_run_of_its_own_and_the_default_folder(tmp_path):
    run = records.keep(tmp_path / "away")
    fine, wrong = collect.import_runs(run.folder)
    assert (len(fine), wrong) == (1, [])
    assert runs.read_run(runs.default_runs_dir() / run.identity) == run


def test_a_run_that_diverged_at_once_is_taken_into_a_folder_that_is_made(tmp_path):
    run = records.keep(tmp_path / "away", seed=2**32 - 1, **records.diverged(()))
    fine, wrong = collect.import_runs(tmp_path / "away", tmp_path / "a" / "b")
    said = "is taken (diverged in epoch 1, no epoch, cpu:0, commit 0123456789)."
    assert (fine, wrong) == ([f"'{run.identity}' {said}"], [])


def test_a_conflict_is_shown_and_what_is_here_stays(tmp_path):
    away, here = tmp_path / "away", tmp_path / "here"
    run, _ = records.keep(away, correct=(60, 240)), records.keep(here, correct=(60, 270))
    (here / records.identity(seed=1)).mkdir()
    records.keep(away, seed=1)
    before = snapshot(here)
    fine, wrong = collect.import_runs(away, here)
    said = "is here with another outcome (complete, top-1 90.00%, cpu:0, commit 0123456789), which stays; not taken: c"
    assert fine == []
    assert f"'{run.identity}' {said}" in wrong[0]
    assert "has a folder in" in wrong[1]
    assert snapshot(here) == before


def test_two_outcomes_of_one_run_are_both_left(tmp_path):
    records.keep(tmp_path / "away", correct=(60, 240))
    records.publish(tmp_path / "away", correct=(60, 270))
    fine, (wrong,) = collect.import_runs(tmp_path / "away", tmp_path / "here")
    assert fine == []
    assert "has different outcomes there (complete, top-1 80.00%, cpu:0, commit 0123456789; complete, top-1 90" in wrong
    assert not (tmp_path / "here").exists()


def outcome(**changes):
    return lambda record: record["outcome"].update(changes)


def within(key, **changes):
    return lambda record: record["outcome"][key].update(changes)


FORGED = {
    "study": (within("parameters", study="mit_999"), "Unknown study 'mit_999'. Valid studies: sub_imagenet_224, "),
    "head": (within("parameters", head="withdrawn"), "Unknown head 'withdrawn'. Valid heads: gap"),
    "backbone": (within("parameters", backbone="Xceptoin"), "Did you mean Xception"),
    "large seed": (within("parameters", seed=2**32), "seed must be a whole number"),
    "seed": (within("parameters", seed=True), "seed must be a whole number"),
    "dataset": (within("parameters", dataset="mnist"), "The dataset of study 'mit_512' must be left out"),
    "scale": (within("parameters", scale="huge"), "there is no scale 'huge'"),
    "demo as paper": (within("parameters", scale="paper"), "photographs belong to the scale 'paper'"),
    "another's name": (within("parameters", seed=1), "its parameters make 'mit_512--demo--small_patch--wise--s1'"),
    "a path": (lambda record: record.update(identity="../../elsewhere"), "named '../../elsewhere'"),
    "unfinished": (outcome(status="running"), "it is not finished: running (2 of 2 epochs)"),
    "an epoch less": (lambda record: record["outcome"]["history"].pop(), "history"),
    "more epochs": (within("recipe", epochs=20), "history is not that of its epochs"),
    "no end": (outcome(final=None, best=None), "epochs without a result"),
    "a better end": (within("final", top1=0.99, top1_correct=297), "final or best epoch is not its history's"),
    "a better best": (within("best", epoch=1), "final or best epoch is not its history's"),
    "more right": (within("final", top1_correct=280), "accuracies are not its numbers of right images"),
    "other images": (outcome(correct=runs.pack([True] * 271 + [False] * 29)), "not as many as it counts right"),
    "no bits": (outcome(correct="?"), "not as many as it counts right"),
    "half a byte": (outcome(correct="abc"), "is not taken: Incorrect padding"),
    "no images": (within("final", count=0), "accuracies"),
    "another thing": (outcome(history=[3, 4]), "is no record of a run"),
    "diverged nowhere": (outcome(status="diverged"), "is no record of a run"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_record_that_does_not_agree_with_itself_is_refused_in_a_sentence(tmp_path, case):
    change, said = FORGED[case]
    path = forged(tmp_path / "away", change)
    fine, (wrong,) = collect.import_runs(tmp_path / "away", tmp_path / "here")
    assert fine == []
    assert said in wrong
    assert f"'{path}'" in wrong
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"schema": 3}', None])
def test_what_is_damaged_is_named_and_the_others_are_taken(tmp_path, garbage, capsys):
    away = tmp_path / "away"
    kept = records.keep(away)
    if garbage is None:
        text = (kept.folder / "record.json").read_text()
        (away / "x.json").write_text(text[: len(text) // 2])
    else:
        (away / "x.json").write_bytes(garbage)
    (away / "y.json").symlink_to(away / "gone")
    assert collect.main(["import", str(away), "--runs-dir", str(tmp_path / "here")]) == 1
    taken, x, y = capsys.readouterr().out.splitlines()
    assert (kept.identity in taken, "x.json" in x, "y.json' can't be read" in y) == (True, True, True)
    assert list(runs.load_runs(tmp_path / "here")["identity"]) == [kept.identity]


def test_where_there_is_nothing_the_command_says_what_is_wanted(tmp_path):
    words = [sys.executable, "-m", "wisesr_helpers.training.runs", "import", tmp_path / "gone"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "gone' holds no records: give a folder with run folders" in done.stdout


def test_committed_records_agree_with_themselves(root):
    for path in sorted((root / "results").glob("*.json")):
        collect.check_run(runs.read_run(path), path)
