"""Classifiers: what they take, give and refuse; their predictions, against Pillow's resizing and NumPy's sorting."""

import os
import socket

import numpy as np
import pandas as pd
import pytest
from contents import encode, picture, write_content
from PIL import Image

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models import classifiers

SIZE = (64, 96)  # height and width
NAMES = ["attic", "bakery", "casino", "deli", "elevator", "florist", "garage"]
TOP5 = [f"{what}{k}" for k in ("", "_2", "_3", "_4", "_5") for what in ("class", "probability")]


def sharp(model):
    """The same model with a larger last kernel, so that its classes differ clearly from image to image."""
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel * 40, bias])
    return model


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    return sharp(ws.build_classifier("small_patch", "wise", len(NAMES), SIZE))


@pytest.fixture(scope="module")
def pictures():
    """Pillow images of sizes above and below the model's, on one side or both, of several modes."""
    rng = np.random.default_rng(2)
    sizes = [(64, 96), (200, 300), (40, 50), (30, 400), (128, 20), (64, 97), (300, 200)]
    images = [
        Image.fromarray((rng.integers(0, 256, (h, w, 3)) * (0.2 + 0.1 * k)).astype("uint8"))
        for k, (h, w) in enumerate(sizes)
    ]
    return [*images[:5], images[5].convert("L"), images[6].convert("P", palette=Image.Palette.ADAPTIVE)]


def resized(image, method=Image.Resampling.NEAREST):
    """(1, H, W, 3), by Pillow alone."""
    return np.asarray(image.convert("RGB").resize(SIZE[::-1], method))[None]


def own(model, batches):
    """Probabilities (N, classes) as Keras itself gives them."""
    return np.concatenate([keras.ops.convert_to_numpy(model.predict(batch, verbose=0)) for batch in batches])


def assert_rows(table, probabilities, names=NAMES):
    """The five most probable classes of every row of ``probabilities``, which hold no ties, and no problem."""
    order = np.argsort(probabilities, axis=1)[:, ::-1]
    assert len({tuple(row) for row in order[:, :5].tolist()}) > 1  # the control: images differ
    for place in range(min(5, probabilities.shape[1])):
        suffix = f"_{place + 1}" if place else ""
        assert table[f"class{suffix}"].tolist() == [names[k] for k in order[:, place]]
        expected = np.take_along_axis(probabilities, order[:, place : place + 1], axis=1)[:, 0]
        np.testing.assert_allclose(table[f"probability{suffix}"], expected, rtol=1e-4)
    assert (table["problem"] == "").all()


