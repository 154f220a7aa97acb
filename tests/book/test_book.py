"""The book: it builds without a warning, shows what was run, and an empty build fails."""

import re
import shutil
import subprocess
import sys

import pytest
from tests_support import load_script

import wisesr_helpers as ws
from wisesr_helpers import runs


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The book, built with one more run of the reader's own."""
    from tests_support import ROOT

    folder = tmp_path_factory.mktemp("book")
    committed = sorted((ROOT / "results").glob("mit_512--demo--*.json"))[0]
    record = runs.read_record(committed)
    record["outcome"]["parameters"]["seed"] = 77
    identity = re.sub(r"--s\d+$", "--s77", record["identity"])
    runs.write_record(folder / "runs" / identity, record["outcome"], record["execution"])
    command = [sys.executable, "-m", "jupyter_book", "build", str(ROOT), "--all", "-W", "-n", "--keep-going"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WISESR_RUNS", str(folder / "runs"))
        done = subprocess.run([*command, "--path-output", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build" / "html"


def page(built, name):
    return (built / f"{name}.html").read_text(encoding="utf-8")


def test_every_page_of_the_contents_is_there(built):
    assert load_script("check_book").problems(built) == []


def test_a_missing_or_empty_page_is_noticed(built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "html")
    (copy / "book/mit_512.html").unlink()
    (copy / "book/intro.html").write_text("<article>Nothing here.</article>")
    problems = load_script("check_book").problems(copy)
    assert len(problems) == 2
    assert "mit_512.html is missing" in problems[1]
    assert "intro.html holds 2 words" in problems[0]


def test_the_page_shows_published_and_own_numbers_apart(built):
    text = page(built, "book/mit_512")
    published, demo = text.split('id="what-the-demo-shows"')
    assert "0.7362" in published
    assert "0.7362" not in demo
    assert "demo: not the paper's data" in demo.replace("’", "'").replace("&#39;", "'").replace("&#x27;", "'")
    assert "mit_512--demo" in demo


def test_the_readers_own_run_is_marked(built):
    rows = re.findall(r"<tr>.*?</tr>", page(built, "book/mit_512"), re.DOTALL)
    own = [row for row in rows if "--s77" in row and "<td>yours</td>" in row]
    assert len(own) == 1
    assert not any("--s77" in row and "<td>committed</td>" in row for row in rows)


def test_figures_have_descriptions_made_from_the_data(built):
    text = page(built, "book/mit_512")
    alts = re.findall(r'<img alt="([^"]*)"', text)
    committed = ws.ResultsPage("mit_512").committed
    assert any(f"{value:.1%}" in alt for alt in alts for value in committed["top1"])
    assert all(len(alt) > 30 and not alt.endswith(".png") for alt in alts if "Figure" not in alt)


def test_colab_buttons_stand_on_notebooks_only(built):
    assert "colab.research.google.com" in page(built, "notebooks/mit_512")
    assert "colab.research.google.com/github" not in page(built, "book/mit_512")


def test_pages_load_no_script_from_elsewhere(built):
    for name in load_script("check_book").pages():
        assert re.findall(r'<(?:script|link rel="stylesheet")[^>]+(?:src|href)="https?://', page(built, name)) == []


@pytest.fixture(autouse=True)
def _results_of_the_project(monkeypatch, tmp_path):
    monkeypatch.setenv("WISESR_RUNS", str(tmp_path / "none"))
