"""Figures of runs: drawn from the records' own numbers, with words made of the same numbers."""

import io

import numpy as np
import pytest
import records
from matplotlib.colors import to_hex
from records import result

from wisesr_helpers import plots
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.plots.runs import OTHER_COLOURS, row_styles
from wisesr_helpers.training import runs

EARLY = records.diverged((), step=1, loss=None)


def words(ax):
    return plots.alt_text(ax.figure)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def marked(ax, mark):
    return [line for line in ax.lines if line.get_marker() == mark]


def test_a_head_keeps_its_colour():
    assert plots.colour("gap") != plots.colour("wise")
    assert plots.colour("avg_fc") == plots.colour("avg_fc") in OTHER_COLOURS


def test_rows_of_backbones_with_a_head_have_its_colour_and_dashes_of_their_own():
    styles = row_styles(["small_patch + flatten_fc", "small_conv + gap", "VGG16 + gap", "all three"])
    assert styles[:3] == [
        (plots.colour("flatten_fc"), "-"),
        (plots.colour("gap"), "-"),
        (plots.colour("gap"), "--"),
    ]
    assert styles[3][0] not in {plots.colour("flatten_fc"), plots.colour("gap")}
    others = [colour for colour, _ in row_styles(["gap", "wise", "1", "2", "3", "4", "5"])][2:]
    assert others[-1] == "#56B4E9"  # what is near the blue of wise is used last
    assert len(set(others)) == 5


def test_rows_of_a_head_among_settings_have_its_colour_while_dashes_tell_them_apart():
    titles = ["gap, small_conv", "wise, small_conv", "wise, 16×16 cells"]
    assert row_styles(titles) == [(plots.colour("gap"), "-"), (plots.colour("wise"), "-"), (plots.colour("wise"), "--")]
    many = [*(f"wise, {part}" for part in "abcd"), "wise"]
    assert [ink == plots.colour("wise") for ink, _ in row_styles(many)] == [False] * 4 + [True]
    table = runs.as_table([result(head="wise", seed=seed) for seed in range(5)])
    table.insert(0, "row", many)
    *lines, _ = plots.accuracies(table, plots.figure()[1]).lines  # where each row has its name beside it
    assert {line.get_color() for line in lines} == {plots.colour("wise")}


def test_a_row_called_like_a_head_has_its_colour_and_no_other_row_has():
    styles = dict(zip("a b wise gwap c d e f".split(), row_styles("a b wise gwap c d e f".split()), strict=True))
    assert styles["wise"] == (plots.colour("wise"), "-")
    assert styles["gwap"] == (plots.colour("gwap"), "-")
    assert len(set(styles.values())) == 8
    others = {colour for title, (colour, _) in styles.items() if title not in ("wise", "gwap")}
    assert not others & {plots.colour(head) for head in ("gap", "wise", "gwap")}


@pytest.mark.parametrize(
    ("measure", "words_of_it", "first", "last"),
    [
        ("test_top1", "test top-1", "20.0%", "50.0%"),
        ("top1", "training top-1", "20.0%", "50.0%"),
        ("test_loss", "test loss", "1.5", "0.5"),
        ("learning_rate", "learning rate", "0.045", "0.045"),
    ],
)
def test_curves_draw_and_say_the_history_of_every_run(measure, words_of_it, first, last):
    drawn = [
        result(head="gap", seed=2, correct=(60, 120, 150)),
        result(head="wise", correct=(30, 290)),
        result(head="wise", backbone="small_conv", seed=1, correct=(99,)),
    ]
    page, (other, ax) = plots.figure(columns=2)
    assert plots.curves(drawn, ax, measure) is ax
    assert not other.has_data()
    assert page.axes == [other, ax]
    for line, run in zip(ax.lines, drawn, strict=False):
        np.testing.assert_array_equal(line.get_xdata(), [row["epoch"] for row in run.history])
        np.testing.assert_array_equal(line.get_ydata(), [row[measure] for row in run.history])
    lines = ax.lines[:3]
    assert [to_hex(line.get_color()).upper() for line in lines] == ["#D55E00", "#0072B2", "#0072B2"]
    assert lines[0].get_linestyle() == lines[1].get_linestyle() != lines[2].get_linestyle()
    assert ax.get_ylabel() == words_of_it
    start = f"{words_of_it} by epoch. small_patch + gap, seed 2: {first} after epoch 1, {last} after epoch 3; "
    assert words(ax).startswith(start)
    assert words(ax).count("after epoch") == 5  # the last run's only epoch is said once
    guessed = measure.endswith("top1")
    assert len(ax.lines) == 3 + guessed
    assert ("Chance is 16.7%." in words(ax)) == ("chance" in legend(ax)) == guessed
    assert (ax.get_ylim() == (0, 1.02)) == guessed


