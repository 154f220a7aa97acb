"""Where a figure or table comes from: one folded block under everything that is made from records."""

import functools
import html

import yaml
from IPython.display import HTML

from _pages.markup import csv_link
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.progress import duration
from wisesr_helpers.studies import report
from wisesr_helpers.studies.experiment import is_current
from wisesr_helpers.training.runs import project_root
from wisesr_helpers.versions import are_current

SUMMARY = "Where this comes from"
STALE = '<span class="stale">older code</span>'


def of_runs(runs, csv_name, data=None, source=()):
    """The block of what is drawn from runs.

    Args:
        runs: DataFrame as ``ws.load_runs`` returns it; empty: nothing is shown. A column "whose" says whose each is,
            "committed" or "yours"; without it, all are committed.
        csv_name: Name of the file with the data, which no other file of the page has.
        data: DataFrame behind the figure or table; None: :func:`report.results_table` of the runs.
        source: Paths of the code, relative to the project.
    """
    if runs.empty:
        return HTML("")
    whose = _distinct(runs["whose"]) if "whose" in runs else "committed"
    each = list(runs["run"])
    made = [run.execution for run in each]
    stale = sum(not is_current(run) for run in each)
    facts = {
        "scale": _distinct(DEMO_NOTE if run.scale == "demo" else run.scale for run in each),
        "data": _distinct(f"{run.dataset}, {run.train_images:,} + {run.test_images:,} images" for run in each),
        "runs": f"{len(runs)}, {whose}",
        "seeds": _distinct(sorted(runs["seed"])),
        "device": _distinct(f"{each['device']}, {each['threads']} threads, {each['machine']}" for each in made),
        "software": _distinct(map(_software, made)),
        "commit": _distinct(map(_commit, made)),
        "time": f"{duration(sum(sum(each['seconds']) for each in made))} of training in all",
    }
    if stale:
        facts["code"] = f"{stale} of {len(runs)} runs are of older code: the same commands may give other numbers now"
    data = report.results_table(runs) if data is None else data
    short = "; ".join([facts["scale"], _seeds(runs["seed"]), f"commit {facts['commit']}"])
    commands = [each["command"] for each in made]
    return _block(short, facts, commands, csv_link(data, csv_name, "The data as CSV"), source, bool(stale))


def of_notebook(name, made, csv="", source=(), scale=DEMO_NOTE):
    """The block of what is taken from a stored notebook.

    ``made`` is its metadata "wisesr": commit, minutes, versions; ``csv`` markup of a link to the data.
    """
    stale = not are_current(made.get("versions", {}))
    facts = {
        "scale": scale,
        "notebook": f"notebooks/{name}.ipynb, as it was executed",
        "commit": str(made.get("commit", "unknown"))[:10],
        "time": f"{made.get('minutes', 0):g} minutes for the notebook, its trainings not counted where they were kept",
    }
    if stale:
        facts["code"] = "the notebook was executed by older code"
    command = f"papermill notebooks/{name}.ipynb runs/{name}.ipynb"
    return _block(f"{facts['scale']}; stored notebook; commit {facts['commit']}", facts, [command], csv, source, stale)


def of_measured(name, rows, source=()):
    """The block of what ``scripts/measure.py`` measured: a list of dicts, each with its seed and its execution."""
    made = [row["execution"] for row in rows]
    facts = {
        "scale": DEMO_NOTE,
        "measured": f"results/measured/{name}.json",
        "device": _distinct(f"{each['device']}, {each['threads']} threads" for each in made),
        "commit": _distinct(map(_commit, made)),
    }
    short = f"{facts['scale']}; {_seeds(row['seed'] for row in rows)}; commit {facts['commit']}"
    return _block(short, facts, [f"python scripts/measure.py {name}"], "", source, stale=False)


def _block(short, facts, commands, csv, source, stale):
    rows = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(text))}</dd>" for key, text in facts.items())
    lines = html.escape("\n".join(dict.fromkeys(commands)))
    code = f"<dt>code</dt><dd>{', '.join(map(link, source))}</dd>" if source else ""
    return HTML(
        f'<details class="provenance"><summary>{SUMMARY}: {html.escape(short)}{" " + STALE if stale else ""}</summary>'
        f"<dl>{rows}{code}</dl><p>The same again:</p><pre>{lines}</pre>{csv}</details>"
    )


@functools.cache
def address():
    """The repository's public address; None until ``make address`` has set it."""
    url = yaml.safe_load((project_root() / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    return None if url.endswith("OWNER/REPOSITORY") else url


def link(path):
    """Markup of a path of the project: a link once the repository's address is set."""
    repository, shown = address(), f"<code>{html.escape(path)}</code>"
    return f'<a href="{repository}/blob/main/{path}">{shown}</a>' if repository else shown


def _distinct(values):
    return "; ".join(dict.fromkeys(map(str, values)))


def _software(execution):
    versions = execution["versions"]
    return f"Python {versions['python']}, Keras {versions['keras']} on {execution['backend']}"


def _commit(execution):
    if execution["commit"] is None:
        return "none: not run from a checkout"
    return execution["commit"][:10] + ("" if execution["clean"] else ", with uncommitted changes")


def _seeds(seeds):
    each = sorted(set(seeds))
    return f"seed {each[0]}" if len(each) == 1 else f"seeds {', '.join(map(str, each))}"