def write(folder, pictures, kind="png"):
    """Paths of the pictures, in an order that is not alphabetical."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{kind}" for name in "dbgacef"]
    for path, image in zip(paths, pictures, strict=True):
        image.save(path)
    return paths


def test_files_are_predicted_in_their_order(model, pictures, tmp_path):
    paths = write(tmp_path, pictures)
    table = ws.predict(model, paths, NAMES, batch_size=2)
    assert list(table.columns) == ["file", *TOP5, "problem"]
    assert table["file"].tolist() == [str(path) for path in paths]
    assert_rows(table, own(model, map(resized, pictures)))


def test_larger_images_are_reduced_by_the_chosen_method(model, pictures, tmp_path):
    pictures = [image.resize((130 + k, 99 + k)) for k, image in enumerate(pictures)]
    paths = write(tmp_path, pictures)
    expected = own(model, [resized(image, Image.Resampling.BILINEAR) for image in pictures])
    assert_rows(ws.predict(model, paths, NAMES, resample="bilinear"), expected)
    arrays = [np.asarray(image.convert("RGB")) for image in pictures]
    assert_rows(ws.predict(model, arrays, NAMES, resample="bilinear"), expected)
    assert not np.allclose(expected, own(model, map(resized, pictures)), rtol=1e-2)  # the control: it matters


def test_a_model_of_three_classes_has_three_pairs_of_columns(pictures, tmp_path):
    keras.utils.set_random_seed(1)
    model = sharp(ws.build_classifier("small_patch", "gap", 3, SIZE))
    table = ws.predict(model, write(tmp_path, pictures))
    assert list(table.columns) == ["file", *TOP5[:6], "problem"]
    assert_rows(table, own(model, map(resized, pictures)), names="012")


def test_one_path_is_enough(model, pictures, tmp_path, monkeypatch):
    paths = write(tmp_path, pictures)
    monkeypatch.chdir(tmp_path)
    table = ws.predict(model, "./b.png", NAMES)
    assert table["file"].tolist() == ["./b.png"]
    pd.testing.assert_frame_equal(table.drop(columns="file"), ws.predict(model, paths[1], NAMES).drop(columns="file"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    at_home = ws.predict(model, "~/b.png", NAMES)
    pd.testing.assert_frame_equal(at_home, table.assign(file="~/b.png"), check_dtype=False)


def test_a_broken_file_in_the_midst_costs_nobody_else_a_row(model, pictures, tmp_path, capsys):
    paths = write(tmp_path, pictures)
    whole = ws.predict(model, paths, NAMES, batch_size=3)
    assert capsys.readouterr().out == ""
    paths[1].write_bytes(paths[1].read_bytes()[:300])
    paths[3].write_bytes(b"")
    table = ws.predict(model, paths, NAMES, batch_size=3)
    assert capsys.readouterr().out == (
        f"2 of 7 images without a prediction: '{paths[1]}' (truncated or damaged), '{paths[3]}' (empty file).\n"
    )
    good = [0, 2, 4, 5, 6]
    pd.testing.assert_frame_equal(table.iloc[good], whole.iloc[good], rtol=1e-6)
    assert table["problem"].tolist() == ["", "truncated or damaged", "", "empty file", "", "", ""]
    assert table.loc[[1, 3], TOP5].isna().all(axis=None)
    assert table["file"].tolist() == [str(path) for path in paths]


def test_a_batch_of_broken_files_and_nothing_else(model, tmp_path, capsys, monkeypatch):
    for name in "abcde":
        (tmp_path / f"{name}.jpg").write_bytes(b"<html>")
    monkeypatch.setattr(model, "predict_on_batch", lambda batch: pytest.fail("there was nothing to predict"))
    table = ws.predict(model, tmp_path, NAMES, batch_size=2)
    assert table["problem"].tolist() == ["not an image"] * 5
    assert table[TOP5].isna().all(axis=None)
    said = capsys.readouterr().out
    assert said.startswith("5 of 5 images without a prediction: ")
    assert said.endswith("c.jpg' (not an image), ….\n")
    assert "d.jpg" not in said


def test_a_folder_is_searched_for_images(model, pictures, tmp_path, capsys):
    photos = tmp_path / "photos"
    paths = write(photos, pictures)
    deep = write(photos / "b" / "deeper", pictures, kind="PNG")
    paths[0].rename(photos / "no_suffix")
    paths[1].rename(photos / "wrong.txt")
    for name in (".hidden.png", ".thumbnails/a.png", "b/.hidden.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        picture().save(photos / name)
    (photos / "notes.txt").write_text("P1 is no picture, and nor is this")
    (photos / "IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    wanted = sorted([photos / "no_suffix", photos / "wrong.txt", *paths[2:], *deep])
    table = ws.predict(model, photos, NAMES)
    assert capsys.readouterr().out == (
        f"Passed over in '{photos}', as no images that can be read: 2 ('{photos / 'IMG_1.heic'}', "
        f"'{photos / 'notes.txt'}').\n"
    )
    assert table["file"].tolist() == [str(path) for path in wanted]
    pd.testing.assert_frame_equal(table, ws.predict(model, wanted, NAMES), rtol=1e-6)
    both = ws.predict(model, [paths[4], photos / "b"], NAMES)
    assert both["file"].tolist() == [str(path) for path in [paths[4], *sorted(deep)]]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no sockets in folders")
def test_a_folder_with_links_and_what_is_no_file(model, tmp_path, capsys, monkeypatch):
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for folder in (photos, elsewhere):
        folder.mkdir()
        picture().save(folder / "a.png")
    (photos / "around").symlink_to(photos)
    (photos / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(photos)
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    monkeypatch.chdir(photos)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("socket.jpg")
    table = ws.predict(model, photos)
    assert table["file"].tolist() == [str(photos / name) for name in ("a.png", "gone.jpg", "more/a.png")]
    assert table["problem"].tolist() == ["", "can't be read (No such file or directory)", ""]
    assert f"as no images that can be read: 1 ('{photos / 'socket.jpg'}')." in capsys.readouterr().out


def test_every_content_of_a_folder_is_predicted_or_named(model, tmp_path, capsys):
    contents = write_content(tmp_path)
    readable = {str(content.path) for content in contents.values() if content.readable}
    table = ws.predict(model, tmp_path).set_index("file")
    assert set(table.index) == {str(content.path) for content in contents.values()}
    assert set(table.index[table["problem"] == ""]) == readable
    assert capsys.readouterr().out.startswith("4 of 27 images without a prediction: ")
    plain = table.loc[str(contents["PNG"].path), TOP5]
    pd.testing.assert_series_equal(table.loc[str(contents["BMP"].path), TOP5], plain, check_names=False)


def test_file_names_that_are_no_text(model, tmp_path, capsys):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        with open(path, "wb") as file:
            file.write(encode(picture(), "PNG"))
    except OSError:
        pytest.skip("this file system takes no such name")
    (tmp_path / "bad.jpg").write_bytes(b"")
    os.link(tmp_path / "bad.jpg", os.path.join(os.fsencode(tmp_path), b"\xfe.jpg"))
    table = ws.predict(model, tmp_path)
    assert os.fsencode(table["file"][2]) == path
    assert table["problem"].tolist() == ["empty file", "empty file", ""]
    assert r"\udcfe.jpg' (empty file)" in capsys.readouterr().out


def test_arrays_give_the_rows_of_their_files(model, pictures, tmp_path):
    table = ws.predict(model, write(tmp_path, pictures), NAMES).drop(columns="file")
    arrays = [np.asarray(image.convert("RGB")) for image in pictures]
    arrays[5] = np.asarray(pictures[5])  # grey, (H, W)
    for kind in ("uint8", "int64", "float64", "float16"):
        listed = ws.predict(model, [array.astype(kind) for array in arrays], NAMES, batch_size=4)
        assert listed["file"].tolist() == list(range(7))
        assert listed["file"].dtype.kind == "i"
        pd.testing.assert_frame_equal(listed.drop(columns="file"), table, rtol=1e-4)


def test_one_array_is_one_image_or_many(model, pictures):
    colour = np.stack([np.asarray(image.convert("RGB").resize((120, 50))) for image in pictures])
    grey = colour[..., 0].copy()
    table = ws.predict(model, list(colour), NAMES)
    assert_rows(table, own(model, [resized(Image.fromarray(image)) for image in colour]))
    pd.testing.assert_frame_equal(ws.predict(model, colour, NAMES), table)
    pd.testing.assert_frame_equal(ws.predict(model, colour[2], NAMES), ws.predict(model, colour[2:3], NAMES))
    of_grey = ws.predict(model, np.repeat(grey[..., None], 3, -1), NAMES)
    for same in (grey, grey[..., None], list(grey), tuple(grey[..., None]), iter(grey)):
        pd.testing.assert_frame_equal(ws.predict(model, same, NAMES), of_grey)
    for same in (grey[0], grey[0][..., None]):
        pd.testing.assert_frame_equal(ws.predict(model, same, NAMES), of_grey[:1], rtol=1e-6)


def test_floats_are_not_rounded(model):
    images = np.random.default_rng(3).uniform(0, 200, (6, *SIZE, 3)).astype("float32")
    images *= np.linspace(0.2, 1, 6, dtype="float32")[:, None, None, None]
    table = ws.predict(model, images, NAMES)
    assert_rows(table, own(model, [images]))
    rounded = ws.predict(model, images.astype("uint8"), NAMES)
    assert not np.allclose(rounded["probability"], table["probability"], rtol=1e-4)  # the control: it would show


def test_names_come_from_the_argument_the_model_or_the_outputs_numbers(pictures, tmp_path):
    keras.utils.set_random_seed(5)
    model = sharp(ws.build_classifier("small_patch", "wise", 7, SIZE))
    paths = write(tmp_path, pictures)
    numbers = ws.predict(model, paths)["class"].astype(int).tolist()
    assert len(set(numbers)) > 1
    model.class_names = tuple(NAMES)
    assert ws.predict(model, paths)["class"].tolist() == [NAMES[k] for k in numbers]
    other = np.array(NAMES[::-1])
    assert ws.predict(model, paths, classes=other)["class"].tolist() == [other[k] for k in numbers]


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (NAMES[:3], "classes must be a list of 7 names, .* of 'small_patch_wise'; received 3 names"),
        ("abcdefg", "classes must be a list of 7 names, .*; received 'abcdefg'"),
        (dict(enumerate(NAMES)), "classes must be a list of 7 names, .*; received an object of type 'dict'"),
        (set(NAMES), "classes must be a list of 7 names, .*; received an object of type 'set'"),
        (7, "classes must be a list of 7 names, .*; received 7"),
    ],
)
def test_other_class_names_are_refused(model, classes, said):
    with pytest.raises(ValueError, match=said):
        ws.predict(model, np.zeros((1, *SIZE, 3), "uint8"), classes)


def test_equally_probable_classes_stand_in_the_order_of_the_outputs():
    model = ws.build_classifier("small_patch", "gap", 7, SIZE)
    model.get_layer("predictions").set_weights([np.zeros((96, 7)), np.array([0, 0, 1, 0, 1, 0, 0])])
    table = ws.predict(model, np.zeros((1, *SIZE, 3), "uint8"))
    assert table.loc[0, TOP5[::2]].tolist() == ["2", "4", "0", "1", "3"]


def head(last, features=7, **names):
    """A small model of anybody's that ends in the layers ``last``."""
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 64)(inputs))
    x = keras.layers.Dense(features, kernel_initializer=keras.initializers.RandomNormal(seed=1), **names)(x)
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x, name="anybodys")


