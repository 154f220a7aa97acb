"""Copy the records that are to be committed from a folder of runs to results/; the grid's target "results" calls it."""

import pathlib
import shutil
import sys

from wisesr_helpers.studies.plan import committed
from wisesr_helpers.training.runs import RECORD

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"


def main(runs_dir, results=RESULTS):
    """Copy what is not current there."""
    for row in committed(results, runs_dir):
        if not row.done:
            sys.exit(f"results: '{row.identity}' is {row.state} in '{runs_dir}'.")
        shutil.copyfile(row.spec.folder / RECORD, results / f"{row.identity}.json")
        print(f"{row.identity} is new.")


if __name__ == "__main__":
    main(sys.argv[1])
