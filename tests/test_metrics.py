"""Top-k accuracy against a full sort, Wilson's interval against its formula, chance against the test it inverts."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm, ttest_1samp
from scipy.stats import t as student

import wisesr_helpers as ws
from wisesr_helpers.metrics import (
    Difference,
    holm,
    images_needed,
    judge,
    mcnemar,
    mean_interval,
    minus,
    no_better_than_chance,
    p_text,
    paired_comparison,
    paired_difference,
    paired_difference_interval,
    points,
    top_k_correct,
    unpaired_comparison,
    wilson_interval,
)


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


@pytest.mark.parametrize(
    ("correct", "count"), [(0, 1), (1, 1), (0, 300), (300, 300), (1, 300), (150, 300), (943, 1340)]
)
def test_the_interval_is_wilsons(correct, count):
    z, p = norm.ppf(0.975), correct / count
    centre = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    expected = (centre - half, centre + half)
    assert wilson_interval(correct, count) == pytest.approx(expected, abs=1e-12)


def test_the_interval_ends_exactly_at_none_and_all():
    assert wilson_interval(0, 300)[0] == 0
    assert wilson_interval(300, 300)[1] == 1
    assert wilson_interval(0, 300)[1] > 0.01
    assert wilson_interval(300, 300)[0] < 0.99


def test_counts_of_numpy_give_plain_floats():
    assert [type(end) for end in wilson_interval(np.int64(3), np.float64(7))] == [float, float]


@pytest.mark.parametrize(("count", "classes"), [(300, 6), (1340, 67), (7, 2), (6, 1000)])
def test_chance_is_beaten_where_the_score_test_rejects_it(count, classes):
    """Wilson's interval holds what the score test doesn't reject: here the test itself, at every accuracy."""
    share = 1 / classes
    beyond = norm.ppf(0.975) * np.sqrt(share * (1 - share) / count)
    answers = [no_better_than_chance(correct, count, classes) for correct in range(count + 1)]
    assert answers == [bool(correct / count - share <= beyond) for correct in range(count + 1)]
    assert answers[0] is True
    assert answers[-1] is False


def test_the_confidence_is_95_percent():
    assert no_better_than_chance(61, 300, 6)
    assert binomtest(61, 300).proportion_ci(0.9, method="wilson").low > 1 / 6  # at 90% it would not be


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


def pairs(both, first, second, neither):
    """Which images two classifiers got right, by the four counts of McNemar's table."""
    counts = (both, first, second, neither)
    return [np.repeat(np.array(right, bool), counts) for right in ((1, 1, 0, 0), (1, 0, 1, 0))]


@pytest.mark.parametrize("table", [(50, 9, 2, 10), (50, 2, 9, 10), (0, 5, 5, 0), (7, 0, 0, 3), (900, 31, 12, 57)])
def test_with_one_run_each_it_is_mcnemars_exact_test(table):
    first, second = pairs(*table)
    b, c = table[1:3]
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_with_seeds_it_is_the_test_of_all_signs():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 3, 9)) < [[[0.8]], [[0.5]]]
    ahead = first.sum(axis=0) - second.sum(axis=0)
    signs = np.array(list(itertools.product([-1, 1], repeat=9)))
    expected = (np.abs(signs @ ahead) >= abs(ahead.sum())).mean()
    assert 0.01 < expected < 0.9
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(second, first) == pytest.approx(expected, rel=1e-9)


def test_repeating_a_seed_adds_no_evidence():
    first, second = pairs(50, 9, 2, 10)
    assert mcnemar([first] * 4, [second] * 4) == pytest.approx(mcnemar(first, second), rel=1e-9)
    once, often = (paired_difference_interval([first] * n, [second] * n) for n in (1, 4))
    assert often == pytest.approx(once, rel=1e-9)


@pytest.mark.parametrize("table", [(50, 9, 2, 10), (40, 0, 0, 2), (3, 5, 5, 0)])
def test_the_interval_of_a_difference_is_agresti_and_mins(table):
    images, (b, c) = sum(table) + 2, np.array(table[1:3]) + 0.5
    centre, half = (b - c) / images, norm.ppf(0.975) * np.sqrt((b + c) - (b - c) ** 2 / images) / images
    assert paired_difference_interval(*pairs(*table)) == pytest.approx((centre - half, centre + half), abs=1e-12)
    assert paired_difference(*pairs(*table))[0] == pytest.approx((table[1] - table[2]) / sum(table))


def runs_of_two(rng, seeds, images, luck):
    """Two classifiers, equally good but for the luck of each training: bool arrays (seeds, N)."""
    hardness = rng.normal(0, 1, images)
    return (
        hardness + rng.normal(0, luck, (2, seeds, 1)) + rng.normal(0, 1, (2, seeds, images)) < 1.2
    )  # about four of five are right


