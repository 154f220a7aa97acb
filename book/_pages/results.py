"""What a page of results shows: everything on it is computed from published tables and records."""

import functools
import html
import itertools
import pathlib

import numpy as np
import pandas as pd
from IPython.display import HTML

from _pages import provenance
from _pages.markup import table, words
from wisesr_helpers import plots
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.metrics import BETTER, NO_DIFFERENCE, WORSE, judge, mean_interval, paired_comparison
from wisesr_helpers.progress import how_many
from wisesr_helpers.studies import report
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.training.runs import default_runs_dir, load_runs, project_root

NONE = "No record of a demo run is committed."
DEMO_BACKBONES = ("small_patch", "small_conv")
CEILING = 0.5  # of GAP's expected accuracy on scenes, if the backbone sees separate patches: see the page on the demo
CODE = ("wisesr_helpers/studies/grid.py", "wisesr_helpers/plots/runs.py")


@functools.cache
def committed(folder=None):
    """The records in ``results/``, or in another folder: read once for all pages."""
    return load_runs(folder or project_root() / "results")


class ResultsPage:
    """The computed parts of a study's page.

    Args:
        study: Name of a study.
        results: Folder with committed records; None: the project's.
        own: Folder with the runs of whoever builds the book; None: the default one.
    """

    def __init__(self, study, results=None, own=None):
        self.study = get_study(study)
        own = own or default_runs_dir()
        self.skipped = []  # sentences about own files that are no records: they must not keep the book from building
        self.own = self._runs(load_runs(own, skipped=self.skipped), "demo", "paper")
        recorded = committed(results)  # the experiments' options and backbones have a page of their own
        recorded = recorded[(recorded["options"] == "") & recorded["backbone"].isin(DEMO_BACKBONES)]
        self.committed = self._runs(recorded, "demo")
        self.paper = self._runs(paper_runs(results, own), "paper")

    def _runs(self, runs, *scales):
        chosen = runs[(runs["study"] == self.study.name) & runs["scale"].isin(scales)]
        return chosen.sort_values(["backbone", "head", "seed"], ascending=[False, True, True])

    def words(self):
        """Numbers for the prose: name → text."""
        study, demo = self.study, self.study.demo
        impossible, printed = report.impossible_accuracies(study.name)
        return {
            "test_images": f"{study.test_images:,}",
            "impossible": f"{impossible} of the {printed}",
            "demo_data": f"{demo.train:,} to train on, {demo.test:,} to test on, in {demo.classes} classes",
            "demo_test": f"{demo.test:,}",
            "demo_epochs": str(demo.recipe.epochs),
            "demo_colours": _colours(demo.recipe.augmentation, study.recipe.augmentation),
            "paper_epochs": str(study.recipe.epochs),
            "finding": " ".join(self._finding(backbone) for backbone in self.committed["backbone"].unique()) or NONE,
            "verdict_paper": verdict(self._whole(), study.backbones, ON_PHOTOGRAPHS),
            **{f"verdict_{name}": self.verdict(name) for name in demo.backbones},
        }

    def _whole(self):
        """The runs at the paper's scale of as many epochs as the paper's."""
        planned = self.paper["run"].map(lambda run: run.planned_epochs)
        return self.paper[planned == self.study.recipe.epochs]

    def _finding(self, backbone):
        """Mean final accuracies of the complete runs, and by name the runs that a mean would hide."""
        runs = self._on(backbone)
        parts = []
        for head, group in runs[runs["status"] == "complete"].groupby("head"):
            parts.append(f"{head} {group['top1'].mean():.1%} ({how_many(len(group), 'seed')})")
        means = ", ".join(parts) or "no run is complete"
        return "; ".join([f"Mean test top-1 on {backbone}: {means}", *_exceptions(runs)]) + "."

    def _on(self, backbone):
        return self.committed[self.committed["backbone"] == backbone]

    def verdict(self, backbone):
        """The demo's :func:`verdict` on a backbone."""
        return verdict(self._on(backbone), [backbone])

    def accuracy_figure(self):
        """Final accuracies of the committed runs."""
        if self.committed.empty:
            return words(NONE)
        drawn, ax = plots.figure(5, 2.6)
        plots.accuracies(self.committed, ax).set_title(DEMO_NOTE, fontsize=9)
        draw_ceiling(self.committed, ax, ax.axvline)
        plots.show(drawn)
        return provenance.of_runs(self.committed, f"{self.study.name}.csv", source=CODE)

    def curves_figure(self):
        """Top-1 by epoch, for each backbone on the test set and below it in training: at paper scale where there is."""
        runs = self.paper if len(self.paper) else self.committed
        if runs.empty:
            return words(NONE)
        backbones = list(runs["backbone"].unique())
        panels = list(itertools.product(backbones, ("test_top1", "top1")))
        drawn, axes = plots.figure(5, 2.2 * len(panels), rows=len(panels))
        note = f" ({DEMO_NOTE})" if runs is self.committed else ""
        for ax, (backbone, measure) in zip(axes, panels, strict=True):
            here = runs[runs["backbone"] == backbone]
            plots.curves(here, ax, measure).set_title(f"{backbone}{note}", fontsize=9)
            draw_ceiling(here, ax, ax.axhline)
        legend_below(drawn, axes)
        plots.show(drawn)
        return provenance.of_runs(runs, f"{self.study.name}-epochs.csv", histories(runs), CODE)

    def runs_table(self):
        """The committed runs, with their data as CSV."""
        return _runs_with_block(self.committed, f"{self.study.name}.csv")

    def own_runs_table(self):
        """The runs of whoever builds the book, or the command that makes them; files passed over are named."""
        if self.own.empty:
            shown = words("None were found when this book was built: <code>make demo</code> makes two.")
        else:
            shown = _runs_with_block(self.own.assign(whose="yours"), f"{self.study.name}-own.csv")
        passed_over = [words(f"Passed over: {html.escape(sentence)}") for sentence in self.skipped]
        return HTML("".join(part.data for part in (shown, *passed_over)))


