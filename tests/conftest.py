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

# The files that take longest, first: a worker that gets one of them last keeps the others waiting.
FIRST = """
book/test_book.py studies/test_run.py models/test_heads.py studies/test_compare.py training/test_training.py
notebooks/test_papermill.py models/test_attribution.py studies/test_answers.py models/test_counts.py
studies/test_claims.py studies/test_explore.py layers/test_pooling.py studies/test_paper_scale.py test_versions.py
notebooks/test_nbval.py
""".split()


def pytest_collection_modifyitems(items):
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(FIRST)}
    gone = [str(path) for path in ranks if not path.exists()]
    assert not gone, f"FIRST in tests/conftest.py names files that are gone: {', '.join(gone)}"
    items.sort(key=lambda item: ranks.get(item.path, len(FIRST)))


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
