"""One experiment, and the rows of several, from what was chosen to what came out."""

import dataclasses
import functools
import json
import os
import pathlib
import shlex

import numpy as np

from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import digits_dataset, scenes_dataset
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.models.backbones import check_backbone
from wisesr_helpers.models.heads import get_head
from wisesr_helpers.plots.heads import head_steps
from wisesr_helpers.progress import duration
from wisesr_helpers.storage import default_cache
from wisesr_helpers.studies import run as studies_run
from wisesr_helpers.studies.choices import RECIPE_OPTIONS, check_option_names, check_options, choose_scale
from wisesr_helpers.studies.grid import get_study
from wisesr_helpers.studies.run import announce, describe_data, run, seeded_classifier
from wisesr_helpers.training import runs
from wisesr_helpers.training.runs import as_table, load_classifier
from wisesr_helpers.versions import behaviour

# One run of a study, from what the user typed to a record: what a study notebook drives.


class Experiment:
    """A run of a study: one head on one backbone at one scale.

    Everything typed is checked here, before anything is loaded.

    Args:
        study: One of ``ws.STUDIES``.
        head: One of ``ws.HEADS``; empty, for the report's study: the backbone's own.
        backbone: Empty: the study's first at paper scale, "small_patch" at demo and smoke.
        scale: "auto", "paper", "demo" or "smoke".
        seed: Of everything random, 0 or more.
        epochs: 0: the scale's own.
        data_dir: Where data is looked for first, and where it is kept prepared; empty: a per-user cache folder.
        runs_dir: Where runs are kept; empty: see :func:`wisesr_helpers.training.runs.default_runs_dir`.
        overwrite: Train a finished run again; one that was interrupted goes on.
        options: Further options of the head, the recipe and the data, by name.
        dataset: For a study with several datasets, which.

    Raises:
        ValueError: A value that can't be used, with those that can.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
        OSError: The runs folder can't be written.
    """

    def __init__(
        self,
        study,
        head="wise",
        backbone="",
        scale="auto",
        seed=0,
        epochs=0,
        data_dir="",
        runs_dir="",
        overwrite=False,
        options=None,
        dataset="",
    ):
        self.study = get_study(study, dataset)
        typed = head or not self.study.own_heads
        if typed:
            self.head = get_head(head)
        if backbone:
            check_backbone(backbone)
        _check_whole("seed", seed, most=2**32 - 1)
        _check_whole("epochs", epochs)
        if not isinstance(overwrite, bool):
            raise ValueError(f"overwrite must be True or False; received {overwrite!r}.")
        if typed:
            check_option_names(options, self.head)
        self.data_dir = pathlib.Path(data_dir).expanduser() if data_dir else None
        self.scale, self.reason = choose_scale(scale, self.study, backbone, self.data_dir)
        self.plan = {"paper": None, "demo": self.study.demo, "smoke": self.study.smoke}[self.scale]
        self.backbone = backbone or ("small_patch" if self.plan else self.study.backbones[0])
        if not typed:
            self.head = get_head(self.study.head_for(self.backbone))
        self.image_size = self.study.size_for(self.backbone)
        self.own_recipe = self.plan.recipe if self.plan else self.study.recipe
        head_options, recipe, self.data_options = check_options(options, self.head, self.own_recipe)
        self.options = {name: _plain(value) for name, value in (options or {}).items() if self._counts(name, value)}
        self.recipe = dataclasses.replace(recipe, epochs=epochs or recipe.epochs)
        self.parameters = runs.RunParameters(
            self.study.name, self.scale, self.backbone, self.head.name, seed, self.options, dataset
        )
        self.head_options = head_options
        self.runs_dir = pathlib.Path(runs_dir).expanduser() if runs_dir else None
        self.folder = (self.runs_dir or runs.default_runs_dir()) / self.parameters.identity
        self.overwrite = overwrite
        self._check_folder()

    def _counts(self, name, value):
        """Whether an option makes another run than the default: one whose value is the default does not."""
        if name in self.head.arguments:
            return name not in self.head.options or value != self.head.options[name].values[0]
        if name in RECIPE_OPTIONS:
            return check_options({name: value}, self.head, self.own_recipe)[1] != self.own_recipe
        return name in self.data_options

    def _check_folder(self):
        """Refuse a runs folder that can't be written, before an epoch is spent; a run that is there can be read."""
        if (self.folder / runs.RECORD).exists():
            return
        existing = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise OSError(
                f"The run can't be kept in '{self.folder}': '{existing}' is no folder that can be written. Give "
                "another with runs_dir, or set WISESR_RUNS."
            )

    @property
    def note(self):
        """What figures of this run have to say about its data."""
        return DEMO_NOTE if self.plan else ""

    @property
    def shown_folder(self):
        """The run's folder, as people read it."""
        return runs.shown(self.folder)

    @property
    def command(self):
        """The command that makes this run."""
        words = ["papermill", f"notebooks/{self.study.name}.ipynb", f"runs/{self.parameters.identity}.ipynb"]
        for name in ("dataset", "head", "backbone", "scale", "seed"):
            if str(getattr(self.parameters, name)):
                words += ["-p", name, str(getattr(self.parameters, name))]
        for name, folder in (("data_dir", self.data_dir), ("runs_dir", self.runs_dir)):
            words += ["-p", name, str(folder)] if folder else []
        if self.recipe.epochs != self.own_recipe.epochs:
            words += ["-p", "epochs", str(self.recipe.epochs)]
        if self.options:
            words += ["-y", f"options: {json.dumps(self.options)}"]
        return shlex.join(words)

    def announce(self):
        """Print what was chosen, why, and how to start the paper's scale."""
        announce(self)

    def describe_data(self):
        """Print the dataset's counts, and everything that is wrong with it."""
        describe_data(self)

    @functools.cached_property
    def dataset(self):
        """The scale's dataset, made or loaded when first asked for."""
        if self.plan is None:
            return load_dataset(self.study.source, self.image_size, self.data_dir, **self.data_options)
        if self.plan.data == "digits":
            return digits_dataset(self.image_size, self.plan.train, self.plan.test)
        folder = None if self.scale == "smoke" else (self.data_dir or default_cache()) / "scenes"
        return scenes_dataset(self.image_size, self.plan.classes, self.plan.train, self.plan.test, folder=folder)

    @property
    def has_dataset(self):
        """Whether :attr:`dataset` was made or loaded already."""
        return "dataset" in vars(self)

    def build(self):
        """The untrained classifier; its weights are a function of the seed."""
        classes = self.plan.classes if self.plan else len(self.dataset.classes)
        return seeded_classifier(self.parameters, classes, self.image_size, self.recipe, self.head_options)

    def head_steps(self, model):
        """The steps of a built model's head, for its diagram."""
        names = [layer.name for layer in model.layers]
        features = names.index("features")
        return head_steps(model.layers[features + 1 :], model.layers[features].output.shape[1:])

    @property
    def settings(self):
        """What a run has to have in common with what goes on from it, the number of epochs apart."""
        data = [self.plan.classes, self.plan.train, self.plan.test] if self.plan else [self.study.source]
        settings = {
            "parameters": dataclasses.asdict(self.parameters),
            "recipe": dataclasses.asdict(dataclasses.replace(self.recipe, epochs=0)),
            "data": [self.image_size, *data],
        }
        return json.loads(json.dumps(settings))  # as a checkpoint gives it back, without tuples

    @property
    def behaviour(self):
        """The versions of the code that the outcome depends on."""
        return behaviour(photographs=self.plan is None)

    def run(self):
        """Train, unless this run is finished, and keep the record: see :func:`wisesr_helpers.studies.run.run`."""
        return run(self)

    def load(self, epoch="final"):
        """The trained classifier of this run: see :func:`wisesr_helpers.training.runs.load_classifier`."""
        return load_classifier(self.folder, epoch)


def _plain(value):
    """A value as JSON has it: NumPy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _check_whole(name, value, most=None):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most and value > most):
        bound = f"from 0 to {most}" if most else "0 or more"
        raise ValueError(f"{name} must be a whole number, {bound}; received {value!r}.")


# Several runs of one study side by side: the rows of a table, trained one after the other.


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
        studies_run.announce(self.first, notebook)
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
            Held, ValueError, OSError, MemoryError: As :func:`wisesr_helpers.studies.run.run`; finished rows stay.
        """
        records = []
        for title, experiment in self.experiments.items():
            print(f"{title}:", flush=True)
            records.append(experiment.run())
        runs = as_table(records)
        runs.insert(0, "row", list(self.experiments))
        return runs
