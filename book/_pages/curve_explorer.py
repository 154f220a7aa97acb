"""The curves of all committed runs, to choose from: what ``curves.js`` draws, and the same as a table."""

import pandas as pd
from IPython.display import HTML

from _pages import provenance
from _pages.markup import ink, radios, script_data, table
from _pages.results import CEILING, committed, has_ceiling
from wisesr_helpers.plots.runs import row_styles
from wisesr_helpers.studies.grid import STUDIES, get_study

CODE = ("book/_pages/curve_explorer.py", "book/_static/curves.js")
MEASURES = {"test_top1": "test top-1", "top1": "training top-1"}
DASHES = {"-": "", "--": "7 4", ":": "2 3"}


def title(run):
    """A head with its options, as in "wise, cover exact, start average"."""
    return ", ".join([run.head, *(f"{name} {value}" for name, value in sorted(run.options.items()))])


def groups(runs):
    """What is drawn on one pair of axes: a list, an entry for each study, scale and backbone.

    Studies are in their order, the backbone with most runs first. Accuracies are in tenths of a percent, as pages print
    them; None where a run had none.
    """
    found = []
    datasets = [run.chosen_dataset for run in runs["run"]]
    runs = runs.assign(dataset=datasets, place=runs["study"].map(list(STUDIES).index))
    together = ["study", "dataset", "scale", "backbone"]
    runs = runs.assign(count=runs.groupby(together)["run"].transform("size"))
    runs = runs.sort_values(["place", "count"], ascending=[True, False], kind="stable")
    for (study, dataset, scale, backbone), group in runs.groupby(together, sort=False):
        heads = sorted(group["run"], key=lambda run: (len(run.options), title(run), run.seed))
        titled = {}
        for run in heads:
            titled.setdefault(title(run), []).append(run)
        arms = [
            {
                "title": name,
                "ink": ink(shade),
                "dashes": DASHES[dashes],
                "options": bool(each[0].options),
                "runs": [_run(run) for run in each],
            }
            for (name, each), (shade, dashes) in zip(titled.items(), row_styles(list(titled)), strict=True)
        ]
        found.append(
            {
                "study": get_study(study, dataset).title,
                "scale": scale,
                "note": heads[0].note,
                "backbone": backbone,
                "chance": _tenths(heads[0].chance),
                "ceiling": _tenths(CEILING) if has_ceiling(group) else None,
                "arms": arms,
            }
        )
    return found


def _run(run):
    return {
        "seed": run.seed,
        "planned": run.planned_epochs,
        "best": run.best and run.best["epoch"],
        "ending": "" if run.status == "complete" else run.ending,
        **{measure: [_tenths(epoch[measure]) for epoch in run.history] for measure in MEASURES},
    }


def _tenths(share):
    """A share as pages print it, in tenths of a percent."""
    return None if share is None else int(f"{share:.1%}".replace(".", "").rstrip("%"))


def explorer(results=None):
    """Choose study, backbone and heads, and read every epoch; without JavaScript the table of all runs."""
    runs = committed(results).sort_values(["study", "backbone", "head", "options", "seed"])
    if runs.empty:
        return HTML("<p>No run is committed.</p>")
    rows = ends(runs)
    measures = radios("measure", MEASURES, "test_top1")
    return HTML(
        '<div class="play curves"><div hidden>'
        '<p><label>Study <select class="curves-study"></select></label> '
        '<label>Backbone <select class="curves-backbone"></select></label></p>'
        f'<p role="radiogroup" aria-label="Accuracy">{measures}'
        '<label class="curves-options"><input type="checkbox">also with other options</label></p>'
        '<p class="curves-heads" role="group" aria-label="Heads in colour"></p>'
        '<svg class="curves-chart" tabindex="0" role="application"></svg>'
        '<p class="readout" aria-live="polite"></p>'
        '<p class="help">Point, tap or drag to read a run. Keys: left and right change the epoch, up and down the run, '
        "Home and End lead to its first and last epoch. ○ best epoch on the test set, ■ last epoch.</p></div>"
        "<noscript><p>Choosing needs JavaScript; the table below does without.</p></noscript>"
        + script_data(groups(runs))
        + f'<details class="provenance"><summary>All {len(runs)} runs as a table</summary>'
        f"{table(rows, compact=True).data}</details>{provenance.of_runs(runs, 'all_runs.csv', rows, CODE).data}</div>"
    )


def ends(runs):
    """The last and the best epoch of every run, a row a run."""
    return pd.DataFrame(
        {
            "study": run.study,
            "scale": run.scale,
            "backbone": run.backbone,
            "head": title(run),
            "seed": run.seed,
            "last epoch": run.epochs,
            "test top-1": _share(run.top1),
            "training top-1": _share(run.history[-1]["top1"] if run.history else None),
            "best epoch": run.best["epoch"] if run.best else "none",
            "its test top-1": _share(run.best_top1),
            "status": run.ending,
        }
        for run in runs["run"]
    )


def _share(value):
    return "none" if value is None else f"{value:.1%}"
