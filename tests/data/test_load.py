"""From a tree that imitates a dataset to what is trained on: labels true, reports true."""

import re

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from trees import MOST, build_tree

import wisesr_helpers as ws
from wisesr_helpers.data import load, prepare
from wisesr_helpers.data.load import is_prepared, load_dataset
from wisesr_helpers.data.sources import SOURCES, missing

NAMES = tuple(MOST)


def reported(dataset):
    """Reason → number of names, of all that is left out or noticed."""
    return {reason: len(names) for reason, names in (dataset.left_out | dataset.noticed).items()}


@pytest.fixture(scope="module", params=NAMES)
def loaded(request, tmp_path_factory):
    """(tree with defects, dataset) of each of the six."""
    tree = build_tree(request.param, tmp_path_factory.mktemp(request.param), per_class=(20, 10), defects=0.01)
    return tree, load_dataset(request.param, 64, tree.root)


def features(split):
    return split.rgb(np.arange(len(split)))[:, ::8, ::8].reshape(len(split), -1) / 255


def learned(train, labels, test):
    model = LogisticRegression(max_iter=300).fit(features(train), labels)
    return (model.predict(features(test)) == test.labels).mean()


def test_the_labels_can_be_learned_and_shuffled_ones_can_not(loaded):
    _, dataset = loaded
    assert learned(dataset.train, dataset.train.labels, dataset.test) > 0.85
    shuffled = np.random.default_rng(0).permutation(dataset.train.labels)
    assert learned(dataset.train, shuffled, dataset.test) < 0.6


def test_the_report_is_true(loaded):
    tree, dataset = loaded
    assert (len(dataset.train), len(dataset.test)) == (tree.train, tree.test)
    assert dataset.classes[: len(tree.classes)] == tuple(tree.classes)
    counted = reported(dataset)
    kinds = {"truncated JPEG": "truncated or damaged", "empty file": "empty file", "HTML page": "not an image"}
    for kind, names in tree.defects.items():
        assert counted.pop(kinds.get(kind, kind)) == len(names), kind
    copies = {"in train and test": load.SAME_BYTES, "conflicting labels": load.TWO_LABELS}
    for kind, pairs in tree.duplicates.items():
        names = {name for pair in pairs for name in pair} if kind == "conflicting labels" else pairs
        assert counted.pop(copies[kind]) == len(names), kind
    assert counted == {}
    assert len(dataset.describe()) == 1 + len(reported(dataset))


def test_the_summary_of_a_record_counts_and_shows_the_first(loaded):
    _, dataset = loaded
    summary = dataset.summary()
    for reason, names in dataset.left_out.items():
        assert summary["left_out"][reason] == {"count": len(names), "first": list(names[:3])}
    assert summary["photographs"] is True


def test_strict_refuses_with_the_report(loaded):
    tree, dataset = loaded
    name = next(name for name, source in ws.data.sources.SOURCES.items() if source.title == dataset.name)
    with pytest.raises(ValueError, match="is not as it should be: .*unknown label"):
        load_dataset(name, 64, tree.root, strict=True)


def test_strict_takes_what_is_whole_and_two_loads_have_one_fingerprint(tmp_path):
    tree = build_tree("mit", tmp_path / "a", per_class=(4, 2), classes=3, image_size=80)
    first = load_dataset("mit", 64, tree.root, strict=True)
    assert first.report() == []
    assert load_dataset("mit", 64, tree.root).fingerprint == first.fingerprint
    other = build_tree("mit", tmp_path / "b", per_class=(4, 2), classes=3, seed=1, image_size=80)
    assert load_dataset("mit", 64, other.root).fingerprint != first.fingerprint


def test_prepared_images_are_enough(tmp_path, capsys):
    tree = build_tree("intel", tmp_path / "data" / "intel", per_class=(4, 2))
    dataset = load_dataset("intel", 64, tmp_path / "data")
    assert is_prepared(SOURCES["intel"], 64, tmp_path / "data")
    assert not is_prepared(SOURCES["intel"], 96, tmp_path / "data")
    tree.root.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    kept = load_dataset("intel", 64, tmp_path / "data")
    assert "the files are gone; taken as they were prepared" in capsys.readouterr().out
    assert kept.fingerprint == dataset.fingerprint
    assert kept.report() == dataset.report()


