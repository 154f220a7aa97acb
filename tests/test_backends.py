"""The other backends, each in an environment of its own without TensorFlow: JAX for everything, torch for the heads."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ON_JAX = [
    "models/test_heads.py",
    "layers/test_blocks.py",
    "layers/test_pooling.py",
    "layers/test_any_model.py",
    "layers/test_reductions.py",
    "training/test_training.py",
    "studies/test_run.py",
    "models/test_classifiers.py",
    "models/test_attribution.py",
    "models/test_replace.py",
    "test_soak.py::test_a_training_killed_and_typed_again",
    "notebooks/test_papermill.py::test_papermill_from_another_folder",
]
# One version, so that a machine that has it on disk needs not fetch several gigabytes of libraries for GPUs.
TORCH = "torch==2.13.0"
SMOKE_RUN = """
import sys, wisesr_helpers as ws
chosen = ws.Experiment("mit_512", head="wise", scale="smoke", runs_dir=sys.argv[1])
result = chosen.run()
assert result.status == "complete" and "tensorflow" not in sys.modules
assert ws.predict(chosen.load(), chosen.dataset.test.rgb([0, 1]))["class"].isin(result.classes).all()
"""


def without_tensorflow(python):
    there = subprocess.run([python, "-c", "import tensorflow"], capture_output=True, text=True)
    assert "No module named 'tensorflow'" in there.stderr
    return python


def made_by_pip(folder, root):
    """What ``make setup BACKEND=jax`` makes where uv fails, in the versions of constraints.txt: its Python."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    words = ["make", "-C", root, "setup", "BACKEND=jax", f"VENV={folder}", "UV=false"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "make: uv failed; pip installs the same" in done.stderr
    python = folder / "bin" / "python"
    installed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    pinned = (root / "constraints.txt").read_text(encoding="utf-8")
    for name in ("keras", "numpy", "jax"):
        version = re.search(rf"^{name}==(\S+)$", installed, re.MULTILINE)[1]
        assert re.search(rf"^{name}=={re.escape(version)}( |$)", pinned, re.MULTILINE), (name, version)
    return without_tensorflow(python)


def with_torch(folder, root):
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", TORCH, f"{root}[opencv,notebooks,test]"], check=True)
    return without_tensorflow(python)


def pytest_run(python, backend, root, *tests):
    words = ["-q", "-m", "not slow", "-p", "no:cacheprovider"]  # one process: the other core has a test of its own
    words += ["-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning"]  # older libraries about one another
    paths = [str(root / "tests" / test) for test in tests]
    done = subprocess.run(
        [python, "-m", "pytest", *words, *paths],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.timeout(2700)  # most of the tests once more
def test_notebook_training_and_resume_on_jax(tmp_path, root):
    pytest_run(made_by_pip(tmp_path / "jax", root), "jax", root, *ON_JAX)


def test_heads_and_a_smoke_run_on_torch(tmp_path, root):
    python = with_torch(tmp_path / "torch", root)
    pytest_run(python, "torch", root, "models/test_heads.py", "models/test_replace.py", "layers/test_any_model.py")
    changed = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [python, "-c", SMOKE_RUN, tmp_path / "runs"], capture_output=True, text=True, cwd=tmp_path, env=changed
    )
    assert done.returncode == 0, done.stderr[-3000:]
