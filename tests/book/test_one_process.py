"""The book's cells run in one process: each page by itself, and a cell that fails or shows nothing is noticed."""

import atexit
import sys
import types

import nbformat
import pytest
from tests_support import ROOT


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    import one_process

    yield one_process
    sys.modules.pop("one_process", None)


def ran(one_process, tmp_path, *cells):
    """The cells of a page, triples (source, *tags), after they were run, and the warnings."""
    page = tmp_path / "page.md"
    page.touch()
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, *tags in cells]
    warnings = []
    logger = types.SimpleNamespace(warning=lambda text, **_: warnings.append(text), info=lambda *_, **__: None)
    with one_process.OneProcessClient(notebook, page, types.SimpleNamespace(), logger):
        pass
    return notebook.cells, warnings


def test_cells_show_what_a_kernel_would(one_process, tmp_path):
    cells, warnings = ran(
        one_process,
        tmp_path,
        ("a = 2",),
        ("print(a); a + 1",),
        ("from IPython.display import HTML, display; display(HTML('<b>'))", "remove-input"),
        ("import os; print(os.getcwd())", "remove-input"),
    )
    assert not warnings
    printed, result = cells[1].outputs
    assert (printed.text, result.data["text/plain"]) == ("2\n", "3")
    assert cells[2].outputs[0].data["text/html"] == "<b>"
    assert cells[3].outputs[0].text.strip() == str(tmp_path)


def test_pages_have_names_of_their_own(one_process, tmp_path):
    ran(one_process, tmp_path, ("mine = 1",))
    _, (warning,) = ran(one_process, tmp_path, ("mine",))
    assert "NameError" in warning


def test_a_page_leaves_nothing_to_do_for_the_end_of_the_build(one_process, tmp_path, monkeypatch):
    left = []
    monkeypatch.setattr(atexit, "register", lambda function, *_, **__: left.append(function))
    monkeypatch.setattr(atexit, "unregister", left.remove)
    ran(one_process, tmp_path, ("a = 1",))
    assert left == []


def test_a_cell_that_fails_is_a_warning_and_the_last(one_process, tmp_path):
    cells, (warning,) = ran(one_process, tmp_path, ("1 / 0",), ("print('on')",))
    assert "ZeroDivisionError" in warning
    assert cells[0].outputs[-1].ename == "ZeroDivisionError"
    assert not cells[1].outputs
    _, (warning,) = ran(one_process, tmp_path, ("1 +",))
    assert "SyntaxError" in warning


def test_a_hidden_cell_that_shows_nothing_is_a_warning(one_process, tmp_path):
    _, warnings = ran(one_process, tmp_path, ("1;", "remove-input"), ("b = 1", "remove-cell"), ("b = 1",))
    assert warnings == ["The cell shows nothing on its page"]
