"""What claims are judged by (printed numbers, counts, and the runs that are evidence), and the verdicts there are."""

import dataclasses

from wisesr_helpers.metrics import BETTER, WORSE, Difference
from wisesr_helpers.studies import support
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.training.runs import canonical

EXACT, AGREES, DISAGREES = "exact", "agrees", "disagrees"  # counts, operations, arithmetic, datasets, settings
SUPPORTED, NOT_SUPPORTED = "supported by the printed numbers", "not supported by the printed numbers"  # comparisons
BY_CONSTRUCTION, SHOWN = "holds by construction", "shown here"  # with the next two: the embedded scenes
NOT_SHOWN, CONTRADICTED = "not shown here", "contradicted here"
REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"  # runs at paper scale
OPEN, NOT_RUN = "open", "not run"
VERDICTS = (
    *(EXACT, AGREES, DISAGREES, SUPPORTED, NOT_SUPPORTED, BY_CONSTRUCTION, SHOWN, NOT_SHOWN, CONTRADICTED),
    *(REPRODUCED, NOT_REPRODUCED, OPEN, NOT_RUN),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a test found."""

    ours: str = ""  # our value, or what was found; empty where there is none yet
    verdict: str = NOT_RUN  # one of VERDICTS
    scale: str = ""  # "paper" or "demo", of runs; "printed", "counted", or empty
    seeds: int = 0  # trainings of each model that it rests on
    command: str = ""  # what would settle it, where it is open or a demo that is not run


@dataclasses.dataclass(frozen=True)
class Model:
    """What a run trains; ``options`` are the head's further ones, as canonical JSON."""

    study: str
    backbone: str
    head: str
    dataset: str = ""
    options: str = ""

    @property
    def command(self):
        """The command that trains it at paper scale."""
        dataset = f" -p dataset {self.dataset}" if self.dataset else ""
        options = f" -y 'options: {self.options}'" if self.options else ""
        chosen = f"-p backbone {self.backbone} -p head {self.head} -p scale paper{options}"
        return f"papermill notebooks/{self.study}.ipynb runs/out.ipynb{dataset} {chosen}"


class Evidence:
    """What tests draw on: the printed numbers, counts of the printed models, and records (``ws.load_runs``)."""

    def __init__(self, numbers, counts, runs):
        self.numbers, self.counts = numbers, counts
        self.printed = support.accuracies(numbers)
        self.compared = support.comparisons(self.printed)
        self._cells = {(row.source, row.where, row.row, row.column): row for row in numbers.itertuples()}
        self._counts = {(row.where, row.backbone, row.head): row for row in counts.itertuples()}
        self._differences, self._runs = {}, {}
        for row in self.compared.itertuples():
            first = Model(row.study, row.backbone, row.head, row.dataset)
            second = Model(row.study, row.other_backbone, row.other_head, row.dataset)
            found = Difference(row.difference, row.low, row.high, row.p, row.p_corrected, row.word)
            self._differences[row.measure, first, second] = found
            self._differences[row.measure, second, first] = reverse(found)
        for run in runs["run"]:
            options = canonical(dict(run.options)) if run.options else ""
            model = Model(run.study, run.backbone, run.head, run.chosen_dataset, options)
            if is_evidence(run):
                self._runs.setdefault((model, run.scale), {})[run.seed] = run

    def cell(self, where, row, column):
        """The printed number there; ``where`` of the report begins with "report "."""
        source, place = ("report", where[7:]) if where.startswith("report ") else ("paper", where)
        return self._cells[source, place, row, column]

    def accuracy(self, where, backbone, head):
        """The row of :func:`support.accuracies` of a paper's model, top-1."""
        rows = self.printed[(self.printed["where"] == where) & (self.printed["backbone"] == backbone)]
        return next(row for row in rows.itertuples() if (row.head, row.measure) == (head, "top-1"))

    def count(self, where, backbone, head):
        """The row of ``counts`` of a model."""
        return self._counts[where, backbone, head]

    def difference(self, measure, pair):
        """The ``Difference`` of two printed accuracies, judged within its table; None where it isn't printed."""
        return self._differences.get((measure, *pair))

    def seeds(self, model, scale):
        """The runs of a model that are evidence, seed → ``RunResult``."""
        return self._runs.get((model, scale), {})


def is_evidence(run):
    """Whether a run is complete, by today's code and the scale's own recipe, and at paper scale of photographs."""
    if run.scale not in ("paper", "demo") or run.status != "complete" or run.older:
        return False
    study = get_study(run.study, run.chosen_dataset)
    recipe = study.recipe if run.scale == "paper" else study.demo.recipe
    same_recipe = canonical(dict(run.recipe)) == canonical(dataclasses.asdict(recipe))
    return same_recipe and run.photographs == (run.scale == "paper")


def reverse(found):
    """The second minus the first."""
    word = {BETTER: WORSE, WORSE: BETTER}.get(found.word, found.word)
    return Difference(-found.difference, -found.high, -found.low, found.p, found.p_corrected, word)
