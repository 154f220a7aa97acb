"""Fingerprints: what changes a result changes them, and nothing else does."""

import copy
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import wisesr_helpers
from wisesr_helpers import fingerprints
from wisesr_helpers.data.scenes import class_pairs, draw_scene
from wisesr_helpers.fingerprints import fingerprint, notebook_fingerprint

SCRIPT = """
import sys
import wisesr_helpers
from wisesr_helpers.data.scenes import scenes_dataset
from wisesr_helpers.fingerprints import fingerprint
assert wisesr_helpers.__file__.startswith(sys.argv[1]), wisesr_helpers.__file__
assert "keras" not in sys.modules
print(fingerprint(scenes_dataset, size=512))
"""


def in_a_copy(folder, file=None, old=None, new=None, script=SCRIPT):
    """What a script prints, the fingerprint of scenes_dataset, in a copy of the package with one edit."""
    package = folder / "wisesr_helpers"
    source = pathlib.Path(wisesr_helpers.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    if file:
        text = (package / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        (package / file).write_text(text.replace(old, new), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def unedited(tmp_path_factory):
    return in_a_copy(tmp_path_factory.mktemp("unedited"))


INVISIBLE = {
    "a comment": ("files.py", "    temporary = path", "    # a remark\n    temporary = path"),
    "a docstring": ("data/scenes.py", '"""One scene.\n', '"""One scene, drawn otherwise.\n'),
    "a new docstring": (
        "data/cache.py",
        "def _digest(array):\n",
        'def _digest(array):\n    """Its SHA-256."""\n',
    ),
    "a blank line": ("files.py", "    temporary = path", "\n\n    temporary = path"),
    "other quotes": ("files.py", '"wb"', "'wb'"),
    "an unused function": ("data/cache.py", '"WISESR_CACHE"', '"WISESR_CACHES"'),
    "an unused constant": ("data/scenes.py", "\n\ndef class_pairs", "\nUNUSED = 1\n\n\ndef class_pairs"),
    "an unused module": ("progress.py", "seconds < 60", "seconds < 61"),
}
VISIBLE = {
    "two calls away in another module": ("files.py", '"wb"', '"xb"'),
    "one call away": ("data/scenes.py", "+= glyph", "+= 2 * glyph"),
    "the root itself": ("data/scenes.py", "np.arange(count) % classes", "np.arange(count) // classes"),
    "a constant": ("data/scenes.py", "NOISE = 0.03 ", "NOISE = 0.04 "),
    "a default": ("data/scenes.py", "split, rng, jitter=True", "split, rng, jitter=False"),
    "a method of a class that is used": ("data/dataset.py", "image.ndim == 3", "image.ndim == 4"),
    "a decorator": ("data/scenes.py", "@functools.cache\ndef _handwriting", "def _handwriting"),
}


@pytest.mark.parametrize("edit", INVISIBLE)
def test_what_changes_no_result_does_not_change_the_hash(tmp_path, unedited, edit):
    assert in_a_copy(tmp_path, *INVISIBLE[edit]) == unedited


@pytest.mark.parametrize("edit", VISIBLE)
def test_what_can_change_a_result_changes_the_hash(tmp_path, unedited, edit):
    assert in_a_copy(tmp_path, *VISIBLE[edit]) != unedited


def test_it_is_a_sha256_that_stays():
    first = fingerprint(draw_scene, size=512)
    assert first == fingerprint(draw_scene, size=512)
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")


def test_parameters_change_it_and_their_order_does_not():
    first = fingerprint(draw_scene, size=512, head={"a": 1, "b": [2]})
    assert first == fingerprint(draw_scene, head={"b": [2], "a": 1}, size=512)
    others = [{"size": 513}, {"size": "512"}, {"pixels": 512}, {"head": {"a": 1, "b": [3]}}, {"more": None}]
    assert len({first, *(fingerprint(draw_scene, **{"size": 512, **other}) for other in others)}) == 6


def test_roots_change_it_and_their_order_does_not():
    assert fingerprint(draw_scene, class_pairs) == fingerprint(class_pairs, draw_scene, draw_scene)
    assert len({fingerprint(), fingerprint(draw_scene), fingerprint(draw_scene, class_pairs)}) == 3


def test_a_method_stands_for_its_class():
    from wisesr_helpers.data.dataset import Split

    assert fingerprint(Split.rgb) == fingerprint(Split) != fingerprint()


OUTSIDE = {"a library's function": json.dumps, "a library's class": pathlib.Path, "a built-in": len, "ours": in_a_copy}


@pytest.mark.parametrize("root", OUTSIDE)
def test_a_root_outside_the_package_is_refused(root):
    with pytest.raises(ValueError, match="no top-level function or class of wisesr_helpers"):
        fingerprint(OUTSIDE[root])


def test_a_root_that_is_not_defined_by_name_is_refused():
    unnamed = eval("lambda: 1", {"__name__": "wisesr_helpers.metrics"})
    with pytest.raises(ValueError, match=r"wisesr_helpers\.metrics\.<lambda> is no top-level function or class"):
        fingerprint(unnamed)


USED_BY_TRAINING = {
    "positions.py": ("side // pool_size > 5:", "side // pool_size > 6:"),
    "layers.py": ("[0, ::-1]  # minus the mean", "[0]  # minus the mean"),
    "heads.py": ("_pooling(pool_size, cover=cover", "_pooling(None, cover=cover"),
    "backbones.py": ('64, 16, 16, "valid"', '64, 16, 15, "valid"'),
    "data/batches.py": ("rng([seed, epoch])", "rng([epoch, seed])"),
    "augment.py": ("np.trunc(values)", "np.rint(values)"),
    "metrics.py": ("(rank < k)", "(rank <= k)"),
    "models.py": ("np.arange(start,", "np.arange(0,"),
    "training.py": ('"sparse_categorical_crossentropy"', '"mse"'),
    "recipes.py": ("staircase=True", "staircase=False"),
}


@pytest.mark.parametrize("file", USED_BY_TRAINING)
def test_a_runs_fingerprint_follows_all_that_its_training_uses(monkeypatch, file):
    from wisesr_helpers.experiment import Experiment

    old, new = USED_BY_TRAINING[file]
    read = pathlib.Path.read_text

    def edited(path, *arguments, **options):
        text = read(path, *arguments, **options)
        if path.parts[-len(pathlib.Path(file).parts) - 1 :] != ("wisesr_helpers", *pathlib.Path(file).parts):
            return text
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        return text.replace(old, new)

    before = Experiment("mit_512").fingerprint
    monkeypatch.setattr(fingerprints, "_module", functools.cache(fingerprints._module.__wrapped__))
    assert Experiment("mit_512").fingerprint == before
    fingerprints._module.cache_clear()
    monkeypatch.setattr(pathlib.Path, "read_text", edited)
    assert Experiment("mit_512").fingerprint != before


def cell(source, kind="code", *tags):
    return {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": source}


NOTEBOOK = {
    "cells": [
        cell("# Title", "markdown"),
        cell("%pip install wisesr_helpers", "code", "hide-cell"),
        cell('head: str = "wise"  # which', "code", "parameters"),
        cell("import wisesr_helpers as ws\n\nexperiment = ws.Experiment('mit_512', head)"),
        cell("from wisesr_helpers import locks\n\nlocks.owner\nws.report.describe_result(experiment.run())"),
    ]
}
NOTEBOOK_SCRIPT = f"""
import sys
import wisesr_helpers
from wisesr_helpers.fingerprints import notebook_fingerprint
assert wisesr_helpers.__file__.startswith(sys.argv[1]), wisesr_helpers.__file__
print(notebook_fingerprint({NOTEBOOK!r}))
assert "keras" not in sys.modules
"""
STALE = {
    "one character of a function that a cell names": ("report.py", "; chance is ", ", chance is "),
    "a method of a class that a cell names": ("experiment.py", "\"The run can't", "\"A run can't"),
    "a function two calls away": ("files.py", '"wb"', '"xb"'),
    "a head, which is only registered": ("heads.py", "GlobalAveragePooling2D(", "GlobalMaxPooling2D("),
    "a function of a module that a cell imports": ("locks.py", "def owner(folder, ", "def owner(path, "),
    "a published number": ("published_data/paper_table_9.csv", "0.0157", "0.0158"),
}
STILL_CURRENT = {
    "a comment": ("files.py", "    temporary = path", "    # a remark\n    temporary = path"),
    "a docstring": ("report.py", '"""How a run ended, in a few', '"""How a run ended in a few'),
    "an unused function": ("report.py", '"whose": whose', '"who": whose'),
    "an unused module": ("colab.py", "wisesr_runs", "runs_of_wisesr"),
}


@pytest.fixture(scope="module")
def current(tmp_path_factory):
    return in_a_copy(tmp_path_factory.mktemp("current"), script=NOTEBOOK_SCRIPT)


@pytest.mark.parametrize("edit", STALE)
def test_a_notebook_is_stale_when_what_it_uses_is_edited(tmp_path, current, edit):
    assert in_a_copy(tmp_path, *STALE[edit], script=NOTEBOOK_SCRIPT) != current


@pytest.mark.parametrize("edit", STILL_CURRENT)
def test_a_notebook_stays_current_when_something_else_is_edited(tmp_path, current, edit):
    assert in_a_copy(tmp_path, *STILL_CURRENT[edit], script=NOTEBOOK_SCRIPT) == current


@pytest.mark.parametrize(
    ("number", "source", "same"),
    [
        (0, "# Another title", True),
        (1, "%pip install wisesr_helpers==2", True),
        (2, 'head: str = "wise"  # another comment', True),
        (2, 'head: str = "gap"  # which', False),
        (3, "import wisesr_helpers as ws\n\nexperiment = ws.Experiment('mit_224', head)", False),
    ],
)
def test_a_notebooks_own_code_counts_without_comments(number, source, same):
    edited = copy.deepcopy(NOTEBOOK)
    edited["cells"][number]["source"] = source.splitlines(keepends=True)  # as JSON has it
    assert (notebook_fingerprint(edited) == notebook_fingerprint(NOTEBOOK)) == same


def test_a_notebook_that_names_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"names wisesr_helpers\.report\.nonsense, which the package does not have"):
        notebook_fingerprint({"cells": [cell("import wisesr_helpers as ws"), cell("ws.report.nonsense()")]})
    with pytest.raises(ValueError, match="cells must be plain Python"):
        notebook_fingerprint({"cells": [cell("!ls")]})
