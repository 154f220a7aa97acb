"""Figures and tables that a stored notebook holds, shown on a page as they were made."""

import functools
from html.parser import HTMLParser

import nbformat
import pandas as pd
from IPython.display import HTML, display

from _pages import provenance
from _pages.markup import csv_link, table
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.training.runs import project_root


@functools.cache
def notebook(name):
    """A stored notebook."""
    return nbformat.read(project_root() / "notebooks" / f"{name}.ipynb", as_version=4)


def outputs(name, kind):
    """The outputs of a kind, such as "image/png", in the notebook's order: dicts of data."""
    cells = (cell for cell in notebook(name).cells if cell.cell_type == "code")
    found = (output.get("data", {}) for cell in cells for output in cell.outputs)
    return [data for data in found if kind in data]


def figure(name, begins, source=(), scale=DEMO_NOTE):
    """Show the first figure whose description begins so, and return its provenance; LookupError if there is none."""
    for data in outputs(name, "image/png"):
        alt = "".join(data["text/plain"])
        if begins in alt[: len(begins) + 80]:
            data = {"image/png": "".join(data["image/png"]), "text/plain": alt}
            display(data, raw=True, metadata={"image/png": {"alt": alt}})
            return provenance.of_notebook(name, notebook(name).metadata["wisesr"], source=source, scale=scale)
    raise LookupError(f"notebooks/{name}.ipynb has no figure that begins with '{begins}'.")


def rows(name, *columns):
    """The first table of the notebook with these columns, as a DataFrame of text; LookupError if it has none."""
    for data in outputs(name, "text/html"):
        found = _table("".join(data["text/html"]))
        if set(columns) <= set(found.columns):
            return found
    raise LookupError(f"notebooks/{name}.ipynb has no table with the columns {', '.join(columns)}.")


def shown(name, found, csv_name, sentences=False, source=(), scale=DEMO_NOTE):
    """A table of the notebook as a cell's output, with its provenance."""
    data = csv_link(found, csv_name, "The data as CSV")
    where = provenance.of_notebook(name, notebook(name).metadata["wisesr"], data, source, scale)
    return HTML(table(found, sentences=sentences).data + where.data)


def printed(name, begins):
    """What a cell of the notebook printed, from the line that begins so to its end."""
    for cell in notebook(name).cells:
        for output in cell.get("outputs", ()):
            for line in "".join(output.get("text", "")).splitlines():
                if line.startswith(begins):
                    return line
    raise LookupError(f"notebooks/{name}.ipynb prints no line that begins with '{begins}'.")


class _Reader(HTMLParser):
    """Reads a table in pandas' own markup: ``lines`` are lists of text, the first the names of the columns."""

    def __init__(self):
        super().__init__()
        self.lines, self.cell = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.lines[-1].append(self.cell.strip())
            self.cell = None


def _table(markup):
    """The table in pandas' own markup, without its index, as a DataFrame of text."""
    reader = _Reader()
    reader.feed(markup)
    if not reader.lines:
        return pd.DataFrame()
    head, *lines = reader.lines
    return pd.DataFrame([line[1:] for line in lines if len(line) == len(head)], columns=head[1:])
