"""A training killed by SIGKILL and typed again ends as one that was never stopped: byte for byte."""

import sys

import pytest
import soak

from wisesr_helpers.training import runs

NOTEBOOK = soak.ROOT / "notebooks/mit_512.ipynb"


def papermill(runs_dir):
    words = [sys.executable, "-m", "papermill", NOTEBOOK, runs_dir / "out.ipynb", "-p", "head", "wise_dropout"]
    return [*words, "-p", "epochs", soak.EPOCHS, "-p", "runs_dir", runs_dir]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a training that was never stopped, in a plain process: the notebook's kernel must not matter."""
    folder = tmp_path_factory.mktemp("whole")
    done = soak.start(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return soak.result(folder)


def goes_on(text, kill):
    """Whether a resumed training says that at most one epoch was lost."""
    lost = int(kill.split(":")[1])
    return (f"Going on after epoch {lost - 1} of {soak.EPOCHS}" in text) == (lost > 1)


@pytest.mark.slow
def test_a_training_killed_and_typed_again(whole, tmp_path):
    """While it saves; test_a_short_soak kills it elsewhere, and a comparison is killed in make test."""
    kill = "save:2:100000"
    assert goes_on(soak.killed_and_resumed(tmp_path, kill), kill)
    assert soak.result(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["save:3:-1", "within:2:2", "between:1:0"])
def test_papermill_killed_and_typed_again(kill, whole, tmp_path):
    soak.killed_and_resumed(tmp_path, kill, words=papermill(tmp_path), WISESR_KILL_PARENT="1")
    assert goes_on((tmp_path / "out.ipynb").read_text(encoding="utf-8"), kill)
    assert soak.result(tmp_path) == whole


@pytest.mark.slow
def test_a_drive_without_locks_that_renames_by_copying_loses_one_epoch(whole, tmp_path):
    said = soak.killed_and_resumed(tmp_path, "save:3:-3", fault="drive")
    assert "The checkpoint of epoch 3 in" in said
    assert "Going on after epoch 2 of 3" in said
    assert soak.result(tmp_path) == whole


@pytest.mark.slow
def test_a_stateful_shuffle_would_be_noticed(tmp_path):
    """The control: with an order that depends on how many the process has drawn, a resumed run ends differently."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    assert soak.start(tmp_path / "whole", fault="stateful").returncode == 0
    soak.killed_and_resumed(tmp_path / "killed", "between:3:0", fault="stateful")
    assert soak.result(tmp_path / "killed") != soak.result(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_diverges_is_shown_and_ends_papermill_without_an_error(tmp_path):
    done = soak.start(tmp_path, fault="diverge", words=papermill(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    assert "epoch 2 of 3, step 2: the loss or a weight is not finite any more" in text
    assert "diverged in epoch 2" in text.partition("## The result")[2]
    (record,) = (runs.read_run(path) for path in tmp_path.glob("*/record.json"))
    assert (record.status, len(record.history)) == ("diverged", 1)
    assert record.divergence["step"] == 2


def test_the_kinds_of_kill_are_thirds():
    kinds = [soak.kill_of(trial, 700_000).partition(":")[0] for trial in range(99)]
    assert {kind: kinds.count(kind) for kind in soak.KINDS} == dict.fromkeys(soak.KINDS, 33)
    numbers = {soak.kill_of(trial, 700_000).split(":")[2] for trial in range(0, 99, 3)}
    assert {"-1", "-2", "-3"} < numbers  # before and after a checkpoint gets its name, and half copied


@pytest.mark.slow
@pytest.mark.parametrize("other", [{"TF_NUM_INTRAOP_THREADS": "1"}, {"TF_ENABLE_ONEDNN_OPTS": "0"}], ids=str)
def test_another_configuration_agrees_within_the_stated_tolerance(other, tmp_path):
    losses = []
    for name, environment in (("one", {}), ("other", other)):
        (tmp_path / name).mkdir()
        assert soak.start(tmp_path / name, **environment).returncode == 0
        (record,) = (runs.read_run(path) for path in (tmp_path / name).glob("*/record.json"))
        losses.append([row[key] for row in record.history for key in ("loss", "test_loss")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != losses[1]  # the other configuration does make a difference


@pytest.mark.slow
def test_a_short_soak():
    done = soak.subprocess.run([sys.executable, soak.__file__, "12"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of 12 identical to the uninterrupted run; killed: 4 while saving, 4 within an epoch, 4" in done.stdout
