"""Blocks and costs as readers turn them: by keyboard, without JavaScript."""

import re

import pytest
from _pages import blocks, cost_dial, costs

from wisesr_helpers.models.counts import head_params


def turn(dial, place):
    """Turn a dial to a place by keyboard, counted from its lowest."""
    from selenium.webdriver.common.keys import Keys

    dial.send_keys(Keys.HOME, Keys.ARROW_RIGHT * place)


def counts(browser):
    return [int(each.text.replace(",", "")) for each in browser.find_elements("css selector", ".cost-dial td.count")]


def test_without_javascript_there_are_tables_of_the_usual_cases(built):
    text = (built / "book/costs.html").read_text(encoding="utf-8")
    own = text[text.index('<div class="play cost-dial">') :]
    assert own.startswith('<div class="play cost-dial"><p hidden>')
    shown = re.findall(r'<td class="count">(.*?)</td>', own[: own.index("</table>")])
    shape, classes = costs.usual_case()
    assert shown == [f"{head_params(head, shape, classes):,}" for head in costs.GROWTH_HEADS]
    text = (built / "book/constraint_and_blocks.html").read_text(encoding="utf-8")
    own = text[text.index('<div class="play blocks">') :]
    assert own.startswith('<div class="play blocks"><div hidden>')
    for left in blocks.ruled()["never looked at"]:
        assert f"<td>{left}</td>" in own[: own.index("</table>")]


@pytest.mark.slow
def test_by_keyboard_the_dial_shows_the_packages_counts(browser, show):
    show("book/costs")
    dials = browser.find_elements("css selector", ".cost-dial input")
    for side, channels, classes in ((0, 0, 0), (3, 9, 5), (11, 8, 4), (15, 9, 9), (5, 2, 7)):
        for dial, place in zip(dials, (side, channels, classes), strict=True):
            turn(dial, place)
        cells, case = costs.SIDES[side], (cost_dial.CHANNELS[channels], cost_dial.CLASSES[classes])
        expected = [head_params(head, (cells, cells, case[0]), case[1]) for head in costs.GROWTH_HEADS]
        assert counts(browser) == expected
        caption = browser.find_element("css selector", ".cost-dial caption").text
        assert caption == f"Heads on a {cells}×{cells}×{case[0]:,} map, {case[1]:,} classes"
        ratios = [each.text for each in browser.find_elements("css selector", ".cost-dial td.ratio")]
        assert [float(each.replace(",", "").rstrip("×")) for each in ratios] == pytest.approx(
            [value / expected[0] for value in expected], rel=0.006
        )


@pytest.mark.slow
def test_by_keyboard_the_blocks_are_the_packages(browser, show):
    show("book/constraint_and_blocks")
    side, block = browser.find_elements("css selector", ".blocks input[type=range]")
    turn(side, len(blocks.SIDES) - 1)
    for cells in (20, 16, 13, 7, 3):
        turn(side, cells - blocks.SIDES[0])
        for size in [size for size in blocks.BLOCKS if size <= cells]:
            turn(block, size - 1)
            for cover in blocks.COVERS:
                browser.find_element("css selector", f".blocks input[value={cover}]").click()
                layout = blocks.layouts()[cells, size, cover]
                out = int((~layout.inside).sum())
                said = browser.find_element("css selector", ".blocks .readout").text
                assert said.startswith(f"{cells}×{cells} cells, ")
                assert (f"{out} of {cells**2} cells" if out else f"all {cells**2} cells are looked at") in said
                assert f"A channel has {layout.count} weights" in said
                assert ("the paper’s rule" in said) == (
                    cover == "blocks" and size == (2 if cells < 12 else 3 if cells < 18 else 4)
                )
                assert len(browser.find_elements("css selector", ".blocks svg rect.out")) == out
                assert len(browser.find_elements("css selector", ".blocks svg rect")) == cells**2
                assert browser.find_element("css selector", ".blocks svg").get_attribute("aria-label") == said


@pytest.mark.slow
def test_a_block_is_never_larger_than_its_map(browser, show):
    show("book/constraint_and_blocks", 390)
    side, block = browser.find_elements("css selector", ".blocks input[type=range]")
    turn(block, 3)
    turn(side, 0)
    assert [each.text for each in browser.find_elements("css selector", ".blocks output")] == ["2×2", "2×2"]
