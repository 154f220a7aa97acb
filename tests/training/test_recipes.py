"""Recipes, turned into the authors' optimiser."""

import dataclasses

import pytest

from wisesr_helpers.training.recipes import MIT_224, MIT_512, MNIST, Recipe


@pytest.mark.parametrize("recipe", [MIT_224, MIT_512])
@pytest.mark.parametrize("images", [5360, 31500, 14034])
def test_the_optimizer_is_sgd_with_the_authors_staircase(recipe, images):
    from wisesr_helpers._keras import keras

    optimizer = recipe.optimizer(images)
    assert type(optimizer) is keras.optimizers.SGD
    assert optimizer.momentum == 0.9
    assert not optimizer.nesterov
    edge = 2 * (images // recipe.batch_size)
    for step in (0, 1, edge - 1, edge, edge + 1, 2 * edge - 1, 2 * edge, 7 * edge - 1, 7 * edge):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(0.045 * 0.94 ** (step // edge), rel=1e-5), step


def test_the_last_incomplete_batch_does_not_count_towards_a_stair():
    """Negative control of the edges above: ⌈5360 / 15⌉ is another number, so one step later would be seen."""
    assert -(-5360 // 15) == 5360 // 15 + 1
    optimizer = MIT_512.optimizer(5360)
    rates = []
    for step in (713, 714, 715, 716):
        optimizer.iterations.assign(step)
        rates.append(round(float(optimizer.learning_rate), 6))
    assert rates == [0.045, 0.0423, 0.0423, 0.0423]


def test_fewer_images_than_a_batch_still_make_a_step_an_epoch():
    recipe = Recipe(epochs=1, batch_size=15, learning_rate=1.0, momentum=0.5, decay_rate=0.5, decay_epochs=3)
    optimizer = recipe.optimizer(4)
    assert optimizer.momentum == 0.5
    rates = []
    for step in range(7):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_every_optimizer_is_a_fresh_one():
    recipe = MIT_512
    first = recipe.optimizer(5360)
    first.iterations.assign(5000)
    assert int(recipe.optimizer(5360).iterations) == 0


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MIT_512.epochs = 1


def test_the_reports_optimizer_is_adam_at_a_rate_that_stays():
    optimizer = MNIST.optimizer(1000)
    assert type(optimizer).__name__ == "Adam"
    assert float(optimizer.learning_rate) == pytest.approx(0.0002)
    optimizer.iterations.assign(5000)
    assert float(optimizer.learning_rate) == pytest.approx(0.0002)  # it stays


@pytest.mark.parametrize("accumulate", [1, 5])
def test_the_learning_rate_by_hand_is_the_optimisers(accumulate):
    recipe = dataclasses.replace(MIT_224, accumulate=accumulate)
    images = 1000
    schedule = recipe.optimizer(images)._learning_rate
    a_step = recipe.decay_epochs * (images // recipe.batch_size) * accumulate
    for part in (0, 1, a_step - 1, a_step, 3 * a_step + 1):
        assert recipe.learning_rate_at(part, images) == pytest.approx(float(schedule(part)), rel=1e-6)
    assert recipe.learning_rate_at(a_step, images) < recipe.learning_rate_at(a_step - 1, images)


def test_a_batch_is_split_into_equal_parts_only():
    recipe = dataclasses.replace(MIT_512, accumulate=5)
    assert recipe.accumulations() == [1, 3, 5, 15]
    assert recipe.micro_batch == 3
