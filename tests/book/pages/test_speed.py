"""How fast the project is, as the page of the experiments has it: ratios of the benchmarks, with their ranges."""

import json

import pytest
from _pages import speed

from wisesr_helpers import plots
from wisesr_helpers.versions import VERSIONS

MACHINE = {"device": "cpu:0", "processor": "a processor", "threads": 2, "backend": "tensorflow", "commit": "0123456789"}
MACHINE |= {"clean": True, "versions": {"python": "3.12.1", "keras": "3.13.2"}}


@pytest.fixture
def measured(tmp_path):
    def write(name, *rows):
        report = {"machine": MACHINE, "versions": VERSIONS, "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(report), encoding="utf-8")

    write("pipeline", {"image_size": 224, "ratios": {"ours / authors": [31.9, 30.2, 33.1], "ours / other": [2, 1, 3]}})
    ratios = {"beside_the_authors": {"wise": [1.2, 1.1, 1.4], "gwap": [6, 5, 7]}}
    write("heads", {"map": [7, 7, 8], "xla": False, **ratios}, {"map": [7, 7, 8], "xla": True, **ratios})
    write("training", {"backbone": "small_conv", "batch": 70, "beside_the_authors": [1.1, 0.9, 1.3]})
    write("setup", {"installer": "uv", "beside_pip": [6.1, 5.8, 6.4]}, {"installer": "pip"})
    write("book", {"page": "the whole book", "seconds": 29.6})
    return tmp_path


def test_the_answer_has_every_ratio_with_its_range(measured):
    assert speed.answer(measured).data == (
        '<p class="answer">Faster in every round in 3 of 4 comparisons; below, the median of the rounds (lowest to '
        "highest). The book is built in 30 s. On a GPU it is not measured.</p>"
        '<ul class="numbers"><li>input pipeline, 224×224: 32 times as fast (30 to 33)</li>'
        "<li>wise, forward and backward, 7×7×8: 1.2 times as fast (1.1 to 1.4)</li>"
        "<li>training, small_conv, 70 images a step: 1.1 times as fast (0.9 to 1.3), not faster in every round</li>"
        "<li>set-up, beside pip: 6.1 times as fast (5.8 to 6.4)</li></ul>"
    )


def test_the_figure_shows_them_and_says_where_they_were_measured(measured, monkeypatch):
    other = measured / "setup.json"
    other.write_text(other.read_text(encoding="utf-8").replace("0123456789", "9876543210"), encoding="utf-8")
    shown = []
    monkeypatch.setattr(plots, "show", lambda *given: shown.append(given))
    below = speed.figure(measured).data
    [(drawn, text)] = shown
    [ax] = drawn.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(speed.comparisons(measured)[0])
    assert [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1] == [31.9, 1.2, 1.1, 6.1]
    assert "set-up, beside pip 6.1" in text
    assert below.count("a processor, 2 threads") == 1
    assert below.endswith("; commit 0123456789, 9876543210.</p>")


def test_what_is_not_measured_is_open_and_has_its_command(tmp_path):
    assert "make bench" in speed.answer(tmp_path).data
    assert "To come" in speed.figure(tmp_path).data
