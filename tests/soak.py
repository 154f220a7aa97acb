"""Kill a training, type its command again, and compare it with one that was never stopped.

    python tests/soak.py 100

Every trial is a run of its own, killed once by SIGKILL: a third of them while a checkpoint is saved (at any byte,
before and after it gets its name, and half copied), a third within an epoch, a third between two epochs. Then the
same command runs to its end. Outcome, weights and optimiser state have to equal those of an uninterrupted run, byte
for byte. Trial ``k`` depends on ``k`` alone.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPOCHS, STEPS = 3, 3
KINDS = {"save": "while saving", "within": "within an epoch", "between": "between epochs"}
RUN = (
    "import sys, wisesr_helpers as ws; "
    f"ws.Experiment('mit_512', head='wise_dropout', scale='smoke', epochs={EPOCHS}, runs_dir=sys.argv[1]).run()"
)


def kill_of(trial, size):
    """Where a trial is killed: ``kind:epoch:number`` as killed/sitecustomize.py reads it.

    Args:
        trial: Number, from 0.
        size: Bytes of a checkpoint.
    """
    rng = np.random.default_rng(trial)
    kind, epoch = list(KINDS)[trial % 3], int(rng.integers(1, EPOCHS + 1))
    number = 0
    if kind == "within":
        number = int(rng.integers(1, STEPS + 1))
    elif kind == "save" and trial // 3 % 2:
        number = -1 - trial // 6 % 3
    elif kind == "save":
        number = int(rng.integers(0, 9 * size // 10))  # files of early epochs are smaller
    return f"{kind}:{epoch}:{number}"


def start(runs_dir, kill="", fault="", words=None, **environment):
    """Run the training in a process of its own.

    Args:
        runs_dir: Where it is kept.
        kill: Where it is killed; empty: not at all.
        fault: One that killed/sitecustomize.py knows, or empty.
        words: The command; None: this file's own.
        **environment: More variables.

    Returns:
        The ``CompletedProcess``.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests/killed"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "WISESR_KILL": kill,
        "WISESR_KILLED": str(pathlib.Path(runs_dir) / "killed"),
        "WISESR_FAULT": fault,
        **environment,
    }
    words = words or [sys.executable, "-c", RUN, runs_dir]
    return subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True, cwd=ROOT)


def result(runs_dir):
    """(outcome's SHA-256, arrays of the last checkpoint) of the one run in a folder."""
    from wisesr_helpers.training import runs
    from wisesr_helpers.training.checkpoints import Checkpoints

    (folder,) = (path.parent for path in pathlib.Path(runs_dir).glob(f"*/{runs.RECORD}"))
    record = runs.read_run(folder)
    assert record.status == "complete"
    return record.outcome_sha256, [array.tobytes() for array in Checkpoints(folder / "checkpoints").newest().arrays]


def killed_and_resumed(runs_dir, kill, **options):
    """Kill a training at ``kill``, then type the same command again.

    Returns:
        What the second process printed.

    Raises:
        RuntimeError: The first was not killed there, or the second failed.
    """
    first = start(runs_dir, kill, **options)
    log = pathlib.Path(runs_dir) / "killed"
    if first.returncode != -signal.SIGKILL or not log.exists() or log.read_text() != f"{kill}\n":
        raise RuntimeError(f"The training was not killed at {kill}: {first.returncode}, {first.stderr[-2000:]}")
    second = start(runs_dir, **options)
    if second.returncode:
        raise RuntimeError(f"Killed at {kill}, the training did not go on: {second.stderr[-2000:]}")
    return second.stdout


def main():
    """Run all trials, two at a time; exit with 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", type=int, nargs="?", default=100)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        folder = pathlib.Path(folder)
        (folder / "whole").mkdir()
        done = start(folder / "whole")
        if done.returncode:
            sys.exit(f"The uninterrupted training failed: {done.stderr[-2000:]}")
        expected = result(folder / "whole")
        size = next((folder / "whole").glob("*/checkpoints/*.npz")).stat().st_size

        def trial(k):
            runs_dir, kill = folder / str(k), kill_of(k, size)
            runs_dir.mkdir()
            try:
                killed_and_resumed(runs_dir, kill)
                return kill, result(runs_dir) == expected
            except (RuntimeError, AssertionError, ValueError) as error:
                print(f"trial {k}: {error}", flush=True)
                return kill, False

        hit, same = collections.Counter(), 0
        for k, (kill, identical) in enumerate(pool.map(trial, range(trials))):
            hit[kill.partition(":")[0]] += 1
            same += identical
            print(f"trial {k}, killed at {kill}: {'identical' if identical else 'DIFFERENT'}", flush=True)
    counted = ", ".join(f"{hit[kind]} {words}" for kind, words in KINDS.items())
    print(f"{same} of {trials} identical to the uninterrupted run; killed: {counted}.")
    sys.exit(same != trials)


if __name__ == "__main__":
    main()
