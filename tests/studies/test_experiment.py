"""From what a user types to a RunSpec and the first lines of a run: choices said, mistakes refused."""

import os

import numpy as np
import pytest
from trees import build_tree

import wisesr_helpers as ws
from wisesr_helpers.studies import experiment as module
from wisesr_helpers.studies import report
from wisesr_helpers.training import runs


def experiment(study="mit_512", **typed):
    return ws.Experiment(study, **typed)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"head": "vise"}, r"Unknown head 'vise'\. Valid heads: .*wise"),
        ({"head": ""}, "Unknown head ''"),
        ({"backbone": "Xcepton"}, "Unknown backbone 'Xcepton'. Did you mean Xception"),
        ({"scale": "big"}, "Unknown scale 'big'. Valid scales: auto, paper, demo, smoke"),
        ({"seed": -1}, "seed must be a whole number, from 0 to 4294967295; received -1"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": 2**40}, "seed must be a whole number, from 0 to 4294967295"),
        ({"overwrite": "no"}, "overwrite must be True or False; received 'no'"),
        ({"epochs": -5}, "epochs must be a whole number, 0 or more; received -5"),
        ({"epochs": "3"}, "epochs must be a whole number, 0 or more; received '3'"),
        ({"runs_dir": 2024}, "runs_dir must be the path of a folder; received 2024. With .*: -r runs_dir 2024"),
        ({"options": "start"}, "options must be a mapping of names to values; received 'start'. With papermill: -y"),
        (
            {"options": {"strat": 1}},
            "Unknown option 'strat' for head 'wise'. Valid options: start, .*weights, convention, .*resample, strict",
        ),
        ({"options": {"weights": "imagnet"}}, "Option 'weights' must be one of imagenet, none; received 'imagnet'"),
        ({"options": {"convention": 3}}, "Option 'convention' must be one of keras3, keras_preprocessing_1_1"),
        ({"options": {"accumulate": 3}}, "Option 'accumulate' must be one of 1, 2, 4; received 3"),
        ({"options": {"accumulate": True}}, "Option 'accumulate' must be one of 1, 2, 4; received True"),
        (
            {"options": {"precision": "float16"}},
            "Option 'precision' must be one of float32, mixed_bfloat16, mixed_float16; received 'float16'",
        ),
        ({"options": {"jit_compile": 1}}, "Option 'jit_compile' must be one of False, True; received 1"),
        ({"options": {"strict": "yes"}}, "Option 'strict' must be one of False, True; received 'yes'"),
        ({"options": {"start": "zero"}}, "Option 'start' must be one of normal, average, even; received 'zero'"),
        ({"options": {"bias": 1}}, "Option 'bias' must be one of True, False; received 1"),
        ({"options": {"cover": "exact", "padding": "ones"}}, "Option 'cover' is about separate averaged blocks"),
        ({"options": {"reduction": "area", "strides": 1}}, "padding and strides belong to reduction='average'"),
        ({"options": {"pool_size": 0}}, "pool_size must be a whole number of cells"),
        ({"head": "gap", "options": {"pool_size": 2}}, "Unknown option 'pool_size' for head 'gap'"),
        (
            {"study": "deeper_networks", "dataset": "digits", "head": "", "options": {"start": "average"}},
            "Unknown option 'start' for head 'flatten_fc'",
        ),
        (
            {"study": "deeper_networks", "dataset": "digits", "options": {"convention": "keras3"}},
            "Option 'convention' is about the augmentation, and this recipe has none",
        ),
        ({"options": {"learning_rate": 0}}, "'learning_rate' must be a number from 1e-06 to 10; received 0"),
        ({"options": {"learning_rate": True}}, "'learning_rate' must be a number from 1e-06 to 10; received True"),
        ({"options": {"image_size": 224.0}}, "'image_size' must be a whole number from 192 to 1024; received 224.0"),
        ({"options": {"train": 1501}}, "'train' must be a whole number from 6 to 1500; received 1501"),
        ({"options": {"test_third": "second"}}, "'test_third' must be one of last, middle, first; received 'second'"),
        (
            {"study": "deeper_networks", "dataset": "digits", "head": "", "options": {"test_third": "first"}},
            "'test_third' must be one of last; received 'first'",
        ),
        # A wrong word is answered before the data is looked for.
        ({"scale": "paper", "head": "vise"}, "Unknown head"),
        ({"scale": "paper", "options": {"strat": 1}}, "Unknown option 'strat'"),
        ({"scale": "paper", "seed": -1}, "seed must be"),
        ({"scale": "paper", "backbone": "Xcepton"}, "Unknown backbone"),
        (
            {"study": "deeper_networks", "dataset": "digits", "scale": "paper"},
            "scikit-learn's digits are the demo's data and have no scale 'paper'. Datasets that have one: mnist, ",
        ),
    ],
)
def test_mistakes_are_refused_before_anything_is_loaded(typed, message, monkeypatch):
    monkeypatch.setattr(module, "scenes_dataset", lambda *a, **k: pytest.fail("data was loaded"))
    monkeypatch.setattr("wisesr_helpers.studies.run.build_classifier", lambda *a, **k: pytest.fail("a model was built"))
    with pytest.raises(ValueError, match=message):
        experiment(**typed)


