"""Training: repeatable, measured on the test split, and honest about divergence."""

import base64
import dataclasses

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.training import loop
from wisesr_helpers.training.checkpoints import Checkpoints
from wisesr_helpers.training.loop import evaluate
from wisesr_helpers.training.recipes import PRECISIONS, Recipe

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, momentum=0.9, decay_rate=0.5, decay_epochs=1)


@pytest.fixture(scope="module")
def colours():
    """Two classes that a few steps can tell apart: dark and bright images."""
    return two_colours(40)


def two_colours(count):
    rng = np.random.default_rng(0)

    def split(count, digest):
        labels = np.arange(count) % 2
        return Split(
            (labels[:, None, None] * 120 + rng.integers(0, 100, (count, 64, 64))).astype("uint8"), labels, digest
        )

    return Dataset("colours", ("dark", "bright"), split(count, "a"), split(20, "b"), photographs=False)


def fresh_model(seed=0):
    keras.utils.set_random_seed(seed)
    return ws.build_classifier("small_patch", "gap", classes=2, image_size=64)


def unpacked(bits, count):
    return np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8))[:count].astype(bool)


@pytest.fixture(scope="module")
def trained(colours):
    model = fresh_model()
    return model, loop.train(model, colours, RECIPE, seed=0)


def test_learns_what_is_easy(trained, colours):
    assert trained[1].status == "complete"
    assert trained[1].final["top1"] == 1.0


def test_history_has_every_epoch_and_the_schedule(trained):
    history = trained[1].history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    np.testing.assert_allclose([row["learning_rate"] for row in history], [0.05, 0.025, 0.0125], rtol=1e-6)


def test_the_final_evaluation_is_the_trained_models(trained, colours):
    model, result = trained
    probabilities = model.predict(colours.test.rgb(np.arange(20)), verbose=0)
    correct = probabilities.argmax(axis=1) == colours.test.labels
    np.testing.assert_array_equal(unpacked(result.correct, 20), correct)
    loss = keras.losses.SparseCategoricalCrossentropy()(colours.test.labels, probabilities)
    assert result.final["loss"] == pytest.approx(float(loss), rel=1e-4, abs=float(np.finfo(np.float32).eps))
    assert result.final["count"] == 20


