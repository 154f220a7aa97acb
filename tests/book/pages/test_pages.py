"""A page of results: everything on it follows from records and published tables."""

import base64
import csv
import dataclasses
import html
import io
import re
import statistics

import pandas as pd
import pytest
import records
from _pages import markup, results
from _pages.results import ResultsPage
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers import plots
from wisesr_helpers.plots import figures as plots_figures


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "results", tmp_path / "own"


def page_of(folders, *committed, own=()):
    """The page of records with these choices."""
    published, mine = folders
    for choices in committed:
        records.publish(published, **choices)
    for choices in own:
        records.keep(mine, **choices)
    for read_once in (results.committed, results._both):
        read_once.cache_clear()
    return ResultsPage("mit_512", published, mine)


def scores(gap, wise, **more):
    """Choices of runs that end with these test images right of 300, a seed each."""
    return [
        {"head": head, "seed": seed, "correct": (50, right), **more}
        for head, counts in (("gap", gap), ("wise", wise))
        for seed, right in enumerate(counts)
    ]


def cells(output):
    """The rows of an output's table, as lists of strings."""
    rows = re.findall(r"<tr.*?>(.*?)</tr>", output.data, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def linked_csv(output):
    """(file name, rows) of an output's CSV link."""
    ((name, data),) = re.findall(r'<a download="(.*?)" href="data:text/csv;base64,(.*?)">', output.data)
    return name, list(csv.reader(io.StringIO(base64.b64decode(data, validate=True).decode("utf-8"))))


RUNNING = {"correct": (50, 299), "status": "running", "epochs": 20}
DIVERGED = {"head": "gap", "seed": 5, **records.diverged()}
SHOWN = "shown here (wise − gap on small_patch +46.7 points (95% interval 40.7 to 52.0, p < 0.001); 1 seed a head)"
ON_IT = "(wise − gap on small_patch"
GOING_ON = "{} on small_patch (seed {}) running (2 of 20 epochs)"
OPEN = "open: {}; not counted: {}"
ONE_HEAD = "open: only one of the two heads has a complete run"


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (scores([150], [290]), SHOWN),
        (
            scores([150, 160, 155], [290, 280, 285]),
            f"shown here {ON_IT} +43.3 points … 3 seeds a head)",
        ),
        (scores([290], [150]), f"contradicted here {ON_IT} −46.7 points … 1 seed a head)"),
        (scores([150, 284], [290, 291]), f"not shown here {ON_IT} +24.5 points … 2 seeds a head)"),
        # of the seeds that both have
        (scores([150, 150], [290, 152, 290]), f"not shown here {ON_IT} +23.7 points … 2 seeds a head)"),
        # five images that only one got right are no evidence at 5% (p = 2 / 2**5), six are (2 / 2**6)
        (scores([150], [155]), f"not shown here {ON_IT} +1.7 points … 1 seed a head)"),
        (scores([150], [156]), f"shown here {ON_IT} +2.0 points … 1 seed a head)"),
        (scores([150], []), ONE_HEAD),
        (scores([], [290]), ONE_HEAD),
        ([], "open: no run is recorded"),
        ([*scores([150], []), {"head": "wise", "seed": 1}], "open: the two heads have no seed in common"),
        (
            [*scores([150], [290]), DIVERGED, {"head": "wise", "seed": 1, **RUNNING}],
            OPEN.format(
                "a run diverged",
                f"gap on small_patch (seed 5) diverged in epoch 3, {GOING_ON.format('wise', 1)}",
            ),
        ),
        (  # counted, its 299 right would change the verdict
            [*scores([150], [290]), {"head": "gap", "seed": 5, **RUNNING}],
            f"{SHOWN}; not counted: {GOING_ON.format('gap', 5)}",
        ),
        (
            [*scores([150], [290]), {"head": "gap", "seed": 5, "correct": (290, 50)}],
            f"{SHOWN}; no better than chance: gap on small_patch (seed 5)",
        ),
        (
            [*scores([150], [290]), {**DIVERGED, "head": "avg_fc"}, {"head": "gwap", "seed": 5, "correct": (50,)}],
            SHOWN,
        ),
        (
            [{"head": "gap", **RUNNING}, {"head": "wise", **RUNNING}],
            OPEN.format(
                "no run is complete",
                f"{GOING_ON.format('gap', 0)}, {GOING_ON.format('wise', 0)}",
            ),
        ),
        (
            [{"head": "gap", **RUNNING}, *scores([], [290])],
            f"{ONE_HEAD}; not counted: {GOING_ON.format('gap', 0)}",
        ),
    ],
)
def test_the_verdict_is_that_of_complete_runs_on_the_same_images_and_seeds(folders, runs, verdict):
    page = page_of(folders, *runs)
    assert page.verdict("small_patch") == page.words()["verdict_small_patch"]
    start, _, end = verdict.partition(" … ")
    assert page.verdict("small_patch").startswith(start)
    assert page.verdict("small_patch").endswith(end or start)


