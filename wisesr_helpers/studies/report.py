"""Results as tables and sentences: the paper's numbers and ours, each saying which kind it is."""

from types import SimpleNamespace

import pandas as pd

from wisesr_helpers.metrics import (
    BETTER,
    NO_DIFFERENCE,
    WORSE,
    judge,
    no_better_than_chance,
    paired_comparison,
    wilson_interval,
)
from wisesr_helpers.models.classifiers import build_classifier
from wisesr_helpers.models.counts import count_flops, count_params
from wisesr_helpers.progress import how_many
from wisesr_helpers.published import printed, published
from wisesr_helpers.studies.counted import recount
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.studies.support import accuracies

NO_BETTER = "no better than chance"
NO_END = SimpleNamespace(top1=None, correct=None, images=None)  # in place of a final epoch


def describe_result(run):
    """How a run ended, in a few sentences that name the kind of data.

    Complete: the final epoch's accuracy, its interval, and whether it is no better than chance. Running: the same for
    the epochs so far, without that judgement. Diverged: where, and which weights are kept; no accuracy, because the
    run never reached the recipe's end.

    Args:
        run: ``RunResult``.
    """
    model = f"{run.backbone} + {run.head}"
    kind = f" ({run.note})" if run.note else ""
    if run.status == "diverged":
        return f"{model} {_divergence(run, kind)}"
    if run.status != "complete":
        model += f", {run.ending}"
    if run.final is None:
        return f"{model}: no whole epoch{kind}."
    learned = f" That is no better than a guess among {len(run.classes)} classes: nothing shows that it learned."
    images = run.final["count"]
    return (
        f"{model}: top-1 {run.top1:.1%} (95% interval {_interval(run.correct_images, images)}) after epoch "
        f"{run.final['epoch']}, {run.correct_images} of {images} test images; chance is {run.chance:.1%}{kind}."
        + (learned if only_guesses(run) else "")
    )


def _divergence(run, kind):
    """Where and how a run diverged and what is left of it: the rest of a sentence, and more."""
    where = run.divergence
    kept = f"The weights {f'of epoch {run.epochs}' if run.epochs else 'that it started with'} are kept."
    last = "There was no finite loss" if where["loss"] is None else f"The last finite loss was {where['loss']:.3g}"
    return (
        f"{run.ending}, step {where['step']}, at a learning rate of {where['learning_rate']:.3g}: the loss or a "
        f"weight stopped being finite{kind}. {last}. {kept}"
    )


def only_guesses(run):
    """Whether a run is complete and its final top-1 no better than chance, see :mod:`wisesr_helpers.metrics`."""
    if run.status != "complete" or run.final is None:
        return False
    return no_better_than_chance(run.correct_images, run.final["count"], len(run.classes))


def published_results(study):
    """The paper's results of a study, with intervals computed from its test set's size.

    Args:
        study: Name of a study.

    Returns:
        DataFrame, one row per model: "backbone", "head", "parameters, printed", "top-1, printed" and "top-5, printed",
        each where the table has it; the last two columns, the 95% interval of top-1 and whether it is better than
        chance, are computed here.
    """
    study = get_study(study)
    images = study.test_images
    printed = published().query("where == @study.table and source == 'paper'")
    rows = printed.pivot(index=["backbone", "head"], columns="column", values="value")
    rows = rows.loc[list(dict.fromkeys(zip(printed["backbone"], printed["head"], strict=True)))].reset_index()
    correct = [round(float(value) * images) for value in rows["Top-1 accuracy"]]
    rows["95% interval of top-1, computed here"] = [_interval(c, images) for c in correct]
    guesses = [no_better_than_chance(c, images, study.classes) for c in correct]
    rows[f"beside chance ({1 / study.classes:.1%}), computed here"] = [NO_BETTER if g else "better" for g in guesses]
    rows.columns.name = None
    return rows.rename(
        columns={
            "Parameters": "parameters, printed",
            "Top-1 accuracy": "top-1, printed",
            "Top-5 accuracy": "top-5, printed",
        }
    )


def impossible_accuracies(study):
    """(impossible, printed): how many of a study's printed accuracies no whole number of its test images gives."""
    printed = accuracies().query("study == @study")["possible"]
    return (~printed).sum(), len(printed)


def counts_beside_published(study, head):
    """Parameters of the paper's models, counted on models built now, beside the printed ones.

    Args:
        study: Name of a study.
        head: One of ``ws.HEADS``.

    Returns:
        DataFrame: "backbone", "parameters, printed", "parameters, counted", "GFLOPs, counted" (of one image); one row
        for every backbone that the study's table prints with this head, none if it prints no such row.
    """
    study = get_study(study)
    printed = published().query("where == @study.table and column == 'Parameters' and head == @head")
    rows = []
    for entry in printed.itertuples():
        model = build_classifier(entry.backbone, head, study.classes, study.image_size)
        gflops = round(count_flops(model) / 1e9, 2)
        rows.append((entry.backbone, f"{int(entry.number):,}", f"{count_params(model):,}", gflops))
    return pd.DataFrame(rows, columns=["backbone", "parameters, printed", "parameters, counted", "GFLOPs, counted"])


