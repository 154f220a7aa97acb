"""The project's own experiments on pages: for each question its answer, its figure and what was compared."""

import functools
import html
import re

import pandas as pd
from IPython.display import HTML

from _pages import provenance
from _pages.markup import csv_link, table
from _pages.results import draw_ceiling
from wisesr_helpers import plots
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.metrics import p_text, points
from wisesr_helpers.studies.answers import Found, MissingError
from wisesr_helpers.studies.questions import MEASURED, QUESTIONS
from wisesr_helpers.training.runs import load_runs, project_root

CODE = ("wisesr_helpers/studies/questions.py", "wisesr_helpers/studies/answers.py", "wisesr_helpers/plots/evidence.py")
COMMAND = re.compile(r"make results|python scripts/measure\.py \w+")


@functools.cache
def _records(folder):
    return load_runs(folder)


@functools.cache
def found(name, results=None):
    """The ``Found`` of a question, from committed records: each folder is read once for all pages."""
    results = results or project_root() / "results"
    return Found(name, _records(results), results / "measured")


def words(results=None):
    """Texts for the prose: every question's caption and what is answered; name → text."""
    done = [name for name in QUESTIONS if not found(name, results).open]
    lack = [name for name in QUESTIONS if name not in done]
    answered = f"{len(done)} of {len(QUESTIONS)} questions are answered"
    return {
        "answered": f"{answered}; open: {', '.join(lack)}" if lack else answered,
        **{f"caption_{name}": caption(name, results) for name in QUESTIONS},
    }


def answer(name, results=None):
    """A question with its answer, as a cell's output."""
    own = found(name, results)
    kind = "answer open" if own.open else "answer"
    return HTML(f'<p class="asked">{html.escape(own.question.asks)}</p><p class="{kind}">{_coded(own.answer)}</p>')


def said(name, *titles, results=None):
    """The answer in short, for other pages: its headline, or what comparisons with these titles show."""
    own = found(name, results)
    return own.compared(*titles) if titles and not own.open else own.headline


def _coded(text):
    """Escaped, with its commands as code."""
    return COMMAND.sub(lambda command: f"<code>{command[0]}</code>", html.escape(text))


@functools.cache
def _drawn(name, results=None):
    """The figure of a question; None while there is nothing to draw."""
    own = found(name, results)
    drawn, ax = plots.figure(5.6, 3.2)
    try:
        own.draw(ax)
    except MissingError:
        return None
    bottom, top = ax.get_ylim()
    if bottom > top:  # a row an arm or a comparison, from above
        drawn.set_figheight(0.9 + 0.3 * (bottom - top))
        ax.tick_params(axis="y", labelsize=8)
    if name in ("demos", "heads"):
        draw_ceiling(own.runs, ax, ax.axvline)
    return drawn


def caption(name, results=None):
    """What a question's figure shows, and of how many runs."""
    own, drawn = found(name, results), _drawn(name, results)
    if drawn is None:
        return "The figure comes with the records."
    what = re.split(r"[:.] ", plots.alt_text(drawn))[0]
    number = len(own.question.arms) * own.question.seeds
    there = sum(map(len, own.curves().values())) if name in MEASURED else len(own.runs)
    return f"{what}. {there} of {number} runs. {DEMO_NOTE.capitalize()}."


def figure(name, results=None):
    """Show a question's figure; return what stands below it: what was compared, and where it comes from, folded."""
    own, drawn = found(name, results), _drawn(name, results)
    if drawn is None:
        arms = "; ".join(map(html.escape, own.question.arms))
        seeds = f"{own.question.seeds} seed{'s' * (own.question.seeds > 1)} each"
        decides = html.escape(own.question.decides)
        return HTML(f'<p class="slot">To come, {seeds}: {arms}. What decides: {decides}</p>')
    plots.show(drawn)
    rows = comparisons(own)
    below = provenance.of_runs(own.runs, csv_name=f"{name}.csv", source=CODE).data
    if len(rows):
        folded = table(rows, f"{name}-compared.csv", compact=True).data
        below = f'<details class="provenance"><summary>{len(rows)} comparisons</summary>{folded}</details>{below}'
    return HTML(below)


def comparisons(own):
    """What was compared, a row a comparison; none while records are missing."""
    return pd.DataFrame(
        {
            "comparison": own.pair(title),
            "so it is": each.word,
            "points": points(each.difference, "+"),
            "95 % interval": f"{points(each.low)} to {points(each.high)}",
            "p": p_text(each.p),
            "p, corrected": p_text(each.p_corrected),
            "why not shown": each.reason,
        }
        for title, each in ({} if own.open else own.differences).items()
    )
