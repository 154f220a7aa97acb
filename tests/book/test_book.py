"""The book: it builds without a warning, shows what was run, and an empty build fails."""

import re
import shutil
from types import SimpleNamespace

import pytest
from _pages import experiments
from _pages.results import ResultsPage
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers.studies.questions import QUESTIONS

OTHERS = {  # page → questions that it uses
    "better_start": ("parts", "scale", "better_head"),
    "convergence": ("few_images", "convergence"),
    "demo_task": ("demos", "jumps"),
    "mit_512": ("map_size",),
    "what_did_not_work": ("parts",),
    "where_it_looks": ("weights",),
}


def page(built, name):
    return (built / f"{name}.html").read_text(encoding="utf-8")


def test_every_page_is_there_and_every_link_leads_somewhere(built):
    assert load_script("check_book").problems(built) == []


def test_a_missing_or_empty_page_is_noticed(built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "html")
    (copy / "book/mit_512.html").unlink()
    (copy / "book/intro.html").write_text("<article>Nothing here.</article>")
    problems = load_script("check_book").problems(copy)
    assert "intro.html holds 2 words" in problems[0]
    assert "mit_512.html is missing" in problems[1]
    assert all("mit_512.html" in each or "intro.html" in each for each in problems)  # what led there


@pytest.mark.parametrize(
    ("markup", "noticed"),
    [
        ('<a href="nowhere.html">x</a>', "links 'nowhere.html', which is not there"),
        ('<a href="mit_512.html#table-10">x</a>', "and mit_512.html has no such place"),
        ('<a href="#no-such-heading">x</a>', "and intro.html has no such place"),
        ('<a download="rows.csv" href="data:text/csv;base64,">x</a>', "offers a file that is empty"),
        ('<a href="https://colab.research.google.com/github/x">x</a>', "is no notebook and leads to Colab"),
        ('<img src="../_images/nothing.png">', "loads '../_images/nothing.png', which is not there"),
        ('<img src="https://example.org/x.png">', "loads 'https://example.org/x.png' from elsewhere"),
        ('<script src="//example.org/x.js"></script>', "loads '//example.org/x.js' from elsewhere"),
        ('<link rel="stylesheet" href="https://example.org/x.css">', "x.css' from elsewhere"),
        ("<style>@font-face {src: url('https://example.org/x.woff')}</style>", "x.woff' from elsewhere"),
        ('<p style="background: url(https://example.org/x.png)">x</p>', "x.png' from elsewhere"),
        ('<a href="https://example.org">x</a><a href="mit_512.html#table-9">y</a><a href="#">z</a>', None),
    ],
)
def test_a_link_that_leads_nowhere_and_a_file_from_elsewhere_are_noticed(built, tmp_path, markup, noticed):
    copy = tmp_path / "html"
    (copy / "book").mkdir(parents=True)
    shutil.copyfile(built / "book/mit_512.html", copy / "book/mit_512.html")
    (copy / "book/intro.html").write_text(f"<article>{markup}</article>", encoding="utf-8")
    problems = [each for each in load_script("check_book").broken(copy) if each.startswith(str(copy / "book/intro"))]
    assert len(problems) == bool(noticed)
    assert not noticed or noticed in problems[0]


def test_a_style_sheet_that_loads_something_from_elsewhere_is_noticed(tmp_path):
    (tmp_path / "here.woff").touch()
    (tmp_path / "page.css").write_text("@import 'https://example.org/x.css'; p {src: url(here.woff), url(gone.woff)}")
    elsewhere, gone = load_script("check_book").broken(tmp_path)
    assert "loads 'https://example.org/x.css' from elsewhere" in elsewhere
    assert "loads 'gone.woff', which is not there" in gone


def test_the_page_shows_published_and_own_numbers_apart(built):
    text = page(built, "book/mit_512")
    published, demo = text.split('id="what-the-demo-shows"')
    assert "0.7362" in published
    assert "0.7362" not in demo
    assert "demo: not the paper's data" in demo.replace("’", "'").replace("&#39;", "'").replace("&#x27;", "'")
    assert "papermill notebooks/mit_512.ipynb" in demo


def test_the_readers_own_run_is_marked(built):
    others, _, own = page(built, "book/mit_512").partition('id="your-runs"')
    seed = '<td class="number">77</td>'
    assert own.count(seed) == 1
    assert "<dd>1, yours</dd>" in own
    assert seed not in others


def test_figures_have_descriptions_made_from_the_data(built):
    text = page(built, "book/mit_512")
    alts = re.findall(r'<img alt="([^"]*)"', text)
    committed = ResultsPage("mit_512").committed
    assert any(f"{value:.1%}" in alt for alt in alts for value in committed["top1"])
    assert all(len(alt) > 30 and not alt.endswith(".png") for alt in alts if "Figure" not in alt)


def test_nothing_leads_to_an_address_that_is_not_set(built):
    for name in load_script("check_book").pages():
        shown = re.sub(r"<!--.*?-->|<pre>.*?</pre>", "", page(built, name), flags=re.DOTALL)
        assert "OWNER/REPOSITORY" not in shown, name


