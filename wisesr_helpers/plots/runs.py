"""Figures of runs and of numbers by head, and words for who can't see them."""

import base64
import io
import itertools

import numpy as np
import pandas as pd

from wisesr_helpers.metrics import wilson_interval

# Figures of runs side by side, a colour a row; and the same in words.

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
            ax.annotate(row.run.ending, (0, place), xytext=(4, 0), textcoords="offset points", va="center")
            continue
        low, high = wilson_interval(row.correct, row.images)
        ax.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.5)
        ax.plot(row.top1, place, "o", color=colour)
    ax.axvline(runs["run"].iloc[0].chance, **CHANCE)
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
            parts.append(f"{row.row} {row.run.ending}")
    return f"Test top-1 after the last epoch: {'; '.join(parts)}. Chance is {runs['run'].iloc[0].chance:.1%}."


def row_curves(runs, ax, measure="test_top1"):
    """A measure by epoch, a line a row.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it.
        ax: Axes to draw on.
        measure: A key of the history: "test_top1", "top1", "loss", ….
    """
    for row, (colour, dashes) in zip(runs.itertuples(), row_styles(runs["row"]), strict=True):
        history = pd.DataFrame(row.run.history, columns=["epoch", measure])
        ended = "" if row.status == "complete" else f", {row.run.ending}"
        ax.plot(history["epoch"], history[measure], dashes, color=colour, label=row.row + ended)
    if measure.endswith("top1"):
        ax.axhline(runs["run"].iloc[0].chance, label="chance", **CHANCE)
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
        history = row.run.history
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


# Every figure: functions that draw on the axes they are given and return them, and words for who can't see them.

ENDING = {"linestyle": "none", "markersize": 7, "markeredgewidth": 2}  # the mark of a run that is not complete
MARKS = {"small_patch": ("o", "-"), "small_conv": ("s", "--")}


def colour(head):
    """The colour of a head."""
    return COLOURS.get(head) or OTHER_COLOURS[sum(head.encode()) % len(OTHER_COLOURS)]


def figure(width=7.0, height=3.5, columns=1, rows=1, **options):
    """A white figure with constrained layout (inches), so that it reads in light and dark pages.

    Returns:
        (figure, axes): a single Axes for one row and column, else an array of them.
    """
    from matplotlib.figure import Figure

    drawn = Figure((width, height), facecolor="white", layout="constrained")
    return drawn, drawn.subplots(rows, columns, **options)


def show(drawn, alt, dpi=110):
    """Display a figure with a description for readers who can't see it.

    Args:
        drawn: matplotlib Figure.
        alt: The description; it also travels inside the PNG, where the book finds it.
        dpi: Pixels an inch.
    """
    from IPython.display import display

    png = io.BytesIO()
    drawn.savefig(png, format="png", dpi=dpi, metadata={"Description": alt, "Software": None})
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
    display(data, raw=True, metadata={"image/png": {"alt": alt}})


def growth(rows, axes):
    """Parameters of heads against what they grow with, a panel each, on logarithmic axes.

    Args:
        rows: DataFrame as :func:`_pages.costs.growth` returns it.
        axes: One Axes for every value of the column "grows with".
    """
    from matplotlib.ticker import LogLocator, NullLocator

    for ax, (what, panel) in zip(np.ravel(axes), rows.groupby("grows with", sort=False), strict=True):
        for (head, line), mark in zip(panel.groupby("head", sort=False), "os^Dv<>P*X", strict=False):
            style = {"color": colour(head), "marker": mark, "markersize": 4, "linewidth": 1.3}
            ax.plot(line["value"], line["parameters"], label=head, **style)
        ax.set(xscale="log", yscale="log", xlabel=what)
        ax.xaxis.set_major_locator(LogLocator(base=10 if panel["value"].max() % 10 == 0 else 2, numticks=6))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(alpha=0.3)
    return axes


def describe_growth(rows):
    """:func:`growth` in words, from the same data: where every line begins and ends."""
    parts = []
    for what, panel in rows.groupby("grows with", sort=False):
        ends = []
        for head, line in panel.groupby("head", sort=False):
            first, last = line.iloc[0], line.iloc[-1]
            ends.append(f"{head} {first['parameters']:,} to {last['parameters']:,}")
        parts.append(f"{what} from {panel['value'].min():,} to {panel['value'].max():,}: " + ", ".join(ends))
    return "Parameters of heads. " + ". ".join(parts) + "."


