"""The notebooks' commands as users type them."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import nbformat
import papermill
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
        (
            ["-p", "heads", "wise"],
            "ValueError: Unknown parameter 'heads'. Did you mean 'head'? Valid parameters: head, ",
        ),
        (["-y", "options: {strat: uniform}"], "ValueError: Unknown option 'strat' for head 'wise'"),
        pytest.param(
            ["-p", "scale", "paper"],
            "FileNotFoundError: MIT Indoor Scenes, recognised by TrainImages.txt and TestImages.txt, was",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_mistake_ends_papermill_with_the_sentence(words, message, tmp_path):
    kernels = tmp_path / "kernels/python3"  # as make setup has them
    kernels.mkdir(parents=True)
    shutil.copy(ROOT / "scripts/kernel.json", kernels)
    here = {**EVERYWHERE, "JUPYTER_PATH": str(tmp_path)}
    done = run("papermill", ROOT / "notebooks/mit_512.ipynb", tmp_path / "out.ipynb", *words, env=here)
    assert done.returncode == 1
    assert "IPKernelApp" not in done.stderr
    (error,) = errors(tmp_path / "out.ipynb")
    assert error.traceback == [f"{error.ename}: {error.evalue}"]  # a sentence, and none of our lines above it
    assert error.traceback[0].startswith(message)
    assert done.stderr.rstrip().endswith(f"{error.traceback[0]}")


def errors(path):
    """The errors among the outputs of an executed notebook."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    return [output for output in outputs if output.output_type == "error"]


OTHERS = ["better_start", "deeper_networks", "explore", "own_images", "what_did_not_work", "where_it_looks"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "own_images")) for name in OTHERS]
)
def test_every_notebook_refuses_a_parameter_that_it_does_not_have(name, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError, match="Unknown parameter 'seedling'. "):
        papermill.execute_notebook(
            ROOT / f"notebooks/{name}.ipynb", tmp_path / "out.ipynb", {"seedling": 1}, progress_bar=False
        )
    assert len(errors(tmp_path / "out.ipynb")[0].traceback) == 1


def test_an_executed_notebook_is_shown_as_a_page(tmp_path):
    (tmp_path / "run.ipynb").write_bytes((ROOT / "notebooks/mit_512.ipynb").read_bytes())
    command = ["make", "-o", "setup", f"VENV={sys.prefix}", "page", f"NOTEBOOK={tmp_path / 'run.ipynb'}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "small_patch + wise: top-1 " in page
    stored = nbformat.read(ROOT / "notebooks/mit_512.ipynb", 4)
    figures = [out for cell in stored.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert page.count('src="data:image/png;base64,') == len(figures) > 0


@pytest.fixture
def _ctrl_c():
    """What is started here takes Ctrl-C, as in a terminal, even if these tests run where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_says_on_the_terminal_what_is_kept_and_how_to_go_on(tmp_path):
    words = ["-p", "epochs", "500", "-p", "runs_dir", tmp_path / "runs"]
    command = [sys.executable, "-m", "papermill", ROOT / "notebooks/mit_512.ipynb", tmp_path / "out.ipynb", *words]
    reader, terminal = os.openpty()
    with subprocess.Popen(
        [*map(str, command)], env=EVERYWHERE, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as typed:
        os.close(terminal)
        said = ""
        with contextlib.suppress(OSError):  # the terminal's end
            while text := os.read(reader, 2**16).decode(errors="replace"):
                if "epoch 2 of 500" in said + text and "epoch 2 of 500" not in said:
                    os.killpg(typed.pid, signal.SIGINT)
                said += text
        os.close(reader)
    kept = re.search(r"Interrupted: '(\S+)' keeps (\d+) whole epochs?; the same command goes on from there\.", said)
    assert int(kept[2]) >= 1
    assert (tmp_path / "runs/mit_512--smoke--small_patch--wise--s0/checkpoints").is_dir()
    assert "wisesr_helpers" not in said[kept.end() :]  # nbclient may say that it lost the kernel, and we nothing more


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
