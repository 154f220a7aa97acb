"""Execute every study notebook at demo scale and store it with its outputs, as the book shows it."""

import os
import pathlib
import tempfile

import nbformat
import papermill

ROOT = pathlib.Path(__file__).resolve().parent.parent


def stored(executed):
    """A notebook as it is stored: outputs kept; papermill's cells, times and status dropped."""
    executed.cells = [cell for cell in executed.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    executed.metadata.pop("papermill", None)
    for cell in executed.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("execution", None)
    executed.metadata["language_info"] = {"name": "python"}
    return executed


def main():
    """Run and store; runs that are finished are taken from runs/."""
    os.environ.pop("WISESR_SCALE", None)
    os.chdir(ROOT)
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / path.name
            papermill.execute_notebook(path, out, parameters={}, progress_bar=False)
            nbformat.write(stored(nbformat.read(out, as_version=4)), path)
        print(f"{path.relative_to(ROOT)} is stored, executed at demo scale.")


if __name__ == "__main__":
    main()
