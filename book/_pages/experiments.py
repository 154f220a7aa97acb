"""The project's own experiments on pages: for each question its answer, its figure and what was compared."""

import functools
import html
import re

import pandas as pd
from IPython.display import HTML
from matplotlib.ticker import PercentFormatter

from _pages import printed, provenance
from _pages.markup import table
from _pages.results import committed, draw_ceiling
from wisesr_helpers import plots
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.metrics import p_text, points
from wisesr_helpers.progress import how_many
from wisesr_helpers.studies.answers import Found, MissingError
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.studies.questions import MEASURED, QUESTIONS

CODE = ("wisesr_helpers/studies/questions.py", "wisesr_helpers/studies/answers.py", "wisesr_helpers/plots/evidence.py")
COMMAND = re.compile(r"make results|python scripts/measure\.py \w+")


@functools.cache
def found(name, results=None):
    """The ``Found`` of a question, from committed records."""
    return Found(name, committed(results), results and results / "measured")


def words(results=None):
    """Texts for the prose: how many questions are answered, what each asks, and its caption; name → text."""
    answered = sum(not found(name, results).open for name in QUESTIONS)
    return {
        "answered": f"{answered} of {len(QUESTIONS)} questions are answered",
        "untrained": _untrained(),
        **{f"asks_{name}": question.asks for name, question in QUESTIONS.items()},
        **{f"caption_{name}": caption(name, results) for name in QUESTIONS},
    }


def _untrained():
    """What Table 9 has of Xception with averaging, beside a guess."""
    rows = printed.accuracies().query("where == 'Table 9' and backbone == 'Xception' and measure == 'top-1'")
    row = rows.set_index("head").loc["gap"]
    guessed = row["images"] / get_study(row["study"]).classes
    return (
        f"In Table 9 Xception with gap has a top-1 of {row['printed']}, which is {row['correct']} of {row['images']:,} "
        f"images; guesses give {guessed:.0f}."
    )


def answer(name, results=None):
    """The answer to a question, as a cell's output: a sentence, and a list of the numbers behind it."""
    own = found(name, results)
    headline, *numbers = map(_coded, own.sentences)
    listed = f'<ul class="numbers">{"".join(f"<li>{each}</li>" for each in numbers)}</ul>' if numbers else ""
    return HTML(f'<p class="answer{" open" * own.open}">{headline}</p>{listed}')


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
    drawn, ax = plots.figure(4.8, 3.6)
    try:
        own.draw(ax)
    except MissingError:
        return None
    bottom, top = ax.get_ylim()
    if bottom > top:  # a row an arm or a comparison, from above
        drawn.set_figheight(0.9 + 0.36 * (bottom - top))
        ax.set_yticks(ax.get_yticks(), [_folded(label.get_text()) for label in ax.get_yticklabels()], fontsize=8)
    else:
        ax.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        if "top-1" in ax.get_ylabel():
            ax.yaxis.set_major_formatter(PercentFormatter(1))  # as the text has it
    if name in ("demos", "heads"):
        draw_ceiling(own.runs, ax, ax.axvline)
    return drawn


def _folded(title):
    """A long title on two lines."""
    mark = ": " if ": " in title else ", "
    return title.replace(mark, f"{mark.strip()}\n", 1) if len(title) > 24 else title


def caption(name, results=None):
    """What a question's figure shows, and of how many runs."""
    own, drawn = found(name, results), _drawn(name, results)
    if drawn is None:
        return "The figure comes with the records."
    what = plots.alt_text(drawn).partition(". ")[0]
    number = len(own.question.arms) * own.question.seeds
    there = sum(map(len, own.curves().values())) if name in MEASURED else len(own.runs)
    return f"{what[0].upper()}{what[1:]}. {there} of {number} runs. {DEMO_NOTE.capitalize()}."


def figure(name, results=None):
    """Show a question's figure; return what stands below it: what was compared, and where it comes from, folded."""
    own, drawn = found(name, results), _drawn(name, results)
    if drawn is None:
        arms = "; ".join(map(html.escape, own.question.arms))
        seeds, decides = how_many(own.question.seeds, "seed"), html.escape(own.question.decides)
        return HTML(f'<p class="slot">To come, {seeds} each: {arms}. What decides: {decides}</p>')
    plots.show(drawn)
    rows = comparisons(own)
    if name in MEASURED:
        return provenance.of_measured(name, [row for each in own.curves().values() for row in each], CODE)
    below = provenance.of_runs(own.runs, f"{name}.csv", source=CODE).data
    if len(rows):
        folded = table(rows, f"{name}-compared.csv", sentences=True).data
        below = f'<details class="provenance"><summary>{len(rows)} comparisons</summary>{folded}</details>{below}'
    return HTML(below)


def comparisons(own):
    """What was compared, a row a comparison; none while records are missing."""
    return pd.DataFrame(
        {
            "comparison": own.pair(title),
            "so it is": each.word,
            "points": points(each.difference, "+"),
            "95% interval": f"{points(each.low)} to {points(each.high)}",
            "p": p_text(each.p),
            "p, corrected": p_text(each.p_corrected),
            "why not shown": each.reason,
        }
        for title, each in ({} if own.open else own.differences).items()
    )
