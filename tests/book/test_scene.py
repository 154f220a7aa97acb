"""The scene explorer as readers use it: by keyboard, by mouse, by touch, without JavaScript."""

import re

import numpy as np
import pytest
from _pages import mirrored, scene_explorer
from tests_support import tap

PAGE = "book/where_it_looks"


def number(text):
    return float(text.replace("−", "-"))


def sums(browser):
    """Both classes' sums up to the cell, as the readout has them."""
    text = browser.find_element("css selector", ".scene .readout").text
    return [number(each) for each in re.search(r"cells: (.*) and (.*)\.$", text).groups()]


def expected(scene, head, cell):
    """The sums after a cell, by the package's contributions and biases."""
    parts = scene_explorer.sums().query("image == @scene and head == @head").set_index("class")
    biases = parts["pooling's bias"] + parts["classifier's bias"]
    return [biases[k] + scene_explorer.terms(head)[scene, k, : cell + 1].sum() for k in range(2)]


def choose(browser, scene, head):
    script = "arguments[0].click()"  # the radio button of a picture is not seen
    browser.execute_script(script, browser.find_element("css selector", f".scene input[name=scene][value='{scene}']"))
    browser.execute_script(script, browser.find_element("css selector", f".scene input[value={head}]"))


def test_without_javascript_there_is_a_still_figure_and_a_table(built):
    text = (built / f"{PAGE}.html").read_text(encoding="utf-8")
    own = text[text.index('<div class="play scene">') :]
    own = own[: own.index("</table>")]
    assert own.startswith('<div class="play scene"><div hidden>')
    rows = scene_explorer.logits()
    logits = rows.columns[2:4]
    for row in rows.to_dict("records"):
        assert all(f">{row[name]}<" in own for name in logits)
    still = re.findall(r'<text class="sum" [^>]*>(.*?)</text>', own)
    assert still == [rows.iloc[0][name] for name in logits]
    assert len(re.findall(r'<rect class="(?:for|against)"', own)) == mirrored.CELLS


@pytest.mark.slow
@pytest.mark.parametrize("head", scene_explorer.HEADS)
def test_by_keyboard_the_bars_fill_up_to_the_packages_logits(browser, show, head):
    from selenium.webdriver.common.keys import Keys

    show(PAGE)
    board = browser.find_element("css selector", ".scene-map")
    for scene in range(2 * scene_explorer.PAIRS):
        choose(browser, scene, head)
        board.send_keys(Keys.END)
        answer = np.argmax(mirrored.trained(head)(scene_explorer.maps()[scene : scene + 1]))
        shown = [number(each.text) for each in browser.find_elements("css selector", ".scene-bars .sum")]
        assert shown == sums(browser) == pytest.approx(_logits(head, scene), abs=6e-4)
        verdict = browser.find_element("css selector", ".scene .verdict").text
        right = answer == scene_explorer.data()["labels"][scene]
        assert verdict.endswith("right." if right else "wrong.")
    for cell in range(mirrored.CELLS):
        row, column = divmod(cell, mirrored.SIDE)
        board.send_keys(Keys.HOME, Keys.ARROW_DOWN * row + Keys.ARROW_RIGHT * column)
        assert sums(browser) == pytest.approx(expected(scene, head, cell), abs=6e-4)


def _logits(head, scene):
    parts = scene_explorer.sums().query("image == @scene and head == @head")
    return list(parts.sort_values("class")["logit"])


@pytest.mark.slow
def test_exchanging_inside_and_outside_keeps_gaps_logits_and_turns_those_of_wise(browser, show):
    show(PAGE)
    exchange = browser.find_element("xpath", "//div[@class='play scene']//button")
    found = {}
    for head in scene_explorer.HEADS:
        choose(browser, 0, head)
        before = sums(browser)
        exchange.click()
        found[head] = before, sums(browser)
    assert found["gap"][0] == found["gap"][1]
    assert [value > 0 for value in found["wise"][0]] != [value > 0 for value in found["wise"][1]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_the_cell_under_the_pointer_is_read(browser, show, kind):
    show(PAGE, 390 if kind == "touch" else 1400)
    board = browser.find_element("css selector", ".scene-map")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", board)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", board)
    row, column = 2, 4
    size = box["width"] / mirrored.SIDE
    tap(browser, kind, box["x"] + (column + 0.5) * size, box["y"] + (row + 0.5) * size)
    assert browser.find_element("css selector", ".scene .readout").text.startswith("Row 3, column 5:")
    assert sums(browser) == pytest.approx(expected(0, "wise", row * mirrored.SIDE + column), abs=6e-4)
