"""The notebooks as they are written and stored."""

import ast
import importlib
import pathlib
import re

import nbformat
import papermill
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
STUDIES = ("sub_imagenet_224", "intel_224", "mit_224", "mit_512")
RERUN = "python scripts/store_notebooks.py --only {}"
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def script(monkeypatch):
    """Imports a script of scripts/, which may import another."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    """The code cells but those that prepare Colab."""
    return [c for c in notebook.cells if c.cell_type == "code" and "hide-cell" not in c.metadata.get("tags", [])]


def parameters(path):
    """The lines of the cell tagged ``parameters`` by the name that each sets."""
    (cell,) = (cell for cell in code(read(path)) if "parameters" in cell.metadata.tags)
    lines = cell.source.splitlines()
    return {node.target.id: (node, lines[node.lineno - 1]) for node in ast.parse(cell.source).body}


@every_notebook
def test_stored_with_outputs_of_the_demo(path):
    outputs = [output for cell in code(read(path)) for output in cell.outputs]
    assert all(cell.execution_count for cell in code(read(path))), RERUN.format(path.stem)
    assert not any(output.output_type == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    if path.stem in STUDIES:
        first = next(output for output in outputs if output.output_type == "stream")
        assert first.text.startswith("Scale: demo (demo: not the paper's data)")
        assert "-p scale paper" in first.text


@every_notebook
def test_stored_by_code_that_behaves_as_todays(path, script):
    store = script("store_notebooks")
    assert store.is_current(read(path), path.stem), f"{path.stem} is stale: {RERUN.format(path.stem)}"


@every_notebook
def test_begins_with_todays_cells_for_colab(path, script):
    texts = script("study_notebooks")
    expected = [(cell.source, cell.metadata.tags) for cell in texts.colab_cells()]
    cells = read(path).cells
    assert [(cell.source, cell.metadata.tags) for cell in cells[1:4]] == expected, "python scripts/study_notebooks.py"
    assert texts.badge(path.stem) in cells[0].source
    assert f"/blob/main/notebooks/{path.name})" in cells[0].source
    assert sum("google.colab" in cell.source for cell in cells) == 2


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_notebook_is_what_the_script_makes(name, script):
    texts = script("study_notebooks")
    assert set(texts.words()) == set(STUDIES)
    made, found = texts.study_notebook(name), read(ROOT / f"notebooks/{name}.ipynb")

    def content(notebook):
        return [(cell.id, cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]

    assert content(found) == content(made), "python scripts/study_notebooks.py"


def test_a_study_notebook_keeps_outputs_where_the_source_is_unchanged(script, tmp_path):
    texts = script("study_notebooks")
    old = texts.study_notebook("intel_224")
    for cell in code(old):
        cell.execution_count, cell.outputs = 7, [nbformat.v4.new_output("stream", text="kept")]
    code(old)[1].source += "\n1"
    old.metadata["wisesr"] = {"settings": "0"}
    nbformat.write(old, tmp_path / "intel_224.ipynb")
    new = nbformat.reads(texts.wanted(tmp_path / "intel_224.ipynb"), as_version=4)
    assert [bool(cell.outputs) for cell in code(new)] == [i != 1 for i in range(len(code(new)))]
    assert [cell.execution_count for cell in code(new)][:2] == [7, None]
    assert new.metadata["wisesr"] == {"settings": "0"}


@every_notebook
def test_the_script_leaves_a_stored_notebook_as_it_is(path, script):
    assert script("study_notebooks").wanted(path) == path.read_text(encoding="utf-8")


def test_colabs_cells_are_put_into_any_notebook_once(script):
    texts = script("study_notebooks")
    notebook = nbformat.v4.new_notebook()
    title, said = nbformat.v4.new_markdown_cell("# Any"), nbformat.v4.new_markdown_cell("On Colab this was said.")
    older = nbformat.v4.new_code_cell('if "google.colab" in sys.modules:\n    1', metadata={"tags": ["hide-cell"]})
    notebook.cells = [title, said, older, nbformat.v4.new_code_cell("1")]
    once = texts.with_colab_cells(notebook)
    assert [cell.source for cell in once.cells] == ["# Any", *(c.source for c in texts.colab_cells()), "1"]
    assert [cell.id for cell in once.cells] == [f"cell-{i:02d}" for i in range(5)]
    assert nbformat.writes(texts.with_colab_cells(once)) == nbformat.writes(once)


@every_notebook
def test_cells_are_short(path):
    for cell in read(path).cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            assert len([line for line in cell.source.splitlines() if line.strip()]) <= 5, cell.source


@every_notebook
def test_every_parameter_has_a_type_a_default_and_a_comment(path):
    assert parameters(path), "no cell tagged 'parameters'"
    for name, (node, line) in parameters(path).items():
        assert isinstance(node, ast.AnnAssign), name
        assert node.value is not None, name
        assert re.search(r"  # \w", line), name


@every_notebook
def test_help_names_every_parameter(path):
    found = papermill.inspect_notebook(path)
    assert list(found) == list(parameters(path))
    assert all(entry["help"] and entry["inferred_type_name"] != "None" for entry in found.values())


def small(path, *lines):
    """A notebook of one code cell for each line, at ``path``."""
    cells = [nbformat.v4.new_code_cell(line, metadata={"tags": []}) for line in lines]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_storing_skips_what_is_current_and_leaves_what_fails(script, monkeypatch, tmp_path, capsys):
    store = script("store_notebooks")
    monkeypatch.setattr(store, "ROOT", tmp_path)
    monkeypatch.setenv("WISESR_SCALE", "smoke")  # main takes it away; put back afterwards
    good = small(tmp_path / "notebooks/good.ipynb", "import os", "print(os.environ.get('WISESR_SCALE'))")
    bad = small(tmp_path / "notebooks/bad.ipynb", "1 / 0")
    before = bad.read_bytes()
    with pytest.raises(SystemExit, match="bad could not be executed"):
        store.main([])
    said = capsys.readouterr().out
    assert "bad failed and stays as it was: ZeroDivisionError: division by zero" in said
    assert re.search(r"good is stored, executed at demo scale in \d+\.\d minutes\.", said)
    assert bad.read_bytes() == before
    notebook = read(good)
    assert notebook.cells[1].outputs[0].text == "None\n"
    assert set(notebook.metadata) == {"kernelspec", "language_info", "wisesr"}
    assert set(notebook.metadata.wisesr) == {"versions", "settings", "minutes", "commit"}
    assert all(set(cell.metadata) == {"tags"} for cell in notebook.cells)
    store.main(["--only", "good"])
    assert capsys.readouterr().out == "good is current.\n0.0 minutes in all.\n"
    assert store.is_current(notebook, "good")
    other = {"layers": store.VERSIONS["layers"] + 1}
    monkeypatch.setattr(store, "VERSIONS", store.VERSIONS | other)
    assert not store.is_current(notebook, "good")
    with pytest.raises(SystemExit, match=r"there is no notebook 'god'. Valid: bad, good\."):
        store.main(["--only", "god"])


def test_texts_printed_one_after_the_other_are_stored_as_one_and_those_around_a_figure_are_not(script):
    def printed(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    figure = nbformat.v4.new_output("display_data", {"text/plain": "a figure"})
    outputs = [
        printed("a\n"),
        printed("b\n"),
        figure,
        printed("c\n"),
        printed("d\n", "stderr"),
        printed("e\n", "stderr"),
    ]
    kept = script("store_notebooks").joined(outputs)
    assert [output.get("text", "figure") for output in kept] == ["a\nb\n", "figure", "c\n", "d\ne\n"]


def test_notebooks_are_stored_in_an_order_in_which_they_share_runs(script):
    order = [path.stem for path in script("store_notebooks").notebooks()]
    assert set(order) == {path.stem for path in NOTEBOOKS}
    assert order[:4] == list(STUDIES)  # before where_it_looks and explore, which take their runs
