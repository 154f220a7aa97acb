"""Training: repeatable, measured on the test split, and honest about divergence."""

import dataclasses

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers import training
from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import Dataset, Split
from wisesr_helpers.recipes import Recipe

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, momentum=0.9, decay_rate=0.5, decay_epochs=1)


@pytest.fixture(scope="module")
def colours():
    """Two classes that a few steps can tell apart: dark and bright images."""
    rng = np.random.default_rng(0)

    def split(count, digest):
        labels = np.arange(count) % 2
        return Split(
            (labels[:, None, None] * 120 + rng.integers(0, 100, (count, 64, 64))).astype("uint8"), labels, digest
        )

    return Dataset("colours", ("dark", "bright"), split(40, "a"), split(20, "b"), photographs=False)


def fresh_model(seed=0):
    keras.utils.set_random_seed(seed)
    return ws.build_classifier("small_patch", "gap", classes=2, image_size=64)


@pytest.fixture(scope="module")
def trained(colours):
    model = fresh_model()
    return model, training.train(model, colours, RECIPE, seed=0)


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
    np.testing.assert_array_equal(result.correct, correct)
    loss = keras.losses.SparseCategoricalCrossentropy()(colours.test.labels, probabilities)
    assert result.final["loss"] == pytest.approx(float(loss), rel=1e-4, abs=float(np.finfo(np.float32).eps))
    assert result.final["count"] == 20


def test_the_best_epoch_is_the_first_of_equals(trained):
    tops = [row["test_top1"] for row in trained[1].history]
    assert trained[1].best["epoch"] == 1 + tops.index(max(tops))


def test_the_same_seed_gives_the_same_weights_and_another_does_not(trained, colours):
    again, other = fresh_model(), fresh_model(1)
    result = training.train(again, colours, RECIPE, seed=0)
    training.train(other, colours, RECIPE, seed=1)
    assert result.history == trained[1].history
    for ours, theirs in zip(again.get_weights(), trained[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not all(np.array_equal(a, b) for a, b in zip(other.get_weights(), again.get_weights(), strict=True))


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(colours):
    model = fresh_model()
    wild = dataclasses.replace(RECIPE, learning_rate=1e30)
    with np.errstate(all="ignore"):
        result = training.train(model, colours, wild, seed=0)
    assert result.status == "diverged"
    assert len(result.history) < 3
    assert result.history[-1]["loss"] is None
    assert result.final["top1"] < 1


def test_after_epoch_sees_every_epoch_as_it_ends(colours):
    seen = []
    training.train(fresh_model(), colours, RECIPE, seed=0, after_epoch=lambda t: seen.append(len(t.history)))
    assert seen == [1, 2, 3]


def test_every_epoch_is_fed_its_own_order(colours, monkeypatch):
    fed = []

    class Watched(training.Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            fed.append((self.epoch, index, images[:, 0, 0, 0].tolist()))
            return images, labels

    monkeypatch.setattr(training, "Batches", Watched)
    training.train(fresh_model(), colours, RECIPE, seed=3)
    expected = []
    for epoch in range(3):
        order = np.random.default_rng([3, epoch]).permutation(40)
        for index in range(5):
            images = colours.train.images[np.sort(order[8 * index : 8 * index + 8])]
            expected.append((epoch, index, images[:, 0, 0].tolist()))
    assert [batch for batch in expected if batch not in fed] == []  # Keras may look at a first batch more than once
    assert [batch for batch in fed if batch not in expected] == []
