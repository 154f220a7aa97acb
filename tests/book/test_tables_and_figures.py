"""Every table and figure of the paper and of the report: its anchor and caption, and how it fills once rows have run.

The records of the full book were never trained; every row has one.
"""

import html
import re

import numpy as np
import pandas as pd
import pytest
import records
from tests_support import build_book

from wisesr_helpers.studies import plan, support
from wisesr_helpers.studies.grid import get_study

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
TABLES = (
    ("sub_imagenet_224", "results_224", "table-5"),
    ("intel_224", "results_224", "table-6"),
    ("mit_224", "results_224", "table-7"),
    ("mit_512", "mit_512", "table-9"),
)
FIGURES = (
    ("sub_imagenet_224", "results_224", "figure-4"),
    ("intel_224", "results_224", "figure-5"),
    ("mit_224", "results_224", "figure-6"),
    ("mit_512", "mit_512", "figure-7"),
)
FEWER = {"intel_224": 0.9}  # of the printed accuracy's images are right in the imitated run of this study


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


def imitate(folder):
    """Keep a record of every row at the paper's scale in ``folder``: (study, dataset, backbone, head) → ``RunResult``.

    Each ends at its printed accuracy, but for the study of ``FEWER``.
    """
    printed = support.accuracies().query("measure == 'top-1'")
    right = printed.set_index(["study", "dataset", "backbone", "head"])["correct"]
    kept = {}
    for row in plan.plan({"scale": "paper", "runs_dir": folder}):
        named = row.spec.parameters
        model = named.study, named.dataset, named.backbone, named.head
        end = int(right[model] * FEWER.get(named.study, 1))
        curve = np.linspace(1, end, row.spec.recipe.epochs).astype(int).tolist()
        kept[model] = records.keep_row(row, correct=curve, photographs=True)
    return kept


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """(The book that is built with such records, the records)."""
    folder = tmp_path_factory.mktemp("filled")
    kept = imitate(folder / "runs")
    return build_book(folder, folder / "runs"), kept


def article(pages, name):
    """A page's own part of its HTML."""
    return re.search(r"<article.*?</article>", (pages / f"book/{name}.html").read_text(encoding="utf-8"), re.DOTALL)[0]


