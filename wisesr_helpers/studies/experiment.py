"""From what a user typed to a run: checked and resolved once, into a frozen RunSpec that is passed down."""

import dataclasses
import functools
import json
import os
import pathlib
import shlex
from collections.abc import Mapping

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import check_whole, refusing
from wisesr_helpers.data.augment import CONVENTIONS
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import MIN_IMAGE_SIZE, THIRDS, digits_dataset, scenes_dataset
from wisesr_helpers.data.images import RESAMPLING
from wisesr_helpers.data.load import is_prepared, load_dataset
from wisesr_helpers.data.sources import find, get_source, missing
from wisesr_helpers.models.backbones import check_backbone
from wisesr_helpers.models.heads import Head, check_head, get_head
from wisesr_helpers.progress import duration, how_many, say, tell
from wisesr_helpers.storage import accelerators, default_cache
from wisesr_helpers.studies.grid import STUDIES, Demo, Study, get_study
from wisesr_helpers.studies.run import (
    announce,
    demo_seconds,
    describe_data,
    finished_run,
    seeded_classifier,
    train_run,
)
from wisesr_helpers.training import runs
from wisesr_helpers.training.recipes import PRECISIONS, Recipe

SCALES = ("paper", "demo", "smoke")


@dataclasses.dataclass(frozen=True)
class Between:
    """The numbers from ``least`` to ``most``, of their type: whole ones, or fractions."""

    least: float
    most: float

    def value(self, name, typed):
        """What was typed as a number of that type; ValueError for any other."""
        kinds = (int, float) if isinstance(self.least, float) else int
        if isinstance(typed, bool) or not isinstance(typed, kinds) or not self.least <= typed <= self.most:
            kind = "number" if isinstance(self.least, float) else "whole number"
            raise ValueError(
                f"Option '{name}' must be a {kind} from {self.least:g} to {self.most:g}; received {typed!r}."
            )
        return type(self.least)(typed)


# Options of every study: name → valid values, for the recipe's as a function of the recipe. Of the data's, the first
# is the default.
RECIPE_OPTIONS = {
    "weights": lambda recipe: ("imagenet", "none"),  # the backbone's initial weights
    "convention": lambda recipe: CONVENTIONS,  # how the augmentation computes
    "accumulate": Recipe.accumulations,  # in how many parts a batch goes through the model
    "precision": lambda recipe: PRECISIONS,  # of computing; weights are always float32
    "jit_compile": lambda recipe: (False, True),  # whether XLA compiles the training step
    "learning_rate": lambda recipe: Between(1e-6, 10.0),  # the first one
    "decay_rate": lambda recipe: Between(0.01, 1.0),  # of the staircase
    "rotation_range": lambda recipe: Between(0.0, 360.0),  # of the augmentation, in degrees
}
OF_AUGMENTATION = ("convention", "rotation_range")
DATA_OPTIONS = {
    "resample": RESAMPLING,  # how photographs are resized
    "strict": (False, True),  # whether a dataset is refused of which anything was left out or noticed
}
# Of demo and smoke scale, as a function of the study.
EMBEDDED_OPTIONS = {
    "image_size": lambda study: Between(MIN_IMAGE_SIZE, 1024),  # in pixels
    "train": lambda study: Between(study.demo.classes, study.demo.train),  # only the first of the training images
    "test_third": lambda study: tuple(THIRDS) if study.demo.data == "scenes" else ("last",),  # of the handwriting
}


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A run of a study, resolved once from what was typed."""

    study: Study  # of a study with several datasets, the one for the dataset that was asked for
    head: Head
    parameters: runs.RunParameters  # what tells the run from others
    plan: Demo | None  # the embedded images of demo and smoke; None at paper scale
    recipe: Recipe  # with the options and the number of epochs that were asked for
    head_options: Mapping  # for build_classifier
    data_options: Mapping  # for load_dataset, or of embedded scenes
    reason: str = ""  # why this scale was chosen
    folder: pathlib.Path | None = None  # where the run is kept
    data_dir: pathlib.Path | None = None  # where data is looked for first; None: the cache folder
    runs_dir: pathlib.Path | None = None  # as typed; None: the default
    overwrite: bool = False  # whether a finished run is trained again

    @property
    def image_size(self):
        """Side of the images in pixels."""
        return self.study.size_for(self.parameters.backbone)

    @property
    def shown_folder(self):
        """The run's folder, as people read it."""
        return runs.shown(self.folder)

    @property
    def command(self):
        """The command that makes this run."""
        notebook = f"{self.runs_dir or 'runs'}/{self.parameters.identity}.ipynb"
        words = ["papermill", f"notebooks/{self.study.name}.ipynb", notebook]
        for name in ("dataset", "head", "backbone", "scale", "seed"):
            if str(getattr(self.parameters, name)):
                words += ["-p", name, str(getattr(self.parameters, name))]
        for name in ("data_dir", "runs_dir"):
            words += ["-p", name, str(getattr(self, name))] if getattr(self, name) else []
        if self.recipe.epochs != (self.plan or self.study).recipe.epochs:
            words += ["-p", "epochs", str(self.recipe.epochs)]
        if self.parameters.options:
            words += ["-y", f"options: {json.dumps(self.parameters.options)}"]
        return shlex.join(words)


