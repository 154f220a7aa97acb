"""The rehearsal: it has every row, passes what is as printed, and reports what is not."""

import collections
import dataclasses
import json

import numpy as np
import pytest
import rehearsal
from rehearsal import Seen, rehearse, through
from rehearsal_expected import KerasBackbones, rows
from trees import build_tree

import wisesr_helpers as ws
from wisesr_helpers._keras import keras


def the_row(group, label):
    (row,) = (row for row in rows() if (row.group, row.label) == (group, label))
    return row


def test_all_63_rows_are_there():
    counted = collections.Counter(row.table for row in rows())
    assert counted == {"Table 5": 21, "Table 6": 9, "Table 7": 15, "Table 9": 9, "the report's Table 1": 9}
    assert {row.side for row in rows() if row.table == "Table 9"} == {512}
    assert {row.side for row in rows() if row.backbone == "InceptionV3"} == {299}
    assert sum(through(row) is None for row in rows()) == 1


STUDIES = [study for study in ws.STUDIES.values() if not study.datasets]
REPORTS = [(name, study) for name, study in ws.STUDIES["deeper_networks"].datasets.items() if study.source]


@pytest.mark.parametrize(("group", "study"), [*((study.name, study) for study in STUDIES), *REPORTS])
def test_they_are_the_rows_of_the_studies(group, study):
    assert tuple((row.backbone, row.head) for row in rows() if row.group == group) == study.rows


class Small(KerasBackbones):
    """Takes small_conv for what Keras builds."""

    def get(self, name, side):
        model = ws.build_backbone("small_conv", side)
        arrays = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
        return arrays, tuple(model.output.shape[1:]), None


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return build_tree("sub_imagenet", tmp_path_factory.mktemp("tree"), per_class=(19, 1), classes=4, defects=0.01)


@pytest.fixture
def problems(tree, tmp_path, monkeypatch):
    """Function (changes to the recipe, typed otherwise) → names of what a rehearsal on small_conv finds wrong."""

    def found(recipe=None, typed=None):
        study = ws.STUDIES["sub_imagenet_224"]
        wrong = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, **recipe or {}))
        monkeypatch.setitem(ws.STUDIES, study.name, wrong)
        row = the_row(study.name, "ResNet50+Avg+Depthwise Conv+Constraints+DP")
        result = rehearse(row, tree, Small(tmp_path), {"backbone": "small_conv", **(typed or {})})
        assert result["problems"] or "as printed in Table 5, 'ResNet50+Avg" in rehearsal.line(result, 1, 1)
        assert not result["problems"] or "NOT as printed" in rehearsal.line(result, 1, 1)
        return {problem.partition(":")[0] for problem in result["problems"]}

    return found


def test_what_is_as_printed_passes(problems):
    assert problems() == set()


@pytest.mark.parametrize(
    ("recipe", "wrong"),
    [
        ({"decay_rate": 0.9}, {"learning rates"}),
        ({"batch_size": 35}, {"batches", "steps", "learning rates", "record"}),
        ({"momentum": 0.8, "augmentation": None, "epochs": 100}, {"optimiser", "augmentation", "epochs"}),
    ],
)
def test_a_wrong_reading_of_the_recipe_is_reported(recipe, wrong, problems):
    assert problems(recipe) == wrong


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"head": "wise"}, {"head"}),
        ({"options": {"start": "uniform"}}, {"head"}),
        ({"options": {"accumulate": 2}}, {"optimiser", "batches", "learning rates"}),
        ({"head": "vise"}, {"ValueError"}),
    ],
)
def test_another_command_is_reported(typed, wrong, problems):
    assert problems(typed=typed) == wrong


def test_weights_that_are_asked_for_but_not_loaded_are_reported(tmp_path):
    row, backbones = the_row("mit_512", "ResNet50V2+GAP"), Small(tmp_path)
    arrays = [np.ones((2, 2)), np.zeros(3)]
    backbones.get = lambda *_: (arrays, None, None)
    name = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert rehearsal._weights(row, Seen(), backbones) == "random"
    assert rehearsal._weights(row, Seen(requests=[name], start=arrays), backbones) == "ImageNet"
    assert "not loaded" in rehearsal._weights(row, Seen(requests=[name], start=[arrays[0], np.ones(3)]), backbones)
    assert "another network's" in rehearsal._weights(
        row, Seen(requests=[name.replace("v2", "")], start=arrays), backbones
    )


class Here:
    """A process that is this one."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *given):
        self.result = lambda: function(*given)
        return self


@pytest.mark.parametrize("bad", [[], ["optimiser: printed is this, executed was that"]])
def test_the_last_line_the_status_and_the_file(bad, tmp_path, monkeypatch, capsys):
    def rehearsed(row, tree, backbones):
        wrong = bad if row.label == "ResNet50V2+GAP" else []
        said = {"table": row.table, "label": row.label, "command": "c", "cuts": [], "problems": wrong}
        return {**said, "seconds": 1.0, "cpu_seconds": 2.0}

    monkeypatch.setattr(rehearsal, "_process", Here)
    monkeypatch.setattr(rehearsal, "imitation", lambda *_: None)
    monkeypatch.setattr(rehearsal, "rehearse", rehearsed)
    assert rehearsal.main(["--only", "mit_512", "--out", str(tmp_path / "out.json")]) == bool(bad)
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(f"{9 - len(bad)} of 9 rows executed what is printed")
    assert sum("NOT as printed" in line for line in said) == len(bad)
    kept = json.loads((tmp_path / "out.json").read_text())
    assert (len(kept["rows"]), kept["good"]) == (9, 9 - len(bad))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "label"),
    [
        ("sub_imagenet_224", "DenseNet121+GWAP"),
        ("intel_224", "DenseNet169+Depthwise Conv+Constraints"),
        ("mit_224", "Xception+Avg+Depthwise Conv+Constraints+DP"),
        ("mit_512", "ResNet50V2+Avg+Dense"),
        ("mnist", "MNIST / Vgg16"),
        ("cifar10", "CIFAR / InceptionV3"),
    ],
)
def test_a_row_with_its_own_backbone(group, label, tmp_path):
    result = rehearse(the_row(group, label), rehearsal.imitation(group, tmp_path / "data"), KerasBackbones(tmp_path))
    assert result["problems"] == []
    assert result["command"].startswith("papermill notebooks/")
    assert any("1 epoch of" in cut for cut in result["cuts"])
    assert any("in place of resnet50v2_weights" in cut for cut in result["cuts"]) == (group == "mit_512")
