"""What is on disk: true counts, true labels, and every defect named."""

import os
import pickle
import shutil
import subprocess

import numpy as np
import pytest
from trees import BUILDERS, UNREADABLE, build_tree

from wisesr_helpers.data import listings
from wisesr_helpers.data.listings import Entry
from wisesr_helpers.data.sources import SOURCES


def read_listing(name, root):
    return listings.read_listing(SOURCES[name], root)


LISTED = ("sub_imagenet", "intel", "mit", "tiny_imagenet")


def touch(root, *paths):
    """Files without content: no listing looks into an image."""
    for folder in {(root / path).parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        (root / path).touch()


def assert_listing_is(listing, tree):
    """The listing tells what was planted: nothing less, nothing more."""
    assert listing.root == tree.images
    assert listing.classes == tree.classes
    for split, entries in (("train", listing.train), ("test", listing.test)):
        readable = [entry for entry in entries if entry.path not in tree.unreadable]
        assert {entry.path: entry.label for entry in readable} == tree.labels(split)
        assert len(readable) == len(tree.labels(split))  # none twice
    unreadable = {entry.path for entry in listing.train + listing.test} & tree.unreadable
    assert unreadable == tree.unreadable  # a listing doesn't look into files
    assert {reason: sorted(names) for reason, names in listing.problems.items()} == planted(tree)
    assert all((listing.root / entry.path).is_file() for entry in listing.train + listing.test)


def planted(tree):
    return {reason: sorted(names) for reason, names in tree.defects.items() if reason not in UNREADABLE}


@pytest.mark.parametrize("defects", [0, 0.01, 0.4])
@pytest.mark.parametrize("name", LISTED)
def test_a_listing_tells_what_is_there_and_every_defect(tmp_path, name, defects):
    tree = build_tree(name, tmp_path, classes=5, image_size=32, defects=defects, seed=1)
    assert bool(planted(tree)) == bool(defects)
    assert_listing_is(read_listing(name, tree.root), tree)
    assert SOURCES[name].base(tree.root)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_that_cannot_be_looked_into_holds_nothing(name):
    assert SOURCES[name].base("x" * 5000) is None  # no system takes so long a name


# Sub-ImageNet


def csv_tree(root, train, test=("filename,class", "b\\2.JPEG,b"), images="a/1.JPEG b/1.JPEG b/2.JPEG", at=""):
    root.mkdir(exist_ok=True)
    for name, lines in (("train.csv", train), ("test.csv", test)):
        (root / name).write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
    touch(root / at, *images.split())
    return root


TRAIN = ("filename,class", "b\\1.JPEG,b", "a\\1.JPEG,a")


@pytest.mark.parametrize("at", ["", "images", "images/all"])
@pytest.mark.parametrize(
    "train",
    [
        TRAIN,
        [line.replace("\\", "/") for line in TRAIN],
        "\r\n".join(TRAIN).encode("utf-8-sig"),  # a byte order mark and carriage returns
        [" filename , class", "./b\\1.JPEG,b", "", " a\\1.JPEG , a ", ""],
    ],
)
def test_sub_imagenet_reads_csvs_of_any_making_and_images_from_any_near_folder(tmp_path, train, at):
    listing = read_listing("sub_imagenet", csv_tree(tmp_path, train, at=at))
    start = f"{at}/" if at else ""
    assert listing.classes == ("a", "b")
    assert listing.train == (Entry(f"{start}b/1.JPEG", 1), Entry(f"{start}a/1.JPEG", 0))
    assert listing.test == (Entry(f"{start}b/2.JPEG", 1),)
    assert listing.problems == {}


def test_sub_imagenet_finds_each_split_in_a_folder_of_its_own(tmp_path):
    touch(tmp_path, "train/a/1.JPEG", "train/b/1.JPEG", "test/b/2.JPEG")
    listing = read_listing("sub_imagenet", csv_tree(tmp_path, TRAIN, images=""))
    assert [entry.path for entry in listing.train] == ["train/b/1.JPEG", "train/a/1.JPEG"]
    assert [entry.path for entry in listing.test] == ["test/b/2.JPEG"]


def test_sub_imagenet_finds_the_folder_though_whole_classes_are_absent(tmp_path):
    train = ["filename,class", *(f"a\\{n}.JPEG,a" for n in range(100)), *(f"b\\{n}.JPEG,b" for n in range(10, 19))]
    images = " ".join(f"b/{n}.JPEG" for n in (2, *range(10, 19)))
    listing = read_listing("sub_imagenet", csv_tree(tmp_path, train, images=images, at="x"))
    assert [entry.path for entry in listing.train] == [f"x/b/{n}.JPEG" for n in range(10, 19)]
    assert listing.classes == ("a", "b")
    assert listing.problems == {
        "listed but absent": tuple(f"x/a/{n}.JPEG" for n in range(100)),
        "class without training images": ("a",),
    }


def test_sub_imagenet_takes_the_folder_that_holds_most(tmp_path):
    train = ["filename,class", *(f"a\\{n}.JPEG,a" for n in range(9)), "b\\1.JPEG,b"]
    touch(tmp_path, "few/a/1.JPEG", *(f"most/a/{n}.JPEG" for n in range(5)))
    listing = read_listing("sub_imagenet", csv_tree(tmp_path, train, images="b/1.JPEG b/2.JPEG", at="most"))
    assert [entry.path for entry in listing.train] == [*(f"most/a/{n}.JPEG" for n in range(5)), "most/b/1.JPEG"]


def test_sub_imagenet_names_every_problem(tmp_path):
    touch(tmp_path, "secret.JPEG")
    outside = ["..\\secret.JPEG,a", f"{tmp_path}\\secret.JPEG,a"]
    train = [*TRAIN, "b\\1.JPEG,b", "a\\9.JPEG,a", "A\\3.jpeg,a", "a,a", "just one column", ",a", "b\\2.JPEG,b", ""]
    test = ["class,more,filename", "b,,b\\2.JPEG", "c,,b\\1.JPEG", "z,,z\\0.JPEG"]
    images = "a/1.JPEG a/3.JPEG b/1.JPEG b/2.JPEG"
    listing = read_listing("sub_imagenet", csv_tree(tmp_path / "data", [*train, *outside], test, images=images))
    assert listing.problems == {
        "malformed line": ("just one column", ",a"),
        "listed twice": ("b/1.JPEG",),
        "listed but absent": ("a/9.JPEG", "a", "../secret.JPEG", f"{tmp_path}/secret.JPEG"),  # "a" is a folder
        "found under other case": ("A/3.jpeg",),
        "unknown label": ("b/1.JPEG", "z/0.JPEG"),
        "in train and test": ("b/2.JPEG",),
    }
    assert listing.train == (Entry("b/1.JPEG", 1), Entry("a/1.JPEG", 0), Entry("a/3.JPEG", 0), Entry("b/2.JPEG", 1))
    assert listing.test == (Entry("b/2.JPEG", 1),)  # kept: the authors' code would test on it, too


def test_sub_imagenet_sets_aside_what_is_of_two_classes_in_one_list(tmp_path):
    train = [*TRAIN, "a\\2.JPEG,a", "a\\2.JPEG,a", "a\\2.JPEG,b", "A\\2.jpeg,b", "b\\2.JPEG,a", "b\\2.JPEG,b"]
    images = "a/1.JPEG a/2.JPEG b/1.JPEG b/2.JPEG"
    listing = read_listing("sub_imagenet", csv_tree(tmp_path, train, images=images))
    assert listing.problems == {"listed under two classes": ("a/2.JPEG", "b/2.JPEG")}
    assert listing.train == (Entry("b/1.JPEG", 1), Entry("a/1.JPEG", 0))
    assert listing.test == (Entry("b/2.JPEG", 1),)  # whose own list is of one mind


# Intel


@pytest.mark.parametrize("doubled", [0, 1, 2])
def test_intel_reads_folders_however_often_doubled(tmp_path, doubled):
    for split in ("seg_train", "seg_test"):
        inner = "/".join([split] * (doubled + 1))
        touch(tmp_path, f"{inner}/sea/2.jpg", f"{inner}/sea/10.jpg", f"{inner}/forest/1.jpg")
    touch(tmp_path, "seg_pred/seg_pred/7.jpg")
    listing = read_listing("intel", tmp_path)
    inner = "/".join(["seg_train"] * (doubled + 1))
    assert listing.classes == ("forest", "sea")
    assert listing.train == (
        Entry(f"{inner}/forest/1.jpg", 0),
        Entry(f"{inner}/sea/10.jpg", 1),
        Entry(f"{inner}/sea/2.jpg", 1),
    )
    assert len(listing.test) == 3
    assert listing.problems == {}


def test_intel_takes_all_suffixes_and_passes_over_leavings(tmp_path):
    leavings = ("Thumbs.db", ".DS_Store", "._1.jpg", "desktop.ini")
    touch(tmp_path, *(f"seg_train/sea/{name}" for name in ("1.JPG", "2.jpeg", "3.png", "4", *leavings)))
    touch(tmp_path, "seg_train/.ipynb_checkpoints/1.jpg", "seg_train/__MACOSX/1.jpg", "seg_train/loose.jpg")
    touch(tmp_path, "seg_test/sea/1.jpg", "seg_test/lake/1.jpg", "seg_test/lake/2.jpg")
    (tmp_path / "seg_train" / "desert").mkdir()
    listing = read_listing("intel", tmp_path)
    assert [entry.path for entry in listing.train] == [f"seg_train/sea/{n}" for n in ("1.JPG", "2.jpeg", "3.png", "4")]
    assert listing.classes == ("desert", "sea")
    assert listing.problems == {
        "unknown label": ("seg_test/lake/1.jpg", "seg_test/lake/2.jpg"),
        "class without training images": ("desert",),
    }


# MIT Indoor Scenes


def mit_tree(root, train, test="nursery/t.jpg", images="indoorCVPR_09/Images", lists=""):
    (root / lists).mkdir(parents=True, exist_ok=True)
    (root / lists / "TrainImages.txt").write_bytes(train.encode())
    (root / lists / "TestImages.txt").write_bytes(test.encode())
    touch(root / images, "nursery/baby's_room.jpg.jpg", "nursery/a quiet room.jpg", "nursery/t.jpg", "bar/1.jpg")
    return root


ROOMS = ("nursery/baby's_room.jpg.jpg", "nursery/a quiet room.jpg", "bar/1.jpg")


@pytest.mark.parametrize(("end", "last"), [("\n", ""), ("\n", "\n"), ("\r\n", "\r\n\r\n"), ("\r\n  \r\n", "")])
def test_mit_reads_names_with_spaces_and_apostrophes(tmp_path, end, last):
    listing = read_listing("mit", mit_tree(tmp_path, end.join(ROOMS) + last))
    assert listing.classes == ("bar", "nursery")
    assert listing.train == (Entry(ROOMS[0], 1), Entry(ROOMS[1], 1), Entry(ROOMS[2], 0))
    assert listing.test == (Entry("nursery/t.jpg", 1),)
    assert listing.problems == {}


@pytest.mark.parametrize("lists", ["", "lists"])
@pytest.mark.parametrize(
    "images", ["indoorCVPR_09/Images", "Images", "Images/Images", "indoorCVPR_09/indoorCVPR_09/Images"]
)
def test_mit_finds_lists_and_images_in_any_usual_folder(tmp_path, images, lists):
    listing = read_listing("mit", mit_tree(tmp_path, "\n".join(ROOMS), images=images, lists=lists))
    assert listing.root == tmp_path / images
    assert len(listing.train) == 3


def test_mit_names_every_problem(tmp_path):
    train = [*ROOMS, "nursery", "a/b/c.jpg", "/1.jpg", "bar/", "Bar/1.JPG", "BAR/none.jpg", ROOMS[1], "nursery/t.jpg"]
    listing = read_listing("mit", mit_tree(tmp_path, "\n".join(train), "nursery/t.jpg\nattic/1.jpg"))
    assert listing.classes == ("bar", "nursery")  # no class of its own for another spelling of a folder
    assert listing.problems == {
        "malformed line": ("nursery", "a/b/c.jpg", "/1.jpg", "bar/"),
        "listed but absent": ("BAR/none.jpg",),
        "listed twice": ("Bar/1.JPG", ROOMS[1]),
        "unknown label": ("attic/1.jpg",),
        "in train and test": ("nursery/t.jpg",),
    }


def test_mit_takes_the_first_file_under_other_case_only_where_the_exact_one_is_absent(tmp_path):
    root = mit_tree(tmp_path, "\n".join([*ROOMS, "Nursery/A Quiet Room.JPG", "bar/NEW.jpg"]))
    touch(root / "indoorCVPR_09" / "Images" / "bar", "new.jpg", "New.jpg")
    listing = read_listing("mit", root)
    assert listing.problems == {
        "listed twice": ("Nursery/A Quiet Room.JPG",),
        "found under other case": ("bar/NEW.jpg",),
    }
    assert listing.train[-1] == Entry("bar/New.jpg", 0)


def test_mit_keeps_a_listed_class_whose_images_are_all_absent(tmp_path):
    listing = read_listing("mit", mit_tree(tmp_path, "\n".join(["attic/1.jpg", *ROOMS])))
    assert listing.classes == ("attic", "bar", "nursery")
    assert listing.problems == {"listed but absent": ("attic/1.jpg",), "class without training images": ("attic",)}


# Tiny-ImageNet


def tiny_tree(root, annotations="v.JPEG\tn02\t0\t0\t9\t9\n", words=None):
    base = root / "tiny-imagenet-200"
    touch(base, "train/n01/images/a.JPEG", "train/n02/images/b.JPEG", "train/n10/images/c.JPEG")
    touch(base, "val/images/v.JPEG", "val/images/w.JPEG", "test/images/t.JPEG")
    (base / "wnids.txt").write_text("n10\nn02\nn01")
    default = "n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tcrane\nn10\tcrane, tall machine\n"
    (base / "words.txt").write_text(default if words is None else words)
    (base / "val" / "val_annotations.txt").write_text(annotations)
    return base


def test_tiny_imagenet_names_its_classes_by_their_first_words(tmp_path):
    base = tiny_tree(tmp_path)
    for root in (tmp_path, base):
        listing = read_listing("tiny_imagenet", root)
        assert listing.classes == ("goldfish", "crane (n02)", "crane (n10)")
        assert listing.train[1] == Entry("train/n02/images/b.JPEG", 1)
        assert listing.test == (Entry("val/images/v.JPEG", 1),)  # the test images have no labels
        assert listing.problems == {}
    tiny_tree(tmp_path, words="n01\tgoldfish\n")
    assert read_listing("tiny_imagenet", tmp_path).classes == ("goldfish", "n02", "n10")


def test_tiny_imagenet_names_every_problem(tmp_path):
    lines = ["v.JPEG\tn02\t0", "w.JPEG n01 0", "w.JPEG\tn99\t0", "x.JPEG\tn01\t0", "v.JPEG\tn02\t0", "", " "]
    base = tiny_tree(tmp_path, annotations="\n".join([*lines, "w.JPEG\tn01", "w.JPEG\tn02"]))
    touch(base, "train/n50/images/d.JPEG")
    shutil.rmtree(base / "train" / "n01")
    listing = read_listing("tiny_imagenet", tmp_path)
    assert listing.test == (Entry("val/images/v.JPEG", 1),)
    assert listing.problems == {
        "malformed line": ("w.JPEG n01 0",),
        "unknown label": ("train/n50/images/d.JPEG", "val/images/w.JPEG"),
        "listed but absent": ("val/images/x.JPEG",),
        "listed twice": ("val/images/v.JPEG",),
        "listed under two classes": ("val/images/w.JPEG",),
        "class without training images": ("goldfish",),
    }


# Refusals


def unlisted(tmp_path, file):
    (tiny_tree(tmp_path) / file).unlink()


def a_folder_as_list(tmp_path):
    (csv_tree(tmp_path, TRAIN) / "test.csv").unlink()
    (tmp_path / "test.csv").mkdir()


def mit_without_images(tmp_path):
    shutil.rmtree(mit_tree(tmp_path, "\n".join(ROOMS)) / "indoorCVPR_09")


@pytest.mark.parametrize(
    ("name", "build", "train", "message"),
    [
        ("sub_imagenet", csv_tree, b"file,label\na\\1.JPEG,a", r"the columns 'f.+; it has 'file', 'label'\. Correct"),
        ("sub_imagenet", csv_tree, b"filename;class\na\\1.JPEG;a", r"separated by a comma; it has 'filename;class'\."),
        ("sub_imagenet", csv_tree, b"", r"it has none\. Correct"),
        ("sub_imagenet", csv_tree, "\n".join(TRAIN).encode("utf-16"), r"train\.csv' can't be read \(it is not UTF-8"),
        ("sub_imagenet", csv_tree, b"filename,class\nk\xe4se\\1.JPEG,a\n", r"it is not UTF-8 text\)\. Correct it, or"),
        ("sub_imagenet", csv_tree, b"filename,class\n", r"'train\.csv' in '.+' lists no image\. Unpack"),
        ("sub_imagenet", csv_tree, b"filename,class\na\\1.JPEG," + b"x" * 200_000, r"train\.csv' is not a CSV file \("),
        ("sub_imagenet", a_folder_as_list, None, r"test\.csv' can't be read \(Is a directory"),
        ("sub_imagenet", csv_tree, (TRAIN, TRAIN[:1], ""), r"'train\.csv' lists are not in '.+' or its .+'b/1\.JPEG'"),
        ("sub_imagenet", csv_tree, (TRAIN, [TRAIN[0], "b\\2.JPEG,c"]), r"its test split \(1 unknown label\)\. Unpack"),
        (
            *("sub_imagenet", csv_tree, (TRAIN, [TRAIN[0], "b\\2.JPEG,a", "b\\2.JPEG,b"])),
            r"in its test split \(1 listed under two classes\)\. Unpack",
        ),
        ("intel", touch, ("seg_train/sea/1.jpg", "seg_test/sea/.DS_Store"), r"in its test split \(it is empty\)\. Unp"),
        ("mit", mit_without_images, None, r"'TrainImages\.txt' lists are not in .+Unpack the whole archive"),
        ("tiny_imagenet", unlisted, ("words.txt",), r"words\.txt' can't be read \(No such file or directory\)\. Cor"),
        ("tiny_imagenet", unlisted, ("val/val_annotations.txt",), r"val_annotations\.txt' can't be read \(No such"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, build, train, message):
    build(tmp_path, *(train if isinstance(train, tuple) else () if train is None else (train,)))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_listing(name, tmp_path)


# Arrays


SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}


def read_arrays(name, root):
    return listings.read_arrays(SOURCES[name], root)


@pytest.mark.parametrize("defects", [0, 0.2])
@pytest.mark.parametrize("name", SHAPES)
def test_arrays_are_read_and_labels_out_of_range_are_named(tmp_path, name, defects):
    tree = build_tree(name, tmp_path, per_class=(30, 5), classes=6, defects=defects)
    train, test, problems = read_arrays(name, str(tree.root))
    assert SOURCES[name].classes == tree.classes
    for split, (images, labels) in (("train", train), ("test", test)):
        expected = list(tree.labels(split).values())
        assert (images.dtype, images.shape) == (np.uint8, (len(expected), *SHAPES[name]))
        assert images.flags.c_contiguous
        assert labels.dtype == np.int64
        assert labels.tolist() == expected
        # Every image has kept its own label: the trees' colours tell the class.
        colours = images.reshape(len(images), -1, images.shape[-1] if images.ndim == 4 else 1).mean(1)
        centres = np.stack([colours[labels == label].mean(0) for label in range(6)])
        assert (np.linalg.norm(colours[:, None] - centres, axis=-1).argmin(1) == labels).all()
    assert problems == {reason: tuple(names) for reason, names in tree.defects.items()}
    assert bool(problems) == bool(defects)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py"])
def test_cifar10_is_read_from_where_keras_and_its_archive_put_it_and_planes_become_pixels(tmp_path, inner):
    write_cifar10(tmp_path / inner)
    assert SOURCES["cifar10"].base(str(tmp_path)) == tmp_path / inner
    (images, labels), _, _ = read_arrays("cifar10", tmp_path)
    assert images[0, 5, 7].tolist() == [1, 2, 3]
    assert images[1, 0, 31].tolist() == [0, 200, 0]
    assert labels.tolist() == [n % 10 for n in range(10)]


def write_mnist(folder, **changes):
    """A small MNIST; ``x_train=None`` leaves an array out."""
    arrays = {
        "x_train": np.zeros((4, 28, 28), np.uint8),
        "y_train": np.arange(4, dtype=np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    } | changes
    np.savez(folder / "mnist.npz", **{key: array for key, array in arrays.items() if array is not None})
    return folder


def batch(labels, dtype="uint8", columns=3072):
    data = np.zeros((len(labels), columns), dtype)
    if len(labels) == 2 and columns == 3072:
        data[0, [5 * 32 + 7, 1024 + 5 * 32 + 7, 2048 + 5 * 32 + 7]] = 1, 2, 3
        data[1, 1024 + 31] = 200
    return {b"data": data, b"labels": labels}


def write_cifar10(folder, name=None, content=None):
    """A small CIFAR-10 of two images in each batch; the file ``name`` holds ``content`` (bytes, or an object)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        held = content if file == name else batch([(2 * number) % 10, (2 * number + 1) % 10])
        (folder / file).write_bytes(held if isinstance(held, bytes) else pickle.dumps(held, protocol=2))
    return folder


def write_arrays(name, folder, content):
    """MNIST with these arrays, or CIFAR-10 with this third batch; None: without it."""
    if name == "mnist":
        return write_mnist(folder, **content)
    write_cifar10(folder, "data_batch_3", content)
    if content is None:
        (folder / "data_batch_3").unlink()
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "mnist",
            {"x_train": None, "y_test": None},
            r"mnist\.npz' lacks x_train, y_test\. Delete it and get it again\.",
        ),
        ("mnist", {"x_train": np.zeros((4, 28, 28))}, r"hold uint8 images \(N, 28, 28\).+holds float64 \(4, 28, 28\)"),
        ("mnist", {"x_test": np.zeros((2, 27, 28), np.uint8)}, r"it holds uint8 \(2, 27, 28\) and uint8 \(2,\)\."),
        ("mnist", {"x_test": np.zeros((28, 28), np.uint8)}, r"it holds uint8 \(28, 28\)"),
        ("mnist", {"y_train": np.arange(3)}, r"it holds uint8 \(4, 28, 28\) and int64 \(3,\)\."),
        ("mnist", {"y_train": np.linspace(0, 1, 4)}, r"and float64 \(4,\)\."),
        ("mnist", {"y_train": np.full((4, 10), 1)}, r"and int64 \(4, 10\)\."),
        ("mnist", {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, int)}, r"uint8 \(0, 28, 28\)"),
        ("mnist", {"y_test": np.array([10, 200])}, r"no image with a label from 0 to 9 in its test split\. Delete"),
        ("mnist", {"y_test": np.array([[], ()], object)}, r"damaged or not an \.npz archive of plain arrays"),
        ("cifar10", {b"labels": [1]}, r"data_batch_3' is damaged or not a batch .+\('data'\)\. Delete it and get it"),
        ("cifar10", batch([1, 2], columns=3071), r"hold uint8 images \(N, 3072\).+it holds uint8 \(2, 3071\)"),
        ("cifar10", batch([1, 2], dtype="float32"), r"it holds float32 \(2, 3072\)"),
        ("cifar10", {b"data": [1, 2], b"labels": [1, 2]}, r"it holds list and int64 \(2,\)"),
        ("cifar10", batch([1, 2]) | {b"labels": [1, 2, 3]}, r"and int64 \(3,\)"),
        ("cifar10", batch([1, 2]) | {b"labels": [b"1", b"2"]}, r"and \|S1 \(2,\)"),
        ("cifar10", batch([1, 2]) | {b"labels": [1, [2, 3]]}, "is damaged or not a batch"),
        ("cifar10", None, r"'data_batch_3' is missing in '.+'\. Unpack the archive again\."),
    ],
)
def test_arrays_with_something_else_in_them_are_refused(tmp_path, name, content, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_arrays(name, write_arrays(name, tmp_path, content))


def test_labels_in_a_column_and_below_zero(tmp_path):
    write_mnist(tmp_path, y_train=np.array([[3], [-1], [9], [10]]))
    (images, labels), _, problems = read_arrays("mnist", tmp_path)
    assert (labels.tolist(), images.shape) == ([3, 9], (2, 28, 28))
    assert problems == {"unknown label": ("train/1", "train/3")}


@pytest.mark.parametrize("content", [b"", None, b"<html>404</html>", pickle.dumps([1, 2])], ids=str)
@pytest.mark.parametrize(("name", "file"), [("mnist", "mnist.npz"), ("cifar10", "data_batch_3")])
def test_a_damaged_file_is_refused(tmp_path, name, file, content):
    path = (write_mnist(tmp_path) if name == "mnist" else write_cifar10(tmp_path)) / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(ValueError, match=rf"{file}' is damaged or not an? (\.npz|batch).+Delete it and get it again"):
        read_arrays(name, tmp_path)


def official_pickle():
    """The opcodes of the archive's own batches, of Python 2: byte strings, and NumPy's functions as named then."""
    data = np.full((1, 3072), 9, np.uint8).tobytes()
    return (
        b"\x80\x02}(U\x06labels](K\x03eU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff"
        b"\xff\xffK\x00tb\x89T" + len(data).to_bytes(4, "little") + data + b"tbu."
    )


AGAIN = {"data": np.full((1, 3072), 9, np.uint8), "labels": np.array([3]), "note": "größer"}


@pytest.mark.parametrize("content", [official_pickle(), pickle.dumps(AGAIN, protocol=4)], ids=["Python 2", "anew"])
def test_the_official_pickle_and_one_made_anew_are_read(tmp_path, content):
    _, (images, labels), _ = read_arrays("cifar10", write_cifar10(tmp_path, "test_batch", content))
    assert images.shape == (1, 32, 32, 3)
    assert (images == 9).all()
    assert labels.tolist() == [3]


class Runs:
    """Unpickled by others, it would run a command."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, subprocess.Popen, eval, shutil.rmtree])
def test_a_pickle_that_asks_for_more_than_arrays_is_refused(tmp_path, function):
    marker = tmp_path / "marker"
    marker.mkdir()
    command = {eval: f"__import__('os').rmdir({str(marker)!r})"}.get(function, f"rmdir {marker}")
    write_cifar10(tmp_path, "data_batch_1", batch([1, 2]) | {b"more": Runs(function, command)})
    with pytest.raises(ValueError, match=rf"data_batch_1' .+it asks for \S+\.{function.__name__}, which no array"):
        read_arrays("cifar10", tmp_path)
    assert marker.is_dir()
