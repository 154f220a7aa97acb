"""Runs on disk: their records, on which machine and commit they were made, and their trained classifiers."""

import base64
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import operator
import os
import pathlib
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.storage import devices, usable_cores, whole_path, write_whole
from wisesr_helpers.versions import are_current

SCHEMA = 3
READABLE = (2, SCHEMA)  # 2 has a hash of the code in place of versions: such a run is an older one
RECORD = "record.json"
FINAL_MODEL = "model.keras"  # with the weights of the last whole epoch
BEST_MODEL = "best.keras"  # with those of the best epoch, where it is another
CLASS_NAMES = "class_names.json"  # in the archive that a .keras file is; Keras passes over it


@dataclasses.dataclass(frozen=True)
class RunParameters:
    """The parameters that identify a run.

    Attributes:
        study: One of ``ws.STUDIES``.
        scale: "paper", "demo" or "smoke".
        backbone: Its Keras name, or one of the small ones.
        head: One of ``ws.HEADS``.
        seed: Of the weights, the order of the images and every other random number.
        options: Options that differ from the defaults.
        dataset: Name of the dataset in a study where it varies, else empty.
    """

    study: str
    scale: str
    backbone: str
    head: str
    seed: int
    options: Mapping = dataclasses.field(default_factory=dict)
    dataset: str = ""

    @property
    def identity(self):
        """The run's name: ``mit_512--demo--small_patch--wise--s0``, with 8 hex digits if there are options."""
        parts = [self.study, self.dataset, self.scale, self.backbone, self.head, f"s{self.seed}"]
        if self.options:
            parts.append(hashlib.sha256(canonical(dict(self.options)).encode()).hexdigest()[:8])
        return "--".join(part for part in parts if part)


