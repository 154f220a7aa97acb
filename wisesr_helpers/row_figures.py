"""Figures of runs side by side, a colour a row; and the same in words."""

import itertools

import pandas as pd

from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.runs import chance, ending

# Colour-blind safe (Okabe and Ito), one per head, the same on every page.
OTHER_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
COLOURS = {"gap": "#D55E00", "wise": "#0072B2"}
COLOURS |= dict(zip(("depthwise", "avg_fc", "flatten_fc", "gwap", "vgg_fc"), OTHER_COLOURS, strict=True))
DASHES = ("-", "--", ":")
CHANCE = {"color": "0.3", "linestyle": ":", "linewidth": 1}


def row_styles(titles):
    """Pairs (colour, dashes), one a row: a row that is called like a head has that head's colour, and no other has it.

    Args:
        titles: What the rows are called.
    """
    heads = {title: (COLOURS[title], DASHES[0]) for title in titles if title in COLOURS}
    free = [colour for colour in OTHER_COLOURS if (colour, DASHES[0]) not in heads.values()]
    others = itertools.cycle((colour, dashes) for dashes in DASHES for colour in free)
    return [heads.get(title) or next(others) for title in titles]


def row_accuracies(runs, ax):
    """Final test top-1 of every row, with its 95 % Wilson interval, the first row on top; a line at chance.

    A run that is not complete has no final accuracy: how it ended stands at the left edge.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it.
        ax: Axes to draw on.
    """
    for place, (row, (colour, _)) in enumerate(zip(runs.itertuples(), row_styles(runs["row"]), strict=True)):
        if row.status != "complete":
            ax.annotate(
                ending(row.record["outcome"]), (0, place), xytext=(4, 0), textcoords="offset points", va="center"
            )
            continue
        low, high = wilson_interval(row.correct, row.images)
        ax.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.5)
        ax.plot(row.top1, place, "o", color=colour)
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
    for row, (colour, dashes) in zip(runs.itertuples(), row_styles(runs["row"]), strict=True):
        history = pd.DataFrame(row.record["outcome"]["history"], columns=["epoch", measure])
        ended = "" if row.status == "complete" else f", {ending(row.record['outcome'])}"
        ax.plot(history["epoch"], history[measure], dashes, color=colour, label=row.row + ended)
    if measure.endswith("top1"):
        ax.axhline(chance(runs["record"].iloc[0]), label="chance", **CHANCE)
    if "top" in measure:
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set_xlabel("epoch")
    ax.set_ylabel(measure_in_words(measure))
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
    return f"{measure_in_words(measure)} by epoch. {'; '.join(parts)}."


def measure_in_words(measure):
    """A key of the history in words: "test_top1" is "test top-1"."""
    return measure.replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")


def _value(measure, value):
    if value is None:
        return "not measured"
    return f"{value:.1%}" if "top" in measure else f"{value:.3g}"
