"""Measure what no record holds: the weights of trained heads, and how test accuracy jumps. Into results/measured/.

python scripts/measure.py weights|jumps [--runs-dir FOLDER]
"""

import argparse
import json
import pathlib

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.models.attribution import pooling_weights
from wisesr_helpers.storage import write_whole
from wisesr_helpers.studies.questions import QUESTIONS
from wisesr_helpers.training.loop import evaluate, train
from wisesr_helpers.training.runs import environment

MEASURED = pathlib.Path(__file__).resolve().parent.parent / "results" / "measured"
NEW = 300  # augmented training images that batch norm's statistics are taken from
MACHINE = ("backend", "device", "processor", "threads", "commit", "clean")


def of_weights(trained, started):
    """What a head learned, as JSON has it.

    Args:
        trained: Classifier with a learned pooling.
        started: The same, untrained.

    Returns:
        dict: cells (H, W), mean weight over channels as multiples of averaging's; sums (C,), of a channel's weights,
        averaging has 1; zero, share of the kernel that is 0; zero_at_once, share that the constraint sets to 0 in the
        first update.
    """
    weights = pooling_weights(trained)  # (H, W, C)
    height, width, _ = weights.shape
    kernel, first = (keras.ops.convert_to_numpy(model.get_layer("pooling").kernel) for model in (trained, started))
    return {
        "cells": (weights.mean(axis=2) * height * width).round(4).tolist(),
        "sums": weights.sum(axis=(0, 1)).round(4).tolist(),
        "zero": float((kernel == 0).mean()),
        "zero_at_once": float((first < 0).mean()),
    }


def take_anew(model, batches):
    """Give batch norms the mean statistics of batches of images, in place of their moving ones."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momentum = [layer.momentum for layer in norms]
    for k, images in enumerate(batches):
        for layer in norms:
            layer.momentum = k / (k + 1)  # so that all batches count alike
        model(images, training=True)
    for layer, own in zip(norms, momentum, strict=True):
        layer.momentum = own


def curves(experiment):
    """Train a run and give its test top-1 after every epoch: dict with "moving" and "anew", lists (epochs,)."""
    model, data, recipe, seed = experiment.build(), experiment.dataset, experiment.recipe, experiment.parameters.seed
    batches = Batches(data.train, recipe.batch_size, seed, augmentation=recipe.augmentation)
    anew = []

    def measure(training):
        kept = model.get_weights()
        batches.epoch = len(training.history) - 1
        take_anew(model, (batches[index][0] for index in range(min(len(batches), NEW // recipe.batch_size))))
        anew.append(evaluate(model, data.test, recipe.batch_size)[0]["top1"])
        model.set_weights(kept)

    training = train(model, data, recipe, seed, after_epoch=measure)
    return {"moving": [row["test_top1"] for row in training.history], "anew": anew}


def main(words=None, folder=MEASURED, **typed):
    """Measure what is asked for, and keep it after every run; jumps that are there already are not measured again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("weights", "jumps"))
    parser.add_argument("--runs-dir", default="", help="where trained runs are; empty: the default")
    chosen = parser.parse_args(words)
    path, question = folder / f"{chosen.what}.json", QUESTIONS[chosen.what]
    folder.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"weights": {}, "jumps": []}[chosen.what]
    for seed in range(question.seeds):
        for arm in question.arms:
            experiment = ws.Experiment(**{**question.run(arm, seed), "runs_dir": chosen.runs_dir, **typed})
            if chosen.what == "weights":
                experiment.run()
                found[experiment.parameters.identity] = of_weights(experiment.load(), experiment.build())
            elif not any((row["arm"], row["seed"]) == (arm, seed) for row in found):
                execution = {name: environment()[name] for name in MACHINE}
                found.append({"arm": arm, "seed": seed, **curves(experiment), "execution": execution})
            write_whole(path, json.dumps(found) + "\n")
            print(f"{arm}, seed {seed} is measured.", flush=True)


if __name__ == "__main__":
    main()
