"""The figure of the printed gains: a line a model, grouped by verdict, and the same numbers in words."""

import io

import numpy as np
import pandas as pd
from matplotlib.transforms import Bbox

from wisesr_helpers import plots
from wisesr_helpers.metrics import BETTER, NO_DIFFERENCE, WORSE
from wisesr_helpers.studies import support

ROWS = pd.DataFrame(
    [
        ("Table 5", "Xception", "wise", 0.031, 0.010, 0.053, BETTER),
        ("Table 9", "Xception", "wise", 0.721, 0.695, 0.744, BETTER),
        ("Table 5", "ResNet50", "gap_dropout", 0.004, -0.019, 0.027, NO_DIFFERENCE),
        ("Table 5", "Xception", "gwap", -0.050, -0.072, -0.028, WORSE),
    ],
    columns=["where", "backbone", "head", "difference", "low", "high", "word"],
)


def drawn(rows, width=7, height=4):
    page, ax = plots.figure(width, height)
    assert plots.gains(rows, ax) is ax
    page.savefig(io.BytesIO(), format="png", dpi=30)
    return ax


def test_every_gain_is_drawn_with_its_interval_in_the_colour_of_its_verdict():
    ax = drawn(ROWS)
    intervals = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"]
    ends = [tuple(line.get_xdata()) for line in intervals if line.get_ydata()[0] == line.get_ydata()[1]]
    np.testing.assert_allclose(ends, 100 * ROWS.loc[[1, 0, 2, 3], ["low", "high"]].to_numpy())
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([mark.get_xdata()[0] for mark in marks], [72.1, 3.1, 0.4, -5.0])
    assert len({mark.get_color() for mark in marks}) == 3
    heights = [mark.get_ydata()[0] for mark in marks]
    assert heights == sorted(heights)  # the axis points down
    assert ax.yaxis_inverted()
    texts = sorted(ax.texts, key=lambda text: text.get_position()[1])
    assert [text.get_text() for text in texts[:4]] == [
        "better: 2 of 4",
        "wise: 2 of 2",
        "Xception, Table 9",
        "Xception, Table 5",
    ]
    assert [text.get_position()[1] for text in texts if "Table" in text.get_text()] == heights


def test_no_name_stands_on_an_interval():
    ax = drawn(support.comparisons().query("question == 'over GAP' and measure == 'top-1'"), 4.5, 9.4)
    boxes = [text.get_window_extent() for text in ax.texts]
    for line in ax.lines[:-1]:  # the last is zero
        ends = ax.transData.transform(line.get_xydata())
        assert not any(box.overlaps(Bbox([ends.min(axis=0), ends.max(axis=0)])) for box in boxes)
    inside = ax.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


def test_the_words_count_the_groups_and_name_every_gain():
    words = plots.alt_text(drawn(ROWS).figure)
    assert "better: 2 of 4: Xception + wise (Table 9) +72.1, Xception + wise (Table 5) +3.1." in words
    assert "no difference shown: 1 of 4: ResNet50 + gap_dropout (Table 5) +0.4." in words
    assert "worse: 1 of 4: Xception + gwap (Table 5) −5.0." in words


def test_a_group_without_rows_is_left_out():
    assert "worse" not in plots.alt_text(drawn(ROWS[:3]).figure)
