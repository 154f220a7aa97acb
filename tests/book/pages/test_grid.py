"""The page of the grid: every row once, done as records say, with estimates that are called that."""

import shutil

import pytest
import records
from _pages import grid
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from wisesr_helpers import plots
from wisesr_helpers.studies.plan import plan


@pytest.fixture
def rows(tmp_path):
    """One committed row of the demo, and two of the reader's at paper scale, of which one diverged."""
    results, own = tmp_path / "results", tmp_path / "own"
    results.mkdir()
    demo = plan({"scale": "demo", "runs_dir": tmp_path / "trained"})[0]
    shutil.copyfile(records.keep_row(demo).folder / "record.json", results / f"{demo.identity}.json")
    first, second, *_ = plan({"scale": "paper", "runs_dir": own})
    records.keep_row(first)
    records.keep_row(second, status="diverged", correct=(), divergence={"epoch": 1, "step": 1, "loss": None})
    return grid.rows(results, own)


def test_rows_are_done_by_committed_records_and_by_the_readers_own(rows):
    assert {row.identity: row.state for row in rows if row.done} == {
        "sub_imagenet_224--demo--small_patch--gap--s0": "complete",
        "sub_imagenet_224--paper--Xception--gap--s0": "complete",
        "sub_imagenet_224--paper--Xception--gap_dropout--s0": "diverged",
    }
    assert len({row.identity for row in rows}) == len(rows) == 63 + 20


def test_tables_hold_every_row_once(rows):
    table, whole = grid.table(rows), grid.all_rows(rows)
    assert (table["rows"].sum(), table["done"].sum()) == (63, 2)
    assert list(whole["command"]) == [row.command for row in rows]
    xception = table[(table["study"] == "MIT Indoor Scenes at 512×512") & (table["backbone"] == "Xception")]
    assert list(xception["time of a row (estimate)"]) == ["7 h 32 min"]


def test_the_picture_has_a_square_for_every_row_and_says_what_is_done(rows):
    figure, ax = plots.figure(8, 8)
    grid.draw(rows, ax)
    squares = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    filled = [to_hex(patch.get_facecolor()) for patch in squares]
    for state, colour in grid.COLOURS.items():
        assert filled.count(colour) == sum(row.state == state for row in rows), state
    assert len(squares) == len(rows)
    text = plots.alt_text(figure)
    assert "Sub-ImageNet at 224×224: 1 of 7 demo rows and 2 of 21 paper rows done, for Table 5, Figure 4" in text


def test_what_was_measured_stands_beside_the_estimates(rows):
    lack = grid.words(rows)["demo_lack"].removeprefix("missing: ").split("; ")
    assert (len(lack), lack[0]) == (19, "Sub-ImageNet at 224×224, gap_dropout")
    assert grid.words(rows)["done"].startswith("2 of 63 rows are done, 61 missing.")
    measured = list(grid.table(rows)["measured"])
    assert measured[0] == "1 h 1 min on cpu:0"  # 148 epochs of 50 s, and none
    assert set(measured[1:]) == {""}
