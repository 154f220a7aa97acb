"""Make the committed records: train every demo row that has none from today's code, and copy its record to results/.

Only from a clean tree, so that each record says which commit made it.
"""

import pathlib
import shutil
import sys

import wisesr_helpers as ws
from wisesr_helpers.studies import report
from wisesr_helpers.training import runs
from wisesr_helpers.training.runs import git_state

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"


def rows():
    """The demo rows of every study, seed by seed, so that an interrupted run leaves whole seeds."""
    for study in ws.STUDIES.values():
        seeds = study.demo.backbones
        for seed in range(max(seeds.values(), default=0)):
            for backbone in (name for name, count in seeds.items() if seed < count):
                for head in study.demo.heads:
                    yield {
                        "study": study.name,
                        "head": head,
                        "backbone": backbone,
                        "scale": "demo",
                        "seed": seed,
                    }


def is_current(path):
    """Whether a record is there that today's code can read, and made."""
    try:
        return path.exists() and report.is_current(runs.read_run(path))
    except ValueError as error:
        print(error)
        return False


def main():
    """Train and copy what is missing; exit with a sentence if the tree is not clean."""
    for row in rows():
        experiment = ws.Experiment(**row, overwrite=True)
        kept = RESULTS / f"{experiment.parameters.identity}.json"
        if is_current(kept):
            print(f"{kept.name} is current.")
            continue
        if not git_state()[1]:
            sys.exit(
                "make results: the tree has uncommitted changes. Commit them first: a record says which commit made it."
            )
        print(f"{kept.name} …", flush=True)
        experiment.run()
        RESULTS.mkdir(exist_ok=True)
        shutil.copyfile(experiment.folder / runs.RECORD, kept)


if __name__ == "__main__":
    main()
