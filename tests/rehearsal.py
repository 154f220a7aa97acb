"""Start every row of the paper's tables and of the report's with its command, and compare what was executed.

    python tests/rehearsal.py --only mit_512 --out rehearsal.json

Each row goes through the ``Experiment`` that its papermill command makes, at paper scale and with its real backbone,
on a folder that imitates its dataset, with all classes. What trained is then read off the objects that did it (the
optimiser, the batches, the layers, the weights that were loaded) and compared with the published tables, which
``rehearsal_expected`` reads by itself.

What a rehearsal can't have is cut, and said: one epoch, few images, of most batches only the first images go through
the model, and random numbers stand in for the file of ImageNet weights that was asked for.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import gc
import io
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
from unittest import mock

import numpy as np
from rehearsal_expected import KerasBackbones, expected, five_digits, probes, rows, shapes
from trees import MOST, build_tree

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.training import loop
from wisesr_helpers.training.runs import environment

# Images a class (training, test): at least two whole batches, and no more to evaluate than need be.
PER_CLASS = {
    "sub_imagenet_224": (2, 1),
    "intel_224": (25, 2),
    "mit_224": (3, 1),
    "mit_512": (1, 1),
    "mnist": (21, 1),
    "cifar10": (21, 1),
    "tiny_imagenet": (1, 1),
}
THROUGH = 2  # images of a batch that go through the model where a batch is cut
WHOLE = ("mit_224", "ResNet50", "wise")  # the row where none is
PLAIN = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "gradient_accumulation_steps")


def through(row):
    """Images of a batch that go through the model; None: all."""
    return None if (row.study, row.backbone, row.head) == WHOLE else THROUGH


def imitation(group, folder):
    """A folder that imitates the dataset of a group of rows, defects included: ``trees.Tree``."""
    source = next(row.source for row in rows() if row.group == group)
    return build_tree(source, folder, PER_CLASS[group], MOST[source], defects=0.01)


@dataclasses.dataclass
class Seen:
    """What was seen of a training while it ran."""

    model: object = None
    batches: list = dataclasses.field(default_factory=list)  # shapes, as they were handed to the model
    loaders: list = dataclasses.field(default_factory=list)
    requests: list = dataclasses.field(default_factory=list)  # files that were asked of the network
    start: list = dataclasses.field(default_factory=list)  # the backbone's weights before the first step


@contextlib.contextmanager
def watched(row, backbones):
    """Watch a training: what the model is handed, what feeds it, and what is asked of the network."""
    seen = Seen()
    train_on_batch, batches = keras.Model.train_on_batch, loop.Batches
    downloads = sys.modules[keras.utils.get_file.__module__]

    def step(model, x, y=None, **named):
        if seen.model is None:
            seen.model, seen.start = model, [keras.ops.convert_to_numpy(w) for w in backbone_weights(model)]
        seen.batches.append(tuple(x.shape))
        return train_on_batch(model, x[: through(row)], y[: through(row)], **named)

    def loader(*given, **named):
        seen.loaders.append(batches(*given, **named))
        return seen.loaders[-1]

    def get_file(fname=None, *given, **named):
        seen.requests.append(fname)
        return str(backbones.get(row.backbone, row.side)[2])

    with (
        mock.patch.object(keras.Model, "train_on_batch", step),
        mock.patch.object(loop, "Batches", loader),
        mock.patch.object(downloads, "get_file", get_file),
    ):
        yield seen


def backbone_weights(model):
    """The weights of a classifier's layers before its last feature map."""
    names = [layer.name for layer in model.layers]
    return [weight for layer in model.layers[: names.index("features")] for weight in layer.weights]


