"""Every table and figure of the paper and of the report has an anchor and a caption that names it."""

import re

import pytest

PAGES = {
    "heads": ("figure-1", "figure-2", "figure-3", "figure-8"),
    "costs": ("table-1",),
    "data": ("table-2",),
    "augmentation": ("table-3",),
    "recipes": ("table-4", "table-8"),
    "results_224": ("table-5", "table-6", "table-7", "figure-4", "figure-5", "figure-6"),
    "mit_512": ("table-9", "figure-7"),
    "where_it_looks": ("figure-9",),
    "deeper_networks": (
        "report-table-1",
        *(f"report-figure-{number}" for number in range(1, 8)),
        *(f"report-appendix-{letter}" for letter in "abc"),
    ),
}
MADE_FROM_RECORDS = {"figure-4", "figure-5", "figure-6", "figure-7", "figure-9", "report-figure-2", "report-figure-3"}


def text_after(built, page, anchor):
    """The visible text that follows an anchor, of the page as it is built; "" if the anchor isn't there."""
    found = (built / "book" / f"{page}.html").read_text(encoding="utf-8")
    _, _, rest = found.partition(f'id="{anchor}"')
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>|data:[^\"]+", " ", rest[:4_000_000]))


def test_no_number_is_left_out():
    anchors = {anchor for found in PAGES.values() for anchor in found}
    assert anchors >= {f"{kind}-{number}" for kind in ("table", "figure") for number in range(1, 10)}


@pytest.mark.parametrize(("page", "anchor"), [(page, anchor) for page, found in PAGES.items() for anchor in found])
def test_each_has_an_anchor_and_a_caption_that_names_it(built, page, anchor):
    text = text_after(built, page, anchor)
    assert text, f"{page} has no anchor {anchor}."
    *source, kind, number = anchor.split("-")
    whose, what = ("Report" if source else "Paper"), f"{kind.capitalize()}s? {number.upper()}"
    caption = rf"{whose} (Figures|{kind.capitalize()})[^.:]*\b{number.upper()}\b" if source else f"{whose} {what}"
    assert re.search(caption, text[:3000]), text[:500]


@pytest.mark.parametrize("page", PAGES)
def test_figures_of_records_say_where_they_come_from(built, page):
    text = (built / "book" / f"{page}.html").read_text(encoding="utf-8")
    for anchor in MADE_FROM_RECORDS & set(PAGES[page]):
        _, _, rest = text.partition(f'id="{anchor}"')
        block = re.search(r'<details class="provenance">.*?</details>', rest, re.DOTALL)[0]
        assert "papermill notebooks/" in block
        assert "commit" in block
        assert "wisesr_helpers/" in block