# Keys that a record must have, since pages and tables read them without checking.
_EVALUATION = operator.itemgetter("epoch", "top1", "top5", "top1_correct", "count")
_EXECUTION = operator.itemgetter(
    *("backend", "device", "machine", "threads", "versions", "commit", "clean", "command", "seconds")
)


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A run as its record holds it: the only way in which code reads a record.

    Attributes:
        identity: The run's name, see :attr:`RunParameters.identity`.
        study, scale, backbone, head, seed, options: As in ``RunParameters``.
        chosen_dataset: Its ``dataset``: empty in a study that has only one.
        dataset: Name of the data as readers know it.
        photographs: Whether the data are photographs; embedded images are not.
        data_fingerprint: SHA-256 of images, labels and class names.
        classes: Class names.
        train_images: Number of training images.
        test_images: Number of test images.
        image_size: (height, width) in pixels.
        params: Number of weights of the model, trainable or not.
        flops: Floating-point operations for one image, as Table 1 counts them.
        feature_map: (h, w, C) of the last feature map.
        recipe: The recipe's fields.
        history: One mapping per whole epoch: epoch (from 1), learning_rate, loss, top1, top5 (training), test_loss,
            test_top1, test_top5.
        status: "complete", "running" or "diverged".
        divergence: None, or where it diverged: epoch, step (from 1), loss (last finite one or None), learning_rate.
        final: None before the first whole epoch, else the last epoch's epoch, loss, top1, top5, top1_correct,
            top5_correct and count (test images).
        best: The same for the epoch with the highest test top-1. It was chosen on the test set, so it is optimistic.
        correct: Which test images are right after the last whole epoch, as packed bits in base64; see :attr:`right`.
        outcome_sha256: SHA-256 of the record's outcome.
        execution: When, where and how fast: device, threads, versions, commit, command, seconds, ….
        folder: The folder of the record's file.
    """

    identity: str
    study: str
    scale: str
    backbone: str
    head: str
    seed: int
    options: Mapping
    chosen_dataset: str
    dataset: str
    photographs: bool
    data_fingerprint: str
    classes: tuple
    train_images: int
    test_images: int
    image_size: tuple
    params: int
    flops: int
    feature_map: tuple
    recipe: Mapping
    history: tuple
    status: str
    divergence: Mapping | None
    final: Mapping | None
    best: Mapping | None
    correct: str
    outcome_sha256: str
    execution: Mapping
    folder: pathlib.Path = dataclasses.field(compare=False)

    @classmethod
    def from_record(cls, record, path):
        """The run of a record, the dict of the JSON file ``path``; ValueError where a key is missing."""
        try:
            outcome, execution = record["outcome"], record["execution"]
            parameters, data, model = dict(outcome["parameters"]), outcome["dataset"], outcome["model"]
            for end in filter(None, (outcome["final"], outcome["best"])):
                _EVALUATION(end)
            _EXECUTION(execution)
            return cls(
                identity=record["identity"],
                chosen_dataset=parameters.pop("dataset"),
                **parameters,
                dataset=data["name"],
                photographs=data["photographs"],
                data_fingerprint=data["fingerprint"],
                classes=tuple(data["classes"]),
                train_images=data["train"],
                test_images=data["test"],
                image_size=tuple(data["image_size"]),
                params=model["params"],
                flops=model["flops"],
                feature_map=tuple(model["feature_map"]),
                recipe={"epochs": outcome["recipe"]["epochs"], **outcome["recipe"]},
                history=tuple(outcome["history"]),
                outcome_sha256=record["outcome_sha256"],
                execution=execution,
                folder=path.parent,
                **{name: outcome[name] for name in ("status", "divergence", "final", "best", "correct")},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _no_record(path, error) from error

    @property
    def epochs(self):
        """Number of whole epochs."""
        return len(self.history)

    @property
    def planned_epochs(self):
        """Number of epochs asked for."""
        return self.recipe["epochs"]

    @property
    def top1(self):
        """Top-1 on the test set after the last whole epoch, a fraction; None before the first."""
        return self.final and self.final["top1"]

    @property
    def top5(self):
        """The same for top-5."""
        return self.final and self.final["top5"]

    @property
    def correct_images(self):
        """Test images that are right after the last whole epoch; None before the first."""
        return self.final and self.final["top1_correct"]

    @property
    def best_top1(self):
        """Top-1 of the best epoch, which was chosen on the test set; None before the first."""
        return self.best and self.best["top1"]

    @property
    def right(self):
        """Which test images are right after the last whole epoch: bool array (N,).

        Raises:
            ValueError: There is no whole epoch.
        """
        if not self.correct:
            raise ValueError(
                f"The run '{self.identity}' has no whole epoch, so no test image was classified. Train it with another "
                "seed."
            )
        return unpack(self.correct, self.test_images)

    @property
    def chance(self):
        """Expected top-1 of guessing: 1 / classes."""
        return 1 / len(self.classes)

    @property
    def ending(self):
        """How it ended, in words: "complete", "running (4 of 20 epochs)" or "diverged in epoch 3"."""
        if self.status == "running":
            return f"running ({self.epochs} of {self.planned_epochs} epochs)"
        return self.status + (f" in epoch {self.divergence['epoch']}" if self.divergence else "")

    @property
    def older(self):
        """Whether an older version of the code made it, so that today's code may give another result."""
        return not are_current(self.execution.get("behaviour"))

    @property
    def note(self):
        """The note on its data that figures of the run carry; empty for photographs."""
        return "" if self.photographs else DEMO_NOTE


def canonical(value):
    """JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def outcome_hash(outcome):
    """SHA-256 of an outcome, hexadecimal."""
    return hashlib.sha256(canonical(outcome).encode()).hexdigest()


def pack(mask):
    """A bool array (N,) as text for a record: eight values a byte, in base64."""
    return base64.b64encode(np.packbits(mask).tobytes()).decode()


def unpack(text, count):
    """The bool array (count,) of which :func:`pack` made ``text``."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)


def project_root():
    """The checkout that this package is imported from, or None."""
    root = pathlib.Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").exists() and (root / "notebooks").is_dir() else None


def default_runs_dir():
    """``WISESR_RUNS`` if set, else ``runs/`` of the project, or of the working directory outside a checkout."""
    chosen = os.environ.get("WISESR_RUNS") or (project_root() or pathlib.Path.cwd()) / "runs"
    return pathlib.Path(chosen).expanduser()


def shown(path):
    """A path for messages: relative to the project or the working directory if inside it, else with ``~`` for home."""
    path = pathlib.Path(path).resolve()
    for base in (project_root(), pathlib.Path.cwd().resolve()):
        if base and path.is_relative_to(base):
            return str(path.relative_to(base))
    home = pathlib.Path.home().resolve()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def write_record(folder, outcome, execution):
    """Write a run's record, whole or not at all, to its folder, which is made if missing; returns its ``RunResult``.

    The ``outcome`` is what the command determines: the same bytes each time that it is run on one machine. The
    ``execution`` is machine, versions, commit and times. An OSError says what to do.
    """
    folder = pathlib.Path(folder)
    record = {
        "schema": SCHEMA,
        "identity": folder.name,
        "outcome": outcome,
        "outcome_sha256": outcome_hash(outcome),
        "execution": execution,
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / RECORD, text)
    return RunResult.from_record(json.loads(text), folder / RECORD)


