"""Where figures and tables come from, and that what is older is marked."""

import dataclasses

import pandas as pd
import pytest
import records
from _pages import convergence, printed, provenance, results, stored

from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.training.runs import load_runs


@pytest.fixture
def runs(tmp_path):
    def of(**choices):
        records.publish(tmp_path / "results", **choices)
        return load_runs(tmp_path / "results").assign(whose="committed")

    return of


def test_a_block_says_scale_seeds_commit_time_and_command(runs):
    runs(seed=0)
    block = provenance.of_runs(runs(seed=3), "mit_512.csv", source=("wisesr_helpers/plots/runs.py",)).data
    assert "demo: not the paper" in block
    assert "seeds 0, 3; commit 0123456789" in block
    assert "3 min 20 s of training in all" in block
    assert block.count("papermill notebooks/mit_512.ipynb") == 2
    assert 'download="mit_512.csv"' in block
    assert "wisesr_helpers/plots/runs.py" in block


def test_a_block_says_where_each_run_comes_from(runs):
    for seed, choices in enumerate(
        (
            {},
            {"behaviour": {"layers": 0}, "clean": False},
            {"commit": None, "clean": None},
            records.diverged(()),  # its images are counted though no epoch was whole
        )
    ):
        made = runs(seed=seed, **choices)
    block = provenance.of_runs(made, "a.csv").data
    for fact, said in {
        "data": "embedded scenes, 1,500 + 300 images",
        "device": "cpu:0, 2 threads, x86_64, Linux",
        "software": "Python 3.12.1, Keras 3.13.2 on tensorflow",
        "commit": "0123456789; 0123456789, with uncommitted changes; none: not run from a checkout",
        "time": "5 min 0 s of training in all",
        "code": "4 of 4 runs are of older code: the same commands may give other numbers now",
    }.items():
        assert f"<dt>{fact}</dt><dd>{said}</dd>" in block
    assert "papermill notebooks/mit_512.ipynb runs/out.ipynb -p head wise -p seed 0" in block


def test_older_code_has_a_badge(runs):
    assert provenance.STALE in provenance.of_runs(runs(behaviour={"layers": 0}), "a.csv").data
    made = {"commit": "abc", "minutes": 1.5, "versions": {"layers": 0}}
    assert provenance.STALE in provenance.of_notebook("mit_512", made).data


def test_without_runs_there_is_no_block():
    assert provenance.of_runs(pd.DataFrame(), "a.csv").data == ""


def test_stored_figures_and_tables_are_found_or_named():
    assert stored.rows("better_start", "row", "sum of those left")["row"][0] == "wise"
    assert stored.printed("own_images", "Take ").startswith("Take ")
    for look in (stored.rows, stored.printed, stored.figure):
        with pytest.raises(LookupError, match=r"mit_512\.ipynb"):
            look("mit_512", "nothing of that name")


def test_a_stored_figure_says_of_what_scale_it_is():
    weights = stored.figure("what_did_not_work", "Weight of each cell", scale="exact").data
    assert "exact; stored notebook" in weights
    assert "demo" not in weights
    scene = stored.figure("explore", "demo: not the paper's data. 0 inside").data
    assert "demo: not the paper&#x27;s data; stored notebook" in scene


def test_what_a_notebook_printed_is_text_and_no_markup():
    assert "p < 0.001" in stored.printed("own_images", "Take ")


def paper_run(head, backbone="Xception", **choices):
    study = get_study("mit_512")
    recipe = dataclasses.asdict(study.recipe)
    return {
        "head": head,
        "backbone": backbone,
        "scale": "paper",
        "photographs": True,
        "images": 1340,
        "recipe": recipe,
        "epochs": study.recipe.epochs,
        "correct": (900,) * study.recipe.epochs,
        **choices,
    }


