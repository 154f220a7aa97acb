"""What a head costs: parameters, operations, milliseconds, and the cells that it never looks at."""

import json
import math
import pathlib

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import build_backbone
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.gwap import GlobalWeightedAveragePooling2D, SharedPositionPooling2D
from wisesr_helpers.heads import head_layers
from wisesr_helpers.layers import GlobalDepthwisePooling2D
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.report import measured_on
from wisesr_helpers.runs import project_root

layers = keras.layers

GROWTH_HEADS = ("gap", "wise", "depthwise", "avg_fc", "flatten_fc", "vgg_fc")


def head_params(head, feature_shape, classes, **options):
    """Parameters of a head, from its layers and their shapes; large ones are never built.

    Args:
        head: One of ``ws.HEADS``.
        feature_shape: (H, W, C) of the feature map.
        classes: Number of classes.
        **options: As :func:`wisesr_helpers.heads.head_layers` takes them.

    Returns:
        int, the classifier included.
    """
    total, shape = 0, tuple(feature_shape)
    for layer in head_layers(head, shape, classes, **options):
        total += _layer_params(layer, shape)
        shape = tuple(layer.compute_output_shape((None, *shape))[1:])
    return total


def head_flops(head, feature_shape, classes, **options):
    """Operations of a head for one image, layer by layer; fully connected ones are never built, for they can be huge.

    Args:
        head: One of ``ws.HEADS``.
        feature_shape: (H, W, C) of the feature map.
        classes: Number of classes.
        **options: As :func:`wisesr_helpers.heads.head_layers` takes them.

    Returns:
        int, the classifier included, as :func:`wisesr_helpers.counts.count_flops` counts them.
    """
    total, shape = 0, tuple(feature_shape)
    for layer in head_layers(head, shape, classes, **options):
        if isinstance(layer, layers.Dense):
            total += (2 * shape[-1] + layer.use_bias) * layer.units
        else:
            total += count_flops(keras.Sequential([keras.Input(shape), layer]))
        shape = tuple(layer.compute_output_shape((None, *shape))[1:])
    return total


def _layer_params(layer, shape):
    if isinstance(layer, layers.Dense):
        return (shape[-1] + layer.use_bias) * layer.units
    if isinstance(layer, GlobalDepthwisePooling2D):
        return (layer.lay_out(*shape[:2]).count + layer.use_bias) * shape[2]
    if isinstance(layer, SharedPositionPooling2D):
        return math.prod(shape[:2])
    if isinstance(layer, GlobalWeightedAveragePooling2D):
        return shape[2] + 1
    if not layer.built:
        layer.build((None, *shape))
    return layer.count_params()


def cells_looked_at(height, width, pool_size=None):
    """Which cells of a map a pre-averaged head can give a weight.

    Args:
        height: Of the map, in cells.
        width: Of the map, in cells.
        pool_size: Side of a block; None: the paper's rule.

    Returns:
        (array (H, W) of bool, the side of a block).
    """
    layer = GlobalDepthwisePooling2D(pool_size, depthwise_initializer="ones")
    layer.build((None, height, width, 1))
    return layer.position_weights(height, width)[..., 0] > 0, layer.window


def table_1():
    """Table 1, recomputed on models built now.

    Returns:
        DataFrame, a row a model: backbone, head ("none" for the base model), printed and counted parameters,
        printed and counted GFLOPs (text, rounded as printed), and whether all that is printed agrees.
    """
    where = published().query("source == 'paper' and where == 'Table 1'")
    classes = int(number("Table 1 caption", "classes", "Number of Classes"))
    side = _side_of_table_1()
    rows = []
    for backbone, group in where.groupby("backbone", sort=False):
        base = build_backbone(backbone, side)
        for head, cells in group.groupby("head", sort=False):
            x = base.output
            for layer in head_layers(head, x.shape[1:], classes) if head else []:
                x = layer(x)
            model = keras.Model(base.input, x)
            values = dict(zip(cells["unit"], cells["value"], strict=True))
            counted = {"parameters": f"{count_params(model):,}", "GFLOPs": f"{count_flops(model) / 1e9:.2f}"}
            rows.append(
                {
                    "backbone": backbone,
                    "head": head or "none",
                    "parameters, printed": values["parameters"],
                    "parameters, counted": counted["parameters"],
                    "GFLOPs, printed": values.get("GFLOPs", ""),
                    "GFLOPs, counted": counted["GFLOPs"],
                    "agrees": _agrees(all(counted[unit] == value for unit, value in values.items())),
                }
            )
    return pd.DataFrame(rows)


def _side_of_table_1():
    """Side of Table 1's images in pixels."""
    return int(printed("Table 1 caption", "images", "Image Size").split("×")[0])


def growth_over_gap(table, head="wise"):
    """By how many percent a head's models have more parameters than GAP's: backbone → float.

    Args:
        table: What :func:`table_1` returns.
        head: One of the table's heads.
    """
    counted = table.set_index(["backbone", "head"])["parameters, counted"].str.replace(",", "").astype(int)
    names = table["backbone"].unique()
    return {name: 100 * (counted[name, head] / counted[name, "gap"] - 1) for name in names}


