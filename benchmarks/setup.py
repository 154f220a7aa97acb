"""How long set-up takes with empty caches: uv, as ``make setup`` has it, beside pip, to which it falls back; in turn.

    python benchmarks/setup.py

Needs a network, which both share. Prints seconds and the ratio, and writes everything to
results/benchmarks/setup.json with the machine's description.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
UV, PIP = "uv", "pip"
INSTALLERS = {UV: [], PIP: ["UV=false"]}  # additions to ``make setup``
LEAST = 2  # times as fast as pip


def seconds(words):
    """Seconds of ``make setup`` into a new environment, with caches that are empty."""
    with tempfile.TemporaryDirectory() as folder:
        empty = {"UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip"}
        began = time.perf_counter()
        command = ["make", "setup", f"VENV={folder}/venv", *words]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=os.environ | empty)
        return time.perf_counter() - began


def main(words=None):
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path, default=report.FOLDER / "setup.json", help="file for the results")
    options = parser.parse_args(words)
    times = {name: [] for name in INSTALLERS}
    for _ in range(options.rounds):
        for name, added in INSTALLERS.items():
            times[name].append(seconds(added))
    faster = report.ratio(times[PIP], times[UV])
    rows = [
        {"installer": name, "seconds": round(statistics.median(each), 1), "promises": []}
        for name, each in times.items()
    ]
    rows[0] |= {
        "beside_pip": faster,
        "promises": [
            {
                "promise": f"at least {LEAST} times as fast as pip",
                "measured": faster[0],
                "holds": faster[0] >= LEAST,
            }
        ],
    }
    for row in rows:
        print(f"{row['installer']}: {row['seconds']} s")
    report.write(options.out, rows)


if __name__ == "__main__":
    main()