@refusing()
def resolve(study, head, backbone, scale, seed, epochs, data_dir, runs_dir, overwrite, options, dataset):
    """The ``RunSpec`` of what was typed; arguments and errors are those of :class:`Experiment`."""
    study = get_study(study, dataset)
    named = get_head(head) if head or not study.own_heads else None
    if backbone:
        check_backbone(backbone)
    seed, epochs = check_whole("seed", seed, 0, 2**32 - 1), check_whole("epochs", epochs, 0)
    if not isinstance(overwrite, bool):
        raise ValueError(f"overwrite must be True or False; received {overwrite!r}.")
    if named:
        _check_option_names(options, named)
    data_dir, runs_dir = _folder("data_dir", data_dir), _folder("runs_dir", runs_dir)
    scale, reason = choose_scale(scale, study, backbone, data_dir)
    backbone = backbone or (study.backbones[0] if scale == "paper" else "small_patch")
    spec = make_spec(
        study, named or get_head(study.head_for(backbone)), backbone, scale, seed, epochs, options, dataset
    )
    folder = (runs_dir or runs.default_runs_dir()) / spec.parameters.identity
    _check_folder(folder)
    return dataclasses.replace(
        spec, reason=reason, folder=folder, data_dir=data_dir, runs_dir=runs_dir, overwrite=overwrite
    )


def _folder(name, typed):
    """The path of a folder that was typed; None where it was left empty."""
    if not isinstance(typed, (str, os.PathLike, type(None))):
        raise ValueError(
            f"{name} must be the path of a folder; received {typed!r}. With papermill, for a name that looks like a "
            f"number: -r {name} {typed}."
        )
    return pathlib.Path(typed).expanduser() if typed else None


def spec_of(run):
    """The ``RunSpec`` that a kept run's command gives today; no folder is touched and no data looked for.

    ValueError if its study, dataset, scale, head or an option no longer exists.
    """
    dataset = run.chosen_dataset
    study, head = get_study(run.study, dataset), get_head(run.head)
    return make_spec(study, head, run.backbone, run.scale, run.seed, run.planned_epochs, run.options, dataset)


def is_current(run):
    """Whether today's code would make a run from its command: versions of behaviour, recipe, and data asked for."""
    if run.older:
        return False
    try:
        spec = spec_of(run)
    except ValueError:  # a study, head or option that is no more
        return False
    plan = spec.plan
    return (
        runs.canonical(dataclasses.asdict(spec.recipe)) == runs.canonical(dict(run.recipe))
        and run.image_size == (spec.image_size, spec.image_size)
        and (not plan or (plan.classes, plan.train, plan.test) == (len(run.classes), run.train_images, run.test_images))
    )


