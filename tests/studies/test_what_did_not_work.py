"""What the paper tried: its rows, what each does to a map, and results beside what the paper says."""

import html

import numpy as np
import pytest
import records
from scipy.stats import binomtest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.checks import INTERPOLATIONS
from wisesr_helpers.layers import blocks
from wisesr_helpers.layers.reductions import FixedReduction2D, reduction_layer
from wisesr_helpers.metrics import judge, paired_comparison
from wisesr_helpers.studies import report, what_did_not_work
from wisesr_helpers.training.runs import as_table

COUNTED = [*INTERPOLATIONS, "average"]


def runs(**correct):
    """Complete runs with 100 test images, the first of which are right; None: a diverged one."""
    made = []
    for title, right in correct.items():
        if right is None:
            made.append(records.result(title, **records.diverged(())))
        else:
            made.append(records.result(title, correct=(99, right), images=100))
    table = as_table(made)
    table.insert(0, "row", [title.replace("_", " ") for title in correct])
    return table


@pytest.mark.parametrize(("study", "pool_size"), [("mit_224", 2), ("mit_512", 3)])
def test_every_row_can_be_run_and_differs_from_the_final_design_in_one_option(study, pool_size, tmp_path):
    assert what_did_not_work.paper_pool_size(study) == pool_size
    typed = what_did_not_work.typed_rows(study, scale="smoke")
    rows = ws.Rows(study, typed, scale="smoke", runs_dir=str(tmp_path))
    assert list(rows.experiments) == [
        "wise",
        "two depthwise layers",
        *INTERPOLATIONS,
        "zero padding",
        "unit padding",
        f"stride {pool_size - 1}",
        "no bias",
        "relu",
    ]
    options = [experiment.parameters.options for experiment in rows.experiments.values()]
    assert [len(each) for each in options] == [0] + [1] * 10
    assert len({experiment.folder for experiment in rows.experiments.values()}) == 11
    assert pool_size - 1 in options[8].values()


def test_efficientnet_is_added_where_it_is_asked_for():
    more = what_did_not_work.typed_rows("mit_224", scale="demo", efficientnet=True)
    added = [title for title in more if title not in what_did_not_work.typed_rows("mit_224", scale="demo")]
    assert [more[title] for title in added] == [
        {"backbone": "EfficientNetB0", "head": head} for head in ("gap", "wise")
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"study": "deeper_networks"},
            "study must be one of the paper's four: sub_imagenet_224, .*; received 'deeper_n",
        ),
        ({"study": "mit"}, "received 'mit'"),
        ({"efficientnet": 1}, "efficientnet must be True or False; received 1"),
        ({"scale": "tiny"}, "Unknown scale 'tiny'"),
    ],
    ids=str,
)
def test_what_can_not_be_run_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        what_did_not_work.typed_rows(**{"study": "mit_224", **arguments})


@pytest.mark.parametrize("reduction", [*COUNTED, "depthwise"])
def test_a_cell_weighs_what_it_adds_to_all_outputs(reduction):
    """Every cell by itself, through the layer: 1 in one cell, 0 in the others."""
    keras.utils.set_random_seed(1)
    layer = reduction_layer(2, reduction)
    one_each = np.eye(35, dtype="float32").reshape(35, 7, 5, 1)
    layer.build(one_each.shape)
    if reduction == "depthwise":
        layer.kernel.assign(np.abs(layer.kernel))
    added = keras.ops.convert_to_numpy(layer(one_each)).sum(axis=(1, 2, 3)).reshape(7, 5)
    weights = what_did_not_work.relative_weights(layer, 7, 5)
    np.testing.assert_allclose(weights, added / added.mean(), atol=1e-5)
    assert np.ptp(weights) > 0.1 or reduction == "area"


def test_the_geometry_at_224():
    rows = what_did_not_work.geometry(7, 7, 2).set_index("row")
    assert rows["cells not read"].to_dict() == {
        "wise": 49 - 36,
        "two depthwise layers": 49 - 36,
        "bilinear": 49 - 25,  # rows 2 and 4 lie between
        "bicubic": 0,
        "nearest": 49 - 9,
        "area": 0,
        "zero padding": 0,
        "unit padding": 0,
        "stride 1": 0,
    }
    assert list(rows["learned weights a channel"]) == [9, 4 + 9, 9, 9, 9, 9, 16, 16, 36]
    assert rows["map"]["zero padding"] == "4×4"


