"""A run from its command to its record: gone on with, owned by one process, and never lost."""

import dataclasses
import errno
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
from wisesr_helpers.studies import choices, run
from wisesr_helpers.studies.run import say_speed
from wisesr_helpers.training import runs
from wisesr_helpers.training.checkpoints import Checkpoints

IDENTITY = "mit_512--smoke--small_patch--wise_dropout--s0"


def experiment(folder, epochs=3, **typed):
    return ws.Experiment(
        "mit_512", **{"head": "wise_dropout", "scale": "smoke", **typed}, epochs=epochs, runs_dir=str(folder)
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, record) of a run of three epochs that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / IDENTITY, experiment(folder).run()


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
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


def test_more_epochs_continue_a_run_as_if_it_had_never_stopped(stopped, whole, capsys):
    record = experiment(stopped).run()
    assert "Going on after epoch 2 of 3, from" in capsys.readouterr().out
    same(stopped, record, whole)
    assert [part["from_epoch"] for part in record.execution["machines"]] == [1, 3]
    assert len(record.execution["seconds"]) == 3


def test_another_seed_is_another_run(whole, tmp_path):
    other = experiment(tmp_path, seed=1).run()
    assert other.outcome_sha256 != whole[1].outcome_sha256


def test_fewer_epochs_are_refused_with_and_without_a_record(stopped):
    with pytest.raises(ValueError, match="holds 2 epochs of this run already; epochs=1 is fewer"):
        experiment(stopped, epochs=1).run()
    (stopped / IDENTITY / runs.RECORD).unlink()
    with pytest.raises(ValueError, match="holds 2 epochs of this run already; epochs=1 is fewer"):
        experiment(stopped, epochs=1).run()


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
    """A run of three epochs, interrupted after the second."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            experiment(folder).run()
    return folder


DAMAGES = {"truncated": lambda path: os.truncate(path, path.stat().st_size // 2)}
DAMAGES |= {"empty": lambda path: os.truncate(path, 0), "missing": pathlib.Path.unlink}


@pytest.mark.parametrize("damage", DAMAGES)
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
    with pytest.raises(ValueError, match="no whole checkpoint to go on from.*set overwrite"):
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


@pytest.mark.parametrize("damage", DAMAGES)
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


def test_a_finished_run_on_other_data_is_said(stopped, capsys):
    experiment(stopped, epochs=2).run()
    assert "other data" not in capsys.readouterr().out
    chosen = experiment(stopped, epochs=2)
    chosen.__dict__["dataset"] = dataclasses.replace(chosen.dataset, classes=("a", "b", "c", "d", "e", "f"))
    chosen.run()
    assert "It was trained on other data than is here now" in capsys.readouterr().out


def test_a_finished_run_is_read_where_nothing_may_be_written(stopped, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *given: False)
    assert experiment(stopped, epochs=2).run().status == "complete"
    with pytest.raises(OSError, match="no folder that can be written"):
        experiment(stopped, seed=1)


def test_epochs_of_an_older_version_are_not_gone_on_from(stopped, monkeypatch):
    monkeypatch.setitem(versions.VERSIONS, "training", versions.VERSIONS["training"] + 1)
    with pytest.raises(
        ValueError, match="holds 2 epochs of this run, trained with other versions of the code than today's"
    ):
        experiment(stopped).run()
    assert runs.read_run(stopped / IDENTITY).status == "complete"


def test_epochs_on_other_data_are_not_gone_on_from(stopped, monkeypatch):
    chosen = experiment(stopped)
    chosen.__dict__["dataset"] = dataclasses.replace(chosen.dataset, classes=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(ValueError, match="trained with other data than today's"):
        chosen.run()


def test_epochs_of_another_backend_are_not_gone_on_from(stopped):
    path = stopped / IDENTITY / "checkpoints" / "e0002.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    assert header["origin"]["backend"] == keras.backend.backend()
    header["origin"]["backend"] = "another"
    np.savez(path, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    with pytest.raises(ValueError, match="trained with other backend than today's"):
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


def test_an_interrupt_says_what_is_kept(tmp_path, whole, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        with pytest.raises(KeyboardInterrupt):
            experiment(tmp_path).run()
    assert "keeps 2 whole epochs; the same command goes on from there." in capsys.readouterr().out
    same(tmp_path, experiment(tmp_path).run(), whole)


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
    wild = dataclasses.replace(ws.STUDIES["mit_512"].smoke.recipe, learning_rate=1e30, epochs=3)
    chosen = experiment(tmp_path)
    chosen.recipe = wild
    with np.errstate(all="ignore"):
        record = chosen.run()
    assert (record.status, record.history, record.final, record.correct) == ("diverged", (), None, "")
    assert record.divergence["epoch"] == 1
    assert np.isfinite(np.concatenate([weight.ravel() for weight in chosen.load().get_weights()])).all()
    monkeypatch.setattr("wisesr_helpers.studies.run.train", lambda *a, **k: pytest.fail("it was trained again"))
    again = experiment(tmp_path)
    again.recipe = wild
    capsys.readouterr()
    assert again.run() == record
    assert "older version" not in capsys.readouterr().out
    again.recipe = dataclasses.replace(wild, epochs=5)
    assert again.run() == record
    said = capsys.readouterr().out
    assert "It diverged, so that more epochs would change nothing." in said
    assert "older version" not in said
    assert ws.load_runs(tmp_path)["status"].tolist() == ["diverged"]


def test_gpu_hours_and_days_are_said_beforehand(tmp_path, capsys, monkeypatch):
    chosen = experiment(tmp_path)
    say_speed(chosen, 100, 20)
    assert capsys.readouterr().out == "An epoch takes about 1 min 40 s here, 20 take 33 min 20 s.\n"
    chosen.plan = None
    say_speed(chosen, 31 * 86400 / 130, 130)
    said = capsys.readouterr().out
    assert "This machine has no accelerator: " in said
    assert "130 take about 31.0 days here; scale='demo' takes 3 min 30 s." in said
    monkeypatch.setattr("wisesr_helpers.studies.run.accelerators", lambda: ["gpu:0"])
    say_speed(chosen, 180, 130)
    assert "An epoch takes about 3 min 0 s here, 130 take 6 h 30 min: 6.5 GPU hours." in capsys.readouterr().out


def test_options_of_the_training_are_in_the_recipe_and_the_name(tmp_path, capsys):
    chosen = experiment(tmp_path, options={"accumulate": 2, "precision": "mixed_bfloat16"})
    assert chosen.parameters.identity.startswith(f"{IDENTITY}--")
    assert (chosen.recipe.accumulate, chosen.recipe.micro_batch, chosen.recipe.precision) == (2, 2, "mixed_bfloat16")
    chosen.announce()
    said = capsys.readouterr().out
    assert "computed in mixed_bfloat16." in said
    assert "in 2 parts of 2" in said
    assert "batch norm sees 2 images at a time" in said
    record = chosen.run()
    assert record.recipe["accumulate"] == 2
    assert chosen.build().get_layer("mix2_conv").compute_dtype == "bfloat16"
    assert experiment(tmp_path).build().get_layer("mix2_conv").compute_dtype == "float32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 3}, "Option 'accumulate' must be one of 1, 2, 4; received 3"),
        ({"accumulate": True}, "Option 'accumulate' must be one of 1, 2, 4; received True"),
        ({"precision": "float16"}, "Option 'precision' must be one of float32, mixed_bfloat16, mixed_float16"),
        ({"jit_compile": 1}, "Option 'jit_compile' must be one of False, True; received 1"),
    ],
)
def test_options_of_the_training_are_checked(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        experiment(tmp_path, options=options)


def test_xla_stays_off_with_tensorflow_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(choices.keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(choices, "accelerators", lambda: [])
    with pytest.raises(ValueError, match="'jit_compile' can't be True with TensorFlow on a CPU"):
        experiment(tmp_path, options={"jit_compile": True})
    monkeypatch.setattr(choices, "accelerators", lambda: ["gpu:0"])
    assert experiment(tmp_path, options={"jit_compile": True}).recipe.jit_compile is True
