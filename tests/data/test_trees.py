"""The imitated datasets hold what their builders say: or the tests on them would prove nothing."""

import warnings

import numpy as np
import pytest
from contents import picture, write_content
from PIL import Image, UnidentifiedImageError
from trees import BUILDERS, MOST, build_tree

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
