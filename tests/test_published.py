"""The published numbers against each other: whatever one of them says about another is recomputed here."""

import hashlib
import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from tests_support import pinned

from wisesr_helpers.published import _entries, _number, number, printed, published

ROOT = Path(__file__).resolve().parents[1]
UNITS = {
    "GB", "GFLOPs", "GHz", "cells", "channels", "classes", "count", "degrees", "epochs", "fraction", "images",
    "images per batch", "images per class", "neurons", "number", "parameters", "percent", "percentage points",
    "pixels", "seconds", "text",
}  # fmt: skip
WORDS = dict(zero=0, one=1, two=2, three=3, four=4, five=5, six=6, seven=7)
DATASET_OF_TABLE = {
    "Table 5": "Sub-ImageNet",
    "Table 6": "Intel Image Classification Challenge",
    "Table 7": "MIT Indoors Scenes",
    "Table 9": "MIT Indoors Scenes",
}
TOP1, TOP5, GAIN, POINTS = "Top-1 accuracy", "Top-5 accuracy", "Top-1 accuracy gain", "percentage points"
PER_CLASS = "Training images per class"
TABLE_1 = "Classification Model with "
AVERAGE_FC = "average pooling with fully connected layer"

# Parameters of keras.applications models without their top, for the backbones that Table 1 does not list.
KERAS_BASES = {"ResNet50V2": 23_564_800, "DenseNet169": 12_642_880, "DenseNet201": 18_321_984}
VGG16_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)

# Of every label, unit and value of the tables, compared word by word with the printed ones.
TABLES_SHA256 = "a258ed9e33fc42af19d8fa89b094a83b21a1dbcf110a1efffa5b40b1abc15d87"

# What no arithmetic reaches: words, names and references that contradict another place of the source.
CONTRADICTIONS = {
    ("paper", "Table 3", "Channel Shift", "Range / Usage"),
    ("paper", "Section 2.2", "flatten example, rounded increase", "Parameters"),
    ("paper", "Section 2.3", "GWAP", "Parameters"),
    ("paper", "Section 2.4", "final architecture", "Figure"),
    ("paper", "Section 3.2.1", "final architecture", "Figure"),
    ("paper", "Section 3.2.3", "final architecture", "Figure"),
    ("paper", "Section 4", "final architecture", "Figure"),
    ("paper", "Section 3.2.1", "quantity said to be in Table 5", "Quantity"),
    ("paper", "Table 5 caption", "quantity said to be in the table", "Quantity"),
    ("report", "Section 3.1", "training", "Learning rate"),
    ("report", "Section 3.1", "models loaded as", "Framework"),
    ("report", "Section 3.1", "layer added to each model", "Layers"),
    ("report", "Figure 3", "dataset named by the caption", "Dataset"),
    ("report", "Section 4.3", "figure named for Tiny-ImageNet's training", "Figure"),
}


def exact(where, row, column, unit=None, source="paper"):
    """The printed number as an exact fraction, read without the module's own parser."""
    return Fraction(printed(where, row, column, unit, source).replace(",", ""))


def accuracy(where, backbone, head):
    """A run's printed top-1 accuracy in percent; `head` is this package's name."""
    run = ("paper", where, backbone, head)
    rows = {e.row for e in _entries() if (e.source, e.where, e.backbone, e.head) == run}
    return 100 * exact(where, rows.pop(), TOP1)


def gain(where, backbone, head, baseline):
    return accuracy(where, backbone, head) - accuracy(where, backbone, baseline)


def ways(where):
    """How many classification versions, and how many backbones, a table of runs holds."""
    runs = [e for e in _entries() if e.source == "paper" and e.where == where]
    return len({e.head for e in runs}), len({e.backbone for e in runs})


def side(table, dataset):
    """Image side in pixels, feature-map side and pooled side, for a column of Table 4 or 8."""
    pixels = int(printed(table, "Image Size", dataset).split("x")[0])
    cells = pixels * exact("Section 3.3", "feature map side over image side", "Ratio")
    pool = int(printed("Section 2.4", f"images of {pixels}×{pixels}", "Pool size").split("×")[0])
    return pixels, int(cells), int(cells) // pool


