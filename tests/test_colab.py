"""Beside Colab's versions: the package installs without changing them, and its unit tests pass."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# What Colab has preinstalled (read in August 2026) of what the package touches.
COLAB = ["tensorflow-cpu==2.20.*", "keras==3.13.*", "opencv-python-headless==4.*", "numpy==2.2.*", "pandas==2.2.*"]
COLAB += [
    "scikit-learn==1.6.*",
    "scipy==1.16.*",
    "matplotlib==3.10.*",
    "ipython",
    "ipywidgets==7.7.*",
    "nbformat",
    "pillow==11.*",
    "kaggle==2.0.*",
]
TESTS = ["hypothesis", "pytest", "pytest-timeout", "pyyaml"]


def interpreter():
    """Colab's Python 3.13 where it can be had, else this one."""
    for name in ("python3.13", *map(str, pathlib.Path.home().glob(".pyenv/versions/3.13*/bin/python"))):
        if (
            shutil.which(name)
            and subprocess.run([name, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0
        ):
            return name
    return sys.executable


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """A virtual environment with Colab's versions: its Python."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([interpreter(), "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", *COLAB, *TESTS], check=True)
    return python


def installed(python):
    done = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    return {line for line in done.stdout.splitlines() if not line.startswith("wisesr_helpers")}


@pytest.mark.timeout(2700)  # most of the tests once more
def test_installing_changes_nothing_and_the_unit_tests_pass(colab, root):
    before = installed(colab)
    subprocess.run([colab, "-m", "pip", "install", "-q", root], check=True)
    after = installed(colab)
    assert before <= after, before - after
    assert {line.split("==")[0] for line in after - before} <= {"filelock", "platformdirs", "simplejpeg"}
    tests = [
        path for path in sorted((root / "tests").rglob("test_*.py")) if path.parent.name not in ("notebooks", "book")
    ]
    # They need the checkout's own tools, or rehearse what no version of Colab changes.
    elsewhere = {f"test_{name}.py" for name in "project colab pages versions soak rehearsal".split()}
    tests = [str(path) for path in tests if path.name not in elsewhere]
    words = ["-q", "-m", "not slow", "-p", "no:cacheprovider"]  # one process: the other core has a test of its own
    words += ["-W", "ignore::DeprecationWarning"]  # older libraries warn about one another here
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [colab, "-m", "pytest", *words, *tests], capture_output=True, text=True, cwd=root, env=environment
    )
    assert done.returncode == 0, done.stdout[-5000:]
