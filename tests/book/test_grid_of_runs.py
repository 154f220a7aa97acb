"""The grid of the paper's runs, as readers use it: by keyboard, by mouse, without JavaScript."""

import re

import pytest
from _pages import run_grid
from tests_support import contrast

PAGE = "book/claims"


def readout(browser):
    return browser.find_element("css selector", ".run-grid .readout").text


def test_without_javascript_there_is_a_table_without_buttons(built):
    text = (built / f"{PAGE}.html").read_text(encoding="utf-8")
    own = text[text.index('<div class="play run-grid">') :]
    own = own[: own.index("<script")]
    assert re.findall(r'<td class="\w+" data-run="\d+">(.*?)</td>', own) == [
        run["shown"] for table in ("5", "6", "7", "9") for run in by_head(f"Table {table}")
    ]
    assert "<button" not in own
    assert 'aria-live="polite" hidden' in own


def by_head(table):
    """The runs of a table as its panel has them: a row a head."""
    runs = [run for run in run_grid.runs() if run["table"] == table]
    heads = list(dict.fromkeys(run["head"] for run in runs))
    return sorted(runs, key=lambda run: heads.index(run["head"]))


@pytest.mark.slow
def test_by_keyboard_every_cell_shows_the_packages_numbers(browser, show):
    from selenium.webdriver.common.keys import Keys

    show(PAGE)
    assert "Table 9, Xception + wise" in readout(browser)
    tables = browser.find_elements("css selector", ".run-grid table")
    for table in tables:
        (stop,) = table.find_elements("css selector", "button[tabindex='0']")
        runs = by_head(table.find_element("css selector", "caption").text.split(":")[0])
        stop.send_keys(Keys.HOME)
        for place, run in enumerate(runs):
            focused = browser.switch_to.active_element
            assert focused.text == run["shown"]
            assert focused.get_attribute("aria-pressed") == "true"
            assert run["title"] in focused.get_attribute("aria-label")
            said = readout(browser)
            assert said.startswith(run["title"])
            for name, text in run["facts"]:
                assert f"{name}\n{text}" in said
            assert run["command"] in said
            focused.send_keys(Keys.ARROW_RIGHT if place % 3 < 2 else Keys.ARROW_LEFT * 2 + Keys.ARROW_DOWN)
        assert len(table.find_elements("css selector", "button[tabindex='0']")) == 1
    assert len(browser.find_elements("css selector", ".run-grid button[aria-pressed='true']")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_tap_shows_a_cell_and_the_readout_stays_in_view(browser, show, mode):
    show(PAGE, 390, mode)
    for title in ("Table 5, Xception + gwap", "Table 9, Xception + gap"):
        button = browser.find_element("css selector", f".run-grid button[aria-label^='{title}:']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'start'}); window.scrollBy(0, -200)", button)
        button.click()
        assert readout(browser).startswith(title)
        box = browser.execute_script(
            "return document.querySelector('.run-grid .readout').getBoundingClientRect().toJSON()"
        )
        assert 0 <= box["top"] < box["bottom"] <= 901
        assert box["height"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_words_in_cells_stand_out(browser, show, mode):
    show(PAGE, 1400, mode)
    script = """
        const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const seen = (...colours) => {
            for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const page = getComputedStyle(document.documentElement).getPropertyValue("--pst-color-background");
        return [...document.querySelectorAll(".run-grid td[data-run]")].map(cell => {
            const back = getComputedStyle(cell).backgroundColor;
            return [seen(page, back), seen(page, back, getComputedStyle(cell.firstChild).color)];
        });
    """
    assert min(contrast(*pair) for pair in browser.execute_script(script)) >= 4.5
