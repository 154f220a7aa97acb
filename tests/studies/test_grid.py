"""The studies as they are declared, held against what the paper and the report print."""

import json

import pytest

import wisesr_helpers as ws
from wisesr_helpers.data.embedded import COUNTS
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.studies import questions
from wisesr_helpers.studies.experiment import is_current
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.training import runs

# Study → the dataset as Table 2 spells it, table and column of its recipe.
PAPER = {
    "sub_imagenet_224": ("Sub-ImageNet", "Table 4", "Sub-ImageNet"),
    "intel_224": ("Intel Image Classification Challenge", "Table 4", "Intel Image Classification"),
    "mit_224": ("MIT Indoors Scenes", "Table 4", "MIT Indoors Scenes"),
    "mit_512": ("MIT Indoors Scenes", "Table 8", "MIT Indoors Scene"),
}
RECIPE = "Image Size/Epochs/Batch Size/Optimizer/Initial Learning rate/Learning rate decay/Transfer Learning".split("/")
REPORT = ws.STUDIES["deeper_networks"]


@pytest.mark.parametrize("name", PAPER)
def test_a_study_of_the_paper_is_what_its_tables_print(name):
    study, (dataset, table, column) = ws.STUDIES[name], PAPER[name]
    counts = [study.classes, study.train_images, study.test_images]
    assert counts == [number("Table 2", dataset, of) for of in ("Number of Classes", "Training Images", "Test Images")]
    recipe = study.recipe
    assert {
        "Image Size": f"{study.image_size}x{study.image_size}",
        "Epochs": str(recipe.epochs),
        "Batch Size": str(recipe.batch_size),
        "Optimizer": f"SGD (momentum:{recipe.momentum})",
        "Initial Learning rate": str(recipe.learning_rate),
        "Learning rate decay": f"{recipe.decay_rate} every {recipe.decay_epochs} epochs",
        "Transfer Learning": "Yes (ImageNet Pre-trained Weights)" if recipe.weights == "imagenet" else "No",
    } == {row: printed(table, row, column) for row in RECIPE}
    assert recipe.weights in (None, "imagenet")
    rows = published().query("source == 'paper' and where == @study.table and column == 'Top-1 accuracy'")
    assert study.rows == tuple(zip(rows["backbone"], rows["head"], strict=True))


def test_the_papers_augmentation_is_table_3():
    def value(row):
        return number("Table 3", row, "Range / Usage")

    for name in PAPER:
        augmentation = ws.STUDIES[name].recipe.augmentation
        assert augmentation.convention == "keras_preprocessing_1_1"
        assert augmentation.rotation_range == value("Rotation")
        assert augmentation.width_shift_range == value("Width Shift") / 100
        assert augmentation.height_shift_range == value("Height Shift") / 100
        assert augmentation.zoom_range == value("Zoom") / 100
        assert augmentation.channel_shift_range == value("Channel Shift")
        assert augmentation.brightness_range == tuple(value(f"Brightness Change ({end})") for end in ("low", "high"))
        for way in ("horizontal", "vertical"):
            assert getattr(augmentation, f"{way}_flip") is True
            assert printed("Table 3", f"{way.capitalize()} Flip", "Range / Usage") == "Yes"


@pytest.mark.parametrize("name", REPORT.datasets)
def test_a_dataset_of_the_report_is_what_it_prints(name):
    study, recipe = REPORT.datasets[name], REPORT.datasets[name].recipe
    dataset = study.dataset if study.source else "MNIST"
    assert recipe.epochs == number("Section 3.2", dataset, "Epochs", source="report")
    for each in (recipe, study.demo.recipe):
        assert each.batch_size == number("Section 3.1", "training", "Batch Size", source="report")
        assert each.learning_rate == number("Section 3.1", "training", "Learning rate", source="report")
        assert (each.momentum, each.augmentation, each.weights) == (None, None, None)
    assert study.size_for("VGG16") == number("Section 3.3", "VGG and ResNet input", "Image Size", source="report")
    assert study.size_for("InceptionV3") == number("Section 3.3", "Inception input", "Image Size", source="report")
    whole = (("VGG16", "vgg_fc"), ("InceptionV3", "gap"), ("ResNet50", "gap"))
    assert study.rows == (whole if study.source else ())
    assert (study.demo.train, study.demo.test) == (COUNTS["train"], COUNTS["test"])


