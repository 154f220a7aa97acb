"""Every notebook under nbval at smoke scale, from its first cell to its last."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "-m pytest --nbval-lax --nbval-current-env -p no:cacheprovider -q".split()


# One whose outputs need a kernel to be looked at; test_papermill.py runs a study.
QUICK = "explore"
NOTEBOOKS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem != QUICK))
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_every_cell_runs(path, tmp_path):
    environment = {**os.environ, "WISESR_SCALE": "smoke", "WISESR_RUNS": str(tmp_path)}
    done = subprocess.run([sys.executable, *WORDS, path], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    if path.stem.endswith(("_224", "_512")):  # a study's did train, in the folder it was given
        assert list(tmp_path.glob(f"{path.stem}--smoke--*/record.json"))
