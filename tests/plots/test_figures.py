"""Figures are white, carry their description, and are refused without one."""

import base64
import io

import matplotlib
import numpy as np
import pytest
import records
from PIL import Image

from wisesr_helpers import plots


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: pairs (data, options)."""
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: calls.append((data, options)))
    return calls


def test_a_figure_is_white_whatever_the_style_says():
    with matplotlib.rc_context({"figure.facecolor": "black", "savefig.facecolor": "auto"}):
        drawn, ax = plots.figure(3, 2)
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=50)
    picture = np.asarray(Image.open(png).convert("RGBA"))
    assert picture.shape == (100, 150, 4)
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert ax.figure is drawn


def test_a_figure_of_several_panels_has_an_array_of_axes():
    assert plots.figure(columns=3)[1].shape == (3,)
    assert plots.figure(columns=3, rows=2)[1].shape == (2, 3)
    assert plots.figure(squeeze=False)[1].shape == (1, 1)


def test_words_are_collected_after_titles_and_the_last_ones_count():
    drawn, axes = plots.figure(columns=4)
    assert plots.described(axes[0], "overwritten") is axes[0]
    assert plots.described(axes[:2], "Two images.") is not None
    plots.described(axes[2], "rows.").set_title("map")
    plots.described(axes[3], "a head.").set_title("wise", loc="left")
    axes[0].set_title("of an image, not of the words")
    assert plots.alt_text(drawn) == "Two images. map: rows. wise: a head."
    drawn.suptitle("test image 3\ndemo: not the paper's data")
    assert plots.alt_text(drawn).startswith("test image 3. demo: not the paper's data. Two images. map: ")


def test_a_figure_without_a_description_is_refused(shown):
    with pytest.raises(ValueError, match=r"The figure has no description\. .*plots\.described\(ax, text\)"):
        plots.show(plots.figure()[0])
    assert shown == []


@pytest.mark.parametrize("alt", ["Final test top-1: 96.7% ± 1", "zero → one; ≤ 3", None])
def test_a_shown_figure_carries_its_description(shown, alt):
    drawn, ax = plots.figure(2, 1)
    plots.described(ax, "From the data.").plot([0, 1])
    plots.show(drawn, alt, dpi=80)
    alt = alt or "From the data."
    ((data, options),) = shown
    assert options == {"raw": True, "metadata": {"image/png": {"alt": alt}}}
    assert data["text/plain"] == alt
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"], validate=True)))
    assert picture.size == (160, 80)
    assert picture.text == {"Description": alt, "Pictures": ""}


def test_a_shown_figure_says_where_its_pictures_are(shown):
    drawn, axes = plots.figure(4, 3, columns=2, rows=2)
    axes[0, 0].imshow(np.full((10, 10, 3), (10, 200, 30), "uint8"))  # a photograph
    axes[0, 1].imshow(np.full((10, 20), 100), cmap="gray", vmin=0, vmax=200)  # a scene
    axes[1, 0].imshow(np.arange(100).reshape(10, 10))  # values in colours are no picture
    axes[1, 1].plot([0, 1])
    for ax in axes[0]:
        ax.set_axis_off()
    plots.show(drawn, "Two pictures, a map and a line.")
    ((data, _),) = shown
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    places = [[float(side) for side in place.split()] for place in picture.text["Pictures"].split(";")]
    for place, ink in zip(places, ((10, 200, 30), (127, 127, 127)), strict=True):
        left, top, right, bottom = (round(side / 100 * of) for side, of in zip(place, picture.size * 2, strict=True))
        is_ink = np.abs(pixels - ink).max(axis=2) <= 1
        assert is_ink[top + 1 : bottom - 1, left + 1 : right - 1].all()
        assert not is_ink[top - 3 : bottom + 3, [left - 3, right + 2]].any()
        assert not is_ink[[top - 3, bottom + 2], left - 3 : right + 3].any()


def test_the_same_figure_is_the_same_bytes(shown):
    for right in (290, 290, 291):
        drawn, ax = plots.figure()
        plots.curves([records.result(correct=(30, right))], ax)
        plots.show(drawn)
    first, again, other = (data["image/png"] for data, _ in shown)
    assert first == again != other
