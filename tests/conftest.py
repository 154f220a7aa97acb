"""Every test runs at smoke scale, in folders of its own, without a network."""

import gc
import os
import pathlib

import pytest

# Before anything imports Keras; subprocesses (papermill, kernels) inherit them.
os.environ["WISESR_SCALE"] = "smoke"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["PYTHONWARNINGS"] = "ignore::DeprecationWarning,ignore::FutureWarning"
# IPython gives a kernel the packages of the environment that is named here, which is not always the one under test.
os.environ.pop("VIRTUAL_ENV", None)
# Of a test that runs these tests: a kernel that finds it captures nothing of its standard error.
os.environ.pop("PYTEST_CURRENT_TEST", None)

gc.disable()  # until all tests are imported: none of that is garbage

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="module")
def _keep_what_is_there():
    """Leave what is imported, and what earlier files keep, out of every search for garbage: it takes half a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _fresh_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("WISESR_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WISESR_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return ROOT