def text(markup):
    """What a reader sees of it, with plain apostrophes."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup))).replace("’", "'")


def part(markup, anchor):
    """The page from an anchor up to the next heading, table or figure of the paper."""
    _, _, rest = markup.partition(f'id="{anchor}"')
    return re.split(r'<h2|id="(?:table|figure)-\d"', rest)[0]


def linked(pages, markup, name):
    """The table that a page of the book links as CSV under this name."""
    file = re.search(rf'download="{name}" href="\.\./([^"]+)"', markup)[1]
    return pd.read_csv(pages / file, keep_default_na=False)


@pytest.mark.slow
@pytest.mark.parametrize(("study", "page", "table"), TABLES)
def test_a_table_fills(filled, study, page, table):
    pages, kept = filled
    shown = part(article(pages, page), table)
    rows = linked(pages, shown, f"{table.replace('-', '_')}.csv")
    expected = {model[2:]: f"{run.top1:.1%} (1 seed, yours)" for model, run in kept.items() if model[0] == study}
    assert {(row.backbone, row.head): row.here for row in rows.itertuples()} == expected
    for value in expected.values():
        assert value in text(shown)
    assert f"All {len(expected)} rows were run again at the paper's scale." in text(shown)
    assert not re.search("not run|demo", text(shown))
    assert f"Where this comes from: paper; seed 0; commit {records.COMMIT[:10]}" in text(shown)


@pytest.mark.slow
@pytest.mark.parametrize(("study", "page", "figure"), FIGURES)
def test_a_figure_fills(filled, study, page, figure):
    pages, kept = filled
    shown = part(article(pages, page), figure)
    alt = html.unescape(re.search(r'<img alt="([^"]*)"', shown)[1])
    for (of, _, backbone, _), run in kept.items():
        if of == study:
            assert backbone in alt
            assert f"{run.top1:.1%}" in alt
    assert "demo" not in alt
    assert "Where this comes from: paper" in text(shown)
    (name,) = re.findall(r'download="([^"]+)"', shown)
    epochs = linked(pages, shown, name)
    ends = epochs.groupby("run")["test_top1"].last().to_dict()
    assert ends == {run.identity: pytest.approx(run.top1) for model, run in kept.items() if model[0] == study}


@pytest.mark.slow
def test_the_ledger_fills(filled):
    pages, kept = filled
    ledger = linked(pages, article(pages, "claims"), "claims.csv")
    accuracies = ledger[(ledger["kind"] == "accuracy") & ledger["test"].str.startswith("accuracy of runs")]
    assert set(accuracies["scale"]) == {"paper"}
    top1 = accuracies[accuracies["test"].str.endswith("top-1")].set_index("test")
    for (study, dataset, backbone, head), run in kept.items():
        row = top1.loc[f"accuracy of runs: {dataset or study}; {backbone}; {head}; top-1"]
        assert row["ours"] == f"{run.top1:.4f}"
        assert row["verdict"] == ("not reproduced" if study in FEWER else "reproduced")
    assert len(top1) == len(kept)
    waiting = ledger[ledger["verdict"] == "open"]
    assert set(waiting["test"].str.partition(": ")[0]) == {"option worse", "option not better", "not better"}
    counts = text(re.search("<table.*?</table>", article(pages, "claims"), re.DOTALL)[0])
    for verdict, count in ledger["verdict"].value_counts().items():
        assert f" {verdict} {count} " in counts


@pytest.mark.slow
def test_what_pages_say_of_the_reproduction_changes(filled):
    pages, kept = filled
    said = {name: text(article(pages, name)) for name in ("intro", "results_224", "mit_512", "grid", "data")}
    papers = [model for model in kept if not model[1]]
    assert f"rows of its tables re-run on photographs: {len(papers)} of {len(papers)} " in said["intro"]
    assert "45 of 45 rows re-run on photographs" in said["results_224"]
    assert "9 of 9 rows re-run on photographs" in said["mit_512"]
    assert "Wise-SrNet beats GAP on MIT Indoor Scenes at 512×512 paper reproduced (wise − gap on" in said["mit_512"]
    assert f"{len(kept)} of {len(kept)} rows are done." in said["grid"]
    assert "Used by the recorded runs at the paper's scale: " in said["data"]


@pytest.mark.parametrize(("study", "page", "table"), TABLES)
def test_a_table_without_runs_says_so_and_names_the_command_that_fills_it(built, study, page, table):
    shown = part(article(built, page), table)
    rows = linked(built, shown, f"{table.replace('-', '_')}.csv")
    assert set(rows["here"]) == {"not run"}
    assert f"{len(rows)} of {len(rows)} rows were not run again here" in text(shown)
    first = rows.iloc[0]
    assert (
        f"papermill notebooks/{study}.ipynb runs/out.ipynb -p scale paper "
        f"-p backbone {first['backbone']} -p head {first['head']}"
    ) in text(shown)
    assert f"python -m wisesr_helpers.data fetch {get_study(study).source}" in text(shown)


@pytest.mark.parametrize(("study", "page", "figure"), FIGURES)
def test_a_figure_without_runs_at_the_papers_scale_says_that_it_is_the_demos(built, study, page, figure):
    shown = part(article(built, page), figure)
    assert "demo: not the paper's data" in html.unescape(re.search(r'<img alt="([^"]*)"', shown)[1])
    assert "Where this comes from: demo" in text(shown)
    assert f"papermill notebooks/{study}.ipynb" in text(shown)


def test_open_claims_on_accuracy_name_their_commands(built):
    ledger = linked(built, article(built, "claims"), "claims.csv")
    waiting = ledger[ledger["verdict"] == "open"]
    assert len(waiting) > 100
    assert waiting["command"].str.startswith("papermill notebooks/").all()
    assert "rows of its tables re-run on photographs: 0 of " in text(article(built, "intro"))
