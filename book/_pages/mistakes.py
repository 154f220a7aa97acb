"""Mistakes that anybody makes, as they are typed, and what comes back: for the book's page and its test."""

import contextlib
import dataclasses
import html
import json
import os
import pathlib
import shlex
import tempfile
from collections.abc import Mapping
from unittest import mock

import wisesr_helpers
from wisesr_helpers.studies.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Mistake:
    """Something typed that can't be done.

    Attributes:
        name: What is wrong, in a few words.
        parameters: Of a papermill command of the study "mit_512"; empty: ``code`` is typed instead.
        code: One Python expression, with the package as ``ws``.
        files: Path → text of the files that are there beforehand.
    """

    name: str
    parameters: Mapping = dataclasses.field(default_factory=dict)
    code: str = ""
    files: Mapping = dataclasses.field(default_factory=dict)

    @property
    def typed(self):
        """The command, or the expression."""
        words = ["papermill", "notebooks/mit_512.ipynb", "runs/out.ipynb"]
        for name, value in self.parameters.items():
            words += ["-y", f"{name}: {json.dumps(value)}"] if isinstance(value, dict) else ["-p", name, str(value)]
        return self.code or shlex.join(words)

    def put_files(self, folder):
        """Write the files that are there beforehand into a folder."""
        for name, text in self.files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def make(self, folder):
        """Make the mistake in a folder, which also holds the runs and the cache.

        Args:
            folder: With the files of :meth:`put_files`.

        Raises:
            Exception: What whoever types this gets to see.
        """
        here = {"WISESR_RUNS": "runs", "WISESR_CACHE": "cache"}
        with contextlib.chdir(folder), mock.patch.dict(os.environ, here):
            if self.code:
                eval(self.code, {"ws": wisesr_helpers})
            else:
                Experiment("mit_512", **self.parameters)  # as the notebook's cell does it


def answer(mistake):
    """What comes back when a mistake is made, as Python prints it: "ValueError: Unknown head …".

    Raises:
        RuntimeError: Nothing came back; the book must not claim otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        mistake.put_files(folder)
        try:
            mistake.make(folder)
        except Exception as error:  # whatever it is, it is what the user sees
            return f"{type(error).__name__}: {error}"
    raise RuntimeError(f"'{mistake.typed}' was not refused, although it is {mistake.name}.")


def gallery(mistakes):
    """Mistakes as a cell's output: what is wrong, what is typed, what comes back."""
    from IPython.display import HTML

    parts = []
    for mistake in mistakes:
        parts += [
            f"<p><strong>{html.escape(mistake.name.capitalize())}</strong></p>",
            f'<pre style="white-space: pre-wrap">{html.escape(mistake.typed)}</pre>',
            f"<blockquote><p>{html.escape(answer(mistake))}</p></blockquote>",
        ]
    return HTML("".join(parts))


MISTAKES = (
    Mistake("a head that doesn't exist", {"head": "vise"}),
    Mistake("a backbone that doesn't exist", {"backbone": "Xcepton"}),
    Mistake("a scale that doesn't exist", {"scale": "large"}),
    Mistake("an option that the head doesn't have", {"head": "gap", "options": {"start": "average"}}),
    Mistake("a value that the option doesn't have", {"options": {"weights": "imagnet"}}),
    Mistake("a negative number of epochs", {"epochs": -5}),
    Mistake("the paper's scale without its photographs", {"scale": "paper", "data_dir": "photos"}),
    Mistake("a file where the runs should go", {"runs_dir": "notes.txt"}, files={"notes.txt": "Buy milk.\n"}),
    Mistake("images too small for the backbone", code='ws.build_classifier("Xception", classes=5, image_size=32)'),
    Mistake("dropout for a head that has none", code='ws.build_classifier("Xception", head="gap", dropout_rate=0.5)'),
    Mistake("a folder that isn't there", code='ws.image_folder("photos")'),
    Mistake(
        "a folder without a subfolder for each class",
        code='ws.image_folder("photos")',
        files={"photos/cat.jpg": "a picture", "photos/dog.jpg": "another"},
    ),
    Mistake(
        "a list with a wrong column",
        code='ws.image_folder("photos.csv")',
        files={"photos.csv": "filename,label\ncat.jpg,cat\n"},
    ),
    Mistake("a run that was never made", code='ws.load_classifier("runs/mine")'),
)
