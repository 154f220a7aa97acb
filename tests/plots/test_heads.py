"""Drawings of heads and small maps follow what they draw, and so do their words."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.models import counts
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots import heads
from wisesr_helpers.plots.heads import Step, head_steps, weight_colours
from wisesr_helpers.plots.images import signed

LARGE = (16, 16, 2048)


def steps(head, shape=LARGE, **options):
    return head_steps(head_layers(head, shape, 67, **options), shape)


def diagram(head, **options):
    """(words, pixels) of a head's diagram."""
    drawn, ax = plots.figure(9, 1.4)
    assert plots.head_diagram(steps(head, **options), LARGE, ax) is ax
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return plots.alt_text(drawn), np.asarray(canvas.buffer_rgba()).tobytes()


@pytest.mark.parametrize(
    ("head", "shape", "expected"),
    [
        (
            "wise",  # Figure 8c
            LARGE,
            [
                Step("average pooling", "3×3", (5, 5, 2048)),
                Step("depthwise", "5×5, weights ≥ 0", (2048,)),
                Step("fully connected", "softmax", (67,)),
            ],
        ),
        (
            "wise_dropout",  # Figure 3f
            (7, 7, 1024),
            [
                Step("average pooling", "2×2", (3, 3, 1024)),
                Step("depthwise", "3×3, weights ≥ 0", (1024,)),
                Step("dropout", "50%", (1024,)),
                Step("fully connected", "softmax", (67,)),
            ],
        ),
    ],
)
def test_steps_are_those_of_the_papers_figures(head, shape, expected):
    assert steps(head, shape) == expected


@pytest.mark.parametrize("head", list(ws.HEADS))
def test_shapes_are_those_of_the_built_head(head):
    shape = (9, 12, 5)
    layers = head_layers(head, shape, 67)
    model = keras.Sequential([keras.Input(shape), *layers])
    built = [tuple(layer.output.shape[1:]) for layer in model.layers]
    found = head_steps(layers, shape)
    assert [step.shape for step in found if step.layer != "average pooling" or head == "avg_fc"] == built


def test_a_diagram_names_every_step_and_every_array():
    ax = plots.head_diagram(steps("wise"), LARGE, plots.figure()[1])
    assert [text.get_text() for text in ax.texts] == [
        "16×16×2048\nfeature map",
        "average pooling\n3×3",
        "5×5×2048",
        "depthwise\n5×5, weights ≥ 0",
        "2048",
        "fully connected\nsoftmax",
        "67",
    ]
    faces = [to_hex(text.get_bbox_patch().get_facecolor()).upper() for text in ax.texts]
    assert faces == [heads.ARRAY, *[heads.COMPUTING, heads.ARRAY] * 3]
    assert plots.alt_text(ax.figure) == (
        "a feature map of 16×16×2048; average pooling (3×3) gives 5×5×2048; depthwise (5×5, weights ≥ 0) gives 2048; "
        "fully connected (softmax) gives 67."
    )


def test_every_head_and_pool_has_a_picture_and_words_of_its_own():
    for told in zip(*(diagram(head) for head in ws.HEADS), strict=True):
        assert len(set(told)) == len(ws.HEADS)
    assert diagram("wise") == diagram("wise", pool_size=3)
    words, pixels = diagram("wise", pool_size=4)
    assert "average pooling (4×4) gives 4×4×2048; depthwise (4×4" in words
    assert pixels != diagram("wise")[1]


@pytest.mark.parametrize("shape", [(7, 7, 2048), LARGE], ids=str)
def test_no_head_is_cut_off(shape):
    drawn = plots.head_figure(list(ws.HEADS), shape, 1000)
    FigureCanvasAgg(drawn).draw()
    said = plots.alt_text(drawn)
    for ax, name in zip(drawn.axes, ws.HEADS, strict=True):
        assert ax.get_title(loc="left").endswith(f") {name}")
        assert f") {name}: a feature map" in said
        boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts]
        assert boxes[0].x0 >= 0
        assert boxes[-1].x1 <= drawn.bbox.width
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_one_head_alone_has_no_letter():
    said = plots.alt_text(plots.head_figure(["flatten_fc"], (7, 7, 2048), 70))
    assert said.startswith("flatten_fc: a feature map of 7×7×2048; flatten gives 100352;")


def test_a_small_map_shows_its_numbers():
    ax = heads.small_map([[6, 0.25], [0, 1 / 9]], plots.figure()[1])
    assert [text.get_text() for text in ax.texts] == ["6", "0.25", "0", "0.11"]
    assert plots.alt_text(ax.figure) == "rows from the top: 6 0.25; 0 0.11."
    heads.small_map(np.zeros((2, 2)), plots.figure()[1])


def test_cells_that_are_looked_at_and_those_that_are_not_are_drawn_apart():
    seen, pool = counts.cells_looked_at(7, 7)
    ax = heads.looked_at(seen, pool, plots.figure()[1])
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    blocks = [patch for patch in ax.patches if patch.get_width() == pool]
    assert (len(hatched), len(blocks)) == (13, 9)
    assert all(patch.get_x() == 5.5 or patch.get_y() == 5.5 for patch in hatched)
    assert plots.alt_text(ax.figure).startswith(
        "a map of 7×7 cells in blocks of 2×2, which cover its first 6 rows and 6 columns; 13 of 49"
    )
    whole = heads.looked_at(*counts.cells_looked_at(16, 16, 4), plots.figure()[1])
    assert plots.alt_text(whole.figure).endswith("4×4, which cover it.")


def test_weights_have_a_scale_of_two_colours_only_where_some_are_negative():
    maps = [np.array([[0.5, 0.0]]), np.array([[2.0, 1.0]])]
    assert weight_colours(maps) == {"cmap": "Blues", "vmin": 0, "vmax": 2}
    assert weight_colours([*maps, np.array([[-3.0, 1.0]])]) == {"cmap": signed(), "vmin": -3, "vmax": 3}
    assert weight_colours([np.zeros((2, 2))])["vmax"] == 1