def make_spec(study, head, backbone, scale, seed, epochs=0, options=None, dataset=""):
    """The ``RunSpec`` of a ``Study`` and a ``Head``, of no folder yet; ValueError for what can't be used together."""
    if scale not in SCALES:
        raise ValueError(f"Unknown scale '{scale}'. Valid scales: {', '.join(SCALES)}.")
    plan = {"paper": None, "demo": study.demo, "smoke": study.smoke}[scale]
    _check_option_names(options, head)
    recipe, of_head, of_data, differing = (plan or study).recipe, {}, {}, {}
    own_size, own_plan = study.image_size, plan
    for name, value in (options or {}).items():
        value = value.item() if isinstance(value, np.generic) else value  # as JSON has it
        if name in head.arguments:
            of_head[name] = value
            differs = name not in head.options or value != head.options[name].values[0]
        elif name in RECIPE_OPTIONS:
            value = _check_value(name, value, RECIPE_OPTIONS[name](recipe))
            changed = _with_option(recipe, name, value)
            recipe, differs = changed, changed != recipe
        elif name in EMBEDDED_OPTIONS:
            if plan is None:
                raise ValueError(f"Option '{name}' is about the embedded images, which scale 'paper' has none of.")
            value = _check_value(name, value, EMBEDDED_OPTIONS[name](study))
            if name == "image_size":
                study, differs = dataclasses.replace(study, image_size=value), value != own_size
            elif name == "train":
                plan, differs = dataclasses.replace(plan, train=min(plan.train, value)), value != study.demo.train
            else:
                differs = value != "last"
                of_data |= {name: value}
        else:
            _check_value(name, value, DATA_OPTIONS[name])
            differs = value != DATA_OPTIONS[name][0]
            of_data |= {name: value} if differs else {}
        differing |= {name: value} if differs else {}  # a default makes no other run
    check_head(head.name, **of_head)
    if plan != own_plan or study.image_size != own_size:
        share = (plan.train + plan.test) / (own_plan.train + own_plan.test) * (study.image_size / own_size) ** 2
        plan = dataclasses.replace(plan, minutes=plan.minutes * share)
    return RunSpec(
        study=study,
        head=head,
        parameters=runs.RunParameters(study.name, scale, backbone, head.name, seed, differing, dataset),
        plan=plan,
        recipe=dataclasses.replace(recipe, epochs=epochs or recipe.epochs),
        head_options=of_head,
        data_options=of_data,
    )


def choose_scale(scale, study, backbone, data_dir):
    """The scale of a run, and why it was chosen, in words; ``WISESR_SCALE`` stands in for "auto".

    An empty backbone is the study's first. ValueError for an unknown scale, or "paper" for a study that has none;
    FileNotFoundError for "paper" where the study's data is not on this machine.
    """
    asked = os.environ.get("WISESR_SCALE", "auto") if scale == "auto" else scale
    if asked not in ("auto", *SCALES):
        where = "WISESR_SCALE" if scale == "auto" else "scale"
        raise ValueError(f"Unknown {where} '{asked}'. Valid scales: auto, {', '.join(SCALES)}.")
    if not study.source and asked == "paper":
        others = ", ".join(name for name, other in STUDIES[study.name].datasets.items() if other.source)
        raise ValueError(
            f"{study.dataset} are the demo's data and have no scale 'paper'. Datasets that have one: {others}; or take "
            "scale 'demo'."
        )
    source = get_source(study.source) if study.source and asked in ("auto", "paper") else None
    prepared = source and is_prepared(source, study.size_for(backbone or study.backbones[0]), data_dir)
    if asked == "paper" and not prepared and find(source, data_dir) is None:
        raise FileNotFoundError(missing(source, data_dir))
    if asked != "auto":
        return asked, "as asked" if scale == asked else "WISESR_SCALE asks for it"
    if not study.source:
        return "demo", f"scale='auto' chose it: {study.dataset} have no other"
    if not prepared:
        absent = f", and there is no folder '{data_dir}'" if data_dir and not os.path.isdir(data_dir) else ""
        return "demo", f"scale='auto' chose it: {study.dataset} is not prepared on this machine{absent}"
    if not accelerators():
        return "demo", f"scale='auto' chose it: {study.dataset} is here, but no accelerator"
    return "paper", f"scale='auto' chose it: {study.dataset} is prepared, and there is {accelerators()[0]}"


