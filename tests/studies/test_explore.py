"""The live explorer: combinations as built and as printed, maps as the package draws them, and the controls."""

import html
import importlib
import re
import sys

import ipywidgets
import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.studies import explore, report


@pytest.mark.parametrize("head", list(ws.HEADS))
def test_a_combination_counts_what_is_built(head):
    chosen = explore.combination(head, "small_patch", 224, 5)
    built = ws.build_classifier("small_patch", head, 5, 224)
    assert (chosen.params, chosen.flops) == (ws.count_params(built), ws.count_flops(built))
    assert chosen.feature_shape == built.get_layer("features").output.shape[1:]
    tail = built.layers[[layer.name for layer in built.layers].index("features") + 1 :]
    assert chosen.head_params == sum(layer.count_params() for layer in tail)
    costs = chosen.costs().set_index("part")["parameters"].str.replace(",", "").astype(int)
    assert costs["backbone"] + costs["head"] == costs["whole model"] == chosen.params


def test_the_cells_that_a_head_looks_at_are_those_of_its_layer():
    wise, gap = (explore.combination(head, "small_patch", 224, 5) for head in ("wise", "gap"))
    layer = ws.layers.GlobalDepthwisePooling2D(depthwise_initializer="ones")
    layer.build((None, 7, 7, 1))
    np.testing.assert_array_equal(wise.seen, layer.position_weights(7, 7)[..., 0] > 0)
    assert "36 of 49 cells (73%)" in wise.looked_at()
    assert "13 of 49" in wise.looked_at()
    assert gap.seen.all()
    assert gap.looked_at() == "The head looks at all 49 cells of the 7×7 feature map."
    maps = [chosen.figure().axes[1] for chosen in (wise, gap)]
    assert [sum(bool(patch.get_hatch()) for patch in ax.patches) for ax in maps] == [13, 0]
    for ax, chosen in zip(maps, (wise, gap), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), chosen.seen)
        assert ax.images[0].get_extent() == [-0.5, 6.5, 6.5, -0.5]


def test_every_printed_accuracy_is_found_and_every_printed_count_is_ours(monkeypatch):
    monkeypatch.setattr(explore, "_backbone_costs", costs_of_other_backbones)
    printed = ws.published().query("source == 'paper' and backbone != '' and head != ''")
    places = {study.table: study for study in ws.STUDIES.values() if study.table != "Table 1"}
    found = 0
    for (where, backbone, head), entries in printed.groupby(["where", "backbone", "head"]):
        size, classes = (224, 70) if where == "Table 1" else (places[where].image_size, places[where].classes)
        rows = explore.combination(head, backbone, size, classes).published()
        rows = rows[rows["where"] == where]
        assert list(rows["printed"]) == list(entries["value"])
        for row, entry in zip(rows.itertuples(), entries.itertuples(), strict=True):
            if entry.unit == "fraction" and row.what == "Top-1 accuracy":
                table = report.published_results(places[where].name).set_index(["backbone", "head"])
                assert row._5 == "95% interval " + table.loc[(backbone, head), "95% interval of top-1, computed here"]
            found += 1
    assert found == len(printed) > 100
    assert explore.combination("wise", "Xception", 512 - 32, 67).published().empty


def costs_of_other_backbones(backbone, image_size):
    """Stands in for backbones that take seconds to build, where only what is printed matters."""
    return (image_size // 32, image_size // 32, 8), 1, 1


def test_counts_stand_beside_the_printed_ones():
    rows = explore.combination("wise", "ResNet50", 224, 70).published().set_index("what")
    for unit in ("parameters", "GFLOPs"):
        assert rows.loc[unit, "printed"] == rows.loc[unit, "computed here"]
        assert rows.loc[unit, "where"] == "Table 1"
    assert set(rows["where"]) == {"Table 1", "Table 5"}
    assert explore.combination("wise", "ResNet50", 224, 71).published().empty
    slips = explore.combination("wise", "Xception", 512, 67).published()
    assert len(slips["note"].max()) > 80
    assert slips["note"].max() in slips.to_html()  # a whole sentence


SIZE, CLASSES = 160, 4


@pytest.fixture(scope="module")
def dataset():
    noise = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3))
    images = (noise * np.linspace(0, 1, SIZE)[:, None, None]).astype("uint8")  # dark above: the cells differ
    split = Split(images, np.arange(6) % CLASSES, "noise")
    return Dataset("noise", tuple("abcd"), split, split, photographs=False)


@pytest.fixture(scope="module")
def model():
    """A classifier whose pooling and biases are all but zero."""
    keras.utils.set_random_seed(0)
    model = ws.build_classifier("small_conv", "wise", CLASSES, SIZE)
    rng = np.random.default_rng(1)
    for name in ("pooling", "predictions"):
        layer = model.get_layer(name)
        layer.set_weights([np.abs(rng.normal(size=weight.shape)) for weight in layer.get_weights()])
    return model


