"""The ledger: every claim of the paper and the course report, what it was tested with, and what came of it.

Claims in table cells, and comparisons of printed accuracies, are made from the printed numbers. Claims in prose, each
with its quote, and what the embedded scenes show are written down in ``claims.csv``. Our values and the verdicts are
always computed. ``python -m wisesr_helpers.studies.claims --help`` says how to read the ledger in a terminal.
"""

import argparse
import math
import pathlib
import re
import sys
from decimal import Decimal

import pandas as pd

from wisesr_helpers.metrics import unpaired_comparison
from wisesr_helpers.published import published
from wisesr_helpers.studies import claim_tests, counted, support
from wisesr_helpers.studies.claim_tests import decimal
from wisesr_helpers.studies.evidence import AGREES, DISAGREES, EXACT, VERDICTS, Evidence, Finding, Model
from wisesr_helpers.training.runs import default_runs_dir, load_runs, project_root

KINDS = ("count", "operation", "arithmetic", "dataset", "setting", "accuracy", "comparison", "qualitative")
COLUMNS = "id source where kind claim quote published test tolerance ours scale seeds verdict command".split()
WRITTEN = pathlib.Path(__file__).with_name("claims.csv")

# Units of ``published()`` that are shown otherwise.
UNITS = dict.fromkeys(("text", "number", "fraction", "count"), "") | {"percent": "%", "percentage points": "points"}

# Rows of Tables 3, 4 and 8 → what the test "setting" calls them; their columns → the study.
SETTINGS = {
    "Horizontal Flip": "horizontal_flip",
    "Vertical Flip": "vertical_flip",
    "Zoom": "zoom_range %",
    "Rotation": "rotation_range",
    "Width Shift": "width_shift_range %",
    "Height Shift": "height_shift_range %",
    "Channel Shift": "channel_shift_range",
    "Brightness Change (low)": "brightness_range 0",
    "Brightness Change (high)": "brightness_range 1",
    "Preprocessing": "preprocessing",
    "Batch Size": "batch_size",
    "Image Size": "image_size",
    "Optimizer": "optimizer",
    "Initial Learning rate": "learning_rate",
    "Learning rate decay": "decay",
    "Epochs": "epochs",
    "Transfer Learning": "transfer",
    "Base Model Weight Initializer": "weights",
}
STUDIES_OF_COLUMNS = {
    "Range / Usage": "mit_224",
    "Sub-ImageNet": "sub_imagenet_224",
    "MIT Indoors Scenes": "mit_224",
    "Intel Image Classification": "intel_224",
    "MIT Indoors Scene": "mit_512",
}


def claims(*folders):
    """The ledger, a row per claim.

    It takes seconds and no Keras: counts of networks are read from a file, which tests compare with networks built anew
    (:mod:`wisesr_helpers.studies.counted`).

    Args:
        *folders: With records of runs; default: the project's ``results``, then the folder of one's own runs.

    Returns:
        DataFrame of text but for "seeds": "id"; "source" ("paper", "report", or "demo": the embedded scenes); "where";
        "kind" (of ``KINDS``); "claim", one sentence; "quote", where the claim is in prose; "published" (the printed
        value, or the difference of two); "test" and "tolerance", by which it is decided; "ours" (our value, or what
        the test found); "scale" ("paper" or "demo", of runs; "printed", "counted", or ""); "seeds" (trainings of each
        model); "verdict" (of ``VERDICTS``); "command" (what would settle a claim that is open, or a demo).

        "exact" is the printed value itself, "agrees" is within the tolerance: "rounding" is half a unit of the last
        printed digit. A setting is exact if the project's recipe has it, which says nothing of what the authors did; a
        dataset's size, if the paper gives it alike in two places. Accuracies of photographs get a verdict from complete
        runs of today's code by the paper's recipe only: "reproduced" is a mean final accuracy within the tolerance,
        half the 95% interval of a difference of two such accuracies. Comparisons are judged by such runs, and without
        them by the printed accuracies (:mod:`wisesr_helpers.studies.support`).
    """
    if not folders:
        folders = ((project_root() or pathlib.Path()) / "results", default_runs_dir())
    return ledger(published(), written(), counted.stored(), load_runs(*folders, skipped=[]))


def written():
    """The claims that are written down: a DataFrame of text, as ``claims.csv`` has it."""
    return pd.read_csv(WRITTEN, dtype=str, keep_default_na=False)


