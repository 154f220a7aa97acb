"""What each position of each channel weighs in the pooled vector: the weights, and figures of them."""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.attribution import position_weights
from wisesr_helpers.cuts import cut_at
from wisesr_helpers.plots import colour


def weight_map(model):
    """What every position of every channel weighs in the pooled vector.

    Args:
        model: A classifier whose head pools each channel to one value, whatever the image: "gap", "wise",
            "depthwise", "gwap_fixed" and those like them.

    Returns:
        Array (H, W, C). A channel that no class listens to has 0.

    Raises:
        ValueError: The head is not linear up to the logits, or every class has weights of its own ("avg_fc",
            "flatten_fc"): :func:`wisesr_helpers.attribution.position_weights` has those.
    """
    weights, kernel = position_weights(model), keras.ops.convert_to_numpy(cut_at(model).classifier.kernel)
    channels = weights.shape[2]
    if len(kernel) != channels:
        raise ValueError(
            f"In '{model.name}' every class has weights of its own, not every channel; "
            "wisesr_helpers.attribution.position_weights has them."
        )
    # The class that listens most to a channel, divided out again.
    loudest = np.abs(kernel).argmax(axis=1)
    listened = kernel[np.arange(channels), loudest]
    chosen = weights[:, :, np.arange(channels), loudest]
    return np.divide(chosen, listened, out=np.zeros_like(chosen), where=listened != 0)


def distances(height, width):
    """Distance of every cell's centre from the map's, in cells: float array (height, width)."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    return np.hypot(rows[:, None], columns)


def radial_profile(weights):
    """Mean weight by distance from the centre of the map.

    Args:
        weights: Array (H, W, C), as :func:`weight_map` returns it.

    Returns:
        DataFrame, one row a ring, from the centre; ring k holds the cells at a distance from k to below k + 1 cells:
        distance (their mean, in cells), cells (their number), mean (over cells and channels), low and high (the 10 %
        and 90 % quantiles over the channels of each one's mean in the ring).
    """
    import pandas as pd

    away = distances(*weights.shape[:2])
    rows = []
    for ring in np.unique(away.astype(int)):
        inside = away.astype(int) == ring
        by_channel = weights[inside].astype(np.float64).mean(axis=0)  # (C,)
        rows.append((away[inside].mean(), int(inside.sum()), by_channel.mean(), *np.quantile(by_channel, (0.1, 0.9))))
    return pd.DataFrame(rows, columns=["distance", "cells", "mean", "low", "high"])


def never_seen(weights):
    """The cells at which every channel has the weight 0: bool array (H, W)."""
    return (weights == 0).all(axis=-1)


def describe_unseen(weights):
    """How much of the feature map counts for nothing, in words, from an array (H, W, C)."""
    unseen = never_seen(weights)
    zero = (weights[~unseen] == 0).mean()
    return (
        f"{int(unseen.sum())} of the {unseen.size} cells count for nothing in any channel; of the other cells' "
        f"weights {zero:.0%} are exactly 0."
    )


def ranked_channels(weights, count=4):
    """Channels from the one that looks nearest to the centre to the one that looks farthest from it, evenly spread.

    Args:
        weights: Array (H, W, C).
        count: How many; fewer if there are fewer with any weight.

    Returns:
        List of channels.
    """
    sizes = np.abs(weights).sum(axis=(0, 1), dtype=np.float64)
    alive = np.flatnonzero(sizes)
    mean = (np.abs(weights) * distances(*weights.shape[:2])[..., None]).sum(axis=(0, 1))[alive] / sizes[alive]
    places = np.linspace(0, len(alive) - 1, min(count, len(alive))).round().astype(int)
    return [int(channel) for channel in alive[np.argsort(mean, kind="stable")][places]]


def weight_grid(weights, axes):
    """The mean over channels of the weights, then some channels, from the most central one to the outermost.

    All panels have one colour scale; white is nothing. Cells that no channel looks at are crossed out.

    Args:
        weights: dict, head → array (H, W, C).
        axes: Axes (heads, 1 + channels).
    """
    rows = []
    for head, map_ in weights.items():
        chosen = ranked_channels(map_, axes.shape[1] - 1)
        named = {f"channel {channel}": map_[..., channel] for channel in chosen}
        rows.append({f"{head}: mean of {map_.shape[2]} channels": map_.mean(axis=-1), **named})
    most = max(float(np.abs(panel).max()) for panels in rows for panel in panels.values()) or 1.0
    for row, panels, map_ in zip(axes, rows, weights.values(), strict=True):
        for ax in row:
            ax.set_axis_off()
        for ax, (title, panel) in zip(row, panels.items(), strict=False):
            drawn = ax.imshow(panel, cmap="RdBu_r", vmin=-most, vmax=most)
            ax.plot(*np.argwhere(never_seen(map_)).T[::-1], "x", color="0.5", markersize=3, markeredgewidth=0.8)
            ax.set_title(title, fontsize=8)
    bar = axes[0, 0].figure.colorbar(drawn, ax=list(axes.flat), shrink=0.8, label="weight of a cell")
    bar.ax.tick_params(labelsize=7)
    return axes


def describe_weight_grid(weights, channels=4):
    """:func:`weight_grid` in words, from the same arrays."""
    parts = []
    for head, map_ in weights.items():
        mean = map_.mean(axis=-1)
        named = ", ".join(map(str, ranked_channels(map_, channels)))
        parts.append(
            f"{head}: the mean over channels reaches from {mean.min():.2g} to {mean.max():.2g}; channels {named}, from "
            f"the most central to the outermost; {int(never_seen(map_).sum())} of {mean.size} cells crossed out"
        )
    return "Weights of the cells. " + "; ".join(parts) + "."


def profiles(trained, untrained, ax):
    """Mean weight by distance from the centre, with a band of the middle 80 % of channels; dashed: the start.

    Args:
        trained: dict, head → array (H, W, C).
        untrained: The same before the training; heads that learn no weights are not drawn twice.
        ax: Axes to draw on.
    """
    for head, weights in trained.items():
        lines = {head: (weights, "-")}
        if not np.array_equal(weights, untrained[head]):
            lines[f"{head}, before the training"] = (untrained[head], "--")
        for label, (each, dashes) in lines.items():
            profile = radial_profile(each)
            band = {"color": colour(head), "alpha": 0.15, "linewidth": 0}
            ax.fill_between(profile["distance"], profile["low"], profile["high"], **band)
            ax.plot(
                profile["distance"], profile["mean"], dashes, color=colour(head), label=label, marker="o", markersize=3
            )
    ax.set(xlabel="distance from the centre of the feature map, in cells", ylabel="weight of a cell")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    return ax


def describe_profiles(trained, untrained):
    """:func:`profiles` in words, from the same arrays."""
    parts = []
    for head, weights in trained.items():
        ends = [radial_profile(each).iloc[[0, -1]] for each in (weights, untrained[head])]
        now, before = (
            f"{near:.2g} at the centre and {far:.2g} at the corner" for near, far in (end["mean"] for end in ends)
        )
        learned = "" if np.array_equal(weights, untrained[head]) else f", before the training {before}"
        parts.append(f"{head}: {now}{learned}")
    return "Mean weight by distance from the centre. " + "; ".join(parts) + "."
