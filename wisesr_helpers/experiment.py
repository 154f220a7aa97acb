"""One run of a study, from what the user typed to a record: what a study notebook drives."""

import base64
import dataclasses
import functools
import json
import os
import pathlib
import shlex

import numpy as np

from wisesr_helpers import runs
from wisesr_helpers._keras import keras
from wisesr_helpers.announce import announce, describe_data
from wisesr_helpers.backbones import SMALL, check_backbone
from wisesr_helpers.choices import RECIPE_OPTIONS, check_options, choose_scale
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.data.cache import default_cache
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.data.scenes import scenes_dataset
from wisesr_helpers.diagrams import head_steps
from wisesr_helpers.fingerprints import fingerprint
from wisesr_helpers.heads import get_head
from wisesr_helpers.models import build_classifier, load_classifier
from wisesr_helpers.recipes import Recipe
from wisesr_helpers.studies import DEMO_NOTE, get_study
from wisesr_helpers.training import train


class Experiment:
    """A run of a study: one head on one backbone at one scale.

    Everything typed is checked here, before anything is loaded.

    Args:
        study: One of ``ws.STUDIES``.
        head: One of ``ws.HEADS``.
        backbone: Empty: the study's first at paper scale, "small_patch" at demo and smoke.
        scale: "auto", "paper", "demo" or "smoke".
        seed: Of everything random, 0 or more.
        epochs: 0: the scale's own.
        data_dir: Where data is looked for first, and where it is kept prepared; empty: a per-user cache folder.
        runs_dir: Where runs are kept; empty: see :func:`wisesr_helpers.runs.default_runs_dir`.
        overwrite: Train a finished run again.
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
        self.head = get_head(head)
        if backbone:
            check_backbone(backbone)
        _check_whole("seed", seed, most=2**32 - 1)
        _check_whole("epochs", epochs)
        if not isinstance(overwrite, bool):
            raise ValueError(f"overwrite must be True or False; received {overwrite!r}.")
        check_options(options, self.head, self.study.recipe)
        self.data_dir = pathlib.Path(data_dir).expanduser() if data_dir else None
        self.scale, self.reason = choose_scale(scale, self.study, backbone, self.data_dir)
        self.plan = {"paper": None, "demo": self.study.demo, "smoke": self.study.smoke}[self.scale]
        self.backbone = backbone or ("small_patch" if self.plan else self.study.backbones[0])
        self.image_size = self.study.size_for(self.backbone)
        self.own_recipe = self.plan.recipe if self.plan else self.study.recipe
        head_options, recipe, self.data_options = check_options(options, self.head, self.own_recipe)
        self.options = {name: value for name, value in (options or {}).items() if self._counts(name, value)}
        self.recipe = dataclasses.replace(recipe, epochs=epochs or recipe.epochs)
        self.parameters = runs.RunParameters(
            self.study.name, self.scale, self.backbone, head, seed, self.options, dataset
        )
        self.head_options = head_options
        self.runs_dir = pathlib.Path(runs_dir).expanduser() if runs_dir else None
        self.folder = (self.runs_dir or runs.default_runs_dir()) / self.parameters.identity
        self.overwrite = overwrite
        self._check_folder()

    def _counts(self, name, value):
        """Whether an option makes another run than the default: one whose value is the default does not."""
        if name in self.head.options:
            return True
        if name in RECIPE_OPTIONS:
            return check_options({name: value}, self.head, self.own_recipe)[1] != self.own_recipe
        return name in self.data_options

    def _check_folder(self):
        """Refuse a runs folder that can't be written before an epoch is spent on it."""
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
        folder = None if self.scale == "smoke" else (self.data_dir or default_cache()) / "scenes"
        return scenes_dataset(self.image_size, self.plan.classes, self.plan.train, self.plan.test, folder=folder)

    def build(self):
        """The untrained classifier; its weights are a function of the seed."""
        classes = self.plan.classes if self.plan else len(self.dataset.classes)
        return seeded_classifier(self.parameters, classes, self.image_size, self.recipe.weights, self.head_options)

    def head_steps(self, model):
        """The steps of a built model's head, for its diagram."""
        names = [layer.name for layer in model.layers]
        features = names.index("features")
        return head_steps(model.layers[features + 1 :], model.layers[features].output.shape[1:])

    @property
    def fingerprint(self):
        """Hash of everything that determines the outcome but the machine: parameters, data plan, recipe, code."""
        data = scenes_dataset if self.plan else load_dataset
        code = [seeded_classifier, self.head.build, data, train, Recipe, outcome_of]
        code += [SMALL[self.backbone]] if self.backbone in SMALL else []
        return fingerprint(
            *code,
            parameters=dataclasses.asdict(self.parameters),
            recipe=dataclasses.asdict(self.recipe),
            data=[
                self.image_size,
                *([self.plan.classes, self.plan.train, self.plan.test] if self.plan else [self.study.source]),
            ],
        )

    def finished(self):
        """The record of this run if it is finished with as many epochs as asked for, else None.

        Raises:
            ValueError: The run has more epochs than asked for; training it shorter would lose them.
        """
        if self.overwrite or not (self.folder / runs.RECORD).exists():
            return None
        record = runs.read_record(self.folder)
        done, status = len(record["outcome"]["history"]), record["outcome"]["status"]
        if done > self.recipe.epochs:
            raise ValueError(
                f"'{self.shown_folder}' holds {_count(done, 'epoch')} of this run already; epochs="
                f"{self.recipe.epochs} is fewer. Ask for at least {done}, or set overwrite to train it again."
            )
        if status == "running" or (status == "complete" and done < self.recipe.epochs):
            print(f"'{self.shown_folder}' holds {done} of {self.recipe.epochs} epochs; it is trained from the start.")
            return None
        return record

    def run(self):
        """Train, unless this run is finished, and keep the record.

        Returns:
            The record, a dict with ``outcome`` and ``execution``.
        """
        record = self.finished()
        if record is not None:
            print(f"Finished before, in '{self.shown_folder}': taken from there. overwrite=True trains it again.")
            if record["outcome"]["code"] != self.fingerprint:
                print("It was trained with other code than today's.")
            return record
        execution = {**runs.environment(), "command": self.command}
        model = self.build()

        def keep(training):
            outcome = outcome_of(self.parameters, self.dataset, model, self.recipe, training)
            return runs.write_record(
                self.folder, {**outcome, "code": self.fingerprint}, {**execution, "seconds": training.seconds}
            )

        training = train(model, self.dataset, self.recipe, self.parameters.seed, after_epoch=keep)
        model.save(self.folder / "model.keras")
        return keep(training)

    def load(self):
        """The trained classifier of this run."""
        return load_classifier(self.folder)


def seeded_classifier(parameters, classes, image_size, weights=None, options=None):
    """The untrained classifier of a run, its random weights drawn from the run's seed."""
    keras.utils.set_random_seed(parameters.seed)
    return build_classifier(
        parameters.backbone, parameters.head, classes, image_size, weights=weights, **(options or {})
    )


def outcome_of(parameters, dataset, model, recipe, training):
    """The half of a record that the command determines, without the code's fingerprint."""
    return {
        "parameters": dataclasses.asdict(parameters),
        "dataset": dataset.summary(),
        "model": {
            "params": count_params(model),
            "flops": count_flops(model),
            "feature_map": list(model.get_layer("features").output.shape[1:]),
        },
        "recipe": dataclasses.asdict(recipe),
        "history": training.history,
        "status": training.status,
        "final": training.final,
        "best": training.best,
        "correct": base64.b64encode(np.packbits(training.correct).tobytes()).decode(),
    }


def _check_whole(name, value, most=None):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most and value > most):
        bound = f"from 0 to {most}" if most else "0 or more"
        raise ValueError(f"{name} must be a whole number, {bound}; received {value!r}.")


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
