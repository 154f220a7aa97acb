"""The studies: what is run on what, for which tables and figures of the paper and of the course report."""

import dataclasses
from collections.abc import Mapping

from wisesr_helpers.training.recipes import (
    CIFAR10,
    INTEL_224,
    MIT_224,
    MIT_512,
    MNIST,
    SUB_IMAGENET_224,
    TABLE_3,
    TINY_IMAGENET,
    Recipe,
)


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
        data: "scenes" or "digits", see ``data.embedded``.
        rows: Pairs (backbone, head) that stand in for the study's; empty: the head is typed.
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
        dataset: At paper scale, as readers know it.
        source: The same as ``data.sources.SOURCES`` names it; empty: there is no paper scale.
        classes: Of the dataset.
        train_images: In its training split.
        test_images: In its test split.
        image_size: Side in pixels.
        recipe: At paper scale.
        backbones: In the table's order; the first is the default at paper scale.
        heads: In the table's order.
        table: Where the results are printed.
        figures: Where they are drawn.
        demo: The demo scale's data and recipe.
        other_sizes: Backbone → side in pixels, where it is not ``image_size``.
        own_heads: Backbone → its only head, where not every backbone has every head.
        datasets: Dataset → its study, where one study has several.
    """

    name: str
    title: str
    dataset: str
    source: str
    classes: int
    train_images: int
    test_images: int
    image_size: int
    recipe: Recipe
    backbones: tuple
    heads: tuple
    table: str
    figures: tuple
    demo: Demo
    other_sizes: Mapping = dataclasses.field(default_factory=dict)
    own_heads: Mapping = dataclasses.field(default_factory=dict)
    datasets: Mapping = dataclasses.field(default_factory=dict)

    @property
    def rows(self):
        """Pairs (backbone, head) of the table, in its order; none where there is no paper scale."""
        if not self.source:
            return ()
        pairs = ((backbone, head) for backbone in self.backbones for head in self.heads)
        return tuple(pair for pair in pairs if self.own_heads.get(pair[0], pair[1]) == pair[1])

    @property
    def smoke(self):
        """The smoke scale, for tests: two training images and one test image a class, two short epochs."""
        recipe = dataclasses.replace(self.demo.recipe, epochs=2, batch_size=4)
        classes = self.demo.classes
        return dataclasses.replace(self.demo, train=2 * classes, test=classes, recipe=recipe, minutes=0.2)

    def head_for(self, backbone):
        """The head that a backbone has where none is typed; "": one has to be typed."""
        if not self.own_heads:
            return ""
        return {**dict(self.demo.rows), **self.own_heads}.get(backbone, "gap")

    def size_for(self, backbone):
        """Side of the images in pixels for a backbone."""
        return self.other_sizes.get(backbone, self.image_size)


# The paper's four. Classes and images: Table 2; recipes: Tables 3, 4 and 8.
# Their demos have the paper's optimiser, and a staircase that falls faster, for epochs are few. Time goes with the
# images that are moved: smaller batches and a higher rate than the paper's need fewer of them. There are as many test
# scenes as it takes to tell the paper's head from one half, the ceiling of averaging, in every seed. Colours change
# less than Table 3 says: an image darkened to nothing teaches a network of four layers little in so short a time.

_MILDER = dataclasses.replace(TABLE_3, channel_shift_range=10.0, brightness_range=(0.9, 1.1))
_SHORT = Recipe(
    epochs=20, batch_size=10, learning_rate=0.1, momentum=0.9, decay_rate=0.85, decay_epochs=1, augmentation=_MILDER
)

_PAPER = (
    Study(
        name="sub_imagenet_224",
        title="Sub-ImageNet at 224×224",
        dataset="Sub-ImageNet (70 classes)",
        source="sub_imagenet",
        classes=70,
        train_images=31_500,
        test_images=3_500,
        image_size=224,
        recipe=SUB_IMAGENET_224,
        backbones=("Xception", "ResNet50", "DenseNet121"),
        heads=("gap", "gap_dropout", "depthwise", "depthwise_nonneg", "wise", "wise_dropout", "gwap"),
        table="Table 5",
        figures=("Figure 4",),
        demo=Demo(
            classes=10,
            train=2000,
            test=600,
            recipe=dataclasses.replace(_SHORT, epochs=24, decay_rate=0.87),
            minutes=1.7,
            backbones={"small_patch": 1},
        ),
    ),
    Study(
        name="intel_224",
        title="Intel Image Classification at 224×224",
        dataset="Intel Image Classification",
        source="intel",
        classes=6,
        train_images=14_034,
        test_images=3_000,
        image_size=224,
        recipe=INTEL_224,
        backbones=("Xception", "ResNet50", "DenseNet169"),
        heads=("gap", "depthwise_nonneg", "wise"),
        table="Table 6",
        figures=("Figure 5",),
        demo=Demo(
            classes=6,
            train=1500,
            test=600,
            recipe=dataclasses.replace(_SHORT, epochs=24, decay_rate=0.87),
            minutes=1.6,
            backbones={"small_patch": 1},
        ),
    ),
    Study(
        name="mit_224",
        title="MIT Indoor Scenes at 224×224",
        dataset="MIT Indoor Scenes",
        source="mit",
        classes=67,
        train_images=5_360,
        test_images=1_340,
        image_size=224,
        recipe=MIT_224,
        backbones=("Xception", "ResNet50", "DenseNet169"),
        heads=("gap", "gap_dropout", "depthwise_nonneg", "wise", "wise_dropout"),
        table="Table 7",
        figures=("Figure 6",),
        demo=Demo(
            classes=8,
            train=1600,
            test=640,
            recipe=dataclasses.replace(_SHORT, epochs=24, decay_rate=0.87),
            minutes=1.7,
            backbones={"small_patch": 1},
        ),
    ),
    Study(
        name="mit_512",
        title="MIT Indoor Scenes at 512×512",
        dataset="MIT Indoor Scenes",
        source="mit",
        classes=67,
        train_images=5_360,
        test_images=1_340,
        image_size=512,
        recipe=MIT_512,
        backbones=("Xception", "ResNet50V2", "DenseNet201"),
        heads=("gap", "avg_fc", "wise"),
        table="Table 9",
        figures=("Figure 7", "Figure 9"),
        demo=Demo(
            classes=6,
            train=1500,
            test=300,
            recipe=dataclasses.replace(_SHORT, epochs=11, decay_rate=0.73),
            minutes=1.4,
            backbones={"small_patch": 2, "small_conv": 1},
        ),
    ),
)

# The course report's, one a dataset. Sizes: its section 3.3; recipes: sections 3.1 and 3.2. It does not print all
# counts of classes and images: they are the datasets' own.
_MNIST = Study(
    name="deeper_networks",
    title="Deeper networks on MNIST",
    dataset="MNIST",
    source="mnist",
    classes=10,
    train_images=60_000,
    test_images=10_000,
    image_size=224,
    recipe=MNIST,
    backbones=("VGG16", "InceptionV3", "ResNet50"),
    heads=("gap", "vgg_fc"),
    table="Table 1",
    figures=("Figure 2", "Figure 3"),
    # The report's rate and batch on real digits; of two small networks one flattens its map, as VGG-16 does.
    demo=Demo(
        classes=10,
        train=1195,
        test=602,
        recipe=dataclasses.replace(MNIST, epochs=20),
        minutes=1,
        data="digits",
        rows=(("small_patch", "flatten_fc"), ("small_conv", "gap")),
    ),
    other_sizes={"InceptionV3": 299},
    # Each architecture whole: VGG-16 with its two layers of 4,096 units, the others with their average.
    own_heads={"VGG16": "vgg_fc", "InceptionV3": "gap", "ResNet50": "gap"},
)
_DATASETS = {
    # The embedded digits, which stand in for the other three: no paper scale.
    "digits": dataclasses.replace(
        _MNIST,
        title="Deeper networks on scikit-learn's digits",
        dataset="scikit-learn's digits",
        source="",
        train_images=1195,
        test_images=602,
        figures=(),
    ),
    "mnist": _MNIST,
    "cifar10": dataclasses.replace(
        _MNIST,
        title="Deeper networks on CIFAR-10",
        dataset="CIFAR-10",
        source="cifar10",
        train_images=50_000,
        recipe=CIFAR10,
        figures=("Figure 4", "Figure 5"),
    ),
    "tiny_imagenet": dataclasses.replace(
        _MNIST,
        title="Deeper networks on Tiny-ImageNet",
        dataset="Tiny-ImageNet",
        source="tiny_imagenet",
        classes=200,
        train_images=100_000,
        recipe=TINY_IMAGENET,
        figures=("Figure 6", "Figure 7"),
    ),
}
_REPORT = dataclasses.replace(_MNIST, title="Deeper networks", datasets=_DATASETS)

STUDIES = {study.name: study for study in (*_PAPER, _REPORT)}
PAPER_STUDIES = {study.table: study for study in _PAPER}
REPORT_STUDIES = {dataset: study for dataset, study in _DATASETS.items() if study.source}


def get_study(name, dataset=""):
    """The study of that name, or of that dataset where it has several; ValueError lists the valid names."""
    if name not in STUDIES:
        raise ValueError(f"Unknown study '{name}'. Valid studies: {', '.join(STUDIES)}.")
    study = STUDIES[name]
    if not dataset and not study.datasets:
        return study
    if dataset not in study.datasets:
        valid = f"one of {', '.join(study.datasets)}" if study.datasets else "left out: the study has one dataset"
        raise ValueError(f"The dataset of study '{name}' must be {valid}; received '{dataset}'.")
    return study.datasets[dataset]


def get_paper_study(name):
    """The study of that name, if it is one of the paper's; ValueError lists the four."""
    papers = [study.name for study in PAPER_STUDIES.values()]
    if name not in papers:
        raise ValueError(f"study must be one of the paper's four: {', '.join(papers)}; received {name!r}.")
    return STUDIES[name]