def test_the_best_epoch_is_the_first_of_equals(trained):
    tops = [row["test_top1"] for row in trained[1].history]
    assert trained[1].best["epoch"] == 1 + tops.index(max(tops))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(trained, colours):
    again, other = fresh_model(), fresh_model(1)
    result = loop.train(again, colours, RECIPE, seed=0)
    loop.train(other, colours, RECIPE, seed=1)
    assert result.history == trained[1].history
    for ours, theirs in zip(again.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not all(np.array_equal(a, b) for a, b in zip(other.get_weights(), again.get_weights(), strict=True))


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(colours, tmp_path):
    model, kept = fresh_model(), Checkpoints(tmp_path)
    wild = dataclasses.replace(RECIPE, learning_rate=1e30)
    with np.errstate(all="ignore"):
        result = loop.train(model, colours, wild, seed=0, checkpoints=kept)
    assert result.status == "diverged"
    assert (result.history, result.final, result.best) == ([], None, None)
    where = result.divergence
    assert (where["epoch"], 1 < where["step"] <= 5) == (1, True)  # the first step's loss comes before its update
    assert np.isfinite(where["loss"])
    assert where["learning_rate"] == 1e30
    for left, begun in zip(model.get_weights(), fresh_model().get_weights(), strict=True):
        np.testing.assert_array_equal(left, begun)  # the last finite weights


def test_a_run_that_diverges_later_keeps_the_epochs_before(colours, tmp_path):
    model, seen, kept = fresh_model(), [], Checkpoints(tmp_path)
    wild = dataclasses.replace(RECIPE, decay_rate=1e30, decay_epochs=2)
    with np.errstate(all="ignore"):
        result = loop.train(model, colours, wild, 0, kept, after_epoch=lambda training: seen.append(1))
    assert (result.status, len(result.history), len(seen), result.final["epoch"]) == ("diverged", 2, 2, 2)
    assert result.divergence["epoch"] == 3
    assert 1 < result.divergence["step"] <= 5
    assert result.divergence["learning_rate"] == pytest.approx(0.05e30)
    evaluation, _ = evaluate(model, colours.test, 8)
    assert {**evaluation, "epoch": 2} == result.final  # the weights are those of the second epoch


def test_weights_that_are_not_finite_after_the_last_step_are_no_epoch(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "is_finite", lambda model: False)
    result = loop.train(fresh_model(), colours, RECIPE, seed=0, checkpoints=Checkpoints(tmp_path))
    assert (result.status, result.history, result.divergence["step"]) == ("diverged", [], 5)


def test_after_epoch_sees_every_epoch_as_it_ends(colours):
    seen = []
    loop.train(fresh_model(), colours, RECIPE, seed=0, after_epoch=lambda t: seen.append(len(t.history)))
    assert seen == [1, 2, 3]


def test_every_epoch_is_fed_its_own_order(colours, monkeypatch):
    fed = []

    class Watched(loop.Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            fed.append((self.epoch, index, images[:, 0, 0, 0].tolist()))
            return images, labels

    monkeypatch.setattr(loop, "Batches", Watched)
    loop.train(fresh_model(), colours, RECIPE, seed=3)
    expected = []
    for epoch in range(3):
        order = np.random.default_rng([3, epoch]).permutation(40)
        for index in range(5):
            images = colours.train.images[np.sort(order[8 * index : 8 * index + 8])]
            expected.append((epoch, index, images[:, 0, 0].tolist()))
    assert fed == expected


@pytest.mark.parametrize("count", [40, 43])  # the last batch is as large as the others, or smaller
def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(count, tmp_path):
    colours = two_colours(count)
    whole, stopped, resumed = dropout_model(), dropout_model(), dropout_model(seed=7)
    uninterrupted = loop.train(whole, colours, RECIPE, seed=3, checkpoints=Checkpoints(tmp_path / "whole"))
    kept = Checkpoints(tmp_path / "stopped")
    loop.train(stopped, colours, dataclasses.replace(RECIPE, epochs=2), seed=3, checkpoints=kept)
    again = loop.train(resumed, colours, RECIPE, seed=3, checkpoints=kept, start=kept.newest())
    assert [row["from_epoch"] for row in again.machines] == [1, 3]
    for name in ("status", "history", "final", "best", "correct"):
        assert getattr(again, name) == getattr(uninterrupted, name), name
    left, right = kept.newest().arrays, Checkpoints(tmp_path / "whole").newest().arrays
    assert len(left) == len(whole.variables) + len(whole.optimizer.variables)
    for ours, theirs in zip(left, right, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_forgotten_state_of_the_optimiser_shows(colours, tmp_path, monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr(loop, "restore_state", loop.restore_weights)
    whole, stopped, resumed = dropout_model(), dropout_model(), dropout_model(seed=7)
    uninterrupted = loop.train(whole, colours, RECIPE, seed=3)
    kept = Checkpoints(tmp_path)
    loop.train(stopped, colours, dataclasses.replace(RECIPE, epochs=2), seed=3, checkpoints=kept)
    again = loop.train(resumed, colours, RECIPE, seed=3, checkpoints=kept, start=kept.newest())
    assert again.history != uninterrupted.history


def test_what_dropout_drops_is_a_function_of_seed_and_epoch():
    def dropped(model, seed, epoch):
        loop.reseed(model, seed, epoch)
        return keras.ops.convert_to_numpy(model.get_layer("dropout")(np.ones((1, 96), np.float32), training=True))

    one, other = dropout_model(), dropout_model(seed=7)
    np.testing.assert_array_equal(dropped(one, 3, 1), dropped(other, 3, 1))
    np.testing.assert_array_equal(dropped(one, 3, 1), dropped(other, 3, 1))
    assert not np.array_equal(dropped(one, 3, 1), dropped(one, 3, 2))
    assert not np.array_equal(dropped(one, 3, 1), dropped(one, 4, 1))


def dropout_model(seed=0):
    keras.utils.set_random_seed(seed)
    return ws.build_classifier("small_patch", "gap_dropout", classes=2, image_size=64)


def test_accumulated_gradients_are_the_whole_batchs(colours):
    """Against one step on the whole batch, in a model without batch norm; with another schedule they would differ."""

    def plain():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((64, 64, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(4, 16, 16, name="features")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))

    recipe = dataclasses.replace(RECIPE, epochs=2, learning_rate=0.01)
    one, parts, held = plain(), plain(), plain()
    whole = loop.train(one, colours, recipe, seed=0)
    split = loop.train(parts, colours, dataclasses.replace(recipe, accumulate=4), seed=0)
    loop.train(held, colours, dataclasses.replace(recipe, accumulate=4, decay_rate=1), seed=0)
    for ours, theirs in zip(parts.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert [row["learning_rate"] for row in split.history] == [row["learning_rate"] for row in whole.history]
    assert not all(
        np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(held.get_weights(), one.get_weights(), strict=True)
    )


def test_the_speed_is_said_once_after_the_first_steps(colours):
    said = []
    many = dataclasses.replace(RECIPE, batch_size=4)
    loop.train(fresh_model(), colours, many, seed=0, say_speed=lambda seconds, epochs: said.append((seconds, epochs)))
    assert len(said) == 1
    assert said[0][0] > 0
    assert said[0][1] == 3


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_mixed_precision_trains_and_gives_float32(colours, precision):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    try:
        model = ws.build_classifier("small_patch", "wise", classes=2, image_size=64)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("mix2_conv").compute_dtype == precision.removeprefix("mixed_")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    steady = dataclasses.replace(RECIPE, epochs=12, decay_rate=1)
    assert loop.train(model, colours, steady, seed=0).final["top1"] > 0.9
    assert model.predict_on_batch(colours.test.rgb([0])).dtype == np.float32


@pytest.mark.parametrize(
    "error", [MemoryError(), type("ResourceExhaustedError", (Exception,), {})("OOM when allocating")]
)
def test_too_little_memory_is_said_with_what_to_do(colours, monkeypatch, error):
    def fails(*_, **__):
        raise error

    model = fresh_model()
    monkeypatch.setattr(model, "train_on_batch", fails)
    with pytest.raises(MemoryError, match=r"8 images at once don't fit .*accumulate: 2\}.*keeps the batch of 8"):
        loop.train(model, colours, RECIPE, seed=0)
    with pytest.raises(MemoryError, match=r"1 images at once .*Take a smaller backbone"):
        loop.train(model, colours, dataclasses.replace(RECIPE, accumulate=8), seed=0)


def test_other_errors_stay_as_they_are(colours, monkeypatch):
    model = fresh_model()
    monkeypatch.setattr(model, "train_on_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.train(model, colours, RECIPE, seed=0)