@pytest.mark.parametrize("count", [6, 7])
def test_among_many_curves_that_of_wise_stands_out(count):
    table = runs.as_table([result(head="gap", seed=seed) for seed in range(count - 1)] + [result(head="wise")])
    table.insert(0, "row", [f"row {k}" for k in range(count - 2)] + ["gap", "wise"])
    ax = plots.curves(table, plots.figure()[1])
    *others, gap, wise = (line for line in ax.lines if line.get_linestyle() != ":")
    assert to_hex(gap.get_color()) == to_hex(plots.colour("gap"))
    assert to_hex(wise.get_color()) == to_hex(plots.colour("wise"))
    assert (len({line.get_color() for line in others}) == 1) == (count == 7)
    colours = {to_hex(line.get_color()) for line in plots.accuracies(table, plots.figure()[1]).lines[:-1]}
    assert colours == {to_hex(plots.colour("wise")), to_hex(plots.colour("gap")), to_hex("0.5")} or count == 6
    assert len(colours) == (3 if count == 7 else 6)
    assert legend(ax) == (["5 others", "gap", "wise", "chance"] if count == 7 else [*table["row"], "chance"])
    assert all(f"{title}, seed" in words(ax) for title in table["row"])


def with_classes(count, **choices):
    return result(**choices, changes={"classes": tuple(map(str, range(count)))})


@pytest.mark.parametrize(("counts", "levels"), [((4, 4, 4), [0.25]), ((4, 8, 4), [0.125, 0.25])])
def test_chance_has_a_line_for_every_number_of_classes_and_one_name(counts, levels):
    drawn = [with_classes(count, seed=seed) for seed, count in enumerate(counts)]
    ax = plots.curves(drawn, plots.figure()[1])
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [[level] * 2 for level in levels]
    assert legend(ax) == ["small_patch + wise", "chance"]
    assert words(ax).endswith("".join(f" Chance is {level:.1%}." for level in levels))


def test_curves_leave_a_gap_where_nothing_is_finite():
    ax = plots.curves([result(seed=0, losses=[1.5, None]), result(seed=1)], plots.figure()[1], "test_loss")
    assert legend(ax) == ["small_patch + wise"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.5, np.nan])
    assert ax.get_ylim()[1] > 1.1  # a loss is no share
    assert "no finite value after epoch 2" in words(ax)


@pytest.mark.parametrize("measure", ["test_top1", "loss"])
def test_a_run_that_is_not_complete_ends_with_a_mark_that_the_legend_explains(measure):
    drawn = [
        result(head="gap", seed=1, **records.diverged((60, 99))),
        result(correct=(60, 99), status="running", epochs=20),
        result(head="avg_fc"),
    ]
    ax = plots.curves(drawn, plots.figure()[1], measure)
    for mark, run in (("x", drawn[0]), ("_", drawn[1])):
        (end,) = marked(ax, mark)
        assert (list(end.get_xdata()), list(end.get_ydata())) == ([2], [run.history[1][measure]])
        assert to_hex(end.get_color()) == to_hex(plots.colour(run.head))
    endings = ["small_patch + gap, seed 1: diverged in epoch 3", "small_patch + wise, seed 0: running (2 of 20 epochs)"]
    assert legend(ax)[:5] == ["small_patch + gap", endings[0], "small_patch + wise", endings[1], "small_patch + avg_fc"]
    assert ax.get_xlim()[1] > 20  # epochs of its recipe: it is seen to end early
    assert measure != "loss" or ax.get_ylim()[0] > 0.5  # losses 1.5 and 0.75: a long recipe doesn't stretch the scale
    assert "after epoch 2, diverged in epoch 3; small_patch + wise, seed 0: " in words(ax)


@pytest.mark.parametrize("measure", ["test_top1", "loss"])
@pytest.mark.parametrize("others", [0, 1])
def test_a_run_that_diverged_before_a_whole_epoch_is_named(measure, others):
    drawn = [result(head="gap", **EARLY), *[result()] * others]
    page, axes = plots.figure(9, 3, columns=2)
    for ax in axes:
        plots.curves(drawn, ax, measure)
    first = "small_patch + gap, seed 0: diverged in epoch 1"
    assert legend(axes[0])[: 1 + others] == [first, "small_patch + wise"][: 1 + others]
    page.savefig(io.BytesIO(), dpi=40)  # a warning that the layout collapsed is an error
    assert axes[1].get_position().width > 0.3
    assert "by epoch. small_patch + gap, seed 0: no whole epoch, diverged in epoch 1" in words(ax)