def test_the_viewers_maps_are_those_of_the_package(model, dataset):
    functions = {"contribution": ws.contribution_map, "HiResCAM": ws.hires_cam, "Grad-CAM": ws.grad_cam}
    assert list(functions) == list(explore.METHODS)
    maps = {}
    for method, function in functions.items():
        seen = explore.image_map(model, dataset, 2, 1, method)
        np.testing.assert_allclose(seen.values, function(model, dataset.test.rgb([2]), [1])[0], rtol=1e-5)
        maps[method] = seen.values
    np.testing.assert_allclose(maps["contribution"], maps["HiResCAM"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(maps["contribution"], maps["Grad-CAM"], rtol=1e-2)


def test_logits_and_their_sums_are_those_of_a_model_without_softmax(model, dataset):
    plain = ws.build_classifier("small_conv", "wise", CLASSES, SIZE, classifier_activation=None)
    plain.set_weights(model.get_weights())
    images = dataset.test.rgb(range(len(dataset.test)))
    logits = np.asarray(plain.predict_on_batch(images))
    for index, k in ((0, 0), (5, 3)):
        seen = explore.image_map(model, dataset, index, k)
        assert seen.logit == pytest.approx(logits[index, k], rel=1e-4)
        kernel, bias = model.get_layer("predictions").get_weights()
        assert seen.empty == pytest.approx(bias[k] + model.get_layer("pooling").get_weights()[1] @ kernel[:, k])
        assert seen.adds_up
        assert ", the logit (to 0.1%)." in " ".join(seen.sentences())
        assert seen.sentences()[2].startswith("Contribution: the cells sum to ")
        cam = explore.image_map(model, dataset, index, k, "Grad-CAM")
        assert not cam.adds_up
        assert ", not the logit (to 0.1%)." in " ".join(cam.sentences())


def test_true_and_predicted_are_told_apart(model, dataset):
    predicted = np.asarray(model.predict_on_batch(dataset.test.rgb(range(6)))).argmax(axis=1)
    index = int(np.flatnonzero(predicted != dataset.test.labels)[0])
    seen = {chosen: explore.image_map(model, dataset, index, chosen) for chosen in ("predicted", "true")}
    assert seen["predicted"].chosen == predicted[index]
    assert seen["true"].chosen == dataset.test.labels[index]
    assert not np.array_equal(seen["predicted"].values, seen["true"].values)


def test_sums_are_held_to_the_precision_that_the_model_computes_in(model, dataset):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = ws.build_classifier("small_conv", "wise", CLASSES, SIZE)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    assert explore.image_map(half, dataset).adds_up
    assert not explore.image_map(half, dataset, method="Grad-CAM").adds_up
    assert explore.image_map(model, dataset).precision < explore.image_map(half, dataset).precision


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
    monkeypatch.setattr(explore, "_backbone_costs", costs_of_other_backbones)
    words = shown(explore.explorer("wise", "Xception", 512, 67))[2]
    printed = ws.published().query("where == 'Table 9' and backbone == 'Xception' and head == 'wise'")
    assert all(value in words for value in printed["value"])
    assert "Nothing is published" not in words


def test_a_slip_of_a_printed_value_is_said_below_the_table(monkeypatch, capsys):
    monkeypatch.setattr(explore, "_backbone_costs", costs_of_other_backbones)
    explore.static_explorer("wise", "Xception", 512, 67)
    assert "\nTable 9, Top-1 accuracy: No whole number of the 1,340 test images rounds to" in capsys.readouterr().out


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
    ("image size", 4096, "image_size must be a whole number, from 1 to 2048; received 4096."),
    ("image size", 0, "image_size must be a whole number, from 1 to 2048; received 0."),
    ("classes", 1, "classes must be a whole number, 2 or more; received 1."),
]


def test_what_can_not_be_is_a_sentence_without_markup_and_goes_away():
    box = explore.explorer("wise", "small_patch", 224, 5)
    good = shown(box)
    for description, value, sentence in MISTAKES:
        right = control(box, description).value
        control(box, description).value = value
        status, png, words = shown(box)
        assert sentence in status
        assert (png, words) == (None, "")
        control(box, description).value = right
        assert shown(box) == good
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
    assert options["metadata"]["image/png"]["alt"] == ws.plots.alt_text(chosen.figure())
    assert ws.plots.alt_text(chosen.figure()) in words
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
    assert seen.figure(dataset).get_suptitle() == dataset.note
    assert capsys.readouterr().out.splitlines() == seen.sentences()
    assert displayed[0]["metadata"]["image/png"]["alt"] == ws.plots.alt_text(seen.figure(dataset))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"index": 6}, ValueError, "0 to 5; received 6"),
        ({"chosen": 9}, ValueError, "predicted, true, 0, 1, 2, 3; received 9"),
        ({"method": "CAM"}, ValueError, "contribution, HiResCAM, Grad-CAM; received 'CAM'"),
        ({"classes": CLASSES + 1}, ValueError, "Give the dataset that the model was trained on"),
        ({"size": SIZE + 32}, ValueError, r"images of \(192, 192\) pixels and 4 classes"),
        ({"run": "none"}, FileNotFoundError, "There is no folder"),
    ],
)
def test_what_does_not_go_together_is_refused(dataset, tmp_path, given, error, message):
    shape = {"classes": given.pop("classes", CLASSES), "image_size": given.pop("size", SIZE)}
    run = tmp_path / given.pop("run") if "run" in given else ws.build_classifier("small_patch", "gap", **shape)
    for view in (explore.static_viewer, explore.contribution_viewer)[: 1 if given else 2]:
        with pytest.raises(error, match=message):
            view(run, dataset, **given)


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
