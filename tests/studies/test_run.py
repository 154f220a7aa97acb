"""A run from its command to its record: gone on with, owned by one process, and never lost."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers import versions
from wisesr_helpers._keras import keras
from wisesr_helpers.studies import run
from wisesr_helpers.training import runs
from wisesr_helpers.training.checkpoints import Checkpoints

IDENTITY = "mit_512--smoke--small_patch--wise_dropout--s0"


def experiment(folder, epochs=3, **typed):
    return ws.Experiment(
        "mit_512", **{"head": "wise_dropout", "scale": "smoke", **typed}, epochs=epochs, runs_dir=str(folder)
    )


@pytest.fixture(scope="module", autouse=True)
def small_images():
    """mit_512 on images of 192×192: nothing here depends on their size."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(ws.STUDIES, "mit_512", dataclasses.replace(ws.STUDIES["mit_512"], image_size=192))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, record) of a run of three epochs that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / IDENTITY, experiment(folder).run()


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """The folder of a run that ended after two epochs."""
    folder = tmp_path_factory.mktemp("two")
    experiment(folder, epochs=2).run()
    return folder


@pytest.fixture
def stopped(two_epochs, tmp_path):
    """A copy of a run that ended after two epochs."""
    shutil.copytree(two_epochs, tmp_path / "runs", dirs_exist_ok=True)
    return tmp_path / "runs"


def same(folder, record, whole):
    assert record.outcome_sha256 == whole[1].outcome_sha256
    ours, theirs = (Checkpoints(each / "checkpoints").newest().arrays for each in (folder / IDENTITY, whole[0]))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_record_says_what_was_run(whole):
    folder, record = whole
    assert record == runs.read_run(folder)
    assert (record.study, record.scale, record.head, record.seed) == ("mit_512", "smoke", "wise_dropout", 0)
    assert record.status == "complete"
    assert record.photographs is False
    assert (record.train_images, record.test_images) == (12, 6)
    assert record.feature_map == (6, 6, 96)
    assert record.recipe["augmentation"]["rotation_range"] == 360
    assert record.epochs == record.planned_epochs == 3
    assert record.right.sum() == record.correct_images
    assert len(record.execution["seconds"]) == 3
    assert record.execution["versions"]["keras"]
    assert "-p head wise_dropout" in record.execution["command"]
    assert json.loads((folder / runs.RECORD).read_text())["schema"] == runs.SCHEMA


