"""Runs on disk: their records, where they come from, and the classifiers kept with them."""

import base64
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping

import numpy as np

from wisesr_helpers.storage import devices, usable_cores, write_whole

# Runs: what names one, where it lives, and what its record holds.

SCHEMA = 3
READABLE = (2, SCHEMA)  # 2 had a hash of the code in place of versions: shown as older
RECORD = "record.json"
FINAL_MODEL = "model.keras"  # with the weights of the last whole epoch
BEST_MODEL = "best.keras"  # with those of the best epoch, where it is another


@dataclasses.dataclass(frozen=True)
class RunParameters:
    """What makes a run the run it is.

    Attributes:
        study: One of ``ws.STUDIES``.
        scale: "paper", "demo" or "smoke".
        backbone: Its Keras name, or one of the small ones.
        head: One of ``ws.HEADS``.
        seed: Of the weights, the order and every other random number.
        options: Options that differ from the defaults.
        dataset: Name of the dataset, for studies where it varies.
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
        """The run's name: ``mit_512--demo--small_patch--wise--s0``, and 8 hex digits if there are options."""
        parts = [self.study, self.dataset, self.scale, self.backbone, self.head, f"s{self.seed}"]
        if self.options:
            parts.append(hashlib.sha256(canonical(dict(self.options)).encode()).hexdigest()[:8])
        return "--".join(part for part in parts if part)


def canonical(value):
    """JSON text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def outcome_hash(outcome):
    """SHA-256 of an outcome, hexadecimal."""
    return hashlib.sha256(canonical(outcome).encode()).hexdigest()


def pack(mask):
    """A bool array (N,) as a record holds it: eight to the byte, in base64."""
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
    """A path as people read it: relative to the project or the working directory where it lies inside."""
    path = pathlib.Path(path).resolve()
    for base in (project_root(), pathlib.Path.cwd().resolve()):
        if base and path.is_relative_to(base):
            return str(path.relative_to(base))
    home = pathlib.Path.home().resolve()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def write_record(folder, outcome, execution):
    """Write a run's record so that it is there whole or not at all.

    Args:
        folder: The run's folder; made if missing.
        outcome: What the command determines: the same bytes whenever it is run on one machine.
        execution: When, where and how fast.

    Raises:
        OSError: The folder can't be written; the message says what to do.
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
    with kept(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / RECORD, text)
    return json.loads(text)


@contextlib.contextmanager
def kept(folder):
    """Say what to do where a run's folder can't be written.

    Raises:
        OSError: In place of the system's, with the folder and the ways to go on.
    """
    try:
        yield
    except OSError as error:
        raise OSError(
            f"The run can't be kept in '{folder}' ({error.strerror or error}). Make room there, or give a folder that "
            "can be written with runs_dir or WISESR_RUNS; whole epochs stay, and the same command goes on from them."
        ) from error


def read_record(path):
    """A record as a dict; ``path`` is its file or its run's folder.

    Raises:
        ValueError: The file is no record of this schema, or its outcome was changed by hand.
    """
    path = pathlib.Path(path)
    path = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema, outcome, digest = record["schema"], record["outcome"], record["outcome_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is no record of a run ({error}). Move it elsewhere, or train the run again."
        ) from error
    if schema not in READABLE:
        raise ValueError(
            f"'{path}' has schema {schema}; this version reads {' and '.join(map(str, READABLE))}. Train the run again."
        )
    try:
        found = outcome_hash(outcome)
    except ValueError:
        found = "none, for a value is not finite"
    if found != digest:
        raise ValueError(
            f"The outcome in '{path}' was changed after it was written: its SHA-256 is {found}, "
            f"the record says {digest}. Train the run again."
        )
    return record


