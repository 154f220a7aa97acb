"""Heads on frozen features: a backbone is run once over all images, and then only heads are trained.

No image is augmented, since its features are computed once. They are kept as float16, half of what the backbone gives:
7×7×2,048 values an image still make a gigabyte for 5,000 images.
"""

import contextlib
import hashlib
import math
import os
import pathlib
import shutil

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Split
from wisesr_helpers.data.prepare import SPLITS
from wisesr_helpers.metrics import top_k_correct
from wisesr_helpers.models.backbones import build_backbone, preprocessing_of_weights
from wisesr_helpers.models.classifiers import connect, predict_split
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.progress import ProgressBar, ProgressLine
from wisesr_helpers.storage import default_cache, describe_size, write_whole
from wisesr_helpers.training.checkpoints import Checkpoint
from wisesr_helpers.training.loop import compile_model, reseed, train_epoch
from wisesr_helpers.training.recipes import Recipe
from wisesr_helpers.training.runs import canonical, pack, shown, unpack
from wisesr_helpers.versions import VERSIONS

# Adam, because the features of backbones differ in size and its steps don't; the last epoch's rate is a twentieth.
RECIPE = Recipe(epochs=30, batch_size=32, learning_rate=1e-3, momentum=None, decay_rate=0.9, decay_epochs=1)
BATCH = 32  # images that the backbone sees at once
NOTED = 16  # batches between two moments from which an interrupted computation of features goes on


class FrozenFeatures:
    """The last feature maps of a dataset's images, computed once and memory-mapped afterwards.

    Weights are None (random, of seed 0), "imagenet", or the path of a weights file; ``preprocessing=None`` is for
    "imagenet" what those weights were trained with. ``train`` and ``test`` are float16 arrays (N, h, w, C); ``state``
    is the SHA-256 of the backbone's weights and layers. ``cache=None`` is the per-user folder.

    ValueError where a feature is larger than float16 can hold, OSError where there is no room for the features.
    """

    def __init__(self, dataset, backbone, weights=None, cache=None, preprocessing=None):
        self.dataset = dataset
        keras.utils.set_random_seed(0)
        if preprocessing is None and weights == "imagenet":
            preprocessing = preprocessing_of_weights(backbone)
        self.backbone = build_backbone(backbone, dataset.train.size, weights, preprocessing)
        self.backbone.trainable = False
        folder = (pathlib.Path(cache).expanduser() if cache else default_cache()) / "features"
        self.state = _digest(self.backbone)
        paths = {split: folder / f"{backbone}-{_name(getattr(dataset, split), self.state)}.npy" for split in SPLITS}
        self._make_room(folder, paths)
        self.train, self.test = (self._features(split, path) for split, path in paths.items())

    def _make_room(self, folder, paths):
        """Print how large the missing features are; raise OSError where there is no room for them."""
        missing = sum(len(getattr(self.dataset, split)) for split, path in paths.items() if not path.exists())
        if not missing:
            print(f"The features are taken from '{shown(folder)}'.")
            return
        shape = self.backbone.output_shape[1:]
        sides, needed = "×".join(f"{side:,}" for side in shape), 2 * missing * math.prod(shape)
        size = describe_size(needed)
        print(f"Features of {missing:,} images, {sides} each, as float16: {size}, kept in '{shown(folder)}'.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"'{folder}' can't be made ({error.strerror}): give another folder with cache.") from error
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise OSError(
                f"The features take {size}, and '{folder}' has room for {describe_size(free)}: give another folder "
                "with cache, or smaller images."
            )

    def _features(self, split, path):
        """A split's features, computed where they are not kept yet."""
        images = getattr(self.dataset, split)
        shape = (len(images), *self.backbone.output_shape[1:])
        if _read(path, shape) is None:
            _compute(self.backbone, images, path, shape, f"features of {split}")
        return _read(path, shape)

    def train_head(self, head, seed, recipe=RECIPE, checkpoints=None, **options):
        """Train one head on the features; a recipe's augmentation, weights and precision have no effect.

        With ``checkpoints`` the trained head is kept there, and taken from there where it is. Returns the classifier,
        images in and probabilities out, and which test images it gets right, a bool array (N,). ValueError if the
        training diverged.
        """
        shape, classes = self.backbone.output_shape[1:], len(self.dataset.classes)
        keras.utils.set_random_seed(seed)
        layers = head_layers(head, shape, classes, **options)
        trained = keras.Sequential([keras.Input(shape), *layers])
        kept, line = checkpoints.newest() if checkpoints else None, ProgressLine()
        if kept is None:
            correct = self._train(trained, f"{head}, seed {seed}", seed, recipe, line)
            if checkpoints:
                names = [variable.path for variable in trained.weights]
                checkpoints.save(Checkpoint(recipe.epochs, names, trained.get_weights(), {"correct": pack(correct)}))
        else:
            trained.set_weights(kept.arrays)
            correct = unpack(kept.state["correct"], len(self.test))
        before = ", trained before" if kept else ""
        line.show(f"{head}, seed {seed}: {correct.sum():,} of {len(correct):,} test images{before}", final=True)
        copies = head_layers(head, shape, classes, **options)
        model = connect(self.backbone, copies, f"{self.backbone.name}_{head}")
        for copy, layer in zip(copies, layers, strict=True):
            copy.set_weights(layer.get_weights())
        model.class_names = self.dataset.classes
        return model, correct

    def _train(self, trained, name, seed, recipe, line):
        """Train a head's layers; returns which test images they get right."""
        compile_model(trained, recipe, len(self.train), len(self.dataset.classes))
        batches = _Batches(_Maps(self.train, self.dataset.train.labels, ""), recipe.batch_size, seed)
        for epoch in range(recipe.epochs):
            line.show(f"{name}: epoch {epoch + 1} of {recipe.epochs}")
            reseed(trained, seed, epoch)
            *_, diverged = train_epoch(trained, batches, epoch, lambda epoch, step, loss: None)
            if diverged is not None:
                raise ValueError(
                    f"{name}: the loss stopped being finite in epoch {epoch + 1}. Give a recipe with a lower learning "
                    f"rate than {recipe.learning_rate:g}."
                )
        test = _Maps(self.test, self.dataset.test.labels, "")
        return top_k_correct(predict_split(trained, test, BATCH), test.labels)


class _Maps(Split):
    """Feature maps in place of images."""

    def rgb(self, indices):
        return self.images[indices].astype(np.float32)


class _Batches(Batches):
    """Feature maps in the order in which images are trained on."""

    def __getitem__(self, index):
        chosen = self.indices(self.epoch, index)
        return self.split.rgb(chosen), self.split.labels[chosen]


def _digest(model):
    """SHA-256 of a model's weights, the kinds of its layers and its preprocessing, hexadecimal."""
    kinds = [(type(layer).__name__, layer.count_params(), getattr(layer, "mode", "")) for layer in model.layers]
    digest = hashlib.sha256(repr(kinds).encode())
    for variable in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).data)
    return digest.hexdigest()


