"""The course report: rows, scales and heads, and mistakes counted, drawn and told, by hand."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn import metrics

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.data.embedded import digits_dataset
from wisesr_helpers.published import published
from wisesr_helpers.studies import deeper_networks
from wisesr_helpers.studies import experiment as module


def experiment(**typed):
    return ws.Experiment("deeper_networks", **{"head": "", "dataset": "digits", **typed})


@pytest.mark.parametrize(
    ("typed", "head", "size"),
    [
        ({}, "flatten_fc", 224),
        ({"backbone": "small_conv"}, "gap", 224),
        ({"backbone": "VGG16"}, "vgg_fc", 224),
        ({"backbone": "InceptionV3"}, "gap", 299),
        ({"backbone": "Xception"}, "gap", 224),
        ({"backbone": "VGG16", "head": "wise"}, "wise", 224),
    ],
)
def test_a_backbone_has_its_own_head_unless_one_is_named(typed, head, size):
    chosen = experiment(**typed)
    assert (chosen.spec.head.name, chosen.parameters.head, chosen.spec.image_size) == (head, head, size)


def test_auto_with_digits_is_always_the_demo(monkeypatch):
    monkeypatch.setattr(module, "accelerators", lambda: ["gpu:0"])
    monkeypatch.delenv("WISESR_SCALE")
    spec = experiment().spec
    assert (spec.parameters.scale, spec.plan) == ("demo", spec.study.demo)
    assert spec.reason == "scale='auto' chose it: scikit-learn's digits have no other"
    monkeypatch.setenv("WISESR_SCALE", "smoke")
    assert experiment().parameters.scale == "smoke"


def test_the_demo_has_the_reports_rate_and_batch_and_says_what_stands_in(capsys):
    chosen = experiment(dataset="cifar10", scale="demo")
    chosen.announce()
    said = capsys.readouterr().out
    assert "1,195 + 602 of scikit-learn's handwritten digits in 10 classes" in said
    assert "They stand in for CIFAR-10." in said
    assert "batch 100, Adam, learning rate 0.0002" in said
    assert "runs/out.ipynb -p dataset cifar10 -p scale paper" in said
    assert len(chosen.dataset.test) == 602
    experiment(scale="demo").announce()
    said = capsys.readouterr().out
    assert "stand in" not in said
    assert "runs/out.ipynb -p dataset mnist -p scale paper" in said


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    rows = deeper_networks.rows("digits", scale="smoke", runs_dir=str(tmp_path_factory.mktemp("runs")))
    return rows, rows.run()


def test_the_notebook_trains_both_networks_that_stand_in(trained):
    _, runs = trained
    assert runs["row"].tolist() == ["small_patch + flatten_fc", "small_conv + gap"]
    for record in runs["run"]:
        assert record.chosen_dataset == "digits"
        assert (record.dataset, record.photographs) == ("scikit-learn's digits", False)
        assert (record.train_images, record.test_images) == (20, 10)
        assert record.recipe["augmentation"] is None


def test_a_named_backbone_or_head_is_taken():
    assert list(deeper_networks.rows("digits", backbone="small_conv").experiments) == ["small_conv + gap"]
    assert list(deeper_networks.rows("digits", "wise").experiments) == ["small_patch + wise", "small_conv + wise"]


def test_the_confusion_matrices_hold_what_the_records_say(trained):
    rows, runs = trained
    counts = deeper_networks.confusion_matrices(deeper_networks.predictions(rows), rows.first.dataset)
    assert [counts[row.row].trace() for row in runs.itertuples()] == runs["correct"].tolist()
    assert all(matrix.shape == (10, 10) and matrix.sum() == 10 for matrix in counts.values())


def test_rows_of_a_confusion_matrix_are_true_classes():
    dataset = SimpleNamespace(test=SimpleNamespace(labels=np.array([0, 0, 1])), classes=NAMES)
    counts = deeper_networks.confusion_matrices({"one": np.eye(3)[[0, 1, 1]]}, dataset)["one"]
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]  # a class without an image has its row


def test_the_curves_are_the_records(trained):
    _, runs = trained
    figure, axes = ws.plots.figure(columns=2, rows=2)
    deeper_networks.training_curves(runs, axes)
    history = [record.history for record in runs["run"]]
    for ax, measure in zip(axes.flat, ("top1", "test_top1", "loss"), strict=False):
        for line, epochs in zip(ax.lines, history, strict=False):
            np.testing.assert_array_equal(line.get_ydata(), [epoch[measure] for epoch in epochs])
    for line, record in zip(axes[1, 1].lines, runs["run"], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), record.execution["seconds"])
    said = ws.plots.alt_text(figure)
    assert f"{history[1][-1]['loss']:.3g} after epoch 2" in said
    assert f"the first {runs['run'][0].execution['seconds'][0]:.3g}" in said


def wilson(correct, images, z=1.959964):
    """The interval by its formula."""
    share, scale = correct / images, 1 + z**2 / images
    middle = share + z**2 / (2 * images)
    reach = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return (middle - reach) / scale, (middle + reach) / scale


def test_table_1_is_as_printed_with_intervals_of_its_test_sets():
    table = deeper_networks.table_1()
    printed = published().query("source == 'report' and where == 'Table 1'")
    assert table["top-1"].tolist() == printed.query("column == 'Top-1 accuracy'")["value"].tolist()
    assert table["top-5"].tolist() == printed.query("column == 'Top-5 accuracy'")["value"].tolist()
    assert table["dataset"].tolist() == ["MNIST"] * 3 + ["CIFAR-10"] * 3 + ["Tiny-ImageNet"] * 3
    assert table["backbone"].tolist() == ["VGG16", "InceptionV3", "ResNet50"] * 3
    expected = ["{:.4f} to {:.4f}".format(*wilson(float(value) * 10_000, 10_000)) for value in table["top-1"]]
    assert table["95% interval of top-1"].tolist() == expected
    same = "no difference shown"
    assert table["beside the best"].tolist() == [same, "best", "best", "worse", "best", same, "worse", "best", "worse"]


def test_the_bars_are_as_high_as_printed():
    table = deeper_networks.table_1()
    figure, axes = ws.plots.figure(columns=3)
    deeper_networks.published_bars(table, axes)
    heights = [bar.get_height() for ax in axes for bar in ax.patches]
    assert heights == [float(row[measure]) for row in table.to_dict("records") for measure in ("top-1", "top-5")]
    assert [ax.get_ylabel() for ax in axes] == ["test accuracy", "", ""]
    assert "CIFAR-10: VGG16 0.7878 and 0.9810" in ws.plots.alt_text(figure)


def test_the_reports_recipe_is_said_as_it_prints_it():
    assert deeper_networks.recipe_in_words() == (
        "Learning rate 0.0002, batch 100, no augmentation; 6 epochs on MNIST, 25 epochs on CIFAR-10, 30 epochs on "
        "Tiny-ImageNet; images of 224×224 for VGG16, 299×299 for InceptionV3, 224×224 for ResNet50."
    )


def test_every_slip_is_named_once():
    found = published().query("source == 'report' and slip != ''")
    remarks = deeper_networks.slips()["remark"].tolist()
    assert len(remarks) == len(set(remarks))
    assert set(remarks) == set(found["slip"])


def test_an_architecture_is_told_by_the_sizes_of_its_maps():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.ZeroPadding2D(1)(x)
    x = keras.layers.Conv2D(8, 4, strides=2)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    table = deeper_networks.architecture(keras.Model(inputs, keras.layers.Dense(5)(x)))
    assert table["output"].tolist() == ["16×16×4", "8×8×8", "8", "5"]
    assert table["convolutions"].tolist() == [1, 1, 0, 0]
    assert table["normalisations"].tolist() == [0, 1, 0, 0]
    assert table["poolings"].tolist() == [0, 0, 1, 0]
    assert table["dense layers"].tolist() == [0, 0, 0, 1]
    assert table["other layers"].tolist() == [1, 1, 0, 0]  # the input; the margin goes with what follows
    assert table["parameters"].tolist() == [4 * 28, 8 * 65 + 32, 0, 45]


def test_parameters_stand_beside_keras_own():
    model = ws.build_classifier("ResNet50", "gap", 1000)
    table = deeper_networks.joined({"ResNet50": deeper_networks.architecture(model)})
    row = deeper_networks.parameters_beside_keras(table.rename(columns={"model": "backbone"})).iloc[0]
    assert row["parameters, counted here"] == row["parameters, keras.applications"] == f"{model.count_params():,}"
    smaller = ws.build_classifier("ResNet50", "gap", 200)
    assert row["200 classes, layer replaced"] == f"{smaller.count_params():,}"
    added = keras.layers.Dense(10)
    added.build((None, 1000))
    assert row["10 classes, layer added"] == f"{model.count_params() + added.count_params():,}"


NAMES = ("cat", "dog", "cow")
COUNTS = np.array([[5, 2, 0], [1, 9, 0], [0, 3, 0]])


def guesses(classes, images=400, right=0.6):
    """(labels, predicted) of a made-up classifier; the last class has no image."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, max(classes - 1, 1), images)
    return labels, np.where(rng.random(images) < right, labels, rng.integers(0, classes, images))


