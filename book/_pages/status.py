"""The status of the reproduction, for the first page: computed from the ledger, the slips and the records."""

from _pages import claims, printed
from wisesr_helpers.metrics import BETTER
from wisesr_helpers.published import number
from wisesr_helpers.studies.claims import slips
from wisesr_helpers.studies.evidence import is_evidence
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.training.runs import load_runs, project_root


def words(results=None):
    """Numbers for the prose: name → text.

    Args:
        results: Folder with committed records; None: the project's.
    """
    ledger = claims.ledger()
    counts = ledger[ledger["kind"].isin(["count", "operation"]) & (ledger["source"] == "paper")]
    agree = counts["verdict"].isin(["exact", "agrees"])
    wise = claims.over_gap(printed.comparisons()).query("head == 'wise'")
    rows = {(study.name, *pair) for study in STUDIES.values() if not study.datasets for pair in study.rows}
    runs = load_runs(results or project_root() / "results")
    again = {(run.study, run.backbone, run.head) for run in runs["run"] if run.scale == "paper" and is_evidence(run)}
    top1 = {head: number("Table 9", label, "Top-1 accuracy") for head, label in _XCEPTION.items()}
    return {
        "counted": f"{agree.sum()} of {len(counts)}",
        "slips": str(len(slips(ledger))),
        "better": f"{(wise['word'] == BETTER).sum()} of {len(wise)}",
        "rerun": f"{len(rows & again)} of {len(rows)}",
        "xception_gap": f"{top1['gap']:.1%}",
        "xception_wise": f"{top1['wise']:.1%}",
    }


_XCEPTION = {"gap": "Xception+GAP", "wise": "Xception+Avg+Depthwise Conv+Constraints"}
