"""The notebook of one's own images: what a classifier says of them, and where it is kept."""

import numpy as np
import pytest
from PIL import Image

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.studies import own_images
from wisesr_helpers.studies.compare import Comparison


@pytest.fixture
def photos(tmp_path):
    """A folder with 30, 10 and 4 pictures in three classes."""
    rng = np.random.default_rng(0)
    for name, count in {"cat": 30, "dog": 10, "owl": 4}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(count):
            picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
            picture.save(tmp_path / "photos" / name / f"{k}.png")
    return tmp_path / "photos"


def test_predictions_name_files_and_true_classes(photos):
    dataset = ws.image_folder(photos, 64)
    keras.utils.set_random_seed(0)
    model = ws.build_classifier("small_patch", "gap", 3, 64)
    model.class_names = dataset.classes
    table = own_images.predictions(model, dataset)
    assert list(table.columns[:4]) == ["file", "true class", "right", "class"]
    assert list(table.columns[4:]) == [
        "probability",
        *("second class", "second probability", "third class", "third probability"),
    ]
    assert list(table["true class"][:4]) == ["cat", "dog", "owl", "cat"]
    assert list(table["true class"]) == [file.partition("/")[0] for file in table["file"]]
    right = table["class"] == table["true class"]
    assert {*right} == {True, False}  # an untrained model gives all images one class
    assert list(table["right"] == "yes") == list(right)
    alone = ws.predict(model, [photos / file for file in table["file"]])
    np.testing.assert_allclose(table["probability"], alone["probability"], rtol=1e-5)
    assert "problem" not in table
    new = own_images.predictions(model, dataset, photos / "..")
    assert not {"true class", "right", "problem"} & {*new}
    assert "photos/cat/0.png" in set(new["file"])
    (one,) = own_images.predictions(model, dataset, photos / "cat/0.png")["file"]
    assert one == "0.png"
    (photos / "cat/0.png").write_bytes(b"")
    assert list(own_images.predictions(model, dataset, photos / "cat/0.png")["problem"]) == ["empty file"]


def test_a_kept_classifier_is_used_as_the_terminal_says(photos, tmp_path, capsys, monkeypatch):
    model = ws.build_classifier("small_patch", "gap", 3, 64)
    model.class_names = ("cat", "dog", "owl")
    correct = {"gap": np.array([[True] * 9 + [False]] * 2), "wise": np.zeros((2, 10), bool)}
    labels = np.arange(10) % 3
    comparison = Comparison("small_patch", correct, {"gap": 1, "wise": 2}, {"gap": model}, labels, model.class_names)
    own_images.keep_classifier(comparison, None)
    assert capsys.readouterr().out.startswith("gap on small_patch, of seed 0 (9 of 10 test images right), is not kept.")
    path = own_images.check_model_path(str(tmp_path / "it's best.keras"))
    own_images.keep_classifier(comparison, path)
    first, *lines = capsys.readouterr().out.splitlines()
    assert "it's best.keras', with the names of its classes" in first
    monkeypatch.chdir(photos)
    exec("\n".join(line.strip() for line in lines).replace("folder of photographs", "dog"))
    columns, *rows = capsys.readouterr().out.splitlines()
    assert columns.split()[:3] == ["file", "class", "probability"]
    own_images.keep_classifier(comparison, path)
    assert "it's best.keras', in place of the file that was there, with the names" in capsys.readouterr().out
    assert len(rows) == 10
    assert {row.split()[2] for row in rows} <= {"cat", "dog", "owl"}


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("best", ValueError, "ends with .keras, such as 'best.keras'; received 'best'"),
        ("best.h5", ValueError, "ends with .keras"),
        ("folder.keras", ValueError, "ends with .keras"),
        ("new/best.keras", OSError, "there is no folder 'new'"),
    ],
)
def test_where_a_classifier_can_not_be_kept_is_said_before_it_is_trained(path, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(kind, match=said):
        own_images.check_model_path(path)
    assert own_images.check_model_path("") is None
    assert own_images.check_model_path("best.keras").name == "best.keras"
