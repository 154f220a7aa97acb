"""The live explorer, driven without a browser: every control changes what is shown, and the numbers are those built."""

import html
import importlib
import re
import sys

import ipywidgets
import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.embedded import scenes_dataset
from wisesr_helpers.studies import explore

SIZE, CLASSES = 224, 4


def control(box, description):
    """The control that a user finds under this description."""
    (found,) = [child for child in box.children if getattr(child, "description", None) == description]
    return found


def shown(box):
    """(status, PNG or None if it is hidden, words): what stands below the controls."""
    status, picture, words = box.children[-3:]
    assert picture.format == "png"
    png = None if picture.layout.display == "none" else bytes(picture.value)
    assert png is None or png.startswith(b"\x89PNG")
    return html.unescape(status.value), png, html.unescape(words.value)


@pytest.fixture(scope="module")
def dataset():
    return scenes_dataset(SIZE, CLASSES, train=4, test=6)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return ws.build_classifier("small_conv", "wise", CLASSES, SIZE)


# The explorer


def test_changing_a_control_changes_picture_and_words():
    box = explore.explorer("wise", "small_patch", 224, 5)
    seen = [shown(box)]
    for description, value in (("head", "gap"), ("backbone", "small_conv"), ("image size", 320), ("classes", 9)):
        control(box, description).value = value
        seen.append(shown(box))
    assert len({png for _, png, _ in seen}) == len(seen)
    assert len({words for _, _, words in seen}) == len(seen)
    assert {status for status, _, _ in seen} == {""}
    built = ws.build_classifier("small_conv", "gap", 9, 320)
    assert f"{ws.count_params(built):,}" in seen[-1][2]
    assert f"{ws.count_flops(built):,}" in seen[-1][2]
    assert "Nothing is published in the paper for this combination." in seen[-1][2]


def test_a_published_combination_shows_its_accuracy(monkeypatch):
    monkeypatch.setattr(explore, "_backbone_costs", lambda *args: ((16, 16, 8), 1, 1))
    words = shown(explore.explorer("wise", "Xception", 512, 67))[2]
    printed = ws.published().query("where == 'Table 9' and backbone == 'Xception' and head == 'wise'")
    assert all(value in words for value in printed["value"])
    assert "Nothing is published" not in words


def test_a_backbone_is_counted_once_and_that_is_said():
    box = explore.explorer("wise", "small_patch", 224, 5)
    said, status = [], box.children[-3]
    status.observe(lambda change: said.append(change["new"]), "value")
    before = explore._backbone_costs.cache_info().misses
    control(box, "head").value = "avg_fc"
    control(box, "classes").value = 6
    assert explore._backbone_costs.cache_info().misses == before
    assert said == ["<p>counting …</p>", ""] * 2
    control(box, "image size").value = 288
    assert explore._backbone_costs.cache_info().misses == before + 1


def test_any_keras_application_can_be_typed(monkeypatch):
    asked = []
    monkeypatch.setattr(explore, "_backbone_costs", lambda *args: asked.append(args) or ((7, 7, 8), 1, 1))
    box = explore.explorer("wise", "small_patch", 224, 5)
    other = control(box, "other backbone")
    assert other.disabled
    control(box, "backbone").value = explore.OTHER
    assert not other.disabled
    assert "Type a model of keras.applications" in shown(box)[0]
    other.value = "MobileNet"
    assert asked[-1] == ("MobileNet", 224)
    assert shown(box)[1] is not None
    control(box, "backbone").value = "small_conv"
    assert other.disabled
    assert asked[-1] == ("small_conv", 224)
    assert control(explore.explorer("gap", "VGG19", 224, 5), "other backbone").value == "VGG19"


MISTAKES = [
    ("image size", 32, "A feature map of 1×1 cells takes a pool_size from 1 to 1"),
    ("image size", 20, "small_patch can't be built for images of 20×20 pixels; use larger ones."),
    ("image size", 4096, "The explorer takes an image_size from 1 to 2,048, a side in whole pixels; received 4096."),
    ("image size", 0, "The explorer takes an image_size from 1 to 2,048, a side in whole pixels; received 0."),
    ("classes", 1, "classes must be a whole number of at least 2; received 1."),
]


@pytest.mark.parametrize(("description", "value", "sentence"), MISTAKES)
def test_what_can_not_be_is_a_sentence_and_goes_away(description, value, sentence):
    box = explore.explorer("wise", "small_patch", 224, 5)
    good, right = shown(box), control(box, description).value
    control(box, description).value = value
    status, png, words = shown(box)
    assert sentence in status
    assert (png, words) == (None, "")
    control(box, description).value = right
    assert shown(box) == good


