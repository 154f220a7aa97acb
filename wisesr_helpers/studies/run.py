"""A run of a study: how it is announced, trained, resumed and kept."""

import contextlib
import dataclasses
import json

from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import SIDE as DIGIT
from wisesr_helpers.models.backbones import SMALL
from wisesr_helpers.models.classifiers import build_classifier
from wisesr_helpers.models.counts import count_flops, count_params
from wisesr_helpers.progress import duration, how_many, say
from wisesr_helpers.storage import accelerators, folder_lock, sweep
from wisesr_helpers.studies.grid import STUDIES, get_study
from wisesr_helpers.training import runs
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.loop import model_state, restore_weights, train
from wisesr_helpers.training.runs import BEST_MODEL, FINAL_MODEL, environment
from wisesr_helpers.versions import behaviour

# What a run will do, in the words that its notebook prints first.


def announce(spec, notebook=""):
    """Print what was chosen, why, and how to start the paper's scale, in the study's own notebook or in another."""
    backbone, recipe = spec.parameters.backbone, spec.recipe
    print(f"Scale: {spec.parameters.scale}{f' ({DEMO_NOTE})' if spec.plan else ''}; {spec.reason}.")
    print(_data(spec))
    print(f"Model: {backbone} + {spec.head.name} ({spec.head.description}).")
    print(_recipe(recipe))
    if recipe.augmentation is not None:
        print(describe_augmentation(recipe.augmentation))
    if spec.plan and backbone in SMALL:
        print(f"Time: about {duration(demo_seconds(spec))} on two cores.")
    else:
        print("Time: estimated after the first steps.")
    if spec.plan:
        print(_paper_scale(spec, notebook))


def demo_seconds(spec):
    """Seconds that a demo or smoke run with a small backbone takes on two cores."""
    return 60 * spec.plan.minutes * spec.recipe.epochs / spec.plan.recipe.epochs


def _paper_scale(spec, notebook):
    """How to start the paper's scale; the embedded digits have none, so that of the study's next dataset."""
    dataset = spec.parameters.dataset
    if not spec.study.source:
        dataset = next(name for name, other in STUDIES[spec.study.name].datasets.items() if other.source)
    study, head = get_study(spec.study.name, dataset), spec.head.name
    which = f"-p dataset {dataset} " if dataset else ""
    if notebook:
        which += f"-p study {study.name} "
    elif head != study.head_for(spec.parameters.backbone):
        which += f"-p head {head} "
    return (
        f"The paper's scale ({study.dataset}, {study.backbones[0]}, {study.recipe.epochs} epochs, a GPU):\n"
        f"  python -m wisesr_helpers.data fetch {study.source}\n"
        f"  papermill notebooks/{notebook or study.name}.ipynb runs/out.ipynb {which}-p scale paper"
    )


def _data(spec):
    side, plan = spec.image_size, spec.plan
    if plan is None:
        return f"Data: {spec.study.dataset}, as images of {side}×{side} pixels."
    if plan.data == "digits":
        instead = f" They stand in for {spec.study.dataset}." if spec.study.source else ""
        return (
            f"Data: {plan.train:,} + {plan.test:,} of scikit-learn's handwritten digits in {plan.classes} classes, "
            f"real ones of {DIGIT}×{DIGIT} pixels, enlarged to {side}×{side}; no photographs.{instead}"
        )
    return (
        f"Data: {plan.train:,} + {plan.test:,} embedded scenes of {side}×{side} pixels in {plan.classes} classes, "
        "drawn from scikit-learn's handwritten digits; no photographs."
    )


def describe_steps(recipe):
    """A recipe's epochs, batch, optimiser and learning rate: the beginning of a sentence."""
    every = "epoch" if recipe.decay_epochs == 1 else f"{recipe.decay_epochs} epochs"
    falls = f" × {recipe.decay_rate:.3g} every {every}" if recipe.decay_rate != 1 else ""
    optimizer = "Adam" if recipe.momentum is None else f"SGD with momentum {recipe.momentum:g}"
    return (
        f"{how_many(recipe.epochs, 'epoch')}, batch {recipe.batch_size}, {optimizer}, learning rate "
        f"{recipe.learning_rate:g}{falls}"
    )


def _recipe(recipe):
    weights = recipe.weights or "random"
    augmented = "" if recipe.augmentation else ", no augmentation"
    computed = "" if recipe.precision == "float32" else f", computed in {recipe.precision}"
    return (
        f"Recipe: {describe_steps(recipe)}, initial weights of the backbone: "
        f"{weights}{augmented}{computed}.{_accumulation(recipe)}"
    )


def _accumulation(recipe):
    if recipe.accumulate == 1:
        return ""
    return (
        f" Each batch goes through the model in {recipe.accumulate} parts of {recipe.micro_batch}, and their gradients "
        f"are averaged: the step is that of the whole batch, but batch norm sees {recipe.micro_batch} images at a "
        "time, so its statistics are noisier."
    )


