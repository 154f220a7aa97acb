"""What a head costs: counted parameters, how they grow, and what the paper's start makes of the weights."""

import functools
import json

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.layers.pooling import START, GlobalDepthwisePooling2D
from wisesr_helpers.models.counts import head_params
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.studies.report import side_of_table_1
from wisesr_helpers.training.runs import project_root

GROWTH_HEADS = ("gap", "wise", "depthwise", "avg_fc", "flatten_fc", "vgg_fc")
SIDES = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 28, 32)  # of the map, in cells


def growth_over_gap(table):
    """By how many percent Wise-SrNet's models in Table 1 have more parameters than GAP's: backbone → float."""
    counted = table.set_index(["backbone", "head"])["parameters, counted"].str.replace(",", "").astype(int)
    return {name: 100 * (counted[name, "wise"] / counted[name, "gap"] - 1) for name in table["backbone"].unique()}


def section_2_5(table):
    """What section 2.5 says of Table 1, recomputed from :func:`wisesr_helpers.studies.report.table_1`."""
    grown = growth_over_gap(table)
    counted = table.set_index(["backbone", "head"])["parameters, counted"]
    image_size = printed("Table 1 caption", "images", "Image Size")
    recomputed = {  # about → (as shown, as printed if they agree)
        **{f"{name}, growth over GAP": (f"{value:.4f}%", f"{value:.2f}") for name, value in grown.items()},
        "Xception with the proposed head": (counted["Xception", "wise"],) * 2,
        "Xception with GAP": (counted["Xception", "gap"],) * 2,
        "images behind Table 1": (f"{image_size} (its caption)", image_size),
    }
    rows = []
    for entry in published().query("source == 'paper' and where == 'Section 2.5'").itertuples():
        if entry.row == "bound on the growth over GAP":
            shown, agrees = f"{max(grown.values()):.4f}% at most", max(grown.values()) < entry.number
        elif entry.row in recomputed:
            shown, rounded = recomputed[entry.row]
            agrees = rounded == entry.value
        else:
            continue
        value = entry.value + ("%" if entry.unit == "percent" else "")
        rows.append((entry.row, value, shown, "yes" if agrees else "no", entry.slip))
    return pd.DataFrame(rows, columns=["about", "printed", "recomputed", "agrees", "slip"])


def usual_case():
    """The feature map (H, W, C) of Table 1's images on the Xception and ResNet families, and Table 1's classes."""
    channels = int(number("Section 3.3", "Xception and ResNet families", "Channels"))
    side = side_of_table_1() // stride()
    return (side, side, channels), int(number("Table 1 caption", "classes", "Number of Classes"))


def stride():
    """Pixels of the image a cell of the last feature map."""
    return round(1 / number("Section 3.3", "feature map side over image side", "Ratio"))


@functools.cache
def coefficients(head, side):
    """(a, b, c, d): on a square map of this side, in cells, a head has a + b·C + c·K + d·C·K parameters.

    C are its channels and K its classes. The package counts four cases, which give the four numbers.
    """
    at = {(c, k): head_params(head, (side, side, c), k) for c in (1, 2) for k in (2, 3)}
    d = at[2, 3] - at[2, 2] - at[1, 3] + at[1, 2]
    b = at[2, 2] - at[1, 2] - 2 * d
    c = at[1, 3] - at[1, 2] - d
    return at[1, 2] - b - 2 * c - 2 * d, b, c, d


def growth(heads=GROWTH_HEADS):
    """Parameters of heads as images, channels and classes grow, each from the usual case: a row a head and value."""
    (side, _, channels), classes = usual_case()
    series = {
        "image side (pixels)": [(s, channels, classes, s * stride()) for s in SIDES],
        "channels": [(side, c, classes, c) for c in (256, 512, 1024, 2048, 4096)],
        "classes": [(side, channels, k, k) for k in (2, 5, 10, 20, 50, 100, 200, 500, 1000)],
    }
    rows = []
    for what, points in series.items():
        for head in heads:
            for s, c, k, value in points:
                alone, of_channels, of_classes, of_both = coefficients(head, s)
                rows.append((what, value, head, alone + of_channels * c + of_classes * k + of_both * c * k))
    return pd.DataFrame(rows, columns=["grows with", "value", "head", "parameters"])


def draw_growth(rows, axes):
    """The rows of :func:`growth`, a panel for each thing that grows, on logarithmic axes; returns ``axes``."""
    said = []
    for ax, (what, panel) in zip(np.ravel(axes), rows.groupby("grows with", sort=False), strict=True):
        ends = []
        for (head, line), mark in zip(panel.groupby("head", sort=False), "os^Dv<>P*X", strict=False):
            style = {"color": plots.colour(head), "marker": mark, "markersize": 4, "linewidth": 1.3}
            ax.plot(line["value"], line["parameters"], label=head, **style)
            ends.append("{} {:,} to {:,}".format(head, *line["parameters"].iloc[[0, -1]]))
        ax.set(xscale="log", yscale="log", xlabel=what)
        ax.xaxis.set_major_locator(LogLocator(base=10 if panel["value"].max() % 10 == 0 else 2, numticks=6))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(alpha=0.3)
        said.append(f"{what} from {panel['value'].min():,} to {panel['value'].max():,}: {', '.join(ends)}.")
    return plots.described(axes, f"Parameters of heads. {' '.join(said)}")


def slowest(name, other):
    """How many times slower one pooling was measured than another, at most, with XLA: text."""
    path = project_root() / "results" / "benchmarks" / "heads.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    ratios = [
        row["milliseconds"][name] / row["milliseconds"][other]
        for row in rows
        if row.get("xla") and {name, other} <= {key for key, value in row["milliseconds"].items() if value}
    ]
    return f"{max(ratios):,.0f}" if ratios else "not measured"


def start_of_weights(height, width, channels):
    """What the paper's start and the constraint make of a Wise-SrNet head's weights on a map of this shape.

    Of the weights left, "total" is the mean sum over channels, "expected" what that is for N(0, σ): n·σ/√(2π).
    """
    keras.utils.set_random_seed(0)
    layer = GlobalDepthwisePooling2D()
    layer.build((None, height, width, channels))
    drawn = keras.ops.convert_to_numpy(layer.kernel)[..., 0]
    rows, columns, _ = drawn.shape
    left = keras.ops.convert_to_numpy(layer.depthwise_constraint(layer.kernel))[..., 0]
    return {
        "kernel": f"{rows}×{columns}",
        "negative": float((drawn < 0).mean()),
        "total": float(left.sum(axis=(0, 1)).mean()),
        "expected": expected_total(rows * columns),
    }


def expected_total(weights):
    """What so many weights of a channel add up to on average, drawn as the paper starts them, without the negative."""
    return weights * START["stddev"] / float(np.sqrt(2 * np.pi))