def executed(row, tree, seen, record, backbones):
    """What ``expected`` says, read off what trained: name → value."""
    model = seen.model
    config = model.optimizer.get_config()
    schedule = keras.optimizers.schedules.deserialize(config["learning_rate"])
    (loader,) = seen.loaders
    preprocessed = model.get_layer("preprocessing")(np.array([[[[200.0, 100.0, 50.0]]]], np.float32))  # RGB
    augmentation = loader.augmentation
    found = {
        "optimiser": _optimiser(model.optimizer, config),
        "learning rates": [five_digits(float(schedule(step))) for step in probes(row, tree)],
        "batches": seen.batches,
        "steps": int(model.optimizer.iterations),
        "epochs": ws.Experiment(**_typed(row), scale="paper", data_dir=str(tree.root)).recipe.epochs,
        "backbone": shapes(seen.start),
        "feature map": tuple(model.get_layer("features").output.shape[1:]),
        "weights": _weights(row, seen, backbones),
        "head": [_said(layer) for layer in model.layers[[x.name for x in model.layers].index("features") + 1 :]],
        "augmentation": augmentation and dataclasses.asdict(augmentation),
        "pixel": [five_digits(x) for x in np.ravel(keras.ops.convert_to_numpy(preprocessed))],
        "record": {
            "status": record.status,
            "epochs": record.epochs,
            "images": [record.train_images, record.test_images],
            "batch_size": record.recipe["batch_size"],
            "weights": record.recipe["weights"],
        },
        "parameters": record.params,
    }
    return found


def _typed(row):
    names = {"study": row.study, "dataset": row.dataset, "head": row.head, "backbone": row.backbone}
    return {name: value for name, value in names.items() if value}


def _optimiser(optimizer, config):
    """As the tables print it, and whatever else is set on it."""
    said = type(optimizer).__name__
    said += f" (momentum:{config['momentum']:g})" if config.get("momentum") else ""
    more = [name for name in (*PLAIN, "nesterov", "amsgrad") if config.get(name)]
    return " with ".join([said, *more])


def _weights(row, seen, backbones):
    """Where the backbone's weights came from."""
    if not seen.requests:
        return "random"
    (name,) = seen.requests
    arrays = backbones.get(row.backbone, row.side)[0]
    if row.backbone.lower() not in name or "notop" not in name:
        return f"'{name}', another network's"
    same = all(np.array_equal(*pair) for pair in zip(arrays, seen.start, strict=True))
    return "ImageNet" if same else f"'{name}' was asked for, but not loaded"


def _said(layer):
    """A layer of a head after training, in the words of ``expected_head``."""
    kind = type(layer).__name__
    if kind == "GlobalAveragePooling2D":
        return "average"
    if kind == "GlobalWeightedAveragePooling2D":
        return f"weights from the {layer.kernel.shape[0]} features of a position"
    if kind == "BlockAveragePooling2D":
        return f"blocks {tuple(layer.output.shape[1:3])}"
    if kind == "Flatten":
        return f"flatten {tuple(layer.input.shape[1:])}"
    if kind == "Dropout":
        return f"dropout {100 * layer.rate:g}%"
    if kind == "Dense":
        name = layer.activation.__name__
        return f"{layer.units} classes, softmax" if name == "softmax" else f"{layer.units} units, {name}"
    if kind == "GlobalDepthwisePooling2D":
        kernel = keras.ops.convert_to_numpy(layer.kernel)[..., 0]
        sign = "none negative" if kernel.min() >= 0 else "any sign"
        start = layer.depthwise_initializer
        drawn = type(start).__name__
        if drawn == "RandomNormal":
            drawn = f"Random Normal Initialization (Mean:{start.mean:g}, Std:{start.stddev:g})"
        bias = "bias from 0" if type(layer.bias_initializer).__name__ == "Zeros" else "another bias"
        return f"a weight for each of {kernel.shape}, {sign}, {drawn}, {bias}"
    return kind


