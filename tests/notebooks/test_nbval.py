"""Every notebook under nbval at smoke scale, from its first cell to its last."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "-m pytest --nbval-lax --nbval-current-env -p no:cacheprovider -q".split()


# The four studies are one template, of which test_papermill.py runs mit_512; what_did_not_work trains rows as
# better_start does.
SLOW = ("sub_imagenet_224", "intel_224", "mit_224", "mit_512", "what_did_not_work")
NOTEBOOKS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
    for path in sorted(ROOT.glob("notebooks/*.ipynb"))
]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_every_cell_runs(path, tmp_path):
    environment = {**os.environ, "WISESR_SCALE": "smoke", "WISESR_RUNS": str(tmp_path)}
    done = subprocess.run([sys.executable, *WORDS, path], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    if path.stem.endswith(("_224", "_512")):  # a study's did train, in the folder it was given
        assert list(tmp_path.glob(f"{path.stem}--smoke--*/record.json"))
