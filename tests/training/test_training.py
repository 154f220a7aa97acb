"""Training: repeatable, measured on the test split, and honest about divergence."""

import dataclasses

import numpy as np
import pytest
from brightness import brightness

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.training import loop
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.recipes import PRECISIONS, Recipe
from wisesr_helpers.training.runs import unpack

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, momentum=0.9, decay_rate=0.5, decay_epochs=1)


@pytest.fixture(scope="module")
def images():
    """Two classes that a few steps can tell apart: 40 training and 20 test images."""
    return brightness(40, 20)


def fresh_model(seed=0, head="gap"):
    keras.utils.set_random_seed(seed)
    return ws.build_classifier("small_patch", head, classes=2, image_size=64)


def dropout_model(seed=0):
    return fresh_model(seed, "gap_dropout")


def same_weights(model, other):
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.fixture(scope="module")
def trained(images):
    """(model, ``Training``, number of epochs that ``after_epoch`` saw each time)."""
    model, seen = fresh_model(), []
    return model, loop.train(model, images, RECIPE, 0, after_epoch=lambda t: seen.append(len(t.history))), seen


def test_a_training_learns_by_its_schedule_and_tells_of_every_epoch(trained):
    _, result, seen = trained
    assert (result.status, result.final["top1"], seen) == ("complete", 1.0, [1, 2, 3])
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    rates = [row["learning_rate"] for row in result.history]
    np.testing.assert_allclose(rates, [0.05, 0.025, 0.0125], rtol=1e-6)
    tops = [row["test_top1"] for row in result.history]
    assert result.best["epoch"] == 1 + tops.index(max(tops))  # the first of equals


def test_the_final_evaluation_is_the_trained_models(trained, images):
    model, result, _ = trained
    probabilities = model.predict(images.test.rgb(np.arange(20)), verbose=0)
    np.testing.assert_array_equal(unpack(result.correct, 20), probabilities.argmax(axis=1) == images.test.labels)
    loss = keras.losses.SparseCategoricalCrossentropy()(images.test.labels, probabilities)
    assert result.final["loss"] == pytest.approx(float(loss), rel=1e-4, abs=float(np.finfo(np.float32).eps))
    assert result.final["count"] == 20


def test_the_same_seed_gives_the_same_weights_and_another_does_not(trained, images):
    again, other = fresh_model(), fresh_model(1)
    assert loop.train(again, images, RECIPE, seed=0).history == trained[1].history
    loop.train(other, images, RECIPE, seed=1)
    assert same_weights(again, trained[0])
    assert not same_weights(again, other)


@pytest.mark.parametrize(
    ("changes", "whole"), [({"learning_rate": 1e30}, 0), ({"decay_rate": 1e30, "decay_epochs": 2}, 2)]
)
def test_a_loss_that_is_not_finite_ends_the_run_with_the_epochs_before(images, tmp_path, changes, whole):
    model, seen = fresh_model(), []
    with np.errstate(all="ignore"):
        recipe = dataclasses.replace(RECIPE, **changes)
        result = loop.train(model, images, recipe, 0, Checkpoints(tmp_path), after_epoch=seen.append)
    assert (result.status, len(result.history), len(seen)) == ("diverged", whole, whole)
    where = result.divergence
    assert where["epoch"] == whole + 1
    assert 1 < where["step"] <= 5  # the first step's loss comes before its update
    assert np.isfinite(where["loss"])
    assert where["learning_rate"] == pytest.approx(0.05e30 if whole else 1e30)
    if whole:  # the weights are those of the last whole epoch
        assert {**loop.evaluate(model, images.test, 8)[0], "epoch": whole} == result.final
    else:
        assert result.final is result.best is None
        assert same_weights(model, fresh_model())


def test_weights_that_are_not_finite_after_the_last_step_are_no_epoch(images, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "is_finite", lambda model: False)
    result = loop.train(fresh_model(), images, RECIPE, seed=0, checkpoints=Checkpoints(tmp_path))
    assert (result.status, result.history, result.divergence["step"]) == ("diverged", [], 5)


def test_every_epoch_is_fed_its_own_order(images, monkeypatch):
    fed = []

    class Watched(loop.Batches):
        def __getitem__(self, index):
            batch, labels = super().__getitem__(index)
            fed.append((self.epoch, index, batch[:, 0, 0, 0].tolist()))
            return batch, labels

    monkeypatch.setattr(loop, "Batches", Watched)
    loop.train(fresh_model(), images, RECIPE, seed=3)
    expected = []
    for epoch in range(3):
        order = np.random.default_rng([3, epoch]).permutation(40)
        for index in range(5):
            batch = images.train.images[np.sort(order[8 * index : 8 * index + 8])]
            expected.append((epoch, index, batch[:, 0, 0].tolist()))
    assert fed == expected


