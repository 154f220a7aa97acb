"""Results as tables and sentences: the paper's numbers and ours, each saying which kind it is."""

import pandas as pd

from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.experiment import Experiment
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.models import build_classifier
from wisesr_helpers.progress import duration
from wisesr_helpers.published import published
from wisesr_helpers.runs import chance
from wisesr_helpers.studies import DEMO_NOTE, get_study


def describe_result(record):
    """One sentence with the final epoch's accuracy, its interval, and the kind of data."""
    outcome = record["outcome"]
    final = outcome["final"]
    kind = "" if outcome["dataset"]["photographs"] else f" ({DEMO_NOTE})"
    return (
        f"{outcome['parameters']['backbone']} + {outcome['parameters']['head']}: top-1 {final['top1']:.1%} "
        f"(95 % interval {_interval(final['top1_correct'], final['count'])}) after epoch {final['epoch']}, "
        f"{final['top1_correct']} of {final['count']} test images; chance is "
        f"{chance(record):.1%}{kind}."
    )


def published_results(study):
    """The paper's results of a study, with intervals computed from its test set's size.

    Args:
        study: Name of a study.

    Returns:
        DataFrame, a row a model as printed: backbone, head, parameters, top-1, top-5 where it is printed;
        the last column, the 95 % interval of top-1, is computed here.
    """
    study = get_study(study)
    images = study.test_images
    printed = published().query("where == @study.table and source == 'paper'")
    rows = printed.pivot(index=["backbone", "head"], columns="column", values="value")
    rows = rows.loc[list(dict.fromkeys(zip(printed["backbone"], printed["head"], strict=True)))].reset_index()
    correct = [round(float(value) * images) for value in rows["Top-1 accuracy"]]
    rows["95 % interval of top-1, computed here"] = [_interval(c, images) for c in correct]
    rows.columns.name = None
    return rows


def impossible_accuracies(study):
    """How many of a study's printed accuracies no whole number of its test images gives.

    Returns:
        (impossible, printed): numbers of accuracies, top-1 and top-5 together.
    """
    study = get_study(study)
    printed = published().query("where == @study.table and source == 'paper' and unit == 'fraction'")["value"]

    def possible(value):
        digits = len(value.partition(".")[2])
        near = round(float(value) * study.test_images)
        return any(f"{k / study.test_images:.{digits}f}" == value for k in (near - 1, near, near + 1))

    return sum(not possible(value) for value in printed), len(printed)


def published_gains(study):
    """Gain in top-1 of "wise" over "gap" in a study's table, in percentage points: backbone → float."""
    study = get_study(study)
    printed = published().query("where == @study.table and column == 'Top-1 accuracy' and source == 'paper'")
    top1 = printed.set_index(["backbone", "head"])["number"]
    return {name: 100 * (top1[name, "wise"] - top1[name, "gap"]) for name in study.backbones}


def counts_beside_published(study, head):
    """Parameters of the paper's models, counted on models built now, beside the printed ones.

    Args:
        study: Name of a study.
        head: One of ``ws.HEADS``.

    Returns:
        DataFrame: "backbone", "parameters, printed", "parameters, counted", "GFLOPs, counted" (of one image); a
        row for every backbone for which the study's table has this head, so none if it has not.
    """
    study = get_study(study)
    printed = published().query("where == @study.table and column == 'Parameters' and head == @head")
    rows = []
    for entry in printed.itertuples():
        model = build_classifier(entry.backbone, head, study.classes, study.image_size)
        gflops = round(count_flops(model) / 1e9, 2)
        rows.append((entry.backbone, int(entry.number), count_params(model), gflops))
    return pd.DataFrame(rows, columns=["backbone", "parameters, printed", "parameters, counted", "GFLOPs, counted"])


def results_table(runs):
    """Our runs, a row each: model, seed, epochs, final and best top-1, the interval of the final one, and chance.

    Args:
        runs: DataFrame as ``ws.load_runs`` returns it.
    """
    return pd.DataFrame(
        {
            "kind": [_kind(row) for row in runs.itertuples()],
            "backbone": runs["backbone"],
            "head": runs["head"],
            "seed": runs["seed"],
            "parameters": [f"{value:,}" for value in runs["params"]],
            "epochs": runs["epochs"],
            "top-1, final epoch": [_share(value) for value in runs["top1"]],
            "95 % interval": [_interval(row.correct, row.images) for row in runs.itertuples()],
            "chance": [f"{chance(record):.1%}" for record in runs["record"]],
            "top-1, best epoch": [_share(value) for value in runs["best_top1"]],
            "status": runs["status"],
        }
    )


def provenance(runs, whose):
    """Where runs come from, a row each: data, device, software, commit, time and the command that makes them.

    Args:
        runs: DataFrame as ``ws.load_runs`` returns it.
        whose: "committed" or "yours".
    """
    rows = []
    for row in runs.itertuples():
        execution = row.record["execution"]
        versions = execution["versions"]
        rows.append(
            {
                "run": row.identity,
                "whose": whose,
                "data": f"{row.dataset}, {row.record['outcome']['dataset']['train']:,} + {row.images:,} images",
                "device": f"{execution['device']}, {execution['threads']} threads, {execution['machine']}",
                "software": f"Python {versions['python']}, Keras {versions['keras']} on {execution['backend']}",
                "commit": _commit(execution),
                "code": "today's" if code_is_current(row.record) else "changed since",
                "time": duration(sum(execution["seconds"])),
                "command": execution["command"],
            }
        )
    return pd.DataFrame(rows)


def code_is_current(record):
    """Whether a record was made by today's code: its fingerprint is computed anew."""
    outcome = record["outcome"]
    chosen = outcome["parameters"]
    try:
        experiment = Experiment(
            chosen["study"],
            head=chosen["head"],
            backbone=chosen["backbone"],
            scale=chosen["scale"],
            seed=chosen["seed"],
            epochs=outcome["recipe"]["epochs"],
            options=chosen["options"],
        )
    except (ValueError, FileNotFoundError):  # a head, backbone or option that is no more
        return False
    return outcome["code"] == experiment.fingerprint


def _commit(execution):
    if execution["commit"] is None:
        return "none: not run from a checkout"
    return execution["commit"][:10] + ("" if execution["clean"] else ", with uncommitted changes")


def _kind(row):
    return row.scale if row.record["outcome"]["dataset"]["photographs"] else DEMO_NOTE


def _interval(correct, images):
    if pd.isna(images):
        return "none"
    low, high = wilson_interval(correct, images)
    return f"{low:.1%} to {high:.1%}"


def _share(value):
    return "none" if pd.isna(value) else f"{value:.1%}"


def measured_on(report, today):
    """A sentence on where and from which code a benchmark's file was measured.

    Args:
        report: The file's content: "machine", as :func:`wisesr_helpers.runs.environment` gives it, "fingerprint".
        today: The fingerprint of the same code now.
    """
    machine = report["machine"]
    versions = machine["versions"]
    commit = (machine["commit"] or "")[:10] or "unknown, not run from a checkout"
    changed = "" if machine["clean"] or not machine["commit"] else ", with uncommitted changes"
    stale = "" if report.get("fingerprint") == today else "; measured on other code than today's"
    return (
        f"Measured on {machine['device']} ({machine['processor']}, {machine['threads']} threads) with Python "
        f"{versions['python']} and Keras {versions['keras']} on {machine['backend']}; commit {commit}{changed}{stale}."
    )
