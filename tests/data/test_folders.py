"""A folder of images by class: what is reported is what was planted, and only its bytes decide on a file's split."""

import csv
import shutil

import numpy as np
import pytest
from contents import encode
from PIL import Image, ImageOps

from wisesr_helpers.data import folders, prepare
from wisesr_helpers.data.folders import check_folder, image_folder
from wisesr_helpers.data.images import load_image, quiet_decoding
from wisesr_helpers.studies.own_images import own_or_stand_in, say_split, write_scenes

SIZE = 32


def picture(seed, side=SIZE):
    """A picture of its own, as the bytes of a PNG."""
    return encode(Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)), "PNG")


def write(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def by_class(root, **counts):
    """A folder with so many pictures of each class; a picture is a function of its class and number."""
    return write(
        root, {f"{name}/{k:03d}.png": picture([k, *name.encode()]) for name, n in counts.items() for k in range(n)}
    )


def pictures(split):
    return {split.rgb([k]).tobytes(): label for k, label in enumerate(split.labels)}


@pytest.fixture
def animals(tmp_path):
    return by_class(tmp_path / "animals", cat=30, dog=24)


def test_a_good_folder_has_nothing_wrong(animals):
    check = check_folder(animals, SIZE)
    assert check.counts["images"].to_dict() == {"cat": 30, "dog": 24}
    assert (check.left_out, check.noticed, check.stops) == ({}, {}, ())
    assert str(check) == "animals: 54 images in 2 classes.\nNothing is wrong with them."


def test_every_defect_is_named(animals):
    whole = picture(1000)
    write(
        animals,
        {
            "cat/half.png": whole[: len(whole) // 2],
            "cat/empty.jpg": b"",
            "cat/page.html": b"<!DOCTYPE html>",
            "cat/small.png": picture(1001, 16),
            "cat/plain.png": encode(Image.new("RGB", (SIZE, SIZE), "grey"), "PNG"),
            "cat/again.png": (animals / "cat/000.png").read_bytes(),
            "dog/cat.png": (animals / "cat/001.png").read_bytes(),
            "dog/Thumbs.db": b"of no interest",
            "notes.txt": b"beside",
            "bird/one.png": picture(1002),
            "bird/.hidden": b"",
        },
    )
    (animals / "fish").mkdir()
    check = check_folder(animals, SIZE)
    assert check.left_out == {
        folders.BESIDE: ["notes.txt"],
        folders.EMPTY: ["fish"],
        "truncated or damaged": ["cat/half.png"],
        "empty file": ["cat/empty.jpg"],
        "not an image": ["cat/page.html"],
    }
    assert check.noticed == {
        "smaller than 32×32 pixels": ["cat/small.png"],
        prepare.PLAIN: ["cat/plain.png"],
        prepare.COPY: ["cat/again.png"],
        prepare.TWO_LABELS: ["cat/001.png", "dog/cat.png"],
        folders.FEW_IMAGES: ["bird"],
        folders.FAR_APART: ["bird: 1", "cat: 33"],
    }
    assert check.counts["images"].to_dict() == {"bird": 1, "cat": 33, "dog": 25}
    assert "Left out: 1 ('cat/half.png') truncated or damaged." in check.describe()


def test_the_division_is_drawn_by_bytes_so_that_hardly_anything_moves(animals, tmp_path):
    before = image_folder(animals, SIZE, seed=3)
    assert before.counts.to_dict() == {"training": {"cat": 22, "dog": 18}, "test": {"cat": 8, "dog": 6}}
    (animals / "cat/000.png").rename(animals / "cat/zzz.png")
    by_class(animals, dog=25)
    after = image_folder(animals, SIZE, seed=3)
    moved = 0
    for split, other in (("train", "test"), ("test", "train")):
        old, new = pictures(getattr(before, split)), pictures(getattr(after, split))
        assert {image for image, label in old.items() if label == 0} <= new.keys()
        moved += len(old.keys() - new.keys())
        assert len(old.keys() & pictures(getattr(after, other)).keys()) == len(old.keys() - new.keys())
    assert moved <= 1
    other = image_folder(animals, SIZE, seed=4)
    assert pictures(other.test).keys() != pictures(after.test).keys()
    assert other.fingerprint != after.fingerprint


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_every_class_has_the_share_of_test_images_that_was_asked_for(share):
    sizes = {0: 40, 1: 44, 2: 41, 3: 3, 4: 2, 5: 1}
    lines = [{"label": label, "sha256": f"{label} {k}"} for label, size in sizes.items() for k in range(size)]
    for seed in range(5):
        tested = folders._divide(lines, share, seed)
        found = {k: sum(line["sha256"] in tested for line in lines if line["label"] == k) for k in sizes}
        for label, size in sizes.items():
            assert abs(found[label] - share * size) <= 0.5 or found[label] == (1 if size > 1 else 0)


def test_the_same_bytes_in_two_classes_are_in_one_split_of_both():
    classes = {0: range(40), 1: range(20, 60)}
    lines = [{"label": label, "sha256": f"{k}"} for label, numbers in classes.items() for k in numbers]
    for seed in range(5):
        tested = folders._divide(lines, 0.25, seed)
        assert [len(tested & {f"{k}" for k in numbers}) for numbers in classes.values()] == [10, 10]


def test_few_test_images_are_said_by_class(tmp_path, capsys):
    root = by_class(tmp_path / "few", cat=44, dog=36, owl=3, rat=1)
    dataset = image_folder(root, SIZE)
    assert dataset.counts["test"].to_dict() == {"cat": 11, "dog": 9, "owl": 1, "rat": 0}
    assert dataset.noticed[folders.FEW_TEST_IMAGES] == ["dog", "owl"]
    assert dataset.noticed[folders.NO_TEST] == ["rat"]
    check = check_folder(root, SIZE)
    capsys.readouterr()
    say_split(dataset, check)
    counts, *table, one, other = capsys.readouterr().out.splitlines()
    assert counts == "few: 63 training and 21 test images in 4 classes."
    assert table == str(dataset.counts).splitlines()
    assert table[0].split() == ["class", "training", "test"]
    assert len(table) == 5
    assert sorted([one, other]) == [
        "Note: 1 ('rat') classes without test images.",
        "Note: 2 ('dog', 'owl') classes with fewer than 10 test images, too few to say anything about one alone.",
    ]  # and nothing that the check has said


def test_photographs_are_turned_upright_and_said(tmp_path):
    """As ImageOps.exif_transpose turns them; what was prepared without turning is prepared again."""
    root, cache = by_class(tmp_path / "own", cat=3, dog=3), tmp_path / "cache"
    for orientation in range(1, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        shown = Image.fromarray(np.random.default_rng(orientation).integers(0, 256, (8, 24, 3), np.uint8))
        for kind in ("JPEG", "PNG"):
            write(root, {f"cat/{orientation}.{kind}": encode(shown, kind, exif=exif)})
    write(root, {"dog/damaged.jpg": encode(Image.new("RGB", (8, 9)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff")})
    listing = folders.list_folder(root)
    place = folders._prepared_folder(root, (SIZE, SIZE), cache, "nearest")
    prepare.prepare(listing, (SIZE, SIZE), place)
    dataset = image_folder(root, SIZE, cache=cache)
    assert dataset.noticed[prepare.TURNED] == [
        f"cat/{orientation}.{kind}" for orientation in range(2, 9) for kind in ("JPEG", "PNG")
    ]
    assert dataset.left_out == {}
    for split in (dataset.train, dataset.test):
        for stored, file in zip(split.images, split.files, strict=True):
            with quiet_decoding(), Image.open(root / file) as image:
                expected = ImageOps.exif_transpose(image) if file != "dog/damaged.jpg" else image
                np.testing.assert_array_equal(stored, np.asarray(expected), err_msg=file)
                np.testing.assert_array_equal(
                    load_image(root / file, (SIZE, SIZE), "nearest"),
                    np.asarray(expected.resize((SIZE, SIZE), Image.Resampling.NEAREST)),
                )


def test_small_classes_have_an_image_in_each_split(tmp_path):
    root = by_class(tmp_path / "few", a=2, b=2, c=2, d=1)
    for seed in range(8):
        dataset = image_folder(root, SIZE, test_share=0.25, seed=seed)
        assert sorted(dataset.train.labels) == [0, 1, 2, 3]
        assert sorted(dataset.test.labels) == [0, 1, 2]
        assert dataset.noticed[folders.NO_TEST] == ["d"]


def test_copies_stay_in_one_split(tmp_path):
    root = by_class(tmp_path / "copies", a=30, b=30)
    for path in sorted(root.glob("a/*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    dataset = image_folder(root, SIZE)
    assert (len(dataset.train) + len(dataset.test), len(dataset.noticed[prepare.COPY])) == (90, 30)
    assert not pictures(dataset.train).keys() & pictures(dataset.test).keys()


def test_images_and_labels_are_pillows(animals):
    dataset = image_folder(animals, 20)
    found = pictures(dataset.train) | pictures(dataset.test)
    for path in animals.glob("*/*.png"):
        shown = np.asarray(Image.open(path).resize((20, 20), Image.Resampling.NEAREST))
        assert dataset.classes[found.pop(shown.tobytes())] == path.parent.name
    assert found == {}
    assert dataset.photographs


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "valid"), ("train", "val")])
def test_a_folder_may_say_which_images_are_test_images(tmp_path, names):
    root = tmp_path / "divided"
    for name, n in zip(names, (8, 4), strict=True):
        by_class(root / name, cat=n, dog=n - 1)
    write(root, {f"{names[1]}/owl/1.png": picture(5), "readme.txt": b""})
    check = check_folder(root, SIZE)
    assert check.counts.to_dict() == {"train": {"cat": 8, "dog": 7}, "test": {"cat": 4, "dog": 3}}
    assert check.left_out == {folders.BESIDE: ["readme.txt"], folders.NOT_TRAINED: [f"{names[1]}/owl/1.png"]}
    assert check.noticed[prepare.SAME_BYTES][0] == f"{names[1]}/cat/000.png"  # pictures begin anew in each split
    dataset = image_folder(root, SIZE, test_share=0.9)
    assert (len(dataset.train), len(dataset.test)) == (15, 7)


def test_with_test_images_validation_images_are_trained_on(tmp_path):
    for name, n in {"train": 4, "val": 3, "test": 2}.items():
        by_class(tmp_path / "d" / name, a=n, b=n)
    assert check_folder(tmp_path / "d", SIZE).counts.sum().to_dict() == {"train": 14, "test": 4}


def test_a_class_may_be_called_train_and_an_archive_may_be_wrapped(tmp_path):
    root = by_class(tmp_path / "outer" / "inner", train=3, bus=3)
    write(root, {"bus/more/deep.png": picture(9)})
    assert check_folder(tmp_path / "outer", SIZE).counts["images"].to_dict() == {"bus": 4, "train": 3}


def write_csv(path, rows, header=("filename", "class")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_csv_names_files_relative_to_itself(tmp_path):
    root = write(tmp_path, {f"images/{k}.png": picture(k) for k in range(6)})
    rows = [(rf"images\{k}.png", "ab"[k % 2]) for k in range(5)]
    rows += [("images/9.png", "a"), ("images/0.png", "a"), ("images/1.png", "a"), ("images/2.png", "")]
    check = check_folder(write_csv(root / "list.csv", rows), SIZE)
    assert check.counts["images"].to_dict() == {"a": 3, "b": 1}
    assert {reason: list(names) for reason, names in check.left_out.items()} == {
        "listed but absent": ["images/9.png"],
        "malformed line": ["images/2.png,"],
        folders.TWO_CLASSES: ["images/1.png"],
    }
    assert list(check.noticed["listed twice"]) == ["images/0.png"]


@pytest.mark.parametrize(
    ("files", "path", "error", "said"),
    [
        ({}, "nowhere", FileNotFoundError, "There is no folder or file"),
        ({"a.png": picture(0)}, "", ValueError, "has no class folders with files; beside them are 1 files ('a.png'"),
        ({"a.png": picture(0)}, "a.png", ValueError, "is a file, and no CSV"),
        ({"l.csv": b"file,class\na.png,b"}, "l.csv", ValueError, "needs the columns 'filename' and 'class'"),
        ({"l.csv": b"filename,class\n"}, "l.csv", ValueError, "lists no image"),
        ({"l.csv": b"filename,class\na.png,b"}, "l.csv", FileNotFoundError, "None of the 1 images"),
    ],
)
def test_what_is_no_folder_of_images_is_refused(tmp_path, files, path, error, said):
    with pytest.raises(error, match=said.replace("(", r"\(")):
        check_folder(write(tmp_path, files) / path, SIZE)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a/1.png": picture(1), "a/2.png": picture(2)}, "has images of one class only ('a')"),
        ({"a/1.png": b"", "b/1.png": b""}, "None of the images in 'own' can be decoded"),
        ({"a/1.png": picture(1), "b/1.png": picture(2)}, "No class in 'own' has two different images"),
    ],
)
def test_what_can_not_be_trained_on_is_reported_and_then_refused(tmp_path, files, said):
    root = write(tmp_path / "own", files)
    assert [said in sentence for sentence in check_folder(root, SIZE).stops] == [True]
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")) as told:
        image_folder(root, SIZE)
    assert told.value._render_traceback_() == [f"ValueError: {told.value}"]  # what a notebook shows of it


@pytest.mark.parametrize(
    "typed",
    [{"test_share": 1.0}, {"test_share": 25}, {"seed": -1}, {"seed": True}, {"seed": 0.5}, {"resample": "best"}],
)
def test_values_that_can_not_be_used_are_named(animals, typed):
    with pytest.raises(ValueError, match=next(iter(typed))):
        image_folder(animals, **{"image_size": SIZE, **typed})


def test_the_stand_in_is_marked_as_no_photographs(tmp_path):
    write_scenes(tmp_path, 192, train=8, test=4)
    dataset = image_folder(tmp_path / "embedded_scenes", 192)
    assert (len(dataset.train), len(dataset.test), dataset.photographs) == (8, 4, False)
    assert sorted(np.bincount(dataset.train.labels)) == [4, 4]


def test_own_images_take_the_place_of_the_stand_in(animals, tmp_path):
    own = own_or_stand_in(str(animals))
    assert (own.folder, own.new, own.cache) == (animals, None, None)
    with pytest.raises(FileNotFoundError, match="There is no folder or file 'nowhere'"):
        own_or_stand_in(str(animals), "nowhere")
    with pytest.raises(ValueError, match="Unknown scale 'paper'"):
        own_or_stand_in(scale="paper")
    with pytest.raises(ValueError, match="image_size=192 or more"):
        own_or_stand_in(image_size=96)
