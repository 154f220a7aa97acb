"""How long the book takes to build, and which pages' cells take how much of it.

    python benchmarks/book.py

Prints seconds and shares of the whole build and whether the promise holds, and writes everything to
results/benchmarks/book.json with the machine's description.
"""

import argparse
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
WHOLE = "the whole book"
MOST = 0.25  # of the build: no page's cells may keep a reader waiting


def measure(folder):
    """(Seconds of a whole build, page → seconds of its cells)."""
    began = time.perf_counter()
    command = ["jupyter-book", "build", ROOT, "--all", "--path-output", folder]
    subprocess.run(command, check=True, capture_output=True)
    whole = time.perf_counter() - began
    with open(folder / "_build" / ".doctrees" / "environment.pickle", "rb") as file:
        kept = pickle.load(file).nb_metadata
    ran = {page: each["exec_data"]["runtime"] for page, each in kept.items() if "exec_data" in each}
    return whole, ran


def main(words=None):
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=report.FOLDER / "book.json", help="file for the results")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        whole, ran = measure(pathlib.Path(folder))
    slowest = max(ran.values()) / whole
    promise = {"promise": f"cells of a page: under {MOST:.0%} of the build", "measured": f"{slowest:.0%}"}
    rows = [
        {"page": WHOLE, "seconds": round(whole, 1), "share": 1.0, "promises": [promise | {"holds": slowest < MOST}]}
    ]
    for page, seconds in sorted(ran.items(), key=lambda each: -each[1]):
        rows.append({"page": page, "seconds": round(seconds, 1), "share": round(seconds / whole, 3), "promises": []})
    for row in rows:
        print(f"{row['page']}: {row['seconds']} s, {row['share']:.1%}")
    report.write(options.out, rows)


if __name__ == "__main__":
    sys.exit(main())
