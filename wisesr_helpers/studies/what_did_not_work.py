"""What was tried beside the paper's design, and its figures."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import refusing
from wisesr_helpers.layers.blocks import default_pool_size
from wisesr_helpers.layers.reductions import FixedReduction2D, cell_weights, reduction_layer
from wisesr_helpers.models.backbones import build_backbone
from wisesr_helpers.models.counts import count_flops, count_params, head_flops, head_params
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.heads import weight_colours
from wisesr_helpers.published import number
from wisesr_helpers.studies.experiment import choose_scale
from wisesr_helpers.studies.grid import get_paper_study, get_study
from wisesr_helpers.studies.report import compare_rows, results_table

# What the paper tried beside its final design: sections 2.4 and 3.4, and EfficientNet of its discussion.

EFFICIENTNET = "EfficientNetB0"  # the smallest of the family that the discussion is about
FINAL = "wise"  # title of the paper's final design, beside which the others stand
LEARNED = "two depthwise layers"  # title of the reduction with weights of its own


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One of the paper's attempts."""

    options: Mapping  # of the head "wise", by name
    section: str  # where the paper has it: its section, and its item there
    finding: str  # what the paper says of it, in our words


def ablations(pool_size):
    """The paper's final design and what it tried instead: title → ``Ablation``.

    Args:
        pool_size: Side of the averaged blocks in cells, at least 2; the stride tried is one less.
    """
    no_gain = "no higher accuracy than averaging"
    weaker = "weakens the results"
    interpolations = ("bilinear", "bicubic", "nearest", "area")
    return {
        FINAL: Ablation({}, "2.3 and 2.4", "the final design"),
        LEARNED: Ablation({"reduction": "depthwise"}, "3.4, 1", "underfits, does not train"),
        **{name: Ablation({"reduction": name}, "3.4, 2", no_gain) for name in interpolations},
        "zero padding": Ablation({"padding": "zeros"}, "3.4, 3", weaker),
        "unit padding": Ablation({"padding": "ones"}, "3.4, 3", weaker),
        f"stride {pool_size - 1}": Ablation({"strides": pool_size - 1}, "3.4, 4", "the results degrade"),
        "no bias": Ablation({"bias": False}, "2.4", "a bias is better"),
        "relu": Ablation({"activation": "relu"}, "2.4", "no activation is better"),
    }


def paper_pool_size(study, backbone=""):
    """Side of the blocks by the paper's rule, for a study's images on backbones with a 32nd of the image's side.

    Args:
        study: One of the paper's four studies.
        backbone: Empty: the study's own.

    Returns:
        int: 2 at 224×224, 3 at 512×512.

    Raises:
        ValueError: Another study.
    """
    side = get_paper_study(study).size_for(backbone)
    return default_pool_size(round(side * number("Section 3.3", "feature map side over image side", "Ratio")))


@refusing()
def typed_rows(study, backbone="", scale="auto", data_dir="", efficientnet=False):
    """What each row types, for ``ws.Rows``: title → keywords of ``ws.Experiment``.

    Args:
        study: One of the paper's four studies.
        backbone: Of the rows that name none.
        scale: "auto", "paper", "demo" or "smoke".
        data_dir: Where data is looked for first; empty: the usual folders.
        efficientnet: Whether EfficientNet with both heads is added; at the paper's scale it always is.

    Raises:
        ValueError: Another study or scale, or ``efficientnet`` is no bool.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
    """
    if not isinstance(efficientnet, bool):
        raise ValueError(f"efficientnet must be True or False; received {efficientnet!r}.")
    tried = ablations(paper_pool_size(study, backbone))
    rows = {title: {"options": dict(one.options)} for title, one in tried.items()}
    if efficientnet or choose_scale(scale, get_study(study), backbone, data_dir or None)[0] == "paper":
        rows |= {f"{EFFICIENTNET} + {head}": {"backbone": EFFICIENTNET, "head": head} for head in ("gap", "wise")}
    return rows


