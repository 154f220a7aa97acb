"""The benchmarks run from end to end; what they measure is for an idle machine, not for a test."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def benchmark(root, monkeypatch):
    """A module of the benchmarks, by name."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module


def reading(epochs, most):
    return {"files": 600, "mib_before_and_after_each_epoch": epochs, "mib_at_most": most}


@pytest.mark.parametrize(
    ("epochs", "most", "holds"),
    [
        ([290.0, 310.0, 311.0, 311.0, 311.2], 330.0, [True, True]),
        ([290.0, 310.0, 311.0, 311.0, 311.2], 1030.0, [False, True]),
        ([290.0, 310.0, 311.0, 320.0, 329.0], 330.0, [True, False]),
    ],
    ids=["flat", "too much", "growing"],
)
def test_memory_that_is_too_large_or_grows_breaks_a_promise(benchmark, epochs, most, holds):
    memory = benchmark("memory")
    flat = reading([290.0] * 5, 300.0)
    for measured in ([reading(epochs, most)], [flat, reading(epochs, most)], [reading(epochs, most), flat]):
        assert [kept["holds"] for kept in memory.promises(measured)] == holds


def test_the_bare_contestant_does_the_work_of_ours(benchmark, tmp_path):
    pytest.importorskip("tensorflow")
    pipeline = benchmark("pipeline")
    entries = pipeline.write_photographs(tmp_path, 5, 40)
    listing = pipeline.Listing(tmp_path, ("0", "1"), tuple(entries), (entries[0],), {})
    split = pipeline.prepared(listing, 40, tmp_path / "prepared")
    ours = pipeline.Batches(split, 2, 0, augmentation=pipeline.STUDIES["mit_224"].recipe.augmentation)
    work = pipeline.bare_work(ours, 3)
    ours.epoch = 3
    delivered = np.concatenate([ours[k][0] for k in range(len(ours))])
    found = [pipeline.cv2.LUT(pipeline.warp(image, matrix), table) for image, matrix, table, *_ in work]
    np.testing.assert_array_equal(found, delivered)
    assert [one[3:] for one in work] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert pipeline.bare(ours, 3) > 0


def test_ratios_are_taken_round_by_round(benchmark):
    assert benchmark("report").ratio([1, 4, 9], [1, 2, 3]) == [2, 1, 3]


@pytest.mark.slow
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
        assert len(row["promises"]) == 6
        assert all(median == lowest == highest > 0 for median, lowest, highest in row["ratios"].values())
        assert [each["files"] for each in row["memory"]] == ([48, 480] if row["image_size"] == 224 else [48])
        for each in row["memory"]:
            assert len(each["mib_before_and_after_each_epoch"]) == 7
            assert 0 < max(each["mib_before_and_after_each_epoch"]) <= each["mib_at_most"]


@pytest.mark.slow
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
        assert len(ours) == 3
        median, lowest, highest = row["beside_the_authors"]
        assert median == lowest == highest > 0  # of one round
        assert set(row["seconds_after_an_epoch"]) == {"evaluation of 8 images", "saving a checkpoint"}
        assert all(seconds > 0 for seconds in row["seconds_after_an_epoch"].values())
    memory = report["memory"]["mib_before_and_after_each_epoch"]
    assert len(memory) == 13
    promises = [kept for row in [*report["rows"], report["memory"]] for kept in row["promises"]]
    assert len(promises) == 3
    broken = sum(not kept["holds"] for kept in promises)
    assert done.stdout.splitlines()[-1] == f"{broken} promises do not hold here; written to out.json."


@pytest.mark.slow
def test_the_grids_benchmark_measures_every_call(root, tmp_path):
    words = [sys.executable, "benchmarks/grid.py", "--rounds", "1", "--out", tmp_path / "out.json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [len(row["promises"]) for row in rows] == [0, 1, 1]
    assert all(row["seconds"] > 0 for row in rows)


@pytest.mark.slow
def test_the_books_benchmark_measures_every_page_with_cells(root, tmp_path):
    words = [sys.executable, "benchmarks/book.py", "--out", tmp_path / "out.json"]
    subprocess.run(words, cwd=root, check=True)
    whole, *rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    cells = {f"book/{page.stem}" for page in (root / "book").glob("*.md") if "{code-cell}" in page.read_text()}
    assert {row["page"] for row in rows} == cells
    assert whole["seconds"] > sum(row["seconds"] for row in rows)


@pytest.mark.slow
def test_the_set_ups_benchmark_gives_each_installer_a_new_environment_and_empty_caches(root, tmp_path):
    """With another ``make``, which only says how it was called: a real set-up takes minutes of a network."""
    calls = tmp_path / "calls"
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "$@ $UV_CACHE_DIR $PIP_CACHE_DIR" >> {calls}\n')
    make.chmod(0o755)
    words = [sys.executable, "benchmarks/setup.py", "--rounds", "2", "--out", tmp_path / "out.json"]
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, env=os.environ | path)
    assert done.returncode == 0, done.stderr[-3000:]
    called = [line.split() for line in calls.read_text().splitlines()]
    assert [words[2] == "UV=false" for words in called] == [False, True, False, True]
    assert all(words[0] == "setup" and words[1].startswith("VENV=/") for words in called)
    assert len({word for words in called for word in words if "/" in word}) == 12  # nothing is used twice
    uv, pip = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert (uv["installer"], pip["installer"]) == ("uv", "pip")
    median, lowest, highest = uv["beside_pip"]
    assert 0 < lowest <= median <= highest
