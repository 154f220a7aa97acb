"""What the published tables say about each of their rows: the rehearsal's oracle.

It reads the tables by itself: neither the recipes nor the studies of the package have a say in what is right.
"""

import contextlib
import dataclasses
import functools
import pathlib
import re

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.published import number, printed

# Table of results → study, table of its recipe, column there, dataset to imitate.
PAPER = {
    "Table 5": ("sub_imagenet_224", "Table 4", "Sub-ImageNet", "sub_imagenet"),
    "Table 6": ("intel_224", "Table 4", "Intel Image Classification", "intel"),
    "Table 7": ("mit_224", "Table 4", "MIT Indoors Scenes", "mit"),
    "Table 9": ("mit_512", "Table 8", "MIT Indoors Scene", "mit"),
}
# As the report's Table 1 spells them → dataset to imitate and its name in section 3.2; backbone and head.
REPORT = {
    "MNIST": ("mnist", "MNIST"),
    "CIFAR": ("cifar10", "CIFAR-10"),
    "Tiny-ImageNet": ("tiny_imagenet", "Tiny-ImageNet"),
}
MODELS = {"Vgg16": ("VGG16", "vgg_fc"), "InceptionV3": ("InceptionV3", "gap"), "ResNet50": ("ResNet50", "gap")}


@dataclasses.dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        study: The package's name.
        dataset: Of a study with several, which; else "".
        table: Where the row is printed.
        label: As it is printed there.
        backbone: Keras' name.
        head: The package's name.
        source: The dataset to imitate.
        recipe: Table and column of the recipe; for the report, "" and the dataset's name in its section 3.2.
        side: Image size in pixels.
    """

    study: str
    dataset: str
    table: str
    label: str
    backbone: str
    head: str
    source: str
    recipe: tuple
    side: int

    @property
    def group(self):
        """Name of the rows that share an imitation and a process."""
        return self.dataset or self.study


@functools.cache
def rows():
    """All rows in the tables' order: 54 of the paper, 9 of the report."""
    found = {}
    for entry in ws.published().itertuples():
        if entry.source == "paper" and entry.where in PAPER:
            study, table, column, source = PAPER[entry.where]
            side = int(printed(table, "Image Size", column).split("x")[0])
            names = (study, "", entry.where, entry.row, entry.backbone, entry.head)
            found[entry.where, entry.row] = Row(*names, source, (table, column), side)
        elif entry.source == "report" and entry.where == "Table 1":
            dataset, model = entry.row.split(" / ")
            source, spelt = REPORT[dataset]
            of_size = "Inception input" if model == "InceptionV3" else "VGG and ResNet input"
            side = int(number("Section 3.3", of_size, "Image Size", source="report"))
            names = ("deeper_networks", source, "the report's Table 1", entry.row, *MODELS[model])
            found["report", entry.row] = Row(*names, source, ("", spelt), side)
    return tuple(found.values())


