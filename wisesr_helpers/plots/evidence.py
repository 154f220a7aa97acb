"""Figures of experiments: judged differences, learned weights, training beside test accuracy, and jumps."""

import numpy as np

from wisesr_helpers.metrics import points
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.runs import row_styles


def differences(judged, ax):
    """Judged differences with their 95% intervals, one in a row; filled where a difference is shown."""
    said = []
    for place, (title, each) in enumerate(judged.items()):
        low, high, middle = 100 * each.low, 100 * each.high, 100 * each.difference
        ax.plot([low, high], [place, place], color="0.3", linewidth=2)
        ax.plot(middle, place, "o", color="0.3", markersize=7, markerfacecolor="#0072B2" if each.shown else "white")
        said.append(f"{title}: {points(each.difference, '+')} ({points(each.low)} to {points(each.high)}), {each.word}")
    ax.axvline(0, color="0.3", linestyle=":", linewidth=1)
    ax.set_yticks(range(len(judged)), list(judged))
    ax.set(ylim=(len(judged) - 0.5, -0.5), xlabel="difference of test top-1, points")
    ax.grid(axis="x", alpha=0.3)
    return described(ax, f"Differences of test top-1 in points, with 95% intervals; filled: shown. {'; '.join(said)}.")


def radial_profile(weights, ax):
    """The mean weight of cells by distance from the centre: a line for every training's map (H, W), average = 1."""
    said = []
    for (title, maps), (ink, dashes) in zip(weights.items(), row_styles(list(weights)), strict=True):
        inner, outer = [], []
        for k, cells in enumerate(maps):
            places, means = profile(cells)
            ax.plot(places, means, dashes, color=ink, alpha=0.8, label=None if k else title)
            inner.append(means[places <= 0.5].mean())
            outer.append(means[places > 0.5].mean())
        said.append(
            f"{title}, {len(maps)} trainings: {np.mean(inner):.2f} up to half of the way to a corner, "
            f"{np.mean(outer):.2f} beyond"
        )
    ax.axhline(1, color="0.3", linestyle=":", linewidth=1, label="average")
    ax.set(xlabel="distance from the centre, 1: a corner", ylabel="weight, average = 1")
    ax.legend(fontsize=8, frameon=False)
    ax.grid(alpha=0.3)
    return described(ax, f"Mean weight by distance from the centre, as multiples of the average's. {'; '.join(said)}.")


def distances(height, width):
    """Distances of the cells' centres from the map's centre, in cells: float array (height, width)."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    return np.hypot(rows[:, None], columns)


def profile(cells):
    """(distances, means over the cells at each) of a map (H, W); a corner has distance 1."""
    places, which = np.unique(distances(*cells.shape).round(6), return_inverse=True)
    means = np.bincount(which.ravel(), cells.ravel()) / np.bincount(which.ravel())
    return places / places.max(), means


def overfitting(runs, ax):
    """Test accuracy by epoch, drawn, beside training accuracy, dashed: means over seeds, a colour a row."""
    said, titles = [], list(dict.fromkeys(runs["row"]))
    for title, (ink, _) in zip(titles, row_styles(titles), strict=True):
        of_row = runs[runs["row"] == title]["run"]
        epochs = range(1, min(run.epochs for run in of_row) + 1)
        ends = []
        for measure, dashes in (("test_top1", "-"), ("top1", "--")):
            mean = np.mean([[row[measure] for row in run.history[: len(epochs)]] for run in of_row], axis=0)
            ax.plot(epochs, mean, dashes, color=ink, label=title if measure == "test_top1" else None)
            ends.append(mean[-1])
        said.append(f"{title}, {len(of_row)} seeds: test {ends[0]:.1%}, training {ends[1]:.1%}")
    ax.set(xlabel="epoch", ylabel="top-1: test (line), training (dashed)", ylim=(0, 1.02))
    ax.legend(fontsize=8, frameon=False)
    ax.grid(alpha=0.3)
    return described(
        ax, f"Top-1 by epoch, means over seeds, test and training (dashed). After the last epoch: {'; '.join(said)}."
    )


def jumps(measured, ax):
    """Test accuracy by epoch with moving statistics, drawn, and with new ones, dashed; a colour an arm."""
    said = []
    for (title, seeds), (ink, _) in zip(measured.items(), row_styles(list(measured)), strict=True):
        changes = {}
        for way, dashes in (("moving", "-"), ("anew", "--")):
            for k, seed in enumerate(seeds):
                label = f"{title}, {way}" if not k else None
                ax.plot(range(1, len(seed[way]) + 1), seed[way], dashes, color=ink, alpha=0.8, label=label)
            changes[way] = np.mean([change(seed[way]) for seed in seeds])
        moving, anew = (points(changes[way]) for way in ("moving", "anew"))
        said.append(f"{title}: {moving} points with moving statistics, {anew} with new ones")
    ax.set(xlabel="epoch", ylabel="test top-1", ylim=(0, 1.02))
    ax.legend(fontsize=8, frameon=False)
    ax.grid(alpha=0.3)
    return described(
        ax,
        "Test top-1 by epoch, with moving statistics and new ones (dashed). "
        f"Mean change from epoch to epoch: {'; '.join(said)}.",
    )


def change(curve):
    """Mean absolute change from epoch to epoch."""
    return float(np.abs(np.diff(curve)).mean())