def test_numbers_and_embedded_images_are_options_that_tell_runs_apart():
    own = experiment(scale="demo").spec
    options = {"learning_rate": 1, "rotation_range": 0, "train": 300, "image_size": 256, "test_third": "first"}
    spec = experiment(scale="demo", options=options).spec
    assert spec.parameters.options == options
    assert [type(spec.parameters.options[name]) for name in options] == [float, float, int, int, str]
    assert (spec.recipe.learning_rate, spec.recipe.augmentation.rotation_range) == (1, 0)
    assert (spec.plan.train, spec.plan.test) == (300, own.plan.test)
    assert spec.image_size == 256
    assert spec.plan.minutes == pytest.approx(own.plan.minutes * (300 + own.plan.test) / (1500 + own.plan.test) / 4)
    same = {"learning_rate": own.recipe.learning_rate, "train": own.plan.train, "image_size": 512, "test_third": "last"}
    assert experiment(scale="demo", options=same).spec.parameters.identity == own.parameters.identity
    smoke = experiment(scale="smoke", options={"train": 300})
    assert smoke.spec.plan.train == smoke.spec.study.smoke.train
    assert smoke.spec.parameters.options == {"train": 300}
    third = experiment(scale="smoke", options={"test_third": "first"}).dataset
    assert third.fingerprint != smoke.dataset.fingerprint


def test_photographs_have_no_options_of_embedded_images(monkeypatch):
    monkeypatch.setattr(module, "is_prepared", lambda *_: True)
    with pytest.raises(ValueError, match="Option 'train' is about the embedded images, which scale 'paper' has none"):
        experiment(scale="paper", options={"train": 300})


def test_paper_scale_never_falls_back():
    with pytest.raises(
        FileNotFoundError, match="MIT Indoor Scenes, recognised by .*, was not found in any of .*data fetch mit"
    ):
        experiment(scale="paper")


