"""What every page shows alike: paragraphs and tables as a cell's output, and their data as CSV."""

import base64
import html
import itertools
import json
import re

from IPython.display import HTML

from _pages.dark import in_the_dark


def ink(colour):
    """The colour of what is drawn in the page, as CSS: on a dark page what the filter of figures makes of it."""
    return f"light-dark({colour}, {in_the_dark(colour)})"


def words(text):
    """A paragraph as a cell's output."""
    return HTML(f"<p>{text}</p>")


def table(rows, csv_name=None, sentences=False, compact=False):
    """A DataFrame as a cell's output, which links its data as CSV if that has a name.

    On small screens it scrolls; a table with sentences shows its rows below each other instead, each cell with the name
    of its column. In a compact one cells break into lines where the screen is wide, so that it needs less width.
    """
    kind = "results-table" + " with-sentences" * sentences + " compact" * compact
    rows = rows.map(lambda value: "" if value is None else value)  # before version 3, pandas writes None
    markup = rows.to_html(index=False, border=0, na_rep="")
    if sentences:
        names = itertools.cycle(html.escape(name) for name in rows.columns)
        markup = re.sub("<td>", lambda _: f'<td data-label="{next(names)}">', markup)
    markup = f'<div class="{kind}">{markup}</div>'
    return HTML(markup + (csv_link(rows, csv_name, "This table as CSV") if csv_name else ""))


def radios(name, choices, chosen):
    """Markup of radio buttons, one a choice: value → words."""
    return "".join(
        f'<label><input type="radio" name="{name}" value="{value}"{" checked" * (value == chosen)}>{words}</label>'
        for value, words in choices.items()
    )


def script_data(data):
    """Markup that holds data for a script of the page."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def csv_link(rows, csv_name, text):
    """Markup of a link that holds a DataFrame as CSV."""
    data = base64.b64encode(rows.to_csv(index=False).encode()).decode()
    return f'<p><a download="{html.escape(csv_name)}" href="data:text/csv;base64,{data}">{text}</a></p>'
