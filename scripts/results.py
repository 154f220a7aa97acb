"""Copy the records that are to be committed from a folder of runs to results/; the grid's target "results" calls it.

An interrupted grid's are copied, too: python scripts/results.py runs
"""

import pathlib
import shutil
import sys

from wisesr_helpers.studies.plan import committed
from wisesr_helpers.training.runs import RECORD

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"


def main(runs_dir, results=RESULTS):
    """Copy what is done and not current there; exit with what is left, if anything is."""
    left = []
    for row in list(committed(results, runs_dir)):
        if not row.done:
            left.append(f"'{row.identity}' is {row.state}")
            continue
        shutil.copyfile(row.spec.folder / RECORD, results / f"{row.identity}.json")
        print(f"{row.identity} is new.")
    if left:
        sys.exit(f"results: {len(left)} rows are not done in '{runs_dir}'. The first: {left[0]}.")


if __name__ == "__main__":
    main(sys.argv[1])
