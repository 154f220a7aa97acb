"""What printed accuracies can support, beside formulas by hand."""

import math
from fractions import Fraction

import pytest
from test_published import attainable

from wisesr_helpers.metrics import BETTER, NO_DIFFERENCE, WORSE
from wisesr_helpers.published import published
from wisesr_helpers.studies import support

Z = 1.959963984540054  # of a normal distribution: 97.5%
Z80 = 0.8416212335729143  # 80%


@pytest.fixture(scope="module")
def printed():
    return support.accuracies()


@pytest.fixture(scope="module")
def compared(printed):
    return support.comparisons(printed)


def only(rows, **wanted):
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_intervals_are_wilsons_with_the_tables_own_test_set(printed):
    assert len(printed) == (published()["unit"] == "fraction").sum() - 2  # two are training accuracies
    images = {"Table 5": 3500, "Table 6": 3000, "Table 7": 1340, "Table 9": 1340, "Table 1": 10_000}
    assert (printed["images"] == printed["where"].map(images)).all()
    for row in printed.itertuples():
        n, p = row.images, row.correct / row.images
        assert p == pytest.approx(float(row.printed), abs=0.5 / n + 1e-12)
        middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
        scale = 1 + Z**2 / n
        assert (row.low, row.high) == pytest.approx(((middle - half) / scale, (middle + half) / scale), abs=1e-9)


def test_possible_is_what_exact_fractions_say(printed):
    assert [row.possible for row in printed.itertuples()] == [
        attainable(r.printed, r.images) for r in printed.itertuples()
    ]
    assert (~printed["possible"]).sum() == (published().query("unit == 'fraction'")["slip"] != "").sum() == 24
    below, above = support.neighbours("0.3571", 1340)
    assert (below, above) == (478, 479)
    assert Fraction(below, 1340) < Fraction("0.3571") < Fraction(above, 1340)


def test_differences_are_unpaired_and_corrected_within_a_table_and_question(compared):
    rows = compared.query("source == 'paper' and where == 'Table 7' and question == 'over GAP' and measure == 'top-1'")
    assert len(rows) == 12
    p_values = {}
    for row in rows.itertuples():
        first, second = ((round(share * row.images) + 1) / (row.images + 2) for share in _shares(row))
        spread = math.sqrt((first * (1 - first) + second * (1 - second)) / (row.images + 2))
        ends = (first - second - Z * spread, first - second + Z * spread)
        assert (row.low, row.high) == pytest.approx(ends, abs=1e-9)
        p_values[row.Index] = math.erfc(abs(first - second) / spread / math.sqrt(2))
    largest = 0
    for k, (index, p) in enumerate(sorted(p_values.items(), key=lambda pair: pair[1])):
        largest = max(largest, min(1, p * (len(p_values) - k)))
        assert rows["p_corrected"][index] == pytest.approx(largest, abs=1e-12)
        shown = largest < 0.05 and not rows["low"][index] <= 0 <= rows["high"][index]
        assert (rows["word"][index] != NO_DIFFERENCE) == shown


def _shares(row):
    table = published().query("where == @row.where and column == 'Top-1 accuracy' and source == 'paper'")
    by_model = table.set_index(["backbone", "head"])["number"]
    return by_model[row.backbone, row.head], by_model[row.other_backbone, row.other_head]


def test_what_the_tables_show_over_gap(compared):
    """Counted by hand: wise 11 of 12 beyond the interval, depthwise none, GWAP below, dropout nothing."""
    rows = compared.query("question == 'over GAP' and measure == 'top-1'")
    above, below = (rows["low"] > 0).groupby(rows["head"]).sum(), (rows["high"] < 0).groupby(rows["head"]).sum()
    assert (above["wise"], (rows["head"] == "wise").sum()) == (11, 12)
    missed = rows[(rows["head"] == "wise") & (rows["low"] <= 0)].iloc[0]
    assert (missed["backbone"], round(100 * missed["difference"], 2)) == ("DenseNet121", 2.06)
    assert (above["depthwise"], below["depthwise"]) == (0, 0)
    assert (above["gap_dropout"], below["gap_dropout"]) == (0, 0)
    assert below["gwap"] == 3


def test_pairing_can_only_lie_between_its_bounds(compared):
    order = {WORSE: -1, NO_DIFFERENCE: 0, BETTER: 1}
    words = compared[["word_if_paired_worst", "word_if_paired_best"]].map(order.get)
    sign = compared["difference"].apply(lambda d: (d > 0) - (d < 0))
    assert (words["word_if_paired_best"].abs() >= words["word_if_paired_worst"].abs()).all()
    assert (words["word_if_paired_best"] * sign >= 0).all()
    paper = compared[compared["source"] == "paper"]
    best, unpaired, worst = (
        paper[f"high{name}"] - paper[f"low{name}"] for name in ("_if_paired_best", "", "_if_paired_worst")
    )
    assert (best < unpaired).all()
    assert (unpaired < 1.001 * worst).all()  # the two formulas differ a little
    row = only(compared, where="Table 9", backbone="ResNet50V2", head="wise", other_head="gap", measure="top-1")
    assert (row["word"], row["word_if_paired_best"], row["word_if_paired_worst"]) == (BETTER, BETTER, NO_DIFFERENCE)


@pytest.mark.parametrize(("together", "different"), [(True, 2), (False, 8)])
def test_the_bounds_are_mistakes_that_coincide_or_do_not(together, different):
    first, second = support.right_images(7, 5, 10, together)
    assert (first.sum(), second.sum(), (first != second).sum()) == (7, 5, different)


def test_what_would_settle_a_comparison_is_connors_formula_and_twice_the_variance(compared):
    row = only(compared, where="Table 5", backbone="DenseNet121", head="wise", other_head="gap", measure="top-1")
    a, b = round(0.6495 * 3500) / 3500, round(0.6289 * 3500) / 3500
    apart = a * (1 - b) + b * (1 - a)
    images = ((Z * math.sqrt(apart) + Z80 * math.sqrt(apart - (a - b) ** 2)) / (a - b)) ** 2
    assert row["images_needed"] == math.ceil(images)
    assert row["seeds_needed"] == math.ceil(2 * ((Z + Z80) * 0.01 / (a - b)) ** 2) == 4
    assert support.settling(700, 700, 1000) == (0, 0)
    settled = compared[compared["word"] != NO_DIFFERENCE]
    assert (settled[["images_needed", "seeds_needed"]] == 0).all(axis=None)
