"""Every number that the paper and the course report print, and the one place where they are kept.

The numbers lie in ``published_data/<source>_<table or prose>.csv``, one printed value a line, exactly as
printed. Where a printed value disagrees with the tables or with arithmetic, ``slip`` says so in one
sentence; the value itself is never corrected.

Sources: ``paper`` is Rahimzadeh et al., "Wise-SrNet", arXiv 2104.12294, with its authors' README
(``where="README"``); ``report`` is the course report "Deeper Networks for Image Classification".
"""

import csv
import re
from collections import namedtuple
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

# Tables 5, 6, 7 and 9 name a run "<backbone>+<head>"; Table 1 names the head by its column.
_HEAD_OF_LABEL = {
    "GAP": "gap",
    "GAP+DP": "gap_dropout",
    "Depthwise Conv": "depthwise",
    "Depthwise Conv+Constraints": "depthwise_nonneg",
    "Avg+Depthwise Conv+Constraints": "wise",
    "Avg+Depthwise Conv+Constraints+DP": "wise_dropout",
    "GWAP": "gwap",
    "Avg+Dense": "avg_fc",
}
_HEAD_OF_COLUMN = {
    "Feature Extraction Base Model": "",
    "Classification Model with Global Average Pooling": "gap",
    "Classification Model with Depthwise Separable Convolution": "depthwise",
    "Classification Model with Average Pooling and Depthwise Separable Convolution": "wise",
}
_RUN_TABLES = ("Table 5", "Table 6", "Table 7", "Table 9")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMERAL = re.compile(r"(\d+|\d{1,3}(?:,\d{3})+)(\.\d+)?( million)?")


# One printed value; the fields are the columns of `published`.
Entry = namedtuple("Entry", "source where row column value unit number backbone head slip")


def _number(value, unit):
    """The float that `value` prints, NaN if it is text, a size such as 7×7, or no well-formed numeral."""
    if unit == "text":
        return float("nan")
    if value.lower() in _WORDS:
        return float(_WORDS.index(value.lower()))
    if match := re.fullmatch(r"(\d+)/(\d+)", value):
        return int(match[1]) / int(match[2])
    if match := _NUMERAL.fullmatch(value):
        return float(match[1].replace(",", "") + (match[2] or "")) * (1e6 if match[3] else 1)
    return float("nan")


def _backbone_and_head(source, where, row, column):
    """The backbone and head, by this package's names, of one entry of a table of runs; else two blanks."""
    if source == "paper" and where in _RUN_TABLES:
        backbone, label = row.split("+", 1)
        return backbone, _HEAD_OF_LABEL[label]
    if source == "paper" and where == "Table 1":
        return row, _HEAD_OF_COLUMN[column]
    return "", ""


@cache
def _entries():
    """All entries, a tuple of `Entry`, in the order of the file names and then of the lines."""
    entries = []
    folder = files(__package__) / "published_data"
    tables = [path for path in folder.iterdir() if path.name.endswith(".csv")]
    for path in sorted(tables, key=lambda path: path.name):
        source = path.name.split("_")[0]
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, strict=True):
                names = _backbone_and_head(source, line["where"], line["row"], line["column"])
                number = _number(line["value"], line["unit"])
                fields = (line[key] for key in ("where", "row", "column", "value", "unit"))
                entries.append(Entry(source, *fields, number, *names, line["slip"]))
    return tuple(entries)


def published():
    """Every published number as a new `pandas.DataFrame`, one printed value a row.

    Columns, all strings but `number`: `source` ("paper" or "report"), `where` ("Table 9", "Section 3.3"),
    `row` and `column` (the labels), `value` (as printed, without its unit), `unit`, `number` (float; NaN for
    text, sizes such as 7×7 and malformed numerals), `backbone` and `head` (this package's names, in Tables 1,
    5, 6, 7 and 9 of the paper, else ""), `slip` (what is wrong with the printed value, or "").
    Accuracies are fractions of 1 (unit "fraction"), gains in accuracy are percentage points.
    """
    import pandas as pd

    return pd.DataFrame(_entries(), columns=Entry._fields)


def _find(where, row, column, unit, source):
    """The one `Entry` with these labels; ValueError with the nearest labels otherwise."""
    found = _entries()
    wanted = {"source": source, "where": where, "row": row, "column": column}
    wanted |= {} if unit is None else {"unit": unit}
    for name, label in wanted.items():
        labels = list(dict.fromkeys(getattr(entry, name) for entry in found))
        if label not in labels:
            place = " / ".join(list(wanted.values())[: list(wanted).index(name)])
            nearest = ", ".join(repr(near) for near in get_close_matches(str(label), labels, 3, cutoff=0.0))
            within = f" in {place}" if place else ""
            raise ValueError(f"No published number has {name}={label!r}{within}; the nearest: {nearest}.")
        found = [entry for entry in found if getattr(entry, name) == label]
    if len(found) > 1:
        units = ", ".join(repr(entry.unit) for entry in found)
        place = f"{source} / {where} / {row} / {column}"
        raise ValueError(f"{len(found)} published numbers match {place}; give one of the units {units}.")
    return found[0]


def printed(where, row, column, unit=None, source="paper"):
    """The value printed at `where`, `row`, `column`, as a string and without its unit.

    `unit` is needed only where a cell prints several values (Table 1: "parameters", "GFLOPs").
    Raises ValueError, naming the nearest valid labels, unless exactly one entry matches.
    """
    return _find(where, row, column, unit, source).value


def number(where, row, column, unit=None, source="paper"):
    """The value printed at `where`, `row`, `column`, as a float in its `unit`; arguments as for `printed`.

    Raises ValueError where `printed` does, and where the printed value is no number.
    """
    entry = _find(where, row, column, unit, source)
    if entry.number != entry.number:  # NaN
        place = " / ".join((source, where, row, column))
        raise ValueError(f"{place} is printed as {entry.value!r}, which is not a number.")
    return entry.number