def channels(backbone):
    row = backbone if backbone.startswith("DenseNet") else "Xception and ResNet families"
    return exact("Section 3.3", row, "Channels")


def parameters(backbone, head, classes, cells, pooled):
    """Backbone + head, counted by hand: kernel and bias of the depthwise layer and of the last layer."""
    if backbone in KERAS_BASES:
        base = KERAS_BASES[backbone]
    else:
        base = exact("Table 1", backbone, "Feature Extraction Base Model")
    width = channels(backbone)
    if head == "":
        return base
    if head == "avg_fc":
        return base + pooled**2 * width * classes + classes
    kernel = {"depthwise": cells, "depthwise_nonneg": cells, "wise": pooled, "wise_dropout": pooled}.get(head)
    return base + (width * (kernel**2 + 1) if kernel else 0) + (width + 1) * classes


def derived():
    """key → (exact value, rounding) for every entry that other entries, or counting, determine.

    key is (source, where, row, column, unit). Single values are rounded to the printed digits; the ends of a
    range are rounded outwards, since a range claims to hold every value.
    """
    out = {}

    def put(where, row, column, unit, value, rounding="nearest", source="paper"):
        key = (source, where, row, column, unit)
        assert key not in out, key
        out[key] = (Fraction(value), rounding)

    small, large = side("Table 4", "Sub-ImageNet"), side("Table 8", "MIT Indoors Scene")
    for e in _entries():
        if e.source == "paper" and e.backbone and e.unit == "parameters":
            dataset = DATASET_OF_TABLE.get(e.where, "Sub-ImageNet")
            _, cells, pooled = large if e.where == "Table 9" else small
            classes = exact("Table 2", dataset, "Number of Classes")
            put(e.where, e.row, e.column, e.unit, parameters(e.backbone, e.head, classes, cells, pooled))

    # Section 1: two convolutions on a 256-channel map, and VGG-16 counted layer by layer.
    inner = int(printed("Section 1", "convolution example, input", "Feature map size").split("×")[2])
    filters = exact("Section 1", "convolution example, filters", "Filters")
    put("Section 1", "ordinary convolution example", "Parameters", "parameters", 3 * 3 * inner * filters)
    separable = 3 * 3 * inner + inner * filters
    put("Section 1", "depthwise separable convolution example", "Parameters", "parameters", separable)
    vgg = sum((9 * a + 1) * b for a, b in zip((3, *VGG16_WIDTHS), VGG16_WIDTHS, strict=False))
    flat = math.prod(map(int, printed("Section 1", "VGG", "Feature map size").split("×")))
    put("Section 1", "VGG flattened feature map", "Neurons", "neurons", flat)
    put("Section 1", "VGG feature extractor", "Parameters", "parameters", vgg)
    hidden = exact("Section 1", "VGG fully connected layer", "Neurons")
    imagenet = exact("Section 2.2", "ImageNet", "Number of Classes")
    dense = (flat + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * imagenet
    put("Section 1", "VGG with its classification layers", "Parameters", "parameters", vgg + dense)
    put("Section 1", "cells of one ResNet channel", "Cells", "cells", small[1] ** 2)

    # Feature maps: cells averaged, flattened lengths, and the layers that they would need.
    put("Section 2.1", "smaller feature map", "Cells averaged per channel", "cells", small[1] ** 2)
    put("Section 2.1", "larger feature map", "Cells averaged per channel", "cells", large[1] ** 2)
    put("Section 2.3", "GAP", "Cells averaged per channel", "cells", small[1] ** 2)
    put("Section 2.3", "GWAP", "Parameters", "parameters", small[1] ** 2)
    put("Section 2.3", "depthwise head, weights per channel", "Parameters", "parameters", small[1] ** 2)
    put("Section 3.3", "images of 512×512", "Cells averaged per channel", "cells", large[1] ** 2)
    put("Section 3.3", "smaller images", "Cells averaged per channel", "cells", small[1] ** 2)
    flat = small[1] ** 2 * channels("Xception")
    put("Section 2.2", "flatten example", "Neurons", "neurons", flat)
    weights = flat * exact("Section 2.2", "flatten example", "Number of Classes")
    put("Section 2.2", "flatten example", "Parameters", "parameters", weights)
    put("Section 2.2", "flatten example, rounded increase", "Parameters", "parameters", weights)
    put("Section 2.2", "flatten with ImageNet's classes", "Parameters", "parameters", flat * imagenet)
    flat = large[1] ** 2 * channels("Xception")
    mit = exact("Table 2", "MIT Indoors Scenes", "Number of Classes")
    put("Section 3.3", "flattened feature map", "Neurons", "neurons", flat)
    put("Section 3.3", "fully connected layer on the flattened map", "Parameters", "parameters", flat * mit)
    fewer = exact("Table 9", "Xception+Avg+Dense", "Parameters")
    fewer -= exact("Table 9", "Xception+Avg+Depthwise Conv+Constraints", "Parameters")
    put("Section 3.3", f"Xception, fewer than {AVERAGE_FC}", "Parameters", "parameters", fewer)

    # Section 2.5 against Table 1.
    growth = {}
    for backbone in ("ResNet50", "Xception", "DenseNet121"):
        gap = exact("Table 1", backbone, TABLE_1 + "Global Average Pooling", "parameters")
        full = TABLE_1 + "Average Pooling and Depthwise Separable Convolution"
        wise = exact("Table 1", backbone, full, "parameters")
        growth[backbone] = 100 * (wise - gap) / gap
        put("Section 2.5", f"{backbone}, growth over GAP", "Parameters", "percent", growth[backbone])
        if backbone == "Xception":
            put("Section 2.5", "Xception with the proposed head", "Parameters", "parameters", wise)
            put("Section 2.5", "Xception with GAP", "Parameters", "parameters", gap)
    put("Section 2.5", "bound on the growth over GAP", "Parameters", "percent", max(growth.values()), "bound")

    # Gains: the text's baseline is the one in the row's label.
    for backbone in ("Xception", "ResNet50", "DenseNet121"):
        value = gain("Table 5", backbone, "wise_dropout", "gap_dropout")
        put("Section 3.2.1", f"{backbone}, over GAP with dropout", GAIN, POINTS, value)
    for backbone in ("Xception", "ResNet50", "DenseNet169"):
        value = gain("Table 6", backbone, "wise", "gap")
        put("Section 3.2.2", f"{backbone}, over GAP", GAIN, POINTS, value)
        value = gain("Table 7", backbone, "wise_dropout", "gap")
        put("Section 3.2.3", f"{backbone}, over GAP", GAIN, POINTS, value)
    for backbone in ("DenseNet201", "ResNet50V2"):
        put("Section 3.3", f"{backbone}, over GAP", GAIN, POINTS, gain("Table 9", backbone, "wise", "gap"))
    value = gain("Table 9", "Xception", "wise", "avg_fc")
    put("Section 3.3", f"Xception, over {AVERAGE_FC}", GAIN, POINTS, value)

    # Ranges of gains over GAP: the final head of each table.
    spans = {}
    finals = {"Table 5": "wise_dropout", "Table 6": "wise", "Table 7": "wise_dropout", "Table 9": "wise"}
    for table, head in finals.items():
        backbones = {e.backbone for e in _entries() if e.source == "paper" and e.where == table}
        spans[table] = {backbone: gain(table, backbone, head, "gap") for backbone in backbones}
    at_224 = [spans[table] for table in ("Table 5", "Table 6", "Table 7")]
    ranges = {
        ("Section 4", "Sub-ImageNet at 224×224"): spans["Table 5"].values(),
        ("Section 4", "Intel Image Classification at 224×224"): spans["Table 6"].values(),
        ("Section 4", "MIT Indoors Scenes at 224×224"): spans["Table 7"].values(),
        ("Section 4", "ResNet50 at 224×224"): [span["ResNet50"] for span in at_224],
    }
    for where in ("Abstract", "Section 5"):
        ranges[where, "gain at 224×224"] = [value for span in at_224 for value in span.values()]
    for where in ("Abstract", "Section 4", "Section 5"):
        ranges[where, "gain at 512×512 on MIT Indoors Scenes"] = spans["Table 9"].values()
    for (where, row), values in ranges.items():
        put(where, f"{row} (low)", GAIN, POINTS, min(values), "down")
        put(where, f"{row} (high)", GAIN, POINTS, max(values), "up")

    # Counts that tables give: datasets, versions, models, epochs, batches.
    columns = {"Number of Classes": "classes", "Training Images": "images", "Test Images": "images"}
    for e in _entries():
        table_row = "Intel Image Classification Challenge" if e.row.startswith("Intel") else e.row
        if e.source == "paper" and not e.where.startswith("Table") and table_row in DATASET_OF_TABLE.values():
            if e.column in columns:
                put(e.where, e.row, e.column, columns[e.column], exact("Table 2", table_row, e.column))
            elif e.column in (PER_CLASS, "Validation images per class"):
                images = "Training Images" if e.column == PER_CLASS else "Test Images"
                value = exact("Table 2", table_row, images) / exact("Table 2", table_row, "Number of Classes")
                put(e.where, e.row, e.column, "images per class", value)
    for where, row, table in (
        ("Section 3.2", "classifiers for each model", "Table 5"),
        ("Section 3.2.1", "classifiers for each model", "Table 5"),
        ("Table 5 caption", "classifiers for each model", "Table 5"),
        ("Figure 4", "classifiers for each family", "Table 5"),
        ("Section 3.2.2", "classifiers for each model", "Table 6"),
        ("Table 6 caption", "classifiers for each model", "Table 6"),
        ("Section 3.2.3", "classifiers for each network", "Table 7"),
        ("Section 3.3", "classifiers for each network", "Table 9"),
        ("Table 9 caption", "classifiers for each model", "Table 9"),
    ):
        put(where, row, "Versions", "count", ways(table)[0])
    put("Figure 3", "architectures shown", "Versions", "count", ways("Table 5")[0] - 1)  # all but GWAP
    put("Section 3.2.1", "models selected", "Models", "count", ways("Table 5")[1])
    backbones = {e.backbone for e in _entries() if e.source == "paper" and e.where in DATASET_OF_TABLE}
    put("Section 4", "models reported", "Models", "count", len(backbones))
    for where, row, table, dataset in (
        ("Section 3.2.1", "Sub-ImageNet", "Table 4", "Sub-ImageNet"),
        ("Section 3.2.2", "Intel Image Classification", "Table 4", "Intel Image Classification"),
        ("Figure 5", "Intel Image Classification", "Table 4", "Intel Image Classification"),
        ("Figure 6", "MIT Indoors Scenes", "Table 4", "MIT Indoors Scenes"),
        ("Section 3.3", "MIT Indoors Scenes at 224×224", "Table 4", "MIT Indoors Scenes"),
        ("Section 3.3", "MIT Indoors Scenes at 512×512", "Table 8", "MIT Indoors Scene"),
        ("Figure 7", "MIT Indoors Scenes", "Table 8", "MIT Indoors Scene"),
    ):
        put(where, row, "Epochs", "epochs", exact(table, "Epochs", dataset))
    for where, row, table, dataset in (
        ("Section 3.2", "training", "Table 4", "Sub-ImageNet"),
        ("Section 3.2.1", "this study", "Table 4", "Sub-ImageNet"),
        ("Section 3.3", "at 224×224", "Table 4", "MIT Indoors Scenes"),
        ("Section 3.3", "at 512×512", "Table 8", "MIT Indoors Scene"),
    ):
        put(where, row, "Batch Size", "images per batch", exact(table, "Batch Size", dataset))
    rate = exact("Table 4", "Initial Learning rate", "MIT Indoors Scenes")
    put("Section 3.2", "training", "Initial Learning rate", "number", rate)
    momentum = re.search(r"momentum:([\d.]+)", printed("Table 4", "Optimizer", "MIT Indoors Scenes"))[1]
    put("Section 3.2", "training", "Momentum", "number", momentum)
    decay, interval = re.findall(r"[\d.]+", printed("Table 4", "Learning rate decay", "MIT Indoors Scenes"))
    put("Section 3.2", "training", "Learning rate decay", "number", decay)
    put("Section 3.2", "training", "Learning rate decay interval", "epochs", interval)
    put("README", "code example, classification layer", "Neurons", "neurons", mit)
    seventy = exact("Table 2", "Sub-ImageNet", "Number of Classes")
    put("Section 2.3", "classification layer example", "Neurons", "neurons", seventy)
    put("Section 2.5", "classes behind Table 1", "Number of Classes", "classes", seventy)
    put("Table 1 caption", "classes", "Number of Classes", "classes", seventy)
    notebooks = sum(e.where == "README" and e.column == "Notebook" for e in _entries())
    put("Seeds' README", "notebooks in the authors' code", "Notebooks", "count", notebooks)

    # The report. CIFAR-10 keeps 10,000 of its images for testing.
    def report(where, row, column, unit, value):
        put(where, row, column, unit, value, source="report")

    training = exact("Section 3.2", "CIFAR-10", "Images", source="report") - 10_000
    batch = exact("Section 3.1", "training", "Batch Size", source="report")
    report("Figure 1", "one epoch", "Steps", "count", training / batch)
    steps = exact("Figure 1", "one epoch", "Steps", source="report")
    for row in ("epoch 1", "epoch 2"):
        seconds = exact("Figure 1", row, "Time", source="report")
        report("Figure 1", row, "Time per step", "seconds", seconds / steps)
    done = exact("Figure 1", "epoch 3, so far", "Steps", source="report")
    report("Figure 1", "epoch 3, so far", "Progress", "percent", 100 * done / steps)
    report("Figure 1", "run", "Epochs", "epochs", exact("Section 3.2", "CIFAR-10", "Epochs", source="report"))
    tiny = exact("Section 3.2", "Tiny-ImageNet", "Number of Classes", source="report")
    tiny *= exact("Section 3.2", "Tiny-ImageNet", "Images per class", source="report")
    report("Section 3.2", "Tiny-ImageNet", "Images", "images", tiny)
    indices = {e.row: e.number for e in _entries() if e.source == "report" and e.column == "Class index"}
    report("Section 3.2", "CIFAR-10", "Number of Classes", "classes", 1 + int(max(indices.values())))
    aeroplanes = ("aeroplane, taken for truck", "aeroplane, accuracy of one half")
    for row in (*aeroplanes, "cat", "deer", "dog", "frog", "truck"):
        listed = exact("Section 3.2", row.split(",")[0], "Class index", source="report")
        report("Section 4.2.2", row, "Class index", "number", listed)
    models = ("Vgg16", "InceptionV3", "ResNet50")
    top5 = [exact("Table 1", f"MNIST / {model}", TOP5, source="report") for model in models]
    report("Section 4.2.1", "MNIST, all models, nearly", TOP5, "percent", 100 * min(top5))
    return out


def agrees(value, true, rounding):
    """Whether `value`, a printed string, is what `true` rounds to at the printed number of digits."""
    match = re.fullmatch(r"([\d,]+)(\.\d+)?( million)?", value)
    if not match:
        return WORDS.get(value.lower()) == true
    shown = Fraction(match[1].replace(",", "") + (match[2] or "")) * (10**6 if match[3] else 1)
    if rounding == "bound":
        return true < shown
    quantum = Fraction(10**6 if match[3] else 1, 10 ** (len(match[2]) - 1 if match[2] else 0))
    steps = {"nearest": true / quantum + Fraction(1, 2), "down": true / quantum, "up": -(-true // quantum)}
    return math.floor(steps[rounding]) * quantum == shown


def attainable(value, images):
    """Whether some whole number of `images` rounds to the printed accuracy."""
    below = math.floor(Fraction(value) * images)
    return any(agrees(value, Fraction(count, images), "nearest") for count in (below, below + 1))


def key(entry):
    return entry.source, entry.where, entry.row, entry.column, entry.unit


def test_rounding_oracle():
    assert agrees("0.09", Fraction(86, 1000), "nearest")
    assert not agrees("0.08", Fraction(86, 1000), "nearest")
    assert agrees("2", Fraction(29, 10), "down")
    assert agrees("3", Fraction(21, 10), "up")
    assert not agrees("2", Fraction(21, 10), "up")
    assert agrees("2", Fraction(2), "up")
    assert agrees("1.3 million", Fraction(1_281_167), "nearest")
    assert agrees("Six", 6, "nearest")
    assert not agrees("sex", 6, "nearest")
    assert not agrees("0.2", Fraction(2, 10), "bound")
    assert attainable("0.333", 3)
    assert not attainable("0.334", 3)


def test_slips_are_exactly_where_arithmetic_disagrees_and_name_the_recomputed_number():
    recomputed, by_key = derived(), {key(e): e for e in _entries()}
    assert len(recomputed) > 150  # nothing fell out of the recomputation
    assert recomputed.keys() <= by_key.keys(), recomputed.keys() - by_key.keys()
    expected = {name for name, true in recomputed.items() if not agrees(by_key[name].value, *true)}
    for name in expected:
        true, slip = recomputed[name][0], by_key[name].slip
        forms = {f"{float(true):,.{digits}f}" for digits in range(5)}
        forms |= {word for word, value in WORDS.items() if value == true}
        pattern = "|".join(map(re.escape, forms))
        assert re.search(rf"(?<![\d.,])({pattern})(?!\d|[.,]\d)", slip), by_key[name]
    for e in _entries():
        if e.source == "paper" and e.unit == "fraction":
            wrong = not attainable(e.value, int(exact("Table 2", DATASET_OF_TABLE[e.where], "Test Images")))
        else:
            wrong = "Image Size" in (e.row, e.column) and not re.fullmatch(r"(\d+)([×x]\1([×x]3)?)?", e.value)
        if wrong:
            expected.add(key(e))
    by_hand = {key(e) for e in _entries() if key(e)[:4] in CONTRADICTIONS}
    assert len(by_hand) == len(CONTRADICTIONS)
    assert not by_hand & expected
    assert {key(e) for e in _entries() if e.slip} == expected | by_hand


def test_an_unattainable_accuracy_names_its_neighbours():
    unattainable = [e for e in _entries() if e.unit == "fraction" and e.slip]
    assert unattainable
    for e in unattainable:
        images = int(exact("Table 2", DATASET_OF_TABLE[e.where], "Test Images"))
        below = math.floor(Fraction(e.value) * images)
        assert all(f"{count:,} give {count / images:.4f}" in e.slip for count in (below, below + 1))
        assert below / images < e.number < (below + 1) / images
        assert f" {images:,} " in e.slip


@pytest.mark.parametrize(("baseline", "agreeing"), [("gap_dropout", 3), ("gap", 0)])
def test_mit_gains_at_224_are_against_gap_with_dropout(baseline, agreeing):
    rows = ("Xception", "ResNet50", "DenseNet169")
    gains = {row: gain("Table 7", row, "wise_dropout", baseline) for row in rows}
    hits = [agrees(printed("Section 3.2.3", f"{row}, over GAP", GAIN), gains[row], "nearest") for row in rows]
    assert sum(hits) == agreeing


def test_feature_maps_follow_from_image_sides():
    for pixels, cells, pooled in (side("Table 4", "Sub-ImageNet"), side("Table 8", "MIT Indoors Scene")):
        images = f"images of {pixels}×{pixels}"
        assert printed("Section 2.4", f"{images}, before pooling", "Feature map size") == f"{cells}×{cells}"
        assert printed("Section 2.4", f"{images}, after pooling", "Feature map size") == f"{pooled}×{pooled}"
        shown = f"{cells}×{cells}×{channels('Xception')}"
        assert printed("Section 3.3", f"Xception at {pixels}×{pixels}", "Feature map size") == shown
    assert printed("Figure 7", "depthwise layer", "Kernel size") == f"{pooled}×{pooled}"
    shown = f"{pooled}×{pooled}×{channels('Xception')}"
    assert printed("Section 3.3", "proposed head, after pooling", "Feature map size") == shown
    assert printed("Section 3.3", AVERAGE_FC, "Feature map size") == shown


def test_abstract_discussion_and_conclusion_claim_the_same():
    for end in ("low", "high"):
        at_512 = f"gain at 512×512 on MIT Indoors Scenes ({end})"
        assert len({printed(where, at_512, GAIN) for where in ("Abstract", "Section 4", "Section 5")}) == 1
        at_224 = f"gain at 224×224 ({end})"
        assert printed("Abstract", at_224, GAIN) == printed("Section 5", at_224, GAIN)


def test_section_2_5_gives_xception_the_counts_of_resnet50():
    for row, column in (
        ("Xception with GAP", "Global Average Pooling"),
        ("Xception with the proposed head", "Average Pooling and Depthwise Separable Convolution"),
    ):
        resnet = printed("Table 1", "ResNet50", TABLE_1 + column, unit="parameters")
        assert printed("Section 2.5", row, "Parameters") == resnet


def test_54_runs_and_their_names():
    table = published().query("source == 'paper' and head != '' and where != 'Table 1'")
    assert len(table.drop_duplicates(["where", "row"])) == 54
    assert set(table["where"]) == set(DATASET_OF_TABLE)
    heads = {row.split("+", 1)[1]: head for row, head in zip(table["row"], table["head"], strict=True)}
    assert len(heads) == len(set(heads.values())) == 8
    for label, head in heads.items():
        assert head.endswith("_dropout") == label.endswith("+DP")
        assert head.startswith("wise") == label.startswith("Avg+Depthwise")
        assert (head == "depthwise_nonneg") == (label == "Depthwise Conv+Constraints")
        assert head.startswith("gap") == label.startswith("GAP")
        assert (head == "avg_fc") == ("Dense" in label)
    assert (table["row"].str.split("+").str[0] == table["backbone"]).all()


def test_table_1_names_its_heads():
    table = published().query("source == 'paper' and where == 'Table 1'")
    assert (table["backbone"] == table["row"]).all()
    assert len(table) == 21
    assert Counter(table["head"]) == {"": 3, "gap": 6, "depthwise": 6, "wise": 6}
    assert set(table.query("head == ''")["unit"]) == {"parameters"}


def test_elsewhere_there_is_no_backbone():
    table = published()
    rest = table[(table["source"] == "report") | ~table["where"].isin(["Table 1", *DATASET_OF_TABLE])]
    assert len(rest) > 300
    assert set(rest["backbone"]) == set(rest["head"]) == {""}


def test_entries_are_well_formed():
    entries = _entries()
    assert len({key(e) for e in entries}) == len(entries)
    assert {e.unit for e in entries} == UNITS
    assert {e.source for e in entries} == {"paper", "report"}
    for e in entries:
        assert all((e.where, e.row, e.column, e.value)), e
        assert all(field == " ".join(field.split()) for field in (*e[:6], e.slip)), e
        assert not e.slip or re.fullmatch(r"[^a-z\s].*[^.]\.", e.slip), e
        assert not re.search(r"[.!?] [A-Z]", e.slip), e
        assert e.unit != "text" or math.isnan(e.number), e
        assert not (e.unit in ("fraction", "percent", "percentage points") and math.isnan(e.number)), e


def test_tables_are_as_they_were_compared_with_the_sources():
    rows = sorted("\t".join((*key(e), e.value)) for e in _entries() if re.fullmatch(r"Table \d", e.where))
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == TABLES_SHA256


def test_files_have_one_table_each():
    folder = ROOT / "wisesr_helpers" / "published_data"
    tables = {f"paper_table_{i}.csv": f"Table {i}" for i in range(1, 10)} | {"report_table_1.csv": "Table 1"}
    assert {path.name for path in folder.iterdir()} == {*tables, "paper_prose.csv", "report_prose.csv"}
    for path in folder.iterdir():
        text = path.read_bytes().decode("utf-8")
        assert text.startswith("where,row,column,value,unit,slip\n")
        assert "\r" not in text
        found = {name for name in pd.read_csv(path)["where"] if re.fullmatch(r"Table \d", name)}
        assert found == ({tables[path.name]} if path.name in tables else set())


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("12,345,678", "parameters", 12_345_678), ("12345", "images", 12345), ("0.50", "fraction", 0.5),
        ("7 million", "parameters", 7e6), ("1.5 million", "images", 1.5e6), ("1/8", "number", 0.125),
        ("Six", "count", 6), ("0", "number", 0),
        ("12,345,67", "parameters", math.nan), ("9×9", "cells", math.nan), ("3", "text", math.nan),
        ("Yes", "count", math.nan),
    ],
)  # fmt: skip
def test_number_is_parsed_and_anything_else_is_nan(value, unit, expected):
    assert _number(value, unit) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


def test_printed_and_number_agree_with_published():
    for e in published().itertuples():
        assert printed(e.where, e.row, e.column, e.unit, e.source) == e.value
        if math.isnan(e.number):
            sentence = f"printed as {re.escape(repr(e.value))}, which is not a number"
            with pytest.raises(ValueError, match=sentence):
                number(e.where, e.row, e.column, e.unit, e.source)
        else:
            assert number(e.where, e.row, e.column, e.unit, e.source) == e.number


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("Table 55", "Xception+GAP", TOP1),
            r"No published number has where='Table 55' in paper; .*'Table 5'",
        ),
        (("Table 9", "Xception+gap", TOP1), r"has row='Xception\+gap' in paper / Table 9; .*'Xception\+GAP'"),
        (("Table 9", "Xception+GAP", "top-1"), r"has column='top-1' in paper / Table 9 / .*'Top-1 accuracy'"),
        (("Table 9", "Xception+GAP", TOP1, "percent"), r"has unit='percent' in .*the nearest: 'fraction'\.$"),
        (
            ("Table 1", "MNIST / Vgg16", TOP1, None, "reports"),
            r"has source='reports'; the nearest: 'report', 'paper'",
        ),
        (
            ("Table 1", "Xception", TABLE_1 + "Global Average Pooling"),
            r"^2 published numbers match .*; give one of the units 'parameters', 'GFLOPs'\.$",
        ),
    ],
)
def test_a_lookup_that_fails_says_what_is_near(arguments, sentence):
    for lookup in (printed, number):
        with pytest.raises(ValueError, match=sentence) as caught:
            lookup(*arguments)
        assert type(caught.value) is ValueError
        assert "\n" not in str(caught.value)


