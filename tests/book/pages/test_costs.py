"""What heads cost: the paper's numbers to the last digit, closed forms beside built layers, times as written."""

import json

import numpy as np
import pandas as pd
import pytest
from _pages import costs

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.models import counts
from wisesr_helpers.models.heads import head_layers
from wisesr_helpers.studies import report
from wisesr_helpers.versions import VERSIONS


@pytest.fixture(scope="module")
def table():
    return report.table_1()


@pytest.fixture(scope="module")
def grown():
    return costs.growth()


def test_every_value_of_table_1_is_counted_as_printed(table):
    assert list(table["agrees"]) == ["yes"] * 12
    assert set(table["backbone"]) == {"ResNet50", "Xception", "DenseNet121"}
    assert list(table["head"][:4]) == ["none", "gap", "depthwise", "wise"]
    for kind, values in (("parameters", 12), ("GFLOPs", 9)):
        printed = table[table[f"{kind}, printed"] != ""]
        assert len(printed) == values
        assert list(printed[f"{kind}, printed"]) == list(printed[f"{kind}, counted"])


def test_a_wrong_value_would_not_agree(monkeypatch):
    monkeypatch.setattr(report, "count_params", lambda model: 1)
    assert set(report.table_1()["agrees"]) == {"no"}


def test_section_2_5_is_recomputed_from_the_table(table):
    said = costs.section_2_5(table).set_index("about")
    assert dict(said["recomputed"]) == {
        "images behind Table 1": "224×224 (its caption)",
        "Xception with the proposed head": "21,025,390",
        "Xception with GAP": "21,004,910",
        "ResNet50, growth over GAP": "0.0863 %",  # 20,480 / 23,731,142
        "DenseNet121, growth over GAP": "0.1440 %",  # 10,240 / 7,109,254
        "Xception, growth over GAP": "0.0975 %",  # 20,480 / 21,004,910
        "bound on the growth over GAP": "0.1440 % at most",
    }
    agree = {"DenseNet121, growth over GAP", "bound on the growth over GAP"}
    assert {about for about, agrees in said["agrees"].items() if agrees == "yes"} == agree
    assert all(bool(slip) == (agrees == "no") for slip, agrees in zip(said["slip"], said["agrees"], strict=True))


@pytest.mark.parametrize("shape", [(7, 7, 6), (16, 16, 4), (9, 12, 5)], ids=str)
@pytest.mark.parametrize("head", list(ws.HEADS))
def test_parameters_of_a_head_are_those_of_the_built_one(head, shape):
    built = keras.Sequential([keras.Input(shape), *head_layers(head, shape, 11)])
    assert counts.head_params(head, shape, 11) == built.count_params()


@pytest.mark.parametrize("shape", [(7, 7, 6), (9, 12, 5)], ids=str)
@pytest.mark.parametrize("head", list(ws.HEADS))
def test_operations_of_a_head_are_those_of_the_built_one(head, shape):
    built = keras.Sequential([keras.Input(shape), *head_layers(head, shape, 11)])
    assert counts.head_flops(head, shape, 11) == ws.count_flops(built)


def test_parameters_follow_the_pool_size():
    by_pool = [counts.head_params("wise", (16, 16, 8), 5, pool_size=p) for p in (1, 2, 3)]
    assert by_pool == [(n + 1) * 8 + 9 * 5 for n in (256, 64, 25)]


def test_a_huge_head_is_counted_without_being_built():
    units = 4096
    expected = (32 * 32 * 2048 + 1) * units + (units + 1) * units + (units + 1) * 1000
    assert counts.head_params("vgg_fc", (32, 32, 2048), 1000) == expected


def lines(grown):
    return {key: list(line["parameters"]) for key, line in grown.groupby(["grows with", "head"])}


def test_heads_grow_where_they_must(grown):
    rising = {key for key, line in lines(grown).items() if all(np.diff(line) > 0)}
    assert {key for key in rising if key[0] != "image side (pixels)"} == {
        (what, head) for what in ("channels", "classes") for head in costs.GROWTH_HEADS
    }
    by_side = {head for what, head in rising if what == "image side (pixels)"}
    assert by_side == {"depthwise", "flatten_fc", "vgg_fc"}


def test_with_larger_images_gap_stands_still_and_wise_stays_bounded(grown):
    by_side = {head: line for (what, head), line in lines(grown).items() if what.startswith("image")}
    assert len(set(by_side["gap"])) == 1
    assert max(by_side["wise"]) - by_side["gap"][0] == (25 + 1) * 2048


def test_what_stands_still_in_one_panel_is_where_the_panels_meet(grown):
    at = grown.set_index(["grows with", "value", "head"])["parameters"]
    for head in costs.GROWTH_HEADS:
        same = counts.head_params(head, (7, 7, 2048), 70)
        assert at["image side (pixels)", 224, head] == at["channels", 2048, head] == same


