"""Recipes: read from the paper's tables, and turned into the authors' optimiser."""

import csv
import dataclasses

import pytest

from wisesr_helpers.data.augment import paper_augmentation
from wisesr_helpers.training.recipes import Recipe, paper_recipe, report_recipe

COLUMNS = [
    ("Table 4", "Sub-ImageNet"),
    ("Table 4", "MIT Indoors Scenes"),
    ("Table 4", "Intel Image Classification"),
    ("Table 8", "MIT Indoors Scene"),
]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_recipe_is_what_the_table_prints(root, table, column):
    path = root / "wisesr_helpers" / "published_data" / f"paper_{table.lower().replace(' ', '_')}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        cells = {line["row"]: line["value"] for line in csv.DictReader(file) if line["column"] == column}
    recipe = paper_recipe(table, column)
    assert cells["Epochs"] == str(recipe.epochs)
    assert cells["Batch Size"] == str(recipe.batch_size)
    assert cells["Initial Learning rate"] == str(recipe.learning_rate)
    assert cells["Optimizer"] == f"SGD (momentum:{recipe.momentum})"
    assert cells["Learning rate decay"] == f"{recipe.decay_rate} every {recipe.decay_epochs} epochs"
    assert cells["Transfer Learning"][:3].strip() == ("Yes" if recipe.weights == "imagenet" else "No")
    assert recipe.augmentation == paper_augmentation("keras_preprocessing_1_1")


def test_only_the_512_recipe_starts_from_imagenet():
    assert [paper_recipe(*place).weights for place in COLUMNS] == [None, None, None, "imagenet"]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("images", [5360, 31500, 14034])
def test_the_optimizer_is_sgd_with_the_authors_staircase(table, column, images):
    from wisesr_helpers._keras import keras

    recipe = paper_recipe(table, column)
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
    optimizer = paper_recipe("Table 8", "MIT Indoors Scene").optimizer(5360)
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
    recipe = paper_recipe("Table 8", "MIT Indoors Scene")
    first = recipe.optimizer(5360)
    first.iterations.assign(5000)
    assert int(recipe.optimizer(5360).iterations) == 0


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        paper_recipe("Table 8", "MIT Indoors Scene").epochs = 1


@pytest.mark.parametrize(
    ("table", "column", "sentence"),
    [
        ("Table 44", "MIT Indoors Scenes", r"^No published number has where='Table 44'.*'Table 4'.*\.$"),
        (
            "Table 8",
            "MIT Indoors Scenes",
            r"^No published number has column='MIT Indoors Scenes'.*'MIT Indoors Scene'\.$",
        ),
        ("Table 9", "Top-1 accuracy", r"^No published number has row='Learning rate decay' in paper / Table 9.*\.$"),
    ],
)
def test_other_tables_and_columns_are_answered_with_a_sentence(table, column, sentence):
    with pytest.raises(ValueError, match=sentence):
        paper_recipe(table, column)


@pytest.mark.parametrize(("dataset", "epochs"), [("MNIST", 6), ("CIFAR-10", 25), ("Tiny-ImageNet", 30)])
def test_the_reports_recipe(dataset, epochs):
    recipe = report_recipe(dataset)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (epochs, 100, 0.0002)
    assert recipe.augmentation is None
    optimizer = recipe.optimizer(1000)
    assert type(optimizer).__name__ == "Adam"
    assert float(optimizer.learning_rate) == pytest.approx(0.0002)
    optimizer.iterations.assign(5000)
    assert float(optimizer.learning_rate) == pytest.approx(0.0002)  # it stays


@pytest.mark.parametrize("accumulate", [1, 5])
def test_the_learning_rate_by_hand_is_the_optimisers(accumulate):
    recipe = dataclasses.replace(paper_recipe("Table 4", "MIT Indoors Scenes"), accumulate=accumulate)
    images = 1000
    schedule = recipe.optimizer(images)._learning_rate
    a_step = recipe.decay_epochs * (images // recipe.batch_size) * accumulate
    for part in (0, 1, a_step - 1, a_step, 3 * a_step + 1):
        assert recipe.learning_rate_at(part, images) == pytest.approx(float(schedule(part)), rel=1e-6)
    assert recipe.learning_rate_at(a_step, images) < recipe.learning_rate_at(a_step - 1, images)


def test_a_batch_is_split_into_equal_parts_only():
    recipe = dataclasses.replace(paper_recipe("Table 8", "MIT Indoors Scene"), accumulate=5)
    assert recipe.accumulations() == [1, 3, 5, 15]
    assert recipe.micro_batch == 3