def beside_paper(runs):
    """Results beside what the paper says.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it for :func:`typed_rows`.

    Returns:
        DataFrame, a row a run: "row", "top-1, final epoch", "95% interval", "beside wise" (better, worse or no
        difference shown; the points on the same test images with their 95% interval, and p), "the paper", "section",
        "top-1, best epoch", "status", "kind".
    """
    shown = results_table(runs)
    tried = ablations(2) | ablations(3)  # strides of both sizes
    about = [tried.get(title, _DISCUSSED) for title in runs["row"]]
    beside = compare_rows(runs, FINAL)
    return pd.DataFrame(
        {
            **shown[["row", "top-1, final epoch", "95% interval"]],
            f"beside {FINAL}": [
                f"{beside[row].word}, {beside[row].brief}" if row in beside else "" for row in runs["row"]
            ],
            "the paper": [one.finding for one in about],
            "section": [one.section for one in about],
            **shown.loc[:, "top-1, best epoch":],
        }
    )


_DISCUSSED = Ablation({}, "4", "no remarkable gain over GAP")


def efficientnet_counts(study):
    """EfficientNet with "gap" and "wise" at a study's image size: "backbone", "head", "parameters", "GFLOPs"."""
    study = get_study(study)
    base = build_backbone(EFFICIENTNET, study.image_size)
    shape, rows = base.output.shape[1:], []
    for head in ("gap", "wise"):
        params = count_params(base) + head_params(head, shape, study.classes)
        flops = count_flops(base) + head_flops(head, shape, study.classes)
        rows.append((EFFICIENTNET, head, f"{params:,}", f"{flops / 1e9:.4f}"))
    return pd.DataFrame(rows, columns=["backbone", "head", "parameters", "GFLOPs"])


# What the reductions of section 3.4 do to a feature map: counted, drawn, and said in words.


def reductions(pool_size):
    """Title → layer, of what reduces the map in other ways than the final design, and of that itself.

    The learned one has weights as after its start and the constraint (section 2.4), drawn with seed 0.
    """
    keys = ("reduction", "padding", "strides")
    keras.utils.set_random_seed(0)
    return {
        title: reduction_layer(pool_size, **one.options)
        for title, one in ablations(pool_size).items()
        if not one.options or any(key in one.options for key in keys)
    }


def example_map(experiment):
    """What an untrained backbone makes of the first test image, in the channel that varies most: float32 (H, W)."""
    model = experiment.build()
    features = keras.Model(model.input, model.get_layer("features").output)
    values = keras.ops.convert_to_numpy(features.predict_on_batch(experiment.dataset.test.rgb([0])))[0]
    return values[..., values.std(axis=(0, 1)).argmax()]


def relative_weights(layer, height, width):
    """How much each cell weighs in all outputs of a reduction together: array (height, width) with a mean of 1."""
    _, rows, columns, _ = _built(layer, height, width).compute_output_shape((None, height, width, 1))
    weights = cell_weights(layer, np.ones((rows, columns, 1)), height, width)
    return weights[..., 0] / weights.mean()


def _built(layer, height, width):
    """The layer with weights, to which its constraint is applied as in training."""
    if not layer.built:
        layer.build((None, height, width, 1))
    if not isinstance(layer, FixedReduction2D):
        layer.kernel.assign(layer.depthwise_constraint(layer.kernel))
    return layer


def geometry(height, width, pool_size):
    """What each reduction leaves of a map, exactly, a row a reduction.

    "learned weights a channel" are with the pooling's behind it, biases left out; "largest weight of a cell" is of
    fixed ones only, the mean being 1.
    """
    rows = []
    for title, layer in reductions(pool_size).items():
        weights = relative_weights(layer, height, width)
        _, h, w, _ = layer.compute_output_shape((None, height, width, 1))
        fixed = isinstance(layer, FixedReduction2D)
        learned = h * w + (0 if fixed else pool_size**2)
        none = _left_out(layer, height, width)
        rows.append((title, f"{h}×{w}", learned, none, f"{weights.max():.2f}" if fixed else "learned"))
    names = ("row", "map", "learned weights a channel", "cells not read", "largest weight of a cell")
    return pd.DataFrame(rows, columns=names)


