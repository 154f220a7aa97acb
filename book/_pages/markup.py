"""What every page shows alike: paragraphs and tables as a cell's output, and their data as CSV."""

import base64
import html

from IPython.display import HTML


def words(text):
    """A paragraph as a cell's output."""
    return HTML(f"<p>{text}</p>")


def table(rows, csv_name=None, sentences=False):
    """A DataFrame as a cell's output: it scrolls on small screens, and links its data as CSV if that has a name."""
    kind = "results-table with-sentences" if sentences else "results-table"
    markup = f'<div class="{kind}">{rows.to_html(index=False, border=0, na_rep="")}</div>'
    return HTML(markup + (csv_link(rows, csv_name, "This table as CSV") if csv_name else ""))


def csv_link(rows, csv_name, text):
    """Markup of a link that holds a DataFrame as CSV."""
    data = base64.b64encode(rows.to_csv(index=False).encode()).decode()
    return f'<p><a download="{html.escape(csv_name)}" href="data:text/csv;base64,{data}">{text}</a></p>'