def rehearse(row, tree, backbones, typed=None):
    """Start a row and compare it with the tables.

    Args:
        row: ``Row``.
        tree: ``Tree`` of its dataset.
        backbones: ``KerasBackbones``.
        typed: What is typed other than the row says (for tests of the rehearsal).

    Returns:
        dict: table, label, command, seconds, cpu_seconds (of all cores together), executed, cuts, and problems, a
        sentence each.
    """
    began, used = time.perf_counter(), time.process_time()
    result = {"table": row.table, "label": row.label, "command": "", "executed": {}, "cuts": [], "problems": []}
    with tempfile.TemporaryDirectory() as runs_dir:
        typed = {**_typed(row), "scale": "paper", "data_dir": str(tree.root), "runs_dir": runs_dir, **(typed or {})}
        try:
            experiment = ws.Experiment(**typed, epochs=1)
            result["command"] = experiment.command
            with watched(row, backbones) as seen, contextlib.redirect_stdout(io.StringIO()):
                record = experiment.run()
            wanted = expected(row, tree, backbones)
            found = executed(row, tree, seen, record, backbones)
            result["problems"] = [
                f"{name}: printed is {_short(wanted[name])}, executed was {_short(found[name])}"
                for name in wanted
                if wanted[name] != found[name]
            ]
            result["executed"] = {**found, "backbone": f"{row.backbone}: {len(seen.start)} arrays"}
            result["cuts"] = cuts(row, tree, wanted["epochs"], seen)
        except Exception as error:  # a row that fails in any way is a row that is not as printed
            result["problems"] = [f"{type(error).__name__}: {error}"]
    keras.utils.clear_session()
    gc.collect()
    return {**result, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def cuts(row, tree, epochs, seen):
    """What the rehearsal left out of a row, a phrase each."""
    found = [f"1 epoch of {epochs}", f"{tree.train} imitated images"]
    found += [f"{through(row)} images of a batch go through the model"] if through(row) else []
    return found + [f"random numbers in place of {name}" for name in seen.requests]


def _short(value):
    said = repr(value)
    return said if len(said) <= 300 else f"{said[:300]}…"


def line(result, place, total):
    """What is printed of a row."""
    said = "; ".join(result["problems"])
    verdict = f"NOT as printed: {said}" if said else f"as printed in {result['table']}, '{result['label']}'"
    took = f"{result['seconds']:.0f} s ({result['cpu_seconds']:.0f} of CPU)"
    return (
        f"{place} of {total}, {took}: {result['command'] or result['label']}\n"
        f"    {verdict}; cut: {', '.join(result['cuts']) or 'nothing was trained'}"
    )


def rehearse_group(group, first, total, folder):
    """Rehearse the rows of a group; prints each, returns the results."""
    folder = pathlib.Path(folder)
    tree, backbones, results = imitation(group, folder / "data"), KerasBackbones(folder), []
    for row in (row for row in rows() if row.group == group):
        results.append(rehearse(row, tree, backbones))
        print(line(results[-1], first + len(results), total), flush=True)
    return results


def main(words=None):
    """Rehearse all rows, a process a group; exits with 1 if any is not as printed."""
    groups = list(dict.fromkeys(row.group for row in rows()))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[*groups, "deeper_networks"], help="the rows of one study or dataset")
    parser.add_argument("--out", type=pathlib.Path, help="file for the results, as JSON")
    options = parser.parse_args(words)
    chosen = [row for row in rows() if options.only in (None, row.group, row.study)]
    began, results = time.perf_counter(), []
    for group in (group for group in groups if group in {row.group for row in chosen}):
        with tempfile.TemporaryDirectory() as folder, _process() as process:
            os.environ["WISESR_CACHE"] = folder
            try:
                results += process.submit(rehearse_group, group, len(results), len(chosen), folder).result()
            except concurrent.futures.process.BrokenProcessPool:
                print(f"The process of the rows of {group} was killed, perhaps for its memory; they do not count.")
    good = sum(not result["problems"] for result in results)
    minutes = (time.perf_counter() - began) / 60
    print(f"{good} of {len(chosen)} rows executed what is printed, in {minutes:.0f} minutes.")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        whole = {"rows": results, "good": good, "minutes": minutes, "environment": environment()}
        options.out.write_text(json.dumps(whole, indent=1, default=str) + "\n", encoding="utf-8")
    return good != len(chosen)


def _process():
    """A fresh process: what a group leaves in memory ends with it."""
    return concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


if __name__ == "__main__":
    sys.exit(main())
