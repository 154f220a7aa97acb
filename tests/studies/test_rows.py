"""Rows: several runs of one study, checked before the first is trained, and their table."""

import pytest

import wisesr_helpers as ws
from wisesr_helpers.studies import report

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