@pytest.mark.parametrize(("seeds", "luck", "least"), [(1, 0, 0.93), (3, 0, 0.93), (3, 0.1, 0.93)])
def test_the_interval_covers_the_truth(seeds, luck, least):
    rng = np.random.default_rng(0)
    ends = [paired_difference_interval(*runs_of_two(rng, seeds, 200, luck)) for _ in range(600)]
    assert np.mean([low <= 0 <= high for low, high in ends]) >= least


def test_one_seed_can_not_tell_luck_from_merit():
    rng = np.random.default_rng(0)
    ends = [paired_difference_interval(*runs_of_two(rng, 1, 200, 0.3)) for _ in range(300)]
    assert np.mean([low <= 0 <= high for low, high in ends]) < 0.8


def test_an_interval_ends_within_possible_differences():
    low, high = paired_difference_interval([True] * 3, [False] * 3)
    assert 0 < low < high == 1
    assert paired_difference_interval([True], [False])[1] <= 1


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2, 3), (3,)), ((0,), (0,))])
def test_runs_on_different_images_are_no_pairs(shapes):
    for function in (mcnemar, paired_difference, paired_difference_interval):
        with pytest.raises(ValueError, match="which of the same images"):
            function(*(np.ones(shape, bool) for shape in shapes))


def test_the_interval_of_a_mean_is_students():
    values = [1.0, 2.5, 2.0, 4.0]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((2.375, expected.low, expected.high))
    assert mean_interval([3]) == (3, -np.inf, np.inf)


def test_so_many_images_show_the_difference_in_four_of_five_tries():
    rng = np.random.default_rng(0)
    images = images_needed(0.05, 0.15)
    shown = []
    for _ in range(1500):
        b, c, _ = rng.multinomial(images, [0.10, 0.05, 0.85])
        shown.append(abs(b - c) / np.sqrt(b + c) > norm.ppf(0.975))
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)
    assert images_needed(0.05, 0.15) < images_needed(0.05, 0.3) < images_needed(0.02, 0.3)
    # By hand: ((1.95996·√0.3 + 0.84162·√(0.3 − 0.2²)) / 0.2)² = 56.45
    assert images_needed(0.2, 0.3) == 57
    assert images_needed(0.5, 0.1) == images_needed(0.5, 0.5)  # no fewer differ than the difference


def test_holms_correction_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.04, 0.01, 0.5, 0.6]), [0.12, 0.04, 1.0, 1.0])
    np.testing.assert_allclose(holm([0.2]), [0.2])


def test_a_paired_comparison_is_the_sign_test_with_the_paired_interval():
    first, second = pairs(50, 9, 2, 10)
    compared = paired_comparison(first, second)
    assert (compared.low, compared.high) == paired_difference_interval(first, second)
    assert (compared.difference, compared.p) == (pytest.approx(7 / 71), pytest.approx(binomtest(2, 11).pvalue))
    assert (compared.p_corrected, compared.word, compared.shown) == (None, "", False)


def test_a_paired_interval_over_seeds_has_satterthwaites_degrees_of_freedom():
    first = np.array([[1, 1, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0], [1, 1, 0, 0, 1, 1]], bool)
    second = np.array([[0, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 1], [0, 1, 0, 0, 1, 0]], bool)
    difference, over_images, over_seeds = paired_difference(first, second)
    assert min(over_images, over_seeds) > 0
    freedom = (over_images + over_seeds) ** 2 / (over_images**2 / 5 + over_seeds**2 / 2)  # 6 images, 3 seeds
    half = student.ppf(0.975, freedom) * np.sqrt(over_images + over_seeds)
    centre = difference * 6 / 8
    assert paired_difference_interval(first, second) == pytest.approx((centre - half, centre + half))


def score_z(x, n, y, m):
    """Agresti and Caffo's statistic in whole numbers: one right and one wrong image more on either side."""
    a, b, c, d = x + 1, n - x + 1, y + 1, m - y + 1
    return (a / (a + b) - c / (c + d)) / np.sqrt(a * b / (a + b) ** 3 + c * d / (c + d) ** 3)


@pytest.mark.parametrize("counts", [(943, 1340, 882, 1340), (5, 30, 9, 10), (0, 20, 0, 50), (200, 300, 150, 400)])
def test_accuracies_on_other_images_are_compared_by_their_counts(counts):
    x, n, y, m = counts
    compared, turned = unpaired_comparison(*counts), unpaired_comparison(y, m, x, n)
    assert compared.difference == pytest.approx(x / n - y / m)
    assert (turned.difference, turned.low, turned.high, turned.p) == pytest.approx(
        (-compared.difference, -compared.high, -compared.low, compared.p)
    )
    z = score_z(*counts)
    assert compared.p == pytest.approx(2 * norm.sf(abs(z)))
    centre = (compared.low + compared.high) / 2
    assert centre == pytest.approx((x + 1) / (n + 2) - (y + 1) / (m + 2))
    assert (compared.high - centre) * abs(z) == pytest.approx(norm.ppf(0.975) * abs(centre))


