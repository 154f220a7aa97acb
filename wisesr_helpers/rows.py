"""Several runs of one study side by side: the rows of a table, trained one after the other."""

from wisesr_helpers import announce
from wisesr_helpers.experiment import Experiment
from wisesr_helpers.progress import duration
from wisesr_helpers.runs import as_table


class Rows:
    """Runs that differ in what each of them types, such as one head with and without an option.

    All rows are checked before the first is trained.

    Args:
        study: One of ``ws.STUDIES``.
        rows: Title → what this row types: keywords of ``ws.Experiment``.
        only: Title of the one row to run; empty: all.
        **common: Keywords of ``ws.Experiment`` for all rows; a row's own come first.

    Raises:
        ValueError: There is no row of that title, or a row types a value that can't be used.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
        OSError: The runs folder can't be written.
    """

    def __init__(self, study, rows, only="", **common):
        if only and only not in rows:
            titles = ", ".join(f"'{title}'" for title in rows)
            raise ValueError(f"There is no row '{only}'. Valid rows: {titles}; empty for all.")
        chosen = {title: typed for title, typed in rows.items() if only in ("", title)}
        self.experiments = {title: Experiment(study, **{**common, **typed}) for title, typed in chosen.items()}

    @property
    def first(self):
        """The first row's Experiment: all rows share its study, scale and data."""
        return next(iter(self.experiments.values()))

    @property
    def note(self):
        """What figures of these runs have to say about their data."""
        return self.first.note

    def announce(self, notebook=""):
        """Print what was chosen, why, and which rows there are.

        Args:
            notebook: Name of the notebook that runs them, with a parameter ``study``; empty: the study's own.
        """
        announce.announce(self.first, notebook)
        titles = ", ".join(f"'{title}'" for title in self.experiments)
        rows = "row" if len(self.experiments) == 1 else "rows"
        print(f"The same for {len(self.experiments)} {rows}: {titles}.")
        plan = self.first.plan
        if plan:
            epochs = self.first.recipe.epochs / plan.recipe.epochs
            print(f"All of them: about {duration(60 * plan.minutes * epochs * len(self.experiments))} on two cores.")

    def run(self):
        """Train every row that is not finished.

        Returns:
            DataFrame as ``ws.load_runs`` returns it, with the row's title in a first column "row".

        Raises:
            Held, ValueError, OSError, MemoryError: As :func:`wisesr_helpers.running.run`; finished rows stay.
        """
        records = []
        for title, experiment in self.experiments.items():
            print(f"{title}:", flush=True)
            records.append((experiment.run(), experiment.folder))
        runs = as_table(records)
        runs.insert(0, "row", list(self.experiments))
        return runs
