"""What all interactive figures have in common: small, without errors, and for fingers as well as for eyes."""

import pytest
import yaml
from tests_support import ROOT

PAGES = [
    "book/augmentation",
    "book/claims",
    "book/constraint_and_blocks",
    "book/convergence",
    "book/costs",
    "book/where_it_looks",
]


def test_scripts_and_pages_are_small(built):
    scripts = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["html_js_files"]
    assert set(scripts) == {path.name for path in (ROOT / "book/_static").glob("*.js")}
    assert max((ROOT / "book/_static" / name).stat().st_size for name in scripts) < 60_000
    for name in PAGES:
        path = built / f"{name}.html"
        assert 'class="play ' in path.read_text(encoding="utf-8")
        assert path.stat().st_size < 500_000


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("name", PAGES)
def test_they_fit_are_named_and_can_be_hit(browser, show, name, width, mode):
    show(name, width, mode)
    wide = "return [...document.querySelectorAll('.play')].filter(each => each.scrollWidth > each.clientWidth).length"
    assert browser.execute_script(wide) == 0
    targets = browser.execute_script(
        "return [...document.querySelectorAll('.play :is(button, select, label)')].filter(each => each.offsetParent)"
        ".map(each => each.getBoundingClientRect().height)"
    )
    assert targets
    assert min(targets) >= 35.5
    drawings = browser.execute_script(
        "return [...document.querySelectorAll('.play svg[role]')].map(each => each.getAttribute('aria-label'))"
    )
    assert all(said and len(said) > 30 for said in drawings)
    assert browser.execute_script("return document.querySelectorAll('.play [hidden]').length") == 0
