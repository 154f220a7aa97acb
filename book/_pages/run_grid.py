"""The grid of the paper's runs: every printed top-1 beside GAP's, as a table that ``run_grid.js`` makes readable."""

import html

from IPython.display import HTML

from _pages import printed
from _pages.markup import script_data
from _pages.results import paper_runs
from wisesr_helpers import metrics
from wisesr_helpers.published import published
from wisesr_helpers.studies import support
from wisesr_helpers.studies.evidence import Model
from wisesr_helpers.studies.grid import PAPER_STUDIES, get_study

# State → its sign and what it means.
STATES = {
    "better": ("▲", "better than GAP, corrected for the number of comparisons"),
    "above": ("△", "above GAP by its interval alone"),
    "holds": ("○", "the interval of the gain holds 0"),
    "below": ("▽", "below GAP by its interval alone"),
    "worse": ("▼", "worse than GAP, corrected for the number of comparisons"),
    "gap": ("", "GAP itself: its top-1"),
    "chance": ("✕", "top-1 no better than chance"),
}


def runs(results=None, own=None):
    """The printed runs of the paper's tables, in their order: a list of dicts.

    Each has "table", "backbone", "head", "state" (of ``STATES``), "gain" (in points, 0 for GAP itself), "shown" (what
    its cell says), "title", "facts" (pairs of a name and a text) and "command".

    Args:
        results, own: Folders of records, as for :func:`_pages.results.paper_runs`.
    """
    paper = paper_runs(results, own)
    gains = {
        (row.where, row.backbone, row.head): row
        for row in printed.comparisons().itertuples()
        if (row.source, row.question, row.measure) == ("paper", support.OVER_GAP, "top-1")
    }
    found = printed.accuracies().query("source == 'paper' and measure == 'top-1'")
    return [_run(row, gains.get((row.where, row.backbone, row.head)), paper) for row in found.itertuples()]


def _run(row, gain, paper):
    study = get_study(row.study)
    guess = metrics.no_better_than_chance(row.correct, row.images, study.classes)
    state = "chance" if guess else _state(gain)
    shown = metrics.minus(gain.printed) if gain else f"{float(row.printed):.1%}"
    facts = {
        "Printed": f"top-1 {row.printed} of {row.images:,} images, 95% interval {row.low:.1%} to {row.high:.1%}; "
        f"chance is {1 / study.classes:.1%}",
        **({"Over GAP": f"{metrics.minus(gain.printed)} printed; {_difference(gain).in_words()}"} if gain else {}),
        "So it is": f"{gain.word} than GAP" if gain and gain.word != metrics.NO_DIFFERENCE else STATES[state][1],
        "Slips": " ".join(_slips(row.where, row.row)) or "none noted",
        "Here": _here(row, paper),
    }
    return {
        "table": row.where,
        "backbone": row.backbone,
        "head": row.head,
        "state": state,
        "gain": float(gain.printed) if gain else 0.0,
        "shown": f"{STATES[state][0]} {shown}".strip(),
        "title": f"{row.where}, {row.backbone} + {row.head}",
        "facts": list(facts.items()),
        "command": Model(row.study, row.backbone, row.head).command,
    }


def _state(gain):
    if gain is None:
        return "gap"
    if gain.word != metrics.NO_DIFFERENCE:
        return gain.word
    return "above" if gain.low > 0 else "below" if gain.high < 0 else "holds"


def _difference(gain):
    return metrics.Difference(gain.difference, gain.low, gain.high, gain.p, gain.p_corrected, gain.word)


def _slips(where, row):
    noted = published().query("source == 'paper' and slip != '' and where == @where and row == @row")
    return [f"{entry.column}: {entry.slip}" for entry in noted.itertuples()]


def _here(row, paper):
    """What runs of the model at paper scale give."""
    found = printed.evidence(row.study, paper).itertuples()
    return printed.here([run for run in found if (run.backbone, run.head) == (row.backbone, row.head)]) or "not re-run"


def grid(results=None, own=None):
    """The grid, a panel a table; without JavaScript its cells show gain and state, but not what lies behind."""
    found = runs(results, own)
    tables = dict.fromkeys(run["table"] for run in found)
    panels = "".join(_panel(table, found) for table in tables)
    first = found.index(max(found, key=lambda run: run["gain"]))
    kept = [{key: run[key] for key in ("title", "facts", "command")} for run in found]
    counts = {state: sum(run["state"] == state for run in found) for state in STATES}
    legend = "".join(
        f'<li><span class="{state}">{STATES[state][0] or "%"}</span> {STATES[state][1]} ({count})</li>'
        for state, count in counts.items()
        if count
    )
    return HTML(
        f'<div class="play run-grid"><ul class="legend">{legend}</ul><div class="panels">{panels}</div>'
        '<p class="help" hidden>Tap a cell, or move with the arrow keys.</p>'
        '<div class="readout" tabindex="0" role="region" aria-label="The chosen run" aria-live="polite" hidden></div>'
        "<noscript><p>What lies behind each cell needs JavaScript; "
        "the tables of the results at 224×224 and 512×512 have it, too.</p></noscript>"
        f"{script_data({'first': first, 'runs': kept})}</div>"
    )


def _panel(table, found):
    """One table of the paper: a row a head, a column a backbone."""
    here = {(run["head"], run["backbone"]): (k, run) for k, run in enumerate(found) if run["table"] == table}
    heads, backbones = (list(dict.fromkeys(names)) for names in zip(*here, strict=True))
    columns = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in backbones)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(head)}</th>{"".join(_cell(*here[head, name]) for name in backbones)}</tr>'
        for head in heads
    )
    return (
        f"<table><caption>{table}: {html.escape(PAPER_STUDIES[table].title)}</caption>"
        f"<thead><tr><td></td>{columns}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _cell(number, run):
    return f'<td class="{run["state"]}" data-run="{number}">{run["shown"]}</td>'