def results_table(runs):
    """Our runs, one row each: model, seed, epochs, final and best top-1, the interval of the final one, and chance.

    Only a complete run has a final top-1 and its interval; any other has "none" there, so that nobody mistakes a
    training cut short for the recipe's result. Its best epoch, given with its number, and its status say how far it
    got. "kind" says of each whether it is a demo.

    Args:
        runs: DataFrame as ``ws.load_runs`` returns it, or as ``ws.Rows.run`` does, whose rows have titles.
    """
    rows = list(runs.itertuples())
    ends = [row if row.status == "complete" else NO_END for row in rows]
    return pd.DataFrame(
        {
            **({"row": runs["row"]} if "row" in runs else {}),
            "backbone": runs["backbone"],
            "head": runs["head"],
            "seed": runs["seed"],
            **({"options": runs["options"]} if "row" not in runs and runs["options"].any() else {}),
            "parameters": [f"{value:,}" for value in runs["params"]],
            "epochs": runs["epochs"],
            "top-1, final epoch": [_share(end.top1) for end in ends],
            "95% interval": [_interval(end.correct, end.images) for end in ends],
            "chance": [f"{run.chance:.1%}" for run in runs["run"]],
            "top-1, best epoch": [_best(run) for run in runs["run"]],
            "status": [status(run) for run in runs["run"]],
            "kind": [row.run.note or row.scale for row in rows],
        }
    )


def compare_rows(runs, reference):
    """Every other complete run of ``ws.Rows.run`` compared with the row of that title, on the same test images.

    Title → ``Difference``, judged for all rows on the same backbone together; empty without a complete reference.
    """
    complete = {row.row: row for row in runs.itertuples() if row.status == "complete"}
    if reference not in complete:
        return {}
    other = complete.pop(reference)
    rows = {title: row for title, row in complete.items() if row.backbone == other.backbone}
    return judge({title: paired_comparison(row.run.right, other.run.right) for title, row in rows.items()})


def verdict(runs, reference):
    """How the rows do beside a reference, in sentences.

    Args:
        runs: As for :func:`compare_rows`.
        reference: As for :func:`compare_rows`.
    """
    compared = compare_rows(runs, reference)
    if not compared:
        return f"Nothing to compare: that takes a finished run of '{reference}' and one of another row."
    parts = []
    for word in (WORSE, BETTER, NO_DIFFERENCE):
        titles = ", ".join(f"'{title}'" for title, each in compared.items() if each.word == word)
        parts.append(f"{word}: {titles or 'none'}")
    apart = [f"'{row.row}' {row.run.ending}" for row in runs.itertuples() if row.status != "complete"]
    if apart:
        parts.append(f"not counted: {', '.join(apart)}")
    comparisons = how_many(len(compared), "comparison")
    return (
        f"Compared with '{reference}' on the same test images: {'; '.join(parts)}. McNemar's exact test at 5%, "
        f"corrected for {comparisons}, and the 95% interval of the difference. Each row is one run with one seed: "
        "this accounts for the chance in the test images, not in training, whose last epoch may also be an unlucky "
        "one (see the best epoch)."
    )


def status(run):
    """How a run ended: "complete", "complete, no better than chance", "diverged in epoch 3, step 17", "running (…)"."""
    more = [f"step {run.divergence['step']}"] if run.divergence else [NO_BETTER] if only_guesses(run) else []
    return ", ".join([run.ending, *more])


def _interval(correct, images):
    if pd.isna(images):
        return "none"
    low, high = wilson_interval(correct, images)
    return f"{low:.1%} to {high:.1%}"


def _best(run):
    """Top-1 of the best epoch, with its number where the run is not complete."""
    after = f" (epoch {run.best['epoch']})" if run.best and run.status != "complete" else ""
    return _share(run.best_top1) + after


def _share(value):
    return "none" if pd.isna(value) else f"{value:.1%}"


def table_1(counts=None):
    """Table 1 with its models counted.

    Args:
        counts: DataFrame of :mod:`wisesr_helpers.studies.counted`; default: counted on networks built now.

    Returns:
        DataFrame, one row per model: backbone, head ("none" for the base model), printed and counted parameters,
        printed and counted GFLOPs (text, rounded as printed), and whether all that is printed agrees.
    """
    counts = recount("Table 1") if counts is None else counts[counts["where"] == "Table 1"]
    cells = published().query("source == 'paper' and where == 'Table 1'").groupby(["backbone", "head"])
    rows = []
    for model in counts.itertuples():
        values = cells.get_group((model.backbone, model.head)).set_index("unit")["value"]
        counted = {"parameters": f"{model.parameters:,}", "GFLOPs": f"{model.flops / 1e9:.2f}"}
        rows.append(
            {
                "backbone": model.backbone,
                "head": model.head or "none",
                "parameters, printed": values["parameters"],
                "parameters, counted": counted["parameters"],
                "GFLOPs, printed": values.get("GFLOPs", ""),
                "GFLOPs, counted": counted["GFLOPs"],
                "agrees": "yes" if all(counted[unit] == value for unit, value in values.items()) else "no",
            }
        )
    return pd.DataFrame(rows)


def side_of_table_1():
    """Side of Table 1's images in pixels."""
    return int(printed("Table 1 caption", "images", "Image Size").split("×")[0])
