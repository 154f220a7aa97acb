"""The imitated datasets hold what their builders say: or the tests on them would prove nothing."""

import csv
import hashlib
import warnings

import numpy as np
import pytest
from contents import picture, write_content
from PIL import Image, UnidentifiedImageError
from trees import BUILDERS, MOST, UNREADABLE, build_tree

FOLDERS = ("sub_imagenet", "intel", "mit", "tiny_imagenet")


def colours(tree, split):
    """Mean colour (N, 3) and label (N,) of a split's images, read without the code under test."""
    means = []
    for path in tree.labels(split):
        with Image.open(tree.images / path) as image:
            means.append(np.asarray(image.convert("RGB")).mean((0, 1)))
    return np.array(means), np.array(list(tree.labels(split).values()))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_mean_colour_tells_the_class(tmp_path, name):
    """Of the images in colour; one wrong label and the grey images are allowed for."""
    tree = build_tree(name, tmp_path, classes=6, defects=0.05)
    train, train_labels = colours(tree, "train")
    test, test_labels = colours(tree, "test")
    centres = np.stack([np.median(train[train_labels == label], axis=0) for label in range(6)])
    nearest = np.linalg.norm(test[:, None] - centres, axis=-1).argmin(1)
    assert (nearest != test_labels).sum() <= 1


@pytest.mark.parametrize("name", BUILDERS)
def test_counts_and_defects(tmp_path, name):
    for defects in (0, 0.05):
        tree = build_tree(name, tmp_path / str(defects), per_class=(5, 3), classes=3, defects=defects)
        more = len(tree.defects.get("found under other case", ()))  # good images that are misspelt
        assert tree.train + tree.test == 24 + more
        assert tree.test >= 9
        assert bool(tree.defects) == bool(defects)
    kinds = set(tree.defects)
    if name in FOLDERS:
        assert {*UNREADABLE, "unknown label"} <= kinds
        assert ({"listed but absent", "listed twice"} <= kinds) == (name != "intel")
    else:
        assert kinds == {"unknown label"}


@pytest.mark.parametrize("name", FOLDERS)
def test_good_files_can_be_read_and_bad_ones_cannot(tmp_path, name):
    tree = build_tree(name, tmp_path, image_size=64, defects=0.2)
    for path in (*tree.train_labels, *tree.test_labels):
        with Image.open(tree.images / path) as image:
            image.load()
            assert image.size == (64, 64)
            kind = tree.formats.get(path, "JPEG")
            assert image.format == {"CMYK": "JPEG", "grey": "JPEG", "animated GIF": "GIF"}.get(kind, kind)
            assert image.mode == {"CMYK": "CMYK", "grey": "L"}.get(kind, image.mode)
            assert getattr(image, "n_frames", 1) == (2 if kind == "animated GIF" else 1)
    assert len(tree.unreadable) >= 3
    for path in tree.unreadable:
        with pytest.raises(OSError, match="."), Image.open(tree.images / path) as image:
            image.load()
    for path in tree.defects.get("listed but absent", ()):
        assert not (tree.images / path).exists()


def test_the_same_seed_builds_the_same_files(tmp_path):
    for name in BUILDERS:
        digests = []
        for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
            root = build_tree(name, tmp_path / name / folder, per_class=(2, 1), classes=2, seed=seed).root
            files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".npz")
            digests.append([(path.relative_to(root), path.read_bytes()) for path in files])
        assert digests[0] == digests[1]
        assert (digests[0] != digests[2]) or name == "mnist"  # an archive holds its own date


def test_sub_imagenet_as_the_authors_list_it(tmp_path):
    tree = build_tree("sub_imagenet", tmp_path)
    with open(tree.root / "train.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["filename", "class"]
    assert len(rows) == 32
    assert all(name.count("\\") == 1 and name.endswith(".JPEG") and kind in tree.classes for name, kind in rows)
    assert {"PNG", "CMYK"} <= set(tree.formats.values())


def test_intel_holds_the_same_picture_twice(tmp_path):
    tree = build_tree("intel", tmp_path, per_class=(10, 3))
    sizes, seen = set(), {}
    for path, label in (tree.train_labels | tree.test_labels).items():
        data = (tree.images / path).read_bytes()
        seen.setdefault(hashlib.sha256(data).hexdigest(), []).append((path, label))
        with Image.open(tree.images / path) as image:
            sizes.add(image.size)
    copies = sorted(tuple(path for path, _ in pair) for pair in seen.values() if len(pair) > 1)
    assert copies == sorted(pair for pairs in tree.duplicates.values() for pair in pairs)
    ((one, other),) = tree.duplicates["conflicting labels"]
    assert tree.train_labels[one] != tree.train_labels[other]
    ((one, other),) = tree.duplicates["in train and test"]
    assert tree.train_labels[one] == tree.test_labels[other]
    assert sizes == {(150, 150), (150, 136)}
    assert (tree.root / "seg_pred" / "seg_pred").is_dir()


def test_mit_as_its_lists_are(tmp_path):
    tree = build_tree("mit", tmp_path)
    lists = [(tree.root / f"{split}Images.txt").read_bytes() for split in ("Train", "Test")]
    assert all(not data.endswith(b"\n") and b"\r" not in data for data in lists)
    names = [line for data in lists for line in data.decode().split("\n")]
    assert len(names) == len(set(names)) == 48
    assert "nursery/baby's_room.jpg.jpg" in names
    assert any(" " in name for name in names)
    for suffix in ("_gif.jpg", "_png.jpg", "_bmp.jpg"):
        assert any(name.endswith(suffix) for name in names)
    assert {"GIF", "animated GIF", "PNG", "BMP"} <= set(tree.formats.values())


def test_tiny_imagenet_as_it_unpacks(tmp_path):
    base = build_tree("tiny_imagenet", tmp_path).root / "tiny-imagenet-200"
    wnids = (base / "wnids.txt").read_text().split()
    assert wnids != sorted(wnids)
    assert sorted(path.name for path in (base / "train").iterdir()) == sorted(wnids)
    rows = [line.split("\t") for line in (base / "val" / "val_annotations.txt").read_text().splitlines()]
    assert len(rows) == 16
    assert all(len(row) == 6 and (base / "val" / "images" / row[0]).exists() and row[1] in wnids for row in rows)
    assert set(wnids) < {line.split("\t")[0] for line in (base / "words.txt").read_text().splitlines()}


@pytest.mark.parametrize("name", BUILDERS)
def test_all_classes_can_be_built_and_no_more(tmp_path, name):
    options = {"image_size": 16} if name in FOLDERS else {}
    tree = build_tree(name, tmp_path, per_class=(1, 1), classes=MOST[name], **options)
    assert (tree.train, tree.test) == (MOST[name], MOST[name])
    with pytest.raises(ValueError, match=f"from 1 to {MOST[name]} classes; received {MOST[name] + 1}"):
        build_tree(name, tmp_path, classes=MOST[name] + 1)


def test_every_content_is_readable_or_not_as_it_says(tmp_path):
    contents = write_content(tmp_path)
    assert len({content.path for content in contents.values()}) == len(contents) == 27
    assert len(list(tmp_path.iterdir())) == 27
    for name, (path, readable) in contents.items():
        if readable:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # transparency in a palette
                with Image.open(path) as image:
                    assert np.asarray(image.convert("RGBA")).shape == (48, 64, 4), name
        else:
            with (
                pytest.raises((OSError, UnidentifiedImageError, Image.DecompressionBombError)),
                Image.open(path) as image,
            ):
                image.load()
    with Image.open(contents["PNG"].path) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture()))
    assert contents["bomb"].path.stat().st_size < 100_000
