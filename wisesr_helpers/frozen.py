"""Heads on frozen features: the backbone is run once over all images, and then only heads are trained.

No image is augmented, as its features are computed once. They are kept as float16, half of what the backbone gives:
7×7×2,048 values for each image make a gigabyte for 5,000 images as it is.
"""

import hashlib
import math
import pathlib
import shutil

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import build_backbone, preprocessing_of_weights
from wisesr_helpers.data.cache import default_cache
from wisesr_helpers.data.prepare import SPLITS
from wisesr_helpers.files import whole_path
from wisesr_helpers.heads import head_layers
from wisesr_helpers.metrics import top_k_correct
from wisesr_helpers.progress import ProgressBar
from wisesr_helpers.recipes import Recipe
from wisesr_helpers.runs import canonical, shown
from wisesr_helpers.states import reseed
from wisesr_helpers.training import compile_model, train_epoch
from wisesr_helpers.versions import VERSIONS

# Adam, because the features of backbones differ in size and its steps don't; the last epoch's rate is a twentieth.
RECIPE = Recipe(epochs=30, batch_size=32, learning_rate=1e-3, momentum=None, decay_rate=0.9, decay_epochs=1)
BATCH = 32  # images that the backbone sees at once


class FrozenFeatures:
    """The last feature maps of a dataset's images, computed once and memory-mapped afterwards.

    Args:
        dataset: ``Dataset``.
        backbone: Name, see :func:`wisesr_helpers.backbones.build_backbone`.
        weights: None (random, of seed 0), "imagenet", or the path of a weights file.
        cache: Folder that they are kept in; None: a per-user cache folder.
        preprocessing: See :func:`wisesr_helpers.backbones.preprocessing_mode`; None: for "imagenet" what those
            weights were trained with, else that function's default.

    Attributes:
        backbone: ``keras.Model``, images in, features out.
        train: float16 array (N, h, w, C) of the training images.
        test: The same of the test images.

    Raises:
        ValueError, FileNotFoundError: As ``build_backbone``; or a feature is larger than float16 can hold.
        OSError: The ImageNet weights can't be downloaded; or there is no room for the features.
    """

    def __init__(self, dataset, backbone, weights=None, cache=None, preprocessing=None):
        self.dataset = dataset
        keras.utils.set_random_seed(0)
        if preprocessing is None and weights == "imagenet":
            preprocessing = preprocessing_of_weights(backbone)
        self.backbone = build_backbone(backbone, dataset.train.size, weights, preprocessing)
        self.backbone.trainable = False
        folder = (pathlib.Path(cache).expanduser() if cache else default_cache()) / "features"
        state = _digest(self.backbone)
        paths = {split: folder / f"{backbone}-{_name(getattr(dataset, split), state)}.npy" for split in SPLITS}
        self._make_room(folder, paths)
        self.train, self.test = (self._features(split, path) for split, path in paths.items())

    def _make_room(self, folder, paths):
        """Say how large the features are that are missing, and refuse where there is no room."""
        missing = sum(len(getattr(self.dataset, split)) for split, path in paths.items() if not path.exists())
        shape = self.backbone.output_shape[1:]
        size = 2 * missing * math.prod(shape)
        if not missing:
            print(f"The features are taken from '{shown(folder)}'.")
            return
        sides = "×".join(f"{side:,}" for side in shape)
        print(f"Features of {missing:,} images, {sides} each, as float16: {_bytes(size)}, kept in '{shown(folder)}'.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"'{folder}' can't be made ({error.strerror}): give another folder with cache.") from error
        free = shutil.disk_usage(folder).free
        if size > free:
            raise OSError(
                f"The features take {_bytes(size)}, and '{folder}' has room for {_bytes(free)}: give another folder "
                "with cache, or smaller images."
            )

    def _features(self, split, path):
        images = getattr(self.dataset, split)
        shape = (len(images), *self.backbone.output_shape[1:])
        kept = _read(path, shape)
        if kept is None:
            with whole_path(path) as temporary:
                _compute(self.backbone, images, temporary, shape, f"features of {split}")
            kept = _read(path, shape)
        return kept

    def train_head(self, head, seed, recipe=RECIPE, **options):
        """Train one head on the features.

        Args:
            head: One of ``ws.HEADS``.
            seed: Of its first weights, the order of the images and its dropout.
            recipe: ``Recipe``; default Adam, batches of 32, 30 epochs. Its augmentation, weights and precision are of
                no effect.
            **options: The head's own, see :func:`wisesr_helpers.heads.head_layers`.

        Returns:
            (model, correct): the classifier, images in and probabilities out, with the dataset's ``class_names``; and
            which test images it gets right, a bool array (N,).

        Raises:
            ValueError: Options that the head doesn't take; or the training diverged.
        """
        shape, classes = self.backbone.output_shape[1:], len(self.dataset.classes)
        keras.utils.set_random_seed(seed)
        trained = keras.Sequential([keras.Input(shape), *head_layers(head, shape, classes, **options)])
        compile_model(trained, recipe, len(self.train), classes)
        batches = _Batches(self.train, self.dataset.train.labels, recipe.batch_size, seed)
        for epoch in range(recipe.epochs):
            reseed(trained, seed, epoch)
            *_, diverged = train_epoch(trained, batches, epoch, lambda epoch, step, loss: None)
            if diverged is not None:
                raise ValueError(
                    f"{head}, seed {seed}: the loss ceased to be finite in epoch {epoch + 1}. Give a recipe with a "
                    f"lower learning rate than {recipe.learning_rate:g}."
                )
        starts = range(0, len(self.test), BATCH)
        outputs = [trained.predict_on_batch(self.test[at : at + BATCH].astype(np.float32)) for at in starts]
        probabilities = np.concatenate([keras.ops.convert_to_numpy(output) for output in outputs])
        return self._joined(trained, head, **options), top_k_correct(probabilities, self.dataset.test.labels)

    def _joined(self, trained, head, **options):
        """The backbone with a trained head, as one flat graph like ``ws.build_classifier``'s."""
        x = self.backbone.output
        layers = head_layers(head, x.shape[1:], len(self.dataset.classes), **options)
        for layer, source in zip(layers, trained.layers, strict=True):
            x = layer(x)
            layer.set_weights(source.get_weights())
        model = keras.Model(self.backbone.input, x, name=f"{self.backbone.name}_{head}")
        model.class_names = self.dataset.classes
        return model


class _Batches:
    """Features in batches, as ``train_epoch`` takes them; their order is a function of (seed, epoch)."""

    def __init__(self, features, labels, batch_size, seed):
        self.features = features
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.labels))
        chosen = np.sort(order[index * self.batch_size : (index + 1) * self.batch_size])  # mapped files like order
        return self.features[chosen].astype(np.float32), self.labels[chosen]


