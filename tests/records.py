"""Records of runs that were never trained, for tests of what is made from records."""

import dataclasses
import pathlib
import shutil

import numpy as np

from wisesr_helpers.training import runs
from wisesr_helpers.versions import behaviour

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def identity(head="wise", backbone="small_patch", seed=0, study="mit_512", scale="demo"):
    """The name of a run."""
    return runs.RunParameters(study, scale, backbone, head, seed).identity


def halves(head="wise", backbone="small_patch", seed=0, study="mit_512", scale="demo", **choices):
    """(outcome, execution) of a run.

    Args:
        head, backbone, seed, study, scale: Its parameters.
        **choices: correct (test images right after each epoch; () for none), images (of the test split),
            losses (of the test split, after each epoch), recipe (a mapping), epochs (of it; unless given, those of
            correct),
            status, divergence (see :func:`diverged`), options, dataset (of a study with several), photographs,
            behaviour, commit, clean.
    """
    correct = choices.get("correct", (60, 270))
    images = choices.get("images", 300)
    losses = choices.get("losses", [1.5 / (k + 1) for k in range(len(correct))])
    epochs = [
        {
            "epoch": k + 1,
            "learning_rate": 0.045,
            "loss": loss,
            "top1": count / images,
            "top5": 1.0,
            "test_loss": loss,
            "test_top1": count / images,
            "test_top5": 1.0,
        }
        for k, (count, loss) in enumerate(zip(correct, losses, strict=True))
    ]
    ends = [
        {
            "loss": row["test_loss"],
            "top1": row["test_top1"],
            "top5": 1.0,
            "top1_correct": count,
            "top5_correct": images,
            "count": images,
            "epoch": row["epoch"],
        }
        for row, count in zip(epochs, correct, strict=True)
    ]
    outcome = {
        "parameters": {
            "study": study,
            "scale": scale,
            "backbone": backbone,
            "head": head,
            "seed": seed,
            "options": choices.get("options", {}),
            "dataset": choices.get("dataset", ""),
        },
        "dataset": {
            "name": "embedded scenes",
            "photographs": choices.get("photographs", False),
            "fingerprint": "f" * 64,
            "classes": list("abcdef"),
            "train": 1500,
            "test": images,
            "image_size": [512, 512],
            "left_out": {},
        },
        "model": {"params": 87_654, "flops": 123_456_789, "feature_map": [16, 16, 96]},
        "recipe": {**choices.get("recipe", {}), "epochs": choices.get("epochs", len(correct))},
        "history": epochs,
        "status": choices.get("status", "complete"),
        "divergence": choices.get("divergence"),
        "final": ends[-1] if ends else None,
        "best": max(ends, key=lambda end: end["top1"]) if ends else None,
        "correct": runs.pack(np.arange(images) < correct[-1]) if correct else "",
    }
    execution = {
        "behaviour": choices.get("behaviour", behaviour(choices.get("photographs", False))),
        "backend": "tensorflow",
        "device": "cpu:0",
        "machine": "x86_64, Linux",
        "threads": 2,
        "versions": {"python": "3.12.1", "keras": "3.13.2"},
        "commit": choices.get("commit", COMMIT),
        "clean": choices.get("clean", True),
        "command": f"papermill notebooks/{study}.ipynb runs/out.ipynb -p head {head} -p seed {seed}",
        "seconds": [50.0] * len(correct),
    }
    return outcome, execution


def diverged(correct=(60, 99), step=17, loss=1.25):
    """Choices of a run of 20 epochs that diverged after the whole epochs of ``correct``.

    Args:
        correct: Test images right after each epoch; () for none.
        step: Of the epoch after them, from 1.
        loss: Mean of that epoch's steps before; None if there was none.
    """
    where = {"epoch": len(correct) + 1, "step": step, "loss": loss, "learning_rate": 0.0325}
    return {"correct": correct, "epochs": 20, "status": "diverged", "divergence": where}


def result(identity="one", **choices):
    """``RunResult`` of such a run, without a file; further ``changes`` replace its attributes."""
    changes = choices.pop("changes", {})
    outcome, execution = halves(**choices)
    record = {"identity": identity, "outcome": outcome, "outcome_sha256": "", "execution": execution}
    return dataclasses.replace(runs.RunResult.from_record(record, pathlib.Path("record.json")), **changes)


def keep(folder, **choices):
    """Write a run into its own folder inside ``folder``; returns the ``RunResult``."""
    named = {key: choices[key] for key in ("head", "backbone", "seed", "study", "scale") if key in choices}
    return runs.write_record(pathlib.Path(folder) / identity(**named), *halves(**choices))


def keep_row(row, **choices):
    """Write the record that a row of the grid would have if today's code had trained it; returns the ``RunResult``."""
    spec, size = row.spec, row.spec.plan or row.spec.study
    train, test = (size.train, size.test) if spec.plan else (size.train_images, size.test_images)
    epochs = spec.recipe.epochs
    choices = {"images": test, "correct": (1,) * epochs, "behaviour": behaviour(not spec.plan), **choices}
    outcome, execution = halves(**choices)
    outcome["parameters"] = dataclasses.asdict(spec.parameters)
    outcome["recipe"] = dataclasses.asdict(spec.recipe) | {"epochs": max(epochs, len(choices["correct"]))}
    outcome["dataset"] |= {
        "photographs": not spec.plan,
        "classes": [str(k) for k in range(size.classes)],
        "train": train,
        "image_size": [spec.image_size] * 2,
    }
    return runs.write_record(spec.folder, outcome, execution)


def publish(folder, **choices):
    """Write a run as ``<identity>.json`` into ``folder``, as `make results` leaves it; returns the ``RunResult``."""
    record = keep(pathlib.Path(folder).parent / "trained", **choices)
    path = pathlib.Path(folder) / f"{record.identity}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(record.folder / runs.RECORD, path)
    return record
