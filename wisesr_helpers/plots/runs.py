"""Figures of runs: accuracies with their intervals, and measures by epoch."""

import collections
import itertools
import re

import numpy as np
import pandas as pd

from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.plots.figures import described

# Colour-blind safe (Okabe and Ito), one per head, the same on every page.
OTHER_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9")  # the sky blue last, which is near wise's
COLOURS = {"gap": "#D55E00", "wise": "#0072B2"}
COLOURS |= dict(zip(("depthwise", "avg_fc", "flatten_fc", "vgg_fc", "gwap"), OTHER_COLOURS, strict=True))
# Heads that stand beside one of these in figures, in a darker colour of their own.
COLOURS |= {"gap_dropout": "#8A3D00", "wise_dropout": "#003A5C", "depthwise_nonneg": "#005C43", "gwap_fixed": "#882255"}
DASHES = ("-", "--", ":")
BACKBONE_DASHES = {"small_patch": "-", "small_conv": "--"}
CHANCE = {"color": "0.3", "linestyle": ":", "linewidth": 1}
FEW = 6  # titles that colours tell apart
OTHERS = {"color": "0.75", "linewidth": 1, "zorder": 1}
ENDING = {"linestyle": "none", "markersize": 7, "markeredgewidth": 2}  # the mark of a run that is not complete


def colour(head):
    """The colour of a head."""
    return COLOURS.get(head) or OTHER_COLOURS[sum(head.encode()) % len(OTHER_COLOURS)]


def row_styles(titles):
    """Pairs (colour, dashes), one for each of the rows ``titles``: a head's colour is for rows whose title names it.

    Rows of one head differ in their dashes; of more than there are dashes, only that of its very name has its colour.
    """
    named = collections.Counter(map(_head, titles))
    heads = {}
    for title in titles:
        if _head(title) in COLOURS and (title in COLOURS or named[_head(title)] <= len(DASHES)):
            before = sum(_head(other) == _head(title) for other in heads)
            heads[title] = COLOURS[_head(title)], DASHES[before % len(DASHES)]
    taken = {colour for colour, _ in heads.values()}
    free = [colour for colour in OTHER_COLOURS if colour not in taken]
    others = itertools.cycle((colour, dashes) for dashes in DASHES for colour in free)
    return [heads.get(title) or next(others) for title in titles]


def _titled(runs):
    """Tuples (run, title, colour, dashes): by the column "row" where there is one, else by backbone and head."""
    if _has_rows(runs):
        titles = list(dict.fromkeys(runs["row"]))  # the seeds of a row look alike
        styles = dict(zip(titles, row_styles(titles), strict=True))
        return [(run, title, *styles[title]) for run, title in zip(runs["run"], runs["row"], strict=True)]
    runs = runs["run"] if isinstance(runs, pd.DataFrame) else runs
    return [
        (run, f"{run.backbone} + {run.head}", colour(run.head), BACKBONE_DASHES.get(run.backbone, ":")) for run in runs
    ]


def _greyed(titles):
    """Which of the titles are grey: of more than a few, all but Wise-SrNet's and GAP's, if the first is there."""
    if len(titles) <= FEW or "wise" not in map(_head, titles):
        return set()
    return {title for title in titles if _head(title) not in ("wise", "gap")}


def _head(title):
    """The head that a row's title names, as in "gap", "small_conv + gap" and "mit_224, gap"; the title if none."""
    return next((part for part in re.split(r" \+ |, ", title) if part in COLOURS), title)


def _has_rows(runs):
    return isinstance(runs, pd.DataFrame) and "row" in runs


def accuracies(runs, ax):
    """Final test top-1 of every run with its 95% Wilson interval, in one row per title, and a line at chance.

    Titles are backbone and head, in alphabetical order, or those of the column "row", in its order; seeds of one title
    lie close together. Of more than six rows, those that name no head are grey. A run that is not complete has no final
    accuracy: its status is at the left edge.

    Args:
        runs: DataFrame as ``ws.load_runs`` or ``ws.Rows.run`` returns it.
        ax: Axes to draw on.

    Returns:
        ``ax``, described.
    """
    groups, said = {}, []
    for run, title, ink, _ in _titled(runs):
        groups.setdefault(title, []).append((run, ink))
    titles = list(groups) if _has_rows(runs) else sorted(groups)
    grey = {title for title in _greyed(titles) if _head(title) not in COLOURS} if _has_rows(runs) else set()
    for place, title in enumerate(titles):
        cut_short = []
        for k, (run, ink) in enumerate(groups[title]):
            ink = "0.5" if title in grey else COLOURS.get(_head(title), ink)
            y = place + 0.16 * (k - (len(groups[title]) - 1) / 2)
            if run.status == "complete":
                low, high = wilson_interval(run.correct_images, run.final["count"])
                ax.plot([low, high], [y, y], color=ink, linewidth=2, alpha=0.6)
                ax.plot(run.top1, y, "o", color=ink, markersize=5)
                found = f"{run.top1:.1%} ({low:.1%} to {high:.1%})"
            else:
                cut_short.append((y, run, ink))
                found = run.ending
            said.append(f"{title}, seed {run.seed}: {found}")
        _at_the_edge(cut_short, ax)
    chances = _chances(runs)
    for share in chances:
        ax.axvline(share, **CHANCE)
    style = {"transform": ax.get_xaxis_transform(), "fontsize": 8, "color": CHANCE["color"], "va": "bottom"}
    ax.text(chances[0], 0, " chance", **style)  # there is no legend to name the line
    ax.set_yticks(range(len(titles)), titles)
    ax.set(xlim=(0, 1.02), ylim=(len(titles) - 0.5, -0.5), xlabel="test top-1, final epoch")
    ax.xaxis.set_major_formatter(_percent)
    ax.grid(axis="x", alpha=0.3)
    return described(ax, f"Final test top-1 accuracy with 95% intervals. {'; '.join(said)}.{_chance_in_words(chances)}")