def test_the_classes_accuracies_are_their_recalls():
    labels, predicted = guesses(10)
    counts = metrics.confusion_matrix(labels, predicted, labels=range(10))
    table = deeper_networks.class_accuracies(counts, "abcdefghij")
    recalls = metrics.recall_score(labels, predicted, labels=range(9), average=None)
    assert table["accuracy"].tolist() == [*(f"{recall:.1%}" for recall in recalls), "none"]  # the last has no image
    assert table["images"].sum() == len(labels)


def test_the_class_taken_for_most_often_is_named():
    table = deeper_networks.class_accuracies(COUNTS, NAMES)
    assert table["most often taken for"].tolist() == ["dog (2)", "cat (1)", "dog (3)"]
    assert table["correct"].tolist() == [5, 9, 0]
    assert (
        deeper_networks.class_accuracies(np.eye(2, dtype=int), "ab")["most often taken for"].tolist()
        == ["no other"] * 2
    )


def drawn(counts, names):
    figure, ax = ws.plots.figure(5, 4.4)
    assert deeper_networks.draw_confusion(counts, names, ax) is ax
    figure.savefig(io.BytesIO(), format="png")
    return ax


def test_the_figure_prints_every_count_and_no_zero():
    ax = drawn(COUNTS, NAMES)
    written = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in ax.texts}
    assert written == {(i, j): str(COUNTS[i, j]) for i in range(3) for j in range(3) if COUNTS[i, j]}
    assert [label.get_text() for label in ax.get_yticklabels()] == list(NAMES)


