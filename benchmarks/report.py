"""Where a benchmark's numbers are written, with the machine that they come from and the versions they are of."""

import json
import pathlib
import statistics

from wisesr_helpers.training.runs import environment
from wisesr_helpers.versions import VERSIONS

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "results" / "benchmarks"


def ratio(ours, other):
    """The ratio of two contestants, round by round: [median, lowest, highest]."""
    ratios = [one / two for one, two in zip(ours, other, strict=True)]
    return [float(f"{value:.3g}") for value in (statistics.median(ratios), min(ratios), max(ratios))]


def write(path, rows, **more):
    """Write rows, each with its "promises", and say how many of those do not hold here.

    Args:
        path: The JSON file, which the book reads.
        rows: dicts.
        **more: Further entries of the file, with promises as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {"machine": environment(), "versions": VERSIONS, "rows": rows, **more}
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    broken = sum(not promise["holds"] for row in [*rows, *more.values()] for promise in row["promises"])
    print(f"{broken} promises do not hold here; written to {path.name}.")
