"""Carrying out an experiment: its run is taken up where it stands, trained, and kept, by one process at a time."""

import contextlib
import dataclasses

from wisesr_helpers import runs
from wisesr_helpers._keras import keras
from wisesr_helpers.announce import say_speed
from wisesr_helpers.checkpoints import Checkpoints
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.files import sweep, whole_path
from wisesr_helpers.locks import owner
from wisesr_helpers.models import build_classifier
from wisesr_helpers.provenance import environment
from wisesr_helpers.runs import BEST_MODEL, FINAL_MODEL
from wisesr_helpers.states import give_weights, named_arrays
from wisesr_helpers.training import train
from wisesr_helpers.versions import are_current

_MACHINE = ("backend", "device", "processor", "threads", "commit", "clean")


def run(experiment):
    """Train an experiment's run, unless it is finished, and keep its record and weights.

    Args:
        experiment: ``Experiment``.

    Returns:
        The record, a dict with ``outcome`` and ``execution``.

    Raises:
        Held: Another process is training this run.
        ValueError: The folder holds more epochs than asked for, or epochs of other settings, data, backend or versions
            of the code.
        OSError: The folder can't be written; whole epochs stay.
        MemoryError: The device's memory is too small.
    """
    record = finished(experiment)  # without a lock: a finished run can be read where nothing may be written
    if record is not None:
        return record
    with runs.kept(experiment.folder):
        experiment.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with runs.kept(experiment.folder):
            stack.enter_context(owner(experiment.folder, "trained"))
        return finished(experiment) or _train(experiment)


def finished(experiment):
    """The record of an experiment's run if it is finished with as many epochs as asked for, else None.

    Raises:
        ValueError: The run has more epochs than asked for; training it shorter would lose them.
    """
    record = None if experiment.overwrite else _record(experiment)
    if record is None:
        return None
    done, status = len(record["outcome"]["history"]), record["outcome"]["status"]
    _refuse_fewer(experiment, done)
    if status == "running" or (status == "complete" and done < experiment.recipe.epochs):
        return None
    if not (experiment.folder / FINAL_MODEL).exists():
        print(
            f"'{experiment.shown_folder}' holds no {FINAL_MODEL}; it is made again from the run's checkpoint.",
            flush=True,
        )
        return None
    print(
        f"Finished before, in '{experiment.shown_folder}': taken from there. overwrite=True trains it again.",
        flush=True,
    )
    _say_what_differs(experiment, record)
    return record


def _say_what_differs(experiment, record):
    """Say in what a finished run is not what the command would make today."""
    outcome = record["outcome"]
    if not are_current(record["execution"].get("behaviour")):
        print("It was trained by an older version of the code: today's may give another result.", flush=True)
    if outcome["status"] == "diverged" and outcome["recipe"]["epochs"] < experiment.recipe.epochs:
        print("It diverged, so that more epochs would change nothing.", flush=True)
    # Reading the data of the paper's scale only for this would take minutes, or fail where it is no more.
    if experiment.has_dataset and outcome["dataset"]["fingerprint"] != experiment.dataset.fingerprint:
        print("It was trained on other data than is here now: its accuracies are not of today's images.", flush=True)


def _record(experiment):
    """The record in an experiment's folder; None if there is none, or a damaged one, which is said."""
    if not (experiment.folder / runs.RECORD).exists():
        return None
    try:
        return runs.read_record(experiment.folder)
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
    with runs.kept(folder):
        _keep_models(folder, model, training, checkpoints)
        checkpoints.prune({len(training.history)})
    return keep(training)


def _start(experiment, checkpoints):
    """The checkpoint that the run goes on from; None: it begins. Both are said where something is there already."""
    folder = experiment.folder
    sweep(folder)
    record = _record(experiment)
    if experiment.overwrite:
        return _start_over(experiment, checkpoints, record)
    start = checkpoints.newest()
    if start is not None:
        _refuse_fewer(experiment, start.epoch)
        _say_going_on(experiment, start)
    elif record is not None and record["outcome"]["status"] != "running":
        raise ValueError(
            f"'{experiment.shown_folder}' holds a finished record and no whole checkpoint to go on from. Put its "
            "folder 'checkpoints' back, give another runs_dir, or set overwrite to train the run from the start."
        )
    elif record is not None or checkpoints.epochs():
        print(f"No whole checkpoint is left in '{experiment.shown_folder}'; the run is trained from the start.")
    return start


def _start_over(experiment, checkpoints, record):
    """The checkpoint that an overwriting run goes on from: its own, where it was interrupted; else None.

    Whatever can't be gone on from is removed: a finished run, damaged epochs, epochs of another origin, too many.
    """
    start, running = None, record is not None and record["outcome"]["status"] == "running"
    if record is None or running:
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
        final = [array.copy() for array in named_arrays(model)[1]]
        give_weights(model, checkpoint.arrays)
        _save(model, folder / BEST_MODEL)
        give_weights(model, final)
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