def test_runs_on_other_images_are_not_compared(folders):
    runs = page_of(folders, *scores([150], [290])).committed
    runs["run"] = [dataclasses.replace(run, data_fingerprint=run.head) for run in runs["run"]]
    assert results.verdict(runs, ["small_patch"]) == "open: the runs on small_patch have different images"


@pytest.mark.parametrize(
    ("conv", "said"),
    [
        (([150], [290]), "shown here ("),
        (
            ([290], [150]),
            "not shown here on every backbone: wise is better on small_patch, gap is better on small_conv (",
        ),
        (
            ([150], [151]),
            "not shown here on every backbone: wise is better on small_patch, no difference shown on small_conv (",
        ),
        # 0.031 by itself, and no smaller beside a comparison of which it is the weaker one
        (([150], [156]), "shown here ("),
    ],
)
def test_backbones_that_differ_are_named(folders, conv, said):
    page = page_of(folders, *scores([150], [290]), *scores(*conv, backbone="small_conv"))
    assert results.verdict(page.committed, ["small_patch", "small_conv"]).startswith(said)


def test_backbones_are_corrected_for_their_number(folders):
    page = page_of(folders, *scores([150], [156]), *scores([150], [156], backbone="small_conv"))
    said = results.verdict(page.committed, ["small_patch", "small_conv"])
    assert said.startswith("not shown here (")
    assert "corrected for the number of comparisons; the corrected p decides" in said


def test_runs_with_options_are_no_evidence_for_the_papers_heads(folders):
    other = scores([290], [150], options={"start": "uniform"})
    page = page_of(folders, *(run | {"seed": 7} for run in other), *scores([150], [290]), own=other)
    assert page.verdict("small_patch").startswith("shown here (")
    assert set(page.committed["options"]) == {""}
    assert set(page.own["options"]) == {'{"start": "uniform"}'}


def test_a_run_that_diverged_on_one_backbone_leaves_the_other_its_verdict(folders):
    diverged = {"head": "wise", "backbone": "small_conv", **records.diverged()}
    page = page_of(folders, *scores([150], [290]), *scores([150], [], backbone="small_conv"), diverged)
    assert page.verdict("small_patch").startswith("shown here")
    assert page.verdict("small_conv").startswith("open: a run diverged")
    both = results.verdict(page.committed, ["small_patch", "small_conv"])
    assert both.startswith("open: a run diverged")  # the claim is on every backbone


def test_a_claim_on_every_backbone_waits_for_all_of_them(folders):
    page = page_of(folders, *scores([150], [290]))
    on_three = ["small_patch", "small_conv", "Xception"]
    assert results.verdict(page.committed, on_three) == "open: no run on small_conv, Xception is recorded"
    short = scores([150], [290], scale="paper", backbone="Xception")
    assert page_of(folders, own=short).words()["verdict_paper"] == "open: no run is recorded"
    whole = [run | {"epochs": ws.STUDIES["mit_512"].recipe.epochs} for run in short]
    at_paper = page_of(folders, own=whole).words()["verdict_paper"]
    assert at_paper == "open: no run on ResNet50V2, DenseNet201 is recorded"


def test_runs_of_other_scales_and_studies_and_own_runs_decide_nothing(folders):
    others = [*scores([150], [290], scale="smoke"), *scores([150], [290], study="mit_224")]
    page = page_of(folders, *others, own=scores([150], [290]))
    assert page.verdict("small_patch") == "open: no run is recorded"
    assert page.words()["finding"] == "No record of a demo run is committed."