def test_panels_side_by_side_have_one_colour_bar():
    figure, axes = ws.plots.figure(columns=2)
    for ax in axes:
        deeper_networks.draw_confusion(COUNTS, NAMES, ax)
    assert [ax.get_ylabel() for ax in figure.axes[2:]] == ["share of the class's images"]


@pytest.mark.parametrize("classes", [2, 70])
def test_few_and_many_classes_can_be_drawn(classes):
    counts = metrics.confusion_matrix(*guesses(classes), labels=range(classes))
    ax = drawn(counts, [f"class number {k}" for k in range(classes)])
    shares = ax.images[0].get_array()
    np.testing.assert_allclose(shares[0], counts[0] / counts[0].sum())
    assert 2 <= len(ax.get_yticks()) <= deeper_networks.TICKS
    assert bool(ax.texts) == (classes == 2)


def test_the_words_name_the_most_frequent_mistakes():
    said = ws.plots.alt_text(drawn(COUNTS, NAMES).figure)
    assert "20 test images in 3 classes" in said
    assert "14 on the diagonal" in said
    assert said.endswith("cow taken for dog (3 of 3); cat taken for dog (2 of 7); dog taken for cat (1 of 10).")
    assert ws.plots.alt_text(drawn(np.diag([2, 3]), "ab").figure).endswith("No mistakes.")


PROBABILITIES = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.3, 0.6, 0.1]])
LABELS = np.array([0, 0, 1, 1])


def test_the_surest_mistakes_come_first():
    table = deeper_networks.misclassified(PROBABILITIES, LABELS, NAMES)
    assert table.values.tolist() == [[2, "dog", "cow", 0.8, 0.1], [1, "cat", "dog", 0.7, 0.2]]


def test_probabilities_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="values that are not finite"):
        deeper_networks.misclassified(np.full((4, 3), np.nan), LABELS, NAMES)


def test_misclassified_images_are_the_splits_own():
    split = digits_dataset(32).test
    table = deeper_networks.misclassified(PROBABILITIES, LABELS, NAMES)
    figure, axes = ws.plots.figure(columns=3)
    deeper_networks.draw_misclassified(table, split, axes)
    assert [ax.get_title() for ax in axes] == ["dog → cow (80%)", "cat → dog (70%)", ""]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), split.rgb([2])[0])
    assert ws.plots.alt_text(figure) == (
        "2 of 2 misclassified test images, the surest mistakes first: test image 2 of class dog taken for cow with a "
        "probability of 80%; test image 1 of class cat taken for dog with a probability of 70%."
    )
    deeper_networks.draw_misclassified(table, split, axes[:1])
    assert "1 of 2 misclassified test images" in ws.plots.alt_text(figure)
    deeper_networks.draw_misclassified(table[:0], split, axes)
    assert ws.plots.alt_text(figure) == "No test image is misclassified."