def _left_out(layer, height, width):
    """How many cells no output reads."""
    return int((~_read(layer, height, width)).sum())


def _read(layer, height, width):
    """Which cells some output reads: bool array (height, width)."""
    _built(layer, height, width)
    if isinstance(layer, FixedReduction2D):
        rows, columns = (matrix.any(axis=0) for matrix in (layer.rows, layer.columns))
    else:
        sides = zip((height, width), layer.kernel_size, strict=True)
        rows, columns = (np.arange(side) < side // window * window for side, window in sides)
    return np.outer(rows, columns)


def draw_reduced(feature_map, pool_size, axes):
    """A feature map as it is, and after every reduction; all but the learned one in the same colours.

    Args:
        feature_map: Array (H, W).
        pool_size: Side of a block in cells.
        axes: As many Axes as reductions, and one more; any others stay empty.
    """
    maps = {"the map": feature_map}
    for title, layer in reductions(pool_size).items():
        maps[title] = _reduce(layer, feature_map)
    colours = weight_colours([values for title, values in maps.items() if title != LEARNED])
    said = []
    for ax, (title, values) in _panels(axes, maps):
        size = f"{values.shape[0]}×{values.shape[1]}"
        if title == LEARNED:  # it starts near zero, which in the others' colours would be one white
            ax.imshow(values, **weight_colours([values]))
            ax.set_title(f"{title}\n{size}, own scale to {np.abs(values).max():.2g}", fontsize=8)
        else:
            image = ax.imshow(values, **colours)
            ax.set_title(f"{title}\n{size}", fontsize=8)
        said.append(f"{title} {size} cells, {values.min():.3g} to {values.max():.3g}")
    axes.flat[0].figure.colorbar(image, ax=axes, shrink=0.7, label="value")
    return described(axes, f"A feature map before and after each reduction. Values: {'; '.join(said)}.")


def _reduce(layer, feature_map):
    """A feature map (H, W) after a reduction."""
    layer = _built(layer, *feature_map.shape)
    return keras.ops.convert_to_numpy(layer(feature_map[None, ..., None].astype("float32")))[0, ..., 0]


def draw_cell_weights(height, width, pool_size, axes):
    """How much each cell of the map weighs in all outputs together, a panel a reduction; the mean is 1 in each.

    Cells that no output reads are crossed out.

    Args:
        height: Of the map, in cells.
        width: Of the map, in cells.
        pool_size: Side of a block in cells.
        axes: As many Axes as reductions at least; any others stay empty.
    """
    from matplotlib.patches import Rectangle

    layers = reductions(pool_size)
    weights = {title: relative_weights(layer, height, width) for title, layer in layers.items()}
    colours = weight_colours(weights.values())
    for ax, (title, values) in _panels(axes, weights):
        image = ax.imshow(values, **colours)
        crossed = ~_read(layers[title], height, width)
        ax.plot(*np.argwhere(crossed).T[::-1], "x", color="0.5", markersize=3, markeredgewidth=0.8)
        ax.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor="0.5"))
        ax.set_title(f"{title}\n{_left_out(layers[title], height, width)} of {values.size} not read", fontsize=8)
    axes.flat[0].figure.colorbar(image, ax=axes, shrink=0.7, label="weight, mean 1")
    said = []
    for title, _, _, none, largest in geometry(height, width, pool_size).itertuples(index=False):
        ends = "the weights of the others are learned" if largest == "learned" else f"the largest weight is {largest}"
        said.append(f"{title}: {none} of {height * width} cells are not read, {ends}")
    words = "Weight of each cell in all outputs together, the mean being 1."
    return described(axes, f"{words} {'; '.join(said)}.")


def _panels(axes, shown):
    """Pairs of Axes and what they show; frames are taken off, and the Axes left over are empty."""
    for ax in axes.flat:
        ax.set_axis_off()
    return zip(axes.flat, shown.items(), strict=False)