def _digest(model):
    """SHA-256 of a model's weights, the kinds of its layers and its preprocessing, hexadecimal."""
    kinds = [(type(layer).__name__, layer.count_params(), getattr(layer, "mode", "")) for layer in model.layers]
    digest = hashlib.sha256(repr(kinds).encode())
    for variable in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).data)
    return digest.hexdigest()


def _name(split, state):
    """What a split's features depend on, in 16 hexadecimal digits."""
    said = {
        "layers": VERSIONS["layers"],
        "images": split.digest,
        "size": list(split.size),
        "state": state,
        "backend": keras.backend.backend(),
    }
    return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]


def _read(path, shape):
    """The features at a path, memory-mapped; None if there are none, or not of this shape."""
    try:
        features = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == shape and features.dtype == np.float16 else None


def _compute(model, split, path, shape, what):
    features = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    bar = ProgressBar(what, len(split), "images")
    for start in range(0, len(split), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(split)))
        maps = keras.ops.convert_to_numpy(model.predict_on_batch(split.rgb(chosen)))
        largest = float(np.abs(maps).max())
        if not largest < float(np.finfo(np.float16).max):
            raise ValueError(
                f"The features of {model.name} reach {largest:.3g}, more than float16 can hold: take another backbone."
            )
        features[chosen] = maps
        bar.show(start + len(chosen))
    features.flush()


def _bytes(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
