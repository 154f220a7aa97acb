"""What the book's own Sphinx extensions make of tables and figures."""

import pytest
from docutils import nodes
from tests_support import load_script

figures, tables = load_script("figures", "book/_ext"), load_script("tables", "book/_ext")


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["+5.6 (−0.2 to 11.3)", "–", "1e-4"], True),
        (["7×7×2048", "9 of 12", "98.7%"], True),
        (["0.021", "< 0.001", "learned"], True),
        (["3 seeds"], False),
        (["wise", "0.7362"], False),
        (["", "–"], False),
    ],
)
def test_a_column_of_numbers_is_known(texts, numbers):
    assert tables.number_columns([["text", text] for text in texts]) == ({1} if numbers else set())


def test_rows_of_different_lengths_have_no_such_columns():
    assert tables.number_columns([["1", "2"], ["3"]]) == set()


def test_a_table_of_a_notebook_is_prepared_as_those_of_pages():
    pandas = (
        '<div>\n<style scoped>\n  .dataframe {}\n</style>\n<table border="1" class="dataframe"><thead>'
        '<tr style="text-align: right;"><th></th><th>head, by its name</th><th>top-1 &lt; 1</th></tr></thead>'
        "<tbody><tr><th>a</th><td>wise</td><td>0.5</td></tr></tbody></table></div>"
    )
    assert tables.prepared(pandas) == (
        '<div class="results-table" tabindex="0" role="region" aria-label="Table of head, by its name, top-1 &lt; 1">'
        '<table class="dataframe"><thead><tr><td></td><th class="long">head, by its name</th>'
        '<th class="number">top-1 &lt; 1</th>'
        '</tr></thead><tbody><tr><th>a</th><td>wise</td><td class="number">0.5</td></tr></tbody></table>'
        "</div>"
    )


@pytest.mark.parametrize(
    ("heading", "firsts", "hidden"),
    [("", ("0", "12"), True), ("image", ("0", "1"), False), ("", ("gap", "1"), False), ("", ("1.5", "2"), False)],
)
def test_an_index_that_only_counts_rows_is_hidden(heading, firsts, hidden):
    rows = "".join(f"<tr><th>{first}</th><td>wise</td></tr>" for first in firsts)
    head = f"<thead><tr><th>{heading}</th><th>head</th></tr></thead>"
    shown = tables.prepared(f'<div class="results-table"><table>{head}<tbody>{rows}</tbody></table></div>')
    assert [f">{first}</th>" not in shown for first in firsts] == [hidden, hidden]
    assert shown.count(">wise<") == 2
    assert ">head</th>" in shown


@pytest.mark.parametrize(
    ("columns", "rows", "kind", "wide"),
    [
        (7, 2, "results-table", True),
        (6, 40, "results-table", False),
        (4, 25, "results-table with-sentences", True),
        (4, 24, "results-table with-sentences", False),
    ],
)
def test_tables_of_many_columns_and_many_sentences_take_the_margin(columns, rows, kind, wide):
    row = f"<tr>{'<td>a</td>' * columns}</tr>"
    shown = tables.prepared(f'<div class="{kind}"><table>{row}{row * rows}</table></div>')
    assert shown.startswith(f'<div class="{kind}{" many" * wide}" tabindex="0"')


@pytest.mark.parametrize(
    ("word", "short"),
    [("-p", True), ("record.json", True), ("--path-output=x", True), ("notebooks/mit_512.ipynb", False)],
)
def test_options_and_short_code_are_marked(word, short):
    context = {"body": f'<code><span class="pre">{word}</span></code>'}
    load_script("wisesr_book", "book/_ext").mark_short_code(None, "page", "page.html", context, None)
    assert context["body"] == f'<code><span class="pre{" short" * short}">{word}</span></code>'


def test_pictures_are_cut_out_one_after_the_other_and_back():
    one, other = "10% 20%, 30% 20%, 30% 40%, 10% 40%, 10% 20%", "50% 0%, 60% 0%, 60% 10%, 50% 10%, 50% 0%"
    assert figures.cut_out("10 20 30 40;50 0 60 10") == f"polygon({one}, {other}, 50% 0%, 10% 20%)"


def test_the_badge_of_a_notebook_is_text_on_its_page():
    document = nodes.paragraph("", "", nodes.image(uri=figures.BADGE, alt="Open in Colab"))
    show = figures.ShowFigures.__new__(figures.ShowFigures)
    show.document = document
    show.run()
    assert document.astext() == "Open in Colab"
    assert not list(document.findall(nodes.image))
