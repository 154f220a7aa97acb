"""Every page as a browser shows it: on a phone and on a desk, light and dark."""

import base64
import io
import json
import pathlib
import re
from urllib.parse import unquote, urlsplit

import axe_core_python
import numpy as np
import pytest
from _pages.dark import in_the_dark
from matplotlib.colors import to_rgb
from PIL import Image
from tests_support import load_script, open_page

from wisesr_helpers import plots

PHONE, DESK = 390, 1400
SAMPLE = ("book/intro", "book/results_224", "notebooks/mit_512")  # in make test; the others in make test-slow
PAGES = [
    name if name in SAMPLE else pytest.param(name, marks=pytest.mark.slow) for name in load_script("check_book").pages()
]
MOST_BYTES = 500_000  # a page and what it alone loads: all but what all pages share
SHARED = ("_static", "searchindex.js")
AXE = pathlib.Path(axe_core_python.__file__).with_name("axe.min.js")
GRAVE = ("critical", "serious")
NOT_OURS = {  # (rule of axe, element) → why it stands
    ("aria-required-children", ".citation-list"): "docutils' own markup of a list of references",
}
OPEN = """
document.head.insertAdjacentHTML("beforeend", "<style>* { animation: none !important; transition: none !important }");
document.querySelectorAll("details").forEach(each => each.open = true);
"""
FAULTS = """
const faults = [], named = each => each.id || each.className || each.tagName;
if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
for (const each of document.querySelectorAll("article *")) {
  const style = getComputedStyle(each);
  const scrolls = (overflow, hidden) => ["auto", "scroll"].includes(overflow) && hidden > 1;
  const across = scrolls(style.overflowX, each.scrollWidth - each.clientWidth);
  if (!across && !scrolls(style.overflowY, each.scrollHeight - each.clientHeight)) continue;
  if (each.tabIndex < 0) faults.push(`no key scrolls ${named(each)}`);
  if (each.matches("div:has(.dataframe, img)") && !each.ariaLabel) faults.push(`no name: ${named(each)}`);
}
// A picture in a label names a choice: it is as short, and as small, as a name.
for (const each of document.querySelectorAll("article img:not([aria-hidden], label *), article svg[role=img]")) {
  const text = each.alt || each.ariaLabel || "";
  if (text.length < 30 || text.endsWith(".png")) faults.push(`an image says only "${text}"`);
  if (each.naturalWidth === 0) faults.push(`an image is not shown: ${each.src}`);
  if (each.clientWidth < 0.6 * each.naturalWidth) faults.push(`an image is too small to read: ${text.slice(0, 40)}`);
}
for (const each of document.querySelectorAll("article svg text")) {
  const size = parseFloat(getComputedStyle(each).fontSize) * (each.getScreenCTM()?.a ?? 1);
  if (size < 10) faults.push(`${size.toFixed(1)} px are too small to read: ${each.textContent}`);
}
return faults;
"""