class KerasBackbones:
    """The backbones as Keras itself builds them, random, each kept as a file that stands in for ImageNet weights."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.known = {}

    def get(self, name, side):
        """(weights as arrays, shape of the last feature map, path of the file)."""
        if (name, side) not in self.known:
            model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(side, side, 3))
            path = self.folder / f"{name}-{side}.weights.h5"
            model.save_weights(path)
            arrays = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
            self.known[name, side] = arrays, tuple(model.output.shape[1:]), path
        return self.known[name, side]


def batch_size(row):
    """Images of a batch, as printed."""
    table, column = row.recipe
    if table:
        return int(number(table, "Batch Size", column))
    return int(number("Section 3.1", "training", "Batch Size", source="report"))


def expected(row, tree, backbones):
    """What the tables say about a row, on an imitation's images: name → value."""
    table, column = row.recipe
    arrays, feature_map, _ = backbones.get(row.backbone, row.side)
    if table:
        rate, epochs = (number(table, name, column) for name in ("Initial Learning rate", "Epochs"))
        decay = re.fullmatch(r"([\d.]+) every (\d+) epochs", printed(table, "Learning rate decay", column))
        factor, every = float(decay[1]), int(decay[2])
        optimiser = printed(table, "Optimizer", column)
        pretrained = printed(table, "Transfer Learning", column).startswith("Yes")
        feature_map = (*_cells(f"images of {row.side}×{row.side}, before pooling"), feature_map[-1])
    else:  # the report states neither optimiser nor decay nor initial weights: Adam, none and random are the package's
        rate = number("Section 3.1", "training", "Learning rate", source="report")
        epochs = number("Section 3.2", column, "Epochs", source="report")
        factor, every, optimiser, pretrained = 1, 1, "Adam", False
    batch = batch_size(row)
    decay_steps = every * (tree.train // batch)
    found = {
        "optimiser": optimiser,
        "learning rates": [five_digits(rate * factor ** (step // decay_steps)) for step in probes(row, tree)],
        "batches": [(min(batch, tree.train - k), row.side, row.side, 3) for k in range(0, tree.train, batch)],
        "steps": -(-tree.train // batch),
        "epochs": int(epochs),
        "backbone": shapes(arrays),
        "feature map": feature_map,
        "weights": "ImageNet" if pretrained else "random",
        "head": expected_head(row, feature_map, len(tree.classes)),
        "augmentation": _table_3() if table else None,
        # RGB (200, 100, 50) in "Caffe" style: BGR, less ImageNet's means.
        "pixel": [five_digits(x) for x in (50 - 103.939, 100 - 116.779, 200 - 123.68)],
        "record": {
            "status": "complete",
            "epochs": 1,
            "images": [tree.train, tree.test],
            "batch_size": batch,
            "weights": "imagenet" if pretrained else None,
        },
    }
    with contextlib.suppress(ValueError):  # Table 5 and the report print no parameters
        found["parameters"] = int(number(row.table, row.label, "Parameters"))
    return found


def expected_head(row, feature_map, classes):
    """The steps of a head, read from the row's label."""
    parts = row.label.split("+")[1:]
    cells, channels = feature_map[:2], feature_map[2]
    last = f"{classes} classes, softmax"
    if row.table not in PAPER:
        units = int(number("Section 1", "VGG fully connected layer", "Neurons"))
        vgg = [f"flatten {(*cells, channels)}", *[f"{units} units, relu"] * 2, last]
        return vgg if row.backbone == "VGG16" else ["average", last]
    table, column = row.recipe
    blocks = _cells(f"images of {row.side}×{row.side}, after pooling") if "Avg" in parts else cells
    if "GAP" in parts:
        steps = ["average"]
    elif "GWAP" in parts:
        steps = [f"weights from the {channels} features of a position"]  # Qiu (2018), whom the paper cites
    elif "Dense" in parts:
        steps = [f"blocks {blocks}", f"flatten {(*blocks, channels)}"]
    else:
        start = printed(table, "Depthwise Convolution Layer Kernel Weight Initializer", column)
        sign = "none negative" if "Constraints" in parts else "any sign"
        steps = [f"a weight for each of {(*blocks, channels)}, {sign}, {start}, bias from 0"]
    rate = number("Table 5 caption", "dropout layer", "Dropout rate")
    return [*steps, *([f"dropout {rate:g}%"] if "DP" in parts else []), last]


def probes(row, tree):
    """Steps around the first edges of a staircase of one and of two epochs."""
    epoch = tree.train // batch_size(row)
    return [0, epoch - 1, epoch, 2 * epoch - 1, 2 * epoch, 2 * epoch + 1, 4 * epoch - 1, 4 * epoch, 1000 * epoch]


def five_digits(value):
    """A number to the five digits that float32 keeps through a schedule."""
    return float(f"{value:.5g}")


def shapes(arrays):
    """The shapes of arrays, as tuples."""
    return [tuple(array.shape) for array in arrays]


def _cells(label):
    return tuple(int(side) for side in printed("Section 2.4", label, "Feature map size").split("×"))


def _table_3():
    """Table 3 under the names of the augmentation's settings."""

    def value(row):
        return number("Table 3", row, "Range / Usage")

    def used(row):
        return printed("Table 3", row, "Range / Usage") == "Yes"

    return {
        "rotation_range": value("Rotation"),
        "width_shift_range": value("Width Shift") / 100,
        "height_shift_range": value("Height Shift") / 100,
        "zoom_range": value("Zoom") / 100,
        "channel_shift_range": value("Channel Shift"),
        "brightness_range": (value("Brightness Change (low)"), value("Brightness Change (high)")),
        "horizontal_flip": used("Horizontal Flip"),
        "vertical_flip": used("Vertical Flip"),
        "convention": "keras_preprocessing_1_1",
    }
