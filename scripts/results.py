"""Copy the records that are to be committed from a folder of runs to results/; the grid's target "results" calls it.

An interrupted grid's are copied, too: python scripts/results.py runs
"""

import dataclasses
import json
import pathlib
import sys

from wisesr_helpers.storage import write_whole
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
        record = json.loads((row.spec.folder / RECORD).read_text(encoding="utf-8"))
        # A reader's command, which doesn't name the folders of the machine that made it.
        record["execution"]["command"] = dataclasses.replace(row.spec, runs_dir=None, data_dir=None).command
        write_whole(results / f"{row.identity}.json", json.dumps(record, indent=1) + "\n")
        print(f"{row.identity} is new.")
    if left:
        sys.exit(f"results: {len(left)} rows are not done in '{runs_dir}'. The first: {left[0]}.")


if __name__ == "__main__":
    main(sys.argv[1])
