"""Names that are no text, or more than a line, are shown so that they can be printed."""

import io
import json

from contents import ODD_NAMES, encode, picture, write_odd_names
from trees import build_tree

from wisesr_helpers.data.folders import check_folder
from wisesr_helpers.data.images import find_images, printable
from wisesr_helpers.data.load import load_dataset


def printed(*lines):
    """The lines that a stream of UTF-8 gets, which takes nothing else."""
    with io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict", newline="\n") as stream:
        print(*lines, sep="\n", file=stream)
        stream.seek(0)
        return stream.read().removesuffix("\n").split("\n")


def test_odd_names_are_shown_as_one_line_and_others_as_they_are():
    for name, expected in ODD_NAMES.items():
        assert printable(name) == printable(printable(name)) == expected
    for name in ("baby's_room.jpg.jpg", "käse 寺院 🏛.jpg", "dir\\file.JPEG", "a b\u202fc.png", "", "100%25.jpg"):
        assert printable(name) == name


def test_a_report_of_odd_names_can_be_printed(tmp_path):
    tree = build_tree("intel", tmp_path, per_class=(2, 1), image_size=24)
    for split in ("train", "test"):
        names = write_odd_names(tmp_path / f"seg_{split}" / f"seg_{split}" / tree.classes[0], b"")
    assert len(names) >= 2  # not every file system takes all of them
    dataset = load_dataset("intel", 24, tmp_path)
    assert len(dataset.train) == tree.train
    said = printed(*dataset.describe())
    assert len(said) == len(dataset.describe())
    assert said[-1].startswith(f"Note: {2 * len(names)} empty file (")
    reported = {name.rpartition("/")[2] for name in dataset.left_out["empty file"]}
    assert reported == set(names)
    printed(json.dumps(dataset.summary(), ensure_ascii=False))


def test_odd_names_that_can_be_read_are_used(tmp_path):
    tree = build_tree("intel", tmp_path, per_class=(2, 1), image_size=24)
    names = write_odd_names(tmp_path / "seg_train" / "seg_train" / tree.classes[0], encode(picture(), "JPEG"))
    dataset = load_dataset("intel", 24, tmp_path)
    assert len(dataset.train) == tree.train + len(names)
    assert dataset.left_out == {}


def test_a_folder_of_odd_names_and_odd_classes_can_be_told_of(tmp_path, capsys):
    for k, kind in enumerate((*ODD_NAMES, "plain")):
        try:
            (tmp_path / "own" / kind).mkdir(parents=True)
        except OSError:  # macOS takes UTF-8 only
            continue
        for n in range(2):
            (tmp_path / "own" / kind / f"{n}.png").write_bytes(encode(picture(24 + k, 24 + n), "PNG"))
    odd = write_odd_names(tmp_path / "own" / "plain", b"")
    beside = write_odd_names(tmp_path / "own", b"")
    check = check_folder(tmp_path / "own", 24)
    assert len(printed(check)) == len(check.describe())
    assert set(check.left_out["beside the class folders"]) == set(beside)
    assert set(check.left_out["empty file"]) == {f"plain/{name}" for name in odd}
    assert set(check.counts.index) <= {*ODD_NAMES.values(), "plain"}
    assert len(check.counts) == len(beside) + 1
    capsys.readouterr()
    write_odd_names(tmp_path / "own", b"no image", end=".txt")
    find_images(tmp_path / "own")
    (said,) = printed(capsys.readouterr().out.removesuffix("\n"))
    assert said.startswith("Passed over in '")
