"""Print what make demo found, a line for each of its two runs, and where the page is that shows them."""

from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.studies import report
from wisesr_helpers.training.runs import RunParameters, as_table, default_runs_dir, read_run

PAGE = "_build/html/book/mit_512.html"
# On small_patch GAP sees which digits are in a scene but not where, so it has to guess between two mirrored classes.
CEILING = "; its ceiling is 50.0%, by construction: it can't tell mirrored scenes apart"


def found(runs_dir):
    """The lines on the two runs that a folder (a path) holds."""
    names = [RunParameters("mit_512", "demo", "small_patch", head, seed=0).identity for head in ("gap", "wise")]
    table = report.results_table(as_table([read_run(runs_dir / name) for name in names]))
    for row in table.to_dict("records"):
        result = f"top-1 {row['top-1, final epoch']} (95% interval {row['95% interval']})"
        yield f"{row['head'] + ':':6}{result if row['status'].startswith('complete') else row['status']}" + (
            CEILING if row["head"] == "gap" else ""
        )
    yield f"Both are on {PAGE} ({DEMO_NOTE}); their notebooks are in runs/."


if __name__ == "__main__":
    print(*found(default_runs_dir()), sep="\n")