def curves(runs, ax, measure="test_top1"):
    """A measure by epoch, a line a run: colour by head, dashes by backbone. Top-1 has a line at chance, too.

    The line of a run that diverged ends at its last whole epoch with a cross, which the legend explains; without a
    whole epoch there is only the legend's entry. The axis is as long as the recipe.

    Args:
        runs: ``RunResult`` objects.
        ax: Axes to draw on.
        measure: A key of the history: "test_top1", "top1", "loss", ….
    """
    named, several = set(), len({run.backbone for run in runs}) > 1
    for run in runs:
        head, backbone = run.head, run.backbone
        label = f"{backbone} + {head}"
        epochs = [row["epoch"] for row in run.history]
        values = [np.nan if row[measure] is None else row[measure] for row in run.history]
        new = label not in named and len(epochs) > 0  # no line, no entry in the legend
        style = {"color": colour(head), "linewidth": 1.5, "alpha": 0.85, "label": label if new else None}
        ax.plot(epochs, values, MARKS.get(backbone, ("^", ":"))[1], **style)
        if new:
            named.add(label)
        if run.status == "diverged":
            explained = f"{label if several else head}, seed {run.seed}: {run.ending}"
            # A mark on the edge is drawn whole; one without a place must not take part in the layout.
            style = {"color": colour(head), "clip_on": not epochs, "label": explained}
            ax.plot(epochs[-1:], values[-1:], "x", **style, **ENDING)
        ax.update_datalim([(1, 0), (run.planned_epochs, 0)], updatey=False)
    ax.autoscale_view()
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if measure.endswith("top1"):
        for k, share in enumerate(_chances(runs)):
            ax.axhline(share, label=None if k else "chance", **CHANCE)
    if "top" in measure:
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    return ax


def describe_curves(runs, measure="test_top1"):
    """:func:`curves` in words, from the same data: where every run begins and ends."""
    parts = []
    for run in runs:
        rows = run.history[:1] + run.history[1:][-1:]  # the first and the last, which may be one
        said = [f"{_words(measure, row[measure])} after epoch {row['epoch']}" for row in rows] or ["no whole epoch"]
        if run.status != "complete":
            said.append(run.ending)
        parts.append(f"{run.backbone} with {run.head}, seed {run.seed}: {', '.join(said)}")
    guessed = _chance_in_words(runs) if measure.endswith("top1") else ""
    return f"{measure_in_words(measure)} by epoch. " + "; ".join(parts) + "." + guessed


def _chances(runs):
    """Every chance among the runs, once: one, unless they differ in their number of classes."""
    return sorted({run.chance for run in runs})


def _chance_in_words(runs):
    return "".join(f" Chance is {share:.1%}." for share in _chances(runs))


def accuracies(runs, ax):
    """Final test top-1 of every run, with its 95 % Wilson interval, grouped by backbone and head; a line at chance.

    A run that is not complete has no final accuracy: how it ended stands at the left edge, off the scale.

    Args:
        runs: DataFrame as ``ws.load_runs`` returns it.
        ax: Axes to draw on.
    """
    groups = sorted(runs.groupby(["backbone", "head"], sort=False), key=lambda group: group[0], reverse=True)
    for position, ((_, head), group) in enumerate(groups):
        cut_short = []
        for k, row in enumerate(group.itertuples()):
            y = position + 0.16 * (k - (len(group) - 1) / 2)
            if row.status != "complete":
                cut_short.append((y, row.run))
                continue
            low, high = wilson_interval(row.correct, row.images)
            ax.plot([low, high], [y, y], color=colour(head), linewidth=2, alpha=0.6)
            ax.plot(row.top1, y, "o", color=colour(head), markersize=5)
        _at_the_edge(cut_short, ax)
    for k, share in enumerate(_chances(runs["run"])):
        ax.axvline(share, **CHANCE)
        if k == 0:  # there is no legend to name the line
            ax.text(
                share, 0, " chance", transform=ax.get_xaxis_transform(), fontsize=8, color=CHANCE["color"], va="bottom"
            )
    ax.set_yticks(range(len(groups)), [f"{backbone} + {head}" for (backbone, head), _ in groups])
    ax.set_xlim(0, 1.02)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set_xlabel("test top-1, final epoch")
    ax.grid(axis="x", alpha=0.3)
    return ax


def _at_the_edge(cut_short, ax):
    """Say at the left edge of the axes how runs of one head, pairs (y, run), ended: a cross if one diverged."""
    from matplotlib.patheffects import withStroke

    edge = ax.get_yaxis_transform()  # places along the axes, not accuracies
    for y, run in cut_short:
        mark = "x" if run.status == "diverged" else "_"
        ax.plot(0.012, y, mark, color=colour(run.head), transform=edge, **ENDING)
    if cut_short:  # one text, for the marks of seeds are closer than lines of text
        said = "; ".join(f"seed {run.seed} {run.ending}" for _, run in cut_short)
        halo = [withStroke(linewidth=2, foreground="white")]  # the line at chance may cross it
        ax.text(0.028, cut_short[0][0], said, transform=edge, fontsize=7, va="center", path_effects=halo)


def describe_accuracies(runs):
    """:func:`accuracies` in words, from the same data."""
    parts = [
        f"{row.backbone} with {row.head}, seed {row.seed}: "
        + (_words("top1", row.top1) if row.status == "complete" else row.run.ending)
        for row in runs.itertuples()
    ]
    return "Final test top-1 accuracy with 95 % intervals. " + "; ".join(parts) + "." + _chance_in_words(runs["run"])


def _words(measure, value):
    """A value of a measure as text: accuracies in percent."""
    if value is None:
        return "no finite value"
    return f"{value:.1%}" if "top" in measure else f"{value:.3g}"