def stopped_and_resumed(images, folder):
    """(``Training`` never stopped, one that goes on after two epochs, the last checkpoint of each)."""
    whole, stopped = Checkpoints(folder / "whole"), Checkpoints(folder / "stopped")
    uninterrupted = loop.train(dropout_model(), images, RECIPE, 3, whole)
    loop.train(dropout_model(), images, dataclasses.replace(RECIPE, epochs=2), 3, stopped)
    again = loop.train(dropout_model(seed=7), images, RECIPE, 3, stopped, start=stopped.newest())
    return uninterrupted, again, whole.newest(), stopped.newest()


@pytest.mark.parametrize("count", [40, 43])  # the last batch is as large as the others, or smaller
def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(count, tmp_path):
    uninterrupted, again, left, right = stopped_and_resumed(brightness(count, 20), tmp_path)
    assert [row["from_epoch"] for row in again.machines] == [1, 3]
    for name in ("status", "history", "final", "best", "correct"):
        assert getattr(again, name) == getattr(uninterrupted, name), name
    model = dropout_model()
    loop.compile_model(model, RECIPE, count, 2)
    assert len(left.arrays) == len(model.variables) + len(model.optimizer.variables)
    for ours, theirs in zip(left.arrays, right.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_forgotten_state_of_the_optimiser_shows(images, tmp_path, monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr(loop, "restore_state", loop.restore_weights)
    uninterrupted, again, *_ = stopped_and_resumed(images, tmp_path)
    assert again.history != uninterrupted.history


def test_what_dropout_drops_is_a_function_of_seed_and_epoch():
    def dropped(model, seed, epoch):
        loop.reseed(model, seed, epoch)
        return keras.ops.convert_to_numpy(model.get_layer("dropout")(np.ones((1, 96), np.float32), training=True))

    one, other = dropout_model(), dropout_model(seed=7)
    for _ in range(2):
        np.testing.assert_array_equal(dropped(one, 3, 1), dropped(other, 3, 1))
    assert not np.array_equal(dropped(one, 3, 1), dropped(one, 3, 2))
    assert not np.array_equal(dropped(one, 3, 1), dropped(one, 4, 1))


def test_accumulated_gradients_are_the_whole_batchs(images):
    """Against one step on the whole batch, in a model without batch norm; with another schedule they would differ."""

    def trained(**changes):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((64, 64, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(4, 16, 16, name="features")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
        recipe = dataclasses.replace(RECIPE, epochs=2, learning_rate=0.01, **changes)
        return loop.train(model, images, recipe, seed=0).history, np.concatenate(
            [w.ravel() for w in model.get_weights()]
        )

    (whole, one), (split, parts), (_, held) = trained(), trained(accumulate=4), trained(accumulate=4, decay_rate=1)
    np.testing.assert_allclose(parts, one, rtol=1e-4, atol=1e-5)
    assert [row["learning_rate"] for row in split] == [row["learning_rate"] for row in whole]
    assert not np.allclose(held, one, rtol=1e-4, atol=1e-5)


def test_the_speed_is_said_once_after_the_first_steps(images):
    said = []
    many = dataclasses.replace(RECIPE, batch_size=4)
    loop.train(fresh_model(), images, many, seed=0, say_speed=lambda *words: said.append(words))
    ((seconds, epochs),) = said
    assert seconds > 0
    assert epochs == 3


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_mixed_precision_trains_and_gives_float32(images, precision):
    keras.config.set_dtype_policy(precision)
    try:
        model = fresh_model(head="wise")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("mix2_conv").compute_dtype == precision.removeprefix("mixed_")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    steady = dataclasses.replace(RECIPE, epochs=12, decay_rate=1)
    assert loop.train(model, images, steady, seed=0).final["top1"] > 0.9
    assert model.predict_on_batch(images.test.rgb([0])).dtype == np.float32


EXHAUSTED = type("ResourceExhaustedError", (Exception,), {})("OOM when allocating")


@pytest.mark.parametrize(
    ("error", "changes", "expected", "sentence"),
    [
        (MemoryError(), {}, MemoryError, r"8 images at once don't fit .*accumulate: 2\}.*keeps the batch of 8"),
        (EXHAUSTED, {}, MemoryError, r"8 images at once don't fit .*accumulate: 2\}.*keeps the batch of 8"),
        (EXHAUSTED, {"accumulate": 8}, MemoryError, r"1 images at once .*Take a smaller backbone"),
        (ZeroDivisionError("as it was"), {}, ZeroDivisionError, "as it was"),
    ],
)
def test_too_little_memory_is_said_with_what_to_do(images, monkeypatch, error, changes, expected, sentence):
    def fails(*_, **__):
        raise error

    model = fresh_model()
    monkeypatch.setattr(model, "train_on_batch", fails)
    with pytest.raises(expected, match=sentence):
        loop.train(model, images, dataclasses.replace(RECIPE, **changes), seed=0)
