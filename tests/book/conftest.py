"""The built book, shared by the tests of its pages."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from tests_support import ROOT

from wisesr_helpers.training import runs


def build(folder, own):
    """Build the book into ``folder`` with the reader's own runs in ``own``; returns the folder with its pages."""
    jupyter_book = pathlib.Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ROOT, "--all", "-W", "-n", "--keep-going", "--path-output", folder]
    environment = os.environ | {"WISESR_RUNS": str(own)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The book, built with one more run of the reader's own: the folder with its pages."""
    folder = tmp_path_factory.mktemp("book")
    committed = sorted((ROOT / "results").glob("mit_512--demo--*.json"))[0]
    record = json.loads(committed.read_text(encoding="utf-8"))
    record["outcome"]["parameters"]["seed"] = 77
    identity = re.sub(r"--s\d+$", "--s77", record["identity"])
    runs.write_record(folder / "runs" / identity, record["outcome"], record["execution"])
    return build(folder, folder / "runs")
