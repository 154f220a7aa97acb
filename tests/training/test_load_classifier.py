"""The classifier of a run's folder: which epoch's, its class names, and what is said of a damaged file."""

import zipfile

import numpy as np
import pytest
from records import keep

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.training.runs import save_classifier

CLASSES_OF_RECORDS = tuple("abcdef")  # as tests/records.py writes them


def classifier(classes=6, seed=0):
    keras.utils.set_random_seed(seed)
    return ws.build_classifier("small_patch", "wise", classes, 64)


def keep_run(folder, **choices):
    """A run's folder with a record and the classifiers of ``choices``: name of the file → model."""
    models = {name: choices.pop(name) for name in ("model", "best") if name in choices}
    folder = folder / keep(folder, **choices).identity
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    return folder


def same_weights(model, other):
    return all(np.array_equal(one, two) for one, two in zip(model.get_weights(), other.get_weights(), strict=True))


def test_load_classifier_takes_the_epoch_that_is_asked_for(tmp_path):
    last, best = classifier(seed=1), classifier(seed=2)
    folder = keep_run(tmp_path, correct=(270, 60), model=last, best=best)
    assert not same_weights(last, best)
    assert same_weights(ws.load_classifier(folder), last)
    assert same_weights(ws.load_classifier(str(folder), epoch="final"), last)
    assert same_weights(ws.load_classifier(folder, epoch="best"), best)


def test_the_last_epoch_may_be_the_best(tmp_path):
    last = classifier(seed=1)
    folder = keep_run(tmp_path, correct=(60, 270), model=last)
    assert same_weights(ws.load_classifier(folder, epoch="best"), last)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"correct": (270, 60)}, r"\(best\.keras; the best epoch is 1, the last 2\)\. Take epoch='final', or"),
        ({"correct": ()}, r"\(best\.keras; no record that can be read says which it was\)"),
        (None, r"\(best\.keras; no record that can be read says which it was\)"),
    ],
)
def test_the_last_epoch_is_not_taken_for_the_best(tmp_path, record, said):
    folder = tmp_path if record is None else keep_run(tmp_path, **record)
    classifier().save(folder / "model.keras")
    ws.load_classifier(folder)
    with pytest.raises(FileNotFoundError, match=f"does not hold the classifier of the best epoch {said}"):
        ws.load_classifier(folder, epoch="best")


@pytest.mark.parametrize("epoch", ["last", 3, None])
def test_load_classifier_refuses_other_epochs(tmp_path, epoch):
    with pytest.raises(ValueError, match=r"epoch must be 'final' \(the last one\) or 'best'; received"):
        ws.load_classifier(tmp_path, epoch=epoch)


@pytest.mark.parametrize("epoch", ["final", "best"])
def test_load_classifier_says_what_is_missing(tmp_path, epoch):
    with pytest.raises(FileNotFoundError, match=r"holds no trained classifier \(model\.keras\). Train the run first"):
        ws.load_classifier(tmp_path, epoch)
    with pytest.raises(FileNotFoundError, match="no folder or file '.*typo'. Give a run's folder, such as 'runs/"):
        ws.load_classifier(tmp_path / "typo", epoch)
    (tmp_path / "record.json").write_bytes(b"")
    with pytest.raises(ValueError, match="takes a run's folder or a .keras file; '.*record.json' is another file"):
        ws.load_classifier(tmp_path / "record.json", epoch)


@pytest.mark.parametrize("damage", ["empty", "half", "no zip", "a byte of the weights", "another archive"])
def test_a_damaged_classifier_is_said_in_one_sentence(tmp_path, damage):
    path = tmp_path / "model.keras"
    classifier().save(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle] ^= 255
    whole = path.read_bytes()
    other = b"PK\x05\x06" + bytes(18)  # a zip archive of nothing
    damaged = {"empty": b"", "half": whole[:middle], "no zip": b"<html>" * 99, "another archive": other}
    path.write_bytes(damaged.get(damage, bytes(data)))
    with pytest.raises(
        ValueError, match=r"model\.keras' can't be loaded: it is damaged, or was saved by a newer"
    ) as said:
        ws.load_classifier(tmp_path)
    assert "\n" not in str(said.value)
    assert str(said.value).endswith("Train the run again with overwrite=True.")
    with pytest.raises(ValueError, match=r"model\.keras' can't be loaded: it is damaged, .* Keep it again\.$"):
        ws.load_classifier(path)


def test_a_loaded_classifier_knows_its_classes_and_can_be_saved(tmp_path):
    model = ws.load_classifier(keep_run(tmp_path, model=classifier()))
    assert model.class_names == CLASSES_OF_RECORDS
    assert isinstance(model.class_names, tuple)
    model.save(tmp_path / "again.keras")
    assert same_weights(keras.models.load_model(tmp_path / "again.keras"), model)


def test_a_layer_that_nobody_knows_is_said_in_one_sentence(tmp_path):
    path = tmp_path / "model.keras"
    classifier().save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["config.json"] = contents["config.json"].replace(b"GlobalDepthwisePooling2D", b"Unheard")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="is damaged, or was saved by a newer version .*Train the run again") as said:
        ws.load_classifier(tmp_path)
    assert len(str(said.value)) < 500  # Keras' own message holds the whole configuration
    assert "\n" not in str(said.value)


def test_class_names_that_are_not_the_models_own_are_not_taken(tmp_path):
    folder = keep_run(tmp_path, model=classifier(classes=5))
    assert not hasattr(ws.load_classifier(folder), "class_names")
    folder = keep_run(tmp_path, seed=1, model=classifier())
    (folder / "record.json").write_text("{")
    assert not hasattr(ws.load_classifier(folder), "class_names")


def test_class_names_travel_with_a_file(tmp_path):
    """Out of its folder, and Keras loads it as any other."""
    model = classifier()
    model.class_names = ("käse", "b", *CLASSES_OF_RECORDS[2:])
    save_classifier(model, tmp_path / "kept.keras")
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "kept.keras").rename(tmp_path / "elsewhere/moved.keras")
    loaded = ws.load_classifier(str(moved))
    assert loaded.class_names == model.class_names
    assert same_weights(loaded, model)
    assert same_weights(keras.models.load_model(moved), model)
    answers = ws.predict(loaded, np.zeros((1, *model.input_shape[1:]), np.uint8))
    assert answers["class"][0] in model.class_names
    run = keep_run(tmp_path / "run", model=classifier())
    assert ws.load_classifier(run / "model.keras").class_names == CLASSES_OF_RECORDS
    model.save(tmp_path / "plain.keras")
    assert not hasattr(ws.load_classifier(tmp_path / "plain.keras"), "class_names")