def test_the_table_fills_with_runs_at_the_papers_scale(runs):
    empty = printed.results("mit_512", runs(head="gap"))
    assert set(empty["here"]) == {"not run"}
    filled = printed.results("mit_512", runs(**paper_run("wise"))).set_index(["backbone", "head"])["here"]
    assert filled["Xception", "wise"] == "67.2% (1 seed)"
    own = printed.results("mit_512", runs().assign(whose="yours")).set_index(["backbone", "head"])["here"]
    assert own["Xception", "wise"] == "67.2% (1 seed, yours)"
    assert (filled == "not run").sum() == 8
    assert "9 of 9 rows" in printed.missing("mit_512", runs(head="gap").iloc[:0].assign(run=[]))


def test_figures_fill_with_runs_at_the_papers_scale(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(results.plots, "show", shown.append, raising=False)
    records.publish(tmp_path / "results", head="gap")
    for head in ("gap", "wise"):
        records.publish(tmp_path / "results", **paper_run(head))
    block = results.ResultsPage("mit_512", tmp_path / "results", tmp_path / "own").curves_figure().data
    assert "paper; seed 0" in block
    assert DEMO_NOTE not in block
    assert [ax.get_title() for ax in shown[0].axes] == ["Xception", "Xception"]
    assert "ceiling" not in results.plots.alt_text(shown[0])


def test_the_gains_are_the_printed_ones(runs):
    rows = printed.results("mit_512", runs()).set_index(["backbone", "head"])
    assert rows.loc[("Xception", "wise"), printed.GAIN] == "+72.05 (+69.5 to +74.4)"
    assert rows.loc[("ResNet50V2", "avg_fc"), "so it is"] == "worse"
    assert rows.loc[("Xception", "gap"), printed.GAIN] == ""


@pytest.mark.parametrize("where", ["Table 4", "Table 8"])
def test_recipes_stand_beside_what_is_printed(where):
    rows = printed.recipes(where).set_index("setting")
    pairs = list(zip(rows.columns[::2], rows.columns[1::2], strict=True))
    for label in rows.index[:-2]:  # the head's initialisers have other words
        assert all(rows.loc[label, a] == rows.loc[label, b] for a, b in pairs), label


def test_the_ceiling_is_drawn_where_it_holds(runs, monkeypatch):
    from wisesr_helpers import plots

    for backbone, lines in (("small_patch", 1), ("small_conv", 0)):
        here = runs(head="gap", backbone=backbone)
        here = here[here["backbone"] == backbone]
        _, ax = plots.figure()
        before = len(plots.curves(here, ax).lines)
        results.draw_ceiling(here, ax, ax.axhline)
        assert len(ax.lines) - before == lines
        assert ("GAP's ceiling" in plots.alt_text(ax.figure)) == bool(lines)


def test_the_epoch_that_passes_the_ceiling_for_good(runs):
    here = runs(head="wise", correct=(180, 60, 160, 290))
    assert "from epoch 3 of 4 (mit_512)" in convergence.words(here)["passes"]
    assert len(results.histories(here)) == 4


@pytest.mark.parametrize(
    ("head", "missing"),
    [
        ("wise", "On scenes there is no record of depthwise_nonneg (intel_224)."),
        ("depthwise_nonneg", "On scenes, the table above has both."),
    ],
)
def test_a_head_without_a_record_is_missing_and_one_with_is_not(head, missing, runs):
    here = runs(study="intel_224", head=head)
    assert convergence.words(here)["missing"] == missing


def test_the_legend_of_convergence_names_each_head_once_and_hides_no_line(runs, monkeypatch):
    shown = []
    monkeypatch.setattr(convergence.plots, "show", shown.append)
    for study, head in (("mit_512", "wise"), ("intel_224", "gap"), ("intel_224", "wise")):
        here = runs(study=study, head=head)
    convergence.curves(here.sort_values("study"))
    (drawn,) = shown
    assert not any(ax.get_legend() for ax in drawn.axes)
    assert sorted(text.get_text() for text in drawn.legends[0].get_texts()) == ["chance", "gap", "wise"]
    drawn.draw_without_rendering()
    below = drawn.legends[0].get_window_extent().y1
    assert all(ax.get_window_extent().y0 > below for ax in drawn.axes if ax.axison)
