"""Records that were made elsewhere, on Colab or a friend's GPU: checked, and taken in.

What users type is ``python -m wisesr_helpers.training.runs import FOLDER``.
"""

import argparse
import os
import pathlib
import tempfile

from wisesr_helpers.checks import check_whole
from wisesr_helpers.models.backbones import check_backbone
from wisesr_helpers.models.heads import get_head
from wisesr_helpers.storage import write_whole
from wisesr_helpers.studies.experiment import SCALES
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.training import runs


def import_runs(folder, runs_dir=None):
    """Take in the records of finished runs; nothing that is here is overwritten.

    A record is taken whole, into a folder of its name, or refused. Weights are not taken. Returns sentences about what
    was taken or was here already, and sentences about what was refused or is in conflict.
    """
    folder, runs_dir = pathlib.Path(folder).expanduser(), pathlib.Path(runs_dir or runs.default_runs_dir()).expanduser()
    paths = sorted([*folder.glob("*.json"), *folder.glob(f"*/{runs.RECORD}")])
    if not paths:
        raise ValueError(f"'{folder}' holds no records: give a folder with run folders, or with <identity>.json files.")
    found, fine, wrong = {}, [], []
    for path in paths:
        try:
            run = runs.read_run(path)
            check_run(run, path)
            text = path.read_text(encoding="utf-8")
        except (OSError, RecursionError) as error:
            wrong.append(f"'{path}' can't be read ({error}).")
        except ValueError as error:
            wrong.append(str(error))
        else:
            found.setdefault(run.identity, {}).setdefault(run.outcome_sha256, (run, text))
    for identity, outcomes in found.items():
        (run, text), *others = outcomes.values()
        here = runs_dir / identity
        described = "; ".join(_described(each) for each, _ in outcomes.values())
        if others:
            wrong.append(f"'{identity}' has different outcomes there ({described}); none is taken. Leave one of them.")
            continue
        if not here.exists():
            _take(here, text)
            fine.append(f"'{identity}' is taken ({described}).")
            continue
        try:
            own = runs.read_run(here)
        except (OSError, ValueError):
            wrong.append(f"'{identity}' has a folder in '{runs_dir}' without a record that can be read; it stays.")
            continue
        if own.outcome_sha256 == run.outcome_sha256:
            fine.append(f"'{identity}' is here already.")
        else:
            wrong.append(
                f"'{identity}' is here with another outcome ({_described(own)}), which stays; not taken: {described}."
            )
    return fine, wrong


def check_run(run, path):
    """Check that a record is a finished run of this project's, and agrees with itself; ValueError names the file.

    Its hash shows damage; this shows what was written by something else, or edited with its hash. Nothing shows an
    invention that agrees with itself throughout.
    """
    try:
        _check_names(run)
        _check_numbers(run)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"'{path}' is no record of a run ({error}).") from error
    except ValueError as error:
        raise ValueError(f"'{path}' is not taken: {error}") from error


def _check_names(run):
    """Check that there are such runs, and that the record is named after its parameters."""
    get_study(run.study, run.chosen_dataset)
    check_backbone(run.backbone)
    get_head(run.head)
    check_whole("seed", run.seed, 0, 2**32 - 1)
    parameters = {name: getattr(run, name) for name in ("study", "scale", "backbone", "head", "seed", "options")}
    expected = runs.RunParameters(**parameters, dataset=run.chosen_dataset).identity
    _require(run.scale in SCALES, f"there is no scale '{run.scale}'.")
    _require(run.photographs == (run.scale == "paper"), "photographs belong to the scale 'paper', and to no other.")
    _require(run.identity == expected, f"it is named '{run.identity}', and its parameters make '{expected}'.")
    _require(run.status in ("complete", "diverged"), f"it is not finished: {run.ending}. Finish it first.")


def _check_numbers(run):
    """Check that history, ends and images of a finished run agree."""
    tests = [(row["epoch"], row["test_loss"], row["test_top1"], row["test_top5"]) for row in run.history]
    planned = run.divergence["epoch"] - 1 if run.status == "diverged" else run.planned_epochs
    _require([row[0] for row in tests] == list(range(1, planned + 1)), "its history is not that of its epochs.")
    ends = [end for end in (run.final, run.best) if end]
    _require(len(ends) == (2 if tests else 0), "it has epochs without a result, or a result without epochs.")
    if not ends:
        return
    final, best = tests[-1], max(tests, key=lambda row: row[2])
    named = [(end["epoch"], end["loss"], end["top1"], end["top5"]) for end in ends]
    _require(named == [final, best], "its final or best epoch is not its history's.")
    for end in ends:
        agree = end["count"] == run.test_images and all(
            end[name] == end[f"{name}_correct"] / end["count"] for name in ("top1", "top5")
        )
        _require(agree, "its accuracies are not its numbers of right images.")
    images = (runs.pack(run.right), run.right.sum())
    _require(images == (run.correct, run.correct_images), "its images are not as many as it counts right.")


def _require(holds, problem):
    if not holds:
        raise ValueError(problem)


def _described(run):
    """A run in a few words, to tell it from another of its name."""
    top1 = "no epoch" if run.final is None else f"top-1 {run.top1:.2%}"
    execution = run.execution
    return f"{run.ending}, {top1}, {execution['device']}, commit {str(execution['commit'])[:10]}"


def _take(folder, text):
    """Keep a record in a new folder, which gets its name when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=folder.parent) as staging:
        made = pathlib.Path(staging) / folder.name
        made.mkdir()
        write_whole(made / runs.RECORD, text)
        os.rename(made, folder)


def main(words=None):
    """``import FOLDER``: take in records; exit status 1 if any is refused or in conflict."""
    parser = argparse.ArgumentParser(prog="python -m wisesr_helpers.training.runs", description=main.__doc__)
    command = parser.add_subparsers(required=True, metavar="command").add_parser("import", help="take in records")
    command.add_argument("folder", help="folder with records that were made elsewhere")
    command.add_argument("--runs-dir", help="where runs are kept (default: runs/ of the project, or WISESR_RUNS)")
    options = parser.parse_args(words)
    try:
        fine, wrong = import_runs(options.folder, options.runs_dir)
    except (OSError, ValueError) as error:
        fine, wrong = [], [str(error)]
    print(*fine, *wrong, sep="\n")
    return int(bool(wrong))
