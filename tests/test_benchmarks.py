"""The benchmarks run from end to end; what they measure is for an idle machine, not for a test."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_the_pipelines_benchmark_measures_every_contestant(root, tmp_path):
    words = [
        sys.executable,
        "benchmarks/pipeline.py",
        "--rounds",
        "1",
        "--images",
        "48",
        "--out",
        tmp_path / "out.json",
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "out.json").read_text())
    assert [row["image_size"] for row in report["rows"]] == [224, 512]
    for row in report["rows"]:
        assert set(row["images_per_second"]) == {
            "ours",
            "authors",
            "authors, two workers",
            "Keras' random layers",
            "bare warp and look-up",
            "our first epoch, decoding included",
        }
        assert len(row["promises"]) == 4
        assert len(row["memory_mib_before_and_after_each_epoch"]) == 7
