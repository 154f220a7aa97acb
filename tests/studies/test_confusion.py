"""Mistakes counted, drawn and told: against scikit-learn's matrix, and by hand."""

import io

import numpy as np
import pytest
from sklearn import metrics

import wisesr_helpers as ws
from wisesr_helpers.data.embedded import digits_dataset
from wisesr_helpers.studies import deeper_networks

NAMES = ("cat", "dog", "cow")
COUNTS = np.array([[5, 2, 0], [1, 9, 0], [0, 3, 0]])


def guesses(classes, images=400, right=0.6):
    """(labels, predicted) of a made-up classifier; the last class has no image."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, max(classes - 1, 1), images)
    return labels, np.where(rng.random(images) < right, labels, rng.integers(0, classes, images))


@pytest.mark.parametrize("classes", [2, 10, 70])
def test_the_matrix_is_scikit_learns(classes):
    labels, predicted = guesses(classes)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(classes))
    counts = deeper_networks.confusion_matrix(labels, predicted, classes)
    np.testing.assert_array_equal(counts, expected)
    assert not np.array_equal(counts, counts.T)  # rows and columns could be told apart


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], r"two arrays of the same length; received shapes \(2,\) and \(1,\)"),
        ([0, 3], [0, 1], "labels must be whole numbers from 0 to 2, one of 3 classes; received int64 from 0 to 3"),
        ([0, 1], [-1, 1], "predicted must be whole numbers from 0 to 2.*from -1 to 1"),
        ([0, 1], [0.0, 1.0], "predicted must be whole numbers from 0 to 2.*received float64"),
    ],
)
def test_what_is_no_class_is_refused(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        deeper_networks.confusion_matrix(labels, predicted, 3)


def test_the_classes_accuracies_are_their_recalls():
    labels, predicted = guesses(10)
    table = deeper_networks.class_accuracies(deeper_networks.confusion_matrix(labels, predicted, 10), "abcdefghij")
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


@pytest.mark.parametrize("classes", [2, 70])
def test_few_and_many_classes_can_be_drawn(classes):
    counts = deeper_networks.confusion_matrix(*guesses(classes), classes)
    ax = drawn(counts, [f"class number {k}" for k in range(classes)])
    shares = ax.images[0].get_array()
    np.testing.assert_allclose(shares[0], counts[0] / counts[0].sum())
    assert 2 <= len(ax.get_yticks()) <= deeper_networks.TICKS
    assert bool(ax.texts) == (classes == 2)


def test_the_words_name_the_most_frequent_mistakes():
    said = deeper_networks.describe_confusion(COUNTS, NAMES)
    assert "20 test images in 3 classes" in said
    assert "14 on the diagonal" in said
    assert said.endswith("cow taken for dog (3 of 3); cat taken for dog (2 of 7); dog taken for cat (1 of 10).")
    assert deeper_networks.describe_confusion(np.diag([2, 3]), "ab").endswith("No mistakes.")


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
    _, axes = ws.plots.figure(columns=3)
    deeper_networks.draw_misclassified(split, table, axes)
    assert [ax.get_title() for ax in axes] == ["dog → cow (80%)", "cat → dog (70%)", ""]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), split.rgb([2])[0])
    assert deeper_networks.describe_misclassified(table, 1) == (
        "1 of 2 misclassified test images, the surest mistakes first: test image 2 of class dog taken for cow with a "
        "probability of 80%."
    )
    assert deeper_networks.describe_misclassified(table[:0], 1) == "No test image is misclassified."
