"""Two mirrored scenes for the first pages: the figure of what GAP loses, and the weights that a reader paints.

Their glyphs stand in the same cells with the digits exchanged, so that both scenes hold the very same cells. A channel
answers to a digit: one convolution over a cell, its weights the mean training glyph of the digit less that of the
other. Activations are whole numbers, 10 for the mean glyph.
"""

import base64
import functools
import html
import io

import numpy as np
import pandas as pd
from IPython.display import HTML
from PIL import Image

import wisesr_helpers as ws
from _pages.markup import ink, radios, script_data, table
from wisesr_helpers._keras import keras
from wisesr_helpers.data.embedded import STRIDE, draw_scene, glyphs, glyphs_per_ring
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots import colour

DIGITS = (0, 2)
SIDE = 7  # cells, as the last map of a 224×224 image
CELLS = SIDE * SIDE
CENTRE = (SIDE - 2) / 2  # of the cells that a glyph can stand in: the last row and column stay empty
SCENE = 9  # of the test scenes
TRAINING = {"scenes": 200, "epochs": 20, "batch_size": 50, "learning_rate": 0.03}
NAMES = tuple("{} inside, {} outside".format(*pair) for pair in (DIGITS, DIGITS[::-1]))


def draw(pair, split, seed):
    """The cells of a scene whose glyphs fill a cell each: uint8 (SIDE, SIDE, STRIDE, STRIDE)."""
    scene = draw_scene(*pair, SIDE * STRIDE, split, np.random.default_rng(seed), jitter=False)
    return scene.reshape(SIDE, STRIDE, SIDE, STRIDE).swapaxes(1, 2)


def exchanged(cells):
    """The mirrored scene: the glyphs near the centre and those near the border have changed places."""
    count = glyphs_per_ring(SIDE * STRIDE)
    brightest = np.argsort(-cells.mean((2, 3)), axis=None)[: 2 * count]
    rows, columns = np.unravel_index(brightest, (SIDE, SIDE))
    outwards = np.argsort(np.hypot(rows - CENTRE, columns - CENTRE))
    rows, columns = rows[outwards], columns[outwards]
    partner = cells.copy()
    partner[rows, columns] = cells[np.roll(rows, count), np.roll(columns, count)]
    return partner


