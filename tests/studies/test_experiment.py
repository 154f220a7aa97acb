"""From what a user types to a record: choices said, mistakes refused, results repeatable."""

import base64
import json

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers.training import runs


def experiment(**typed):
    return ws.Experiment("mit_512", **typed)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"head": "vise"}, r"Unknown head 'vise'\. Valid heads: .*wise"),
        ({"backbone": "Xcepton"}, "Unknown backbone 'Xcepton'. Did you mean Xception"),
        ({"scale": "big"}, "Unknown scale 'big'. Valid scales: auto, paper, demo, smoke"),
        ({"seed": -1}, "seed must be a whole number, from 0 to 4294967295; received -1"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": 2**40}, "seed must be a whole number, from 0 to 4294967295"),
        ({"overwrite": "no"}, "overwrite must be True or False; received 'no'"),
        ({"epochs": -5}, "epochs must be a whole number, 0 or more; received -5"),
        ({"epochs": "3"}, "epochs must be a whole number, 0 or more; received '3'"),
        (
            {"options": {"strat": 1}},
            "Unknown option 'strat' for head 'wise'. Valid options: start, .*weights, convention, ",
        ),
        ({"options": {"weights": "imagnet"}}, "Option 'weights' must be one of imagenet, none; received 'imagnet'"),
        ({"options": {"strict": "yes"}}, "Option 'strict' must be one of False, True; received 'yes'"),
        ({"options": {"convention": 3}}, "Option 'convention' must be one of keras3, keras_preprocessing_1_1"),
        ({"options": {"start": "zero"}}, "Option 'start' must be one of normal, average; received 'zero'"),
        ({"options": {"bias": 1}}, "Option 'bias' must be one of True, False; received 1"),
        ({"options": {"cover": "exact", "padding": "ones"}}, "Option 'cover' is about separate averaged blocks"),
        ({"options": {"reduction": "area", "strides": 1}}, "padding and strides belong to reduction='average'"),
        ({"options": {"pool_size": 0}}, "pool_size must be a whole number of cells"),
        ({"head": "gap", "options": {"pool_size": 2}}, "Unknown option 'pool_size' for head 'gap'"),
        ({"options": "start"}, "options must be a mapping"),
    ],
)
def test_mistakes_are_refused_before_anything_is_loaded(typed, message, monkeypatch):
    monkeypatch.setattr(
        "wisesr_helpers.studies.experiment.scenes_dataset", lambda *a, **k: pytest.fail("data was loaded")
    )
    monkeypatch.setattr("wisesr_helpers.studies.run.build_classifier", lambda *a, **k: pytest.fail("a model was built"))
    with pytest.raises(ValueError, match=message):
        experiment(**typed)


def test_numbers_of_numpy_are_options(tmp_path):
    chosen, plain = (experiment(options={"pool_size": size}, runs_dir=tmp_path) for size in (np.int64(2), 2))
    assert chosen.settings == plain.settings
    assert chosen.folder == plain.folder


def test_paper_scale_never_falls_back():
    with pytest.raises(FileNotFoundError, match="MIT Indoor Scenes was not found in any of .*data fetch mit"):
        experiment(scale="paper")


def test_auto_is_the_demo_and_the_environment_stands_in_for_it(monkeypatch):
    monkeypatch.delenv("WISESR_SCALE")
    assert experiment().scale == "demo"
    monkeypatch.setenv("WISESR_SCALE", "smoke")
    assert experiment().scale == "smoke"
    assert experiment(scale="demo").scale == "demo"
    monkeypatch.setenv("WISESR_SCALE", "tiny")
    with pytest.raises(ValueError, match="Unknown WISESR_SCALE 'tiny'"):
        experiment()


def test_the_first_lines_say_what_it_is_and_how_to_start_the_papers_scale(capsys):
    experiment().announce()
    said = capsys.readouterr().out
    assert "demo: not the paper's data" in said.splitlines()[0]
    assert "WISESR_SCALE" in said.splitlines()[0]
    assert "papermill notebooks/mit_512.ipynb runs/out.ipynb -p head wise -p scale paper" in said


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, experiment(scale="smoke", runs_dir=str(folder)).run()


