"""Advice about heads for images of one's own, and images that stand in for them."""

import atexit
import dataclasses
import functools
import itertools
import os
import pathlib
import shutil
import tempfile

import numpy as np

from wisesr_helpers.checks import refusing
from wisesr_helpers.data.embedded import MIN_IMAGE_SIZE, class_pairs, draw_scenes
from wisesr_helpers.data.folders import SCENES
from wisesr_helpers.data.images import some_of
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.runs import CHANCE, colour
from wisesr_helpers.progress import say, tell
from wisesr_helpers.training.runs import save_classifier, shown

# A folder of embedded scenes as image files, where a reader has no images of their own at hand: no photographs.

CLASSES = 2
# Scale → (training, test) scenes.
COUNTS = {"demo": (800, 300), "smoke": (24, 16)}
SHOWN = 12  # test images whose predictions are shown


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """The images of a comparison."""

    folder: object  # folder or CSV of images by class
    new: object  # path of images to predict, or None
    cache: object  # where features and decoded images are kept; None: the per-user cache folder


@refusing()
def own_or_stand_in(folder="", new_images="", image_size=224, scale="auto"):
    """The reader's own images, or a stand-in of embedded scenes in a temporary folder.

    Args:
        folder: Of images by class, as :func:`wisesr_helpers.data.folders.check_folder` takes it; empty: the stand-in.
        new_images: Path of images to predict.
        image_size: Side of the scenes in pixels, at least 192; default 224.
        scale: How many scenes the stand-in has: "demo", "smoke", or "auto" (``WISESR_SCALE``, else "demo").

    Returns:
        Images. The stand-in is removed when this process ends.

    Raises:
        FileNotFoundError: There is nothing at ``folder`` or at ``new_images``.
        ValueError: An unknown scale, or too small an image size for scenes.
    """
    asked = os.environ.get("WISESR_SCALE", "demo") if scale == "auto" else scale
    if asked not in ("auto", *COUNTS):
        raise ValueError(f"Unknown scale '{asked}'. Valid here: auto, {', '.join(COUNTS)}.")
    for path in filter(None, (folder, new_images)):
        if not pathlib.Path(path).expanduser().exists():
            raise FileNotFoundError(f"There is no folder or file '{path}'. Give another path, or leave it empty.")
    if folder:
        return Images(pathlib.Path(folder).expanduser(), new_images or None, None)
    if image_size < MIN_IMAGE_SIZE:
        raise ValueError(f"The stand-in needs image_size={MIN_IMAGE_SIZE} or more; received {image_size}.")
    made = _made(image_size, *COUNTS["demo" if asked == "auto" else asked])
    return Images(made / "embedded_scenes", new_images or None, made / "cache")


def default_backbone(folder=""):
    """The backbone of a comparison that names none.

    Args:
        folder: The reader's own images; empty: the stand-in.

    Returns:
        "small_conv" for images; "small_patch" for the stand-in, whose point is what a head does by itself.
    """
    return "small_conv" if folder else "small_patch"


def write_scenes(folder, image_size, train, test, seed=0):
    """Write embedded scenes as PNG files: "embedded_scenes/train/<class>" and "embedded_scenes/test/<class>".

    The two classes take turns. Test scenes are from handwriting that no training scene holds; every scene is a function
    of (seed, split, index).
    """
    from PIL import Image

    folder, pairs = pathlib.Path(folder), class_pairs(CLASSES)
    names = [f"{a} inside, {b} outside" for a, b in pairs]
    for split, count in (("train", train), ("test", test)):
        for index, scene in enumerate(draw_scenes(pairs, image_size, split, count, seed)):
            path = folder / "embedded_scenes" / split / names[index % CLASSES] / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene).save(path, compress_level=1)
    (folder / "embedded_scenes" / SCENES).touch()


