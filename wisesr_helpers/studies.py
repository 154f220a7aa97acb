"""The grid: which dataset, size, recipe, backbones and heads make which table and figure of the paper."""

import dataclasses

from wisesr_helpers.published import number
from wisesr_helpers.recipes import Recipe, paper_recipe


@dataclasses.dataclass(frozen=True)
class Demo:
    """A study's demo scale: embedded scenes of the study's image size, and a short recipe.

    Attributes:
        classes: Number of classes, even.
        train: Training scenes.
        test: Test scenes.
        recipe: Recipe; its epochs are the scale's own.
        minutes: What it takes on two cores, measured.
        backbones: Of the committed records, side by side.
        heads: Of the committed records.
        seeds: Of the committed records: 0, 1, ….
    """

    classes: int
    train: int
    test: int
    recipe: Recipe
    minutes: float
    backbones: tuple = ("small_patch", "small_conv")
    heads: tuple = ("gap", "wise")
    seeds: int = 2


@dataclasses.dataclass(frozen=True)
class Study:
    """One of the paper's experiments.

    Attributes:
        name: What users type; also the notebook's name.
        title: As a heading.
        dataset: Name of the dataset at paper scale.
        table_2: The same as Table 2 spells it.
        image_size: Side in pixels.
        recipe: The paper's.
        demo: The demo scale's data and recipe.
        backbones: The paper's, in the table's order; the first is the default at paper scale.
        heads: The rows of each backbone, in the table's order.
        table: Where the paper prints the results.
        figures: Where it draws them.
    """

    name: str
    title: str
    dataset: str
    table_2: str
    image_size: int
    recipe: Recipe
    demo: Demo
    backbones: tuple
    heads: tuple
    table: str
    figures: tuple

    @property
    def classes(self):
        """Classes of the dataset (Table 2)."""
        return int(number("Table 2", self.table_2, "Number of Classes"))

    @property
    def test_images(self):
        """Images of its test split (Table 2)."""
        return int(number("Table 2", self.table_2, "Test Images"))

    @property
    def smoke(self):
        """The smoke scale: a handful of scenes and two short epochs, for tests."""
        recipe = dataclasses.replace(self.demo.recipe, epochs=2, batch_size=4)
        return dataclasses.replace(self.demo, train=12, test=6, recipe=recipe, minutes=0.2)


DEMO_NOTE = "demo: not the paper's data"  # on every figure and record of the demo and smoke scales


def _studies():
    paper_512 = paper_recipe("Table 8", "MIT Indoors Scene")
    # The paper's optimiser; a faster staircase, because 14 epochs stand in for 130.
    demo_512 = dataclasses.replace(paper_512, epochs=14, decay_rate=0.85, decay_epochs=1, weights=None)
    return {
        study.name: study
        for study in (
            Study(
                name="mit_512",
                title="MIT Indoor Scenes at 512×512",
                dataset="MIT Indoor Scenes",
                table_2="MIT Indoors Scenes",
                image_size=512,
                recipe=paper_512,
                demo=Demo(classes=6, train=1500, test=300, recipe=demo_512, minutes=2),
                backbones=("Xception", "ResNet50V2", "DenseNet201"),
                heads=("gap", "avg_fc", "wise"),
                table="Table 9",
                figures=("Figure 7", "Figure 9"),
            ),
        )
    }


STUDIES = _studies()


def get_study(name):
    """The study of that name.

    Raises:
        ValueError: There is none; the valid names are listed.
    """
    if name not in STUDIES:
        raise ValueError(f"Unknown study '{name}'. Valid studies: {', '.join(STUDIES)}.")
    return STUDIES[name]
