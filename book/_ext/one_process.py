"""Run the cells of all pages in the process that builds the book, in place of a kernel for each page.

A kernel takes seconds to start and to import Keras, so that a book of twenty pages would spend its time on that. Every
page has names of its own and runs in its own folder, as in a kernel; modules are shared.
"""

import atexit
import contextlib
import datetime
import gc
import io
import os
import pathlib
import sys
import time
import traceback

import nbformat
from docutils import nodes
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display
from IPython.utils.capture import capture_output
from myst_nb.core import execute
from traitlets.config import Config

from wisesr_helpers.storage import usable_cores

QUIET = {"remove-cell", "remove-output"}  # cells that may show nothing, as may those whose code is on the page
HIDDEN = "remove-input"
FORGETFUL = Config({"HistoryManager": {"enabled": False}})  # cells of pages are not what a user typed
FOLLOWING = {}  # (page, number of a figure's cell) → HTML


class OneProcessClient(execute.NotebookClientBase):
    """In place of MyST-NB's client, which starts a kernel. A cell that fails or shows nothing is a warning."""

    def start_client(self):
        start, failure = time.perf_counter(), None
        self.notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance(user_ns={}, config=FORGETFUL)
        # Clearing a shell looks through all memory: when the build ends, a third of its time would go on that.
        atexit.unregister(shell.atexit_operations)
        # The value of a cell's last line is shown as a notebook shows it, instead of printed as a terminal does.
        shell.display_trap.hook = lambda value: None if value is None or shell.displayhook.quiet() else display(value)
        with _folder(self.path.parent):
            for number, cell in enumerate(self.notebook.cells):
                if cell.cell_type == "code" and not failure:
                    failure = _run(shell, cell)
                    tags = set(cell.metadata.get("tags", []))
                    if HIDDEN in tags and not QUIET & tags and not cell.outputs:
                        line = self.cell_line(number)
                        self.logger.warning("The cell shows nothing on its page", subtype="exec", line=line)
        self._take_what_follows_figures()
        if failure:
            self.logger.warning(f"A cell failed:\n{failure}", subtype="exec")
        self.exec_metadata = {
            "mtime": datetime.datetime.now().timestamp(),
            "runtime": time.perf_counter() - start,
            "method": "one process",
            "succeeded": not failure,
            "error": failure and failure.strip().splitlines()[-1],
            "traceback": failure,
        }

    def _take_what_follows_figures(self):
        """Keep for later what a figure's cell shows after the figure: MyST-NB makes a figure of each output."""
        for number, cell in enumerate(self.notebook.cells):
            if "figure" in cell.metadata.get("mystnb", {}) and len(cell.outputs) > 1:
                FOLLOWING[str(self.path), number] = "".join(output.data["text/html"] for output in cell.outputs[1:])
                cell.outputs = cell.outputs[:1]


def put_behind_figures(app, doctree):
    """Put behind each figure what its cell showed after it."""
    path = app.env.doc2path(app.env.docname)
    for cell in doctree.findall(nodes.container):
        following = FOLLOWING.pop((str(path), cell.get("cell_index")), None)
        if following:
            cell.append(nodes.raw("", following, format="html"))


def _run(shell, cell):
    """Run a cell and keep what it shows in it; return the traceback of what it raised, or None."""
    with capture_output() as captured:
        result = shell.run_cell(cell.source, store_history=True)
    cell.execution_count = result.execution_count
    cell.outputs = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in (("stdout", captured.stdout), ("stderr", captured.stderr))
        if text and result.success
    ]
    cell.outputs += [
        nbformat.v4.new_output("display_data", data=shown.data, metadata=shown.metadata or {})
        for shown in captured.outputs
    ]
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        return None
    lines = traceback.format_exception(error)
    cell.outputs.append(nbformat.v4.new_output("error", ename=type(error).__name__, evalue=str(error), traceback=lines))
    return "".join(lines)


@contextlib.contextmanager
def _folder(folder):
    """Run in a folder, whose modules can be imported, with nothing to read from standard input."""
    before, stdin = pathlib.Path.cwd(), sys.stdin
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    os.chdir(folder)
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = stdin
        os.chdir(before)


def write_on_all_cores(app, _):
    """Once all pages are read, their HTML can be written by several processes, which run no cells."""
    app.parallel = usable_cores()


def keep_garbage(_):
    """Let memory grow by a fifth until the build ends: looking for what could be freed takes a tenth of its time."""
    gc.disable()


def setup(app):
    execute.NotebookClientDirect = OneProcessClient
    app.connect("builder-inited", keep_garbage)
    app.connect("doctree-read", put_behind_figures)
    app.connect("env-updated", write_on_all_cores)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
