"""Training that survives: a recipe applied to a model and a dataset, every whole epoch measured and kept.

What a run is after an epoch depends on its seed, recipe and data, and not on how often it was stopped: order and
augmentation are functions of (seed, epoch, index), layers that draw random numbers are seeded anew for every epoch,
and a checkpoint holds the weights, the optimiser's state and the whole history.
"""

import base64
import contextlib
import dataclasses
import math
import time

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checkpoints import Checkpoint
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.evaluation import evaluate
from wisesr_helpers.progress import ProgressLine, duration
from wisesr_helpers.states import give_state, is_finite, named_arrays, reseed

MEASURED_STEPS = 5  # after the first, which compiles: enough to say how long the training will take


@dataclasses.dataclass
class Training:
    """What a training leaves.

    Attributes:
        status: "complete", "running" or "diverged".
        history: One dict a whole epoch: epoch (from 1), learning_rate, loss, top1, top5 (training, as the
            epoch went), test_loss, test_top1, test_top5 (after it).
        final: Evaluation of the last whole epoch, see :func:`wisesr_helpers.evaluation.evaluate`, and its number
            "epoch"; None before the first.
        best: The same of the epoch with the highest test top-1, the earliest of equals; it was chosen on the
            test split, so it flatters.
        correct: Top-1 correctness of every test image after the last whole epoch: bits, packed and in base64.
        seconds: Wall-clock seconds of every epoch, evaluation included.
        divergence: None, or where the loss or a weight ceased to be finite: epoch and step (from 1), loss (mean of
            the epoch's steps before it, None at the first), learning_rate.
        machines: One dict a process that took part: "from_epoch", and what was said of it.
    """

    status: str = "running"
    history: list = dataclasses.field(default_factory=list)
    final: dict | None = None
    best: dict | None = None
    correct: str = ""
    seconds: list = dataclasses.field(default_factory=list)
    divergence: dict | None = None
    machines: list = dataclasses.field(default_factory=list)

    @property
    def best_epoch(self):
        """Number of the best epoch; 0 before the first."""
        return self.best["epoch"] if self.best else 0


def compile_model(model, recipe, train_images, classes):
    """Compile a classifier with a recipe's optimiser, loss and metrics, as :func:`train` does."""
    model.compile(
        optimizer=recipe.optimizer(train_images),
        loss="sparse_categorical_crossentropy",
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="top1"),
            keras.metrics.SparseTopKCategoricalAccuracy(min(5, classes), name="top5"),
        ],
        jit_compile=_jit_compile(recipe),
    )
    model.optimizer.build(model.trainable_variables)


def _jit_compile(recipe):
    """Whether XLA compiles the step: as the recipe says, else with JAX only."""
    if recipe.jit_compile is not None:
        return recipe.jit_compile
    return keras.backend.backend() == "jax"


def _snapshot(model, training):
    """The run as it is: ``Checkpoint`` of a compiled model and its ``Training``."""
    state = {field.name: getattr(training, field.name) for field in dataclasses.fields(training)}
    return Checkpoint(len(training.history), *named_arrays(model), state)