def _runs_with_block(runs, csv_name):
    """Runs as a table, and where they come from."""
    rows = report.results_table(runs)
    return HTML(table(rows, compact=True).data + provenance.of_runs(runs, csv_name, rows, CODE).data)


def demo_means(study, results=None):
    """The committed demo runs of a study, a row a backbone and head: mean top-1 over seeds, with its interval."""
    runs = committed(results)
    runs = runs[(runs["study"] == study) & (runs["scale"] == "demo") & (runs["options"] == "")]
    runs = runs[runs["status"] == "complete"]
    if runs.empty:
        return words(NONE)
    rows = []
    for (backbone, head), group in runs.groupby(["backbone", "head"], sort=False):
        mean, low, high = mean_interval(group["top1"])
        interval = f" ({low:.1%} to {high:.1%})" if len(group) > 1 else ""
        top1 = f"{mean:.1%}{interval}"
        rows.append({"backbone": backbone, "head": head, "seeds": len(group), "top-1, demo (95% over seeds)": top1})
    rows, name = pd.DataFrame(rows), f"{study}-demo.csv"
    return HTML(table(rows, name).data + provenance.of_runs(runs, f"{study}-runs.csv", source=CODE).data)


@functools.cache
def _both(results, own):
    """The committed runs and the reader's own: read once for all pages."""
    return load_runs(results, own, skipped=[])


def paper_runs(results=None, own=None):
    """The committed runs at the paper's scale and the reader's own, as ``ws.load_runs`` has them, with "whose"."""
    results = results or (project_root() or pathlib.Path()) / "results"
    runs = _both(results, own or default_runs_dir())
    runs = runs.assign(whose=np.where(runs["folder"] == str(results), "committed", "yours"))
    return runs[(runs["scale"] == "paper") & (runs["options"] == "")]


def has_ceiling(runs):
    """Whether runs of GAP are among these whose accuracy the demo's construction bounds: those on separate patches."""
    bound = (runs["scale"] == "demo") & (runs["backbone"] == "small_patch") & runs["head"].str.startswith("gap")
    return bool(bound.any())


def draw_ceiling(runs, ax, line):
    """Draw the ceiling that the demo's construction sets GAP on separate patches, on described axes with such runs."""
    if not has_ceiling(runs):
        return
    line(CEILING, color=plots.colour("gap"), linestyle=(0, (6, 3)), linewidth=1, alpha=0.8)
    style = {"color": plots.colour("gap"), "fontsize": 7}
    if line == ax.axhline:
        ax.text(0.01, CEILING, "GAP's ceiling ", transform=ax.get_yaxis_transform(), va="bottom", **style)
    else:
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top - 0.4)  # room for the line's name
        ax.text(CEILING, 0.98, " GAP's ceiling on small_patch", transform=ax.get_xaxis_transform(), va="top", **style)
    said = ax.figure.alt_texts[(ax,)]
    plots.described(ax, f"{said} A line at {CEILING:.0%} is GAP's ceiling on small_patch, by construction.")


