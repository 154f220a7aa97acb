"""MNIST and CIFAR-10 from their own files: every place, every kind of damage, and no pickle that runs code."""

import io
import os
import pickle
import shutil
import subprocess

import numpy as np
import pytest
from trees import CIFAR10, build_tree

from wisesr_helpers.data import listings
from wisesr_helpers.data.sources import SOURCES


def read_arrays(name, root):
    return SOURCES[name].classes, *listings.read_arrays(SOURCES[name], root)


SHAPES = {"mnist": (28, 28), "cifar10": (32, 32, 3)}


@pytest.mark.parametrize("defects", [0, 0.2])
@pytest.mark.parametrize("name", SHAPES)
def test_arrays_are_read_and_labels_out_of_range_are_named(tmp_path, name, defects):
    tree = build_tree(name, tmp_path, classes=6, defects=defects)
    classes, train, test, problems = read_arrays(name, tree.root)
    assert classes == tree.classes
    for split, (images, labels) in (("train", train), ("test", test)):
        expected = list(tree.labels(split).values())
        assert images.dtype == np.uint8
        assert images.shape == (len(expected), *SHAPES[name])
        assert images.flags.c_contiguous
        assert labels.dtype == np.int64
        assert labels.tolist() == expected
    assert problems == {reason: tuple(names) for reason, names in tree.defects.items()}
    assert bool(problems) == bool(defects)


@pytest.mark.parametrize("name", SHAPES)
def test_leaving_an_image_out_leaves_every_other_with_its_label(tmp_path, name):
    _, train, test, _ = read_arrays(name, build_tree(name, tmp_path, per_class=(30, 5), defects=0.2).root)
    for images, labels in (train, test):
        colours = images.reshape(len(images), -1, images.shape[-1] if images.ndim == 4 else 1).mean(1)
        centres = np.stack([colours[labels == label].mean(0) for label in range(4)])
        nearest = np.linalg.norm(colours[:, None] - centres, axis=-1).argmin(1)
        assert (nearest == labels).mean() == 1


def test_planes_of_colour_become_pixels(tmp_path):
    write_cifar10(tmp_path)
    _, (images, labels), _, _ = read_arrays("cifar10", tmp_path)
    assert images[0, 5, 7].tolist() == [1, 2, 3]
    assert images[1, 0, 31].tolist() == [0, 200, 0]
    assert labels.tolist() == [n % 10 for n in range(10)]


def test_the_class_names_are_the_official_ones(tmp_path):
    write_cifar10(tmp_path)
    assert read_arrays("cifar10", tmp_path)[0] == tuple(CIFAR10)
    assert read_arrays("mnist", write_mnist(tmp_path))[0] == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


# Places


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "cifar-10-batches-py",
        "cifar-10-batches-py-target/cifar-10-batches-py",
        "cifar-10-batches-py/cifar-10-batches-py",
    ],
)
def test_cifar10_is_read_from_where_keras_and_its_archive_put_it(tmp_path, inner):
    write_cifar10(tmp_path / inner)
    assert SOURCES["cifar10"].base(str(tmp_path)) == tmp_path / inner
    assert len(read_arrays("cifar10", str(tmp_path))[1][1]) == 10


@pytest.mark.parametrize("name", SHAPES)
def test_absent_files_are_refused_with_what_is_expected(tmp_path, name):
    expected = {"mnist": "'mnist.npz' there", "cifar10": "'data_batch_1' and 'test_batch', or the folder"}[name]
    for root in (tmp_path, tmp_path / "absent"):
        assert SOURCES[name].base(root) is None
        with pytest.raises(
            FileNotFoundError, match=f"{SOURCES[name].title} is not at '{root}': expected {expected}.+Give the"
        ):
            read_arrays(name, root)


