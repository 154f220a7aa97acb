"""The studies: what is run on what, for the paper's tables, and the authors' notebooks of each."""

import dataclasses
from collections.abc import Mapping

from wisesr_helpers.data.embedded import COUNTS as DIGITS_COUNTS
from wisesr_helpers.data.sources import get_source
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.training.recipes import Recipe, paper_recipe, report_recipe

# The authors' own notebooks, as their README names them.

HEADS = {  # the authors' README → ours
    "GAP": "gap",
    "GAP+DP": "gap_dropout",
    "Depthw": "depthwise",
    "Depthw+constraint": "depthwise_nonneg",
    "pre-avg+Depthw+constraint(Wise-SrNet)": "wise",
    "pre-avg+Depthw+constraint+DP(Wise-SrNet with dropout)": "wise_dropout",
    "Flatten+FC": "flatten_fc",
}


def authors_notebooks(dataset, image_size):
    """The authors' notebooks on one dataset at one image size.

    Args:
        dataset: As Table 2 spells it.
        image_size: Side in pixels.

    Returns:
        dict, (backbone, head) → name of the notebook, in the README's order.
    """
    found = {}
    for row in published().query("where == 'README' and column == 'Notebook'").itertuples():
        data, model = row.row.split(", ")
        title, size = data.split(" at ")
        backbone, head = model.split("+", 1)
        if dataset.startswith(title) and size == f"{image_size}x{image_size}":
            found[backbone, HEADS[head]] = row.value
    return found


# The grid: which dataset, size, recipe, backbones and heads make which table and figure of the paper.


@dataclasses.dataclass(frozen=True)
class Demo:
    """A study's demo scale: embedded images at the study's image size, and a short recipe.

    Attributes:
        classes: Number of classes; of scenes an even one.
        train: Training images.
        test: Test images.
        recipe: Recipe; its epochs are the scale's own.
        minutes: What it takes on two cores, measured.
        backbones: Of the committed records, each with its number of seeds; the seeds are 0, 1, ….
        heads: Of the committed records.
        data: "scenes" (``data.scenes``) or "digits" (``data.digits``).
        rows: Pairs (backbone, head) that stand in for the study's; empty: any head is asked for by name.
    """

    classes: int
    train: int
    test: int
    recipe: Recipe
    minutes: float
    backbones: Mapping = dataclasses.field(default_factory=dict)
    heads: tuple = ("gap", "wise")
    data: str = "scenes"
    rows: tuple = ()


@dataclasses.dataclass(frozen=True)
class Study:
    """One of the paper's experiments, or one dataset of the report's.

    Attributes:
        name: What users type; also the notebook's name.
        title: As a heading.
        source: The dataset at paper scale, one of ``data.catalogue.SOURCES``; empty: there is no paper scale.
        printed_dataset: The same as the published table of counts spells it.
        image_size: Side in pixels.
        recipe: The paper's.
        demo: The demo scale's data and recipe.
        backbones: In the table's order; the first is the default at paper scale.
        heads: In the table's order.
        table: Where the results are printed.
        figures: Where they are drawn.
        other_sizes: Backbone → side in pixels, where it is not ``image_size``.
        datasets: Dataset → its study, where one study has several.
        own_heads: Backbone → its only head, where not every backbone has every head.
        counts: "Number of Classes", "Training Images" and "Test Images" where Table 2 does not have the dataset.
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
    own_heads: Mapping = dataclasses.field(default_factory=dict)
    counts: Mapping = dataclasses.field(default_factory=dict)

    @property
    def dataset(self):
        """Name of the dataset at paper scale, as readers know it."""
        return get_source(self.source).title if self.source else self.printed_dataset

    @property
    def rows(self):
        """Pairs (backbone, head) of the table, in its order; none where there is no paper scale."""
        if not self.source:
            return ()
        pairs = ((backbone, head) for backbone in self.backbones for head in self.heads)
        return tuple(pair for pair in pairs if self.own_heads.get(pair[0], pair[1]) == pair[1])

    @property
    def mirrors(self):
        """(backbone, head) → the authors' notebook that this run mirrors, where there is one."""
        return authors_notebooks(self.printed_dataset, self.image_size)

    def head_for(self, backbone):
        """The head that a backbone has where nobody names one; "" for a study that asks for it."""
        if not self.own_heads:
            return ""
        return {**dict(self.demo.rows), **self.own_heads}.get(backbone, "gap")

    def _count(self, column):
        return self.counts[column] if self.counts else int(number("Table 2", self.printed_dataset, column))

    @property
    def classes(self):
        """Classes of the dataset (Table 2)."""
        return self._count("Number of Classes")

    @property
    def train_images(self):
        """Images of its training split (Table 2)."""
        return self._count("Training Images")

    @property
    def test_images(self):
        """Images of its test split (Table 2)."""
        return self._count("Test Images")

    @property
    def smoke(self):
        """The smoke scale: two training images and one test image a class, and two short epochs, for tests."""
        recipe = dataclasses.replace(self.demo.recipe, epochs=2, batch_size=4)
        classes = self.demo.classes
        return dataclasses.replace(self.demo, train=2 * classes, test=classes, recipe=recipe, minutes=0.2)

    def size_for(self, backbone):
        """Side of the images in pixels for a backbone."""
        return self.other_sizes.get(backbone, self.image_size)