def _check_option_names(options, head):
    """Check that the head, recipes or data take options of these names; raise ValueError with the valid ones."""
    if options is not None and not isinstance(options, dict):
        raise ValueError(
            f"options must be a mapping of names to values; received {options!r}. "
            'With papermill: -y "options: {name: value}".'
        )
    valid = [*head.arguments, *RECIPE_OPTIONS, *DATA_OPTIONS, *EMBEDDED_OPTIONS]
    for name in options or {}:
        if name not in valid:
            raise ValueError(f"Unknown option '{name}' for head '{head.name}'. Valid options: {', '.join(valid)}.")


def _check_value(name, value, valid):
    """The value, if it is one of the valid ones; a number in the type of those it is between."""
    if isinstance(valid, Between):
        return valid.value(name, value)
    if not any(type(value) is type(other) and value == other for other in valid):
        raise ValueError(f"Option '{name}' must be one of {', '.join(map(str, valid))}; received {value!r}.")
    return value


def _with_option(recipe, name, value):
    if name == "weights":
        return dataclasses.replace(recipe, weights=None if value == "none" else value)
    if name == "jit_compile" and value and keras.backend.backend() == "tensorflow" and not accelerators():
        raise ValueError(
            "Option 'jit_compile' can't be True with TensorFlow on a CPU, where XLA is several times slower; leave it "
            "out."
        )
    if name not in OF_AUGMENTATION:
        return dataclasses.replace(recipe, **{name: value})
    if recipe.augmentation is None:
        raise ValueError(f"Option '{name}' is about the augmentation, and this recipe has none.")
    return dataclasses.replace(recipe, augmentation=dataclasses.replace(recipe.augmentation, **{name: value}))


def _check_folder(folder):
    """Check that a run can be kept in its folder; raise OSError. A run that is there already need only be read."""
    if (folder / runs.RECORD).exists():
        return
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OSError(
            f"The run can't be kept in '{folder}': '{existing}' is no folder that can be written. Give another with "
            "runs_dir, or set WISESR_RUNS."
        )


class Experiment:
    """One run of a study: one head on one backbone at one scale. All arguments are checked before anything is loaded.

    Args:
        study: One of ``ws.STUDIES``.
        head: One of ``ws.HEADS``; empty, for the report's study: the backbone's own.
        backbone: Empty: the study's first at paper scale, "small_patch" at demo and smoke.
        scale: "auto", "paper", "demo" or "smoke".
        seed: Seed of everything random, 0 to 2³² − 1.
        epochs: 0: the scale's own.
        data_dir: Where data is looked for first, and where it is kept prepared; empty: a per-user cache folder.
        runs_dir: Where runs are kept; empty: see :func:`wisesr_helpers.training.runs.default_runs_dir`.
        overwrite: True: train a finished run again; an interrupted one goes on all the same.
        options: Name → value: further options of the head, the recipe and the data.
        dataset: Which one, for a study with several datasets.

    Attributes:
        spec: ``RunSpec``, everything above resolved.
        parameters: ``RunParameters``: what tells the run from others.
        recipe: ``Recipe`` that it is trained by.
        folder: Where the run is kept, a ``pathlib.Path``.
        shown_folder: The same as people read it.
        command: The command that makes this run.

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
        self.spec = resolve(study, head, backbone, scale, seed, epochs, data_dir, runs_dir, overwrite, options, dataset)
        self.parameters, self.recipe, self.folder = self.spec.parameters, self.spec.recipe, self.spec.folder
        self.shown_folder, self.command = self.spec.shown_folder, self.spec.command

    @property
    def note(self):
        """What figures of this run say about its data; empty at paper scale."""
        return DEMO_NOTE if self.spec.plan else ""

    @functools.cached_property
    def dataset(self):
        """``Dataset`` of the scale, made or loaded when first asked for."""
        spec = self.spec
        if spec.plan is None:
            return load_dataset(spec.study.source, spec.image_size, spec.data_dir, **spec.data_options)
        if spec.plan.data == "digits":
            return digits_dataset(spec.image_size, spec.plan.train, spec.plan.test)
        folder = None if spec.parameters.scale == "smoke" else (spec.data_dir or default_cache()) / "scenes"
        size, plan, third = spec.image_size, spec.plan, spec.data_options.get("test_third", "last")
        return scenes_dataset(size, plan.classes, plan.train, plan.test, folder=folder, test_third=third)

    def announce(self):
        """Print what was chosen, why, and how to start the paper's scale."""
        announce(self.spec)

    def describe_data(self):
        """Print the dataset's counts, and everything that is wrong with it."""
        describe_data(self.spec, self.dataset)

    def build(self):
        """The untrained classifier; its weights are a function of the seed."""
        spec = self.spec
        classes = spec.plan.classes if spec.plan else len(self.dataset.classes)
        return seeded_classifier(spec.parameters, classes, spec.image_size, spec.recipe, spec.head_options)

    def head_steps(self, model):
        """The steps of a built model's head, for ``ws.plots.head_diagram``."""
        from wisesr_helpers.plots.heads import head_steps  # imports Keras

        names = [layer.name for layer in model.layers]
        features = names.index("features")
        return head_steps(model.layers[features + 1 :], model.layers[features].output.shape[1:])

    def run(self):
        """Train this run and keep its record and weights; a finished run is loaded instead.

        Returns:
            RunResult.

        Raises:
            Held, ValueError, OSError, MemoryError: As :func:`wisesr_helpers.studies.run.train_run`.
        """
        from wisesr_helpers.studies.report import describe_result  # which imports this module

        result = finished_run(self.spec, vars(self).get("dataset")) or train_run(self.spec, self.dataset)
        tell(f"{describe_result(result)}\nThe run is in {self.shown_folder}.")
        return result

    def load(self, epoch="final"):
        """The trained classifier of this run: see :func:`wisesr_helpers.training.runs.load_classifier`."""
        return runs.load_classifier(self.folder, epoch)