def ledger(numbers, prose, counts, runs):
    """:func:`claims` of any printed numbers, written claims, counts and records, all of them DataFrames."""
    evidence = Evidence(numbers, counts, runs)
    cells = numbers[numbers["where"].str.fullmatch(r"Table \d") & (numbers["unit"] != "fraction")]
    compared = evidence.compared[evidence.compared["measure"] == "top-1"]
    rows = [
        *(_cell(evidence, entry) for entry in cells.itertuples()),
        *(_accuracy(evidence, row) for row in evidence.printed.itertuples()),
        *(_comparison(evidence, row) for row in compared.itertuples()),
        *(_written(evidence, row) for row in prose.itertuples()),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _cell(evidence, entry):
    """The row of a table's cell that is no accuracy."""
    tolerance = "rounding"
    if entry.backbone:
        kind, what = ("operation", "GFLOPs") if entry.unit == "GFLOPs" else ("count", "parameters")
        claim = f"{entry.backbone} with {entry.head or 'no head'} has {entry.value} {what}."
        test = f"{what}: {entry.where}; {entry.backbone}; {entry.head}"
    elif entry.where == "Table 2":
        kind, claim = "dataset", f"{entry.row} has {entry.value} {entry.column.lower().removeprefix('number of ')}."
        test = f"cell: Section 3.1; {entry.row.removesuffix(' Challenge')}; {entry.column}"
    else:
        kind, claim = "setting", f"{entry.row} is {_printed(entry)} ({entry.column})."
        if entry.row in SETTINGS:
            test = f"setting: {STUDIES_OF_COLUMNS[entry.column]}; {SETTINGS[entry.row]}"
        else:  # an initialiser, which the other table gives too
            other = {"Table 4": "Table 8", "Table 8": "Table 4"}[entry.where]
            column = {"Table 8": "MIT Indoors Scene", "Table 4": "MIT Indoors Scenes"}[other]
            test = f"cell: {other}; {entry.row}; {column}"
    name = _slug(entry.where, entry.row, entry.column, entry.unit if kind == "operation" else "")
    found = run(evidence, test, entry, tolerance)
    return _row(found, name, entry.source, entry.where, kind, claim, "", _printed(entry), test, tolerance)


def _accuracy(evidence, row):
    """The row of a printed accuracy."""
    at_most = unpaired_comparison(row.correct, row.images, row.correct, row.images).high
    model = Model(row.study, row.backbone, row.head, row.dataset)
    found = claim_tests.accuracy(evidence, model, row.measure, float(row.printed), at_most)
    name = _slug("report" if row.source == "report" else "", row.where, row.row, row.measure)
    claim = f"{row.row} reaches a {row.column.lower()} of {row.printed} on {row.images:,} test images."
    test = f"accuracy of runs: {row.dataset or row.study}; {row.backbone}; {row.head}; {row.measure}"
    return _row(found, name, row.source, row.where, "accuracy", claim, "", row.printed, test, f"±{at_most:.4f}")


def _comparison(evidence, row):
    """The row of two printed accuracies; the claim is that the higher one is."""
    first, second = (row.backbone, row.head), (row.other_backbone, row.other_head)
    first, second = (second, first) if row.difference < 0 else (first, second)
    words = "a higher top-1 than" if row.difference else "the same top-1 as"
    claim = f"{' with '.join(first)} has {words} {' with '.join(second)}"
    if row.source == "report":
        test = f"{'best network' if row.difference else 'no difference'}: {first[0]}; {second[0]}; {row.dataset}"
        claim, name = f"{claim} on {row.dataset}.", _slug("report", row.where, row.dataset, first[0], "over", second[0])
    else:
        test = f"better: {row.where}; {first[1]}; {second[1]}; {row.backbone}"
        claim, name = f"{claim}.", _slug(row.where, row.backbone, first[1], "over", second[1])
    points = f"{row.printed.replace('-', '+')} points"
    return _row(run(evidence, test), name, row.source, row.where, "comparison", claim, "", points, test, "")


def _written(evidence, row):
    """The row of a claim that is written down."""
    place = row.where if row.source == "paper" else f"{row.source} {row.where}"
    entry = evidence.cell(place, row.row, row.column) if row.row else None
    tolerance = row.tolerance or ("rounding" if entry else "")
    found = run(evidence, row.test, entry, tolerance)
    shown = _printed(entry) if entry else ""
    return _row(found, row.id, row.source, row.where, row.kind, row.claim, row.quote, shown, row.test, tolerance)


def _row(found, *fields):
    """A row of the ledger: its fields up to the tolerance, then the finding."""
    result = (found.ours, found.scale, found.seeds, found.verdict, found.command)
    return dict(zip(COLUMNS, (*fields, *result), strict=True))


def _printed(entry):
    """A printed value with its unit."""
    return f"{entry.value} {UNITS.get(entry.unit, entry.unit)}".strip()


def _slug(*words):
    return ".".join(re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-") for word in words if word)


def run(evidence, test, entry=None, tolerance=""):
    """The ``Finding`` of a test as it is written: "gain: Table 5; Xception; wise; gap"; an empty one was not run."""
    name, _, arguments = test.partition(": ")
    arguments = arguments.split("; ")
    if not name:
        return Finding()
    if name in claim_tests.JUDGEMENTS:
        return claim_tests.JUDGEMENTS[name](evidence, *arguments)
    if name in claim_tests.COMPARISONS:
        return claim_tests.compare(evidence, name, *arguments)
    values = claim_tests.VALUES | claim_tests.COUNTS
    if name not in values:
        valid = ", ".join(sorted({*values, *claim_tests.JUDGEMENTS, *claim_tests.COMPARISONS}))
        raise ValueError(f"There is no test '{name}'. Valid: {valid}.")
    value = values[name](evidence, *arguments)
    scale = "counted" if name in claim_tests.COUNTS else "" if name == "setting" else "printed"
    return Finding(_in_words(value), value_verdict(value, entry, tolerance), scale)


def _in_words(value):
    """A value as text: whole numbers with commas, others with four decimals at most; sizes with ×."""
    if isinstance(value, str):
        return re.sub(r"(?<=\d)x(?=\d)", "×", value)
    return f"{value:,.0f}" if value == value.to_integral() else f"{value:,.4f}".rstrip("0")


def value_verdict(value, entry, tolerance):
    """Our value beside the printed one: exact, agrees or disagrees.

    Args:
        value: ``Decimal`` or text.
        entry: The printed number, a row of ``published()``; None if the claim has none.
        tolerance: "rounding" (half a unit of the last printed digit), "rounded down" or "rounded up" (within a whole
            unit), "upper bound" (ours is below the printed value), or "at most" and a number, without an entry.
    """
    if entry is None:
        return AGREES if value <= Decimal(tolerance.removeprefix("at most ")) else DISAGREES
    if isinstance(value, str):
        return EXACT if _in_words(value) == _in_words(entry.value) else DISAGREES
    if math.isnan(entry.number):
        return DISAGREES
    unit = Decimal(1_000_000) if entry.value.endswith(" million") else Decimal(1)
    unit /= 10 ** len(entry.value.partition(".")[2].split(" ")[0])
    over = value - decimal(entry.number)
    within = {
        "rounding": abs(over) <= unit / 2,
        "rounded down": 0 <= over < unit,
        "rounded up": -unit < over <= 0,
        "upper bound": over < 0,
    }[tolerance]
    return EXACT if over == 0 and within else AGREES if within else DISAGREES


def slips(table=None):
    """Where a source contradicts itself, its own numbers, arithmetic, or the work that it cites: text, a row a slip.

    "should be" is computed, and empty where the slip is no value. ``table`` is the ledger, as :func:`claims` returns
    it.
    """
    numbers, table = published(), (claims() if table is None else table).set_index("id")
    disagreeing = table[table["verdict"] == DISAGREES]
    should_be = {}
    for row in written().itertuples():
        if row.id in disagreeing.index:
            should_be[row.source, row.where, row.row, row.column] = disagreeing["ours"][row.id]
    for row in support.accuracies(numbers).query("not possible").itertuples():
        near = [f"{count / row.images:.4f}" for count in support.neighbours(row.printed, row.images)]
        should_be[row.source, row.where, row.row, row.column] = " or ".join(near)
    found = [
        (entry.source, entry.where, entry.row, _printed(entry), should_be.get(tuple(entry[:4]), ""), entry.slip)
        for entry in numbers.itertuples(index=False)
        if entry.slip
    ]
    unprinted = disagreeing[disagreeing["published"] == ""]
    for row in unprinted.itertuples():
        why = f"{row.test.split(':')[0].capitalize()}: {row.ours}; the claim needs {row.tolerance}."
        found.append((row.source, row.where, row.claim, row.quote, "", why))
    return pd.DataFrame(found, columns=["source", "where", "about", "printed", "should be", "why"])


def main(arguments=None):
    """``python -m wisesr_helpers.studies.claims``: the ledger, or what is asked for of it, in a terminal or as CSV."""
    parser = argparse.ArgumentParser("python -m wisesr_helpers.studies.claims", description="The ledger of claims.")
    parser.add_argument("--source", choices=("paper", "report", "demo"))
    parser.add_argument("--where", metavar="TEXT", help='a place, or how it begins: "Table 5", "Section 2"')
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--verdict", choices=VERDICTS)
    parser.add_argument("--slips", action="store_true", help="the slips instead of the ledger")
    parser.add_argument("--csv", metavar="FILE", help="write the rows there instead of showing them")
    parser.add_argument("--recount", action="store_true", help="count every network anew first and store the counts")
    options = parser.parse_args(arguments)
    if options.recount:
        counted.recount().to_csv(counted.PATH, index=False, lineterminator="\n")
    table = slips() if options.slips else claims()
    for column in ("source", "where", "kind", "verdict"):
        if (wanted := getattr(options, column)) and column in table:
            table = table[table[column].str.startswith(wanted)]
    if table.empty:
        print("No claim is as asked for. Leave out a filter.", file=sys.stderr)
        return 1
    if options.csv:
        table.to_csv(options.csv, index=False, lineterminator="\n")
        return 0
    for row in table.to_dict("records"):
        print(*(f"{name}: {value}" for name, value in row.items() if value not in ("", 0)), sep="\n", end="\n\n")
    if not options.slips:
        counts = (f"{count} {verdict}" for verdict, count in table["verdict"].value_counts().items())
        print(f"{len(table)} claims:", *counts, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