def test_a_name_that_is_no_backbone_is_a_sentence_without_markup():
    box = explore.explorer("wise", "small_patch", 224, 5)
    control(box, "backbone").value = explore.OTHER
    control(box, "other backbone").value = "<b>Xceptoin"
    assert "&lt;b&gt;Xceptoin" in box.children[-3].value
    assert "Unknown backbone '<b>Xceptoin'. Did you mean Xception" in shown(box)[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("vise", "small_conv", 224, 5), "Unknown head 'vise'. Valid heads: gap"),
        (("wise", "small", 224, 5), "Unknown backbone 'small'"),
        (("wise", "small_conv", 224.0, 5), "received 224.0"),
        (("wise", "small_conv", 224, True), "received True"),
    ],
)
def test_values_to_start_with_are_checked(values, message):
    for start in (explore.explorer, explore.static_explorer):
        with pytest.raises(ValueError, match=message):
            start(*values)


def test_the_page_shows_what_the_explorer_does(capsys, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append((what, options)))
    chosen = explore.static_explorer("wise", "small_patch", 224, 5)
    words = shown(explore.explorer("wise", "small_patch", 224, 5))[2]
    (_, options), (costs, _) = displayed
    assert options["metadata"]["image/png"]["alt"] == chosen.figure()[1]
    assert chosen.figure()[1] in words
    assert all(value in words for value in costs["parameters"])
    for sentence in capsys.readouterr().out.splitlines():
        assert sentence in words


# The viewer


def test_every_control_of_the_viewer_changes_what_is_shown(model, dataset):
    box = explore.contribution_viewer(model, dataset)
    assert [child.description for child in box.children[:3]] == ["test image", "class", "map"]
    seen = [shown(box)]
    for description, value in (("test image", 3), ("class", 0), ("map", "Grad-CAM"), ("class", 1)):
        control(box, description).value = value
        seen.append(shown(box))
    assert len({(png, words) for _, png, words in seen}) == len({png for _, png, _ in seen}) == len(seen)
    assert control(box, "test image").max == len(dataset.test) - 1
    for sentence in explore.image_map(model, dataset, 3, 1, "Grad-CAM").sentences():
        assert sentence in seen[-1][2]


def test_a_head_that_can_not_be_taken_apart_is_a_sentence_beside_the_image(dataset):
    model = ws.build_classifier("small_patch", "vgg_fc", CLASSES, SIZE)
    box = explore.contribution_viewer(model, dataset)
    _, alone, words = shown(box)
    assert "can't be taken apart by positions" in words
    assert alone is not None
    control(box, "map").value = "HiResCAM"
    assert "can't be taken apart" not in shown(box)[2]
    assert shown(box)[1] != alone


def test_a_figure_of_the_embedded_scenes_says_so(model, dataset, capsys, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda what, **options: displayed.append(options))
    seen = explore.static_viewer(model, dataset, 1)
    assert seen.figure(dataset)[0].get_suptitle() == dataset.note
    assert capsys.readouterr().out.splitlines() == seen.sentences()
    assert displayed[0]["metadata"]["image/png"]["alt"] == seen.figure(dataset)[1]


def test_what_does_not_go_together_is_refused(model, dataset, tmp_path):
    other = ws.build_classifier("small_patch", "gap", CLASSES + 1, SIZE)
    with pytest.raises(ValueError, match="Give the dataset that the model was trained on"):
        explore.contribution_viewer(other, dataset)
    larger = ws.build_classifier("small_patch", "gap", CLASSES, SIZE + 32)
    with pytest.raises(ValueError, match=r"images of \(256, 256\) pixels and 4 classes"):
        explore.static_viewer(larger, dataset)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        explore.contribution_viewer(tmp_path / "none", dataset)


def test_a_runs_folder_is_viewed_as_its_model_is(model, dataset, tmp_path):
    model.save(tmp_path / "model.keras")
    of_run, of_model = (explore.static_viewer(given, dataset) for given in (str(tmp_path), model))
    np.testing.assert_allclose(of_run.values, of_model.values, rtol=1e-5)


# The keyboard, and the package without ipywidgets


def test_every_control_is_a_standard_one_with_a_description(model, dataset):
    standard = (ipywidgets.Dropdown, ipywidgets.Combobox, ipywidgets.IntText, ipywidgets.IntSlider)
    for box in (explore.explorer(), explore.contribution_viewer(model, dataset)):
        *controls, status, picture, words = box.children
        assert all(isinstance(each, standard) and each.description for each in controls)
        assert all(getattr(each, "tabbable", None) is not False for each in controls)  # version 7 has no such trait
        assert [type(each).__name__ for each in (status, picture, words)] == ["HTML", "Image", "HTML"]


def test_no_other_module_needs_ipywidgets(root):
    names = (
        r"import ipywidgets|from ipywidgets|.*wisesr_helpers\.studies\.explore|from .*\.studies import .*\bexplore\b"
    )
    needed = re.compile(rf"^\s*({names})", re.MULTILINE)
    paths = (root / "wisesr_helpers").rglob("*.py")
    assert [path.name for path in paths if needed.search(path.read_text(encoding="utf-8"))] == ["explore.py"]


def test_without_ipywidgets_a_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "wisesr_helpers.studies.explore")
    with pytest.raises(
        ModuleNotFoundError, match=r"wisesr_helpers\.studies\.explore needs ipywidgets.* 'wisesr_helpers\[notebooks\]'"
    ):
        importlib.import_module("wisesr_helpers.studies.explore")