def test_the_finding_averages_complete_runs_and_names_the_others(folders):
    page = page_of(
        folders,
        *scores([150, 156], [290]),
        {"head": "gap", "seed": 5, **records.diverged((299, 299))},
        {"head": "wise", "seed": 5, "correct": (290, 50)},
        {"head": "gap", "backbone": "small_conv", **records.diverged(())},
        {"head": "wise", "backbone": "small_conv", **RUNNING},
    )
    assert page.words()["finding"] == (
        "Mean test top-1 on small_patch: gap 51.0% (2 seeds), wise 56.7% (2 seeds); "
        "not counted: gap on small_patch (seed 5) diverged in epoch 3; "
        "no better than chance: wise on small_patch (seed 5). "
        "Mean test top-1 on small_conv: no run is complete; "
        "not counted: gap on small_conv (seed 0) diverged in epoch 1, "
        "wise on small_conv (seed 0) running (2 of 20 epochs)."
    )


def test_words_about_the_demo_are_its_numbers(folders):
    demo = ws.STUDIES["mit_512"].demo
    words = page_of(folders).words()
    found = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", words["demo_data"])]
    assert found == [demo.train, demo.test, demo.classes]
    assert (words["demo_test"], words["demo_epochs"]) == (str(demo.test), str(demo.recipe.epochs))
    assert (words["test_images"], words["paper_epochs"]) == ("1,340", "130")


def test_the_table_of_runs_holds_their_numbers_and_the_csv_the_same(folders):
    page = page_of(folders, *scores([150], [290, 280]), {"backbone": "small_conv", "correct": (299, 123)})
    output = page.runs_table()
    head, *rows = table = cells(output)
    columns = ["backbone", "head", "seed", "top-1, final epoch", "top-1, best epoch", "epochs", "parameters"]
    assert [[row[head.index(column)] for column in columns] for row in rows] == [
        ["small_patch", "gap", "0", "50.0%", "50.0%", "2", "87,654"],
        ["small_patch", "wise", "0", "96.7%", "96.7%", "2", "87,654"],
        ["small_patch", "wise", "1", "93.3%", "93.3%", "2", "87,654"],
        ["small_conv", "wise", "0", "41.0%", "99.7%", "2", "87,654"],
    ]
    assert rows[0][head.index("95% interval")] == "44.4% to 55.6%"
    assert {row[head.index("chance")] for row in rows} == {"16.7%"}  # six classes
    assert {row[head.index("kind")] for row in rows} == {"demo: not the paper's data"}
    assert "demo: not the paper's data" in html.unescape(output.data.partition("</table>")[2])  # of all
    assert linked_csv(output) == ("mit_512.csv", table)


def test_a_page_of_nothing_but_diverged_runs_can_be_built(folders, shown):
    both = [{"head": head, **records.diverged((), step=1, loss=None)} for head in ("gap", "wise")]
    page = page_of(folders, *both, own=both)
    for part in (page.accuracy_figure, page.curves_figure, page.runs_table, page.own_runs_table):
        part()
    assert [alt.count("diverged in epoch 1") for _, alt in shown] == [2, 4]  # training and test
    head, *rows = cells(page.runs_table())
    assert [row[head.index("status")] for row in rows] == ["diverged in epoch 1, step 1"] * 2


def test_own_runs_are_shown_apart_and_marked(folders):
    page = page_of(folders, *scores([150], [290]), own=[{"head": "gap", "seed": 7, "correct": (50, 161)}])
    head, *rows = cells(page.own_runs_table())
    assert [row[head.index("seed")] for row in rows] == ["7"]
    assert linked_csv(page.own_runs_table())[0] == "mit_512-own.csv"
    assert "53.7%" in page.own_runs_table().data
    assert "Passed over" not in page.own_runs_table().data
    assert "53.7%" not in page.runs_table().data
    assert "<dd>2, committed</dd>" in page.runs_table().data
    assert "<dd>1, yours</dd>" in page.own_runs_table().data


def test_own_runs_are_found_where_runs_are_kept(tmp_path):
    records.keep(tmp_path / "runs", seed=5)  # WISESR_RUNS of the tests
    assert list(ResultsPage("mit_512", tmp_path / "results").own["seed"]) == [5]


