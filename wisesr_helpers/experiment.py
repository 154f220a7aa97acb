"""One run of a study, from what the user typed to a record: what a study notebook drives."""

import base64
import dataclasses
import functools
import json
import os
import pathlib
import shlex

import numpy as np

from wisesr_helpers import progress, runs
from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import SMALL, check_backbone
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.data.cache import default_cache
from wisesr_helpers.data.scenes import scenes_dataset
from wisesr_helpers.diagrams import head_steps
from wisesr_helpers.fingerprints import fingerprint
from wisesr_helpers.heads import get_head
from wisesr_helpers.models import build_classifier, load_classifier
from wisesr_helpers.recipes import Recipe
from wisesr_helpers.studies import DEMO_NOTE, get_study
from wisesr_helpers.training import train

SCALES = ("paper", "demo", "smoke")


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
        data_dir: Where prepared data is kept; empty: a per-user cache folder.
        runs_dir: Where runs are kept; empty: see :func:`wisesr_helpers.runs.default_runs_dir`.
        overwrite: Train a finished run again.
        options: Further options of the head, by name.

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
    ):
        self.study = get_study(study)
        self.head = get_head(head)
        if backbone:
            check_backbone(backbone)
        self.scale, self.reason = self._choose_scale(scale)
        _check_whole("seed", seed, most=2**32 - 1)
        _check_whole("epochs", epochs)
        if not isinstance(overwrite, bool):
            raise ValueError(f"overwrite must be True or False; received {overwrite!r}.")
        self._check_options(options)
        self.options = dict(options or {})
        self.backbone = backbone or "small_patch"
        plan = self.study.smoke if self.scale == "smoke" else self.study.demo
        self.plan = plan
        self.recipe = dataclasses.replace(plan.recipe, epochs=epochs or plan.recipe.epochs)
        self.parameters = runs.RunParameters(self.study.name, self.scale, self.backbone, head, seed, self.options)
        self.data_dir = pathlib.Path(data_dir).expanduser() if data_dir else default_cache()
        self.folder = (
            pathlib.Path(runs_dir).expanduser() if runs_dir else runs.default_runs_dir()
        ) / self.parameters.identity
        self.overwrite = overwrite
        self._check_folder()

    def _check_folder(self):
        """Refuse a runs folder that can't be written before an epoch is spent on it."""
        existing = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise OSError(
                f"The run can't be kept in '{self.folder}': '{existing}' is no folder that can be written. Give "
                "another with runs_dir, or set WISESR_RUNS."
            )

    def _choose_scale(self, scale):
        asked = scale
        if scale == "auto":
            asked = os.environ.get("WISESR_SCALE", "auto")
        if asked not in ("auto", *SCALES):
            where = "WISESR_SCALE" if scale == "auto" else "scale"
            raise ValueError(f"Unknown {where} '{asked}'. Valid scales: auto, {', '.join(SCALES)}.")
        if asked == "paper":
            raise FileNotFoundError(
                f"scale='paper' needs {self.study.dataset}, and this version can't load it yet: its loader is not "
                "written. scale='demo' runs now, on the embedded scenes."
            )
        if asked == "auto":
            return "demo", f"scale='auto' chose it: {self.study.dataset} is not prepared on this machine"
        return asked, "as asked" if scale == asked else "WISESR_SCALE asks for it"

    def _check_options(self, options):
        if options is not None and not isinstance(options, dict):
            raise ValueError(
                f"options must be a mapping of names to values; received {options!r}. "
                'With papermill: -y "options: {name: value}".'
            )
        for option in options or {}:
            if option not in self.head.options:
                valid = ", ".join(self.head.options) or "none"
                raise ValueError(f"Unknown option '{option}' for head '{self.head.name}'. Valid options: {valid}.")

    @property
    def note(self):
        """What figures of this run have to say about its data."""
        return DEMO_NOTE if not self.dataset.photographs else ""

    @property
    def shown_folder(self):
        """The run's folder, as people read it."""
        return runs.shown(self.folder)

    @property
    def command(self):
        """The command that makes this run."""
        words = ["papermill", f"notebooks/{self.study.name}.ipynb", f"runs/{self.parameters.identity}.ipynb"]
        for name in ("head", "backbone", "scale", "seed"):
            words += ["-p", name, str(getattr(self.parameters, name))]
        if self.recipe.epochs != self.plan.recipe.epochs:
            words += ["-p", "epochs", str(self.recipe.epochs)]
        if self.options:
            words += ["-y", f"options: {json.dumps(self.options)}"]
        return shlex.join(words)

    def announce(self):
        """Print what was chosen, why, and how to start the paper's scale."""
        study, plan, recipe = self.study, self.plan, self.recipe
        print(f"Scale: {self.scale} ({DEMO_NOTE}); {self.reason}.")
        print(
            f"Data: {plan.train} + {plan.test} embedded scenes of {study.image_size}×{study.image_size} pixels in "
            f"{plan.classes} classes, drawn from scikit-learn's handwritten digits; no photographs."
        )
        print(f"Model: {self.backbone} + {self.head.name} ({self.head.description}).")
        staircase = f"{recipe.learning_rate} × {recipe.decay_rate} every {_count(recipe.decay_epochs, 'epoch')}"
        print(
            f"Recipe: {recipe.epochs} epochs, batch {recipe.batch_size}, SGD with momentum {recipe.momentum}, "
            f"learning rate {staircase}, no augmentation."
        )
        if self.backbone in SMALL:
            minutes = plan.minutes * recipe.epochs / plan.recipe.epochs
            print(f"Time: about {progress.duration(60 * minutes)} on two cores.")
        else:
            print("Time: estimated after the first steps.")
        print(
            f"The paper's scale ({study.dataset}, {study.backbones[0]}, {study.recipe.epochs} epochs, a GPU; its "
            "loader is not part of this version yet):\n"
            f"  papermill notebooks/{study.name}.ipynb runs/out.ipynb -p head {self.head.name} -p scale paper"
        )

    @functools.cached_property
    def dataset(self):
        """The scale's dataset, made or loaded when first asked for."""
        folder = None if self.scale == "smoke" else self.data_dir / "scenes"
        return scenes_dataset(self.study.image_size, self.plan.classes, self.plan.train, self.plan.test, folder=folder)

    def build(self):
        """The untrained classifier; its weights are a function of the seed."""
        return seeded_classifier(self.parameters, self.plan.classes, self.study.image_size)

    def head_steps(self, model):
        """The steps of a built model's head, for its diagram."""
        names = [layer.name for layer in model.layers]
        features = names.index("features")
        return head_steps(model.layers[features + 1 :], model.layers[features].output.shape[1:])

    @property
    def fingerprint(self):
        """Hash of everything that determines the outcome but the machine: parameters, data plan, recipe, code."""
        code = [seeded_classifier, self.head.build, scenes_dataset, train, Recipe, outcome_of]
        code += [SMALL[self.backbone]] if self.backbone in SMALL else []
        return fingerprint(
            *code,
            parameters=dataclasses.asdict(self.parameters),
            recipe=dataclasses.asdict(self.recipe),
            data=[self.study.image_size, self.plan.classes, self.plan.train, self.plan.test],
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


def seeded_classifier(parameters, classes, image_size):
    """The untrained classifier of a run, its weights drawn from the run's seed."""
    keras.utils.set_random_seed(parameters.seed)
    return build_classifier(parameters.backbone, parameters.head, classes, image_size, **parameters.options)


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
