"""What heads cost: the paper's numbers to the last digit, closed forms beside built layers."""

import numpy as np
import pytest
from _pages import costs

from wisesr_helpers import plots
from wisesr_helpers.models import counts
from wisesr_helpers.studies import counted, report


@pytest.fixture(scope="module")
def table():
    """Table 1 by the stored counts, which test_counts.py compares with networks built anew."""
    return report.table_1(counted.stored())


@pytest.fixture(scope="module")
def grown():
    return costs.growth()


def test_what_is_counted_as_printed_agrees_and_what_is_not_does_not(table):
    assert list(table["agrees"]) == ["yes"] * 12
    without_operations = report.table_1(counted.stored().assign(flops=0))
    assert list(without_operations["agrees"]) == ["yes", "no", "no", "no"] * 3  # a backbone's are not printed
    assert set(table["backbone"]) == {"ResNet50", "Xception", "DenseNet121"}
    assert list(table["head"][:4]) == ["none", "gap", "depthwise", "wise"]
    assert list(table["parameters, counted"]) == list(table["parameters, printed"])
    assert (table["GFLOPs, printed"] != "").sum() == 9


def test_section_2_5_is_recomputed_from_the_table(table):
    said = costs.section_2_5(table).set_index("about")
    assert dict(said["recomputed"]) == {
        "images behind Table 1": "224×224 (its caption)",
        "Xception with the proposed head": "21,025,390",
        "Xception with GAP": "21,004,910",
        "ResNet50, growth over GAP": "0.0863%",  # 20,480 / 23,731,142
        "DenseNet121, growth over GAP": "0.1440%",  # 10,240 / 7,109,254
        "Xception, growth over GAP": "0.0975%",  # 20,480 / 21,004,910
        "bound on the growth over GAP": "0.1440% at most",
    }
    agree = {"DenseNet121, growth over GAP", "bound on the growth over GAP"}
    assert {about for about, agrees in said["agrees"].items() if agrees == "yes"} == agree
    assert all(bool(slip) == (agrees == "no") for slip, agrees in zip(said["slip"], said["agrees"], strict=True))


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


@pytest.mark.parametrize(("shape", "kernel"), [((7, 7, 2048), "3×3"), ((16, 16, 2048), "5×5")])
def test_half_of_the_start_is_negative_and_the_rest_is_small(shape, kernel):
    start = costs.start_of_weights(*shape)
    assert start["kernel"] == kernel
    assert start["negative"] == pytest.approx(0.5, abs=0.02)
    assert start["total"] == pytest.approx(start["expected"], rel=0.03)
    assert start["expected"] == pytest.approx(int(kernel[0]) ** 2 * 0.01 * 0.3989, rel=1e-3)
