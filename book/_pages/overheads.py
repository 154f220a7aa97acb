"""What training through this package costs beside a bare loop, as its benchmark measured it."""

import json
import pathlib

import pandas as pd

from wisesr_helpers.studies.report import measured_on
from wisesr_helpers.training.runs import project_root


def training_speed(path=None):
    """Steps a second of our training and of a bare loop, from the benchmark's file.

    Args:
        path: JSON file; None: the project's ``results/benchmarks/training.json``.

    Returns:
        (DataFrame, a row a backbone and path: steps a second, share of the bare loop's; DataFrame of promises;
        sentence about machine and commit), or None if nothing is measured yet.
    """
    path = pathlib.Path(path or (project_root() or pathlib.Path()) / "results" / "benchmarks" / "training.json")
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    speeds = pd.DataFrame(
        {
            "backbone": row["backbone"],
            "batch": row["batch"],
            "path": name,
            "steps a second": rate,
            "of the bare loop's": f"{row['ratios'].get(f'{name} / {_bare(row)}', 1):.1%}",
        }
        for row in report["rows"]
        for name, rate in row["steps_per_second"].items()
    )
    promises = pd.DataFrame(
        {"promise": kept["promise"], "measured": kept["measured"], "holds": "yes" if kept["holds"] else "no"}
        for part in [*report["rows"], report["memory"]]
        for kept in part["promises"]
    )
    return speeds, promises, measured_on(report)


def _bare(row):
    """The contestant that the others are divided by."""
    return next(iter(row["ratios"])).split(" / ")[1]