def test_a_record_says_what_was_run(finished):
    folder, record = finished
    assert record == runs.read_run(folder / "mit_512--smoke--small_patch--wise--s0")
    assert record.status == "complete"
    assert record.head == "wise"
    assert record.photographs is False
    assert (record.train_images, record.test_images) == (12, 6)
    assert record.feature_map == (16, 16, 96)
    assert record.recipe["augmentation"]["rotation_range"] == 360
    assert record.epochs == record.planned_epochs == 2
    correct = np.unpackbits(np.frombuffer(base64.b64decode(record.correct), np.uint8))[:6]
    assert correct.sum() == record.correct_images
    execution = record.execution
    assert len(execution["seconds"]) == 2
    assert execution["versions"]["keras"]
    assert "-p head wise" in execution["command"]


def test_options_of_the_head_reach_the_model_and_the_name(tmp_path):
    def typed(**options):
        return experiment(scale="smoke", options=options, runs_dir=str(tmp_path))

    plain = typed().parameters.identity
    assert (
        typed(start="normal", cover="blocks", bias=True).parameters.identity == plain
    )  # the defaults make no other run
    assert typed(start="average").parameters.identity != plain
    shared = typed(sharing="radial", pool_size=2).build().get_layer("pooling")
    assert shared.get_weights()[0].shape == (9, 96)  # a kernel of 8×8 has nine distances
    assert typed(bias=False).run().options == {"bias": False}


def test_two_runs_of_one_command_have_the_same_outcome(finished, tmp_path):
    again = experiment(scale="smoke", runs_dir=str(tmp_path)).run()
    assert again.outcome_sha256 == finished[1].outcome_sha256
    other = experiment(scale="smoke", runs_dir=str(tmp_path), seed=1).run()
    assert other.outcome_sha256 != again.outcome_sha256


def test_a_finished_run_is_taken_and_not_trained_again(finished, monkeypatch, capsys):
    monkeypatch.setattr("wisesr_helpers.studies.run.train", lambda *a, **k: pytest.fail("it was trained again"))
    assert experiment(scale="smoke", runs_dir=str(finished[0])).run() == finished[1]
    assert "This run is already complete" in capsys.readouterr().out


def test_fewer_epochs_than_done_are_refused(finished):
    with pytest.raises(ValueError, match=r"holds 2 epochs of this run already; epochs=1 is fewer"):
        experiment(scale="smoke", epochs=1, runs_dir=str(finished[0])).run()


def test_the_trained_model_predicts_what_the_record_says(finished):
    folder, record = finished
    chosen = experiment(scale="smoke", runs_dir=str(folder))
    model = ws.load_classifier(chosen.folder)
    images = chosen.dataset.test.rgb(np.arange(6))
    correct = model.predict(images, verbose=0).argmax(axis=1) == chosen.dataset.test.labels
    assert correct.sum() == record.final["top1_correct"]


def test_a_named_backbone_is_used_at_smoke_scale(tmp_path):
    record = experiment(backbone="Xception", scale="smoke", epochs=1, runs_dir=str(tmp_path)).run()
    assert list(record.feature_map) == [16, 16, 2048]
    assert record.history[0]["loss"] > 0


def test_a_runs_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        OSError, match="can't be kept in .* is no folder that can be written. Give another with runs_dir"
    ):
        experiment(scale="smoke", runs_dir=str(tmp_path / "file" / "deeper"))


def test_the_command_makes_the_run_that_it_names():
    chosen = experiment(head="gap", backbone="small_conv", seed=3, epochs=4)
    words = chosen.command.split()
    assert words[:2] == ["papermill", "notebooks/mit_512.ipynb"]
    given = dict(zip(words[4::3], words[5::3], strict=True))
    assert given == {"head": "gap", "backbone": "small_conv", "scale": "smoke", "seed": "3", "epochs": "4"}


def test_a_record_is_plain_json(finished):
    path = finished[0] / "mit_512--smoke--small_patch--wise--s0" / "record.json"
    assert json.loads(path.read_text())["schema"] == runs.SCHEMA
    assert "NaN" not in path.read_text()


def test_the_announced_time_is_the_demos_own(capsys, monkeypatch):
    experiment(scale="demo", epochs=40).announce()
    assert "Time: about 7 min 0 s on two cores." in capsys.readouterr().out
    experiment(scale="demo", backbone="Xception").announce()
    assert "Time: estimated after the first steps." in capsys.readouterr().out
