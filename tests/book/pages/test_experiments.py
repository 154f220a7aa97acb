"""The page of the experiments, and what other pages say of them: both fill with records."""

import re
import types

import pytest
import records
from _pages import experiments, printed
from tests_support import ROOT

from wisesr_helpers import plots
from wisesr_helpers.plots import figures as plots_figures
from wisesr_helpers.studies.experiment import resolve
from wisesr_helpers.studies.plan import plan
from wisesr_helpers.studies.questions import MEASURED, QUESTIONS

PAGE = (ROOT / "book" / "experiments.md").read_text(encoding="utf-8")
NAMED = re.compile(r'experiments\.(answer|figure)\("(\w+)"\)')


@pytest.fixture
def shown(monkeypatch):
    """Descriptions of the figures that are shown."""
    said = []
    monkeypatch.setattr(plots_figures, "show", lambda drawn: said.append(plots.alt_text(drawn)))
    monkeypatch.setattr(plots, "show", lambda drawn: said.append(plots.alt_text(drawn)))
    return said


def publish(folder, name, share, leave_out=0):
    """Records of a question's runs as today's code would leave them; the first ones can be left out."""
    typed = {"head": "wise", "epochs": 0, "options": None, "dataset": "", "overwrite": False, "data_dir": ""}
    question = QUESTIONS[name]
    folder.mkdir(exist_ok=True)
    for title, seed in [(title, seed) for title in question.arms for seed in range(question.seeds)][leave_out:]:
        spec = resolve(**typed | question.run(title, seed), runs_dir=str(folder.parent / "trained"))
        right, epochs = round(share(title) * spec.plan.test), spec.recipe.epochs
        records.keep_row(types.SimpleNamespace(spec=spec), correct=(*range(1, epochs), right))
        (spec.folder / "record.json").rename(folder / f"{spec.parameters.identity}.json")
    return folder


def test_no_interval_of_shares_begins_below_0():
    shares = experiments.answer("weights").data
    assert "% (0.0% to" in shares
    assert not re.search(r"\(−[\d.]+%", shares)


def test_every_question_has_its_answer_and_its_figure_in_the_protocols_order():
    for part in ("answer", "figure"):
        assert [name for which, name in NAMED.findall(PAGE) if which == part] == list(QUESTIONS)
    for name in QUESTIONS:
        assert f"(q-{name})=" in PAGE
        assert f"{{glue:text}}`asks_{name}`" in PAGE
    protocol = (ROOT / "results" / "protocol.md").read_text(encoding="utf-8")
    places = [protocol.index(f"| `{name}` |") for name in QUESTIONS]
    assert places == sorted(places)


@pytest.mark.parametrize("name", QUESTIONS)
def test_without_records_a_slot_says_what_is_missing_and_the_command(name, tmp_path, shown):
    empty = tmp_path / "results"
    empty.mkdir()
    said = experiments.answer(name, empty).data
    command = "python scripts/measure.py jumps" if name in MEASURED else "make results"
    assert "Open: " in said
    assert f"<code>{command}</code>" in said
    slot = experiments.figure(name, empty).data
    assert all(title in slot for title in QUESTIONS[name].arms)
    assert not shown
    assert experiments.caption(name, empty) == "The figure comes with the records."
    assert experiments.words(empty)["answered"] == f"0 of {len(QUESTIONS)} questions are answered"


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in ("weights", *MEASURED)])
def test_with_records_the_answer_and_the_figure_are_there(name, tmp_path, shown):
    folder = publish(tmp_path / "results", name, lambda title: 0.9 if "wise" in title else 0.4)
    said = experiments.answer(name, folder).data
    assert "Open" not in said
    assert experiments.said(name, results=folder) in re.sub("</?code>", "", said).replace("&#x27;", "'")
    below = experiments.figure(name, folder).data
    (alt,) = shown
    assert len(alt) > 60
    assert f"{len(QUESTIONS[name].pairs)} comparisons" in below
    assert "Where this comes from" in below
    runs = len(QUESTIONS[name].arms) * QUESTIONS[name].seeds
    assert f"{runs} of {runs} runs. Demo: not the paper's data." in experiments.caption(name, folder)
    assert experiments.words(folder)["answered"].partition(" ")[0] != "0"


def test_with_some_records_the_figure_shows_them_and_nothing_is_compared(tmp_path, shown):
    folder = publish(tmp_path / "results", "scale", lambda title: 0.5, leave_out=5)
    assert "Open: 5 of 12 runs" in experiments.answer("scale", folder).data
    assert "comparisons" not in experiments.figure("scale", folder).data
    assert shown[0].startswith("Final test top-1")
    assert "7 of 12 runs" in experiments.caption("scale", folder)
    assert experiments.said("scale", "wise − gap", results=folder).startswith("Open: 5 of 12 runs")


def test_runs_on_photographs_are_counted(tmp_path):
    (tmp_path / "results").mkdir()
    assert printed.on_photographs(lambda run: True, tmp_path / "results") == "none"
    assert printed.rerun("deeper_networks", results=tmp_path / "results") == "0 of 9"


def test_rows_of_the_report_are_counted_by_dataset(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    rows = plan({"scale": "paper", "runs_dir": tmp_path / "trained"})
    for row in [row for row in rows if row.spec.parameters.backbone == "VGG16"][:2]:
        run = records.keep_row(row)
        (run.folder / "record.json").rename(folder / f"{run.identity}.json")
    assert printed.rerun("deeper_networks", results=folder) == "2 of 9"
    assert printed.on_photographs(lambda run: run.backbone == "VGG16", folder) == "2 runs"


def test_what_table_9_has_of_xception_with_averaging_is_what_guesses_give():
    assert experiments.words()["untrained"] == (
        "In Table 9 Xception with gap has a top-1 of 0.0157, which is 21 of 1,340 images; guesses give 20."
    )
