"""Train a random sample of the committed records again, and say where they differ.

On the configuration that made a record (backend, device, processor, threads, versions of libraries), its outcome must
come out byte for byte. Anywhere else last bits differ, and training makes much of them: then everything that isn't
trained must be the same, and measures stay within ``TOLERANCES``.

python scripts/results_check.py [--runs N] [--seed S]
"""

import argparse
import json
import pathlib
import random
import sys
import tempfile

import wisesr_helpers as ws
from wisesr_helpers.training import runs

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"
CONFIGURATION = ("backend", "device", "machine", "processor", "threads", "versions")
EXACT = ("parameters", "dataset", "model", "recipe", "status")  # of an outcome, on any machine
# Measure → (how to read it from an outcome, how far apart two trainings of one run may be). The first epoch's loss is
# compared relatively; accuracies are fractions. A head whose own seeds are further apart than this (avg_fc on patches)
# may differ by more on another configuration, and is named then.
TOLERANCES = {
    "loss of the first epoch": (lambda outcome: outcome["history"][0]["loss"], 0.05),
    "final top-1": (lambda outcome: outcome["final"]["top1"], 0.15),
}


def same_configuration(record, other):
    """Whether two records were made alike, so that their outcomes must be the same bytes."""
    return all(record["execution"].get(name) == other["execution"].get(name) for name in CONFIGURATION)


def differences(record, again):
    """Where a record and the one that was made again differ: sentences, none if they agree."""
    ours, theirs = record["outcome"], again["outcome"]
    if same_configuration(record, again):
        other = [key for key in ours if ours[key] != theirs.get(key)]
        return [] if ours == theirs else [f"other outcome on the same configuration: {', '.join(other)}"]
    found = [f"other {name}: {ours[name]} and {theirs[name]}" for name in EXACT if ours[name] != theirs[name]]
    if ours["status"] == theirs["status"] == "complete":
        for name, (read, tolerance) in TOLERANCES.items():
            first, second = read(ours), read(theirs)
            scale = first if "loss" in name else 1
            if abs(first - second) > tolerance * scale:
                found.append(f"{name} {first:.4g} and {second:.4g}, further apart than {tolerance:g}")
    return found


def check(path, runs_dir):
    """Train the run of a committed record again, in ``runs_dir``; (configuration in words, differences)."""
    run = runs.read_run(path)  # which refuses an outcome whose SHA-256 is another
    experiment = ws.Experiment(
        run.study,
        head=run.head,
        backbone=run.backbone,
        scale=run.scale,
        seed=run.seed,
        epochs=run.planned_epochs,
        options=dict(run.options),
        dataset=run.chosen_dataset,
        runs_dir=str(runs_dir),
    )
    experiment.run()
    record, again = (json.loads(each.read_text(encoding="utf-8")) for each in (path, experiment.folder / runs.RECORD))
    alike = same_configuration(record, again)
    return ("byte for byte" if alike else "another configuration, within tolerances"), differences(record, again)


def main(words=None, results=RESULTS):
    """Check a sample; exit with the differences, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2, help="how many; all there are, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    chosen = parser.parse_args(words)
    paths = sorted(results.glob("*.json"))
    wrong = []
    for path in random.Random(chosen.seed).sample(paths, min(chosen.runs, len(paths))):
        with tempfile.TemporaryDirectory() as folder:
            try:
                how, found = check(path, folder)
            except ValueError as error:
                how, found = "not trained", [str(error)]
        print(f"{path.stem}: {'; '.join(found) or 'the same'} ({how}).", flush=True)
        wrong += [path.stem] if found else []
    if wrong:
        sys.exit(f"results-check: {len(wrong)} of {min(chosen.runs, len(paths))} records differ: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
