"""The page on training shows what its benchmark measured, and says when that is stale."""

import json

from _pages import overheads

from wisesr_helpers.versions import VERSIONS

MACHINE = {"device": "cpu:0", "processor": "a processor", "threads": 2, "backend": "tensorflow", "commit": "0" * 40}
MACHINE |= {"clean": True, "versions": {"python": "3.12.1", "keras": "3.13.2"}}
HOLDS = {"promise": "ours / bare: at least 0.97", "measured": 1.01, "holds": True}
ROW = {"backbone": "small_conv", "batch": 70, "promises": [HOLDS]}
ROW |= {"steps_per_second": {"bare": 10.0, "ours": 10.1, "ours, read": 8.0}}
ROW |= {"ratios": {"ours / bare": 1.01, "ours, read / bare": 0.8}}


def benchmark(path, **changes):
    memory = {"promises": [{"promise": "MiB an epoch", "measured": 0.7, "holds": False}]}
    report = {"machine": MACHINE, "versions": VERSIONS, "rows": [ROW], "memory": memory}
    path.write_text(json.dumps(report | changes))
    return path


def test_the_trainings_speed_is_the_benchmarks(tmp_path):
    speeds, promises, sentence = overheads.training_speed(benchmark(tmp_path / "training.json"))
    assert speeds.to_dict("list") == {
        "backbone": ["small_conv"] * 3,
        "batch": [70] * 3,
        "path": ["bare", "ours", "ours, read"],
        "steps a second": [10.0, 10.1, 8.0],
        "of the bare loop's": ["100.0%", "101.0%", "80.0%"],
    }
    assert promises["holds"].tolist() == ["yes", "no"]
    assert "a processor, 2 threads" in sentence
    assert "older version" not in sentence


def test_a_measurement_of_other_code_says_so(tmp_path):
    path = benchmark(tmp_path / "training.json", versions={"training": 0})
    assert "by an older version of the code" in overheads.training_speed(path)[2]


def test_without_a_measurement_there_is_none(tmp_path):
    assert overheads.training_speed(tmp_path / "none.json") is None