def test_growth_is_drawn_from_its_rows():
    rows = costs.growth(("gap", "wise"))
    drawn, axes = plots.figure(columns=3)
    assert costs.draw_growth(rows, axes) is axes
    for ax, (what, panel) in zip(axes, rows.groupby("grows with", sort=False), strict=True):
        assert ax.get_xlabel() == what
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert [line.get_label() for line in ax.lines] == ["gap", "wise"]
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), panel[panel["head"] == "wise"]["parameters"])
    assert "channels from 256 to 4,096: gap 17,990 to 286,790, wise 20,550 to 327,750." in plots.alt_text(drawn)


@pytest.mark.parametrize(("side", "pool", "left_out"), [(7, 2, 13), (16, 3, 31)])
def test_pre_averaging_leaves_cells_out(side, pool, left_out):
    seen, window = counts.cells_looked_at(side, side)
    assert window == pool
    assert (~seen).sum() == left_out
    covered = side // pool * pool
    assert seen[:covered, :covered].all()
    assert not seen[covered:].any()
    assert not seen[:, covered:].any()


def test_a_pool_that_divides_the_map_looks_at_all_of_it():
    assert counts.cells_looked_at(16, 16, 4)[0].all()
    assert counts.cells_looked_at(7, 9, 1)[0].all()


@pytest.mark.parametrize(("shape", "kernel"), [((7, 7, 2048), "3×3"), ((16, 16, 2048), "5×5")])
def test_half_of_the_start_is_negative_and_the_rest_is_small(shape, kernel):
    start = costs.start_of_weights(*shape)
    assert start["kernel"] == kernel
    assert start["negative"] == pytest.approx(0.5, abs=0.02)
    assert start["total"] == pytest.approx(start["expected"], rel=0.03)
    assert start["expected"] == pytest.approx(int(kernel[0]) ** 2 * 0.01 * 0.3989, rel=1e-3)


MACHINE = {
    "device": "cpu:0",
    "machine": "x86_64, Linux",
    "processor": "a processor",
    "threads": 2,
    "backend": "tensorflow",
    "versions": {"python": "3.12.1", "keras": "3.13.2"},
    "commit": "0123456789abcdef",
    "clean": True,
}


def measured(tmp_path, *rows, versions=VERSIONS, **machine):
    """What `speed` makes of a file."""
    path = tmp_path / "heads.json"
    report = {"machine": MACHINE | machine, "versions": versions, "rows": list(rows)}
    path.write_text(json.dumps(report), encoding="utf-8")
    return costs.speed(path)


def test_measured_times_are_shown_as_written(tmp_path):
    row = {
        "map": [16, 16, 2048],
        "pool_size": 3,
        "batch": 15,
        "milliseconds": {"wise": 4.5, "authors": 18.5, "gap": 3.6},
    }
    other = {**row, "pool_size": 1, "xla": True, "milliseconds": {"depthwise": 7.0, "gap": 2.0}}
    times, sentence = measured(tmp_path, row, other)
    assert list(times.columns)[:4] == ["feature map", "pool", "batch", "XLA"]
    assert list(times.columns)[4:] == ["gap, ms", "authors' layers, ms", "wise, ms", "depthwise, ms"]
    assert list(times.iloc[0][:7]) == ["16×16×2048", 3, 15, "no", 3.6, 18.5, 4.5]
    assert pd.isna(times.iloc[0]["depthwise, ms"])
    assert list(times.iloc[1][["XLA", "gap, ms", "depthwise, ms"]]) == ["yes", 2.0, 7.0]
    for part in ("cpu:0", "2 threads", "Keras 3.13.2 on tensorflow", "commit 0123456789."):
        assert part in sentence


def test_the_commit_of_measured_times_is_said_as_it_is(tmp_path):
    assert "commit 0123456789, with uncommitted changes." in measured(tmp_path, clean=False)[1]
    assert "not run from a checkout" in measured(tmp_path, commit=None, clean=None)[1]


ROW = {"map": [7, 7, 8], "pool_size": 2, "batch": 1, "milliseconds": {"wise": 1.0, "gap": 1.0, "authors": 1.0}}


@pytest.mark.parametrize("other", [None, {"layers": 0}])
def test_times_of_other_code_are_said_to_be_that(tmp_path, other):
    assert measured(tmp_path, ROW)[1].endswith("commit 0123456789.")
    said = measured(tmp_path, ROW, versions=other)[1]
    assert said.endswith("commit 0123456789; by an older version of the code.")


def test_what_is_not_measured_is_none(tmp_path):
    assert costs.speed(tmp_path / "heads.json") is None