# Damage


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None, "y_test": None}, r"mnist\.npz' lacks x_train, y_test\. Delete it and get it again\."),
        ({"x_train": np.zeros((4, 28, 28))}, r"should hold uint8 images \(N, 28, 28\).+it holds float64 \(4, 28, 28\)"),
        ({"x_test": np.zeros((2, 27, 28), np.uint8)}, r"it holds uint8 \(2, 27, 28\) and uint8 \(2,\)\."),
        ({"x_test": np.zeros((28, 28), np.uint8)}, r"it holds uint8 \(28, 28\)"),
        ({"y_train": np.arange(3)}, r"it holds uint8 \(4, 28, 28\) and int64 \(3,\)\."),
        ({"y_train": np.array(3)}, r"and int64 \(\)\."),
        ({"y_train": np.linspace(0, 1, 4)}, r"and float64 \(4,\)\."),
        ({"y_train": np.full((4, 10), 1)}, r"and int64 \(4, 10\)\."),
        ({"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, int)}, r"it holds uint8 \(0, 28, 28\)"),
        ({"y_test": np.array([10, 200])}, r"no image with a label from 0 to 9 in its test split\. Delete"),
        ({"y_test": np.array([[], ()], object)}, r"damaged or not an \.npz archive of plain arrays"),
    ],
)
def test_an_mnist_with_something_else_in_it_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_arrays("mnist", write_mnist(tmp_path, **changes))


def test_labels_in_a_column_and_below_zero(tmp_path):
    write_mnist(tmp_path, y_train=np.array([[3], [-1], [9], [10]]))
    _, (images, labels), _, problems = read_arrays("mnist", tmp_path)
    assert labels.tolist() == [3, 9]
    assert images.shape == (2, 28, 28)
    assert problems == {"unknown label": ("train/1", "train/3")}


def _half(data):
    return data[: len(data) // 2]


def _flipped(data):
    middle = len(data) // 3
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 60]) + data[middle + 60 :]


DAMAGE = {
    "empty": lambda data: b"",
    "half": _half,
    "an HTML page": lambda data: b"<html>404</html>",
    "flipped": _flipped,
    "a single array": lambda data: npy(np.zeros(3)),
    "a pickle": lambda data: pickle.dumps([1, 2]),
}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_mnist_is_refused(tmp_path, damage):
    path = write_mnist(tmp_path) / "mnist.npz"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"mnist\.npz' is damaged or not an \.npz archive.+Delete it and get it again"):
        read_arrays("mnist", tmp_path)


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged or not a batch of CIFAR-10"),
        (_half(pickle.dumps(batch([1, 2]), protocol=2)), "is damaged or not a batch of CIFAR-10"),
        (b"<html>404</html>", "is damaged or not a batch of CIFAR-10"),
        ([1, 2], "is damaged or not a batch of CIFAR-10"),
        ({b"labels": [1]}, r"is damaged or not a batch .+\('data'\)"),
        (batch([1, 2], columns=3071), r"should hold uint8 images \(N, 3072\).+it holds uint8 \(2, 3071\)"),
        (batch([1, 2], dtype="float32"), r"it holds float32 \(2, 3072\)"),
        ({b"data": [1, 2], b"labels": [1, 2]}, r"it holds list and int64 \(2,\)"),
        (batch([1, 2]) | {b"labels": [1, 2, 3]}, r"and int64 \(3,\)"),
        (batch([1, 2]) | {b"labels": [b"1", b"2"]}, r"and \|S1 \(2,\)"),
        (batch([1, 2]) | {b"labels": [1, [2, 3]]}, "is damaged or not a batch"),
    ],
)
def test_a_damaged_batch_is_refused(tmp_path, content, message):
    write_cifar10(tmp_path, "data_batch_3", content)
    with pytest.raises(ValueError, match=rf"data_batch_3' .*{message}.*Delete it and get it again\."):
        read_arrays("cifar10", tmp_path)


def test_a_missing_batch_is_named(tmp_path):
    (write_cifar10(tmp_path) / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match=r"'data_batch_4' is missing in '.+'\. Unpack the archive again\."):
        read_arrays("cifar10", tmp_path)


def test_batches_pickled_anew_are_read(tmp_path):
    again = {"data": np.full((2, 3072), 7, np.uint8), "labels": np.array([1, 2]), "note": "größer"}
    write_cifar10(tmp_path, "test_batch", pickle.dumps(again, protocol=4))
    assert read_arrays("cifar10", tmp_path)[2][0].min() == 7


def test_the_official_pickle_of_python_2_is_read(tmp_path):
    """The opcodes of the archive's own batches: byte strings, and NumPy's functions under their name of then."""
    data = np.full((1, 3072), 9, np.uint8).tobytes()
    archive = (
        b"\x80\x02}(U\x06labels](K\x03eU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff"
        b"\xff\xffK\x00tb\x89T" + len(data).to_bytes(4, "little") + data + b"tbu."
    )
    write_cifar10(tmp_path, "test_batch", archive)
    _, _, (images, labels), _ = read_arrays("cifar10", tmp_path)
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