@functools.cache
def _made(*counts):
    """A temporary folder with scenes; removed when the process ends."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wisesr-own-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_scenes(folder, *counts)
    return folder


def say_split(dataset, check):
    """Say a dataset's counts, and what is noticed of its split beside what its ``FolderCheck`` has noticed.

    The counts by class, a table, are told to the terminal alone: the notebook shows ``dataset.counts``.
    """
    say(dataset.describe()[0])
    tell(f"{dataset.counts}")
    for reason, names in dataset.noticed.items():
        if reason not in check.noticed:
            say(f"Note: {len(names):,} ({some_of(names)}) {reason}.")


def predictions(model, dataset, new=None):
    """What a classifier says of new images, or of some test images, whose true classes stand beside it.

    Args:
        model: Classifier, see :func:`wisesr_helpers.models.classifiers.predict`.
        dataset: ``Dataset`` whose test images are shown, the classes in turn.
        new: Path of an image or a folder; None: test images.

    Returns:
        DataFrame as that of ``predict``, whose "class_2" is "second class" here and so on: "file" is relative to
        ``new``; of test images it is followed by "true class" and "right" ("yes" or "no"). "problem" stands only where
        an image has one.
    """
    from wisesr_helpers.models.classifiers import predict  # which loads Keras

    if new is not None:
        table, base = predict(model, new), pathlib.Path(new).expanduser()
        base = base if base.is_dir() else base.parent
        table["file"] = [os.path.relpath(os.path.expanduser(file), base) for file in table["file"]]
        return _headed(table if table["problem"].any() else table.drop(columns="problem"))
    test = dataset.test
    by_class = [np.flatnonzero(test.labels == label) for label in range(len(dataset.classes))]
    in_turn = (place for places in itertools.zip_longest(*by_class) for place in places if place is not None)
    chosen = list(itertools.islice(in_turn, SHOWN))
    table = predict(model, test.rgb(chosen)).assign(file=[test.files[place] for place in chosen])
    table = table.drop(columns="problem")  # they have been read
    table.insert(1, "true class", [dataset.classes[test.labels[place]] for place in chosen])
    table.insert(2, "right", np.where(table["true class"] == table["class"], "yes", "no"))
    return _headed(table)


def _headed(table):
    """A table of ``predict`` with headings in words."""
    ordinals = {"2": "second", "3": "third", "4": "fourth", "5": "fifth"}
    return table.rename(columns=lambda name: " ".join([*map(ordinals.get, name.split("_")[1:]), name.split("_")[0]]))


def keep_classifier(comparison, path):
    """Keep the recommended head's classifier of seed 0 in a file, and say how to use it, on the terminal, too.

    Args:
        comparison: ``Comparison``.
        path: As :func:`check_model_path` returns it, a file there is replaced; None: it is said how to keep one.
    """
    head = comparison.recommended
    right = f"{comparison.correct[head][0].sum():,} of {comparison.images:,} test images right"
    said = f"{head} on {comparison.backbone}, of seed 0 ({right}), is"
    if path is None:
        say(f"{said} not kept. Say where with keep (-p keep best.keras), and nothing is trained again.")
        return
    replaced = " in place of the file that was there," if path.exists() else ""
    save_classifier(comparison.models[head], path)
    say(
        f"{said} kept in '{shown(path)}',{replaced} with the names of its classes. In Python:\n"
        "  import wisesr_helpers as ws\n"
        f"  print(ws.predict(ws.load_classifier({str(path)!r}), 'folder of photographs').to_string())"
    )


# The figures of a comparison.


def accuracies(comparison, ax):
    """Top-1 of every head: a dot for each seed, their mean and its 95% interval; a line at the most frequent class.

    Args:
        comparison: ``Comparison``.
        ax: Axes to draw on; it is returned, described.
    """
    rows = list(comparison.heads.itertuples())
    for y, row, ink in _intervals(ax, rows, [row.head for row in rows], [colour(row.head) for row in rows]):
        ax.plot(row.top1, y, "|", color=ink, markersize=14, markeredgewidth=2)
        by_seed = comparison.correct[row.head].mean(axis=1)
        ax.plot(by_seed, np.full(len(by_seed), y + 0.18), "o", color=ink, markersize=4)
    ax.axvline(comparison.baseline, **CHANCE)
    place = {"transform": ax.get_xaxis_transform(), "fontsize": 8, "color": CHANCE["color"], "va": "bottom"}
    ax.text(comparison.baseline, 0, " most frequent class", **place)
    ax.set(xlim=(0, 1.02), xlabel="test top-1; dots: seeds, cross: mean")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    said = "; ".join(
        f"{row.head} {row.top1:.1%} ({row.low:.1%} to {row.high:.1%}; seeds from {row.worst:.1%} to {row.best:.1%})"
        for row in rows
    )
    return described(
        ax,
        f"Test top-1 of heads on {comparison.backbone} with 95% intervals: {said}. The most frequent class is "
        f"{comparison.baseline:.1%}.",
    )


def differences(comparison, ax):
    """The differences between heads in points, with their 95% intervals; filled dots where one is shown.

    Args:
        comparison: ``Comparison``.
        ax: Axes to draw on; it is returned, described.
    """
    rows = list(comparison.differences.itertuples())
    titles = [f"{row.better} − {row.other}" for row in rows]
    for y, row, ink in _intervals(ax, rows, titles, [colour(row.better) if row.shown else "0.45" for row in rows]):
        ax.plot(row.difference, y, "o", color=ink, markerfacecolor=ink if row.shown else "white", markersize=6)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_xlabel("difference of test top-1, points")
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    said = [f"{title} {row.compared.in_words()}" for title, row in zip(titles, rows, strict=True)]
    return described(ax, f"Differences: {'; '.join(said)}.")


def _intervals(ax, rows, titles, colours):
    """Draw each row's interval, the first row at the top; yields (y, row, colour)."""
    heights = range(len(rows))
    ax.set_yticks(heights, titles[::-1])
    ax.set_ylim(-0.5, len(rows) - 0.4)
    ax.grid(axis="x", alpha=0.3)
    for y, row, ink in zip(heights[::-1], rows, colours, strict=True):
        ax.plot([row.low, row.high], [y, y], color=ink, linewidth=2, alpha=0.6)
        yield y, row, ink


@refusing()
def check_model_path(path):
    """The file that a classifier is to be kept in, checked before anything is trained.

    Args:
        path: File name that ends with ".keras", a str or path; empty or None: nowhere.

    Returns:
        ``pathlib.Path``, or None for an empty one.

    Raises:
        ValueError: Another ending, or a folder of that name.
        OSError: There is no such folder, or it can't be written.
    """
    if path is None or str(path) in ("", "."):
        return None
    file = pathlib.Path(path).expanduser()
    if file.suffix != ".keras" or file.is_dir():
        raise ValueError(f"keep must be a file that ends with .keras, such as 'best.keras'; received '{path}'.")
    if not file.parent.is_dir():
        raise OSError(f"No classifier can be kept in '{path}': there is no folder '{file.parent}'.")
    target = file if file.exists() else file.parent
    if not os.access(target, os.W_OK):
        raise OSError(f"No classifier can be kept in '{path}': '{target}' can't be written.")
    return file
