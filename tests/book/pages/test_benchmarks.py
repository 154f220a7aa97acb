"""The pages show what the benchmarks measured, and say when that is stale."""

import json

import pandas as pd
import pytest
from _pages import benchmarks

from wisesr_helpers.versions import VERSIONS

COMMIT = "0123456789abcdef"
MACHINE = {"device": "cpu:0", "processor": "a processor", "threads": 2, "backend": "tensorflow", "commit": COMMIT}
MACHINE |= {"clean": True, "versions": {"python": "3.12.1", "keras": "3.13.2"}}


def promise(words, holds=True):
    return {"promises": [{"promise": words, "measured": 30.0, "holds": holds}]}


HEADS = [
    {"map": [16, 16, 2048], "pool_size": 3, "batch": 15, "milliseconds": {"wise": 4.5, "authors": 18.5, "gap": 3.6}},
    {"map": [7, 7, 8], "pool_size": 1, "batch": 70, "xla": True, "milliseconds": {"depthwise": 7.0, "gap": 2.0}},
]
PIPELINE = [{"image_size": 512, "images_per_second": {"ours": 900.0, "authors": 30.0}, **promise("at least 20")}]
TRAINING = [
    {
        "backbone": "small_conv",
        "batch": 70,
        "steps_per_second": {"bare": 10.0, "ours": 10.1, "ours, read": 8.0},
        "ratios": {"ours / bare": 1.01, "ours, read / bare": 0.8},
        **promise("at least 0.97"),
    }
]


def test_milliseconds_are_shown_as_written():
    times = benchmarks.heads(HEADS)
    columns = ["feature map", "pool", "batch", "XLA", "gap, ms", "authors' layers, ms", "wise, ms", "depthwise, ms"]
    assert list(times.columns) == columns
    assert list(times.iloc[0][:7]) == ["16×16×2048", 3, 15, "no", 3.6, 18.5, 4.5]
    assert pd.isna(times.iloc[0]["depthwise, ms"])
    assert list(times.iloc[1][["XLA", "gap, ms", "depthwise, ms"]]) == ["yes", 2.0, 7.0]


def test_the_pipelines_speed_is_the_benchmarks():
    assert benchmarks.pipeline(PIPELINE).to_dict("records") == [
        {"images a second": "ours", "512×512": 900.0},
        {"images a second": "authors", "512×512": 30.0},
    ]


def test_the_trainings_speed_is_the_benchmarks():
    assert benchmarks.training(TRAINING).to_dict("list") == {
        "backbone": ["small_conv"] * 3,
        "batch": [70] * 3,
        "path": ["bare", "ours", "ours, read"],
        "steps a second": [10.0, 10.1, 8.0],
        "of the bare loop's": ["100.0%", "101.0%", "80.0%"],
    }


def test_promises_are_gathered_from_rows_and_memory():
    kept = benchmarks.promises({"rows": TRAINING, "memory": promise("MiB an epoch", holds=False)})
    assert kept.to_dict("list") == {
        "backbone": ["small_conv", ""],
        "promise": ["at least 0.97", "MiB an epoch"],
        "measured": [30.0, 30.0],
        "holds": ["yes", "no"],
    }
    assert benchmarks.promises({"rows": PIPELINE})["image size"].tolist() == [512]


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({}, "commit 0123456789."),
        ({"machine": {"clean": False}}, "commit 0123456789 with uncommitted changes."),
        ({"machine": {"commit": None, "clean": None}}, "commit unknown, not run from a checkout."),
        ({"versions": None}, "commit 0123456789 (an older version of the code)."),
        ({"versions": {"layers": 0}}, "commit 0123456789 (an older version of the code)."),
    ],
)
def test_a_benchmark_says_where_and_from_which_code_it_was_measured(tmp_path, changes, ending):
    report = {"versions": VERSIONS, "rows": PIPELINE} | changes
    report["machine"] = MACHINE | changes.get("machine", {})
    (tmp_path / "pipeline.json").write_text(json.dumps(report), encoding="utf-8")
    said = benchmarks.shown(benchmarks.pipeline, tmp_path).data
    assert "Measured on cpu:0 (a processor, 2 threads) with Python 3.12.1 and Keras 3.13.2 on tensorflow; " in said
    assert said.endswith(f"{ending}</p>")
    assert [benchmarks._rounded(value) for value in (-22.4, 9337.78, 66.95, "7")] == ["−22.4", "9,338", "67", "7"]
    for part in (">900<", ">30<", "at least 20", 'download="pipeline_speed.csv"'):
        assert part in said


def test_what_is_not_measured_is_said(tmp_path):
    assert "Not measured yet: <code>make bench</code>" in benchmarks.shown(benchmarks.heads, tmp_path).data