def faults(browser, built):
    """What is wrong with the page that is shown, a sentence each; everything that is folded is opened, at once."""
    browser.execute_script(OPEN)
    found = browser.execute_script(FAULTS)
    found += [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    failed = [m["params"]["errorText"] for m in messages if m["method"] == "Network.loadingFailed"]
    elsewhere = sorted(url for url in sent if not url.startswith(("file:", "data:", "blob:", "chrome:")))
    found += [f"asked for {url}" for url in elsewhere] + [f"a request failed: {error}" for error in failed]
    size = page_bytes(sent, built)
    return [*found, f"{size:,} bytes"] if size > MOST_BYTES else found


def page_bytes(urls, built):
    """Bytes of the files that were loaded, without those that all pages share."""
    files = {pathlib.Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")}
    own = [file for file in files if not {built / name for name in SHARED} & {file, *file.parents}]
    return sum(file.stat().st_size for file in own if file.exists())


def inaccessible(browser):
    """What axe-core finds grave, a sentence each, without what isn't ours."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[0], error => arguments[0](String(error)))"
    )
    assert isinstance(found, dict), found
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
        if rule["impact"] in GRAVE and (rule["id"], *node["target"]) not in NOT_OURS
    ]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_page_is_whole(browser, built, name, width, mode):
    open_page(browser, f"file://{built}/{name}.html", width, mode)
    assert faults(browser, built) == []
    if width == PHONE or name in SAMPLE:  # on a phone all scrolls that can; colours are those of the desk
        assert inaccessible(browser) == []


@pytest.mark.parametrize(
    ("markup", "noticed"),
    [
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">', 'an image says only ""'),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt: <img"),
        ('<img src="nothing.png" alt="An image that is described and lacks its file.">', "an image is not shown"),
        ('<img src="https://localhost:9/x.png" alt="An image that comes from elsewhere.">', "asked for https://local"),
        ('<div style="overflow: auto"><p style="width: 9999px">x</p></div>', "no key scrolls DIV"),
        ('<div style="overflow-y: auto; height: 9px"><p>x<br>x</p></div>', "no key scrolls DIV"),
        (
            '<div style="overflow: auto" tabindex="0"><p class="dataframe" style="width: 9999px">x</p></div>',
            "no name: DIV",
        ),
        ('<p style="width: 9999px">x</p>', "the page scrolls sideways"),
        ('<p style="color: #888; background: #999">grey</p>', "color-contrast: <p"),
        (
            '<svg role="img" aria-label="A drawing that is well described"><text font-size="4">x</text></svg>',
            "4.0 px",
        ),
        ("<script>console.error('what went wrong')</script>", "what went wrong"),
        (f"<p hidden>{'x' * MOST_BYTES}</p>", " bytes"),
        ("<p>A paragraph like any other.</p>", None),
    ],
)
def test_a_fault_is_noticed(browser, built, tmp_path, markup, noticed):
    page = (built / "book/recipes.html").read_text(encoding="utf-8").replace("</article>", f"{markup}</article>", 1)
    path = tmp_path / "page.html"
    path.write_text(page.replace('="../', f'="file://{built}/'), encoding="utf-8")
    open_page(browser, f"file://{path}", PHONE, "light")
    found = [*faults(browser, built), *inaccessible(browser)]
    assert any(noticed in each for each in found) if noticed else found == []


@pytest.mark.slow
def test_a_dark_page_inverts_a_figure_and_keeps_its_photographs(browser, built):
    shown = {}
    for mode in ("light", "dark"):
        open_page(browser, f"file://{built}/book/augmentation.html", DESK, mode)
        plate = browser.find_element("css selector", ".plate:has(.pictures) img")
        shown[mode] = np.asarray(Image.open(io.BytesIO(plate.screenshot_as_png)).convert("RGB")).astype(int)
    height, width = shown["light"].shape[:2]
    place = browser.find_element("css selector", ".plate .pictures").value_of_css_property("clip-path")
    corners = [float(share) / 100 for share in re.findall(r"([\d.]+)%", place)]
    left, right = (round(x * width) for x in (corners[0], corners[2]))
    top, bottom = (round(y * height) for y in (corners[1], corners[5]))
    inside = np.s_[top + 2 : bottom - 2, left + 2 : right - 2]
    assert np.abs(shown["light"][inside] - shown["dark"][inside]).max() <= 2
    assert shown["light"][inside].std() > 20  # a photograph
    above = np.s_[: top - 2, left:right]  # its title
    assert np.median(shown["light"][above]) == 255
    assert np.median(shown["dark"][above]) <= 20
    assert shown["dark"][above].max() > 200


def test_dark_figures_have_the_colours_of_interactive_ones(browser, built):
    colours = ["#FFFFFF", "#000000", *map(plots.colour, ("gap", "wise", "depthwise", "avg_fc", "flatten_fc"))]
    stripes = np.array([to_rgb(colour) for colour in colours])[None].repeat(20, 0).repeat(20, 1)  # (20, 140, 3)
    open_page(browser, f"file://{built}/book/recipes.html", DESK, "dark")
    written = io.BytesIO()
    Image.fromarray((255 * stripes).round().astype("uint8")).save(written, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
    markup = (
        f'<div class="plate"><div style="width: 140px"><img id="stripes" class="drawn" src="{address}"></div></div>'
    )
    browser.execute_script("document.querySelector('article').insertAdjacentHTML('afterbegin', arguments[0])", markup)
    drawn = browser.find_element("id", "stripes").screenshot_as_png
    shown = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))[10, 10::20].astype(int)
    own = [255 * np.array(to_rgb(in_the_dark(colour))) for colour in colours]
    assert np.abs(shown - own).max() <= 2
    page = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert list(shown[0]) == list(map(int, re.findall(r"\d+", page)))
