"""Classifiers: exact counts, inputs, saving, and what they refuse."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from records import keep

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.published import number, published
from wisesr_helpers.studies import own_images

PRINTED = published().query("source == 'paper' and where in ['Table 1', 'Table 6', 'Table 7', 'Table 9']")
COUNTS = PRINTED.query("unit in ['parameters', 'GFLOPs']")
IMAGE_SIZE = {"Table 1": 224, "Table 6": 224, "Table 7": 224, "Table 9": 512}
CLASSES = {
    "Table 1": 70,  # its caption says so
    "Table 6": int(number("Table 2", "Intel Image Classification Challenge", "Number of Classes")),
    "Table 7": int(number("Table 2", "MIT Indoors Scenes", "Number of Classes")),
    "Table 9": int(number("Table 2", "MIT Indoors Scenes", "Number of Classes")),
}


def test_every_printed_count_is_among_the_rows_below():
    assert COUNTS.groupby("where").size().to_dict() == {"Table 1": 21, "Table 6": 9, "Table 7": 15, "Table 9": 9}


@pytest.mark.parametrize(("where", "backbone", "head"), list(COUNTS.groupby(["where", "backbone", "head"]).groups))
def test_counts_equal_the_printed_ones(where, backbone, head):
    model = (
        ws.build_classifier(backbone, head, CLASSES[where], IMAGE_SIZE[where])
        if head
        else ws.build_backbone(backbone, IMAGE_SIZE[where])
    )
    row = COUNTS.query("where == @where and backbone == @backbone and head == @head").set_index("unit")
    assert f"{ws.count_params(model):,}" == row["value"]["parameters"]
    if "GFLOPs" in row.index:
        assert f"{ws.count_flops(model) / 1e9:.2f}" == row["value"]["GFLOPs"]


@pytest.mark.parametrize("backbone", ["ResNet50", "Xception", "DenseNet121"])
def test_flops_equal_the_framework_profilers(backbone):
    tf = pytest.importorskip("tensorflow")
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

    model = ws.build_classifier(backbone, "wise", classes=70, image_size=224, preprocessing="none")
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 224, 224, 3)))
    _, graph_def = convert_variables_to_constants_v2_as_graph(traced)
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        profiled = tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
    # The profiler counts the head's weighted sum as a product and a sum, the classifier's softmax not at all.
    assert ws.count_flops(model) == pytest.approx(profiled, rel=2e-4)


@pytest.mark.parametrize("backbone", ["ResNet50", "Xception", "DenseNet121"])
def test_the_growth_that_section_2_5_derives(backbone):
    table = COUNTS.query("where == 'Table 1' and unit == 'parameters' and backbone == @backbone").set_index("head")
    increase = 100 * (table["number"]["wise"] / table["number"]["gap"] - 1)
    entry = published().query("where == 'Section 2.5' and unit == 'percent' and row.str.contains(@backbone)").iloc[0]
    truncated = int(increase * 100) / 100
    assert entry["number"] in (round(increase, 2), truncated)
    assert bool(entry["slip"]) == (entry["number"] != round(increase, 2))


def test_takes_bytes_and_floats_alike():
    model = ws.build_classifier("small_patch", "wise", classes=6, image_size=512)
    images = np.random.default_rng(0).integers(0, 256, (2, 512, 512, 3), dtype="uint8")
    probabilities = model.predict_on_batch(images)
    np.testing.assert_array_equal(probabilities, model.predict_on_batch(images.astype("float32")))
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (2, 6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_output_stays_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = ws.build_classifier("small_patch", "wise", classes=6, image_size=256)
    finally:
        keras.config.set_dtype_policy("float32")
    images = np.zeros((1, 256, 256, 3), "uint8")
    assert model.predict_on_batch(images).dtype == np.float32
    assert model.get_layer("pooling").compute_dtype == "bfloat16"


def test_logits_without_activation():
    model = ws.build_classifier("small_patch", "gap", classes=3, image_size=96, classifier_activation=None)
    logits = model.predict_on_batch(np.full((1, 96, 96, 3), 200, "uint8"))
    assert not np.isclose(logits.sum(), 1)


@pytest.mark.parametrize("classes", [1, 0, 2.0, True, "6"])
def test_impossible_classes_are_refused(classes):
    with pytest.raises(ValueError, match="classes must be a whole number of at least 2; received"):
        ws.build_classifier("small_patch", "gap", classes=classes, image_size=96)


def test_numbers_of_numpy_are_numbers(tmp_path):
    model = ws.build_classifier(
        "small_patch", "wise_dropout", np.int64(3), np.int32(96), pool_size=np.int8(2), dropout_rate=np.float32(0.25)
    )
    assert model.output_shape == (None, 3)
    assert model.input_shape == (None, 96, 96, 3)
    model.save(tmp_path / "model.keras")  # a file holds no NumPy numbers
    assert keras.models.load_model(tmp_path / "model.keras").get_layer("dropout").rate == 0.25


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"classes": True}, "classes must be a whole number of at least 2; received True"),
        ({"head": "wize"}, "Unknown head 'wize'. Valid heads: gap"),
        ({"strat": "average"}, "Head 'wise' has no option 'strat'; it takes start, sharing, bias, "),
        ({"pool_size": 2.5}, r"pool_size must be a whole number of cells, at least 1 .* received 2\.5"),
        ({"pool_size": True}, "pool_size must be a whole number of cells, at least 1 .* received True"),
        ({"head": "gap", "pool_size": 2}, "Head 'gap' averages no blocks, so it takes no pool_size; received 2"),
        ({"dropout_rate": 0.5}, "Head 'wise' has no dropout, so it takes no dropout_rate; received 0.5"),
        ({"head": "gap_dropout", "dropout_rate": 1}, "a number from 0 to below 1; received 1"),
        ({"image_size": True}, "image_size must be a side in pixels or .* received True"),
        ({"image_size": (96, 0)}, r"image_size must be a side in pixels or .* received \(96, 0\)"),
        ({"backbone": "Xceptoin"}, "Unknown backbone 'Xceptoin'. Did you mean Xception"),
        ({"preprocessing": "cafe"}, "Unknown preprocessing 'cafe'"),
        ({"weights": 3}, r"weights must be None \(random\), 'imagenet' or the path of a file; received 3"),
    ],
)
def test_what_cannot_be_is_refused_before_a_backbone_is_built(choices, said, monkeypatch):
    def built(*_):
        pytest.fail("a backbone was built")

    monkeypatch.setattr("wisesr_helpers.models.backbones._features", built)
    with pytest.raises(ValueError, match=said):
        ws.build_classifier(
            **{"backbone": "Xception", "classes": 6, "image_size": 96, "weights": "imagenet", **choices}
        )


def test_a_missing_weights_file_is_found_out_before_a_backbone_is_built(monkeypatch, tmp_path):
    monkeypatch.setattr("wisesr_helpers.models.backbones._features", lambda *_: pytest.fail("a backbone was built"))
    with pytest.raises(FileNotFoundError, match=r"There is no weights file '.*typo\.h5'\. Give the path of one"):
        ws.build_classifier("Xception", weights=tmp_path / "typo.h5")


def test_a_pool_that_does_not_fit_the_map_is_refused():
    with pytest.raises(ValueError, match="A feature map of 3×3 cells takes a pool_size from 1 to 3 .*pool_size=4"):
        ws.build_classifier("small_patch", "wise", 6, 96, pool_size=4)


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
    with pytest.raises(FileNotFoundError, match="There is no folder '.*typo'. Give a run's, such as 'runs/mit_512--"):
        ws.load_classifier(tmp_path / "typo", epoch)
    (tmp_path / "model.keras").write_bytes(b"")
    with pytest.raises(ValueError, match="takes a run's folder; '.*' is a file. Give the folder that it lies in"):
        ws.load_classifier(tmp_path / "model.keras", epoch)


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


OWN_LAYERS = [(head, None, {}) for head in ("wise", "depthwise", "depthwise_nonneg", "gwap", "gwap_fixed", "avg_fc")]
OWN_LAYERS += [("wise", "tf", {}), ("wise", "torch", {}), ("wise", None, {"reduction": "bilinear"})]
LOADS = """
import sys, numpy as np
import keras, {module}
models = [keras.models.load_model(f"{{k}}.keras") for k in range(int(sys.argv[1]))]
np.save("found.npy", [keras.ops.convert_to_numpy(m.predict_on_batch(np.load("images.npy"))) for m in models])
"""


def test_saved_classifiers_load_after_importing_the_layers_and_not_before(tmp_path):
    """In fresh processes: the one that saved them has every class registered, so it proves nothing."""
    images = np.random.default_rng(4).integers(0, 256, (2, 96, 96, 3), dtype="uint8")
    np.save(tmp_path / "images.npy", images)
    expected = []
    for k, (head, preprocessing, options) in enumerate(OWN_LAYERS):
        keras.utils.set_random_seed(k)
        model = ws.build_classifier("small_patch", head, 3, 96, preprocessing=preprocessing, **options)
        model.save(tmp_path / f"{k}.keras")
        expected.append(model.predict_on_batch(images))
    done = {
        module: subprocess.run(
            [sys.executable, "-c", LOADS.format(module=module), str(len(OWN_LAYERS))],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        for module in ("wisesr_helpers", "wisesr_helpers.layers")
    }
    assert "Could not locate class" in done["wisesr_helpers"].stderr
    assert done["wisesr_helpers.layers"].returncode == 0, done["wisesr_helpers.layers"].stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, rtol=1e-5)


def test_the_layers_are_registered_under_the_names_that_saved_files_hold():
    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("wisesr_")}
    assert registered == {
        f"wisesr_helpers>{name}" for name in ws.layers.__all__ if isinstance(getattr(ws.layers, name), type)
    }
    assert {"wisesr_helpers>GlobalDepthwisePooling2D", "wisesr_helpers>ImageNetPreprocessing"} <= registered


def test_a_layer_with_weights_and_no_rule_is_not_counted_as_nothing():
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.LSTM(2, name="odd")])
    with pytest.raises(ValueError, match="No rule counts the operations of 'odd'"):
        ws.count_flops(model)


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("gap", {}),
        ("wise", {"start": "average"}),
        ("wise", {"reduction": "depthwise"}),
        ("wise_dropout", {"pool_size": 2}),
    ],
)
def test_with_one_seed_every_head_has_the_same_backbone(head, options):
    def first_kernel(head, **options):
        keras.utils.set_random_seed(0)
        return ws.build_classifier("small_patch", head, 4, 224, **options).get_layer("patch1_conv").get_weights()[0]

    np.testing.assert_array_equal(first_kernel(head, **options), first_kernel("wise"))


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("best", ValueError, "ends with .keras, such as 'best.keras'; received 'best'"),
        ("best.h5", ValueError, "ends with .keras"),
        ("folder.keras", ValueError, "ends with .keras"),
        ("new/best.keras", OSError, "'new' is no folder that can be written"),
    ],
)
def test_where_a_classifier_can_not_be_kept_is_said_before_it_is_trained(path, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(kind, match=said):
        own_images.check_model_path(path)
    assert own_images.check_model_path("") is None
    assert own_images.check_model_path("best.keras").name == "best.keras"
