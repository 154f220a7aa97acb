"""Training: a recipe applied to a model and a dataset, every epoch measured on the test split."""

import dataclasses
import math
import time

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.data.batches import Batches
from wisesr_helpers.metrics import top_k_correct
from wisesr_helpers.models import predict_split
from wisesr_helpers.progress import ProgressLine, duration


@dataclasses.dataclass
class Training:
    """What a training leaves.

    Attributes:
        status: "complete", "running" or "diverged" (a loss that is not finite).
        history: One dict an epoch: epoch (from 1), learning_rate, loss, top1, top5 (training, as the
            epoch went), test_loss, test_top1, test_top5 (after it).
        final: Evaluation of the last epoch, see :func:`evaluate`; None before the first.
        best: The epoch with the highest test top-1, the earliest of equals; it was chosen on the test
            split, so it flatters.
        correct: Bool array (test images,): top-1 of the last epoch.
        seconds: Wall-clock seconds of every epoch, evaluation included.
    """

    status: str = "running"
    history: list = dataclasses.field(default_factory=list)
    final: dict | None = None
    best: dict | None = None
    correct: np.ndarray | None = None
    seconds: list = dataclasses.field(default_factory=list)


def evaluate(model, split, batch_size):
    """Top-1, top-5 and loss on a split.

    Returns:
        (evaluation, correct): a dict with loss (nats an image), top1 and top5 (fractions),
        top1_correct, top5_correct and count (images); and the top-1 correctness, a bool array (N,).
    """
    probabilities = predict_split(model, split, batch_size)
    labels = np.asarray(split.labels)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    correct = top_k_correct(probabilities, labels, 1)
    among_five = int(top_k_correct(probabilities, labels, 5).sum())
    evaluation = {
        "loss": float(-np.log(np.maximum(own, 1e-7)).mean()),
        "top1": int(correct.sum()) / len(labels),
        "top5": among_five / len(labels),
        "top1_correct": int(correct.sum()),
        "top5_correct": among_five,
        "count": len(labels),
    }
    return evaluation, correct


class _Epochs(keras.callbacks.Callback):
    """Measures every epoch, keeps the account, and says how long it will take."""

    def __init__(self, training, batches, dataset, recipe, after_epoch):
        super().__init__()
        self.training = training
        self.batches = batches
        self.dataset = dataset
        self.recipe = recipe
        self.after_epoch = after_epoch
        self.line = ProgressLine()

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        self.began = time.perf_counter()
        self.learning_rate = float(self.model.optimizer.learning_rate)

    def on_train_batch_end(self, batch, logs=None):
        total = self.params["steps"]
        if batch + 1 == total or (batch + 1) % 10:
            return
        epoch = len(self.training.history) + 1
        elapsed = time.perf_counter() - self.began
        steps_left = total - batch - 1 + total * (self.recipe.epochs - epoch)
        left = steps_left * elapsed / (batch + 1)
        self.line.show(
            f"epoch {epoch} of {self.recipe.epochs}, step {batch + 1} of {total}, loss {logs['loss']:.3f}; "
            f"about {duration(left)} left"
        )

    def on_epoch_end(self, epoch, logs=None):
        training = self.training
        evaluation, training.correct = evaluate(self.model, self.dataset.test, self.recipe.batch_size)
        evaluation["epoch"] = epoch + 1
        training.history.append(
            {
                "epoch": epoch + 1,
                "learning_rate": self.learning_rate,
                "loss": _finite(logs["loss"]),
                "top1": float(logs["top1"]),
                "top5": float(logs["top5"]),
                "test_loss": _finite(evaluation["loss"]),
                "test_top1": evaluation["top1"],
                "test_top5": evaluation["top5"],
            }
        )
        training.final = {**evaluation, "loss": _finite(evaluation["loss"])}
        if training.best is None or evaluation["top1"] > training.best["top1"]:
            training.best = training.final
        training.seconds.append(time.perf_counter() - self.began)
        if not math.isfinite(logs["loss"]):
            training.status = "diverged"
            self.model.stop_training = True
        self._say(epoch + 1, logs)
        self.after_epoch(training)

    def _say(self, epoch, logs):
        left = (self.recipe.epochs - epoch) * float(np.mean(self.training.seconds))
        ending = f"about {duration(left)} left" if left else f"{duration(sum(self.training.seconds))} in all"
        if self.training.status == "diverged":
            ending = f"the loss is {logs['loss']}: the run diverged and stops here"
        self.line.show(
            f"epoch {epoch} of {self.recipe.epochs}: loss {logs['loss']:.3f}, top-1 {logs['top1']:.1%} in training, "
            f"{self.training.final['top1']:.1%} on the test set; {ending}",
            final=True,
        )


def _finite(value):
    """A float for JSON, which has no NaN: None stands for "not finite"."""
    return float(value) if math.isfinite(value) else None


def train(model, dataset, recipe, seed, after_epoch=lambda training: None):
    """Train a model by a recipe, from the beginning.

    Args:
        model: ``keras.Model`` with class probabilities as output; it is compiled and trained in place.
        dataset: ``Dataset``.
        recipe: ``Recipe``.
        seed: Of the order of the images.
        after_epoch: Called with the ``Training`` so far after every epoch.

    Returns:
        Training.
    """
    training = Training()
    model.compile(
        optimizer=recipe.optimizer(len(dataset.train)),
        loss="sparse_categorical_crossentropy",
        metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="top1"),
            keras.metrics.SparseTopKCategoricalAccuracy(min(5, len(dataset.classes)), name="top5"),
        ],
        jit_compile=keras.backend.backend() == "jax",  # XLA is several times slower for TensorFlow on a CPU
    )
    batches = Batches(dataset.train, recipe.batch_size, seed, augmentation=recipe.augmentation)
    model.fit(
        batches,
        epochs=recipe.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[_Epochs(training, batches, dataset, recipe, after_epoch)],
    )
    if training.status == "running":
        training.status = "complete"
    return training
