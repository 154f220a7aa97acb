"""The status of the reproduction, for the first page: computed from the ledger, the slips and the records."""

from _pages import claims, printed
from wisesr_helpers.metrics import BETTER
from wisesr_helpers.published import number
from wisesr_helpers.studies.claims import slips
from wisesr_helpers.studies.grid import PAPER_STUDIES


def words():
    """Numbers for the prose: name → text."""
    ledger = claims.ledger()
    counts = ledger[ledger["kind"].isin(["count", "operation"]) & (ledger["source"] == "paper")]
    agree = counts["verdict"].isin(["exact", "agrees"])
    wise = claims.over_gap(printed.comparisons()).query("head == 'wise'")
    papers = [study.name for study in PAPER_STUDIES.values()]
    gains = {
        size: [number("Abstract", f"gain at {size} ({end})", "Top-1 accuracy gain") for end in ("low", "high")]
        for size in _GAINS
    }
    top1 = {head: number("Table 9", label, "Top-1 accuracy") for head, label in _XCEPTION.items()}
    return {
        "counted": f"{agree.sum()} of {len(counts)}",
        "slips": str(len(slips(ledger))),
        "better": f"{(wise['word'] == BETTER).sum()} of {len(wise)}",
        "rerun": printed.rerun(*papers),
        **{name: "{:g} to {:g}".format(*gains[size]) for size, name in _GAINS.items()},
        "xception_gap": f"{top1['gap']:.1%}",
        "xception_wise": f"{top1['wise']:.1%}",
    }


_GAINS = {"224×224": "gain_224", "512×512 on MIT Indoors Scenes": "gain_512"}
_XCEPTION = {"gap": "Xception+GAP", "wise": "Xception+Avg+Depthwise Conv+Constraints"}