class Rows:
    """Several runs of a study as the rows of a table, such as one head with and without an option.

    All rows are checked before the first one is trained.

    Args:
        study: One of ``ws.STUDIES``.
        rows: Title → the row's keywords of ``ws.Experiment``.
        only: Title of the one row to run; empty: all.
        **common: Keywords of ``ws.Experiment`` for all rows; a row's own come first.

    Raises:
        ValueError: There is no row of that title, or a row has a value that can't be used.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
        OSError: The runs folder can't be written.
    """

    @refusing()
    def __init__(self, study, rows, only="", **common):
        if only and only not in rows:
            titles = ", ".join(f"'{title}'" for title in rows)
            raise ValueError(f"There is no row '{only}'. Valid rows: {titles}; empty for all.")
        chosen = {title: typed for title, typed in rows.items() if only in ("", title)}
        self.experiments = {title: Experiment(study, **{**common, **typed}) for title, typed in chosen.items()}

    @property
    def first(self):
        """The first row's ``Experiment``; all rows share its study, scale and data."""
        return next(iter(self.experiments.values()))

    @property
    def note(self):
        """What figures of these runs say about their data; empty at paper scale."""
        return self.first.note

    def announce(self, notebook=""):
        """Print what was chosen, why, and which rows there are.

        Args:
            notebook: Name of the notebook that runs them and has a parameter ``study``; empty: the study's own.
        """
        spec = self.first.spec
        announce(spec, notebook)
        titles = ", ".join(f"'{title}'" for title in self.experiments)
        print(f"The same for {how_many(len(self.experiments), 'row')}: {titles}.")
        if spec.plan:
            print(f"All of them: about {duration(demo_seconds(spec) * len(self.experiments))} on two cores.")

    def run(self):
        """Train every row that is not finished, one after the other.

        Returns:
            DataFrame as ``ws.load_runs`` returns it, with the rows' titles in a first column "row".

        Raises:
            Held, ValueError, OSError, MemoryError: As :func:`wisesr_helpers.studies.run.train_run`; finished rows stay.
        """
        results = []
        for title, experiment in self.experiments.items():
            say(f"{title}:")
            results.append(experiment.run())
        table = runs.as_table(results)
        table.insert(0, "row", list(self.experiments))
        return table