class _Epochs(keras.callbacks.Callback):
    """Measures every epoch, keeps the account, and says how long it will take."""

    def __init__(self, training, batches, dataset, recipe, seed, checkpoints, after_epoch, say_speed):
        super().__init__()
        self.training = training
        self.before = len(training.history)
        self.batches = batches
        self.dataset = dataset
        self.recipe = recipe
        self.seed = seed
        self.checkpoints = checkpoints
        self.after_epoch = after_epoch
        self.say_speed = say_speed
        self.line = ProgressLine()

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        reseed(self.model, self.seed, epoch)
        self.began = self.shown = time.perf_counter()
        self.learning_rate = float(self.model.optimizer.learning_rate)
        self.loss = None

    def on_train_batch_end(self, batch, logs=None):
        step, total, now = batch + 1, self.params["steps"], time.perf_counter()
        if not math.isfinite(logs["loss"]):
            self._diverge(step)
            return
        self.loss = float(logs["loss"])
        if len(self.training.history) == self.before:
            self._measure(step, total, now)
        if now - self.shown < 1 or step == total:
            return
        self.shown = now
        epoch = len(self.training.history) + 1
        left = (total - step + total * (self.recipe.epochs - epoch)) * (now - self.began) / step
        self.line.show(
            f"epoch {epoch} of {self.recipe.epochs}, step {step} of {total}, loss {self.loss:.3f}; "
            f"about {duration(left)} left"
        )

    def _measure(self, step, total, now):
        """Say how long an epoch takes, as soon as some steps have been timed."""
        if step == 1:
            self.first_step = now
        if step == min(1 + MEASURED_STEPS, total) and step > 1:
            a_step = (now - self.first_step) / (step - 1)
            self.say_speed(a_step * total, self.recipe.epochs - self.before)

    def _diverge(self, step):
        self.training.status = "diverged"
        self.training.divergence = {
            "epoch": len(self.training.history) + 1,
            "step": step,
            "loss": self.loss,
            "learning_rate": self.recipe.learning_rate_at(
                len(self.training.history) * self.params["steps"] + step - 1, len(self.dataset.train)
            ),
        }
        self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        training, evaluation = self.training, None
        if training.divergence is None:
            evaluation, correct = evaluate(self.model, self.dataset.test, self.recipe.micro_batch)
            if not (math.isfinite(evaluation["loss"]) and is_finite(self.model)):
                self._diverge(self.params["steps"])
        if training.divergence is not None:
            where = training.divergence
            self.line.show(
                f"epoch {where['epoch']} of {self.recipe.epochs}, step {where['step']}: the loss or a weight is not "
                "finite any more; the run diverged and stops here",
                final=True,
            )
            return
        evaluation["epoch"] = epoch + 1
        training.correct = base64.b64encode(np.packbits(correct).tobytes()).decode()
        training.history.append(
            {
                "epoch": epoch + 1,
                "learning_rate": self.learning_rate,
                "loss": float(logs["loss"]),
                "top1": float(logs["top1"]),
                "top5": float(logs["top5"]),
                "test_loss": evaluation["loss"],
                "test_top1": evaluation["top1"],
                "test_top5": evaluation["top5"],
            }
        )
        training.final = evaluation
        if training.best is None or evaluation["top1"] > training.best["top1"]:
            training.best = evaluation
        training.seconds.append(time.perf_counter() - self.began)
        self._say(epoch + 1, logs)
        if self.checkpoints is not None:
            self.checkpoints.save(_snapshot(self.model, training), keep={training.best_epoch})
        self.after_epoch(training)

    def _say(self, epoch, logs):
        left = (self.recipe.epochs - epoch) * float(np.mean(self.training.seconds[self.before :]))
        ending = f"about {duration(left)} left" if left else f"{duration(sum(self.training.seconds))} in all"
        self.line.show(
            f"epoch {epoch} of {self.recipe.epochs}: loss {logs['loss']:.3f}, top-1 {logs['top1']:.1%} in training, "
            f"{self.training.final['top1']:.1%} on the test set; {ending}",
            final=True,
        )


def train(
    model,
    dataset,
    recipe,
    seed,
    checkpoints=None,
    start=None,
    after_epoch=lambda training: None,
    say_speed=lambda seconds, epochs: None,
    machine=None,
):
    """Train a model by a recipe, from the beginning or from a checkpoint.

    Args:
        model: ``keras.Model`` with class probabilities as output; it is compiled and trained in place.
        dataset: ``Dataset``.
        recipe: ``Recipe``.
        seed: Of the order of the images, their augmentation and the layers' random numbers.
        checkpoints: ``Checkpoints`` that every whole epoch is saved to; None: none is kept.
        start: ``Checkpoint`` of the same run to go on from; None: the beginning.
        after_epoch: Called with the ``Training`` so far after every epoch, when its checkpoint is saved.
        say_speed: Called once, after the first steps, with the seconds an epoch takes and the epochs still to be
            trained.
        machine: dict about this process, for ``Training.machines``.

    Returns:
        Training. If it diverged, the model has the weights of the last whole epoch, or of ``start`` (with
        checkpoints only).

    Raises:
        MemoryError: The model and a batch don't fit into the device's memory.
        OSError: A checkpoint can't be written; those before it stay.
    """
    compile_model(model, recipe, len(dataset.train), len(dataset.classes))
    training = Training()
    if start is not None:
        give_state(model, start.arrays)
        training = Training(**start.state)
    elif checkpoints is not None:
        checkpoints.save(_snapshot(model, training))  # a full disk is known before an epoch is spent
    done = len(training.history)
    if done < recipe.epochs:
        training.machines.append({"from_epoch": done + 1, **(machine or {})})
        batches = Batches(
            dataset.train, recipe.batch_size, seed, augmentation=recipe.augmentation, parts=recipe.accumulate
        )
        watching = _Epochs(training, batches, dataset, recipe, seed, checkpoints, after_epoch, say_speed)
        fitting = {"epochs": recipe.epochs, "initial_epoch": done, "shuffle": False, "verbose": 0}
        with _memory_said(recipe):
            model.fit(batches, callbacks=[watching], **fitting)
    if training.divergence is None:
        training.status = "complete"
    elif checkpoints is not None:
        give_state(model, checkpoints.newest().arrays)
    return training


@contextlib.contextmanager
def _memory_said(recipe):
    """Say what to do where a backend runs out of the device's memory; each has an error of its own for that."""
    try:
        yield
    except Exception as error:
        said = f"{type(error).__name__} {error}"
        signs = ("MemoryError", "ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory")
        if not any(sign in said for sign in signs):
            raise
        larger = [parts for parts in recipe.accumulations() if parts > recipe.accumulate]
        advice = (
            f'Split each step with -y "options: {{accumulate: {larger[0]}}}", which keeps the batch of '
            f"{recipe.batch_size}"
            if larger
            else "Take a smaller backbone"
        )
        raise MemoryError(
            f"The model and {recipe.micro_batch} images at once don't fit into this device's memory. {advice}, or "
            "use a larger device; whole epochs are kept."
        ) from error
