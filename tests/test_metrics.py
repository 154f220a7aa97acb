"""Top-k accuracy against a full sort, Wilson's interval against its formula, chance against the test it inverts."""

import numpy as np
import pytest
from scipy.stats import norm

import wisesr_helpers as ws
from wisesr_helpers.metrics import no_better_than_chance, top_k_correct, wilson_interval


def by_sorting(probabilities, labels, k):
    """The same by sorting every row; a stable sort puts the lower of equal classes first."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    return np.array([label in row[:k] for label, row in zip(labels, ranked, strict=True)])


@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_equals_a_full_sort(k, decimals):
    rng = np.random.default_rng(k)
    probabilities = rng.random((400, 7)).round(decimals)  # one decimal: many ties
    labels = rng.integers(7, size=400)
    correct = top_k_correct(probabilities, labels, k)
    assert correct.dtype == bool
    np.testing.assert_array_equal(correct, by_sorting(probabilities, labels, k))


def test_one_decimal_makes_ties_that_matter():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.random((400, 7)).round(1), rng.integers(7, size=400)
    own = probabilities[np.arange(400), labels]
    generous = (probabilities > own[:, None]).sum(axis=1) < 1
    assert (generous != top_k_correct(probabilities, labels)).any()


def test_a_constant_prediction_is_right_for_exactly_the_first_k_classes():
    labels = np.array([0, 1, 2, 3, 0, 3])
    constant = np.full((6, 4), 0.25)
    np.testing.assert_array_equal(top_k_correct(constant, labels), labels == 0)
    np.testing.assert_array_equal(top_k_correct(constant, labels, 3), labels < 3)


def test_rows_with_nan_are_wrong_and_others_are_not_touched():
    probabilities = np.array([[0.9, 0.1], [np.nan, 0.1], [0.9, np.nan], [np.nan, np.nan], [0.1, 0.9]])
    labels = np.array([0, 1, 0, 0, 1])
    for k in (1, 2):
        np.testing.assert_array_equal(top_k_correct(probabilities, labels, k), [True, False, False, False, True])


def test_more_than_there_are_classes_means_all_of_them():
    probabilities = np.random.default_rng(1).random((20, 3))
    assert top_k_correct(probabilities, np.arange(20) % 3, 5).all()
    assert not top_k_correct(probabilities, np.arange(20) % 3, 2).all()


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(
    ("correct", "count"), [(0, 1), (1, 1), (0, 300), (300, 300), (1, 300), (150, 300), (943, 1340)]
)
def test_the_interval_is_wilsons(correct, count, confidence):
    z, p = norm.ppf(0.5 + confidence / 2), correct / count
    centre = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    expected = (centre - half, centre + half)
    assert wilson_interval(correct, count, confidence) == pytest.approx(expected, abs=1e-12)


def test_the_interval_covers_95_percent_unless_told_otherwise():
    assert wilson_interval(150, 300) == wilson_interval(150, 300, 0.95) != wilson_interval(150, 300, 0.9)


def test_the_interval_ends_exactly_at_none_and_all():
    assert wilson_interval(0, 300)[0] == 0
    assert wilson_interval(300, 300)[1] == 1
    assert wilson_interval(0, 300)[1] > 0.01
    assert wilson_interval(300, 300)[0] < 0.99


def test_counts_of_numpy_give_plain_floats():
    assert [type(end) for end in wilson_interval(np.int64(3), np.float64(7))] == [float, float]


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(("count", "classes"), [(300, 6), (1340, 67), (7, 2), (6, 1000)])
def test_chance_is_beaten_where_the_score_test_rejects_it(count, classes, confidence):
    """Wilson's interval holds what the score test doesn't reject: here the test itself, at every accuracy."""
    share = 1 / classes
    beyond = norm.ppf(0.5 + confidence / 2) * np.sqrt(share * (1 - share) / count)
    answers = [no_better_than_chance(correct, count, classes, confidence) for correct in range(count + 1)]
    assert answers == [bool(correct / count - share <= beyond) for correct in range(count + 1)]
    assert answers[0] is True
    assert answers[-1] is False


def test_the_confidence_is_95_percent_unless_told_otherwise():
    assert [no_better_than_chance(61, 300, 6, *more) for more in ((), (0.95,), (0.9,))] == [True, True, False]


def test_one_of_the_papers_models_at_512_is_no_better_than_chance():
    study = ws.STUDIES["mit_512"]
    rows = ws.published().query("where == @study.table and column == 'Top-1 accuracy'")
    right = {row.row: round(row.number * study.test_images) for row in rows.itertuples()}
    guesses = [name for name, k in right.items() if no_better_than_chance(k, study.test_images, study.classes)]
    assert guesses == ["Xception+GAP"]


def test_an_accuracy_below_chance_is_no_better():
    assert no_better_than_chance(0, 1000, 2)


@pytest.mark.parametrize(("correct", "count"), [(8, 7), (-1, 7)])
def test_no_numbers_of_images_are_refused(correct, count):
    with pytest.raises(ValueError, match="must"):
        no_better_than_chance(correct, count, 2)
