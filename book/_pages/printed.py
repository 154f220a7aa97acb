"""The paper's tables of results: the printed values, their gains over GAP, and what was run again."""

import functools

import pandas as pd
from IPython.display import HTML

from _pages import provenance
from _pages.markup import table
from _pages.results import committed, paper_runs
from wisesr_helpers import metrics
from wisesr_helpers.layers.pooling import START
from wisesr_helpers.progress import how_many
from wisesr_helpers.published import published
from wisesr_helpers.studies import support
from wisesr_helpers.studies.claim_tests import setting
from wisesr_helpers.studies.claims import SETTINGS, STUDIES_OF_COLUMNS
from wisesr_helpers.studies.evidence import is_evidence
from wisesr_helpers.studies.grid import STUDIES, get_study

GAIN = "over GAP, points (95% interval)"


@functools.cache
def accuracies():
    """Every printed accuracy with its interval."""
    return support.accuracies()


@functools.cache
def comparisons():
    """Every comparison of printed accuracies."""
    return support.comparisons(accuracies())


def results(study, paper):
    """A study's table, a row a model: the printed values, the gain over GAP with its interval, and our own runs."""
    study = get_study(study)
    found = accuracies().query("study == @study.name")
    compared = comparisons().query("study == @study.name and question == @support.OVER_GAP and measure == 'top-1'")
    gains = {(row.backbone, row.head): row for row in compared.itertuples()}
    values = found.set_index(["backbone", "head", "measure"])["printed"]
    counts = published().query("where == @study.table and source == 'paper' and column == 'Parameters'")
    counts = counts.set_index(["backbone", "head"])["value"]
    ours = {}
    for row in evidence(study.name, paper).itertuples():
        ours.setdefault((row.backbone, row.head), []).append(row)
    rows = []
    for row in found[found["measure"] == "top-1"].itertuples():
        model = (row.backbone, row.head)
        gain = gains.get(model)
        shown = {"backbone": row.backbone, "head": row.head}
        shown["top-1 (95% interval)"] = f"{row.printed} ({row.low:.3f} to {row.high:.3f})"
        if (*model, "top-5") in values:
            shown["top-5"] = values[(*model, "top-5")]
        shown[GAIN] = f"{metrics.minus(gain.printed)} ({_points(gain.low)} to {_points(gain.high)})" if gain else ""
        shown["so it is"] = gain.word if gain else ""
        shown["here"] = here(ours.get(model, ())) or "not run"
        if model in counts:
            shown["parameters"] = counts[model]
        rows.append(shown)
    return pd.DataFrame(rows)


def here(again):
    """The mean top-1 of rows of :func:`evidence` of one model, and of how many seeds; empty without a row."""
    if not again:
        return ""
    yours = ", yours" if any(row.whose == "yours" for row in again) else ""
    return f"{sum(row.top1 for row in again) / len(again):.1%} ({how_many(len(again), 'seed')}{yours})"


def shown(study, paper, name):
    """:func:`results` as a cell's output, with where our own runs come from."""
    block = provenance.of_runs(evidence(study, paper), f"{name}-runs.csv")
    return HTML(table(results(study, paper), f"{name}.csv", compact=True).data + block.data)


def evidence(study, paper):
    """The records of a study that its table is filled with: complete, of photographs, by the paper's recipe."""
    return paper[[run.study == study and is_evidence(run) for run in paper["run"]]] if len(paper) else paper


def rerun(*studies, results=None):
    """How many rows of the studies' tables have runs at paper scale: "0 of 45"."""
    runs = [run for run in paper_runs(results)["run"] if is_evidence(run)]
    have = {(run.study, run.chosen_dataset, run.backbone, run.head) for run in runs}
    rows = {
        (name, dataset, *pair)
        for name in studies
        for dataset in STUDIES[name].datasets or ("",)
        for pair in get_study(name, dataset).rows
    }
    return f"{len(rows & have)} of {len(rows)}"


def on_photographs(wanted, results=None):
    """How many committed runs at paper scale are such, by a function of a ``RunResult``: "none", "1 run", …."""
    runs = [run for run in committed(results)["run"] if run.scale == "paper" and is_evidence(run) and wanted(run)]
    return how_many(len(runs), "run") if runs else "none"


def missing(study, paper):
    """What no record at paper scale answers yet, and the command that would: a sentence."""
    study = get_study(study)
    have = {(row.backbone, row.head) for row in evidence(study.name, paper).itertuples()}
    lack = [pair for pair in study.rows if pair not in have]
    if not lack:
        return f"All {len(study.rows)} rows were run again at the paper's scale."
    backbone, head = lack[0]
    command = (
        f"papermill notebooks/{study.name}.ipynb runs/out.ipynb -p scale paper -p backbone {backbone} -p head {head}"
    )
    return (
        f"{len(lack)} of {len(study.rows)} rows were not run again here: that takes the photographs and a GPU. "
        f"<code>{command}</code> fills the first; {study.dataset} comes by "
        f"<code>python -m wisesr_helpers.data fetch {study.source}</code>."
    )


def sizes():
    """The gains of the backbones that stand in a table at 224×224 and in the one at 512×512 for the same dataset."""
    compared = comparisons().query("question == @support.OVER_GAP and measure == 'top-1' and head == 'wise'")
    small, large = (compared[compared["study"] == name].set_index("backbone") for name in ("mit_224", "mit_512"))
    rows = [
        {
            "backbone": backbone,
            "gain of wise over GAP at 224×224, points": _with_interval(small.loc[backbone], "Table 7"),
            "at 512×512": _with_interval(large.loc[backbone], "Table 9"),
        }
        for backbone in small.index.intersection(large.index)
    ]
    return table(pd.DataFrame(rows), "image_sizes.csv", sentences=True)


def _with_interval(row, where):
    return f"{row['printed']} ({_points(row['low'])} to {_points(row['high'])}), {where}"


def _points(difference):
    return metrics.points(difference, "+")


def recipes(where):
    """Table 4 or Table 8: a row a setting, each value as printed and as this project's recipe has it."""
    printed = published().query("source == 'paper' and where == @where")
    rows = []
    for label, entries in printed.groupby("row", sort=False):
        shown = {"setting": label}
        for entry in entries.itertuples():
            study = STUDIES_OF_COLUMNS[entry.column]
            shown |= {f"{entry.column}, printed": entry.value, f"{study}, here": _here(study, label)}
        rows.append(shown)
    return pd.DataFrame(rows)


def _here(study, label):
    """A setting of the recipe, in the table's words; the head's initialisers are those of its layer."""
    if label in SETTINGS:
        value = setting(None, study, SETTINGS[label])
        return value if isinstance(value, str) else f"{float(value):g}"
    if "Bias" in label:
        return "zeros"
    return f"normal, mean {START['mean']:g}, standard deviation {START['stddev']:g}"
