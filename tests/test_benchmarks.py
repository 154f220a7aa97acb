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
            "authors, in turn with it",
        }
        assert len(row["promises"]) == 4
        assert len(row["memory_mib_before_and_after_each_epoch"]) == 7


def test_the_trainings_benchmark_measures_every_contestant(root, tmp_path):
    few = "--rounds 1 --steps 2 --images 8 --batch 2".split()
    words = [sys.executable, "benchmarks/training.py", *few, "--out", tmp_path / "out.json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / "out.json").read_text())
    assert [row["backbone"] for row in report["rows"]] == ["small_conv", "Xception"]
    for row in report["rows"]:
        bare, *ours = row["steps_per_second"]
        assert list(row["ratios"]) == [f"{name} / {bare}" for name in ours]
        assert len(ours) == 2
        assert set(row["seconds_after_an_epoch"]) == {"evaluation of 8 images", "saving a checkpoint"}
        assert all(seconds > 0 for seconds in row["seconds_after_an_epoch"].values())
    memory = report["memory"]["mib_before_and_after_each_epoch"]
    assert len(memory) == 13
    promises = [kept for row in [*report["rows"], report["memory"]] for kept in row["promises"]]
    assert len(promises) == 3
    broken = sum(not kept["holds"] for kept in promises)
    assert done.stdout.splitlines()[-1] == f"{broken} promises do not hold here; written to out.json."
