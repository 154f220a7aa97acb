"""What readers turn: blocks on maps of every size, and what heads cost on any map."""

import pytest
from _pages import blocks, cost_dial, costs

from wisesr_helpers.models.counts import head_params


def test_cells_that_are_never_looked_at_are_those_beyond_the_last_whole_block():
    for side, of_map in blocks.data()["maps"].items():
        assert set(of_map) == {block for block in (1, 2, 3, 4) if block <= side}
        for block, covers in of_map.items():
            whole = side // block
            assert covers["blocks"]["left"] == side**2 - (whole * block) ** 2
            assert covers["exact"]["left"] == 0
            assert sum(covers["exact"]["sides"]) == side
            for each in covers.values():
                assert each["weights"] == whole**2 == len(each["sides"]) ** 2


def test_the_papers_rule_is_marked_and_in_the_table():
    rule = blocks.data()["rule"]
    assert (rule[7], rule[16]) == (2, 3)
    rows = blocks.ruled().set_index("map")
    assert rows.loc["7×7", "never looked at"] == "13 of 49 cells (26.5%)"
    assert rows.loc["16×16", "never looked at"] == "31 of 256 cells (12.1%)"
    assert blocks.data()["maps"][7][2]["blocks"]["total"] == "0.036"


@pytest.mark.parametrize("head", costs.GROWTH_HEADS)
def test_four_counts_tell_a_heads_parameters_for_any_channels_and_classes(head):
    for side, channels, classes in ((4, 128, 2), (7, 2048, 70), (16, 1920, 67), (32, 512, 1000)):
        a, b, c, d = costs.coefficients(head, side)
        assert a + b * channels + c * classes + d * channels * classes == head_params(
            head, (side, side, channels), classes
        )


def test_bars_stay_within_their_ends():
    most = max(head_params(head, (32, 32, 2048), 1000) for head in costs.GROWTH_HEADS)
    assert 10 ** cost_dial.ENDS[0] < head_params("gap", (4, 4, 128), 2)
    assert most < 10 ** cost_dial.ENDS[1]
