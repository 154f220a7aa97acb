"""What the pages on claims and slips show: the ledger, and what the printed accuracies can support."""

import functools
import re

import pandas as pd
from IPython.display import HTML

import wisesr_helpers as ws
from _pages.markup import csv_link, table
from wisesr_helpers import metrics, plots
from wisesr_helpers.metrics import BETTER, NO_DIFFERENCE, WORSE
from wisesr_helpers.studies import support
from wisesr_helpers.studies.claims import KINDS
from wisesr_helpers.studies.evidence import NOT_RUN, OPEN, VERDICTS

SETTLED = "found, or what would settle it"


@functools.cache
def ledger():
    """The ledger, with the records of the project and of whoever builds the book: computed once for all pages."""
    return ws.claims()


def about(*beginnings):
    """The claims whose names begin so, with their verdicts, as a cell's output."""
    rows = ledger()
    rows = rows[rows["id"].str.startswith(beginnings)]
    return _with_verdicts(rows, rows["claim"])


def _with_verdicts(rows, claims):
    """Rows of the ledger as a table, their claims in these words, with commands set as code."""
    shown = {
        "where": rows["source"] + ", " + rows["where"],
        "claim": claims,
        "verdict": rows["verdict"],
        SETTLED: [_settled(row) for row in rows.itertuples()],
    }
    markup = table(pd.DataFrame(shown), sentences=True).data
    return HTML(re.sub(r"(?<=>)papermill .+?(?= … |</td>)", r"<code>\g<0></code>", markup))


def _settled(row):
    """What was found for a claim, in words; else the first of the commands that would settle it, and how many more."""
    if row.ours:
        test, unit = row.test.partition(":")[0], "%" * row.test.startswith("growth")
        bare = row.tolerance and re.fullmatch(r"[\d.]+", row.ours)
        return f"{test} {row.ours}{unit}; the claim needs {row.tolerance}{unit}" if bare else row.ours
    first, *others = row.command.split(" && ")
    return (first or "no test is defined") + (f" … and {len(others)} more" if others else "")


def over_gap(compared):
    """The comparisons of top-1 with GAP."""
    return compared[(compared["question"] == support.OVER_GAP) & (compared["measure"] == "top-1")]


def steps(compared):
    """The comparisons of top-1 with the head that each builds on, with both heads in one column."""
    rows = compared[(compared["question"] == support.STEPS) & (compared["measure"] == "top-1")]
    return rows.assign(step=rows["head"] + " over " + rows["other_head"])


def count_shown(rows, by):
    """What comparisons show, counted by a column: the 95% interval alone, and the word with Holm's correction."""
    counted = []
    for name, group in rows.groupby(by, sort=False):
        row = {by: name, "pairs": len(group)}
        row |= {"interval above 0": int((group["low"] > 0).sum()), "interval below 0": int((group["high"] < 0).sum())}
        row |= {word: int((group["word"] == word).sum()) for word in (BETTER, WORSE, NO_DIFFERENCE)}
        counted.append(row)
    return pd.DataFrame(counted)


def words(ledger, printed, compared):
    """Numbers for the prose: name → text."""
    idle = ledger["verdict"].isin([OPEN, NOT_RUN]) | ledger["scale"].isin(["demo", "paper"])
    own_settings = ledger["kind"] == "setting"
    shown = count_shown(over_gap(compared), "head").set_index("head")
    texts = {
        "claims": str(len(ledger)),
        "decided": str(int((~idle & ~own_settings).sum())),
        "open": str(int((ledger["verdict"] == OPEN).sum())),
        "impossible": f"{(~printed['possible']).sum()} of the {len(printed)}",
        "ours": str(int((ledger["source"] == "demo").sum())),
        "paired": f"{_depends(over_gap(compared))} of {len(over_gap(compared))}",
        "spread": f"{100 * support.SPREAD:g} point",
    }
    for head, row in shown.iterrows():
        texts[f"{head}_interval"] = f"{row['interval above 0']} of {row['pairs']}"
        texts[f"{head}_better"] = f"{row['better']} of {row['pairs']}"
        texts[f"{head}_worse"] = f"{row['worse']} of {row['pairs']}"
    by_step = count_shown(steps(compared), by="step").set_index("step")
    for step, row in by_step.iterrows():
        texts[step.replace(" ", "_")] = f"{row['better']} of {row['pairs']}"
    return texts


