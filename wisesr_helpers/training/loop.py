"""Training: a recipe applied to a model and a dataset, every whole epoch evaluated and saved.

What a run is after an epoch depends on its seed, recipe and data, and not on how often it was stopped: order and
augmentation are functions of (seed, epoch, index), layers that draw random numbers are seeded anew for every epoch,
and a checkpoint holds the weights, the optimiser's state and the whole history.
"""

import contextlib
import dataclasses
import math
import time

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.metrics import top_k_correct
from wisesr_helpers.models.classifiers import predict_split
from wisesr_helpers.progress import ProgressLine, duration
from wisesr_helpers.training.checkpoints import Checkpoint
from wisesr_helpers.training.runs import pack

MEASURED_STEPS = 5  # after the first, which compiles: enough to say how long the training will take


@dataclasses.dataclass
class Training:
    """How far a training is, and what it has measured.

    Attributes:
        status: "complete", "running" or "diverged".
        history: One dict per whole epoch: epoch (from 1), learning_rate, loss, top1, top5 (training, averaged over
            the epoch), test_loss, test_top1, test_top5 (after it).
        final: The evaluation of the last whole epoch, see :func:`evaluate`, and its number "epoch"; None before the
            first.
        best: The same for the epoch with the highest test top-1, the earliest of equals; it was chosen on the
            test split, so it is optimistic.
        correct: Top-1 correctness of every test image after the last whole epoch, as packed bits in base64.
        seconds: Wall-clock seconds of every epoch, evaluation included.
        divergence: None, or where the loss or a weight stopped being finite: epoch and step (from 1), loss (the
            epoch's last finite one, None at its first step), learning_rate.
        machines: One dict per process that took part: "from_epoch", and what the caller says of it.
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

    def checkpoint(self, model):
        """``Checkpoint`` of the run as it is, with the state of its compiled model."""
        return Checkpoint(len(self.history), *model_state(model), dict(vars(self)))


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
        checkpoints: ``Checkpoints`` that every whole epoch is saved to; None: none is saved.
        start: ``Checkpoint`` of the same run to continue from; None: the beginning.
        after_epoch: Called with the ``Training`` so far after every epoch, once its checkpoint is saved.
        say_speed: Called once, after the first steps, with the seconds per epoch and the number of epochs still to
            be trained.
        machine: dict about this process, for ``Training.machines``.

    Returns:
        Training. If it diverged and there are checkpoints, the model has the weights of the last whole epoch, or
        those it started from.

    Raises:
        MemoryError: The model and a batch don't fit into the device's memory.
        OSError: A checkpoint can't be written; those before it stay.
    """
    compile_model(model, recipe, len(dataset.train), len(dataset.classes))
    training = Training()
    if start is not None:
        restore_state(model, start.arrays)
        training = Training(**start.state)
    elif checkpoints is not None:
        checkpoints.save(training.checkpoint(model))  # a full disk is known before an epoch is spent
    done = len(training.history)
    if done < recipe.epochs:
        training.machines.append({"from_epoch": done + 1, **(machine or {})})
    batches = Batches(dataset.train, recipe.batch_size, seed, augmentation=recipe.augmentation, parts=recipe.accumulate)
    progress = _Progress(recipe, len(batches), done, say_speed)
    with _memory_errors(recipe):
        for epoch in range(done, recipe.epochs):
            progress.epoch_begins()
            reseed(model, seed, epoch)
            _whole_epoch(model, batches, dataset, recipe, training, progress)
            if training.divergence is not None:
                progress.diverged(training.divergence)
                break
            training.seconds.append(progress.epoch_ends(training))
            if checkpoints is not None:
                checkpoints.save(training.checkpoint(model), keep={training.best_epoch})
            after_epoch(training)
    if training.divergence is None:
        training.status = "complete"
    elif checkpoints is not None:
        restore_state(model, checkpoints.newest().arrays)
    return training


def compile_model(model, recipe, train_images, classes):
    """Compile a classifier with a recipe's optimiser, loss and metrics, as :func:`train` does."""
    on_jax = keras.backend.backend() == "jax"
    model.compile(
        optimizer=recipe.optimizer(train_images),
        loss="sparse_categorical_crossentropy",
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="top1"),
            keras.metrics.SparseTopKCategoricalAccuracy(min(5, classes), name="top5"),
        ],
        jit_compile=on_jax if recipe.jit_compile is None else recipe.jit_compile,
    )
    model.optimizer.build(model.trainable_variables)


def _whole_epoch(model, batches, dataset, recipe, training, progress):
    """Train and evaluate one more epoch; it goes into the history, or the place where it diverged is kept."""
    epoch, learning_rate = len(training.history), float(model.optimizer.learning_rate)
    means, loss, step = train_epoch(model, batches, epoch, progress.step)
    if step is None:
        evaluation, correct = evaluate(model, dataset.test, recipe.micro_batch)
        if not (math.isfinite(evaluation["loss"]) and is_finite(model)):
            step = len(batches)
    if step is not None:
        parts = epoch * len(batches) + step - 1
        training.status = "diverged"
        training.divergence = {"epoch": epoch + 1, "step": step, "loss": loss}
        training.divergence["learning_rate"] = recipe.learning_rate_at(parts, len(dataset.train))
        return
    training.history.append(
        {
            "epoch": epoch + 1,
            "learning_rate": learning_rate,
            **dict(zip(("loss", "top1", "top5"), means.tolist(), strict=True)),
            **{f"test_{name}": evaluation[name] for name in ("loss", "top1", "top5")},
        }
    )
    training.correct = pack(correct)
    training.final = {**evaluation, "epoch": epoch + 1}
    if training.best is None or evaluation["top1"] > training.best["top1"]:
        training.best = training.final