def load_runs(*folders, skipped=None):
    """Records as a table, one row a run.

    Args:
        *folders: Folders with records, as ``*.json`` or as run folders; one that does not exist holds no runs.
        skipped: None: a file that is no record is an error. A list: such a file is passed over, and a sentence
            with its name and what is wrong with it is appended here.

    Returns:
        DataFrame: study, dataset, scale, backbone, head, seed, options (JSON, "" for none), status, top1, top5
        (final epoch, fractions of the test split), best_top1, correct, images (of the test split), epochs, params,
        commit, identity, folder, record.
        A run that stands in several folders is listed once, from the first.

    Raises:
        ValueError: A folder is a file; without ``skipped``, also a file in it that is no record, as
            :func:`read_record` says.
        OSError: Without ``skipped``, a file that can't be read.
    """
    import pandas as pd

    rows = {}
    for folder in (pathlib.Path(folder).expanduser() for folder in folders):
        if folder.is_file():
            raise ValueError(f"load_runs takes folders with records; '{folder}' is a file.")
        for path in sorted([*folder.glob("*.json"), *folder.glob(f"*/{RECORD}")]):
            try:
                row = _row(read_record(path), path, folder)
            except (OSError, ValueError) as error:
                if skipped is None:
                    raise
                said = f"'{path}' can't be read ({error.strerror})." if isinstance(error, OSError) else str(error)
                skipped.append(said.replace(str(folder), shown(folder)))
                continue
            rows.setdefault(row["identity"], row)
    return pd.DataFrame(list(rows.values()), columns=_COLUMNS)


_COLUMNS = (
    "study dataset scale backbone head seed options status top1 top5 best_top1 correct images epochs params commit "
    "identity folder record"
).split()


# What pages and tables read from a record, by the part of it that holds it.
_READ = {
    "outcome": "status divergence final best history",
    "outcome.parameters": "study scale backbone head seed options",
    "outcome.dataset": "name photographs classes train test",
    "outcome.model": "params",
    "outcome.recipe": "epochs",
    "outcome.final": "top1 top5 top1_correct count epoch",
    "outcome.best": "top1 epoch",
    "execution": "backend device machine threads commit clean command seconds",
    "execution.versions": "python keras",
}


def as_table(records):
    """Records that are at hand as a table, in their order.

    Args:
        records: Pairs (record, the run's folder).

    Returns:
        DataFrame as :func:`load_runs` returns it.
    """
    import pandas as pd

    rows = [_row(record, folder / RECORD, folder.parent) for record, folder in records]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _row(record, path, folder):
    for part, keys in {"": "identity outcome execution", **_READ}.items():
        held = record
        for key in filter(None, part.split(".")):
            held = held[key] if isinstance(held, dict) and key in held else ()
        if held is None and part in ("outcome.final", "outcome.best"):  # of a run without an epoch
            continue
        missing = [key for key in keys.split() if not isinstance(held, dict) or key not in held]
        if missing:
            raise ValueError(
                f"'{path}' is no record of a run ({part or 'it'} has no {', '.join(missing)}). Move it elsewhere, or "
                "train the run again."
            )
    outcome, execution = record["outcome"], record["execution"]
    options = outcome["parameters"]["options"]
    final = outcome["final"] or {"top1": None, "top5": None, "top1_correct": None, "count": None}
    return {
        **{key: outcome["parameters"][key] for key in ("study", "scale", "backbone", "head", "seed")},
        "dataset": outcome["dataset"]["name"],
        "options": json.dumps(options, sort_keys=True) if options else "",
        "status": outcome["status"],
        "top1": final["top1"],
        "top5": final["top5"],
        "best_top1": outcome["best"] and outcome["best"]["top1"],
        "correct": final["top1_correct"],
        "images": final["count"],
        "epochs": len(outcome["history"]),
        "params": outcome["model"]["params"],
        "commit": execution["commit"],
        "identity": record["identity"],
        "folder": str(folder),
        "record": record,
    }


def was_right(record):
    """Which test images a run classifies correctly after its last whole epoch: bool array (N,), N the test images.

    Raises:
        ValueError: The run has no whole epoch.
    """
    outcome = record["outcome"]
    if not outcome["correct"]:
        raise ValueError(
            f"The run '{record['identity']}' has no whole epoch, so nothing is known of its test images. Train it "
            "again with another seed."
        )
    return unpack(outcome["correct"], outcome["dataset"]["test"])


def chance(record):
    """Expected top-1 of a guess among the classes of a record's dataset: 1 / classes."""
    return 1 / len(record["outcome"]["dataset"]["classes"])


