"""Rows: several runs of one study, checked before the first is trained, and their table and figures."""

import pytest
from records import halves

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.plots.runs import row_styles
from wisesr_helpers.studies import report
from wisesr_helpers.training import runs

ROWS = {
    "average": {"head": "gap"},
    "learned": {"head": "wise"},
    "no bias": {"head": "wise", "options": {"bias": False}},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The table of three runs at smoke scale, and the folder that keeps them."""
    folder = tmp_path_factory.mktemp("runs")
    return ws.Rows("mit_224", ROWS, runs_dir=str(folder), scale="smoke").run(), folder


def test_every_row_is_the_run_that_its_words_make(trained):
    table, folder = trained
    assert list(table["row"]) == list(ROWS)
    for title, row in zip(ROWS, table.itertuples(), strict=True):
        alone = ws.Experiment("mit_224", **ROWS[title], runs_dir=str(folder), scale="smoke")
        assert row.identity == alone.parameters.identity
        assert row.run.outcome_sha256 == alone.run().outcome_sha256
    assert len(set(table["identity"])) == 3
    assert table["params"].iloc[1] - table["params"].iloc[2] == 96  # one bias a channel


def test_the_table_is_that_of_load_runs(trained):
    table, folder = trained
    loaded = ws.load_runs(folder).set_index("identity").loc[table["identity"]].reset_index()
    assert loaded[table.columns[1:]].equals(table.drop(columns="row"))
    assert list(report.results_table(table)["row"]) == list(ROWS)


def test_one_row_alone(tmp_path):
    rows = ws.Rows("mit_224", ROWS, only="no bias", runs_dir=str(tmp_path), scale="smoke")
    assert list(rows.experiments) == ["no bias"]


def test_a_title_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(ValueError, match="There is no row 'bias'. Valid rows: 'average', 'learned', 'no bias'; empty"):
        ws.Rows("mit_224", ROWS, only="bias")


def test_a_mistake_in_the_last_row_is_found_before_the_first_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("wisesr_helpers.studies.experiment.run", lambda *_: pytest.fail("a row was trained"))
    with pytest.raises(ValueError, match="Unknown option 'bais' for head 'wise'"):
        ws.Rows("mit_224", {**ROWS, "last": {"options": {"bais": False}}}, runs_dir=str(tmp_path)).run()


def test_the_announcement_counts_rows_and_time(capsys, tmp_path):
    rows = ws.Rows("mit_224", ROWS, scale="demo", runs_dir=str(tmp_path))
    rows.announce()
    said = capsys.readouterr().out
    assert "The same for 3 rows: 'average', 'learned', 'no bias'." in said
    assert f"All of them: about {3 * rows.first.plan.minutes:.0f} min" in said


def test_a_row_called_like_a_head_has_its_colour_and_no_other_row_has():
    styles = dict(zip("a b wise gwap c d e f".split(), row_styles("a b wise gwap c d e f".split()), strict=True))
    assert styles["wise"] == (plots.colour("wise"), "-")
    assert styles["gwap"] == (plots.colour("gwap"), "-")
    assert len(set(styles.values())) == 8
    others = {colour for title, (colour, _) in styles.items() if title not in ("wise", "gwap")}
    assert not others & {plots.colour(head) for head in ("gap", "wise", "gwap")}


def test_figures_show_what_the_records_hold(tmp_path):
    def record(correct, **choices):
        return runs.write_record(tmp_path / choices["head"], *halves(correct=correct, **choices))

    table = runs.as_table([record((60, 270), head="wise"), record((30,), head="gap", status="running", epochs=5)])
    table.insert(0, "row", ["learned", "average"])
    _, (left, right) = plots.figure(columns=2)
    marks = {line.get_marker(): line for line in plots.row_accuracies(table, left).lines}
    assert marks["o"].get_xdata() == [0.9]  # the complete run's alone
    low, high = wilson_interval(270, 300)
    assert any(list(line.get_xdata()) == [low, high] for line in left.lines)
    assert [text.get_text() for text in left.texts] == ["running (1 of 5 epochs)"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["learned", "average"]
    lines = {line.get_label(): line for line in plots.row_curves(table, right).lines}
    assert list(lines["learned"].get_ydata()) == [0.2, 0.9]
    assert "average, running (1 of 5 epochs)" in lines
    assert "learned 90.0% (95 % interval" in plots.describe_row_accuracies(table)
    assert "average running (1 of 5 epochs)" in plots.describe_row_accuracies(table)
    assert "learned: 20.0% after epoch 1, 90.0% after epoch 2" in plots.describe_row_curves(table)