def test_the_report_prints_some_of_the_counts():
    tiny, cifar = REPORT.datasets["tiny_imagenet"], REPORT.datasets["cifar10"]
    assert tiny.classes == number("Section 3.2", "Tiny-ImageNet", "Number of Classes", source="report")
    assert tiny.train_images == number("Section 3.2", "Tiny-ImageNet", "Images", source="report")
    assert cifar.classes == number("Section 3.2", "CIFAR-10", "Number of Classes", source="report")
    assert cifar.train_images + cifar.test_images == number("Section 3.2", "CIFAR-10", "Images", source="report")


def test_datasets_are_named_as_their_sources_are():
    for study in (*map(ws.STUDIES.get, PAPER), *REPORT.datasets.values()):
        assert not study.source or study.dataset == SOURCES[study.source].title


def test_the_embedded_scenes_have_an_even_number_of_classes():
    assert all(ws.STUDIES[name].demo.classes % 2 == 0 for name in PAPER)


def test_a_demo_decides_within_two_minutes(root):
    """In every committed seed the paper's head is above averaging's ceiling by more than its interval."""
    records = ws.load_runs(root / "results").query("backbone == 'small_patch' and head == 'wise' and options == ''")
    for name in PAPER:
        demo, reached = ws.STUDIES[name].demo, records[records["study"] == name]["top1"]
        assert demo.minutes <= 2
        assert len(reached)
        assert all(wilson_interval(round(top1 * demo.test), demo.test)[0] > 0.5 + 0.05 for top1 in reached)
        assert (demo.recipe.batch_size, demo.recipe.learning_rate, demo.recipe.momentum) == (10, 0.1, 0.9)
        last = demo.recipe.learning_rate * demo.recipe.decay_rate ** (demo.recipe.epochs - 1)
        assert last < 0.05 * demo.recipe.learning_rate  # so that the last epoch is no matter of luck


def demo_rows():
    """Identities of the demo rows that are always committed; those of the experiments come as they are made."""
    return {
        runs.RunParameters(study.name, "demo", backbone, head, seed).identity
        for study in ws.STUDIES.values()
        for backbone, seeds in study.demo.backbones.items()
        for head in study.demo.heads
        for seed in range(seeds)
    }


def test_every_committed_record_is_current(root):
    paths = sorted((root / "results").glob("*.json"))
    asked = {questions.spec(typed).parameters.identity for typed in questions.runs()}
    own = [path for path in paths if path.stem not in asked or path.stem in demo_rows()]
    assert len(own) == len(demo_rows())
    for path in paths:
        assert is_current(runs.read_run(path)), path.name
        assert json.loads(path.read_text(encoding="utf-8"))["identity"] == path.stem


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (("mit",), r"^Unknown study 'mit'\. Valid studies: sub_imagenet_224, .*mit_512, deeper_networks\.$"),
        (("mit_512", "mnist"), "^The dataset of study 'mit_512' must be left out: the study has one dataset; received"),
        (("deeper_networks",), "must be one of digits, mnist, cifar10, tiny_imagenet; received ''"),
        (("deeper_networks", "fashion"), "must be one of digits, mnist, cifar10, tiny_imagenet; received 'fashion'"),
    ],
)
def test_other_studies_and_datasets_are_answered_with_the_valid_ones(typed, sentence):
    with pytest.raises(ValueError, match=sentence):
        get_study(*typed)