def test_the_trained_model_predicts_what_the_record_says(whole):
    folder, record = whole
    test = experiment(folder.parent).dataset.test
    predicted = ws.load_classifier(folder).predict(test.rgb(np.arange(6)), verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(predicted == test.labels, record.right)


def test_a_finished_run_is_taken_and_not_trained_again(whole, monkeypatch, capsys):
    monkeypatch.setattr(run, "train", lambda *a, **k: pytest.fail("it was trained again"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # read where nothing may be written
    chosen = experiment(whole[0].parent)
    assert chosen.run() == whole[1]
    said = capsys.readouterr().out
    assert "This run is already complete; loaded from '" in said
    assert "Pass overwrite=True to train it again." in said
    assert "dataset" not in vars(chosen)  # nor is its data read
    assert "older version" not in said
    monkeypatch.setitem(versions.VERSIONS, "training", versions.VERSIONS["training"] + 1)
    assert experiment(whole[0].parent).run() == whole[1]
    assert "It was trained by an older version of the code" in capsys.readouterr().out


def test_more_epochs_continue_a_run_as_if_it_had_never_stopped(stopped, whole, capsys):
    record = experiment(stopped).run()
    assert "Going on after epoch 2 of 3, from" in capsys.readouterr().out
    same(stopped, record, whole)
    assert [part["from_epoch"] for part in record.execution["machines"]] == [1, 3]
    assert len(record.execution["seconds"]) == 3


def test_seed_and_options_of_a_run_are_in_its_record_and_what_it_learned(whole, tmp_path):
    options = {"accumulate": 2, "bias": False, "pool_size": np.int64(1)}
    record = experiment(tmp_path, epochs=1, options=options).run()
    assert record.options == options
    assert record.recipe["accumulate"] == 2
    assert record.identity.startswith(f"{IDENTITY}--")
    other = experiment(tmp_path, epochs=1, seed=1).run()
    assert (other.seed, other.identity) == (1, IDENTITY.replace("s0", "s1"))
    assert len({run.history[0]["loss"] for run in (whole[1], record, other)}) == 3


def test_fewer_epochs_are_refused_with_and_without_a_record(stopped):
    for _ in range(2):
        with pytest.raises(ValueError, match="holds 2 epochs of this run already; epochs=1 is fewer"):
            experiment(stopped, epochs=1).run()
        (stopped / IDENTITY / runs.RECORD).unlink(missing_ok=True)


def interrupt_after(epochs, monkeypatch):
    """Have Ctrl-C pressed when the record of that epoch is written."""
    write = runs.write_record

    def interrupted(folder, outcome, execution):
        written = write(folder, outcome, execution)
        if len(outcome["history"]) == epochs:
            raise KeyboardInterrupt
        return written

    monkeypatch.setattr(runs, "write_record", interrupted)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run of three epochs, interrupted after the second, which says what is kept."""
    folder, said = tmp_path_factory.mktemp("interrupted"), io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(said):
        interrupt_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            experiment(folder).run()
    assert "keeps 2 whole epochs; the same command goes on from there." in said.getvalue()
    return folder


DAMAGES = {"truncated": lambda path: os.truncate(path, path.stat().st_size // 2)}
DAMAGES |= {"empty": lambda path: os.truncate(path, 0), "missing": pathlib.Path.unlink}


@pytest.mark.parametrize(
    "damage", ["truncated", *(pytest.param(damage, marks=pytest.mark.slow) for damage in ("empty", "missing"))]
)
@pytest.mark.parametrize(
    ("files", "epoch"),
    [(["record.json"], 2), (["checkpoints/e0002.npz"], 1), (["record.json", "checkpoints/e0002.npz"], 1)],
    ids=["record", "checkpoint", "both"],
)
def test_a_folder_damaged_by_hand_falls_back_and_ends_the_same(
    interrupted, tmp_path, whole, files, epoch, damage, capsys
):
    shutil.copytree(interrupted, tmp_path / "runs")
    for file in files:
        DAMAGES[damage](tmp_path / "runs" / IDENTITY / file)
    record = experiment(tmp_path / "runs").run()
    said = capsys.readouterr().out
    assert f"Going on after epoch {epoch} of 3" in said
    assert ("The checkpoint of epoch 2 in" in said) == (epoch == 1 and damage != "missing")
    assert ("is no record of a run" in said) == ("record.json" in files and damage != "missing")
    same(tmp_path / "runs", record, whole)


def test_without_a_whole_checkpoint_it_is_trained_from_the_start(interrupted, tmp_path, whole, capsys):
    shutil.copytree(interrupted, tmp_path / "runs")
    for path in (tmp_path / "runs" / IDENTITY / "checkpoints").iterdir():
        os.truncate(path, 100)
    record = experiment(tmp_path / "runs").run()
    assert "No whole checkpoint is left in" in capsys.readouterr().out
    same(tmp_path / "runs", record, whole)


def test_a_finished_run_whose_model_is_gone_gets_it_back(stopped, capsys, monkeypatch):
    (stopped / IDENTITY / "model.keras").unlink()
    before = (stopped / IDENTITY / runs.RECORD).read_bytes()
    chosen = experiment(stopped, epochs=2)
    record = chosen.run()
    assert "holds no model.keras; it is made again" in capsys.readouterr().out
    assert record.outcome_sha256 == json.loads(before)["outcome_sha256"]
    assert chosen.load().output_shape == (None, 6)


def test_a_finished_record_without_a_checkpoint_is_not_trained_over(stopped):
    shutil.rmtree(stopped / IDENTITY / "checkpoints")
    with pytest.raises(ValueError, match="no whole checkpoint to go on from.*overwrite=True"):
        experiment(stopped).run()
    assert runs.read_run(stopped / IDENTITY).status == "complete"
    assert experiment(stopped, epochs=2).run().status == "complete"  # as it is, it can still be used


def test_overwrite_trains_from_the_start(stopped, whole, capsys):
    record = experiment(stopped, overwrite=True).run()
    assert "Going on" not in capsys.readouterr().out
    assert [part["from_epoch"] for part in record.execution["machines"]] == [1]
    same(stopped, record, whole)


def test_an_interrupted_overwriting_run_goes_on(interrupted, tmp_path, whole, capsys):
    shutil.copytree(interrupted, tmp_path / "runs")
    record = experiment(tmp_path / "runs", overwrite=True).run()
    assert "Going on after epoch 2 of 3" in capsys.readouterr().out
    same(tmp_path / "runs", record, whole)


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_overwrite_trains_a_finished_run_again_though_its_record_is_gone(stopped, damage, capsys):
    DAMAGES[damage](stopped / IDENTITY / runs.RECORD)
    record = experiment(stopped, epochs=2, overwrite=True).run()
    assert "Going on" not in capsys.readouterr().out
    assert len(record.execution["seconds"]) == 2


def test_overwrite_does_not_go_on_from_epochs_of_an_older_version(interrupted, tmp_path, monkeypatch, capsys):
    shutil.copytree(interrupted, tmp_path / "runs")
    monkeypatch.setitem(versions.VERSIONS, "layers", versions.VERSIONS["layers"] + 1)
    record = experiment(tmp_path / "runs", overwrite=True).run()
    assert "Going on" not in capsys.readouterr().out
    assert [part["from_epoch"] for part in record.execution["machines"]] == [1]


def test_other_data_is_said_of_a_finished_run_and_not_gone_on_with(stopped, capsys):
    chosen, more = experiment(stopped, epochs=2), experiment(stopped)
    assert chosen.dataset.fingerprint
    chosen.run()
    assert "other data" not in capsys.readouterr().out
    other = dataclasses.replace(chosen.dataset, classes=("a", "b", "c", "d", "e", "f"))
    chosen.dataset = more.dataset = other
    chosen.run()
    assert "It was trained on other data than today" in capsys.readouterr().out
    with pytest.raises(ValueError, match="trained with other data than today's"):
        more.run()


def test_epochs_of_another_version_or_backend_are_not_gone_on_from(stopped, monkeypatch):
    said = "holds 2 epochs of this run, trained with other {} than today's"
    with monkeypatch.context() as patch:
        patch.setitem(versions.VERSIONS, "training", versions.VERSIONS["training"] + 1)
        with pytest.raises(ValueError, match=said.format("versions of the code")):
            experiment(stopped).run()
    assert runs.read_run(stopped / IDENTITY).status == "complete"
    path = stopped / IDENTITY / "checkpoints" / "e0002.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    assert header["origin"]["backend"] == keras.backend.backend()
    header["origin"]["backend"] = "another"
    np.savez(path, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    with pytest.raises(ValueError, match=said.format("backend")):
        experiment(stopped).run()


def test_the_best_and_the_last_weights_are_kept(tmp_path, monkeypatch):
    """The second of three epochs is made the best: its weights have to be those of a run of two epochs."""
    tops = iter([0.1, 0.9, 0.5])
    evaluate = run.train.__globals__["evaluate"]

    def evaluated(*given):
        evaluation, correct = evaluate(*given)
        return {**evaluation, "top1": next(tops)}, correct

    monkeypatch.setitem(run.train.__globals__, "evaluate", evaluated)
    chosen = experiment(tmp_path / "a")
    record = chosen.run()
    assert (record.best["epoch"], record.final["epoch"]) == (2, 3)
    tops = iter([0.1, 0.9])
    two = experiment(tmp_path / "b", epochs=2)
    two.run()
    assert not (two.folder / "best.keras").exists()  # the last is the best
    weights = {
        name: model.get_weights()
        for name, model in [("best", chosen.load("best")), ("final", chosen.load()), ("two", two.load())]
    }
    for best, second in zip(weights["best"], weights["two"], strict=True):
        np.testing.assert_array_equal(best, second)
    assert not all(np.array_equal(a, b) for a, b in zip(weights["best"], weights["final"], strict=True))
    assert getattr(chosen.load(), "optimizer", None) is None  # a third of the size
    assert [path.name for path in (chosen.folder / "checkpoints").iterdir()] == ["e0003.npz"]


def test_the_second_process_says_who_holds_the_run_and_leaves(stopped):
    code = (
        "import sys; from wisesr_helpers import storage\n"
        f"with storage.folder_lock({str(stopped / IDENTITY)!r}, 'trained'):\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match=rf"is being trained by process {holder.pid} on .* since 20"):
            experiment(stopped).run()
        assert experiment(stopped, epochs=2).run().status == "complete"  # a finished run can be read
        holder.kill()
        holder.wait()
    assert experiment(stopped).run().history[-1]["epoch"] == 3  # a dead owner's lock is taken over


@pytest.mark.parametrize("name", ["record.json", "e0002.npz", "model.keras"])
def test_a_full_disk_loses_no_whole_epoch(tmp_path, whole, monkeypatch, capsys, name):
    replace = os.replace

    def full(source, target, **options):
        if str(target).endswith(name) and (
            name != "record.json" or (tmp_path / IDENTITY / "checkpoints/e0002.npz").exists()
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"can't be kept in .*No space left on device\).*same command"):
        experiment(tmp_path).run()
    monkeypatch.setattr(os, "replace", replace)
    capsys.readouterr()
    record = experiment(tmp_path).run()
    assert "Going on after epoch" in capsys.readouterr().out
    same(tmp_path, record, whole)


def test_a_diverged_run_is_a_result_and_not_tried_again(tmp_path, monkeypatch, capsys):
    study = ws.STUDIES["mit_512"]
    wild = dataclasses.replace(study.demo, recipe=dataclasses.replace(study.demo.recipe, learning_rate=1e30))
    monkeypatch.setitem(ws.STUDIES, "mit_512", dataclasses.replace(study, demo=wild))
    chosen = experiment(tmp_path)
    with np.errstate(all="ignore"):
        record = chosen.run()
    assert (record.status, record.history, record.final, record.correct) == ("diverged", (), None, "")
    assert record.divergence["epoch"] == 1
    assert np.isfinite(np.concatenate([weight.ravel() for weight in chosen.load().get_weights()])).all()
    monkeypatch.setattr(run, "train", lambda *a, **k: pytest.fail("it was trained again"))
    capsys.readouterr()
    assert experiment(tmp_path).run() == record
    assert "older version" not in capsys.readouterr().out
    assert experiment(tmp_path, epochs=5).run() == record
    said = capsys.readouterr().out
    assert "It diverged, so more epochs would change nothing." in said
    assert "older version" not in said
    assert ws.load_runs(tmp_path)["status"].tolist() == ["diverged"]


def test_gpu_hours_and_days_are_said_beforehand(tmp_path, capsys, monkeypatch):
    spec = experiment(tmp_path).spec
    run.say_speed(spec, 2, 20)
    assert capsys.readouterr().out == ""
    run.say_speed(spec, 100, 20)
    assert capsys.readouterr().out == "An epoch takes about 1 min 40 s here, 20 take 33 min 20 s.\n"
    paper = dataclasses.replace(spec, plan=None)
    run.say_speed(paper, 31 * 86400 / 130, 130)
    said = capsys.readouterr().out
    assert "This machine has no accelerator: " in said
    assert "130 take about 31.0 days here; scale='demo' takes 1 min 24 s." in said
    monkeypatch.setattr(run, "accelerators", lambda: ["gpu:0"])
    run.say_speed(paper, 180, 130)
    assert "An epoch takes about 3 min 0 s here, 130 take 6 h 30 min: 6.5 GPU hours." in capsys.readouterr().out