def describe_augmentation(augmentation):
    """An augmentation in a sentence."""
    low, high = augmentation.brightness_range
    flips = [name for name in ("horizontal", "vertical") if getattr(augmentation, f"{name}_flip")]
    return (
        f"Augmentation, anew in every epoch: rotation ±{augmentation.rotation_range:g}°, shift "
        f"±{augmentation.width_shift_range:.0%} and ±{augmentation.height_shift_range:.0%}, zoom "
        f"±{augmentation.zoom_range:.0%}, {' and '.join(flips) or 'no'} flips, channel shift "
        f"±{augmentation.channel_shift_range:g} grey levels, brightness {low:g} to {high:g}; computed as "
        f"{augmentation.convention} does."
    )


def describe_data(spec, dataset):
    """Print the dataset's counts, at the paper's scale beside Table 2's, and everything that is wrong with it."""
    study = spec.study
    counts, *notes = dataset.describe()
    print(counts[0].upper() + counts[1:])
    if spec.plan is None and study.name != "deeper_networks":
        print(f"Table 2 has {study.train_images:,} and {study.test_images:,} in {study.classes} classes.")
    for note in notes:
        print(note)


def say_speed(spec, seconds, epochs):
    """Print how long so many epochs will take, if it is a minute or more, from the seconds that one takes."""
    if seconds * epochs < 60:
        return
    an_epoch, whole = duration(seconds), duration(seconds * epochs)
    said = f"An epoch takes about {an_epoch} here, {epochs} take {whole}"
    if spec.plan:
        say(f"{said}.")
    elif accelerators():
        say(f"{said}: {seconds * epochs * len(accelerators()) / 3600:.1f} GPU hours.")
    else:
        demo = duration(60 * spec.study.demo.minutes)
        say(
            f"This machine has no accelerator: an epoch takes about {an_epoch}, {epochs} take about {whole} here; "
            f"scale='demo' takes {demo}."
        )


# The run itself: trained by one process at a time, resumed from its newest checkpoint, and kept.

_MACHINE = ("backend", "device", "processor", "threads", "commit", "clean")


def finished_run(spec, dataset=None):
    """The kept run of a spec, if it has as many epochs as asked for or diverged; takes no lock and writes nothing.

    Without a dataset, the run's data is not compared with today's: reading photographs only for this would take
    minutes. ValueError where the run has more epochs than asked for; training it shorter would lose them.
    """
    result = None if spec.overwrite else _recorded_run(spec)
    if result is None:
        return None
    _refuse_fewer(spec, result.epochs)
    if result.status == "running" or (result.status == "complete" and result.epochs < spec.recipe.epochs):
        return None
    if not (spec.folder / FINAL_MODEL).exists():
        say(f"'{spec.shown_folder}' holds no {FINAL_MODEL}; it is made again from the run's checkpoint.")
        return None
    say(f"This run is already complete; loaded from '{spec.shown_folder}'. Pass overwrite=True to train it again.")
    if result.older:
        say("It was trained by an older version of the code: today's may give another result.")
    if result.status == "diverged" and result.planned_epochs < spec.recipe.epochs:
        say("It diverged, so more epochs would change nothing.")
    if dataset is not None and result.data_fingerprint != dataset.fingerprint:
        say("It was trained on other data than today's, so its accuracies are not for today's images.")
    return result


def train_run(spec, dataset):
    """Train a run, from the start or from its newest checkpoint, and keep its record and weights.

    Args:
        spec: ``RunSpec``.
        dataset: Its ``Dataset``.

    Returns:
        RunResult; another process's where it has finished the run in the meantime.

    Raises:
        Held: Another process is training this run.
        ValueError: The folder holds more epochs than asked for, or epochs that were trained with other settings, data,
            backend or versions of the code.
        OSError: The folder can't be written; whole epochs are kept.
        MemoryError: The device's memory is too small.
    """
    with contextlib.ExitStack() as stack:
        with runs.write_errors(spec.folder):
            spec.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(folder_lock(spec.folder, "trained"))
        return finished_run(spec, dataset) or _train(spec, dataset)


def _recorded_run(spec):
    """The run in the folder; None if there is no record, or a damaged one, which is reported."""
    if not (spec.folder / runs.RECORD).exists():
        return None
    try:
        return runs.read_run(spec.folder)
    except ValueError as error:
        say(f"{error} Its checkpoints are used instead.")
        return None


def _refuse_fewer(spec, done):
    if done > spec.recipe.epochs:
        raise ValueError(
            f"'{spec.shown_folder}' holds {how_many(done, 'epoch')} of this run already; "
            f"epochs={spec.recipe.epochs} is fewer. Ask for at least {done}, or pass overwrite=True to train it again."
        )


