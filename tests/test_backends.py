"""The other backends, each in an environment of its own without TensorFlow: JAX for everything, torch for the heads."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ON_JAX = [
    "models/test_heads.py",
    "layers/test_blocks.py",
    "layers/test_pooling.py",
    "layers/test_reductions.py",
    "training/test_training.py",
    "studies/test_run.py",
    "studies/test_experiment.py",
    "models/test_classifiers.py",
    "models/test_attribution.py",
    "test_soak.py",
    "notebooks/test_papermill.py",
    *(
        f"notebooks/test_nbval.py::test_every_cell_runs[{name}]"
        for name in ("mit_512", "where_it_looks", "better_start")
    ),
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


def environment(folder, root, *requirements):
    """A virtual environment without TensorFlow: its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *requirements, f"{root}[opencv,notebooks,test]"], check=True)
    there = subprocess.run([python, "-c", "import tensorflow"], capture_output=True, text=True)
    assert "No module named 'tensorflow'" in there.stderr
    return python


def pytest_run(python, backend, root, *tests):
    words = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
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
    pytest_run(environment(tmp_path / "jax", root, "jax>=0.5"), "jax", root, *ON_JAX)


def test_heads_and_a_smoke_run_on_torch(tmp_path, root):
    python = environment(tmp_path / "torch", root, TORCH)
    pytest_run(python, "torch", root, "models/test_heads.py")
    changed = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [python, "-c", SMOKE_RUN, tmp_path / "runs"], capture_output=True, text=True, cwd=tmp_path, env=changed
    )
    assert done.returncode == 0, done.stderr[-3000:]
