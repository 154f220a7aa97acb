"""What the benchmarks measured, as the pages show it."""

import json
import math

import pandas as pd
from IPython.display import HTML

from _pages.markup import csv_link, table, words
from wisesr_helpers.metrics import minus
from wisesr_helpers.training.runs import project_root
from wisesr_helpers.versions import are_current


def heads(rows):
    """Milliseconds of heads, forward and backward: a row a feature map, a column a head."""
    first = {"gap": "gap", "authors": "authors' layers", "wise": "wise"}
    named = first | {name: name for row in rows for name in row["milliseconds"] if name not in first}
    return pd.DataFrame(
        {
            "feature map": "×".join(map(str, row["map"])),
            "pool": row["pool_size"],
            "batch": row["batch"],
            "XLA": _yes(row.get("xla")),
            **{f"{label}, ms": row["milliseconds"].get(name) for name, label in named.items()},
        }
        for row in rows
    )


def pipeline(rows):
    """Images a second of the input pipelines: a row a pipeline, a column an image size."""
    rates = {f"{row['image_size']}×{row['image_size']}": row["images_per_second"] for row in rows}
    return pd.DataFrame(rates).reset_index(names="images a second")


def training(rows):
    """Steps a second of a bare loop, which comes first, and of our training beside it."""
    return pd.DataFrame(
        {
            "backbone": row["backbone"],
            "batch": row["batch"],
            "path": name,
            "steps a second": rate,
            "of the bare loop's": f"{row['ratios'].get(f'{name} / {bare}', 1):.1%}",
        }
        for row in rows
        for bare in list(row["steps_per_second"])[:1]
        for name, rate in row["steps_per_second"].items()
    )


def grid(rows):
    """Seconds that calls of the grid take, beside a Snakemake that has nothing to plan, which comes first."""
    names = {"call": "call", "seconds": "seconds", "ratio": "times the first"}
    return pd.DataFrame(rows).rename(columns=names)[list(names.values())]


def promises(report):
    """What a benchmark promises, what it measured, and whether that holds; no rows if it promises nothing."""
    parts = [*report["rows"], report.get("memory", {})]
    about = [key for key in ("backbone", "image_size") if any(key in part and part["promises"] for part in parts)]
    return pd.DataFrame(
        {
            **{key.replace("_", " "): part.get(key, "") for key in about},
            "promise": kept["promise"],
            "measured": kept["measured"],
            "holds": _yes(kept["holds"]),
        }
        for part in parts
        for kept in part.get("promises", ())
    )


def measured_on(*reports):
    """A sentence for each machine on which benchmarks were measured, with the versions of the code."""
    commits = {}
    for report in reports:
        machine = report["machine"]
        versions = machine["versions"]
        commit = (machine["commit"] or "")[:10] or "unknown, not run from a checkout"
        changed = " with uncommitted changes" if machine["commit"] and not machine["clean"] else ""
        stale = "" if are_current(report.get("versions")) else " (an older version of the code)"
        where = (
            f"Measured on {machine['device']} ({machine['processor']}, {machine['threads']} threads) with Python "
            f"{versions['python']} and Keras {versions['keras']} on {machine['backend']}; commit "
        )
        commits.setdefault(where, {})[f"{commit}{changed}{stale}"] = None
    return " ".join(f"{where}{', '.join(of_machine)}." for where, of_machine in commits.items())


def shown(rows_of, folder=None):
    """A benchmark as a cell's output: its rows, made by the function that is called as its file, and its promises."""
    name = rows_of.__name__
    path = (folder or project_root() / "results" / "benchmarks") / f"{name}.json"
    if not path.exists():
        return words("Not measured yet: <code>make bench</code> does it.")
    report = json.loads(path.read_text(encoding="utf-8"))
    kept = promises(report) if rows_of is not heads else ()  # a head's would be twice as many as its rows
    rows, sentences = rows_of(report["rows"]), rows_of is not heads
    data = csv_link(rows, f"{name}_speed.csv", "This table as CSV")
    parts = [table(each.map(_rounded), sentences=sentences).data for each in (rows, kept) if len(each)]
    return HTML("".join([parts[0], data, *parts[1:], words(measured_on(report)).data]))


def _rounded(value):
    """A measured number to three digits, with separators of thousands; anything else as it is."""
    if not isinstance(value, float):
        return value
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if math.isnan(value) else minus(text)


def _yes(whether):
    return "yes" if whether else "no"
