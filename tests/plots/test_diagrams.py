"""Diagrams follow the heads' layers."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots.heads import Step, head_steps


def words(head, shape, **options):
    return [
        (step.layer, step.detail, step.shape) for step in head_steps(head_layers(head, shape, 67, **options), shape)
    ]


def test_figure_8c():
    assert words("wise", (16, 16, 2048)) == [
        ("average pooling", "3×3", (5, 5, 2048)),
        ("depthwise", "5×5, weights ≥ 0", (2048,)),
        ("fully connected", "softmax", (67,)),
    ]


def test_figure_3f():
    assert words("wise_dropout", (7, 7, 1024)) == [
        ("average pooling", "2×2", (3, 3, 1024)),
        ("depthwise", "3×3, weights ≥ 0", (1024,)),
        ("dropout", "50%", (1024,)),
        ("fully connected", "softmax", (67,)),
    ]


@pytest.mark.parametrize("head", list(ws.HEADS))
def test_shapes_are_those_of_the_built_head(head):
    shape = (9, 12, 5)
    layers = head_layers(head, shape, 67)
    model = keras.Sequential([keras.Input(shape), *layers])
    steps = head_steps(layers, shape)
    built = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert [step.shape for step in steps if step.layer != "average pooling" or head == "avg_fc"] == built
    assert all(isinstance(step, Step) for step in steps)


def pixels(head, **options):
    figure, ax = plots.figure(9, 1.4)
    shape = (16, 16, 2048)
    plots.head_diagram(head_steps(head_layers(head, shape, 67, **options), shape), shape, ax)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_changing_a_heads_pool_changes_its_picture():
    np.testing.assert_array_equal(pixels("wise"), pixels("wise", pool_size=3))
    assert (pixels("wise") != pixels("wise", pool_size=4)).any()


def test_every_head_has_a_picture_of_its_own():
    pictures = {pixels(head).tobytes() for head in ws.HEADS}
    assert len(pictures) == len(ws.HEADS)