def section_2_5(table):
    """What section 2.5 says of Table 1, recomputed.

    Args:
        table: What :func:`table_1` returns.

    Returns:
        DataFrame: about, printed, recomputed, agrees (to the digits that are printed), slip (what is known to
        be wrong with the printed value, or "").
    """
    grown = growth_over_gap(table)
    counted = table.set_index(["backbone", "head"])["parameters, counted"]
    image_size = printed("Table 1 caption", "images", "Image Size")
    recomputed = {
        **{f"{name}, growth over GAP": (f"{value:.4f} %", f"{value:.2f}") for name, value in grown.items()},
        "Xception with the proposed head": (counted["Xception", "wise"],) * 2,
        "Xception with GAP": (counted["Xception", "gap"],) * 2,
        "images behind Table 1": (f"{image_size} (its caption)", image_size),
    }
    said = published().query("source == 'paper' and where == 'Section 2.5'")
    rows = []
    for entry in said.itertuples():
        unit = {"percent": " %"}.get(entry.unit, "")
        if entry.row == "bound on the growth over GAP":
            shown, agrees = f"{max(grown.values()):.4f} % at most", max(grown.values()) < entry.number
        elif entry.row in recomputed:
            shown, rounded = recomputed[entry.row]
            agrees = rounded == entry.value
        else:
            continue
        rows.append((entry.row, entry.value + unit, shown, _agrees(agrees), entry.slip))
    return pd.DataFrame(rows, columns=["about", "printed", "recomputed", "agrees", "slip"])


def usual_case():
    """The feature map (H, W, C) of Table 1's images on the Xception and ResNet families, and Table 1's classes."""
    channels = int(number("Section 3.3", "Xception and ResNet families", "Channels"))
    side = _side_of_table_1() // _stride()
    return (side, side, channels), int(number("Table 1 caption", "classes", "Number of Classes"))


def _stride():
    """Pixels of the image a cell of the last feature map."""
    return round(1 / number("Section 3.3", "feature map side over image side", "Ratio"))


def growth(heads=GROWTH_HEADS):
    """Parameters of heads as images, channels and classes grow, one at a time.

    What stands still are Table 1's images and classes and the channels of the Xception and ResNet families.

    Returns:
        DataFrame: grows with, value, head, parameters.
    """
    (side, _, channels), classes = usual_case()
    stride = _stride()
    series = {
        "image side (pixels)": [((s // stride, s // stride, channels), classes, s) for s in range(128, 1025, stride)],
        "channels": [((side, side, c), classes, c) for c in (256, 512, 1024, 2048, 4096)],
        "classes": [((side, side, channels), k, k) for k in (2, 5, 10, 20, 50, 100, 200, 500, 1000)],
    }
    rows = [
        (what, value, head, head_params(head, shape, count))
        for what, points in series.items()
        for head in heads
        for shape, count, value in points
    ]
    return pd.DataFrame(rows, columns=["grows with", "value", "head", "parameters"])


def speed(path=None):
    """Measured milliseconds of heads, forward and backward, from the benchmark's file.

    Args:
        path: JSON file; None: the project's ``results/benchmarks/heads.json``.

    Returns:
        (DataFrame, sentence about machine, commit and whether the code behaves otherwise since), or None if
        nothing is measured yet.
    """
    path = pathlib.Path(path or (project_root() or pathlib.Path()) / "results" / "benchmarks" / "heads.json")
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    named = dict.fromkeys(name for row in report["rows"] for name in row["milliseconds"])
    contestants = _CONTESTANTS | {name: name for name in named if name not in _CONTESTANTS}
    rows = [
        {
            "feature map": "×".join(map(str, row["map"])),
            "pool": row["pool_size"],
            "batch": row["batch"],
            "XLA": "yes" if row.get("xla") else "no",
            **{f"{label}, ms": row["milliseconds"].get(name) for name, label in contestants.items()},
        }
        for row in report["rows"]
    ]
    return pd.DataFrame(rows), measured_on(report)


_CONTESTANTS = {"gap": "gap", "authors": "authors' layers", "wise": "wise"}  # the columns that come first


def _agrees(whether):
    return "yes" if whether else "no"


def start_of_weights(height, width, channels, seed=0):
    """What the paper's start and the non-negative constraint make of a Wise-SrNet head's weights.

    Args:
        height: Of the feature map, in cells.
        width: Of the feature map, in cells.
        channels: Of the feature map.
        seed: Of the draw.

    Returns:
        dict: kernel (its size, as text), negative (share of the drawn weights), total (mean over the channels of
        the sum of the weights left), expected (what that is for N(0, σ): n·σ/√(2π)).
    """
    keras.utils.set_random_seed(seed)
    layer = GlobalDepthwisePooling2D()
    layer.build((None, height, width, channels))
    drawn = keras.ops.convert_to_numpy(layer.kernel)[..., 0]
    left = keras.ops.convert_to_numpy(layer.depthwise_constraint(layer.kernel))[..., 0]
    positions = drawn.shape[0] * drawn.shape[1]
    return {
        "kernel": f"{drawn.shape[0]}×{drawn.shape[1]}",
        "negative": float((drawn < 0).mean()),
        "total": float(left.sum(axis=(0, 1)).mean()),
        "expected": positions * layer.depthwise_initializer.stddev / float(np.sqrt(2 * np.pi)),
    }
