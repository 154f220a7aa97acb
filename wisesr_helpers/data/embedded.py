"""The datasets that need no download: drawn scenes, and the handwritten digits they are drawn from."""

import functools
import hashlib
import itertools
import pathlib
import re
import shlex

import numpy as np

from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.progress import tell
from wisesr_helpers.storage import cached_array, describe_size
from wisesr_helpers.versions import VERSIONS

# The embedded scenes: real handwritten digits, laid out so that only *where* they stand tells the class.
#
# A scene shows copies of digit a near its centre and as many of digit b near its border, over noise.
# Its class is the ordered pair (a, b): the scenes of (a, b) and (b, a) hold the same things at other
# places. A head that forgets positions, on a backbone that sees separate patches, can therefore tell
# the pair but not its order: its expected accuracy is at most one half **by construction**.
#
# The construction. The scene is divided into cells of the backbone's stride. Every glyph is no larger
# than a cell, stands in a 2×2 block of cells of its own, no two blocks touch the same cell, and its offset
# inside the block is uniform over a whole cell in both axes, whatever ring it is on. The bag of
# patches of a scene is then made of glyph fragments whose distribution depends on the digit alone,
# and of noise that is independent from cell to cell.

STRIDE = 32  # pixels; both small backbones and nearly all of keras.applications reduce the image 32 times
DIGIT_ORDER = (0, 2, 1, 4, 5, 8, 7, 3, 6, 9)  # first the digits that are told apart best however they are turned
INNER = (0.0, 0.27)  # distance of a glyph's block from the scene's centre, as a share of its side
OUTER = (0.33, 0.46)
NOISE = 0.03  # standard deviation of the background; a glyph reaches from 0 to 1
GRAIN = 4  # pixels a grain of noise: an augmented image is interpolated, which would wash finer noise out
MIN_IMAGE_SIZE = 6 * STRIDE
# Of the handwriting, in scikit-learn's order: whose the test scenes hold → by how many thirds it is turned on. Neither
# of the others shares a sample with the last.
THIRDS = {"last": 0, "middle": 1, "first": -1}