def train_epoch(model, batches, epoch, step_taken):
    """Train one epoch (from 0), one step per batch, with ``step_taken(epoch, step (from 1), loss)`` after each.

    Returns:
        (means over the images of the epoch: loss, top1, top5; last finite loss, None if there was none; step at which
        the loss was not finite and the epoch ended, else None).
    """
    batches.epoch = epoch
    sums, seen, last = np.zeros(3), 0, None
    for index in range(len(batches)):
        images, labels = batches[index]
        model.reset_metrics()  # before Keras 3.15, train_on_batch would go on with the last batch's
        logs = model.train_on_batch(images, labels, return_dict=True)
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            return sums / max(seen, 1), last, index + 1
        last = loss
        sums += np.array([loss, float(logs["top1"]), float(logs["top5"])]) * len(labels)
        seen += len(labels)
        step_taken(epoch, index + 1, loss)
    return sums / seen, last, None


def evaluate(model, split, batch_size):
    """Top-1, top-5 and loss of a classifier on a split.

    Returns:
        (evaluation, correct): a dict with loss (nats per image; not finite where the model's output is not), top1 and
        top5 (fractions), top1_correct, top5_correct and count (images); and the top-1 correctness, a bool array (N,).
    """
    probabilities = predict_split(model, split, batch_size)
    labels = np.asarray(split.labels)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    correct = top_k_correct(probabilities, labels, 1)
    top1, top5 = int(correct.sum()), int(top_k_correct(probabilities, labels, 5).sum())
    finite = np.isfinite(probabilities).all()
    evaluation = {
        "loss": float(-np.log(np.maximum(own, 1e-7)).mean()) if finite else math.nan,
        "top1": top1 / len(labels),
        "top5": top5 / len(labels),
        "top1_correct": top1,
        "top5_correct": top5,
        "count": len(labels),
    }
    return evaluation, correct


# The state of a compiled model: its variables and its optimiser's, all that training changes.


def model_state(model):
    """(names, NumPy arrays) of a compiled model's variables, then of its optimiser's."""
    variables = _variables(model)
    return [variable.path for variable in variables], [keras.ops.convert_to_numpy(each) for each in variables]


def restore_state(model, arrays):
    """Give a compiled model and its optimiser the arrays of :func:`model_state`; ValueError if they are another's."""
    for variable, array in zip(_variables(model), arrays, strict=True):
        variable.assign(array)


def restore_weights(model, arrays):
    """Give a model its own part of the arrays of :func:`model_state`: the first ones, without the optimiser's."""
    for variable, array in zip(model.variables, arrays, strict=False):
        variable.assign(array)


def _variables(model):
    return [*model.variables, *model.optimizer.variables]


def is_finite(model):
    """Whether all weights of a model are finite."""
    return all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in model.weights)


def reseed(model, seed, epoch):
    """Seed every layer that draws random numbers, as a function of (seed, epoch, the layer's place)."""
    for place, layer in enumerate(model.layers):
        for generator in vars(layer).values():
            if isinstance(generator, keras.random.SeedGenerator):
                drawn = np.random.default_rng([seed, epoch, place]).integers(0, 2**31, generator.state.shape)
                generator.state.assign(drawn.astype(keras.backend.standardize_dtype(generator.state.dtype)))


class _Progress:
    """Says how far a training is, and how long it will take."""

    def __init__(self, recipe, steps, done, say_speed):
        self.recipe = recipe
        self.steps = steps
        self.before = done
        self.say_speed = say_speed
        self.line = ProgressLine()

    def epoch_begins(self):
        self.began = self.shown = time.perf_counter()

    def step(self, epoch, step, loss):
        """A step has been taken: of epoch ``epoch`` (from 0), as number ``step`` (from 1)."""
        now = time.perf_counter()
        if epoch == self.before:
            self._measure(step, now)
        if now - self.shown < 1 or step == self.steps:
            return
        self.shown = now
        left = (self.steps - step + self.steps * (self.recipe.epochs - epoch - 1)) * (now - self.began) / step
        self.line.show(
            f"epoch {epoch + 1} of {self.recipe.epochs}, step {step} of {self.steps}, loss {loss:.3f}; "
            f"about {duration(left)} left"
        )

    def _measure(self, step, now):
        """Say how long an epoch takes, as soon as some steps have been timed."""
        if step == 1:
            self.first_step = self.shown = now  # so that the line first stands below what is said here
        elif step == min(1 + MEASURED_STEPS, self.steps):
            seconds = (now - self.first_step) / (step - 1) * self.steps
            self.say_speed(seconds, self.recipe.epochs - self.before)

    def epoch_ends(self, training):
        """Show the last row of the history; returns the epoch's seconds."""
        seconds, row = time.perf_counter() - self.began, training.history[-1]
        mean = float(np.mean([*training.seconds[self.before :], seconds]))
        left = (self.recipe.epochs - row["epoch"]) * mean
        ending = f"about {duration(left)} left" if left else f"{duration(sum(training.seconds) + seconds)} in all"
        self.line.show(
            f"epoch {row['epoch']} of {self.recipe.epochs}: loss {row['loss']:.3f}, top-1 {row['top1']:.1%} in "
            f"training, {row['test_top1']:.1%} on the test set; {ending}",
            final=True,
        )
        return seconds

    def diverged(self, where):
        self.line.show(
            f"epoch {where['epoch']} of {self.recipe.epochs}, step {where['step']}: the loss or a weight is not "
            "finite any more; the run diverged and stops here",
            final=True,
        )


@contextlib.contextmanager
def _memory_errors(recipe):
    """Say what to do where a backend runs out of the device's memory; each has an error of its own for that."""
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__} {error}"
        signs = ("MemoryError", "ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory")
        if not any(sign in text for sign in signs):
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