def test_a_single_epoch_is_ticked_as_a_whole_number():
    drawn, ax = plots.figure()
    plots.curves([result(correct=(60,))], ax)
    drawn.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_accuracies_draw_and_say_every_run_with_its_interval(tmp_path):
    for head, backbone, seed, right in (
        ("gap", "small_patch", 0, 150),
        ("wise", "small_patch", 0, 290),
        ("wise", "small_patch", 1, 300),
        ("gap", "small_conv", 0, 287),
    ):
        records.keep(tmp_path, head=head, backbone=backbone, seed=seed, correct=(60, right))
    page, (other, ax) = plots.figure(columns=2)
    assert plots.accuracies(runs.load_runs(tmp_path), ax) is ax
    assert not other.has_data()
    assert page.axes == [other, ax]
    dots = marked(ax, "o")
    *spans, guess = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert list(guess.get_xdata()) == [1 / 6] * 2  # the records' six classes
    assert guess.get_linestyle() == ":"
    assert [text.get_text().strip() for text in ax.texts] == ["chance"]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["small_conv + gap", "small_patch + gap", "small_patch + wise"]
    assert ax.yaxis_inverted()  # the first on top
    found = []
    for dot, span in zip(dots, spans, strict=True):
        title, right = names[round(dot.get_ydata()[0])], round(dot.get_xdata()[0] * 300)
        low, high = wilson_interval(right, 300)
        assert tuple(span.get_xdata()) == pytest.approx((low, high))
        assert list(span.get_ydata()) == [dot.get_ydata()[0]] * 2
        assert dot.get_color() == span.get_color() == plots.colour(title.split(" + ")[1])
        assert f"{right / 300:.1%} ({low:.1%} to {high:.1%})" in words(ax)
        found.append((title, right))
    assert sorted(found) == [(names[0], 287), (names[1], 150), (names[2], 290), (names[2], 300)]
    assert "small_patch + wise, seed 1: 100.0% (" in words(ax)
    assert words(ax).endswith(". Chance is 16.7%.")


def test_accuracies_put_runs_that_are_not_complete_off_the_scale():
    drawn = [
        result(head="gap", seed=0, correct=(60, 150)),
        result(head="gap", seed=1, **records.diverged((60, 299))),
        result(head="gap", seed=2, **EARLY),
        result(head="wise", seed=0, correct=(60, 298), status="running", epochs=20),
    ]
    page, ax = plots.figure()
    plots.accuracies(drawn, ax)
    assert [list(line.get_xdata()) for line in marked(ax, "o")] == [[0.5]]
    on_scale = [line for line in ax.lines if line.get_transform() == ax.transData]
    assert len(on_scale) == 2  # a dot and its interval; chance goes across
    crosses = marked(ax, "x")
    assert [to_hex(line.get_color()) for line in crosses] == [to_hex(plots.colour("gap"))] * 2
    assert all(line.get_transform() == ax.get_yaxis_transform() for line in crosses)
    assert all(0 < line.get_xdata()[0] < 0.05 for line in crosses)
    assert sorted(text.get_text().strip() for text in ax.texts) == [
        "chance",
        "seed 0 running (2 of 20 epochs)",
        "seed 1 diverged in epoch 3; seed 2 diverged in epoch 1",
    ]
    page.savefig(io.BytesIO(), dpi=40)
    for part in ("gap, seed 0: 50.0%", "gap, seed 1: diverged in epoch 3", "wise, seed 0: running (2 of 20 epochs)"):
        assert f"small_patch + {part}" in words(ax)
    assert "99" not in words(ax)


def test_rows_keep_their_titles_and_their_order():
    table = runs.as_table([result(head="wise"), result(head="gap", correct=(30,), status="running", epochs=5)])
    table.insert(0, "row", ["learned", "average"])
    left, right = plots.figure(columns=2)[1]
    plots.accuracies(table, left)
    assert [label.get_text() for label in left.get_yticklabels()] == ["learned", "average"]
    assert [line.get_xdata()[0] for line in marked(left, "o")] == [0.9]  # the complete run's alone
    assert "learned, seed 0: 90.0% (86.1% to 92.9%); average, seed 0: running (1 of 5 epochs)" in words(left)
    lines = {line.get_label(): line for line in plots.curves(table, right).lines}
    assert list(lines["learned"].get_ydata()) == [0.2, 0.9]
    assert "average, seed 0: running (1 of 5 epochs)" in lines
    assert "learned, seed 0: 20.0% after epoch 1, 90.0% after epoch 2" in words(right)