def class_pairs(classes):
    """The ordered pairs (inner digit, outer digit) of the classes, mirrored pairs side by side."""
    most = len(DIGIT_ORDER) * (len(DIGIT_ORDER) - 1)
    if classes % 2 or not 2 <= classes <= most:
        raise ValueError(
            f"The embedded scenes come in mirrored pairs: classes must be an even number from 2 to {most}; "
            f"received {classes}."
        )
    used = next(n for n in itertools.count(2) if n * (n - 1) >= classes)
    unordered = sorted(itertools.combinations(range(used), 2), key=lambda pair: (pair[1], pair[0]))
    pairs = [(DIGIT_ORDER[i], DIGIT_ORDER[j]) for i, j in unordered[: classes // 2]]
    return [ordered for a, b in pairs for ordered in ((a, b), (b, a))]


@functools.cache
def _handwriting():
    """scikit-learn's digits: images (1797, 8, 8) as float 0..1, labels (1797,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images / 16.0).astype(np.float32), digits.target


def glyphs(digit, split, test_third="last"):
    """The handwritten samples of one digit, float32 (n, 8, 8), 0..1: two thirds for "train", the rest for "test".

    ``test_third``, one of ``THIRDS``, says which third of scikit-learn's order is the test's.
    """
    images, labels = _handwriting()
    samples = images[labels == digit]
    cut = 2 * len(samples) // 3
    samples = np.roll(samples, (len(samples) - cut) * THIRDS[test_third], axis=0)
    return samples[:cut] if split == "train" else samples[cut:]


def _enlarge(glyph, size):
    """(8, 8) float 0..1 → (size, size) float 0..1."""
    from wisesr_helpers.data._cv2 import cv2

    return np.clip(cv2.resize(glyph, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)


@functools.cache
def _grains():
    """The first of the two grains beside each pixel of a cell's side, and what both weigh: three arrays (STRIDE,).

    The squares of the two weights add up to 1, so that the noise has one size everywhere.
    """
    places = (np.arange(STRIDE) + 0.5) / GRAIN - 0.5
    weights = np.clip(1 - np.abs(places[:, None] - np.arange(STRIDE // GRAIN)), 0, 1)
    weights = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    first = np.minimum((weights > 0).argmax(axis=1), STRIDE // GRAIN - 2)
    return first, weights[range(STRIDE), first], weights[range(STRIDE), first + 1]


def _to_pixels(coarse):
    """Grains along the last axis → pixels, float32: the weighted sum of two grains.

    Other processors would round a matrix product differently, and a few grey levels with it. Here the first product is
    rounded, and the second, which float64 holds exactly, is added as by a fused multiply-add.
    """
    first, weight, other = _grains()
    return (coarse[..., first] * weight + coarse[..., first + 1].astype(np.float64) * other).astype(np.float32)


def _noise(image_size, rng):
    """Smooth noise of one standard deviation everywhere, independent from cell to cell: float32 (side, side)."""
    cells, grains = -(-image_size // STRIDE), STRIDE // GRAIN
    coarse = rng.normal(0, NOISE, (cells, cells, grains, grains)).astype(np.float32)
    fine = _to_pixels(_to_pixels(coarse.swapaxes(2, 3)).swapaxes(2, 3))  # (cells, cells, STRIDE, STRIDE)
    side = cells * STRIDE
    return fine.swapaxes(1, 2).reshape(side, side)[:image_size, :image_size]


def _place_blocks(rng, cells, count):
    """Int array (2 · count, 2), (row, column): top-left cells of inner, then outer 2×2 blocks that share no cell."""
    centre = (cells - 2) / 2
    corners = np.argwhere(np.ones((cells - 1, cells - 1), bool))
    distance = np.hypot(*(corners - centre).T) / cells
    rings = [corners[(lo <= distance) & (distance <= hi)] for lo, hi in (INNER, OUTER)]
    while True:  # a random order may leave no room for the last block; then begin anew
        taken = []
        for ring in rings:
            chosen = 0
            for corner in ring[rng.permutation(len(ring))]:
                if chosen < count and all(np.abs(corner - other).max() >= 2 for other in taken):
                    taken.append(corner)
                    chosen += 1
            if chosen < count:
                break
        else:
            return np.array(taken)


def glyphs_per_ring(image_size):
    """How many copies of each digit a scene of this size holds: 8 at 512, 3 at 224; as many as find room."""
    cells = image_size // STRIDE
    return min(8, (cells - 1) // 2 if cells < 10 else cells // 2)


def draw_scene(inner, outer, image_size, split, rng, jitter=True, test_third="last"):
    """One scene, uint8 grey (image_size, image_size): digit ``inner`` near its centre, ``outer`` near its border.

    The handwriting is that of ``split``, see :func:`glyphs`. Without ``jitter`` every glyph stands in the corner of its
    block: then offsets no longer hide the grid.
    """
    scene = _noise(image_size, rng)
    cells = image_size // STRIDE
    count = glyphs_per_ring(image_size)
    blocks = _place_blocks(rng, cells, count)
    offsets = rng.integers(0, STRIDE, (len(blocks), 2)) if jitter else np.zeros((len(blocks), 2), int)
    for k, (block, offset) in enumerate(zip(blocks, offsets, strict=True)):
        samples = glyphs(inner if k < count else outer, split, test_third)
        glyph = _enlarge(samples[rng.integers(len(samples))], STRIDE)
        y, x = block * STRIDE + offset
        scene[y : y + STRIDE, x : x + STRIDE] += glyph
    low, high = scene.min(), scene.max()  # from black to white, as the older augmentation leaves every image
    return ((scene - low) / (high - low) * 255).astype(np.uint8)


def draw_scenes(pairs, image_size, split, count, seed, test_third="last"):
    """The first ``count`` scenes of a split, the classes taking turns: uint8 (count, image_size, image_size)."""
    images = np.empty((count, image_size, image_size), np.uint8)
    for index in range(count):
        rng = np.random.default_rng([seed, split == "test", index])
        images[index] = draw_scene(*pairs[index % len(pairs)], image_size, split, rng, test_third=test_third)
    return images


def scenes_dataset(image_size, classes, train, test, seed=0, folder=None, test_third="last"):
    """The embedded scenes as a dataset of grey uint8 images (N, image_size, image_size).

    Every scene is a function of (seed, split, index), and no test scene holds handwriting of a training scene; whose it
    holds, ``test_third`` says, see :func:`glyphs`. They are made once and kept in ``folder``, memory-mapped; None: in
    memory only.
    """
    pairs = class_pairs(classes)
    if image_size < MIN_IMAGE_SIZE:
        raise ValueError(
            f"The embedded scenes need an image size of at least {MIN_IMAGE_SIZE} pixels; received {image_size}."
        )
    if min(train, test) < 1:
        raise ValueError(f"Each split needs at least one scene; received train={train}, test={test}.")

    def draw(split, count):
        if folder is not None:
            _name_old_scenes(pathlib.Path(folder).expanduser())
            tell(f"Drawing {count:,} scenes of {image_size}×{image_size} pixels; they are kept.")
        return draw_scenes(pairs, image_size, split, count, seed, test_third)

    third = "" if test_third == "last" else f"-{test_third}"
    name = f"scenes-{image_size}-{classes}-{train}-{test}-s{seed}-v{VERSIONS['scenes']}{third}"
    splits = {}
    for split, count in (("train", train), ("test", test)):
        images, digest = cached_array(folder, f"{name}-{split}", functools.partial(draw, split, count))
        splits[split] = Split(images, np.arange(count) % classes, digest)
    return Dataset(
        name="embedded scenes",
        classes=tuple(f"{a} inside, {b} outside" for a, b in pairs),
        photographs=False,
        **splits,
    )


@functools.cache
def _name_old_scenes(folder):
    """Print, once a folder, which of its files hold scenes of other versions, and the command that removes them."""
    form = re.compile(r"scenes(?:-\d+){4}-s\d+-(\w+)-(?:train|test)\.(?:npy|sha256)")
    found = {path: form.fullmatch(path.name) for path in folder.glob("scenes-*")}
    old = {path: name[1] for path, name in found.items() if name and name[1] != f"v{VERSIONS['scenes']}"}
    if old:
        size = describe_size(sum(path.stat().st_size for path in old))
        files = " ".join(f"{shlex.quote(str(folder))}/scenes-*-s*-{made}-t*" for made in sorted(set(old.values())))
        print(f"{len(old):,} files of older scenes ({size}) are never read again. Remove them with: rm {files}")


# scikit-learn's handwritten digits: 1,797 real images in ten classes that need no download, and a real test set.

SIDE = 8  # pixels
COUNTS = {"train": 1195, "test": 602}  # images of the splits


@functools.cache
def _digits(split):
    """Images, uint8 (n, 8, 8), and labels (n,) of a split, the classes taking turns."""
    samples = [glyphs(digit, split) for digit in range(10)]
    turns = np.concatenate([np.arange(len(of_digit)) for of_digit in samples])
    order = np.argsort(turns, kind="stable")
    images = np.round(255 * np.concatenate(samples)).astype(np.uint8)
    labels = np.repeat(np.arange(10), [len(of_digit) for of_digit in samples])
    return images[order], labels[order]


def digits_dataset(image_size, train=COUNTS["train"], test=COUNTS["test"]):
    """The digits as a dataset: of every class the first two thirds in scikit-learn's order train, the rest test.

    The images are kept at 8×8, grey, and enlarged as they are read, by Pillow's nearest, as those of MNIST are. Of each
    split the first ``train`` or ``test`` images are taken; the classes take turns.
    """
    if image_size < SIDE:
        raise ValueError(f"The digits have {SIDE}×{SIDE} pixels; ask for no smaller image size than {SIDE}.")
    splits = {}
    for split, count in (("train", train), ("test", test)):
        if not 1 <= count <= COUNTS[split]:
            raise ValueError(f"The {split} split of the digits has 1 to {COUNTS[split]:,} images; received {count}.")
        images, labels = _digits(split)
        images = np.ascontiguousarray(images[:count])
        digest = hashlib.sha256(images.data).hexdigest()
        splits[split] = Split(images, labels[:count], digest, (image_size, image_size))
    return Dataset(name="scikit-learn's digits", classes=tuple("0123456789"), photographs=False, **splits)