def test_the_unpaired_interval_covers_the_truth_of_few_images():
    """All outcomes of 12 and 15 images with their probabilities, no simulation."""
    right, other = np.arange(13), np.arange(16)
    spans = {(x, y): unpaired_comparison(x, 12, y, 15) for x in right for y in other}
    for first, second in ((0.5, 0.5), (0.8, 0.6), (0.95, 0.9)):
        likely = np.outer(binom.pmf(right, 12, first), binom.pmf(other, 15, second))
        covered = sum(likely[at] for at, span in spans.items() if span.low <= first - second <= span.high)
        assert covered > 0.94


def test_ends_of_an_unpaired_interval_are_possible_differences():
    assert unpaired_comparison(3, 3, 0, 3).high == 1
    assert unpaired_comparison(0, 3, 3, 3).low == -1


@pytest.mark.parametrize("counts", [(8, 7, 1, 2), (-1, 7, 1, 2), (1, 2, 3, 2), (0, 0, 1, 2)])
def test_what_counts_no_images_is_not_compared(counts):
    with pytest.raises(ValueError, match="Correct images must be 0 to the number of images"):
        unpaired_comparison(*counts)


def test_interval_and_p_of_counts_always_say_the_same():
    for x in range(0, 41):
        compared = unpaired_comparison(x, 40, 20, 40)
        assert (compared.p < 0.05) == (not compared.low <= 0 <= compared.high)
        assert judge({0: compared})[0].reason == ""


INTERVAL = "the interval decides, and contains 0: unlike p, it counts the luck of other trainings too"
P = "the corrected p decides"


@pytest.mark.parametrize(
    ("low", "high", "p", "others", "word", "reason"),
    [
        (0.01, 0.2, 0.02, 0, "better", ""),
        (-0.2, -0.01, 0.02, 0, "worse", ""),
        (0.01, 0.2, 0.02, 2, "no difference shown", P),  # 0.06 after Holm
        (-0.2, -0.01, 0.05, 0, "no difference shown", P),
        (-0.01, 0.2, 0.0039, 0, "no difference shown", INTERVAL),
        (0.0, 0.2, 0.0039, 0, "no difference shown", INTERVAL),
        (-0.2, 0.0, 0.0039, 0, "no difference shown", INTERVAL),
        (-0.1, 0.2, 0.02, 2, "no difference shown", P),
        (-0.1, 0.2, 0.3, 0, "no difference shown", ""),
    ],
)
def test_better_takes_both_the_interval_and_the_corrected_p(low, high, p, others, word, reason):
    more = {k: Difference(0.0, -0.1, 0.1, 0.9) for k in range(others)}
    judged = judge({"one": Difference((low + high) / 2, low, high, p), **more})
    assert list(judged) == ["one", *more]
    one = judged["one"]
    assert (one.word, one.shown) == (word, word != "no difference shown")
    assert one.reason.startswith(reason)
    assert bool(one.reason) == bool(reason)
    assert one.p_corrected == pytest.approx(p * (others + 1))
    assert one.in_words().endswith(f"; {one.reason})" if reason else ")")
    assert judge({}) == {}


def test_equal_classifiers_are_called_different_no_more_often_than_the_level():
    rng = np.random.default_rng(0)
    shown = []
    for _ in range(300):
        right = rng.random((4, 1, 80)) < 0.7
        shown.append(
            any(each.shown for each in judge({k: paired_comparison(right[k], right[3]) for k in range(3)}).values())
        )
    assert np.mean(shown) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_a_comparison_in_words():
    compared = Difference(0.023, -0.01, 0.056, 0.17)
    assert compared.in_words() == "+2.3 points (95% interval −1.0 to 5.6, p = 0.17)"
    assert judge({0: compared})[0].in_words("") == "2.3 points (95% interval −1.0 to 5.6, p = 0.17)"
    two = judge({0: compared, 1: compared})[0].in_words()
    assert two == "+2.3 points (95% interval −1.0 to 5.6, p = 0.34, corrected for the number of comparisons)"
    assert "(95% interval 1.0 to 5.6, p < 0.001)" in Difference(0.023, 0.01, 0.056, 0.0001).in_words()
    assert (points(-0.015), p_text(0.001), p_text(0.00099)) == ("−1.5", "0.001", "< 0.001")
    assert minus("top-1 of wise-2 from -1e-05 to -4, 2-3") == "top-1 of wise-2 from −1e−05 to −4, 2-3"