@contextlib.contextmanager
def write_errors(folder, what="The run"):
    """Replace an OSError of the block, which writes ``what`` to a run's folder, by one that says what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{what} can't be kept in '{folder}' ({error.strerror or error}). What was saved before stays good. Make "
            "room there or make the folder writable, and type the same command again: it goes on from there. Or give "
            "another folder with runs_dir or WISESR_RUNS."
        ) from error


def read_run(path):
    """The :class:`RunResult` of a record's file, or of the run's folder; of schema 2 always an ``older`` one.

    OSError where the file can't be read; ValueError where it is no record of a readable schema, or its outcome was
    changed by hand.
    """
    path = pathlib.Path(path)
    path = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema, outcome, digest = record["schema"], record["outcome"], record["outcome_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise _no_record(path, error) from error
    if schema not in READABLE:
        raise ValueError(
            f"'{path}' has schema {schema}; this version reads {' and '.join(map(str, READABLE))}. Train the run again."
        )
    try:
        found = outcome_hash(outcome)
    except ValueError:
        found = "none, because a value is not finite"
    if found != digest:
        raise ValueError(
            f"The outcome in '{path}' was changed after it was written: its SHA-256 is {found}, "
            f"the record says {digest}. Train the run again."
        )
    return RunResult.from_record(record, path)


def _no_record(path, error):
    return ValueError(f"'{path}' is no record of a run ({error}). Move it elsewhere, or train the run again.")


def load_runs(*folders, skipped=None):
    """Records as a table, one row per run.

    Args:
        *folders: Folders with records, as ``*.json`` or in run folders; one that does not exist holds no runs.
        skipped: None (default): a file that is no record is an error. A list: such a file is skipped, and a sentence
            that names it and says what is wrong is appended to the list.

    Returns:
        DataFrame: study, dataset, scale, backbone, head, seed, options (JSON, "" for none), status, top1, top5
        (final epoch, fractions of the test split), best_top1, correct, images (of the test split), epochs, params,
        commit, identity, folder, run (``RunResult``).
        A run found in several folders is listed once, from the first.

    Raises:
        ValueError: A folder is a file; without ``skipped``, also a file in it that is no record, see
            :func:`read_run`.
        OSError: Without ``skipped``, a file that can't be read.
    """
    found = {}
    for folder in (pathlib.Path(folder).expanduser() for folder in folders):
        if folder.is_file():
            raise ValueError(f"load_runs takes folders with records; '{folder}' is a file.")
        for path in sorted([*folder.glob("*.json"), *folder.glob(f"*/{RECORD}")]):
            try:
                run = read_run(path)
            except (OSError, ValueError) as error:
                if skipped is None:
                    raise
                reason = f"'{path}' can't be read ({error.strerror})." if isinstance(error, OSError) else str(error)
                skipped.append(reason.replace(str(folder), shown(folder)))
                continue
            found.setdefault(run.identity, (run, folder))
    runs, folders = [run for run, _ in found.values()], [str(folder) for _, folder in found.values()]
    return as_table(runs).assign(folder=folders)


_COLUMNS = (
    "study dataset scale backbone head seed options status top1 top5 best_top1 correct images epochs params commit "
    "identity folder run"
).split()


def as_table(runs):
    """``RunResult`` objects as a table like :func:`load_runs`', in their order."""
    import pandas as pd

    rows = [
        {
            **{name: getattr(run, name, None) for name in _COLUMNS},
            "options": json.dumps(run.options, sort_keys=True) if run.options else "",
            "correct": run.correct_images,
            "images": run.final and run.final["count"],
            "commit": run.execution["commit"],
            "folder": str(run.folder.parent),
            "run": run,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


# The commit and the machine of a run.


def git_state(besides="results"):
    """(commit, whether the tree is clean, ``besides`` a folder) of the project; (None, None) outside a checkout."""
    root = project_root()
    if root is None:
        return None, None

    def git(*words):
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".", f":!{besides}") == ""
    except (OSError, subprocess.CalledProcessError):
        return None, None


def environment():
    """Versions and machine of this process, for a record's execution."""
    versions = {"python": platform.python_version()}
    packages = "wisesr_helpers keras numpy opencv-python-headless opencv-python pillow tensorflow tensorflow-cpu jax"
    for package in packages.split():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    commit, clean = git_state()
    return {
        "backend": keras.backend.backend(),
        "device": ", ".join(devices()),
        "machine": f"{platform.machine()}, {platform.system()}",
        "processor": _processor(),
        "threads": usable_cores(),
        "versions": versions,
        "commit": commit,
        "clean": clean,
    }


def _processor():
    """The processor's name, where the machine tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def save_classifier(model, path):
    """Save a classifier with its ``class_names`` as one ``.keras`` file, without its optimiser's state.

    ``keras.models.load_model`` can load it, too. OSError where it can't be written; what stood there before stays.
    """
    with whole_path(path) as temporary:
        keras.Model(model.inputs, model.outputs, name=model.name).save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(CLASS_NAMES, json.dumps(list(model.class_names)))


def load_classifier(run, epoch="final"):
    """The trained classifier of a run, or the one that a file holds.

    Args:
        run: The run's folder, a str or path; or a ``.keras`` file.
        epoch: Of a folder: "final" (default): with the weights of the last epoch. "best": of the epoch with the
            highest top-1 on the test split; it was chosen on that split, so its accuracy is optimistic.

    Returns:
        ``keras.Model``: uint8 or float RGB (N, H, W, 3), 0..255, in; float32 (N, classes) out. Its attribute
        ``class_names``, a tuple in the order of the outputs, is set if the file or the run's record has as many names
        as the model has outputs.

    Raises:
        ValueError: ``epoch`` is neither, ``run`` is another file, or the model's file can't be loaded.
        FileNotFoundError: The folder doesn't exist or holds no trained classifier, or the best epoch's was not kept.
    """
    from wisesr_helpers import layers  # noqa: F401 — registers what the file is made of

    if epoch not in ("final", "best"):
        raise ValueError(f"epoch must be 'final' (the last one) or 'best'; received {epoch!r}.")
    given = pathlib.Path(run).expanduser()
    if given.is_file() and given.suffix != ".keras":
        raise ValueError(f"load_classifier takes a run's folder or a .keras file; '{run}' is another file.")
    if not given.exists():
        raise FileNotFoundError(
            f"There is no folder or file '{run}'. Give a run's folder, such as "
            "'runs/mit_512--demo--small_patch--wise--s0', or a .keras file."
        )
    folder = given.parent if given.is_file() else given
    try:
        record = read_run(folder)
    except (OSError, ValueError):
        record = None
    path = given if given.is_file() else _model_file(folder, epoch, record)
    try:
        model = keras.models.load_model(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make Keras fail in any of its readers, in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        again = "Keep it again" if given.is_file() else "Train the run again with overwrite=True"
        raise ValueError(
            f"'{path}' can't be loaded: it is damaged, or was saved by a newer version ({reason}). {again}."
        ) from error
    of_run = record is not None and path.name in (FINAL_MODEL, BEST_MODEL)
    names = _kept_names(path) or (tuple(record.classes) if of_run else ())
    if len(names) == model.output_shape[-1]:
        model.class_names = names
    return model


def _kept_names(path):
    """The class names in a ``.keras`` file; () where there are none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(json.loads(archive.read(CLASS_NAMES)))
    except (KeyError, OSError, ValueError, zipfile.BadZipFile):
        return ()


def _model_file(folder, epoch, record):
    """The file of that epoch's classifier; FileNotFoundError if the folder has none."""
    final, best = folder / FINAL_MODEL, folder / BEST_MODEL
    if epoch == "best" and best.exists():
        return best
    if not final.exists():
        raise FileNotFoundError(f"'{folder}' holds no trained classifier ({final.name}). Train the run first.")
    if epoch == "final":
        return final
    known = "no record that can be read says which it was"
    if record is not None and record.best:
        if record.best["epoch"] == record.final["epoch"]:
            return final
        known = f"the best epoch is {record.best['epoch']}, the last {record.final['epoch']}"
    raise FileNotFoundError(
        f"'{folder}' does not hold the classifier of the best epoch ({best.name}; {known}). Take epoch='final', or "
        "train the run again with overwrite=True."
    )


if __name__ == "__main__":  # python -m wisesr_helpers.training.runs import FOLDER
    from wisesr_helpers.studies import collect  # which knows what studies there are

    sys.exit(collect.main())