def _name(split, state):
    """Everything that a split's features depend on, in 16 hexadecimal digits."""
    basis = {
        "layers": VERSIONS["layers"],
        "images": split.digest,
        "size": list(split.size),
        "state": state,
        "backend": keras.backend.backend(),
    }
    return hashlib.sha256(canonical(basis).encode()).hexdigest()[:16]


def _read(path, shape, mode="r"):
    """The features at a path, memory-mapped; None if there are none, or not of this shape."""
    try:
        features = np.load(path, mmap_mode=mode)
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == shape and features.dtype == np.float16 else None


def _compute(model, split, path, shape, what):
    """Compute a split's features into the file ``path``, or what an interrupted computation of them left to do."""
    part, note = path.with_suffix(".part"), path.with_suffix(".done")
    features, done = _read(part, shape, "r+"), 0
    if features is None:
        note.unlink(missing_ok=True)
        features = np.lib.format.open_memmap(part, "w+", np.float16, shape)
    elif note.exists():
        done = int(note.read_text())
    bar = ProgressBar(what, len(split), "images", done)
    for start in range(done, len(split), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(split)))
        maps = keras.ops.convert_to_numpy(model.predict_on_batch(split.rgb(chosen)))
        largest = float(np.abs(maps).max())
        if not largest < float(np.finfo(np.float16).max):
            part.unlink(missing_ok=True)
            raise ValueError(
                f"The features of {model.name} reach {largest:.3g}, more than float16 can hold: take another backbone."
            )
        features[chosen] = maps
        if (start // BATCH + 1) % NOTED == 0:
            features.flush()  # the note promises that they are there
            write_whole(note, str(start + len(chosen)))
        bar.show(start + len(chosen))
    features.flush()
    del features  # some systems rename no file that is mapped
    note.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another process has computed the same, and was first
        os.replace(part, path)
