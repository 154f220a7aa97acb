"""The grid: which dataset, size, recipe, backbones and heads make which table and figure of the paper."""

import dataclasses
from collections.abc import Mapping

from wisesr_helpers.data.catalogue import get_source
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.recipes import Recipe, paper_recipe, report_recipe


@dataclasses.dataclass(frozen=True)
class Demo:
    """A study's demo scale: embedded scenes of the study's image size, and a short recipe.

    Attributes:
        classes: Number of classes, even.
        train: Training scenes.
        test: Test scenes.
        recipe: Recipe; its epochs are the scale's own.
        minutes: What it takes on two cores, measured.
        backbones: Of the committed records, each with its number of seeds; the seeds are 0, 1, ….
        heads: Of the committed records.
    """

    classes: int
    train: int
    test: int
    recipe: Recipe
    minutes: float
    backbones: Mapping = dataclasses.field(default_factory=dict)
    heads: tuple = ("gap", "wise")


@dataclasses.dataclass(frozen=True)
class Study:
    """One of the paper's experiments, or one dataset of the report's.

    Attributes:
        name: What users type; also the notebook's name.
        title: As a heading.
        source: The dataset at paper scale, one of ``data.catalogue.SOURCES``.
        printed_dataset: The same as the published table of counts spells it.
        image_size: Side in pixels.
        recipe: The paper's.
        demo: The demo scale's data and recipe.
        backbones: In the table's order; the first is the default at paper scale.
        heads: The rows of each backbone, in the table's order.
        table: Where the results are printed.
        figures: Where they are drawn.
        other_sizes: Backbone → side in pixels, where it is not ``image_size``.
        datasets: Dataset → its study, where one study has several.
    """

    name: str
    title: str
    source: str
    printed_dataset: str
    image_size: int
    recipe: Recipe
    demo: Demo
    backbones: tuple
    heads: tuple
    table: str
    figures: tuple
    other_sizes: Mapping = dataclasses.field(default_factory=dict)
    datasets: Mapping = dataclasses.field(default_factory=dict)

    @property
    def dataset(self):
        """Name of the dataset at paper scale, as readers know it."""
        return get_source(self.source).title

    @property
    def classes(self):
        """Classes of the dataset (Table 2)."""
        return int(number("Table 2", self.printed_dataset, "Number of Classes"))

    @property
    def train_images(self):
        """Images of its training split (Table 2)."""
        return int(number("Table 2", self.printed_dataset, "Training Images"))

    @property
    def test_images(self):
        """Images of its test split (Table 2)."""
        return int(number("Table 2", self.printed_dataset, "Test Images"))

    @property
    def smoke(self):
        """The smoke scale: a handful of scenes and two short epochs, for tests."""
        recipe = dataclasses.replace(self.demo.recipe, epochs=2, batch_size=4)
        return dataclasses.replace(self.demo, train=12, test=6, recipe=recipe, minutes=0.2)

    def size_for(self, backbone):
        """Side of the images in pixels for a backbone."""
        return self.other_sizes.get(backbone, self.image_size)


DEMO_NOTE = "demo: not the paper's data"  # on every figure and record of the demo and smoke scales


def _demo(committed=None):
    recipe = paper_recipe("Table 8", "MIT Indoors Scene")
    # The paper's optimiser; a faster staircase, because few epochs stand in for hundreds. The whole of Table 3 but
    # for its colours: an image darkened to nothing teaches a network of four layers little in so short a time.
    milder = dataclasses.replace(recipe.augmentation, channel_shift_range=10.0, brightness_range=(0.9, 1.1))
    short = dataclasses.replace(recipe, epochs=20, decay_rate=0.85, decay_epochs=1, weights=None, augmentation=milder)
    return Demo(classes=6, train=1500, test=300, recipe=short, minutes=3, backbones=committed or {})


def _paper_study(name, title, source, spellings, recipes, table, figures, committed=None):
    """A study of the paper; ``spellings`` are the dataset's in Table 2 and in the table of recipes."""
    rows = published().query("source == 'paper' and where == @table")
    side = int(printed(recipes, "Image Size", spellings[1]).split("x")[0])
    return Study(
        name=name,
        title=f"{title} at {side}×{side}",
        source=source,
        printed_dataset=spellings[0],
        image_size=side,
        recipe=paper_recipe(recipes, spellings[1]),
        demo=_demo(committed),
        backbones=tuple(dict.fromkeys(rows["backbone"])),
        heads=tuple(dict.fromkeys(rows["head"])),
        table=table,
        figures=figures,
    )


def _report_study(source, dataset):
    """One dataset of the course report."""

    def side(row):
        return int(number("Section 3.3", row, "Image Size", source="report"))

    return Study(
        name="deeper_networks",
        title=f"Deeper networks on {dataset}",
        source=source,
        printed_dataset=dataset,
        image_size=side("VGG and ResNet input"),
        recipe=report_recipe(dataset),
        demo=_demo(),
        backbones=("VGG16", "InceptionV3", "ResNet50"),
        heads=("gap", "vgg_fc"),  # the report keeps VGG-16's two layers of 4,096 units
        table="Table 1",
        figures=(),
        other_sizes={"InceptionV3": side("Inception input")},
    )


def _studies():
    report = {"mnist": "MNIST", "cifar10": "CIFAR-10", "tiny_imagenet": "Tiny-ImageNet"}
    by_dataset = {source: _report_study(source, dataset) for source, dataset in report.items()}
    sub_imagenet, mit = "Sub-ImageNet", "MIT Indoors Scenes"
    intel = "Intel Image Classification"
    studies = (
        _paper_study(
            "sub_imagenet_224",
            "Sub-ImageNet",
            "sub_imagenet",
            (sub_imagenet, sub_imagenet),
            "Table 4",
            "Table 5",
            ("Figure 4",),
        ),
        _paper_study(
            "intel_224",
            "Intel Image Classification",
            "intel",
            (f"{intel} Challenge", intel),
            "Table 4",
            "Table 6",
            ("Figure 5",),
        ),
        _paper_study("mit_224", "MIT Indoor Scenes", "mit", (mit, mit), "Table 4", "Table 7", ("Figure 6",)),
        _paper_study(
            "mit_512",
            "MIT Indoor Scenes",
            "mit",
            (mit, "MIT Indoors Scene"),
            "Table 8",
            "Table 9",
            ("Figure 7", "Figure 9"),
            committed={"small_patch": 2, "small_conv": 1},
        ),
        dataclasses.replace(by_dataset["mnist"], title="Deeper networks", datasets=by_dataset),
    )
    return {study.name: study for study in studies}


STUDIES = _studies()


def get_study(name, dataset=""):
    """The study of that name.

    Args:
        name: One of ``STUDIES``.
        dataset: For a study with several datasets, one of them; else empty.

    Raises:
        ValueError: There is none, or it has no such dataset; the valid names are listed.
    """
    if name not in STUDIES:
        raise ValueError(f"Unknown study '{name}'. Valid studies: {', '.join(STUDIES)}.")
    study = STUDIES[name]
    if not dataset and not study.datasets:
        return study
    if dataset not in study.datasets:
        valid = f"one of {', '.join(study.datasets)}" if study.datasets else "left out: the study has one dataset"
        raise ValueError(f"The dataset of study '{name}' must be {valid}; received '{dataset}'.")
    return study.datasets[dataset]