def test_published_is_a_fresh_copy():
    first = published()
    columns = ["source", "where", "row", "column", "value", "unit", "number", "backbone", "head", "slip"]
    assert list(first.columns) == columns
    assert len(first) == len(_entries())
    first.loc[:, "number"] = -1.0
    del first["slip"]
    assert not (published()["number"] == -1.0).any()
    assert "slip" in published().columns


@pytest.mark.parametrize(
    "imported",
    [
        "published",
        "published as module",
        pytest.param("layers, wisesr_helpers.published", marks=pytest.mark.slow),  # imports Keras
    ],
)
def test_published_is_the_function_whatever_is_imported(imported):
    code = (
        f"import wisesr_helpers.{imported}\nfrom wisesr_helpers.published import number\nimport wisesr_helpers as ws\n"
        "assert len(ws.published()) > 100 and 'published' in ws.__all__"
    )
    # Keras imports Matplotlib, whose 3.10.0 makes a new pyparsing warn.
    strict = ["-W", "error"] if "layers" not in imported or pinned("matplotlib") else []
    subprocess.run([sys.executable, *strict, "-c", code], cwd=ROOT, check=True)


def test_lookups_need_no_pandas():
    code = (
        "import sys; from wisesr_helpers.published import number;"
        f"number('Table 9', 'Xception+GAP', {TOP1!r}); sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