def _depends(rows):
    """How many words would be another one if the models' mistakes coincided as far, or as little, as they can."""
    return (rows["word_if_paired_best"] != rows["word_if_paired_worst"]).sum()


def summary(ledger):
    """How many claims have which verdict, all of them and of each kind."""
    rows = []
    for verdict in VERDICTS:
        kinds = ledger[ledger["verdict"] == verdict]["kind"].value_counts()
        if len(kinds):
            rows.append((verdict, kinds.sum(), ", ".join(f"{kind} {kinds[kind]}" for kind in KINDS if kind in kinds)))
    return table(pd.DataFrame(rows, columns=["verdict", "claims", "of these"]), sentences=True)


def gains_figure(compared):
    """Every printed gain over GAP, grouped by verdict."""
    drawn, ax = plots.figure(4.5, 9.4)
    plots.gains(over_gap(compared), ax)
    plots.show(drawn)


def data(printed, compared):
    """Links to the interval of every printed accuracy, and to every comparison with what pairing could change."""
    return HTML(
        csv_link(printed, "accuracies.csv", f"All {len(printed)} printed accuracies with their intervals as CSV")
        + csv_link(compared, "comparisons.csv", f"All {len(compared)} comparisons as CSV")
    )


def counted(rows, by):
    """How many comparisons show what."""
    return table(count_shown(rows, by))


def unsettled(compared):
    """Comparisons of top-1 that show no difference, with what would settle them."""
    rows = compared[(compared["images_needed"] > 0) & (compared["measure"] == "top-1")].sort_values("images_needed")
    each = list(rows.itertuples())
    ends = rows[["low", "high"]].map(metrics.points)
    shown = pd.DataFrame(
        {
            "where": rows["where"],
            "comparison": [_pair(row) for row in each],
            "points": [metrics.points(row.difference, "+") for row in each],
            "95% interval": ends["low"] + " to " + ends["high"],
            "images needed": [f"{row.images_needed:,} ({_times(row.images_needed / row.images)})" for row in each],
            "or runs": rows["seeds_needed"].map("{:,}".format),
        }
    )
    return table(shown, "unsettled.csv", sentences=True)


def _times(ratio):
    return f"{ratio:,.1f}×" if ratio < 10 else f"{ratio:,.0f}×"


def _pair(row):
    """A comparison in words: of heads on a backbone, or of networks on a dataset."""
    if row.backbone == row.other_backbone:
        return f"{row.head} over {row.other_head}, {row.backbone}"
    return f"{row.backbone} over {row.other_backbone}, {row.dataset}"


def in_prose(ledger):
    """Comparisons and qualitative claims with the words of the sources, and what became of them, by verdict."""
    rows = ledger[(ledger["quote"] != "") & ledger["kind"].isin(["comparison", "qualitative"])]
    rows = rows.sort_values("verdict", key=lambda words: words.map(VERDICTS.index), kind="stable")
    return _with_verdicts(rows, rows["claim"] + " “" + rows["quote"] + "”")


def demo(ledger):
    """What the embedded scenes show."""
    rows = ledger[ledger["source"] == "demo"]
    shown = rows[["where", "verdict", "seeds", "ours", "claim"]]
    return table(shown.rename(columns={"ours": "found"}), sentences=True)


def everything(ledger):
    """A link to the whole ledger."""
    return HTML(csv_link(ledger, "claims.csv", f"All {len(ledger)} claims as CSV"))
