"""The first lines of a run: what was chosen, why, and what it does."""

import pytest
from trees import build_tree

import wisesr_helpers as ws


@pytest.fixture
def said(capsys):
    """What an experiment announces, as lines by their first word."""

    def announce(*words, **typed):
        ws.Experiment(*words, **typed).announce()
        lines = capsys.readouterr().out.splitlines()
        return {line.partition(":")[0]: line for line in lines}

    return announce


def test_the_demo_says_what_it_is_and_what_it_changes(said):
    lines = said("mit_512", scale="demo")
    assert lines["Scale"] == "Scale: demo (demo: not the paper's data); as asked."
    assert "no photographs" in lines["Data"]
    assert "rotation ±360°" in lines["Augmentation, anew in every epoch"]
    assert "brightness 0.9 to 1.1" in lines["Augmentation, anew in every epoch"]
    assert "keras_preprocessing_1_1" in lines["Augmentation, anew in every epoch"]


def test_the_papers_scale_says_the_papers_recipe(said, tmp_path):
    tree = build_tree("mit", tmp_path, per_class=(2, 2), classes=2)
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
    tree = build_tree("mit", tmp_path, per_class=(3, 2), classes=2, defects=0.01)
    experiment = ws.Experiment("mit_224", scale="paper", data_dir=str(tree.root))
    experiment.describe_data()
    said = capsys.readouterr().out
    assert f"{tree.train} training and {tree.test} test images in 2 classes" in said
    assert "Table 2 has 5,360 and 1,340 in 67 classes." in said
    assert "Note: 1 empty file ('airport_inside/empty0.jpg')." in said


def test_the_papers_command_is_that_of_the_notebook_that_asks(capsys):
    ws.Rows("intel_224", {"wise": {"head": "wise"}}, scale="smoke").announce("what_did_not_work")
    said = capsys.readouterr().out
    assert "papermill notebooks/what_did_not_work.ipynb runs/out.ipynb -p study intel_224 -p scale paper\n" in said
    assert "intel_224.ipynb" not in said


def test_the_papers_command_names_the_dataset_where_it_varies(capsys):
    ws.Experiment("deeper_networks", head="gap", scale="demo", dataset="cifar10").announce()
    said = capsys.readouterr().out
    assert (
        "papermill notebooks/deeper_networks.ipynb runs/out.ipynb -p dataset cifar10 -p head gap -p scale paper" in said
    )
