"""Stored notebooks as pages: what folds, what is a figure with a caption, and that nothing is lost."""

import base64
import html
import io
import re

import nbformat
import pytest
from PIL import Image, PngImagePlugin
from tests_support import ROOT, load_script

NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def pages():
    return load_script("notebook_pages", "book/_ext")


def png(description):
    told, out = PngImagePlugin.PngInfo(), io.BytesIO()
    told.add_itxt("Description", description)
    Image.new("L", (2, 2)).save(out, "png", pnginfo=told)
    return nbformat.v4.new_output("display_data", data={"image/png": base64.b64encode(out.getvalue()).decode()})


def images(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def code(source, *outputs, tags=()):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def printed(text):
    return nbformat.v4.new_output("stream", text=text)


ABOVE, BELOW = "# Title\n\n<!-- badge -->\n\nOne.", "Two."


def page(pages, *cells):
    title = nbformat.v4.new_markdown_cell(f"{ABOVE}\n\n{BELOW}")
    return pages.as_page(nbformat.v4.new_notebook(cells=[title, *cells])).cells


@every_notebook
def test_a_page_holds_all_that_the_notebook_holds(pages, path):
    text = path.read_text(encoding="utf-8").replace("OWNER/REPOSITORY", "someone/wise")
    stored, shown = (nbformat.reads(text, as_version=4) for _ in range(2))
    shown = pages.as_page(shown)
    nbformat.validate(shown)
    visible = [cell for cell in shown.cells if "remove-input" not in cell.metadata.get("tags", [])]
    told = "\n".join(cell.source for cell in visible) + html.unescape(str([c.get("outputs") for c in shown.cells]))
    for cell in stored.cells:
        for line in cell.source.splitlines():
            assert line in told
        for output in cell.get("outputs", []):
            for line in output.get("text", "").splitlines():
                assert line.replace("'", "") in told.replace("'", "").replace("\\", "")
    first, *others = images(shown)
    assert others == images(stored)
    assert first in others


@every_notebook
def test_every_figure_has_a_caption_and_the_first_stands_on_top(pages, path):
    cells = pages.as_page(nbformat.read(path, as_version=4)).cells
    for cell in cells:
        has = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        assert has == ("mystnb" in cell.metadata or cell is cells[1])
        assert not has or len(cell.outputs) == 1
        assert "mystnb" not in cell.metadata or len(cell.metadata.mystnb.figure.caption) > 20
    assert "image/png" in cells[1].outputs[0].data
    assert "mystnb" not in cells[1].metadata
    assert cells[0].source.startswith("# ")


def test_colabs_cells_fold_into_one_line(pages):
    said = nbformat.v4.new_markdown_cell("On Colab this.")
    colab = [code("install", tags=["hide-cell"]), code("keep", tags=["hide-cell"])]
    _, folded, after = page(pages, said, *colab, code("1"))
    assert folded.source.startswith("`````{dropdown} On Colab\nOn Colab this.")
    assert "```python\ninstall\n```" in folded.source
    assert "```python\nkeep\n```" in folded.source
    assert after.source == "1"


def test_what_colab_would_install_from_an_address_that_is_not_set_is_left_away(pages):
    said = nbformat.v4.new_markdown_cell("On Colab this.")
    colab = code("pip install git+https://github.com/OWNER/REPOSITORY", tags=["hide-cell"])
    assert [cell.source for cell in page(pages, said, colab, code("1"))] == [f"{ABOVE}\n\n{BELOW}", "1"]


@pytest.mark.parametrize(("lines", "folds"), [(8, False), (9, True)])
def test_only_long_logs_fold(pages, lines, folds):
    _, cell = page(pages, code("run()", printed("\n".join(f"<line {k}>" for k in range(lines)))))
    (output,) = cell.outputs
    if folds:
        shown = output.data["text/html"]
        assert shown.startswith('<details class="log"><summary>&lt;line 0&gt; … 8 more lines</summary><pre>&lt;line 1')
        assert shown.count("&lt;line") == lines
    else:
        assert output.text.count("<line") == lines


def test_a_long_log_of_runs_folds_behind_their_titles(pages):
    _, cell = page(pages, code("run()", printed("wise:\nloaded\nradial, 1/N:\n" + "an epoch\n" * 6)))
    summary, lines = re.search(
        "<summary>(.*)</summary><pre>(.*)</pre>", cell.outputs[0].data["text/html"], re.S
    ).groups()
    assert summary == "2 runs: wise; radial, 1/N"
    assert lines.startswith("wise:\nloaded\nradial, 1/N:\nan epoch")


def test_what_runs_print_and_their_lines_of_progress_are_one_text(pages):
    progress = nbformat.v4.new_output("display_data", data={"text/plain": "epoch 2 of 2: loss 1"})
    value = nbformat.v4.new_output("execute_result", data={"text/plain": "7"})
    cell = page(pages, code("run()", printed("gap:\n"), progress, printed("wise:\n"), progress, value))[-1]
    text, result = cell.outputs
    assert text.text == "gap:\nepoch 2 of 2: loss 1\nwise:\nepoch 2 of 2: loss 1\n"
    assert result.data == {"text/plain": "7"}


def test_outputs_around_figures_stay_in_order_and_the_source_is_shown_once(pages):
    outputs = printed("a"), png("One of two figures."), png("The other of two figures."), printed("b")
    cells = page(pages, code("draw()", *outputs))
    parts = cells[1:]
    assert [cell.outputs[0].get("text") for cell in parts] == ["a", None, None, "b"]
    assert ["remove-input" in cell.metadata.tags for cell in parts] == [False, True, True, True]
    assert [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption") for cell in parts] == [
        None,
        "One of two figures.",
        "The other of two figures.",
        None,
    ]


@pytest.mark.parametrize(
    ("description", "caption"),
    [
        ("demo: not the paper's data. top-1 by the epoch. gap: 1%.", "Top-1 by the epoch. Demo: not the paper's data."),
        ("gap; demo: not the paper's data. 8 wrong ones of 9.", "Gap. 8 wrong ones of 9. Demo: not the paper's data."),
        ("demo: not the paper's data: Mean by the distance. 1.", "Mean by the distance. Demo: not the paper's data."),
        ("small_patch on [a] <map> here", r"small\_patch on \[a\] \<map\> here."),
        ("what stands in a list: " + "word " * 50, "What stands in a list."),
    ],
)
def test_a_caption_is_the_beginning_of_the_description(pages, description, caption):
    _, cell = page(pages, code("draw()", png(description)))
    assert cell.metadata.mystnb.figure.caption == caption


@pytest.mark.parametrize(
    ("written", "caption"),
    [
        ("Two *maps*.", "Two *maps*. Demo: not the paper's data."),
        ("{}. Its maps.", r"Test image 2 of small\_patch. Its maps. Demo: not the paper's data."),
    ],
)
def test_a_caption_can_be_written_by_hand(pages, written, caption):
    cell = code("draw()", png("test image 2 of small_patch. demo: not the paper's data. Its maps reach from 0 to 1."))
    cell.metadata["caption"] = written
    assert page(pages, cell)[1].metadata.mystnb.figure.caption == caption


def test_the_first_figure_stands_under_the_first_paragraph(pages):
    cells = page(pages, code("draw()", printed("a"), png("A figure of four words."), tags=["first-figure"]))
    assert [cell.source for cell in cells] == [ABOVE, "draw()", BELOW, "draw()", "draw()"]
    assert "remove-input" in cells[1].metadata.tags
    assert cells[1].outputs == cells[-1].outputs
    assert ["mystnb" in cell.metadata for cell in cells] == [False, False, False, False, True]


def test_notebooks_become_short_pages(built):
    text = (built / "notebooks/what_did_not_work.html").read_text(encoding="utf-8")
    article = re.search(r"<article.*?</article>", text, re.DOTALL)[0]
    assert article.index('class="plate"') < article.index("<h2") < article.index("<figure")
    assert len(re.findall('<details class="log">', article)) == 2
    assert len(re.findall(r'caption-number">Fig. \d+ ', article)) == len(re.findall("<figure", article)) == 4
    assert article.count('class="plate"') == 5
    assert "google.colab" not in article
    assert "What did not work (notebook)" in text
