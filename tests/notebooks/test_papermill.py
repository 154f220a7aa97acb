"""The notebooks' commands as users type them."""

import json
import os
import pathlib
import subprocess
import sys

import nbformat
import pytest
from trees import build_tree

import wisesr_helpers as ws

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVERYWHERE = {**os.environ, "WISESR_SCALE": "smoke"}


def run(*words, **options):
    return subprocess.run([sys.executable, "-m", *map(str, words)], capture_output=True, text=True, **options)


def test_help_on_the_command_line():
    done = run("papermill", "--help-notebook", ROOT / "notebooks/mit_512.ipynb")
    for name in "head backbone scale seed epochs data_dir runs_dir overwrite options".split():
        assert f"{name}:" in done.stdout, name
    assert all(head in done.stdout for head in ws.HEADS)


def test_papermill_from_another_folder(tmp_path):
    out = tmp_path / "out.ipynb"
    notebook = ROOT / "notebooks/mit_512.ipynb"
    words = ["-p", "head", "gap", "-p", "seed", "5", "-p", "runs_dir", tmp_path / "mine"]
    done = run("papermill", notebook, out, *words, env=EVERYWHERE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "mine/mit_512--smoke--small_patch--gap--s5/record.json").read_text())
    assert record["outcome"]["status"] == "complete"
    # Seen while it runs and at its end, in a terminal or redirected; the notebook holds its own outputs only.
    for text in (
        "epoch 1 of 2: loss ",
        "epoch 2 of 2: loss ",
        "small_patch + gap: top-1 ",
        "The run is in mine/mit_512--",
    ):
        assert text in done.stderr
    outputs = [output for cell in nbformat.read(out, 4).cells for output in cell.get("outputs", [])]
    assert not any(output.get("name") == "stderr" for output in outputs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-y", "options: {strat: uniform}"], "ValueError: Unknown option 'strat' for head 'wise'"),
        pytest.param(
            ["-p", "scale", "paper"],
            "FileNotFoundError: MIT Indoor Scenes, recognised by TrainImages.txt and TestImages.txt, was",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_mistake_ends_papermill_with_the_sentence(words, message, tmp_path):
    done = run("papermill", ROOT / "notebooks/mit_512.ipynb", tmp_path / "out.ipynb", *words, env=EVERYWHERE)
    assert done.returncode == 1
    assert message in done.stderr
    assert (tmp_path / "out.ipynb").exists()


@pytest.mark.slow
def test_the_papers_scale_is_one_command(tmp_path):
    tree = build_tree("mit", tmp_path / "raw", per_class=(4, 2), classes=3, defects=0.01)
    words = ["-p", "scale", "paper", "-p", "data_dir", tree.root, "-p", "backbone", "small_conv", "-p", "epochs", "1"]
    words += ["-y", "options: {weights: none}", "-p", "runs_dir", tmp_path / "runs"]
    done = run("papermill", ROOT / "notebooks/mit_512.ipynb", tmp_path / "out.ipynb", *words, env=EVERYWHERE)
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    assert f"{tree.train} training and {tree.test} test images in 3 classes" in text
    assert "1 empty file" in text
    assert "not the paper's data" not in text
    (record,) = (tmp_path / "runs").glob("mit_512--paper--small_conv--wise--s0--*/record.json")
    assert json.loads(record.read_text())["outcome"]["dataset"]["photographs"] is True