def test_damaged_pixels_without_their_files_are_refused(tmp_path):
    tree = build_tree("intel", tmp_path / "data" / "intel", per_class=(4, 2))
    load_dataset("intel", 64, tmp_path / "data")
    tree.root.rename(tmp_path / "elsewhere")
    (path,) = (tmp_path / "data").glob("prepared/*/train.images")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(
        ValueError, match="are damaged, and their files are gone. Intel Image Classification, .*, was not"
    ):
        load_dataset("intel", 64, tmp_path / "data")


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_that_is_not_there_is_one_sentence_with_the_ways_to_go_on(name, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(FileNotFoundError) as told:
        load_dataset(name, 64, tmp_path / "nowhere")
    assert str(told.value) == missing(SOURCES[name], tmp_path / "nowhere")
    assert "\n" not in str(told.value)


def test_a_folder_that_can_not_be_written_gives_way_to_the_cache(tmp_path, monkeypatch):
    tree = build_tree("mit", tmp_path / "mounted", per_class=(4, 2), image_size=80)
    monkeypatch.setattr(load.os, "access", lambda path, mode: "mounted" not in str(path))
    load_dataset("mit", 64, tree.root)
    assert not (tree.root / "prepared").exists()
    assert (tmp_path / "cache" / "prepared" / "mit--64x64--nearest" / "prepared.json").exists()


def test_a_split_without_a_single_image_is_refused(tmp_path):
    tree = build_tree("mit", tmp_path, per_class=(3, 2), classes=2, image_size=80)
    for path in tree.test_labels:
        (tree.images / path).write_bytes(b"")
    with pytest.raises(ValueError, match="no test image that can be decoded: 4 empty file"):
        load_dataset("mit", 64, tree.root)


def test_another_size_and_another_method_are_other_folders(tmp_path):
    tree = build_tree("mit", tmp_path, per_class=(2, 2), classes=2, image_size=80)
    load_dataset("mit", 64, tree.root)
    load_dataset("mit", (64, 80), tree.root, resample="bilinear")
    names = sorted(path.name for path in (tree.root / "prepared").iterdir())
    assert names == ["mit--64x64--nearest", "mit--64x80--bilinear"]


SIZES = (0, -64, 64.0, np.float32(64), "64", True, None, (64,), (64, 80, 3), (64, 0), (64, 80.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"image_size": size}, f"must be a side in pixels .*received {re.escape(repr(size))}[.]$") for size in SIZES),
        ({"image_size": 64, "resample": "cubic"}, "Unknown resample 'cubic'. Valid: nearest, bilinear, bicubic"),
    ],
)
def test_what_is_no_size_or_method_is_named_before_anything_is_read(tmp_path, options, message):
    for read, what in ((load_dataset, "mit"), (load_dataset, "mnist"), (ws.image_folder, ""), (ws.check_folder, "")):
        with pytest.raises(ValueError, match=message):
            read(what or tmp_path / "absent", **options)


def test_arrays_can_not_be_made_smaller(tmp_path):
    tree = build_tree("cifar10", tmp_path, per_class=(3, 2))
    with pytest.raises(ValueError, match="CIFAR-10 has images of 32×32 pixels; ask for no smaller image size"):
        load_dataset("cifar10", 16, tree.root)


def test_the_decoders_version_is_part_of_the_plan(tmp_path, monkeypatch):
    tree = build_tree("mit", tmp_path, per_class=(2, 2), classes=2, image_size=80)
    listing = load.read_listing(SOURCES["mit"], tree.root)
    before = prepare._plan(listing, "train", (64, 64), "nearest")
    assert prepare._plan(listing, "train", (64, 64), "nearest") == before
    assert prepare._plan(listing, "train", (64, 80), "nearest") != before
    monkeypatch.setitem(prepare.VERSIONS, "decode", prepare.VERSIONS["decode"] + 1)
    assert prepare._plan(listing, "train", (64, 64), "nearest") != before