def _at_the_edge(cut_short, ax):
    """Write at the left edge of the axes how runs of one title, triples (y, run, colour), ended."""
    from matplotlib.patheffects import withStroke

    edge = ax.get_yaxis_transform()  # places along the axes, not accuracies
    for y, run, ink in cut_short:
        ax.plot(0.012, y, _mark(run), color=ink, transform=edge, **ENDING)
    if cut_short:  # one text, for the marks of seeds are closer than lines of text
        said = "; ".join(f"seed {run.seed} {run.ending}" for _, run, _ in cut_short)
        halo = [withStroke(linewidth=2, foreground="white")]  # the line at chance may cross it
        ax.text(0.028, cut_short[0][0], said, transform=edge, fontsize=7, va="center", path_effects=halo)


def curves(runs, ax, measure="test_top1"):
    """A measure by epoch, one line per run, with a line at chance for top-1.

    Lines have the titles of :func:`accuracies`. Of more than six, Wise-SrNet's and GAP's are drawn among the others,
    which are grey: the final accuracies tell them apart. That of a run that is not complete ends with a mark, a cross
    if it diverged, which the legend explains; without a whole epoch there is only the legend's entry. The axis is as
    long as the recipe.

    Args:
        runs: ``RunResult`` objects, or a DataFrame as ``ws.load_runs`` or ``ws.Rows.run`` returns it.
        ax: Axes to draw on.
        measure: A key of the history: "test_top1" (default), "top1", "loss", ….

    Returns:
        ``ax``, described: where every run begins and ends.
    """
    named, said, rows = set(), [], _titled(runs)
    grey = _greyed({title for _, title, *_ in rows})
    for run, title, ink, dashes in rows:
        epochs = [row["epoch"] for row in run.history]
        values = [np.nan if row[measure] is None else row[measure] for row in run.history]
        entry = f"{len(grey)} others" if title in grey else title
        new = entry not in named and len(epochs) > 0  # no line, no entry in the legend
        style = OTHERS if title in grey else {"color": ink, "linestyle": dashes, "linewidth": 1.5, "alpha": 0.85}
        ax.plot(epochs, values, label=entry if new else None, **style)
        named |= {entry} if new else set()
        ends = [f"{_value(measure, row[measure])} after epoch {row['epoch']}" for row in _ends(run.history)]
        ends = ends or ["no whole epoch"]
        if run.status != "complete":
            explained = f"{title}, seed {run.seed}: {run.ending}"
            # A mark on the edge is drawn whole; one without a place must not take part in the layout.
            style = {"color": ink, "clip_on": not epochs, "label": explained}
            ax.plot(epochs[-1:], values[-1:], _mark(run), **style, **ENDING)
            ends.append(run.ending)
        said.append(f"{title}, seed {run.seed}: {', '.join(ends)}")
        ax.update_datalim([(1, 0), (run.planned_epochs, 0)], updatey=False)
    ax.autoscale_view()
    chances = _chances(runs) if measure.endswith("top1") else []
    for k, share in enumerate(chances):
        ax.axhline(share, label=None if k else "chance", **CHANCE)
    if "top" in measure:
        ax.set_ylim(0, 1.02)
        ax.yaxis.set_major_formatter(_percent)
    ax.set(xlabel="epoch", ylabel=measure_in_words(measure))
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.grid(alpha=0.3)
    below = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.14), "ncols": 2} if _has_rows(runs) else {}
    ax.legend(fontsize=8, frameon=False, **below)  # titles of rows are long
    return described(ax, f"{measure_in_words(measure)} by epoch. {'; '.join(said)}.{_chance_in_words(chances)}")


def measure_in_words(measure):
    """A key of the history in words: "test_top1" is "test top-1", "top1" is "training top-1"."""
    words = measure.replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")
    return f"training {words}" if measure in ("loss", "top1", "top5") else words


def _ends(history):
    """The first and the last epoch, which may be one."""
    return history[:1] + history[1:][-1:]


def _mark(run):
    return "x" if run.status == "diverged" else "_"


def _percent(value, _):
    return f"{value:.0%}"


def _value(measure, value):
    if value is None:
        return "no finite value"
    return f"{value:.1%}" if "top" in measure else f"{value:.3g}"


def _chances(runs):
    """Every chance among the runs, once: one, unless they differ in their number of classes."""
    return sorted({run.chance for run, *_ in _titled(runs)})


def _chance_in_words(chances):
    return "".join(f" Chance is {share:.1%}." for share in chances)
