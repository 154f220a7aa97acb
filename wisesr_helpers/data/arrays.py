"""MNIST and CIFAR-10, which come as arrays: read from where Keras or their own archives put them."""

import pathlib
import pickle

import numpy as np

CLASSES = {
    "mnist": tuple("0123456789"),
    "cifar10": tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
}
MARKERS = {"mnist": ("mnist.npz",), "cifar10": ("data_batch_1", "test_batch")}
FOLDERS = {  # where below the root; Keras 3 unpacks CIFAR-10 into a folder "…-target"
    "mnist": ("",),
    "cifar10": (
        "cifar-10-batches-py",
        "cifar-10-batches-py-target/cifar-10-batches-py",
        "cifar-10-batches-py/cifar-10-batches-py",
        "",
    ),
}
UNKNOWN = "unknown label"
AGAIN = "Delete it and get it again"


def place(name, root):
    """The folder at or below ``root`` that holds the files of "mnist" or "cifar10"; None if there is none."""
    for inner in FOLDERS[name]:
        folder = pathlib.Path(root).expanduser() / inner
        try:
            if all((folder / marker).is_file() for marker in MARKERS[name]):
                return folder
        except OSError:  # a folder that may not be looked into
            continue
    return None


def read_arrays(name, root):
    """A dataset that comes as arrays.

    Args:
        name: "mnist" or "cifar10".
        root: Folder that holds ``mnist.npz`` or ``cifar-10-batches-py``; Keras' own ``datasets`` folder will do.

    Returns:
        ``(classes, (x_train, y_train), (x_test, y_test), problems)``: ten class names; images uint8
        (N, 28, 28) or (N, 32, 32, 3), contiguous; labels int64 (N,); and a dict, reason → names, of the images
        that were left out, each named by its split and its index there, "train/17".

    Raises:
        ValueError: ``name`` does not come as arrays, or a file is damaged or holds something else.
        FileNotFoundError: The files are not there.
    """
    if name not in CLASSES:
        raise ValueError(f"'{name}' does not come as arrays. Valid here: {', '.join(CLASSES)}.")
    folder = place(name, root)
    if folder is None:
        inner = f" or in its folder '{FOLDERS[name][0]}'" if FOLDERS[name][0] else ""
        raise FileNotFoundError(
            f"'{name}' is not at '{root}': expected {' and '.join(map(repr, MARKERS[name]))} there{inner}. "
            "Give the folder that holds them."
        )
    read = {"mnist": _mnist, "cifar10": _cifar10}[name]
    splits, problems = [], []
    for split, (images, labels, path) in read(folder).items():
        known = (labels >= 0) & (labels < len(CLASSES[name]))
        if not known.any():
            raise ValueError(
                f"'{path}' has no image with a label from 0 to {len(CLASSES[name]) - 1} in its {split} split. {AGAIN}."
            )
        problems += [f"{split}/{index}" for index in np.flatnonzero(~known)]
        # A copy of 150 MB only where something is left out.
        splits.append((images, labels) if known.all() else (images[known], labels[known]))
    return CLASSES[name], *splits, {UNKNOWN: tuple(problems)} if problems else {}


def _mnist(folder):
    """Split → (images (N, 28, 28), labels (N,), file)."""
    path = folder / "mnist.npz"
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in keys if key in archive}
    except Exception as error:  # a damaged archive raises whatever its damage hits
        raise _damaged(path, "an .npz archive of plain arrays", error) from error
    if len(arrays) < len(keys):
        raise ValueError(f"'{path}' lacks {', '.join(key for key in keys if key not in arrays)}. {AGAIN}.")
    return {
        split: (*_checked(arrays[f"x_{split}"], arrays[f"y_{split}"], (28, 28), path), path)
        for split in ("train", "test")
    }


def _cifar10(folder):
    """Split → (images (N, 32, 32, 3), labels (N,), file or folder)."""
    batches = [_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return {"train": (images, labels, folder), "test": (*_batch(folder / "test_batch"), folder / "test_batch")}


def _batch(path):
    """One pickled batch of CIFAR-10: images (N, 32, 32, 3), labels (N,)."""
    try:
        with open(path, "rb") as file:
            batch = _ArraysOnly(file, encoding="bytes").load()
            batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
            images, labels = batch["data"], np.asarray(batch["labels"])
    except FileNotFoundError as error:
        raise FileNotFoundError(f"'{path.name}' is missing in '{path.parent}'. Unpack the archive again.") from error
    except Exception as error:  # a damaged pickle raises whatever its damage hits
        raise _damaged(path, "a batch of CIFAR-10 (a pickled dict of 'data' and 'labels')", error) from error
    images, labels = _checked(images, labels, (3072,), path)
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels  # planes → (N, 32, 32, 3)


def _checked(images, labels, shape, path):
    """Images uint8 (N, *shape) and labels int64 (N,), or one sentence on what they are instead."""
    good_images = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == shape
    good_labels = labels.dtype.kind in "iu" and labels.shape in ((labels.size,), (labels.size, 1))
    if not (good_images and images.ndim > len(shape) and good_labels and len(images) == labels.size > 0):
        received = f"{getattr(images, 'dtype', type(images).__name__)} {getattr(images, 'shape', '')}".strip()
        raise ValueError(
            f"'{path}' should hold uint8 images (N, {', '.join(map(str, shape))}) and N whole-number labels; it holds "
            f"{received} and {labels.dtype} {labels.shape}. {AGAIN}."
        )
    return np.ascontiguousarray(images), labels.reshape(-1).astype(np.int64)


def _damaged(path, expected, error):
    return ValueError(f"'{path}' is damaged or not {expected} ({str(error) or type(error).__name__}). {AGAIN}.")


def _encode(text, encoding="utf-8"):
    """``codecs.encode`` for the one encoding that pickled bytes need."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec '{encoding}'")
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Unpickles numpy arrays, dicts, lists, strings and numbers; a pickle that asks for more is refused."""

    ALLOWED = {  # noqa: RUF012 — read-only
        "numpy _reconstruct": np._core.multiarray._reconstruct,
        "numpy ndarray": np.ndarray,
        "numpy dtype": np.dtype,
        "_codecs encode": _encode,
    }

    def find_class(self, module, name):
        # NumPy 1 wrote numpy.core.multiarray, NumPy 2 writes numpy._core.multiarray.
        plain = "numpy" if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        try:
            return self.ALLOWED[f"{plain} {name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs") from None
