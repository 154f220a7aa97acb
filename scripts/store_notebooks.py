"""Execute the notebooks at demo scale and store them with their outputs, as the book shows them.

Those whose code and outputs are current are left alone. Runs that are finished are taken from runs/.

python scripts/store_notebooks.py [--only NAME] [--all]
"""

import argparse
import ast
import dataclasses
import hashlib
import os
import pathlib
import sys
import tempfile
import time

import nbformat
import papermill

import wisesr_helpers as ws
from wisesr_helpers.training.runs import canonical, git_state
from wisesr_helpers.versions import VERSIONS

ROOT = pathlib.Path(__file__).resolve().parent.parent


def notebooks():
    """Every notebook: first those of the studies, in the paper's order, whose runs the others share."""
    order = list(ws.STUDIES)
    paths = sorted(ROOT.glob("notebooks/*.ipynb"))
    return sorted(paths, key=lambda path: order.index(path.stem) if path.stem in order else len(order))


def origin(notebook, name):
    """What the outputs of the notebook of that name depend on: versions, and a hash of its parameters and its demo."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values = {node.target.id: ast.literal_eval(node.value) for cell in cells for node in ast.parse(cell).body}
    study = ws.STUDIES.get(values.get("study", name))
    demo = dataclasses.asdict(study.demo) if study else {}
    settings = hashlib.sha256(canonical([values, demo]).encode()).hexdigest()[:16]
    return {"versions": dict(VERSIONS), "settings": settings}


def is_current(notebook, name):
    """Whether every cell of a stored notebook was executed, by code and with settings that are still today's."""
    ran = all(
        cell.execution_count
        for cell in notebook.cells
        if cell.cell_type == "code" and "hide-cell" not in cell.metadata.get("tags", [])
    )
    said = notebook.metadata.get("wisesr", {})
    return ran and {key: said.get(key) for key in ("versions", "settings")} == origin(notebook, name)


def stored(executed, name, minutes):
    """A notebook as it is stored: outputs and their origin kept; papermill's cells, times and status dropped."""
    executed.cells = [cell for cell in executed.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for key in ("papermill", "widgets"):  # the state of controls means nothing without a kernel
        executed.metadata.pop(key, None)
    for cell in executed.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "remove-output" in cell.metadata.get("tags", []):  # controls, which are dead without a kernel
            cell.outputs = []
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("execution", None)
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
    executed.metadata["language_info"] = {"name": "python"}
    commit, clean = git_state(besides="notebooks")
    executed.metadata["wisesr"] = {
        **origin(executed, name),
        "minutes": round(minutes, 1),
        "commit": commit if clean or commit is None else f"{commit}, with uncommitted changes",
    }
    return executed


def joined(outputs):
    """A cell's outputs, with consecutive printed texts joined; those around a figure stay apart."""
    kept = []
    for output in outputs:
        last = kept[-1] if kept else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            kept.append(output)
    return kept


def store(path):
    """Execute a notebook and write it with its outputs; the minutes that took. After an error it stays as it was."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / path.name
        begun = time.monotonic()
        papermill.execute_notebook(path, out, parameters={}, progress_bar=False, cwd=ROOT)
        minutes = (time.monotonic() - begun) / 60
        text = nbformat.writes(stored(nbformat.read(out, as_version=4), path.stem, minutes)) + "\n"
    path.write_text(text, encoding="utf-8")
    return minutes


def main(words=None):
    """Store what is stale; exit with a message if a name is unknown or a notebook fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", help="this notebook alone, by its name without .ipynb")
    parser.add_argument("--all", action="store_true", help="also those that are current")
    chosen = parser.parse_args(words)
    paths = [path for path in notebooks() if chosen.only in (None, path.stem)]
    if not paths:
        names = ", ".join(path.stem for path in notebooks())
        sys.exit(f"store_notebooks: there is no notebook '{chosen.only}'. Valid: {names}.")
    os.environ.pop("WISESR_SCALE", None)
    total, failed = 0.0, []
    for path in paths:
        if not chosen.all and is_current(nbformat.read(path, as_version=4), path.stem):
            print(f"{path.stem} is current.", flush=True)
            continue
        try:
            minutes = store(path)
        except papermill.PapermillExecutionError as error:
            failed.append(path.stem)
            print(f"{path.stem} failed and stays as it was: {error.ename}: {error.evalue}", flush=True)
            continue
        total += minutes
        print(f"{path.stem} is stored, executed at demo scale in {minutes:.1f} minutes.", flush=True)
    print(f"{total:.1f} minutes in all.")
    if failed:
        sys.exit(f"store_notebooks: {', '.join(failed)} could not be executed.")


if __name__ == "__main__":
    main()
