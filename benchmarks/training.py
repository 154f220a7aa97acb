"""Speed of our training beside a bare loop and beside the authors' own, on the same model and images, in one run.

    python benchmarks/training.py

Every contestant takes steps of the paper's recipe (Table 4); rounds alternate, medians count, and the first step of
a round, in which things are compiled and queues filled, does not. The bare loop is ``train_on_batch``; the authors give
Keras' ``fit`` an ``ImageDataGenerator``, which reads and augments files as it goes. What ours does after an epoch
(evaluation, checkpoint) is no step and has seconds of its own. Prints steps a second, ratios, memory over epochs, and
whether each promise holds, and writes everything to results/benchmarks/training.json with the machine's description.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import report
from memory import anonymous_mib
from pipeline import as_split, authors, prepared, write_photographs

from wisesr_helpers._keras import keras
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.data.listings import Listing
from wisesr_helpers.data.prepare import read_account
from wisesr_helpers.models.classifiers import build_classifier
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.training import loop
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.loop import evaluate

TABLE = "Table 4"
HEAD = "wise"
STUDY = STUDIES["mit_224"]  # whose recipe is Table 4's
STEPS = {"small_conv": 40, "Xception": 4}  # timed ones a round: a step takes 0.1 and some seconds on two cores
PARTS = {"Xception": 5}  # of the paper's batch, which would take about 13 GB of memory and minutes a round on two cores
KEPT = 4  # batches in memory, taken in turn
BARE = "bare train_on_batch, batches in memory"
OURS = "our path, batches in memory"
FED = "our path, batches read from the prepared file and augmented"
AUTHORS = "the authors' path: fit, batches read from JPEG files and augmented"
LEAST = 0.97  # of BARE's steps a second, by OURS
EPOCHS = 12  # whose memory is measured
SETTLED = 3  # after so many of them most is allocated that an epoch needs
# MiB that a usual later epoch may add and memory be called flat. What leaks, leaks in every epoch; an allocator's
# single step of tens of MiB is none, so the median is what counts.
GROWTH = 0.5


class Kept(Sequence):
    """An epoch of ``steps`` batches that are in memory, in turn: ``Batches`` that costs nothing."""

    def __init__(self, kept, steps):
        self.kept = kept
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return self.kept[index % len(self.kept)]


class Repeated(Sequence):
    """``count`` images, which are those of a sequence again and again."""

    def __init__(self, images, count):
        self.images = images
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.images[index % len(self.images)]


def rate(moments):
    """Steps a second, from the moments at which steps ended: the first step is over when the clock starts."""
    return (len(moments) - 1) / (moments[-1] - moments[0])


def bare(model, kept, steps):
    """Steps a second of nothing but ``train_on_batch``."""
    moments = []
    for k in range(steps):
        model.train_on_batch(*kept[k % len(kept)])
        moments.append(time.perf_counter())
    return rate(moments)


def ours(model, batches, epoch):
    """Steps a second of one epoch as ``training.train`` has it."""
    moments = []
    *_, diverged = loop.train_epoch(model, batches, epoch, lambda *_: moments.append(time.perf_counter()))
    if diverged:
        sys.exit(f"The training diverged at step {diverged}: nothing can be said of its speed.")
    return rate(moments)


def theirs(model, endless, steps):
    """Steps a second of ``fit`` with the batches of their pipeline, as the authors train."""
    generator = ((images, kinds.argmax(1)) for images, kinds in endless)
    moments = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: moments.append(time.perf_counter()))
    model.fit(generator, steps_per_epoch=steps, callbacks=[clock], verbose=0)
    return rate(moments)


def measure(backbone, photographs, files, recipe, rounds, steps):
    """One backbone: steps a second of every contestant, and the seconds of what ours does after an epoch.

    Args:
        backbone: Its name.
        photographs: Prepared ``Split``.
        files: Its JPEG files: (folder, entries).
        recipe: ``Recipe``.
        rounds: Of every contestant.
        steps: That are timed in each.

    Returns:
        (name → steps a second, one a round; what is done after an epoch → seconds).
    """
    count = recipe.batch_size * (1 + steps)
    labels = np.arange(count) % STUDY.classes
    split = Split(Repeated(photographs.images, count), labels, "", photographs.size)
    batches = Batches(split, recipe.batch_size, 0, augmentation=recipe.augmentation)
    kept = [batches[k] for k in range(min(KEPT, len(batches)))]
    keras.utils.set_random_seed(0)
    model = build_classifier(backbone, HEAD, classes=STUDY.classes, image_size=split.size)
    loop.compile_model(model, recipe, count, STUDY.classes)
    endless = authors(*files, split.size[0], recipe.batch_size)
    contestants = {
        BARE: lambda _: bare(model, kept, 1 + steps),
        OURS: lambda epoch: ours(model, Kept(kept, 1 + steps), epoch),
        FED: lambda epoch: ours(model, batches, epoch),
        AUTHORS: lambda _: theirs(model, endless, 1 + steps),
    }
    rates = {}
    for epoch in range(rounds):
        for name, contestant in contestants.items():
            rates.setdefault(name, []).append(contestant(epoch))
    return rates, after_an_epoch(model, photographs, recipe)


def after_an_epoch(model, test, recipe):
    """Seconds of an evaluation of the split ``test``, and of saving a checkpoint."""
    for width in (recipe.batch_size, len(test) % recipe.batch_size or 1):  # compiles for every width of a batch
        evaluate(model, dataclasses.replace(test, labels=test.labels[:width]), recipe.micro_batch)
    began = time.perf_counter()
    evaluate(model, test, recipe.micro_batch)
    evaluated = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        Checkpoints(folder).save(loop.Training().checkpoint(model))
        saved = time.perf_counter()
    return {f"evaluation of {len(test)} images": evaluated - began, "saving a checkpoint": saved - evaluated}


def memory_of_epochs(folder, batch):
    """Memory of a process that does nothing but train: MiB before the first epoch and after each."""
    recipe = dataclasses.replace(STUDY.recipe, epochs=EPOCHS, batch_size=batch)
    split = as_split(read_account(folder, "train")[1], STUDY.image_size, folder)
    dataset = Dataset("photographs", tuple(map(str, range(STUDY.classes))), split, split, photographs=True)
    keras.utils.set_random_seed(0)
    model = build_classifier("small_conv", HEAD, classes=STUDY.classes, image_size=split.size)
    found = [anonymous_mib()]
    with tempfile.TemporaryDirectory() as runs:
        loop.train(
            model,
            dataset,
            recipe,
            seed=0,
            checkpoints=Checkpoints(runs),
            after_epoch=lambda _: found.append(anonymous_mib()),
        )
    return [round(value, 1) for value in found]


def batch_of(backbone, asked):
    """(images a batch, why so many)."""
    whole, parts = STUDY.recipe.batch_size, PARTS.get(backbone, 1)
    if asked:
        return asked, "as asked for"
    if parts == 1:
        return whole, f"the paper's ({TABLE})"
    return whole // parts, (
        f"1/{parts} of the paper's {whole}, which take too much memory and time on a CPU; what a step costs besides "
        f"the model weighs {parts} times as much so"
    )


def promise(what, measured, least=None, most=None):
    """A promise, what was measured, and whether it holds; one of the bounds is given."""
    bound = f"at least {least}" if most is None else f"at most {most}"
    holds = measured >= least if most is None else measured <= most
    return {"promise": f"{what}: {bound}", "measured": round(float(measured), 3), "holds": bool(holds)}


def main():
    """Measure every backbone and the memory, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help=f"timed steps a round; if not given: {STEPS}")
    parser.add_argument("--images", type=int, default=140, help="JPEG files, trained on again and again")
    parser.add_argument("--batch", type=int, help="images a step; if not given, the paper's where a CPU can")
    parser.add_argument("--backbones", nargs="+", default=list(STEPS))
    parser.add_argument("--out", type=pathlib.Path, default=report.FOLDER / "training.json")
    parser.add_argument("--memory", type=pathlib.Path, metavar="FOLDER", help="used by this script itself")
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(memory_of_epochs(options.memory, options.batch)))
        return
    rows, side = [], STUDY.image_size
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        entries = write_photographs(folder, options.images, side)
        listing = Listing(folder, ("0", "1"), tuple(entries), (entries[0],), {})
        photographs = prepared(listing, side, folder / "prepared")
        for backbone in options.backbones:
            batch, why = batch_of(backbone, options.batch)
            recipe = dataclasses.replace(STUDY.recipe, batch_size=batch)
            steps = options.steps or STEPS.get(backbone, min(STEPS.values()))
            rates, afterwards = measure(backbone, photographs, (folder, entries), recipe, options.rounds, steps)
            medians = {name: statistics.median(values) for name, values in rates.items()}
            ratios = {name: medians[name] / medians[BARE] for name in (OURS, FED, AUTHORS)}
            rows.append(
                {
                    "backbone": backbone,
                    "head": HEAD,
                    "image_size": side,
                    "batch": batch,
                    "batch_is": why,
                    "rounds": options.rounds,
                    "steps_a_round": steps,
                    "steps_per_second": {name: float(f"{value:.4g}") for name, value in medians.items()},
                    "ratios": {f"{name} / {BARE}": round(ratio, 3) for name, ratio in ratios.items()},
                    "beside_the_authors": report.ratio(rates[FED], rates[AUTHORS]),
                    "seconds_after_an_epoch": {name: round(value, 3) for name, value in afterwards.items()},
                    "promises": [promise(f"{OURS} / {BARE}", ratios[OURS], least=LEAST)],
                }
            )
            print(json.dumps(rows[-1], indent=1), flush=True)
        batch, _ = batch_of("small_conv", options.batch)
        words = [sys.executable, __file__, "--memory", folder / "prepared", "--batch", str(batch)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    growth = statistics.median(np.diff(found[SETTLED:]))
    memory = {
        "backbone": "small_conv",
        "batch": batch,
        "mib_before_and_after_each_epoch": found,
        "promises": [promise(f"small_conv: MiB an epoch adds after epoch {SETTLED}, median", growth, most=GROWTH)],
    }
    print(json.dumps(memory, indent=1), flush=True)
    report.write(options.out, rows, memory=memory)


if __name__ == "__main__":
    main()
