"""A run of an experiment: what is said before and during it, and how it is trained and kept."""

import contextlib
import dataclasses

from wisesr_helpers import progress
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import SIDE as DIGIT
from wisesr_helpers.models.backbones import SMALL
from wisesr_helpers.models.classifiers import build_classifier
from wisesr_helpers.models.counts import count_flops, count_params
from wisesr_helpers.storage import folder_lock, sweep, whole_path
from wisesr_helpers.studies.choices import accelerators
from wisesr_helpers.studies.grid import STUDIES, get_study
from wisesr_helpers.training import runs
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.loop import model_state, restore_weights, train
from wisesr_helpers.training.runs import BEST_MODEL, FINAL_MODEL, environment

# What a run will do, in the words that its notebook prints first.


def announce(experiment, notebook=""):
    """Print what was chosen, why, and how to start the paper's scale.

    Args:
        experiment: Experiment.
        notebook: Name of the notebook that announces several runs of a study; empty: the study's own.
    """
    print(f"Scale: {experiment.scale}{f' ({DEMO_NOTE})' if experiment.plan else ''}; {experiment.reason}.")
    print(_data(experiment))
    print(f"Model: {experiment.backbone} + {experiment.head.name} ({experiment.head.description}).")
    print(_recipe(experiment.recipe))
    if experiment.recipe.augmentation is not None:
        print(describe_augmentation(experiment.recipe.augmentation))
    if experiment.plan and experiment.backbone in SMALL:
        minutes = experiment.plan.minutes * experiment.recipe.epochs / experiment.plan.recipe.epochs
        print(f"Time: about {progress.duration(60 * minutes)} on two cores.")
    else:
        print("Time: estimated after the first steps.")
    if experiment.plan:
        print(_paper_scale(experiment, notebook))


def _paper_scale(experiment, notebook):
    """How to start the paper's scale; for the embedded digits, that of the first of the study's other datasets."""
    dataset = experiment.parameters.dataset
    if not experiment.study.source:
        dataset = next(name for name, other in STUDIES[experiment.study.name].datasets.items() if other.source)
    study, head = get_study(experiment.study.name, dataset), experiment.head.name
    which = f"-p dataset {dataset} " if dataset else ""
    if notebook:
        which += f"-p study {study.name} "
    elif head != study.head_for(experiment.backbone):
        which += f"-p head {head} "
    return (
        f"The paper's scale ({study.dataset}, {study.backbones[0]}, {study.recipe.epochs} epochs, a GPU):\n"
        f"  python -m wisesr_helpers.data fetch {study.source}\n"
        f"  papermill notebooks/{notebook or study.name}.ipynb runs/out.ipynb {which}-p scale paper"
    )


def _data(experiment):
    side, plan = experiment.image_size, experiment.plan
    if plan is None:
        return f"Data: {experiment.study.dataset}, as images of {side}×{side} pixels."
    if plan.data == "digits":
        instead = f" They stand in for {experiment.study.dataset}." if experiment.study.source else ""
        return (
            f"Data: {plan.train:,} + {plan.test:,} of scikit-learn's handwritten digits in {plan.classes} classes, "
            f"real ones of {DIGIT}×{DIGIT} pixels, enlarged to {side}×{side}; no photographs.{instead}"
        )
    return (
        f"Data: {plan.train} + {plan.test} embedded scenes of {side}×{side} pixels in {plan.classes} classes, drawn "
        "from scikit-learn's handwritten digits; no photographs."
    )


