"""Scenes and their mirror images: what each cell adds to the logits of two heads, for ``scene.js``.

The heads, scenes and channels are those of :mod:`_pages.mirrored`: trained while the book is built.
"""

import functools

import numpy as np
import pandas as pd
from IPython.display import HTML

from _pages import mirrored
from _pages.markup import radios, script_data, table
from wisesr_helpers.metrics import minus
from wisesr_helpers.models.attribution import contribution_map
from wisesr_helpers.plots import colour
from wisesr_helpers.studies.where_it_looks import decomposition

HEADS = {"wise": "Wise-SrNet", "gap": "GAP"}
PAIRS = 6  # that are shown, of those that are counted
COUNTED = 100
SEED = 3  # of the test scenes
PIXELS = 112  # side of a scene as it is shown
GREYS = 16
DIGITS_SHOWN = 3


@functools.cache
def _pairs():
    """Cells of the test scenes, a scene and its mirror image in turn, and their classes."""
    cells, labels = [], []
    for k in range(COUNTED):
        label = k % 2
        pair = mirrored.DIGITS[::-1] if label else mirrored.DIGITS
        scene = mirrored.draw(pair, "test", [SEED, k])
        cells += [scene, mirrored.exchanged(scene)]
        labels += [label, 1 - label]
    return np.stack(cells), np.array(labels)


@functools.cache
def maps():
    """The feature maps of all test scenes, float32 (2 · COUNTED, side, side, 2)."""
    return mirrored.feature_map(_pairs()[0])


@functools.cache
def sums():
    """:func:`decomposition` of the scenes that are shown, for both classes: one row a scene, head and class."""
    shown = maps()[: 2 * PAIRS]
    models = {head: mirrored.trained(head) for head in HEADS}
    return pd.concat([decomposition(models, shown, [k] * len(shown)) for k in range(2)], ignore_index=True)


@functools.cache
def terms(head):
    """What each cell adds to each class's logit, of the scenes that are shown: (scenes, 2 classes, cells)."""
    shown = maps()[: 2 * PAIRS]
    added = [contribution_map(mirrored.trained(head), shown, [k] * len(shown)) for k in range(2)]
    return np.stack(added, axis=1).reshape(len(shown), 2, -1)


def right(head):
    """How many of all test scenes a head gets right."""
    logits = np.array(mirrored.trained(head)(maps()))
    return int((logits.argmax(axis=1) == _pairs()[1]).sum())


def words():
    """Numbers for the prose: name → text."""
    return {
        "explored_training": str(mirrored.TRAINING["scenes"]),
        "explored": str(2 * COUNTED),
        **{f"explored_{head}": str(right(head)) for head in HEADS},
    }


def data():
    """What the script gets."""
    found = sums()
    heads = {}
    for head, title in HEADS.items():
        own = found[found["head"] == head].set_index(["image", "class"])
        scenes = range(2 * PAIRS)
        logits = [[float(own.loc[(scene, k), "logit"]) for k in range(2)] for scene in scenes]
        start = [float(own.loc[(0, k), ["pooling's bias", "classifier's bias"]].sum()) for k in range(2)]
        partial = np.array(start)[:, None] + terms(head).cumsum(-1)
        heads[head] = {
            "title": title,
            "ink": colour(head),
            "start": [round(value, 5) for value in start],
            "terms": (terms(head).astype(float).round(5) + 0.0).tolist(),
            "logits": [[round(value, 5) for value in pair] for pair in logits],
            "most": round(float(np.abs(partial).max()), 5),
        }
    return {
        "side": mirrored.SIDE,
        "names": mirrored.NAMES,
        "digits": mirrored.DIGITS,
        "labels": _pairs()[1][: 2 * PAIRS].tolist(),
        "found": maps()[: 2 * PAIRS].reshape(2 * PAIRS, -1, 2).astype(int).tolist(),
        "heads": heads,
    }


