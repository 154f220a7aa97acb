"""The curves to choose from, as readers use them: by keyboard, by mouse, by touch."""

import re

import pytest
from _pages import curve_explorer
from _pages.results import committed
from tests_support import contrast, tap

PAGE = "book/convergence"
MEASURES = {"top1": "training top-1", "test_top1": "test top-1"}

LISTEN = """
    const readout = document.querySelector(".curves .readout");
    window.heard = [];
    window.observer?.disconnect();
    window.observer = new MutationObserver(() => window.heard.push(readout.textContent));
    window.observer.observe(readout, {childList: true});
"""


def readout(browser):
    return browser.find_element("css selector", ".curves .readout").text


def choose(browser, run):
    """Choose the study and backbone of a run."""
    from selenium.webdriver.support.select import Select

    (group,) = [
        each
        for each in curve_explorer.groups(committed())
        if (each["study"], each["backbone"]) == (_title(run), run.backbone) and each["scale"] == run.scale
    ]
    Select(browser.find_element("css selector", ".curves-study")).select_by_visible_text(
        f"{group['study']}, {group['scale']}"
    )
    Select(browser.find_element("css selector", ".curves-backbone")).select_by_visible_text(group["backbone"])
    return group


def _title(run):
    from wisesr_helpers.studies.grid import get_study

    return get_study(run.study, run.chosen_dataset).title


def test_without_javascript_every_run_is_in_a_table(built):
    text = (built / f"{PAGE}.html").read_text(encoding="utf-8")
    own = text[text.index('<div class="play curves">') :]
    assert own.startswith('<div class="play curves"><div hidden>')
    rows = re.findall(r"<tr>\s*<td>(.*?)</tr>", own[: own.index("</table>")], re.DOTALL)
    runs = committed()
    assert len(rows) == len(runs)
    for run, row in zip(_sorted(runs), rows, strict=True):
        assert f'<td class="number">{run.top1:.1%}</td>' in row


def _sorted(runs):
    return runs.sort_values(["study", "backbone", "head", "options", "seed"])["run"]


@pytest.mark.slow
def test_by_keyboard_every_run_ends_with_the_packages_accuracy(browser, show):
    from selenium.webdriver.common.keys import Keys

    show(PAGE)
    chart = browser.find_element("css selector", ".curves-chart")
    for _, runs in committed().groupby(["study", "dataset", "scale", "backbone"]):
        choose(browser, runs["run"].iloc[0])
        options = browser.find_element("css selector", ".curves-options input")
        if options.is_displayed() and not options.is_selected():
            options.click()
        for measure, words in MEASURES.items():
            browser.find_element("css selector", f".curves input[value={measure}]").click()
            chart.send_keys(Keys.ARROW_UP * len(runs))
            browser.execute_script(LISTEN)
            chart.send_keys((Keys.HOME + Keys.ARROW_RIGHT + Keys.END + Keys.ARROW_DOWN) * len(runs))
            seen = {re.sub(r" \([^)]*\)", "", each) for each in browser.execute_script("return window.heard")}
            said = {
                (run.identity, epoch["epoch"]): f"{curve_explorer.title(run)}, seed {run.seed}, epoch {epoch['epoch']} "
                f"of {run.planned_epochs}: {words} {epoch[measure]:.1%}"
                for run in runs["run"]
                for epoch in run.history
            }
            assert seen <= set(said.values())
            for run in runs["run"]:
                assert {said[run.identity, 2], said[run.identity, run.epochs]} <= seen


@pytest.mark.slow
def test_best_and_last_epochs_and_the_ceiling_are_marked(browser, show):
    show(PAGE)
    chart = browser.find_element("css selector", ".curves-chart")
    for _, runs in committed().groupby(["study", "dataset", "scale", "backbone"]):
        group = choose(browser, runs["run"].iloc[0])
        arm = next((arm for arm in group["arms"] if arm["title"] == "wise"), group["arms"][0])
        squares = chart.find_elements("css selector", "rect")
        assert {square.get_attribute("style").rstrip(";") for square in squares} == {f"--ink: {arm['ink']}"}
        assert len(squares) == len(chart.find_elements("css selector", "circle:not(.at)")) == len(arm["runs"])
        assert ("ceiling" in chart.text) == (group["ceiling"] is not None)
        said = chart.get_attribute("aria-label")
        ends = [run["test_top1"][-1] / 10 for run in arm["runs"]]
        assert f"{arm['title']} (runs: {len(ends)}) {min(ends):.1f}% to {max(ends):.1f}%" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_the_readout_follows_the_pointer(browser, show, kind):
    show(PAGE, 390 if kind == "touch" else 1400)
    chart = browser.find_element("css selector", ".curves-chart")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    last = chart.find_elements("css selector", "rect")[-1]
    place = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", last)
    tap(browser, kind, place["x"], place["y"])
    assert "last): test top-1" in readout(browser).replace("best on the test set, ", "")
    tap(browser, kind, place["x"] - 150, place["y"])
    name, seed, epoch, _, value = re.fullmatch(
        r"(.+), seed (\d+), epoch (\d+) of (\d+).*: test top-1 (.*%) \(demo.*\)", readout(browser)
    ).groups()
    shown = max(curve_explorer.groups(committed()), key=lambda group: sum(len(arm["runs"]) for arm in group["arms"]))
    (arm,) = [arm for arm in shown["arms"] if arm["title"] == name]
    (run,) = [run for run in arm["runs"] if run["seed"] == int(seed)]
    assert 1 < int(epoch) < run["planned"]
    assert value == f"{run['test_top1'][int(epoch) - 1] / 10:.1f}%"


@pytest.mark.slow
def test_a_head_is_brought_out_by_its_button(browser, show):
    show(PAGE)
    chart = browser.find_element("css selector", ".curves-chart")
    assert "gap (runs" not in chart.get_attribute("aria-label")
    button = browser.find_element("xpath", "//p[@class='curves-heads']/button[normalize-space()='gap']")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert "gap (runs" in chart.get_attribute("aria-label")
    button.click()
    assert "gap (runs" not in chart.get_attribute("aria-label")


@pytest.mark.slow
def test_every_heads_colour_stands_out_on_a_dark_page(browser, show):
    show(PAGE, 1400, "dark")
    browser.find_element("css selector", ".curves-options input").click()
    script = """
        const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const seen = colour => {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const page = getComputedStyle(document.documentElement).getPropertyValue("--pst-color-background");
        const inks = [...document.querySelectorAll(".curves-heads path")].map(each => getComputedStyle(each).stroke);
        return [seen(page), inks.map(seen)];
    """
    page, inks = browser.execute_script(script)
    assert len({tuple(ink) for ink in inks}) > 4
    assert min(contrast(page, ink) for ink in inks) >= 3
