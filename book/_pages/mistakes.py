"""Mistakes that anybody makes, as they are typed, and what comes back: for the book's page and its test."""

import contextlib
import html
import json
import os
import pathlib
import shlex
import tempfile
from unittest import mock

from IPython.display import HTML

import wisesr_helpers

# What is wrong → what is typed (parameters of a papermill command, or an expression), files that are there beforehand.
COMMANDS = {
    "a head that doesn't exist": ({"head": "vise"}, {}),
    "a backbone that doesn't exist": ({"backbone": "Xcepton"}, {}),
    "a scale that doesn't exist": ({"scale": "large"}, {}),
    "an option that the head doesn't have": ({"head": "gap", "options": {"start": "average"}}, {}),
    "a value that the option doesn't have": ({"options": {"weights": "imagnet"}}, {}),
    "a negative number of epochs": ({"epochs": -5}, {}),
    "the paper's scale without its photographs": ({"scale": "paper", "data_dir": "photos"}, {}),
    "a file where the runs should go": ({"runs_dir": "notes.txt"}, {"notes.txt": "Buy milk.\n"}),
}
EXPRESSIONS = {
    "images too small for the backbone": ('ws.build_classifier("Xception", classes=5, image_size=32)', {}),
    "dropout for a head that has none": ('ws.build_classifier("Xception", head="gap", dropout_rate=0.5)', {}),
    "a folder that isn't there": ('ws.image_folder("photos")', {}),
    "a folder without a subfolder for each class": (
        'ws.image_folder("photos")',
        {"photos/cat.jpg": "a picture", "photos/dog.jpg": "another"},
    ),
    "a list with a wrong column": ('ws.image_folder("photos.csv")', {"photos.csv": "filename,label\ncat.jpg,cat\n"}),
    "a run that was never made": ('ws.load_classifier("runs/mine")', {}),
}


def command(parameters):
    """The papermill command of the study "mit_512" with these parameters."""
    words = ["papermill", "notebooks/mit_512.ipynb", "runs/out.ipynb"]
    for name, value in parameters.items():
        words += ["-y", f"{name}: {json.dumps(value)}"] if isinstance(value, dict) else ["-p", name, str(value)]
    return shlex.join(words)


def answer(typed, files, folder):
    """The exception that comes back when a mistake is made in a folder with these files; None if it is no mistake."""
    for name, text in files.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    here = {"WISESR_RUNS": "runs", "WISESR_CACHE": "cache"}
    with contextlib.chdir(folder), mock.patch.dict(os.environ, here):
        try:
            if isinstance(typed, str):
                eval(typed, {"ws": wisesr_helpers})
            else:
                wisesr_helpers.Experiment("mit_512", **typed)  # as the notebook's cell does it
        except Exception as error:  # whatever it is, it is what the user sees
            return error


def gallery(mistakes):
    """Mistakes as a cell's output: what is wrong, what is typed, what comes back as Python prints it."""
    parts = []
    for name, (typed, files) in mistakes.items():
        with tempfile.TemporaryDirectory() as folder:
            error = answer(typed, files, folder)
        if error is None:
            raise RuntimeError(f"'{typed}' was not refused, although it is {name}.")
        shown = typed if isinstance(typed, str) else command(typed)
        parts += [
            f"<p><strong>{html.escape(name.capitalize())}</strong></p>",
            f'<pre style="white-space: pre-wrap">{html.escape(shown)}</pre>',
            f"<blockquote><p>{type(error).__name__}: {html.escape(str(error))}</p></blockquote>",
        ]
    return HTML("".join(parts))