def _demo(classes, train, epochs, decay_rate, minutes, committed):
    recipe = paper_recipe("Table 8", "MIT Indoors Scene")  # at 224 pixels too: few images, so the smaller batch
    # The paper's optimiser; a faster staircase, because few epochs stand in for hundreds. The whole of Table 3 but
    # for its colours: an image darkened to nothing teaches a network of four layers little in so short a time.
    milder = dataclasses.replace(recipe.augmentation, channel_shift_range=10.0, brightness_range=(0.9, 1.1))
    short = dataclasses.replace(
        recipe, epochs=epochs, decay_rate=decay_rate, decay_epochs=1, weights=None, augmentation=milder
    )
    return Demo(classes, train, test=train // 5, recipe=short, minutes=minutes, backbones=committed)


def _paper_study(name, title, source, spellings, recipes, table, figures, demo):
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
        demo=demo,
        backbones=tuple(dict.fromkeys(rows["backbone"])),
        heads=tuple(dict.fromkeys(rows["head"])),
        table=table,
        figures=figures,
    )


# The report's datasets: name, figures, and what it does not print: classes, training and test images.
_REPORT = {
    "mnist": ("MNIST", ("Figure 2", "Figure 3"), (10, 60_000, 10_000)),
    "cifar10": ("CIFAR-10", ("Figure 4", "Figure 5"), (10, 50_000, 10_000)),
    "tiny_imagenet": ("Tiny-ImageNet", ("Figure 6", "Figure 7"), (200, 100_000, 10_000)),
}


def _digits_demo():
    """The report's rate and batch on real digits; two small networks, one of which flattens its map as VGG-16 does."""
    return Demo(
        classes=10,
        train=DIGITS_COUNTS["train"],
        test=DIGITS_COUNTS["test"],
        recipe=dataclasses.replace(report_recipe("MNIST"), epochs=20),
        minutes=1,
        data="digits",
        rows=(("small_patch", "flatten_fc"), ("small_conv", "gap")),
    )


def _report_study(source, dataset, figures, counts):
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
        demo=_digits_demo(),
        backbones=("VGG16", "InceptionV3", "ResNet50"),
        heads=("gap", "vgg_fc"),
        table="Table 1",
        figures=figures,
        other_sizes={"InceptionV3": side("Inception input")},
        # Each architecture whole: VGG-16 with its two layers of 4,096 units, the others with their average.
        own_heads={"VGG16": "vgg_fc", "InceptionV3": "gap", "ResNet50": "gap"},
        counts=dict(zip(("Number of Classes", "Training Images", "Test Images"), counts, strict=True)),
    )


def _digits_study(mnist):
    """The study on the embedded digits, which stand in for all three datasets: it has no paper scale."""
    plan = mnist.demo
    counts = {"Number of Classes": plan.classes, "Training Images": plan.train, "Test Images": plan.test}
    title = "scikit-learn's digits"
    return dataclasses.replace(
        mnist, title=f"Deeper networks on {title}", source="", printed_dataset=title, figures=(), counts=counts
    )


def _studies():
    by_dataset = {source: _report_study(source, *printed) for source, printed in _REPORT.items()}
    by_dataset = {"digits": _digits_study(by_dataset["mnist"]), **by_dataset}
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
            _demo(12, 2400, 20, 0.88, 1.6, {"small_patch": 1}),
        ),
        _paper_study(
            "intel_224",
            "Intel Image Classification",
            "intel",
            (f"{intel} Challenge", intel),
            "Table 4",
            "Table 6",
            ("Figure 5",),
            _demo(6, 1500, 24, 0.9, 1.2, {"small_patch": 1}),
        ),
        _paper_study(
            "mit_224",
            "MIT Indoor Scenes",
            "mit",
            (mit, mit),
            "Table 4",
            "Table 7",
            ("Figure 6",),
            _demo(8, 1600, 24, 0.9, 1.4, {"small_patch": 1}),
        ),
        _paper_study(
            "mit_512",
            "MIT Indoor Scenes",
            "mit",
            (mit, "MIT Indoors Scene"),
            "Table 8",
            "Table 9",
            ("Figure 7", "Figure 9"),
            _demo(6, 1500, 20, 0.85, 3.5, {"small_patch": 2, "small_conv": 1}),
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