def _train(spec, dataset):
    folder, seed = spec.folder, spec.parameters.seed
    versions = behaviour(dataset.photographs)
    execution = {"behaviour": versions, **environment(), "command": spec.command}
    origin = {
        "settings": _settings(spec),
        "versions of the code": versions,
        "data": dataset.fingerprint,
        "backend": keras.backend.backend(),  # each draws other random numbers from a seed
    }
    checkpoints = Checkpoints(folder / "checkpoints", origin, execution["commit"])
    start = _start(spec, checkpoints)
    model = seeded_classifier(spec.parameters, len(dataset.classes), spec.image_size, spec.recipe, spec.head_options)
    model.class_names = dataset.classes

    def keep(training):
        outcome = _outcome(spec, dataset, model, training)
        return runs.write_record(
            folder, outcome, {**execution, "seconds": training.seconds, "machines": training.machines}
        )

    try:
        training = train(
            model,
            dataset,
            spec.recipe,
            seed,
            checkpoints,
            start,
            after_epoch=keep,
            say_speed=lambda seconds, epochs: say_speed(spec, seconds, epochs),
            machine={name: execution[name] for name in _MACHINE},
        )
    except KeyboardInterrupt:
        done = how_many(max(checkpoints.epochs(), default=0), "whole epoch")
        say(f"Interrupted: '{spec.shown_folder}' keeps {done}; the same command goes on from there.")
        raise
    with runs.write_errors(folder):
        _keep_models(folder, model, training, checkpoints)
        checkpoints.prune({len(training.history)})
    return keep(training)


def _settings(spec):
    """The settings, but for the number of epochs, that a run must share with the one that it resumes."""
    plan = spec.plan
    settings = {
        "parameters": dataclasses.asdict(spec.parameters),
        "recipe": dataclasses.asdict(dataclasses.replace(spec.recipe, epochs=0)),
        "data": [spec.image_size, *([plan.classes, plan.train, plan.test] if plan else [spec.study.source])],
    }
    return json.loads(json.dumps(settings))  # as a checkpoint gives it back, without tuples


def _start(spec, checkpoints):
    """The checkpoint to resume from, or None to begin; says which where the folder holds something already."""
    sweep(spec.folder)
    before = _recorded_run(spec)
    if spec.overwrite:
        return _start_over(spec, checkpoints, before)
    start = checkpoints.newest()
    if start is not None:
        _refuse_fewer(spec, start.epoch)
        _say_going_on(spec, start)
    elif before is not None and before.status != "running":
        raise ValueError(
            f"'{spec.shown_folder}' holds a finished record and no whole checkpoint to go on from. Put its folder "
            "'checkpoints' back, give another runs_dir, or pass overwrite=True to train the run from the start."
        )
    elif before is not None or checkpoints.epochs():
        say(f"No whole checkpoint is left in '{spec.shown_folder}'; the run is trained from the start.")
    return start


def _start_over(spec, checkpoints, before):
    """The checkpoint that an overwriting run resumes from: its own, where it was interrupted; otherwise None.

    Everything else is removed: a finished run, damaged epochs, too many epochs, and epochs of another origin.
    """
    start, running = None, before is not None and before.status == "running"
    if before is None or running:
        with contextlib.suppress(ValueError):  # another origin
            start = checkpoints.newest()
    # With its last epoch and no record, it may have been finished.
    if start is not None and start.epoch < spec.recipe.epochs + running:
        _say_going_on(spec, start)
        return start
    checkpoints.prune(())
    for name in (runs.RECORD, FINAL_MODEL, BEST_MODEL):
        (spec.folder / name).unlink(missing_ok=True)
    return None


def _say_going_on(spec, start):
    if start.epoch:
        say(f"Going on after epoch {start.epoch} of {spec.recipe.epochs}, from '{spec.shown_folder}'.")


def _keep_models(folder, model, training, checkpoints):
    """Save the weights of the last whole epoch, and of the best one where that is another."""
    best, last = training.best_epoch, len(training.history)
    checkpoint = checkpoints.load(best) if best != last else None
    if checkpoint is not None:
        final = [array.copy() for array in model_state(model)[1]]
        restore_weights(model, checkpoint.arrays)
        runs.save_classifier(model, folder / BEST_MODEL)
        restore_weights(model, final)
    elif best == last:
        (folder / BEST_MODEL).unlink(missing_ok=True)
    elif not (folder / BEST_MODEL).exists():
        say(f"The weights of the best epoch ({best}) are not there any more; those of the last one are kept.")
    runs.save_classifier(model, folder / FINAL_MODEL)


def seeded_classifier(parameters, classes, image_size, recipe, options=None):
    """The untrained classifier of a run, its random weights drawn from the run's seed, in the recipe's precision."""
    keras.utils.set_random_seed(parameters.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        return build_classifier(
            parameters.backbone, parameters.head, classes, image_size, weights=recipe.weights, **(options or {})
        )
    finally:
        keras.config.set_dtype_policy(before)


def _outcome(spec, dataset, model, training):
    """The half of a record that the command determines alone."""
    return {
        "parameters": dataclasses.asdict(spec.parameters),
        "dataset": dataset.summary(),
        "model": {
            "params": count_params(model),
            "flops": count_flops(model),
            "feature_map": list(model.get_layer("features").output.shape[1:]),
        },
        "recipe": dataclasses.asdict(spec.recipe),
        **{name: getattr(training, name) for name in ("history", "status", "divergence", "final", "best", "correct")},
    }