def test_logits_become_probabilities_and_it_is_said(pictures, tmp_path, capsys):
    logits = head([])
    paths = write(tmp_path, pictures)
    table = ws.predict(logits, paths, NAMES)
    assert capsys.readouterr().out == "'anybodys' gives logits; the probabilities are their softmax.\n"
    powers = np.exp(own(logits, map(resized, pictures)).astype(float))
    np.testing.assert_allclose(
        table["probability"], (powers / powers.sum(axis=1, keepdims=True)).max(axis=1), rtol=1e-5
    )
    for last in ([keras.layers.Softmax()], [keras.layers.Activation("softmax")]):
        pd.testing.assert_frame_equal(ws.predict(head(last), paths, NAMES), table, rtol=1e-5)
    assert capsys.readouterr().out == ""


def test_scores_that_are_no_probabilities_are_refused(pictures, tmp_path):
    paths = write(tmp_path, pictures)
    below_zero = keras.layers.LayerNormalization(beta_initializer=keras.initializers.Constant(1 / 7))  # but sums to 1
    for last in ([keras.layers.Activation("sigmoid")], [keras.layers.ReLU()], [below_zero]):
        with pytest.raises(
            ValueError, match="outputs of 'anybodys' are no class probabilities: they don't sum to 1. predict needs"
        ):
            ws.predict(head(last), paths)


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_diverged_model_predicts_nothing(activation, value, capsys):
    model = ws.build_classifier("small_patch", "gap", 7, SIZE, classifier_activation=activation)
    model.get_layer("predictions").set_weights([np.zeros((96, 7)), np.array([value, 0, 0, 0, 0, 0, 0])])
    table = ws.predict(model, np.full((2, *SIZE, 3), 99, "uint8"))
    assert table["problem"].tolist() == ["the model's output is not finite"] * 2
    assert table[TOP5].isna().all(axis=None)
    assert "2 of 2 images without a prediction: 0 (the model's output is not finite), 1 (" in capsys.readouterr().out