def legend_below(drawn, axes):
    """One legend of heads below all panels: inside a panel it would hide lines. The panels name the backbones."""
    entries = {}
    for ax in np.ravel(axes):
        for line, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label.rpartition(" + ")[2], line)
        ax.get_legend().remove()
    drawn.legend(entries.values(), entries, loc="outside lower center", ncols=4, frameon=False, fontsize=8)


def histories(runs):
    """Every epoch of runs, a row an epoch."""
    return pd.DataFrame({"run": run.identity, **dict(epoch)} for run in runs["run"] for epoch in run.history)


def _colours(here, papers):
    """In which ranges the demo changes colours, beside the paper's."""
    return (
        f"channel shift ±{here.channel_shift_range:g} grey levels instead of ±{papers.channel_shift_range:g}, "
        "brightness {:g} to {:g} instead of {:g} to {:g}".format(*here.brightness_range, *papers.brightness_range)
    )


# The ledger's words for what is judged.
HERE = {BETTER: "shown here", WORSE: "contradicted here", NO_DIFFERENCE: "not shown here"}
ON_PHOTOGRAPHS = {BETTER: "reproduced", WORSE: "not reproduced", NO_DIFFERENCE: "not reproduced"}


def verdict(runs, backbones, words=HERE):
    """Whether "wise" ends above "gap" on all these backbones in runs of one scale, as a sentence.

    Shown or contradicted only if one of the two is better on every backbone, by the project's rule for all of
    them together (:func:`wisesr_helpers.metrics.judge`), on the same test images and with the seeds that both heads
    have; where backbones differ, each is named. Open while one has no run.

    Only complete runs are compared. One run of the two heads that diverged leaves the claim open: it has no
    accuracy, and without it the seeds that survived would flatter a head that fails now and then. A run that goes on
    is left out. Either is named, and so is a complete run that is no better than chance.
    """
    runs = runs[runs["head"].isin(["gap", "wise"])]
    return "; ".join([_comparison(runs, backbones, words), *_exceptions(runs)])


def _comparison(runs, backbones, verdicts):
    """The verdict on runs of the two heads."""
    if runs.empty:
        return "open: no run is recorded"
    if missing := [backbone for backbone in backbones if backbone not in set(runs["backbone"])]:
        return f"open: no run on {', '.join(missing)} is recorded"
    if (runs["status"] == "diverged").any():
        return "open: a run diverged"
    pairs = {}
    for backbone, on_backbone in runs[runs["status"] == "complete"].groupby("backbone"):
        heads = {head: group.set_index("seed")["run"] for head, group in on_backbone.groupby("head")}
        if len(heads) < 2:
            return "open: only one of the two heads has a complete run"
        seeds = sorted(set(heads["wise"].index) & set(heads["gap"].index))
        if not seeds:
            return "open: the two heads have no seed in common"
        pairs[backbone] = [[heads[head][seed] for seed in seeds] for head in ("wise", "gap")]
        if len({run.data_fingerprint for head in pairs[backbone] for run in head}) > 1:
            return f"open: the runs on {backbone} have different images"
    if len(pairs) < len(backbones):
        return "open: no run is complete"
    right = {backbone: [np.array([run.right for run in head]) for head in both] for backbone, both in pairs.items()}
    compared = judge({backbone: paired_comparison(*both) for backbone, both in right.items()})
    words = {}
    for backbone, each in compared.items():
        words.setdefault(each.word, []).append(backbone)
    seeds = how_many(min(len(head) for head, _ in pairs.values()), "seed")
    said = "; ".join(f"{backbone} {each.in_words()}" for backbone, each in compared.items())
    counted = f"wise − gap on {said}; {seeds} a head"
    if len(words) == 1:
        (word,) = words
        return f"{verdicts[word]} ({counted})"
    parts = [f"{_SIGNS[word]} on {' and '.join(words[word])}" for word in _SIGNS if word in words]
    return f"{verdicts[NO_DIFFERENCE]} on every backbone: {', '.join(parts)} ({counted})"


_SIGNS = {BETTER: "wise is better", WORSE: "gap is better", NO_DIFFERENCE: NO_DIFFERENCE}


def _exceptions(runs):
    """Which runs have no accuracy to compare, and which have one no better than chance: a phrase for each kind."""
    apart, seeds = [], {}
    for row in runs.itertuples():
        name = f"{row.head} on {row.backbone}"
        if row.status != "complete":
            apart.append(f"{name} (seed {row.seed}) {row.run.ending}")
        elif report.only_guesses(row.run):
            seeds.setdefault(name, []).append(str(row.seed))
    guesses = [f"{name} (seed{'s' * (len(each) > 1)} {', '.join(each)})" for name, each in seeds.items()]
    kinds = {"not counted": apart, report.NO_BETTER: guesses}
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
