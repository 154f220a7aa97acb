"""Figures of runs side by side, a colour a row; and the same in words."""

import pandas as pd

from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.runs import chance, ending

# Okabe and Ito, colour-blind safe, then the same with other dashes.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":")
CHANCE = {"color": "0.3", "linestyle": ":", "linewidth": 1}


def row_accuracies(runs, ax):
    """Final test top-1 of every row, with its 95 % Wilson interval, the first row on top; a line at chance.

    A run that is not complete has no final accuracy: how it ended stands at the left edge.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it.
        ax: Axes to draw on.
    """
    for place, row in enumerate(runs.itertuples()):
        if row.status != "complete":
            ax.annotate(
                ending(row.record["outcome"]), (0, place), xytext=(4, 0), textcoords="offset points", va="center"
            )
            continue
        low, high = wilson_interval(row.correct, row.images)
        ax.plot([low, high], [place, place], color=_colour(place), linewidth=2, alpha=0.5)
        ax.plot(row.top1, place, "o", color=_colour(place))
    ax.axvline(chance(runs["record"].iloc[0]), **CHANCE)
    ax.set_yticks(range(len(runs)), runs["row"])
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.set_xlim(0, 1.02)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set_xlabel("test top-1 after the last epoch, 95 % interval; dotted: chance")
    ax.grid(axis="x", alpha=0.3)
    return ax


def describe_row_accuracies(runs):
    """:func:`row_accuracies` in words, from the same data."""
    parts = []
    for row in runs.itertuples():
        if row.status == "complete":
            low, high = wilson_interval(row.correct, row.images)
            parts.append(f"{row.row} {row.top1:.1%} (95 % interval {low:.1%} to {high:.1%})")
        else:
            parts.append(f"{row.row} {ending(row.record['outcome'])}")
    return f"Test top-1 after the last epoch: {'; '.join(parts)}. Chance is {chance(runs['record'].iloc[0]):.1%}."


def row_curves(runs, ax, measure="test_top1"):
    """A measure by epoch, a line a row.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it.
        ax: Axes to draw on.
        measure: A key of the history: "test_top1", "top1", "loss", ….
    """
    for place, row in enumerate(runs.itertuples()):
        history = pd.DataFrame(row.record["outcome"]["history"], columns=["epoch", measure])
        dashes = DASHES[place // len(COLOURS) % len(DASHES)]
        ended = "" if row.status == "complete" else f", {ending(row.record['outcome'])}"
        ax.plot(history["epoch"], history[measure], dashes, color=_colour(place), label=row.row + ended)
    if measure.endswith("top1"):
        ax.axhline(chance(runs["record"].iloc[0]), label="chance", **CHANCE)
    if "top" in measure:
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set_xlabel("epoch")
    ax.set_ylabel(measure.replace("_", " ").replace("top1", "top-1"))
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def describe_row_curves(runs, measure="test_top1"):
    """:func:`row_curves` in words, from the same data: where every row begins and ends."""
    parts = []
    for row in runs.itertuples():
        history = row.record["outcome"]["history"]
        ends = [
            f"{_value(measure, entry[measure])} after epoch {entry['epoch']}"
            for entry in history[:1] + history[1:][-1:]
        ]
        parts.append(f"{row.row}: {', '.join(ends) or 'no whole epoch'}")
    return f"{measure.replace('_', ' ').replace('top1', 'top-1')} by epoch. {'; '.join(parts)}."


def _value(measure, value):
    if value is None:
        return "not measured"
    return f"{value:.1%}" if "top" in measure else f"{value:.3g}"


def _colour(place):
    return COLOURS[place % len(COLOURS)]