def test_no_more_than_a_batch_is_decoded_at_a_time(model, tmp_path, monkeypatch):
    paths = [tmp_path / f"{k}.png" for k in range(9)]
    for path in paths:
        picture().save(path)
    paths[4].write_bytes(b"")
    events = []
    load, predict_on_batch = classifiers.load_image, model.predict_on_batch
    monkeypatch.setattr(classifiers, "load_image", lambda *args: (events.append("load"), load(*args))[1])
    monkeypatch.setattr(
        model, "predict_on_batch", lambda batch: (events.append(len(batch)), predict_on_batch(batch))[1]
    )
    ws.predict(model, paths, batch_size=4)
    assert events == ["load"] * 4 + [4] + ["load"] * 4 + [4] + ["load"] + [1]  # whole batches, though one is broken


IMAGE = np.full((*SIZE, 3), 9, "uint8")


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ("typo.png", FileNotFoundError, "There is no file or folder 'typo.png'. Give the path of an image, or of"),
        (["typo.png"], FileNotFoundError, "There is no file or folder 'typo.png'"),
        ([], ValueError, r"There is no image to predict. predict takes the path .*; received an empty list"),
        (np.zeros((0, *SIZE, 3)), ValueError, "There is no image to predict. .*; received an empty ndarray"),
        (None, TypeError, r"predict takes the path of an image or a folder, .*; received None"),
        (b"a.png", TypeError, r"predict takes the path .*; received b'a.png'"),
        ({"a": IMAGE}, TypeError, "predict takes the path .*; received an object of type 'dict'"),
        ([IMAGE, 3], TypeError, "predict takes the path .*; received 3 at place 1"),
        ([picture()], TypeError, "predict takes the path .*; received an object of type 'Image' at place 0"),
        (np.zeros(3), ValueError, r"has the shape \(H, W, 3\), or \(H, W\) if it is grey; received \(3,\)"),
        (np.zeros((2, 3, 8, 9)), ValueError, r"has the shape .* received \(3, 8, 9\). Put the channels last"),
        (np.zeros((2, 8, 9, 4)), ValueError, r"has the shape .* received \(8, 9, 4\). .* leave out transparency"),
        ([np.zeros((2, 8, 9, 3))], ValueError, r"has the shape .* received \(2, 8, 9, 3\)"),
        ([np.zeros((0, 9, 3))], ValueError, r"has the shape .* received \(0, 9, 3\)"),
        (np.zeros((3, 8, 9)), ValueError, r"An array \(3, 8, 9\) may be one image or several; valid is"),
        (np.zeros((8, 9, 4)), ValueError, r"An array \(8, 9, 4\) may be one image or several; valid is"),
        (IMAGE > 3, ValueError, "holds values from 0 to 255, as uint8 or other numbers; received bool. Convert it"),
        (IMAGE.astype(complex), ValueError, "as uint8 or other numbers; received complex128"),
        (IMAGE - 10.0, ValueError, "holds values from 0 to 255; received -1 to -1. Give it as it was before it was"),
        (IMAGE * 29.0, ValueError, "holds values from 0 to 255; received 261 to 261"),
        (IMAGE * np.nan, ValueError, "holds values from 0 to 255; received nan to nan"),
        (IMAGE.astype("int32") + 250, ValueError, "holds values from 0 to 255; received 259 to 259"),
        ([IMAGE / 255, IMAGE / 9], ValueError, "none of those received exceeds 1. Multiply by 255 what goes from 0"),
    ],
)
def test_what_is_no_image_is_refused(model, files, error, said):
    with pytest.raises(error, match=said):
        ws.predict(model, files)


