"""What a page of results shows: everything on it is computed from published tables and records."""

import base64
import html
import pathlib

from wisesr_helpers import plots, report
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.runs import default_runs_dir, load_runs, project_root
from wisesr_helpers.studies import DEMO_NOTE, get_study


class ResultsPage:
    """The computed parts of a study's page.

    Args:
        study: Name of a study.
        results: Folder with committed records; None: the project's.
        own: Folder with the runs of whoever builds the book; None: the default one.
    """

    def __init__(self, study, results=None, own=None):
        self.study = get_study(study)
        results = results or (project_root() or pathlib.Path()) / "results"
        self.committed = self._demo_runs(load_runs(results))
        self.own = self._demo_runs(load_runs(own or default_runs_dir()))

    def _demo_runs(self, runs):
        chosen = runs[(runs["study"] == self.study.name) & (runs["scale"] == "demo")]
        return chosen.sort_values(["backbone", "head", "seed"], ascending=[False, True, True])

    def words(self):
        """Numbers for the prose: name → text."""
        study, demo = self.study, self.study.demo
        gains = [f"{gain:.2f} ({backbone})" for backbone, gain in report.published_gains(study.name).items()]
        return {
            "gains": " and ".join([", ".join(gains[:-1]), gains[-1]]) + " points",
            "test_images": f"{study.test_images:,}",
            "demo_data": f"{demo.train:,} to train on, {demo.test:,} to test on, in {demo.classes} classes",
            "demo_test": f"{demo.test:,}",
            "demo_epochs": str(demo.recipe.epochs),
            "paper_epochs": str(study.recipe.epochs),
            "finding": " ".join(self._finding(backbone) for backbone in self.committed["backbone"].unique())
            or "No record of a demo run is committed.",
            "verdict_paper": "not tested: no paper-scale run is recorded",
            "verdict_patch": self.verdict("small_patch"),
            "verdict_conv": self.verdict("small_conv"),
        }

    def _finding(self, backbone):
        runs = self.committed[self.committed["backbone"] == backbone]
        parts = []
        for head, group in runs.groupby("head"):
            seeds = "1 seed" if len(group) == 1 else f"{len(group)} seeds"
            parts.append(f"{head} {group['top1'].mean():.1%} ({seeds})")
        return f"Mean test top-1 on {backbone}: " + ", ".join(parts) + "."

    def verdict(self, backbone):
        """Whether "wise" ends above "gap" on a backbone, from committed demo runs.

        Supported or contradicted only if the 95 % intervals of all seeds of one head lie above those of
        all seeds of the other.
        """
        runs = self.committed[self.committed["backbone"] == backbone]
        spans = {}
        for head, group in runs.groupby("head"):
            intervals = [wilson_interval(row.correct, row.images) for row in group.itertuples()]
            spans[head] = (min(low for low, _ in intervals), max(high for _, high in intervals))
        if not {"gap", "wise"} <= set(spans):
            return "not tested: no run is recorded"
        seeds = min(len(runs[runs["head"] == head]) for head in ("gap", "wise"))
        counted = f" ({seeds} {'seed' if seeds == 1 else 'seeds'} a head)"
        if spans["wise"][0] > spans["gap"][1]:
            return "supported: the intervals of wise lie above those of gap" + counted
        if spans["gap"][0] > spans["wise"][1]:
            return "contradicted: the intervals of gap lie above those of wise" + counted
        return "no difference shown: the intervals overlap" + counted

    def published_table(self):
        """The paper's table with intervals."""
        return table(report.published_results(self.study.name))

    def accuracy_figure(self):
        """Final accuracies of the committed runs."""
        drawn, ax = plots.figure(7, 2.6)
        plots.accuracies(self.committed, ax).set_title(DEMO_NOTE, fontsize=9)
        plots.show(drawn, plots.describe_accuracies(self.committed))

    def curves_figure(self):
        """Accuracy by epoch of the committed runs, a panel a backbone."""
        backbones = list(self.committed["backbone"].unique())
        drawn, axes = plots.figure(9, 3.2, columns=len(backbones), squeeze=False)
        for ax, backbone in zip(axes[0], backbones, strict=True):
            chosen = self.committed[self.committed["backbone"] == backbone]
            plots.curves(chosen["record"], ax).set_title(f"{backbone} ({DEMO_NOTE})", fontsize=9)
            ax.set_ylabel("test top-1")
        plots.show(drawn, plots.describe_curves(self.committed["record"]))

    def runs_table(self):
        """The committed runs, with their data as CSV."""
        return table(report.results_table(self.committed), f"{self.study.name}.csv")

    def own_runs_table(self):
        """The runs of whoever builds the book, or the command that makes them."""
        if self.own.empty:
            return words("None were found when this book was built: <code>make demo</code> makes two.")
        return table(report.results_table(self.own), f"{self.study.name}-own.csv")

    def provenance_table(self):
        """Where every run on the page comes from."""
        import pandas as pd

        parts = [report.provenance(self.committed, "committed"), report.provenance(self.own, "yours")]
        return table(pd.concat([part for part in parts if len(part)]))


def words(text):
    """A paragraph as a cell's output."""
    from IPython.display import HTML

    return HTML(f"<p>{text}</p>")


def table(rows, csv_name=None):
    """A table as a cell's output: it scrolls by itself on small screens, and its data can be taken along as CSV.

    Args:
        rows: DataFrame.
        csv_name: File name of the CSV; None: no link.
    """
    from IPython.display import HTML

    markup = f'<div class="results-table">{rows.to_html(index=False, border=0, na_rep="")}</div>'
    if csv_name:
        data = base64.b64encode(rows.to_csv(index=False).encode()).decode()
        markup += (
            f'<p><a download="{html.escape(csv_name)}" href="data:text/csv;base64,{data}">This table as CSV</a></p>'
        )
    return HTML(markup)
