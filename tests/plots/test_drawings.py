"""Drawings of heads and small maps follow what they draw, and so do their words."""

import itertools

import numpy as np
import pytest
from _pages import costs
from matplotlib.backends.backend_agg import FigureCanvasAgg

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers.models import counts
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots import heads
from wisesr_helpers.plots.heads import head_steps


def words(head, shape=(16, 16, 2048), **options):
    return plots.describe_head_diagram(head_steps(head_layers(head, shape, 67, **options), shape), shape)


def test_a_head_in_words_names_every_step():
    assert words("wise") == (
        "a feature map of 16×16×2048; average pooling (3×3) gives 5×5×2048; depthwise (5×5, weights ≥ 0) gives 2048; "
        "fully connected (softmax) gives 67"
    )


def test_changing_a_heads_pool_changes_its_words():
    assert words("wise", pool_size=3) == words("wise")
    assert "average pooling (4×4) gives 4×4×2048; depthwise (4×4" in words("wise", pool_size=4)
    assert len({words(head) for head in ws.HEADS}) == len(ws.HEADS)


@pytest.mark.parametrize("shape", [(7, 7, 2048), (16, 16, 2048)], ids=str)
def test_no_head_is_cut_off(shape):
    drawn, said = plots.head_figure(list(ws.HEADS), shape, 1000)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    assert len(drawn.axes) == len(ws.HEADS)
    for ax, name in zip(drawn.axes, ws.HEADS, strict=True):
        assert ax.get_title(loc="left").endswith(f") {name}")
        assert f") {name}: a feature map" in said
        boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts]
        assert boxes[0].x0 >= 0
        assert boxes[-1].x1 <= drawn.bbox.width
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_one_head_alone_has_no_letter():
    drawn, said = plots.head_figure(["flatten_fc"], (7, 7, 2048), 70)
    assert drawn.axes[0].get_title(loc="left") == "flatten_fc"
    assert said.startswith("flatten_fc: a feature map of 7×7×2048; flatten gives 100352;")


def test_a_small_map_shows_its_numbers():
    values = np.array([[6, 0.25], [0, 1 / 9]])
    ax = heads.small_map(values, plots.figure()[1])
    assert [text.get_text() for text in ax.texts] == ["6", "0.25", "0", "0.11"]
    assert heads.describe_small_map(values) == "rows from the top: 6 0.25; 0 0.11"
    heads.small_map(np.zeros((2, 2)), plots.figure()[1])


def test_cells_that_are_looked_at_and_those_that_are_not_are_drawn_apart():
    seen, pool = counts.cells_looked_at(7, 7)
    ax = heads.looked_at(seen, pool, plots.figure()[1])
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    blocks = [patch for patch in ax.patches if patch.get_width() == pool]
    assert (len(hatched), len(blocks)) == (13, 9)
    assert all(patch.get_x() == 5.5 or patch.get_y() == 5.5 for patch in hatched)
    said = heads.describe_looked_at(seen, pool)
    assert said.startswith("a map of 7×7 cells in blocks of 2×2, which cover its first 6 rows and 6 columns; 13 of 49")
    assert heads.describe_looked_at(*counts.cells_looked_at(16, 16, 4)).endswith("4×4, which cover it")


def test_growth_is_drawn_from_its_rows():
    rows = costs.growth(("gap", "wise"))
    _, axes = plots.figure(columns=3)
    assert plots.growth(rows, axes) is axes
    for ax, (what, panel) in zip(axes, rows.groupby("grows with", sort=False), strict=True):
        assert ax.get_xlabel() == what
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert [line.get_label() for line in ax.lines] == ["gap", "wise"]
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), panel[panel["head"] == "wise"]["parameters"])
    said = plots.describe_growth(rows)
    assert "channels from 256 to 4,096: gap 17,990 to 286,790, wise 20,550 to 327,750." in said