def test_dark_arrays_are_images(model):
    for images in ([np.zeros((*SIZE, 3))], [IMAGE / 9, IMAGE * 1.0], [IMAGE // 9], [(IMAGE // 9).astype("int64")]):
        assert (ws.predict(model, images)["problem"] == "").all()


def test_a_folder_without_images_is_said(model, tmp_path):
    with pytest.raises(ValueError, match=r"The folder '.*' holds no image that can be read \(JPEG, .*\). Give another"):
        ws.predict(model, tmp_path)
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"PPM\); passed over: 1 \('.*notes.txt'\). Give another folder"):
        ws.predict(model, [tmp_path])


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"resample": "cubic"}, "Unknown resample 'cubic'. Valid: nearest, bilinear, bicubic"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1; received 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number of at least 1; received 2.0"),
    ],
)
def test_other_choices_are_refused(model, choice, said):
    with pytest.raises(ValueError, match=said):
        ws.predict(model, IMAGE, **choice)


def test_models_that_classify_no_images_are_refused():
    with pytest.raises(TypeError, match="takes a Keras model first; received 'runs/x'. Load a run's with ws.load_clas"):
        ws.predict("runs/x", IMAGE)
    image, vector, open_size = keras.Input((*SIZE, 3)), keras.Input((9,)), keras.Input((None, None, 3))
    pool, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")
    scores = dense(pool(image))
    taken = {
        r"takes \(None, 9\)": keras.Model(vector, keras.layers.Dense(3, "softmax")(vector)),
        r"takes \(None, None, None, 3\)": keras.Model(open_size, dense(pool(open_size))),
        "takes something else. Build one with ws.build_classifier": keras.Model([image, vector], scores),
        "takes something": keras.Sequential([keras.layers.Dense(3)]),
        r"gives \(None, 2, 3, 96\)": ws.build_backbone("small_patch", SIZE),
        r"gives \(None, 1\)": keras.Model(image, keras.layers.Dense(1, "sigmoid")(pool(image))),
        "gives something else. Build one": keras.Model(image, [scores, scores]),
    }
    for said, model in taken.items():
        with pytest.raises(ValueError, match=f"predict needs a model with one .* '{model.name}' {said}"):
            ws.predict(model, IMAGE)


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
        *(({"classes": count}, "classes must be a whole number of at least 2; rec") for count in (1, 2.0, True, "6")),
        ({"strat": "average"}, "Head 'wise' has no option 'strat'; it takes start, sharing, bias, "),
        ({"pool_size": 2.5}, r"pool_size must be a whole number of cells, at least 1 .* received 2\.5"),
        ({"dropout_rate": 0.5}, "Head 'wise' has no dropout, so it takes no dropout_rate; received 0.5"),
        ({"image_size": (96, 0)}, r"image_size must be a side in pixels or .* received \(96, 0\)"),
        ({"backbone": "Xceptoin"}, "Unknown backbone 'Xceptoin'. Did you mean Xception"),
        ({"preprocessing": "cafe"}, "Unknown preprocessing 'cafe'"),
        ({"weights": 3}, r"weights must be None \(random\), 'imagenet' or the path of a file; received 3"),
        ({"weights": "typo.h5"}, r"There is no weights file 'typo\.h5'\. Give the path of one"),
    ],
)
def test_what_cannot_be_is_refused_before_a_backbone_is_built(choices, said, monkeypatch):
    def built(*_):
        pytest.fail("a backbone was built")

    monkeypatch.setattr("wisesr_helpers.models.backbones._features", built)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        ws.build_classifier(
            **{"backbone": "Xception", "classes": 6, "image_size": 96, "weights": "imagenet", **choices}
        )


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
