"""The pages on claims and slips show what the ledger and the comparisons say."""

import re

import pandas as pd
import pytest
from _pages import claims

import wisesr_helpers as ws
from wisesr_helpers.studies import support
from wisesr_helpers.studies.claims import KINDS
from wisesr_helpers.studies.evidence import VERDICTS


@pytest.fixture(scope="module")
def ledger(root):
    return ws.claims(root / "results")


@pytest.fixture(scope="module")
def compared():
    return support.comparisons()


def test_comparisons_are_counted_by_what_they_show():
    rows = pd.DataFrame(
        {
            "head": ["a", "a", "a", "b"],
            "low": [0.1, 0.1, -0.1, -0.3],
            "high": [0.2, 0.2, 0.1, -0.1],
            "word": ["better", "no difference shown", "no difference shown", "worse"],
        }
    )
    assert claims.count_shown(rows, "head").to_numpy().tolist() == [["a", 3, 2, 0, 1, 0, 2], ["b", 1, 0, 1, 0, 1, 0]]


def test_the_prose_has_all_its_numbers(root, ledger, compared):
    words = claims.words(ledger, support.accuracies(), compared)
    page = (root / "book" / "claims.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\{glue:text\}`([^`]+)`", page))
    assert named <= set(words)
    assert words["wise_interval"] == "11 of 12"
    assert words["depthwise_interval"] == words["depthwise_better"] == "0 of 3"
    assert words["gwap_worse"] == "3 of 3"
    assert words["impossible"] == "24 of the 117"
    assert int(words["claims"]) == len(ledger)
    assert int(words["decided"]) >= 120


def test_tables_hold_the_ledgers_rows(ledger, compared):
    summary = claims.summary(ledger).data
    assert summary.count("<tr") == 1 + ledger["verdict"].nunique()
    assert sum(map(int, re.findall(r'<td data-label="claims">(\d+)<', summary))) == len(ledger)
    assert sum(map(int, re.findall(f"(?:{'|'.join(KINDS)}) (\\d+)", summary))) == len(ledger)
    assert claims.demo(ledger).data.count("<tr") == 1 + (ledger["source"] == "demo").sum()
    prose = claims.in_prose(ledger).data
    assert "paper, Section 2.4" in prose
    assert "“This constraint helps a lot" in prose
    assert "no test is defined" in prose
    assert re.search("<code>papermill notebooks/[^<]+</code>(?: … and [0-9]+ more)?</td>", prose)
    verdicts = re.findall(r'<td data-label="verdict">([^<]*)<', prose)
    assert verdicts == sorted(verdicts, key=VERDICTS.index)
    unsettled = claims.unsettled(compared).data
    assert "wise over gap, DenseNet121" in unsettled
    assert "8,557 (2.4×)" in unsettled
    assert "InceptionV3 over ResNet50, cifar10" in unsettled
    assert 'download="claims.csv"' in claims.everything(ledger).data
    linked = claims.data(support.accuracies(), compared).data
    assert "All 117 printed accuracies" in linked
    assert f"All {len(compared)} comparisons" in linked


def test_a_bare_number_says_what_it_is_and_what_the_claim_needs():
    assert "ratio 0.9244; the claim needs at most 1<" in claims.about("report.section-3.1.inception").data
    assert "growth of operations 0.0002%; the claim needs at most 0.2%<" in claims.about("section-5.cost").data


def test_the_figure_is_of_top_1_over_gap(compared, monkeypatch):
    shown = []
    monkeypatch.setattr(claims.plots, "show", shown.append, raising=False)
    claims.gains_figure(compared)
    text = claims.plots.alt_text(shown[0])
    assert text.count("(Table ") == 42
    assert "better: 21 of 42" in text