@pytest.mark.parametrize("own", [[], [{"head": "gap", "seed": 7, "correct": (50, 161)}]])
def test_a_broken_own_record_is_named_and_keeps_nothing_from_being_built(folders, own):
    mine = folders[1]
    mine.mkdir()
    (mine / "<x>.json").write_text("{")
    page = page_of(folders, *scores([150], [290]), own=own)
    said = page.own_runs_table().data
    assert "Passed over: " in said
    assert "&lt;x&gt;.json&#x27; is no record of a run" in said
    assert ("53.7%" in said, "make demo" in said) == (bool(own), not own)
    assert len(cells(page.runs_table())) == 1 + 2


@pytest.fixture
def shown(monkeypatch):
    """(figure, description) of everything that is shown."""
    figures = []
    monkeypatch.setattr(plots_figures, "show", lambda drawn: figures.append((drawn, plots.alt_text(drawn))))
    return figures


def test_figures_show_the_committed_runs_and_say_what_data_they_are(folders, shown):
    page = page_of(
        folders,
        *scores([150], [290]),
        {"backbone": "small_conv", "correct": (50, 123)},
        own=[{"seed": 7, "correct": (50, 161)}],
    )
    page.accuracy_figure()
    page.curves_figure()
    for drawn, alt in shown:
        assert all("demo: not the paper's data" in ax.get_title() for ax in drawn.axes)
        for share in ("50.0%", "96.7%", "41.0%", "Chance is 16.7%."):
            assert share in alt
        assert "53.7%" not in alt
    assert [len(drawn.axes) for drawn, _ in shown] == [1, 4]
    # the runs and chance, and GAP's ceiling where it holds; in training and on the test set
    assert [len(ax.lines) for ax in shown[1][0].axes] == [2 + 2, 2 + 2, 1 + 1, 1 + 1]


def test_a_page_without_any_record_can_be_built(folders, shown):
    page = page_of(folders)
    for part in (page.accuracy_figure, page.curves_figure, page.runs_table, page.own_runs_table):
        part()
    assert shown == []


def test_a_table_is_escaped_and_whole():
    rows = pd.DataFrame({"<name>": ["a & b", "x" * 300], "value": [None, 'é, "1"']})
    output = markup.table(rows, 'a"b.csv')
    assert cells(output) == [["<name>", "value"], ["a & b", ""], ["x" * 300, 'é, "1"']]
    assert "<name>" not in output.data
    name, linked = linked_csv(output)
    assert name == "a&quot;b.csv"
    assert linked == cells(output)
    assert len(cells(markup.table(pd.DataFrame({"n": range(200)})))) == 201
    assert "download" not in markup.table(rows).data
    assert 'class="results-table"' in output.data
    assert cells(markup.table(rows, sentences=True)) == cells(output)
    sentences = markup.table(rows.rename(columns={rows.columns[0]: 'a "b"'}), sentences=True).data
    assert 'class="results-table with-sentences"' in sentences
    labels = re.findall(r'<td data-label="([^"]*)">', sentences)
    assert labels == ["a &quot;b&quot;", *rows.columns[1:]] * len(rows)


def test_the_picture_of_the_readme_is_drawn_from_the_committed_records():
    from PIL import Image

    script = load_script("picture")
    with Image.open(script.PICTURE) as image:
        assert image.text["Description"] == script.draw()[1]


def test_demo_means_are_over_the_complete_seeds_of_the_demo(folders):
    kept = scores([270, 279, 276], [], study="deeper_networks")
    others = [*scores([10], [], study="deeper_networks", scale="paper"), *scores([20], [], study="mit_512")]
    ended = {"study": "deeper_networks", "head": "wise", "seed": 7, **records.diverged((30, 30))}
    page_of(folders, *kept, *others, ended)
    shown = results.demo_means("deeper_networks", folders[0])
    mean, half = 275 / 300, 4.302653 * statistics.stdev([0.9, 0.93, 0.92]) / 3**0.5  # Student's t, two degrees
    assert cells(shown)[1:] == [["small_patch", "gap", "3", f"{mean:.1%} ({mean - half:.1%} to {mean + half:.1%})"]]
    assert "demo: not the paper" in shown.data
    assert results.demo_means("intel_224", folders[0]).data == f"<p>{results.NONE}</p>"
