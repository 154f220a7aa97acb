"""The title page and the weight painter as readers use them: by eye, by keyboard, by pointer, without JavaScript."""

import re

import numpy as np
import pytest
from _pages import mirrored


def outputs(browser):
    return [float(element.text) for element in browser.find_elements("css selector", ".painter output")]


def weights(browser):
    return [float(number.text) for number in browser.find_elements("css selector", ".painter-weights text")]


def verdict(browser):
    return browser.find_element("css selector", ".painter-verdict").text


def test_the_two_scenes_hold_the_same_cells_at_other_places():
    one, other = (cells.reshape(mirrored.CELLS, -1) for cells in mirrored.scenes())
    assert sorted(map(bytes, one)) == sorted(map(bytes, other))
    assert (one != other).any(axis=1).sum() == 6


def test_gap_gives_both_scenes_one_vector_and_wise_gives_each_its_own():
    found = mirrored.vectors()
    np.testing.assert_allclose(*found["gap"], rtol=1e-6)
    one, other = found["wise"]
    assert (one[0] < one[1]) != (other[0] < other[1])
    for values in (one, other):
        assert f"({values[0]:.2f}, {values[1]:.2f})" in mirrored.described()


def test_a_painted_output_is_the_weighted_sum_of_the_map():
    units = np.arange(mirrored.CELLS) % 5
    maps = mirrored.feature_map(mirrored.scenes())[..., 0].reshape(2, -1)
    np.testing.assert_allclose(mirrored.outputs(units), maps @ units / mirrored.CELLS, rtol=1e-6)


def test_without_javascript_there_is_a_still_figure_and_a_table(built):
    text = (built / "book/why_pooling.html").read_text(encoding="utf-8")
    painter = text[text.index('<div class="painter">') : text.index("</table>", text.index('<div class="painter">'))]
    still = dict(re.findall(r'<td>([^<]+)</td>\s*<td class="number">([^<]+)</td>', painter))
    for name, units in mirrored.presets().items():
        assert still[name] == f"{mirrored.outputs(units)[0]:.2f}"
    assert re.findall(r"<output>(.*?)</output>", painter) == [f"{x:.2f}" for x in mirrored.outputs(np.ones(49))]
    assert re.search(r'class="painter-tools" hidden', painter)


@pytest.mark.slow
def test_the_painter_is_one_tap_from_the_title_page(browser, show):
    show("book/intro", 390)
    browser.find_element("partial link text", "paint the weights").click()
    assert browser.current_url.endswith("why_pooling.html#paint-the-weights")


@pytest.mark.slow
def test_by_keyboard_the_outputs_are_the_packages(browser, show):
    from selenium.webdriver.common.keys import Keys

    show("book/why_pooling")
    assert outputs(browser) == pytest.approx(mirrored.outputs(np.ones(49)).round(2))
    assert verdict(browser).startswith("Equal")
    grid = browser.find_element("css selector", ".painter-weights svg")
    assert grid.get_attribute("tabindex") == "0"
    grid.send_keys(Keys.ARROW_UP * 9, Keys.ARROW_LEFT * 9)  # it stays at the corner
    units = np.ones((7, 7))
    for row in range(7):
        for column in range(7):
            change = (row * 3 + column) % 4 - 1
            grid.send_keys("-" if change < 0 else "+" * change, Keys.ARROW_RIGHT)
            units[row, column] += change
        grid.send_keys(Keys.ARROW_LEFT * 9, Keys.ARROW_DOWN)
    assert weights(browser) == units.ravel().tolist()
    assert outputs(browser) == pytest.approx(mirrored.outputs(units).round(2))
    assert verdict(browser).startswith("Different")


@pytest.mark.slow
def test_weights_stay_within_their_range(browser, show):
    show("book/why_pooling")
    grid = browser.find_element("css selector", ".painter-weights svg")
    grid.send_keys("-" * 3)
    assert min(weights(browser)) == 0
    grid.send_keys("+" * 12)
    assert max(weights(browser)) == 9


@pytest.mark.slow
def test_buttons_bring_weights_and_a_drag_paints(browser, show):
    from selenium.webdriver.common.action_chains import ActionChains

    show("book/why_pooling")
    for name, units in mirrored.presets().items():
        browser.find_element("xpath", f"//div[@class='painter']//button[.='{name}']").click()
        assert weights(browser) == units.ravel().tolist()
        assert outputs(browser) == pytest.approx(mirrored.outputs(units).round(2))
    squares = browser.find_elements("css selector", ".painter-weights rect")
    ActionChains(browser).click_and_hold(squares[7]).move_to_element(squares[8]).release().perform()
    assert weights(browser)[7:9] == [4, 4]
