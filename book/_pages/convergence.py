"""What the page on overfitting and convergence shows, from the committed records of scenes."""

import numpy as np
import pandas as pd
from IPython.display import HTML

from _pages import provenance
from _pages.markup import table
from _pages.results import CEILING, CODE, committed, draw_ceiling, histories, legend_below
from wisesr_helpers import plots
from wisesr_helpers.metrics import points
from wisesr_helpers.studies.grid import PAPER_STUDIES, get_study

OVERFITTING = ("depthwise", "depthwise_nonneg")  # section 2.4


def demo_runs(results=None):
    """The committed runs of the paper's studies on small_patch, with its heads as they are."""
    runs = committed(results)
    papers = runs["study"].isin([study.name for study in PAPER_STUDIES.values()])
    chosen = papers & (runs["scale"] == "demo") & (runs["backbone"] == "small_patch") & (runs["options"] == "")
    return runs[chosen].sort_values(["study", "head", "seed"])


def words(runs):
    """Numbers for the prose: name → text."""
    passed = []
    for study, group in runs[runs["head"] == "wise"].groupby("study"):
        epochs = [_first_above(run, CEILING) for run in group["run"]]
        known = sorted({epoch for epoch in epochs if epoch})
        span = f" to {known[-1]}" if len(known) > 1 else ""
        when = f"from epoch {known[0]}{span}" if known else "in no epoch"
        when += f", {epochs.count(None)} of {len(epochs)} seeds in none," if known and None in epochs else ""
        passed.append(f"{when} of {group['run'].iloc[0].planned_epochs} ({study})")
    have = set(zip(runs["study"], runs["head"], strict=True))
    lack = [
        f"{head} ({study})"
        for study in dict.fromkeys(runs["study"])
        for head in OVERFITTING
        if head in get_study(study).heads and (study, head) not in have
    ]
    missing = f"On scenes there is no record of {', '.join(lack)}." if lack else "On scenes, the table above has both."
    return {"passes": f"for good, by seed: {', '.join(passed)}" if passed else "in no record", "missing": missing}


def _first_above(run, value):
    """The first epoch from which on test top-1 stays above a value; None if its last is not."""
    first = None
    for epoch in run.history:
        if epoch["test_top1"] <= value:
            first = None
        elif first is None:
            first = epoch["epoch"]
    return first


def curves(runs):
    """Test top-1 by epoch, a panel a study, of the heads that claims are about; one legend below all."""
    studies = list(dict.fromkeys(runs["study"]))
    drawn, axes = plots.figure(5, 2.3 * len(studies), rows=len(studies), squeeze=False)
    for ax, study in zip(axes[:, 0], studies, strict=True):
        here = runs[(runs["study"] == study) & runs["head"].isin(["gap", "wise", *OVERFITTING])]
        plots.curves(here, ax).set_title(f"{study}, scenes", fontsize=9)
        draw_ceiling(here, ax, ax.axhline)
    legend_below(drawn, axes)
    plots.show(drawn)
    epochs = histories(runs)[["run", "epoch", "top1", "test_top1"]].round(4)  # the rest is in the records
    return provenance.of_runs(runs, "convergence.csv", epochs, CODE)


def gaps(runs):
    """Training and test top-1 after the last epoch, and their difference: means over seeds."""
    rows = pd.DataFrame(
        {
            "study": study,
            "head": head,
            "seeds": len(each),
            "training top-1": f"{training:.1%}",
            "test top-1": f"{test:.1%}",
            "training over test, points": points(training - test, "+"),
        }
        for (study, head), each in runs[runs["status"] == "complete"].groupby(["study", "head"])
        for training, test in [np.mean([(run.history[-1]["top1"], run.top1) for run in each["run"]], axis=0)]
    )
    return HTML(table(rows, "gaps.csv").data + provenance.of_runs(runs, "gaps.csv", rows, CODE).data)
