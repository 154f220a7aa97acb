"""Tables on pages: each scrolls by itself, is reached by keyboard and has a name; numbers stand at the right.

What is offered as CSV becomes a file, so that a page doesn't carry data that few readers want.
"""

import base64
import html
import pathlib
import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

PANDAS = re.compile(r"<div>\s*<style scoped>.*?</style>\s*(<table.*?</table>)", re.DOTALL)  # as notebooks show it
SHOWN = re.compile(r'<div class="(results-table[^"]*)">(<table.*?</table>)', re.DOTALL)
ROW = re.compile(r"<tr.*?</tr>", re.DOTALL)
CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)
CSV = re.compile(r'(?<=download=")([^"]+)" href="data:text/csv;base64,([^"]+)(?=")')
LONG = 14  # characters; a heading of more breaks into lines on a phone
# A table of so many columns, or of so many rows with sentences, takes the margin, too, where the theme then hides its
# list of contents.
COLUMNS, ROWS = 7, 25
NO_NUMBER = ("", "–", "nan", "learned")  # stand in columns of numbers, too
NUMBER = re.compile(r"(?=.*\d)(?:[-+−–±×()/.,%<\s\d]|e[-+]\d|\b(?:to|of|points)\b)+")  # "+5.6 (−0.2 to 11.3)"


class ShowTables(SphinxPostTransform):
    """Prepare the tables that cells show, and mark columns of numbers in those that are written in Markdown."""

    builders = ("html",)
    default_priority = 5

    def run(self, **_):
        self.files = {}
        for node in list(self.document.findall(nodes.raw)):
            markup = CSV.sub(self.as_file, prepared(node.astext()))
            if markup == node.astext():
                continue
            if ' many"' in markup:
                _cell_of(node)["classes"].append("full-width")
            node.replace_self(nodes.raw("", markup, format=node["format"]))
        for table in self.document.findall(nodes.table):
            rows = [list(row.findall(nodes.entry)) for body in table.findall(nodes.tbody) for row in body.children]
            for k in number_columns([[entry.astext() for entry in row] for row in rows]):
                for row in table.findall(nodes.row):
                    row.children[k]["classes"].append("number")

    def as_file(self, found):
        """Write what a link holds into a file; return the link to that."""
        name, page = html.unescape(found[1]), self.env.docname
        data = base64.b64decode(found[2])
        if self.files.setdefault(name, data) != data:
            logging.getLogger(__name__).warning("Two files of a page are named '%s'", name, location=page)
        file = pathlib.Path(self.app.outdir, "_data", page, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return f'{found[1]}" href="{relative_uri(self.app.builder.get_target_uri(page), f"_data/{page}/{name}")}'


def _cell_of(node):
    """The container of the cell that shows a node."""
    while "cell" not in node.get("classes", ()):
        node = node.parent
    return node


def prepared(markup):
    """HTML in which each table of results has a name and a place in the order of the Tab key."""
    return SHOWN.sub(_one, PANDAS.sub(r'<div class="results-table">\1', markup))


def _one(found):
    kind, table = found.groups()
    if _counts_rows(table):
        table = ROW.sub(lambda row: CELL.sub("", row[0], count=1), table)
    head, *rows = [[_text(cell) for *_, cell in CELL.findall(row)] for row in ROW.findall(table)]
    kind += " many" * (len(head) >= COLUMNS or ("with-sentences" in kind and len(rows) >= ROWS))
    numbers = number_columns(rows)

    def marked(row):
        columns = iter(range(len(head)))
        return CELL.sub(lambda cell: _cell(*cell.groups(), next(columns, None) in numbers), row[0])

    name = html.escape(f"Table of {', '.join(filter(None, head))}"[:120])
    table = ROW.sub(marked, re.sub(' border="1"| style="text-align: right;"', "", table))
    return f'<div class="{kind}" tabindex="0" role="region" aria-label="{name}">{table}'


def _counts_rows(table):
    """Whether the first column has no heading and only whole numbers: pandas' index, which names no row."""
    head, *firsts = [_text(CELL.search(row)[3]) for row in ROW.findall(table)]
    return not head and bool(firsts) and all(map(str.isdecimal, firsts))


def _cell(tag, attributes, content, number):
    """A cell; an empty one names no column, so it is no heading."""
    tag = tag if content.strip() else "td"
    kinds = ["number"] * number + ["long"] * (tag == "th" and len(_text(content)) > LONG)
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<{tag}{attributes}{kind}>{content}</{tag}>"


def number_columns(rows):
    """Which columns hold numbers, or ranges and shares of them, and nothing else. None if rows differ in length."""
    if len({len(row) for row in rows}) != 1:
        return set()
    columns = [[text for text in column if text not in NO_NUMBER] for column in zip(*rows, strict=True)]
    return {k for k, texts in enumerate(columns) if texts and all(map(NUMBER.fullmatch, texts))}


def _text(markup):
    return html.unescape(re.sub("<[^>]+>", "", markup)).strip()


def setup(app):
    app.add_post_transform(ShowTables)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
