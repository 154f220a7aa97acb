"""The ladder's code is the package's heads, and the demo's page says of its backbones what they are."""

import pytest
from _pages import demo, ladder

from wisesr_helpers._keras import keras


def maximum(features):
    return keras.layers.Dense(5, "softmax")(keras.layers.GlobalMaxPooling2D()(features))


def test_code_that_is_another_head_is_no_step():
    with pytest.raises(RuntimeError, match="'gap' differ"):
        ladder.step(maximum, "gap", (7, 7, 64), 5)


def test_the_small_backbones_see_what_the_page_says():
    rows = demo.backbones(512).set_index("backbone")
    assert rows.loc["small_patch", ["a cell sees", "zero padding"]].tolist() == ["32×32 pixels", "no"]
    assert rows.loc["small_conv", "zero padding"] == "yes"
    assert set(rows["distance of cells"]) == {"32 pixels"}
    assert set(rows["map"]) == {"16×16×96"}