@pytest.mark.parametrize("side", [7, 16])
def test_figures_have_a_panel_for_every_reduction(side):
    pool_size = blocks.default_pool_size(side)
    values = np.random.default_rng(0).normal(size=(side, side)).astype("float32")
    titles = list(what_did_not_work.geometry(side, side, pool_size)["row"])
    figure, axes = ws.plots.figure(9, 4, columns=5, rows=2)
    what_did_not_work.draw_reduced(values, pool_size, axes)
    assert [ax.get_title().split("\n")[0] for ax in axes.flat] == ["the map", *titles]
    limits = [ax.images[0].get_clim() for ax in axes.flat]
    learned = 1 + titles.index(what_did_not_work.LEARNED)
    assert limits.pop(learned)[1] < limits[0][1]
    assert len(set(limits)) == 1
    assert (
        f"own scale to {np.abs(axes.flat[learned].images[0].get_array()).max():.2g}" in axes.flat[learned].get_title()
    )
    assert len(figure.axes) == 11  # one colour bar
    shown = [np.asarray(ax.images[0].get_array()) for ax in axes.flat]
    np.testing.assert_array_equal(shown[0], values)
    np.testing.assert_allclose(
        shown[1], keras.ops.convert_to_numpy(FixedReduction2D(pool_size)(values[None, ..., None]))[0, ..., 0]
    )
    assert all(title in ws.plots.alt_text(figure) for title in titles)
    figure, axes = ws.plots.figure(9, 4, columns=5, rows=2)
    what_did_not_work.draw_cell_weights(side, side, pool_size, axes)
    assert [ax.get_title().split("\n")[0] for ax in axes.flat] == [*titles, ""]
    assert ws.plots.alt_text(figure).count("cells are not read") == len(titles)


def test_results_stand_beside_the_papers_words():
    table = what_did_not_work.beside_paper(runs(wise=80, bilinear=82, nearest=20, relu=99, stride_2=None))
    words = [said.partition(",")[0] for said in table["beside wise"]]
    assert words == ["", "no difference shown", "worse", "better", ""]
    final, others = np.arange(100) < 80, {right: np.arange(100) < right for right in (82, 20, 99)}
    judged = judge({right: paired_comparison(own, final) for right, own in others.items()})
    assert table["beside wise"][3] == f"better, {judged[99].brief}" == "better, +19.0 (10.8 to 26.4), p < 0.001"
    assert [html.escape(each.brief) in table.to_html() for each in judged.values()] == [True] * 3
    assert list(table)[:5] == ["row", "top-1, final epoch", "95% interval", "beside wise", "the paper"]
    assert list(table)[-3:] == ["top-1, best epoch", "status", "kind"]
    assert list(table["top-1, best epoch"])[:2] == ["99.0%"] * 2
    assert table["status"][2] == "complete, no better than chance"
    assert list(table["the paper"])[1:3] == ["no higher accuracy than averaging"] * 2
    assert list(table["section"]) == ["2.3 and 2.4", *["3.4, 2"] * 2, "2.4", "3.4, 4"]


def test_the_verdict_names_what_the_same_images_show():
    said = report.verdict(runs(wise=80, bilinear=82, nearest=20, relu=99, stride_2=None), "wise")
    assert "worse: 'nearest'; better: 'relu'; no difference shown: 'bilinear'; not" in said
    assert "not counted: 'stride 2' diverged" in said
    assert "corrected for 3 comparisons" in said


def test_the_verdict_is_corrected_for_the_number_of_rows():
    shown = 86  # six images against none: a p-value of 2 / 2 ** 6, below 5% alone and above it beside another
    assert binomtest(6, 6).pvalue < 0.05 < 2 * binomtest(6, 6).pvalue
    assert "better: 'relu'" in report.verdict(runs(wise=80, relu=shown), "wise")
    assert "better: none; no difference shown: 'relu', 'bilinear'" in report.verdict(
        runs(wise=80, relu=shown, bilinear=81), "wise"
    )


@pytest.mark.parametrize("chosen", [{"bilinear": 82}, {"wise": 80}, {"wise": None, "relu": 99}], ids=str)
def test_without_two_finished_runs_there_is_no_verdict(chosen):
    assert report.verdict(runs(**chosen), "wise").startswith("Nothing to compare")


def test_efficientnet_is_never_compared_with_another_backbone():
    rows = runs(wise=80, nearest=20)
    rows.loc[1, ["row", "backbone"]] = "EfficientNetB0 + gap", "EfficientNetB0"
    assert set(what_did_not_work.beside_paper(rows)["beside wise"]) == {""}
    assert what_did_not_work.beside_paper(rows)["section"][1] == "4"


def test_what_the_head_adds_to_efficientnet_is_counted():
    """At 224 its map is 7×7×1280: nine weights and a bias a channel more than GAP."""
    counts = (
        what_did_not_work.efficientnet_counts("mit_224")
        .set_index("head")["parameters"]
        .str.replace(",", "")
        .astype(int)
    )
    assert counts["wise"] - counts["gap"] == 10 * 1280