def _recipe(recipe):
    every = "epoch" if recipe.decay_epochs == 1 else f"{recipe.decay_epochs} epochs"
    rate = f"learning rate {recipe.learning_rate}"
    rate += f" × {recipe.decay_rate} every {every}" if recipe.decay_rate != 1 else ""
    optimizer = "Adam" if recipe.momentum is None else f"SGD with momentum {recipe.momentum}"
    weights = recipe.weights or "random"
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    augmented = "" if recipe.augmentation else ", no augmentation"
    computed = "" if recipe.precision == "float32" else f", computed in {recipe.precision}"
    return (
        f"Recipe: {epochs}, batch {recipe.batch_size}, {optimizer}, {rate}, initial weights of the "
        f"backbone: {weights}{augmented}{computed}.{_accumulation(recipe)}"
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


def describe_data(experiment):
    """Print the dataset's counts, beside Table 2's at the paper's scale, and everything that is wrong with it."""
    study = experiment.study
    counts, *notes = experiment.dataset.describe()
    print(counts)
    if experiment.plan is None and study.name != "deeper_networks":
        print(f"Table 2 has {study.train_images:,} and {study.test_images:,} in {study.classes} classes.")
    for note in notes:
        print(note)


def say_speed(experiment, seconds, epochs):
    """Print how long a training will take, if it takes a minute or more.

    Args:
        experiment: Experiment.
        seconds: That an epoch takes, measured on the first steps.
        epochs: That are still to be trained.
    """
    if seconds * epochs < 60:
        return
    an_epoch, whole = progress.duration(seconds), progress.duration(seconds * epochs)
    if experiment.plan:
        print(f"An epoch takes about {an_epoch} here, {epochs} take {whole}.", flush=True)
    elif accelerators():
        hours = seconds * epochs * len(accelerators()) / 3600
        print(f"An epoch takes about {an_epoch} here, {epochs} take {whole}: {hours:.1f} GPU hours.", flush=True)
    else:
        demo = progress.duration(60 * experiment.study.demo.minutes)
        print(
            f"This machine has no accelerator: an epoch takes about {an_epoch}, {epochs} take about {whole} here; "
            f"scale='demo' takes {demo}.",
            flush=True,
        )


# Carrying out an experiment: its run is taken up where it stands, trained, and kept, by one process at a time.

_MACHINE = ("backend", "device", "processor", "threads", "commit", "clean")


def run(experiment):
    """Train an experiment's run, unless it is finished, and keep its record and weights.

    Args:
        experiment: ``Experiment``.

    Returns:
        RunResult.

    Raises:
        Held: Another process is training this run.
        ValueError: The folder holds more epochs than asked for, or epochs of other settings, data, backend or versions
            of the code.
        OSError: The folder can't be written; whole epochs stay.
        MemoryError: The device's memory is too small.
    """
    result = finished(experiment)  # without a lock: a finished run can be read where nothing may be written
    if result is not None:
        return result
    with runs.write_errors(experiment.folder):
        experiment.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with runs.write_errors(experiment.folder):
            stack.enter_context(folder_lock(experiment.folder, "trained"))
        return finished(experiment) or _train(experiment)


def finished(experiment):
    """An experiment's run if it is finished with as many epochs as asked for, else None.

    Raises:
        ValueError: The run has more epochs than asked for; training it shorter would lose them.
    """
    result = None if experiment.overwrite else _kept_run(experiment)
    if result is None:
        return None
    _refuse_fewer(experiment, result.epochs)
    if result.status == "running" or (result.status == "complete" and result.epochs < experiment.recipe.epochs):
        return None
    if not (experiment.folder / FINAL_MODEL).exists():
        print(
            f"'{experiment.shown_folder}' holds no {FINAL_MODEL}; it is made again from the run's checkpoint.",
            flush=True,
        )
        return None
    print(
        f"This run is already complete; loaded from '{experiment.shown_folder}'. Pass overwrite=True to train it "
        "again.",
        flush=True,
    )
    _say_what_differs(experiment, result)
    return result


def _say_what_differs(experiment, result):
    """Say in what a finished run is not what the command would make today."""
    if result.older:
        print("It was trained by an older version of the code: today's may give another result.", flush=True)
    if result.status == "diverged" and result.planned_epochs < experiment.recipe.epochs:
        print("It diverged, so that more epochs would change nothing.", flush=True)
    # Reading the data of the paper's scale only for this would take minutes, or fail where it is no more.
    if experiment.has_dataset and result.data_fingerprint != experiment.dataset.fingerprint:
        print("It was trained on other data than is here now: its accuracies are not of today's images.", flush=True)


def _kept_run(experiment):
    """The run in an experiment's folder; None if there is no record, or a damaged one, which is said."""
    if not (experiment.folder / runs.RECORD).exists():
        return None
    try:
        return runs.read_run(experiment.folder)
    except ValueError as error:
        print(f"{error} Until then the run's checkpoints count.")
        return None


def _refuse_fewer(experiment, done):
    if done > experiment.recipe.epochs:
        raise ValueError(
            f"'{experiment.shown_folder}' holds {count(done, 'epoch')} of this run already; epochs="
            f"{experiment.recipe.epochs} is fewer. Ask for at least {done}, or set overwrite to train it again."
        )


def _train(experiment):
    folder, recipe = experiment.folder, experiment.recipe
    execution = {"behaviour": experiment.behaviour, **environment(), "command": experiment.command}
    checkpoints = Checkpoints(
        folder / "checkpoints",
        {
            "settings": experiment.settings,
            "versions of the code": experiment.behaviour,
            "data": experiment.dataset.fingerprint,
            "backend": keras.backend.backend(),  # each draws other random numbers from a seed
        },
        execution["commit"],
    )
    start = _start(experiment, checkpoints)
    model = experiment.build()

    def keep(training):
        outcome = outcome_of(experiment.parameters, experiment.dataset, model, recipe, training)
        return runs.write_record(
            folder,
            outcome,
            {**execution, "seconds": training.seconds, "machines": training.machines},
        )

    try:
        training = train(
            model,
            experiment.dataset,
            recipe,
            experiment.parameters.seed,
            checkpoints,
            start,
            after_epoch=keep,
            say_speed=lambda seconds, epochs: say_speed(experiment, seconds, epochs),
            machine={name: execution[name] for name in _MACHINE},
        )
    except KeyboardInterrupt:
        done = count(max(checkpoints.epochs(), default=0), "whole epoch")
        print(f"Interrupted: '{experiment.shown_folder}' keeps {done}; the same command goes on from there.")
        raise
    with runs.write_errors(folder):
        _keep_models(folder, model, training, checkpoints)
        checkpoints.prune({len(training.history)})
    return keep(training)


def _start(experiment, checkpoints):
    """The checkpoint that the run goes on from; None: it begins. Both are said where something is there already."""
    folder = experiment.folder
    sweep(folder)
    before = _kept_run(experiment)
    if experiment.overwrite:
        return _start_over(experiment, checkpoints, before)
    start = checkpoints.newest()
    if start is not None:
        _refuse_fewer(experiment, start.epoch)
        _say_going_on(experiment, start)
    elif before is not None and before.status != "running":
        raise ValueError(
            f"'{experiment.shown_folder}' holds a finished record and no whole checkpoint to go on from. Put its "
            "folder 'checkpoints' back, give another runs_dir, or set overwrite to train the run from the start."
        )
    elif before is not None or checkpoints.epochs():
        print(f"No whole checkpoint is left in '{experiment.shown_folder}'; the run is trained from the start.")
    return start


def _start_over(experiment, checkpoints, before):
    """The checkpoint that an overwriting run goes on from: its own, where it was interrupted; else None.

    Whatever can't be gone on from is removed: a finished run, damaged epochs, epochs of another origin, too many.
    """
    start, running = None, before is not None and before.status == "running"
    if before is None or running:
        with contextlib.suppress(ValueError):  # another origin
            start = checkpoints.newest()
    # With its last epoch and no record, it may have been finished.
    if start is not None and start.epoch < experiment.recipe.epochs + running:
        _say_going_on(experiment, start)
        return start
    checkpoints.prune(())
    for name in (runs.RECORD, FINAL_MODEL, BEST_MODEL):
        (experiment.folder / name).unlink(missing_ok=True)
    return None


def _say_going_on(experiment, start):
    if start.epoch:
        print(f"Going on after epoch {start.epoch} of {experiment.recipe.epochs}, from '{experiment.shown_folder}'.")


def _keep_models(folder, model, training, checkpoints):
    """Save the weights of the last whole epoch, and of the best one where that is another."""
    best, last = training.best_epoch, len(training.history)
    checkpoint = checkpoints.load(best) if best != last else None
    if checkpoint is not None:
        final = [array.copy() for array in model_state(model)[1]]
        restore_weights(model, checkpoint.arrays)
        _save(model, folder / BEST_MODEL)
        restore_weights(model, final)
    elif best == last:
        (folder / BEST_MODEL).unlink(missing_ok=True)
    elif not (folder / BEST_MODEL).exists():
        print(f"The weights of the best epoch ({best}) are not there any more; those of the last one are kept.")
    _save(model, folder / FINAL_MODEL)


def _save(model, path):
    with whole_path(path) as temporary:
        keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)  # without the optimiser's state


def seeded_classifier(parameters, classes, image_size, recipe, options=None):
    """The untrained classifier of a run, its random weights drawn from the run's seed.

    Args:
        parameters: ``RunParameters``.
        classes: Number of classes.
        image_size: Side in pixels, or (height, width).
        recipe: ``Recipe``: the backbone's weights and the precision.
        options: The head's.
    """
    keras.utils.set_random_seed(parameters.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        return build_classifier(
            parameters.backbone, parameters.head, classes, image_size, weights=recipe.weights, **(options or {})
        )
    finally:
        keras.config.set_dtype_policy(before)


def outcome_of(parameters, dataset, model, recipe, training):
    """The half of a record that the command determines."""
    return {
        "parameters": dataclasses.asdict(parameters),
        "dataset": dataset.summary(),
        "model": {
            "params": count_params(model),
            "flops": count_flops(model),
            "feature_map": list(model.get_layer("features").output.shape[1:]),
        },
        "recipe": dataclasses.asdict(recipe),
        **{name: getattr(training, name) for name in ("history", "status", "divergence", "final", "best", "correct")},
    }


def count(number, noun):
    """A number with its noun: "1 epoch", "3 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
