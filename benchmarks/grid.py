"""How fast the grid plans, beside a Snakemake that has nothing to plan, in one run.

    python benchmarks/grid.py

Calls alternate, medians count. Prints seconds, ratios and whether each promise holds, and writes everything to
results/benchmarks/grid.json with the machine's description.
"""

import argparse
import dataclasses
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import report

from wisesr_helpers.studies.plan import plan
from wisesr_helpers.training.runs import write_record
from wisesr_helpers.versions import behaviour

ROOT = pathlib.Path(__file__).resolve().parent.parent
BARE = "Snakemake with nothing to plan"
PLANNING = "planning all rows at paper scale"
AGAIN = "a call that finds all of them done"
MOST = {PLANNING: 5, AGAIN: 10}  # seconds


def finish(row):
    """Leave a record of a row that diverged in its first step: as done as a complete one, and smaller."""
    spec = row.spec
    outcome = {
        "parameters": dataclasses.asdict(spec.parameters),
        "dataset": {"name": "", "photographs": True, "fingerprint": "", "classes": [], "train": 0, "test": 0},
        "model": {"params": 0, "flops": 0, "feature_map": []},
        "recipe": dataclasses.asdict(spec.recipe),
        "divergence": {"epoch": 1, "step": 1, "loss": None, "learning_rate": spec.recipe.learning_rate},
        **{"history": [], "status": "diverged", "final": None, "best": None, "correct": ""},
    }
    outcome["dataset"]["image_size"] = [spec.image_size] * 2
    names = ("backend", "device", "machine", "threads", "versions", "commit", "clean", "command", "seconds")
    write_record(spec.folder, outcome, {**dict.fromkeys(names), "behaviour": behaviour(photographs=True)})


def seconds(snakefile, *words):
    """Seconds that a call takes."""
    began = time.perf_counter()
    command = ["snakemake", "-s", snakefile, "--cores", "2", "--quiet", "all", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def measure(folder, rounds):
    """Name of a call → median seconds."""
    bare, done = folder / "Snakefile", {"scale": "paper", "runs_dir": folder / "done"}
    bare.write_text("rule all:\n")
    for row in plan(done):
        finish(row)
    grid = ROOT / "workflow" / "Snakefile"
    calls = {
        BARE: (bare, "-n"),
        PLANNING: (grid, "-n", "--config", "scale=paper", f"runs_dir={folder / 'new'}"),
        AGAIN: (grid, "--config", "scale=paper", f"runs_dir={folder / 'done'}"),
    }
    taken = {name: [] for name in calls}
    for _ in range(rounds):
        for name, words in calls.items():
            taken[name].append(seconds(*words))
    return {name: statistics.median(values) for name, values in taken.items()}


def main(words=None):
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of every call")
    parser.add_argument("--out", type=pathlib.Path, default=report.FOLDER / "grid.json", help="file for the results")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        medians = measure(pathlib.Path(folder), options.rounds)
    rows = []
    for name, taken in medians.items():
        ratio, most = taken / medians[BARE], MOST.get(name)
        promises = (
            [{"promise": f"{name}: under {most} s", "measured": f"{taken:.1f} s", "holds": taken < most}]
            if most
            else []
        )
        rows.append({"call": name, "seconds": round(taken, 2), "ratio": round(ratio, 2), "promises": promises})
        print(f"{name}: {taken:.1f} s, {ratio:.2f} times {BARE}")
    report.write(options.out, rows)


if __name__ == "__main__":
    sys.exit(main())