@pytest.mark.parametrize(
    ("address", "source", "kept"),
    [
        ("someone/wise", "notebooks/mit_512.ipynb", ["launch-buttons", "source-buttons", "fullscreen-button"]),
        ("someone/wise", "book/mit_512.md", ["source-buttons", "fullscreen-button"]),
        ("OWNER/REPOSITORY", "notebooks/mit_512.ipynb", ["fullscreen-button"]),
    ],
)
def test_buttons_stand_where_they_lead_somewhere(address, source, kept):
    extension = load_script("wisesr_book", "book/_ext")
    page = source.rsplit(".", 1)[0]
    environment = SimpleNamespace(all_docs=[page], doc2path=lambda name, base: source)
    options = {"repository_url": f"https://github.com/{address}"}
    app = SimpleNamespace(env=environment, config=SimpleNamespace(html_theme_options=options))
    context = {
        "header_buttons": [{"label": label} for label in ("launch-buttons", "source-buttons", "fullscreen-button")]
    }
    extension.drop_dead_buttons(app, page, "page.html", context, None)
    assert [button["label"] for button in context["header_buttons"]] == kept


@pytest.mark.parametrize(
    ("name", "figures", "tables"),
    [
        ("book/why_pooling", 1, 1),
        ("book/heads", 5, 1),
        ("book/constraint_and_blocks", 1, 2),
        ("book/costs", 1, 2),
        ("book/demo_task", 2, 1),
        ("book/recipes", 0, 3),
        ("book/data", 0, 1),
        ("book/augmentation", 3, 2),
        ("book/claims", 1, 6),
        ("book/results_224", 3, 4),
        ("book/mit_512", 2, 4),
        ("book/convergence", 1, 2),
        ("book/where_it_looks", 3, 0),
        ("book/what_did_not_work", 1, 3),
        ("book/deeper_networks", 4, 5),
        ("book/better_start", 2, 2),
        ("book/own_images", 1, 1),
        ("book/explore", 2, 0),
        ("book/slips", 0, 1),
    ],
)
def test_pages_hold_their_figures_and_tables(built, name, figures, tables):
    text = page(built, name)
    article = re.search(r"<article.*?</article>", text, re.DOTALL)[0]
    found = re.findall(r"<figure.*?</figure>", article, re.DOTALL)
    assert len(found) == figures
    for figure in found:
        assert len(re.search(r'<img alt="([^"]*)"', figure)[1]) > 60
        assert re.search(r'<figcaption>.*?caption-number">Fig. \d+ ', figure, re.DOTALL)
    assert len(re.findall('class="dataframe"', article)) >= tables
    assert "Traceback" not in article
    assert not re.search(r'class="[^"]*(traceback|stderr)', article)


def alts(built, name):
    return " ".join(re.findall(r'<img alt="([^"]*)"', page(built, name)))


def test_every_head_is_drawn_with_its_steps(built):
    said = alts(built, "book/heads")
    blocks = alts(built, "book/constraint_and_blocks")
    for head in ws.HEADS:
        assert re.search(rf"\b{head}: a feature map of (7×7|16×16)×2048; ", said), head
    assert "which cover its first 6 rows and 6 columns; 13 of 49 cells" in blocks


def test_the_costs_page_shows_table_1_counted_again(built):
    text = page(built, "book/costs")
    assert "All 21 printed values agree" in re.sub(r"<[^>]+>", "", text)
    rows = re.findall(r"<tr>\s*<td>(?:ResNet50|Xception|DenseNet121)</td>.*?</tr>", text, re.DOTALL)
    assert len(rows) == 12
    assert all("<td>yes</td>" in row for row in rows)
    assert "This is ResNet50's count" in text.replace("&#x27;", "'")
    assert 'download="growth.csv"' in text
    assert "vgg_fc 151,289,926 to 8,607,006,790" in alts(built, "book/costs")


def test_the_page_on_data_shows_table_2_and_says_that_no_photograph_was_at_hand(built):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page(built, "book/data")))
    assert "Intel Image Classification Challenge 6 14,034 3,000 intel puneet6060/intel-image-classification" in text
    assert "No run at the paper's scale is recorded" in text.replace("’", "'")


def test_the_page_on_augmentation_measures_its_parity_when_it_is_built(built):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page(built, "book/augmentation")))
    largest, share = re.search(r"uint8 [\d,]+ (\d+) ([\d.]+)%", text).groups()
    assert int(largest) <= 5
    assert float(share) > 97
    assert "means the older convention here, keras_preprocessing_1_1" in text


def test_arithmetic_of_the_paper_comes_out_as_printed(built):
    text = re.sub(r"<[^>]+>", "", page(built, "book/why_pooling"))
    for value in ("138,357,544", "100,352 numbers, 10,035,200 weights", "1,179,648 weights", "133,376 weights"):
        assert value in text


def test_the_page_is_built_with_every_question_and_leads_to_the_protocol(built):
    text = (built / "book/experiments.html").read_text(encoding="utf-8").replace("&#39;", "'").replace("’", "'")
    for question in QUESTIONS.values():
        assert question.asks.replace("’", "'") in text
    assert len(re.findall(r'caption-number">Fig\. \d+ ', text)) == len(QUESTIONS) + 1  # and that of speed
    assert 'href="../results/protocol.html"' in text
    assert (built / "results/protocol.html").exists()


@pytest.mark.parametrize("page", OTHERS)
def test_other_pages_lead_to_the_answer_that_they_quote(built, page):
    text = (built / f"book/{page}.html").read_text(encoding="utf-8")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>|['‘’]", "", text))
    for name in OTHERS[page]:
        assert f'href="experiments.html#q-{name.replace("_", "-")}"' in text
        titles = ("exact cover", "stride 1") if page == "what_did_not_work" else ()
        quoted = experiments.said(name, *titles)
        assert quoted.replace("'", "") in plain