def test_a_runs_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    said = "can't be kept in .* is no folder that can be written. Give another with runs_dir"
    with pytest.raises(OSError, match=said):
        experiment(scale="smoke", runs_dir=str(tmp_path / "file" / "deeper"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match=said):
        experiment(scale="smoke", runs_dir=str(tmp_path))


def test_auto_is_the_demo_and_the_environment_stands_in_for_it(monkeypatch):
    def chosen(**typed):
        spec = experiment(**typed).spec
        return spec.parameters.scale, spec.reason

    monkeypatch.delenv("WISESR_SCALE")
    assert chosen()[0] == "demo"
    assert chosen(data_dir="/nowhere") == ("demo", f"{chosen()[1]}, and there is no folder '/nowhere'")
    monkeypatch.setenv("WISESR_SCALE", "smoke")
    assert chosen() == ("smoke", "WISESR_SCALE asks for it")
    assert chosen(scale="demo") == ("demo", "as asked")
    monkeypatch.setenv("WISESR_SCALE", "tiny")
    with pytest.raises(ValueError, match="Unknown WISESR_SCALE 'tiny'"):
        experiment()


def test_xla_stays_off_with_tensorflow_on_a_cpu(monkeypatch):
    monkeypatch.setattr(module.keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(module, "accelerators", lambda: [])
    with pytest.raises(ValueError, match="'jit_compile' can't be True with TensorFlow on a CPU"):
        experiment(options={"jit_compile": True})
    monkeypatch.setattr(module, "accelerators", lambda: ["gpu:0"])
    assert experiment(options={"jit_compile": True}).recipe.jit_compile is True


def test_options_reach_their_places_and_the_name():
    plain = experiment()
    for options in ({"start": "normal", "cover": "blocks", "bias": True}, {"weights": "none", "strict": False}, {}):
        assert experiment(options=options).parameters == plain.parameters  # defaults make no other run
    chosen = experiment(options={"start": "average", "accumulate": 2, "precision": "mixed_bfloat16", "strict": True})
    assert chosen.parameters.identity.startswith(f"{plain.parameters.identity}--")
    assert dict(chosen.spec.head_options) == {"start": "average"}
    assert (chosen.recipe.accumulate, chosen.recipe.micro_batch, chosen.recipe.precision) == (2, 2, "mixed_bfloat16")
    assert dict(chosen.spec.data_options) == {"strict": True}
    assert chosen.build().get_layer("mix2_conv").compute_dtype == "bfloat16"
    assert plain.build().get_layer("mix2_conv").compute_dtype == "float32"
    shared = experiment(options={"sharing": "radial", "pool_size": 2}).build().get_layer("pooling")
    assert shared.get_weights()[0].shape == (9, 96)  # a kernel of 8×8 has nine distances


def test_numbers_of_numpy_are_taken_as_pythons(tmp_path):
    whole, plain = (
        experiment(seed=kind(1), epochs=kind(2), options={"pool_size": kind(2)}, runs_dir=tmp_path).spec
        for kind in (np.int64, int)
    )
    assert whole == plain
    for number in (whole.parameters.options["pool_size"], whole.parameters.seed, whole.recipe.epochs):
        assert type(number) is int


def test_a_named_backbone_is_used_at_smoke_scale():
    model = experiment("mit_224", backbone="MobileNet", scale="smoke").build()
    assert model.get_layer("features").output.shape == (None, 7, 7, 1024)
    assert model.output_shape == (None, 8)


def test_the_command_makes_the_run_that_it_names(tmp_path):
    chosen = experiment(head="gap", backbone="small_conv", seed=3, epochs=4, runs_dir=tmp_path)
    words = chosen.command.split()
    assert words[:3] == ["papermill", "notebooks/mit_512.ipynb", f"{tmp_path}/{chosen.parameters.identity}.ipynb"]
    given = dict(zip(words[4::3], words[5::3], strict=True))
    expected = {"head": "gap", "backbone": "small_conv", "scale": "smoke", "seed": "3", "epochs": "4"}
    assert given == expected | {"runs_dir": str(tmp_path)}
    assert experiment(options={"bias": False}).command.endswith("""-y 'options: {"bias": false}'""")


# The first lines of a run: what was chosen, why, and what it does.


@pytest.fixture
def said(capsys):
    """What an experiment announces, as lines by their first word."""

    def announce(*words, **typed):
        ws.Experiment(*words, **typed).announce()
        return {line.partition(":")[0]: line for line in capsys.readouterr().out.splitlines()}

    return announce


def test_the_demo_says_what_it_is_and_how_to_start_the_papers_scale(said):
    lines = said("mit_512", scale="demo")
    assert lines["Scale"] == "Scale: demo (demo: not the paper's data); as asked."
    assert "Data: 1,500 + 300 embedded scenes" in lines["Data"]
    assert "no photographs" in lines["Data"]
    assert "rotation ±360°" in lines["Augmentation, anew in every epoch"]
    assert "brightness 0.9 to 1.1" in lines["Augmentation, anew in every epoch"]
    assert "keras_preprocessing_1_1" in lines["Augmentation, anew in every epoch"]
    assert "  papermill notebooks/mit_512.ipynb runs/out.ipynb -p head wise -p scale paper" in lines
    assert said("mit_512", scale="demo", epochs=40)["Time"] == "Time: about 5 min 5 s on two cores."
    assert said("mit_512", scale="demo", backbone="Xception")["Time"] == "Time: estimated after the first steps."


def test_options_of_the_training_are_said(said):
    line = said("mit_512", scale="smoke", options={"accumulate": 2, "precision": "mixed_bfloat16"})["Recipe"]
    assert "computed in mixed_bfloat16." in line
    assert "in 2 parts of 2" in line
    assert "batch norm sees 2 images at a time" in line


def test_the_papers_scale_says_the_papers_recipe(said, tmp_path):
    tree = build_tree("mit", tmp_path, per_class=(2, 2), classes=2, image_size=64)
    lines = said("mit_512", scale="paper", data_dir=str(tree.root))
    assert lines["Scale"] == "Scale: paper; as asked."
    assert "MIT Indoor Scenes, as images of 512×512 pixels" in lines["Data"]
    assert lines["Model"].startswith("Model: Xception + wise")
    assert (
        "130 epochs, batch 15, SGD with momentum 0.9, learning rate 0.045 × 0.94 every 2 epochs, initial weights of "
        "the backbone: imagenet."
    ) in lines["Recipe"]
    assert "channel shift ±50 grey levels, brightness 0 to 1.2" in lines["Augmentation, anew in every epoch"]


def test_a_recipe_without_augmentation_says_so(said, tmp_path):
    tree = build_tree("mnist", tmp_path, per_class=(2, 2))
    lines = said("deeper_networks", dataset="mnist", scale="paper", data_dir=str(tree.root), epochs=1)
    assert "1 epoch, batch 100, Adam, learning rate 0.0002" in lines["Recipe"]
    assert lines["Recipe"].endswith("no augmentation.")


def test_the_data_stands_beside_table_2_and_its_defects_are_named(capsys, tmp_path):
    tree = build_tree("mit", tmp_path, per_class=(3, 2), classes=2, image_size=64, defects=0.01)
    experiment("mit_224", scale="paper", data_dir=str(tree.root)).describe_data()
    said = capsys.readouterr().out
    assert f"{tree.train} training and {tree.test} test images in 2 classes" in said
    assert "Table 2 has 5,360 and 1,340 in 67 classes." in said
    assert "Note: 1 empty file ('airport_inside/empty0.jpg')." in said


def test_the_papers_command_is_that_of_the_notebook_that_asks(capsys, said):
    ws.Rows("intel_224", {"wise": {"head": "wise"}}, scale="smoke").announce("what_did_not_work")
    out = capsys.readouterr().out
    assert "papermill notebooks/what_did_not_work.ipynb runs/out.ipynb -p study intel_224 -p scale paper\n" in out
    assert "intel_224.ipynb" not in out
    lines = said("deeper_networks", head="gap", scale="demo", dataset="cifar10")
    command = "papermill notebooks/deeper_networks.ipynb runs/out.ipynb -p dataset cifar10 -p head gap -p scale paper"
    assert f"  {command}" in lines


# Rows: several runs of one study, checked before the first is trained.

ROWS = {
    "average": {"head": "gap"},
    "learned": {"head": "wise"},
    "no bias": {"head": "wise", "options": {"bias": False}},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The table of three runs at smoke scale, and the folder that keeps them."""
    folder = tmp_path_factory.mktemp("runs")
    return ws.Rows("mit_224", ROWS, runs_dir=str(folder), scale="smoke").run(), folder


def test_every_row_is_the_run_that_its_words_make(trained):
    table, folder = trained
    assert list(table["row"]) == list(ROWS)
    for title, row in zip(ROWS, table.itertuples(), strict=True):
        alone = ws.Experiment("mit_224", **ROWS[title], runs_dir=str(folder), scale="smoke")
        assert row.identity == alone.parameters.identity
        assert row.run.outcome_sha256 == alone.run().outcome_sha256
    assert len(set(table["identity"])) == 3
    assert table["params"].iloc[1] - table["params"].iloc[2] == 96  # one bias a channel


def test_the_table_is_that_of_load_runs(trained):
    table, folder = trained
    loaded = ws.load_runs(folder).set_index("identity").loc[table["identity"]].reset_index()
    assert loaded[table.columns[1:]].equals(table.drop(columns="row"))
    assert list(report.results_table(table)["row"]) == list(ROWS)


def test_a_kept_run_comes_to_the_same_spec_without_a_look_at_folders_or_data(trained, monkeypatch):
    table, folder = trained
    specs = [each.spec for each in ws.Rows("mit_224", ROWS, runs_dir=str(folder), scale="smoke").experiments.values()]
    for name in ("find", "is_prepared", "_check_folder"):
        monkeypatch.setattr(module, name, lambda *a, **k: pytest.fail("it was looked for"))
    monkeypatch.setattr(runs, "default_runs_dir", lambda: pytest.fail("a folder was asked for"))
    for run, spec in zip(table["run"], specs, strict=True):
        again = module.spec_of(run)
        for name in "study head parameters plan recipe head_options data_options".split():
            assert getattr(again, name) == getattr(spec, name)
        assert module.is_current(run)


def test_one_row_alone(tmp_path):
    rows = ws.Rows("mit_224", ROWS, only="no bias", runs_dir=str(tmp_path), scale="smoke")
    assert list(rows.experiments) == ["no bias"]
    with pytest.raises(ValueError, match="There is no row 'bias'. Valid rows: 'average', 'learned', 'no bias'; empty"):
        ws.Rows("mit_224", ROWS, only="bias")


def test_a_mistake_in_the_last_row_is_found_before_the_first_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train_run", lambda *_: pytest.fail("a row was trained"))
    with pytest.raises(ValueError, match="Unknown option 'bais' for head 'wise'"):
        ws.Rows("mit_224", {**ROWS, "last": {"options": {"bais": False}}}, runs_dir=str(tmp_path)).run()


def test_the_announcement_counts_rows_and_time(capsys, tmp_path):
    rows = ws.Rows("mit_224", ROWS, scale="demo", runs_dir=str(tmp_path))
    rows.announce()
    said = capsys.readouterr().out
    assert "The same for 3 rows: 'average', 'learned', 'no bias'." in said
    assert f"All of them: about {3 * ws.STUDIES['mit_224'].demo.minutes:.0f} min" in said