def ending(outcome):
    """How a run ended, in words: "complete", "running (4 of 20 epochs)" or "diverged in epoch 3"."""
    if outcome["status"] == "running":
        return f"running ({len(outcome['history'])} of {outcome['recipe']['epochs']} epochs)"
    where = outcome.get("divergence")  # older records don't say where
    return outcome["status"] + (f" in epoch {where['epoch']}" if where else "")


# Where a result comes from: the commit, the machine, and the versions.


def git_state(besides="results"):
    """(commit, whether the tree was clean) of the project, or (None, None) outside a checkout.

    Args:
        besides: A folder whose changes don't count: records come from code, never from other records.
    """
    root = project_root()
    if root is None:
        return None, None

    def git(*words):
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".", f":!{besides}") == ""
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _processor():
    """The processor's name, where the machine tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def environment():
    """Versions and machine of this process, for a record's execution."""
    from wisesr_helpers._keras import keras

    backend = keras.backend.backend()
    packages = "keras numpy opencv-python-headless opencv-python pillow tensorflow tensorflow-cpu jax".split()
    versions = {
        "python": platform.python_version(),
        "wisesr_helpers": importlib.metadata.version("wisesr_helpers"),
    }
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit, clean = git_state()
    return {
        "backend": backend,
        "device": ", ".join(devices()),
        "machine": f"{platform.machine()}, {platform.system()}",
        "processor": _processor(),
        "threads": usable_cores(),
        "versions": versions,
        "commit": commit,
        "clean": clean,
    }


def load_classifier(run, epoch="final"):
    """The trained classifier of a run.

    Args:
        run: The run's folder, a str or path.
        epoch: "final" (default): with the weights of the last epoch. "best": of the epoch with the highest top-1
            on the test split; it was chosen on that split, so it flatters.

    Returns:
        ``keras.Model``: uint8 or float RGB (N, H, W, 3), 0..255, in; float32 (N, classes) out. Its attribute
        ``class_names``, a tuple in the order of the outputs, is there if the run's record can be read and has as
        many names as the model has outputs.

    Raises:
        ValueError: ``epoch`` is neither, ``run`` is a file, or the file of the model can't be loaded.
        FileNotFoundError: There is no such folder, it holds no trained classifier, or the best epoch's was not kept.
    """
    from wisesr_helpers import layers  # noqa: F401 — registers what the file is made of
    from wisesr_helpers._keras import keras

    if epoch not in ("final", "best"):
        raise ValueError(f"epoch must be 'final' (the last one) or 'best'; received {epoch!r}.")
    folder = pathlib.Path(run).expanduser()
    if folder.is_file():
        raise ValueError(f"load_classifier takes a run's folder; '{run}' is a file. Give the folder that it lies in.")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder '{run}'. Give a run's, such as 'runs/mit_512--demo--small_patch--wise--s0'."
        )
    outcome = _outcome(folder)
    path = _model_file(folder, epoch, outcome)
    try:
        model = keras.models.load_model(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make Keras fail in any of its readers, in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ValueError(
            f"'{path}' can't be loaded: it is damaged, or was saved by a newer version ({reason}). Train the run again "
            "with overwrite=True."
        ) from error
    names = outcome.get("dataset", {}).get("classes", ())
    if len(names) == model.output_shape[-1]:
        model.class_names = tuple(names)
    return model


def _outcome(folder):
    """The outcome in a run's record; empty where there is no record, or none that can be read."""
    try:
        return read_record(folder)["outcome"]
    except (OSError, ValueError):
        return {}


def _model_file(folder, epoch, outcome):
    """The file of that epoch's classifier.

    Raises:
        FileNotFoundError: The folder has none.
    """
    final, best = folder / FINAL_MODEL, folder / BEST_MODEL
    if epoch == "best" and best.exists():
        return best
    if not final.exists():
        raise FileNotFoundError(f"'{folder}' holds no trained classifier ({final.name}). Train the run first.")
    if epoch == "final":
        return final
    number, last = ((outcome.get(key) or {}).get("epoch") for key in ("best", "final"))
    if number is not None and number == last:
        return final
    known = f"the best epoch is {number}, the last {last}" if number else "no record that can be read says which it was"
    raise FileNotFoundError(
        f"'{folder}' does not hold the classifier of the best epoch ({best.name}; {known}). Take epoch='final', or "
        "train the run again with overwrite=True."
    )