def explorer():
    """Choose a scene and a head, and add up the logits cell by cell; without JavaScript a still figure and a table."""
    held = data()
    pictures = [_address(cells) for cells in _pairs()[0][: 2 * PAIRS]]
    scenes = [
        f'<label><input type="radio" name="scene" value="{k}"{" checked" * (k == 0)}>'
        f'<img src="{picture}" alt="Scene {k + 1}: {mirrored.NAMES[held["labels"][k]]}"></label>'
        for k, picture in enumerate(pictures)
    ]
    pairs = "".join(f"<span>{scene}{mirror}</span>" for scene, mirror in zip(scenes[::2], scenes[1::2], strict=True))
    heads = radios("scene-head", HEADS, "wise")
    rows = logits()
    return HTML(
        '<div class="play scene"><div hidden><p class="help">Test scenes, each with its mirrored one on its right:</p>'
        f'<div class="scenes" role="radiogroup" aria-label="Scene">{pairs}</div>'
        f'<p class="heads" role="radiogroup" aria-label="Head">{heads}'
        '<button type="button">Exchange inside and outside</button></p>'
        f'</div><div class="sides">{_map(held, pictures[0])}{_bars(held)}</div>'
        f'<p class="verdict" aria-live="polite">{_verdict(held)}</p>'
        '<p class="readout" aria-live="polite" hidden></p>'
        '<p class="help" hidden>Move over the cells, tap, or use the arrow keys: the bars add up the cells row by row, '
        "up to the one that you are on. Home leads to the first cell, End to the last, where each bar has reached its "
        "logit.</p><noscript><p>Moving over the cells needs JavaScript; the table does without.</p></noscript>"
        f'{script_data(held)}<details class="provenance"><summary>All {len(rows)} sums as a table</summary>'
        f"{table(rows, 'logits.csv').data}</details></div>"
    )


def _address(cells):
    """A scene as an address that holds it: smaller, in few greys."""
    small = mirrored.picture_of(cells).resize((PIXELS, PIXELS))
    return mirrored.address(small.point(lambda grey: grey * GREYS // 256 * (255 // (GREYS - 1))))


def _map(held, picture):
    """The first scene with what each cell adds to the lead of its class over the other, with Wise-SrNet."""
    first, side = held["heads"]["wise"]["terms"][0], held["side"]
    lead = np.subtract(*first)
    most = np.abs(lead).max()
    drawn = [f'<image width="280" height="280" href="{picture}"/>']
    for cell, value in enumerate(lead):
        row, column = divmod(cell, side)
        kind = "for" if value > 0 else "against"
        number = minus(f"{value:+.2f}") if value else ""
        drawn.append(
            f'<rect class="{kind}" x="{40 * column + 1}" y="{40 * row + 1}" width="38" height="38" '
            f'fill-opacity="{0.75 * abs(value) / most:.2f}"/>'
            f'<text x="{40 * column + 20}" y="{40 * row + 25}">{number}</text>'
        )
    said = (
        f"A scene of {side}×{side} cells. Each number is what the cell adds to “{mirrored.NAMES[0]}”, less the other."
    )
    return f'<svg class="scene-map" viewBox="0 0 280 280" role="img" aria-label="{said}">{"".join(drawn)}</svg>'


def _bars(held):
    """A bar a class, filled up to the logit."""
    own = held["heads"]["wise"]
    bars = []
    for k, name in enumerate(held["names"]):
        logit = own["logits"][0][k]
        end = 140 + 136 * logit / own["most"]
        bars.append(
            f'<g transform="translate(0 {72 * k})"><text x="0" y="14">{name}</text>'
            f'<text class="sum" x="280" y="14">{_number(logit)}</text>'
            f'<rect class="fill" x="{min(140, end):.1f}" y="22" width="{abs(end - 140):.1f}" height="26" '
            f'fill="{own["ink"]}"/><rect class="step" x="140" y="22" width="0" height="26"/>'
            f'<path class="zero" d="M140 18v34"/><path class="logit" d="M{end:.1f} 16v38"/></g>'
        )
    said = f"The logits of {' and '.join(held['names'])}, as bars that the cells fill up."
    return f'<svg class="scene-bars" viewBox="0 0 280 140" role="img" aria-label="{said}">{"".join(bars)}</svg>'


def _verdict(held):
    """What Wise-SrNet answers in the first scene."""
    answer = int(np.argmax(held["heads"]["wise"]["logits"][0]))
    return f"{HEADS['wise']} answers “{held['names'][answer]}”: {'right' if answer == held['labels'][0] else 'wrong'}."


def _number(value):
    return minus(f"{value:.{DIGITS_SHOWN}f}")


def logits():
    """The sums of the scenes that are shown, a row a scene and head."""
    rows = []
    for (scene, head), each in sums().groupby(["image", "head"], sort=False):
        each = each.set_index("class")
        label = _pairs()[1][scene]
        answer = each["logit"].idxmax()
        rows.append(
            {
                "scene": f"{scene + 1}: {mirrored.NAMES[label]}",
                "head": head,
                **{f"logit of “{name}”": _number(each.loc[k, "logit"]) for k, name in enumerate(mirrored.NAMES)},
                "answer": "right" if answer == label else "wrong",
            }
        )
    return pd.DataFrame(rows)
