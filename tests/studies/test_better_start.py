"""Rows, table and figure of the project's own options; the options themselves are in tests/models/test_heads.py."""

import numpy as np
import pytest

import wisesr_helpers as ws
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.plots.heads import head_steps
from wisesr_helpers.studies import better_start


def test_a_diagram_says_what_was_chosen():
    steps = head_steps(
        head_layers("wise", (16, 16, 8), 5, cover="exact", sharing="radial", activation="relu"), (16, 16, 8)
    )
    assert [(step.layer, step.detail) for step in steps[:2]] == [
        ("average pooling", "3–4×3–4"),
        ("depthwise", "5×5, radial, weights ≥ 0, relu"),
    ]


def test_the_table_of_starts_by_hand():
    """Of 7×7 cells; half of the drawn weights are negative, and the others' mean is σ·√(2/π)."""
    table = better_start.starts((7, 7, 2048), 10).set_index("row")
    assert list(table["weights a channel"]) == [9, 9, 9, 3, 3]
    assert list(table["cells without weight"]) == ["13 of 49", "13 of 49", "0 of 49", "13 of 49", "0 of 49"]
    assert table.loc["wise", "parameters"] == f"{(9 + 1) * 2048 + 2049 * 10:,}"
    assert table.loc["all three", "parameters"] == f"{(3 + 1) * 2048 + 2049 * 10:,}"
    for row in ("wise, start 1/N", "all three"):
        assert tuple(table.loc[row, ["set to 0 at once", "sum of those left"]]) == ("0%", "1.000")
    assert table.loc["wise", "set to 0 at once"] in ("49%", "50%", "51%")
    assert float(table.loc["wise", "sum of those left"]) == pytest.approx(9 * 0.01 / np.sqrt(2 * np.pi), abs=0.001)


def test_the_figure_of_starts_in_words():
    figure, axes = ws.plots.figure(9, 3, columns=5, rows=2)
    better_start.draw_starts((7, 7, 4), axes)
    parts = ws.plots.alt_text(figure).split("; ")
    assert "wise, start 1/N: 1.36 everywhere, 13 cells without one" in parts  # 49 of 36
    assert parts[-2].startswith("all three: 1.00 everywhere, 0 cells without one")
    assert parts[-1] == "after the constraint 0 cells have 0."
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["as drawn", "after the constraint"]
    drawn, kept = (ax.images[0].get_array() for ax in axes[:, 0])
    assert drawn.min() < 0 == kept.min()
    assert drawn.mask.sum() == kept.mask.sum() == 13
    assert f"after the constraint {(kept == 0).sum()} cells have 0" in parts


def test_the_rows_are_of_the_papers_studies():
    assert list(better_start.typed_rows("mit_224")) == ["gap", *better_start.poolings((7, 7, 2))]
    with pytest.raises(ValueError, match="one of the paper's four: sub_imagenet_224, .*; received 'deeper_networks'"):
        better_start.typed_rows("deeper_networks")