@functools.cache
def _filters():
    """The convolution of each digit's channel: (2, STRIDE, STRIDE)."""
    means = [np.kron(glyphs(digit, "train").mean(0), np.ones((STRIDE // 8, STRIDE // 8))) for digit in DIGITS]
    found = []
    for own, other in (means, means[::-1]):
        answer = own - other
        answer -= answer.mean()
        found.append(10 * answer / (answer * own).sum())
    return np.stack(found)


def feature_map(cells):
    """(…, SIDE, SIDE, STRIDE, STRIDE) → (…, SIDE, SIDE, 2), whole numbers from 0 as float32."""
    answers = np.einsum("...yx,kyx->...k", cells / 255, _filters())
    return np.round(np.maximum(answers, 0)).astype("float32")


@functools.cache
def scenes():
    """The two scenes: (2, SIDE, SIDE, STRIDE, STRIDE)."""
    cells = draw(DIGITS, "test", SCENE)
    return np.stack([cells, exchanged(cells)])


@functools.cache
def trained(head):
    """A head, trained on the maps of training scenes of both kinds: a classifier of maps, its classes as ``NAMES``."""
    maps, labels = _training_maps()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(maps.shape[1:], name="features"), *head_layers(head, maps.shape[1:], 2)])
    model.compile(keras.optimizers.Adam(TRAINING["learning_rate"]), "sparse_categorical_crossentropy")
    model.fit(maps, labels, TRAINING["batch_size"], TRAINING["epochs"], verbose=0)
    return model


@functools.cache
def _training_maps():
    pairs = DIGITS, DIGITS[::-1]
    labels = np.arange(TRAINING["scenes"]) % 2
    return feature_map(np.stack([draw(pairs[label], "train", [1, k]) for k, label in enumerate(labels)])), labels


def learned():
    """Wise-SrNet's pooling layer, learned."""
    return trained("wise").get_layer("pooling")


@functools.cache
def vectors():
    """Head → what it makes of the two scenes, an array (2 scenes, 2 channels)."""
    maps = feature_map(scenes())
    average = keras.layers.GlobalAveragePooling2D()
    return {"gap": np.array(average(maps)), "wise": np.array(learned()(maps))}


# --- the figure


def described():
    """The figure in words."""
    said = []
    for head, title in (("gap", "GAP"), ("wise", "Wise-SrNet")):
        each = [f"{_numbers(vector)} for {name}" for name, vector in zip(NAMES, vectors()[head], strict=True)]
        said.append(f"{title} gives {' and '.join(each)}")
    return (
        f"Two mirrored scenes of the handwritten digits {DIGITS[0]} and {DIGITS[1]}: {', and '.join(NAMES)}. "
        f"One channel answers to each digit. {'; '.join(said)}."
    )


def _numbers(vector):
    return "(" + ", ".join(f"{value:.2f}" for value in vector) + ")"


def figure():
    """The two scenes, a row each, and the vector that each head makes of them."""
    found = vectors()
    drawn = [_text(48, 14, "scene"), _text(168, 14, "GAP"), _text(300, 14, "Wise-SrNet")]
    for k, top in enumerate((24, 162)):
        drawn.append(_picture(scenes()[k], top, 96))
        for head, middle in (("gap", 168), ("wise", 300)):
            drawn += _bars(found[head][k], found[head].max(), middle, top, ink(colour(head)))
    for head, middle in (("gap", 168), ("wise", 300)):
        sign = "=" if np.allclose(*found[head]) else "≠"
        drawn.append(_text(middle, 154, sign, size=26, weight="bold"))
    drawing = _svg(360, 262, "".join(drawn), described())
    return HTML(
        f'<figure class="mirrored">{drawing}<figcaption>Two scenes with the same digits at different places, and the '
        "vector that the classifier would see: how strongly each digit was found. GAP’s two vectors are equal, so "
        "nothing behind them can tell the scenes apart. Wise-SrNet’s differ: when this page was built, it learned from "
        f"{TRAINING['scenes']} other scenes to look {_where()}. Demo: not the paper’s data.</figcaption></figure>"
    )


def _where():
    """Where the weights that were learned are large."""
    blocks = np.array(learned().kernel)[..., 0].mean(-1)  # (3, 3)
    return "near the border" if blocks[1, 1] < blocks.mean() else "near the centre"


def _bars(vector, most, middle, top, fill):
    """A bar for each channel with its value above and its digit below."""
    drawn = [f'<path d="M{middle - 44} {top + 80.5}h88" stroke="currentColor" stroke-opacity="0.5"/>']
    for digit, value, x in zip(DIGITS, vector, (middle - 22, middle + 22), strict=True):
        height = 62 * max(value, 0) / most
        drawn.append(
            f'<rect x="{x - 15}" y="{top + 80 - height:.1f}" width="30" height="{height:.1f}" style="fill: {fill}"/>'
            + _text(x, top + 75 - height, f"{value:.2f}", size=12)
            + _text(x, top + 95, f"“{digit}”", size=12)
        )
    return drawn


def _text(x, y, words, size=13, weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="middle" '
        f'fill="currentColor">{html.escape(words)}</text>'
    )


def picture_of(cells):
    """A scene as a Pillow image."""
    return Image.fromarray(cells.swapaxes(1, 2).reshape(SIDE * STRIDE, SIDE * STRIDE))


def address(image):
    """A Pillow image as an address that holds it."""
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def _picture(cells, y, side):
    """A scene as an image inside an SVG."""
    return f'<image y="{y}" width="{side}" height="{side}" href="{address(picture_of(cells))}"/>'


def _svg(width, height, inside, description):
    said = html.escape(description)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}">{inside}</svg>'


# --- the painter: weights in units of GAP's own, 1/49


def presets():
    """Name → weights in units of 1/CELLS, whole tenths: (SIDE, SIDE). Those that were learned add up to 1, as GAP's."""
    weights = learned().position_weights(SIDE, SIDE)[..., 0].astype(float)
    return {
        "All equal: GAP": np.ones((SIDE, SIDE)),
        "Learned: Wise-SrNet": np.round(CELLS * weights / weights.sum(), 1),
    }


def outputs(units):
    """What a channel with these weights makes of the two scenes, by the package's own layer: two numbers."""
    maps = feature_map(scenes())[..., :1]
    layer = ws.layers.GlobalDepthwisePooling2D(pool_size=1, use_bias=False)
    layer.build(maps.shape)
    layer.set_weights([np.reshape(units, (SIDE, SIDE, 1, 1)) / CELLS])
    return np.array(layer(maps))[:, 0]


def painter():
    """The grid of weights that a reader paints and both outputs; without JavaScript a still figure, and a table."""
    maps = feature_map(scenes())[..., 0].astype(int)
    still = presets()
    data = {"maps": maps.reshape(2, CELLS).tolist(), "presets": [units.ravel().tolist() for units in still.values()]}
    first = outputs(next(iter(still.values())))
    panels = "".join(_panel(k, maps[k], first[k]) for k in range(2))
    buttons = "".join(f'<button type="button">{html.escape(name)}</button>' for name in still)
    brushes = radios("brush", {0: 0, 1: 1, 4: 4}, 4)
    rows = [
        {"weights": name, **dict(zip(NAMES, map("{:.2f}".format, outputs(units)), strict=True))}
        for name, units in still.items()
    ]
    return HTML(
        f'<div class="painter"><div class="painter-scenes">{panels}</div>'
        f'<p class="painter-verdict" aria-live="polite">{_verdict(*first)}</p>'
        f'<div class="painter-weights">{_grid()}<div class="painter-tools" hidden>'
        f'<p>{buttons}</p><p role="radiogroup" aria-label="Brush">Brush: {brushes}</p>'
        '<p class="painter-cell" aria-live="polite"></p>'
        "<p>Tap or drag to paint. Keys: arrows move, + and − change a weight.</p></div></div>"
        "<noscript><p>Painting needs JavaScript; the table below does without.</p></noscript>"
        f"{script_data(data)}</div>" + table(pd.DataFrame(rows)).data
    )


def _verdict(one, other):
    if np.isclose(one, other):
        return "Equal: no classifier behind this channel can tell the scenes apart."
    return "Different: a classifier can tell the scenes apart."


def _panel(k, features, output):
    """A scene with what the channel found in its cells, and the output."""
    marks, found = [], []
    for row, column in np.argwhere(features):
        value = features[row, column]
        found.append(f"{value} in row {row + 1}, column {column + 1}")
        marks.append(
            f'<rect data-cell="{SIDE * row + column}" x="{22 * column + 1}" y="{22 * row + 1}" width="20" height="20" '
            'fill="#e69f00" fill-opacity="0.25" stroke="#e69f00"/>'
            f'<text x="{22 * column + 11}" y="{22 * row + 15}" font-size="12" font-weight="bold" fill="#fff" '
            f'stroke="#000" stroke-width="3" paint-order="stroke" text-anchor="middle">{value}</text>'
        )
    said = f"Scene with {NAMES[k]}. The channel answers with {', '.join(found)}; with 0 elsewhere."
    drawing = _svg(154, 154, _picture(scenes()[k], 0, 154) + "".join(marks), said)
    return f"<div><p>{NAMES[k]}</p>{drawing}<p>output <output>{output:.2f}</output></p></div>"


def _grid():
    """The weights: a square and a number for each cell, all of them GAP's."""
    cells = []
    for cell in range(CELLS):
        row, column = divmod(cell, SIDE)
        cells.append(
            f'<rect data-cell="{cell}" x="{40 * column + 1}" y="{40 * row + 1}" width="38" height="38" rx="3" '
            'fill="#0072b2" fill-opacity="0.17" stroke="currentColor" stroke-opacity="0.3"/>'
            + _text(40 * column + 20, 40 * row + 25, "1", size=14)
        )
    said = f"The weights of the channel, a grid of {SIDE} rows and {SIDE} columns, in units of 1/{CELLS}."
    return _svg(280, 280, "".join(cells), said)
