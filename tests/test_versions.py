"""Golden values: what the code computes today, in numbers kept beside the tests (``tests/golden/values.json``).

Whoever changes a result meets one of these tests, and either undoes the change or raises the number in
``wisesr_helpers/versions.py`` and writes the values anew: ``python tests/test_versions.py``.

Pixels are compared at some hundred places of each image, with room for last bits: sums in floating point differ
between processors, and a pixel that lies at a rounding edge then differs by one grey level.
"""

import ast
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import cv2
import nbformat
import numpy as np
import pytest
from brightness import brightness
from tests_support import load_script, pinned

import wisesr_helpers as ws
from wisesr_helpers import versions
from wisesr_helpers.data.augment import CONVENTIONS, apply_transform
from wisesr_helpers.data.embedded import class_pairs, digits_dataset, draw_scenes, scenes_dataset
from wisesr_helpers.data.images import decode
from wisesr_helpers.studies.experiment import is_current
from wisesr_helpers.studies.frozen import FrozenFeatures
from wisesr_helpers.training.recipes import TABLE_3

VALUES = pathlib.Path(__file__).parent / "golden" / "values.json"
PLACES = 120  # pixels of an image that are kept
# Share of a loss. Threads and processors differ by 5e-6 after six steps; another start, schedule or layout by 1e-4.
TOLERANCE = 5e-5
OPENCV = int(cv2.__version__.split(".")[0])


def some_pixels(image):
    """Pixels at fixed places of an image, as a list."""
    flat = np.asarray(image).ravel()
    return flat[np.random.default_rng(0).integers(0, flat.size, PLACES)].tolist()


def photographs():
    """scikit-learn's two photographs, as files."""
    from sklearn import datasets

    folder = pathlib.Path(datasets.__file__).parent / "images"
    return [(folder / name).read_bytes() for name in ("china.jpg", "flower.jpg")]


def scenes():
    """Pixels of scenes of both sizes and splits, and the digits as they are."""
    found = {}
    for side, classes, split in ((512, 6, "train"), (224, 8, "test")):
        drawn = draw_scenes(class_pairs(classes), side, split, 4, seed=0)
        found |= {f"{side} {split} {k}": some_pixels(scene) for k, scene in enumerate(drawn)}
    digits = digits_dataset(32)
    found["digits"] = hashlib.sha256(digits.train.rgb(range(40)).tobytes() + digits.test.labels.tobytes()).hexdigest()
    return found


def augment():
    """Drawn parameters, and pixels of a photograph that they are applied to."""
    found = {}
    image = decode(photographs()[0], (300, 400))
    for convention in CONVENTIONS:
        augmentation = dataclasses.replace(TABLE_3, convention=convention)
        params = augmentation.draw(np.random.default_rng([0, 3, 5]), *image.shape[:2])
        found[f"{convention} drawn"] = [float(value or 0) for value in params.values()]
        found[convention] = some_pixels(apply_transform(image, {**params, "brightness": 0.9}, convention))
    return found


def decoded():
    """Hashes of decoded and reduced photographs: whole numbers, the same everywhere."""
    return {
        f"{k} {size} {resample}": hashlib.sha256(decode(data, size, resample).tobytes()).hexdigest()
        for k, data in enumerate(photographs())
        for size, resample in (((400, 500), "nearest"), ((224, 224), "nearest"), ((224, 224), "bilinear"))
    }


RUNS = {
    "wise": {"study": "mit_512", "head": "wise", "epochs": 1},
    "gap": {"study": "intel_224", "head": "gap", "epochs": 1},
    "dropout, convolutions": {"study": "mit_224", "head": "wise_dropout", "backbone": "small_conv", "epochs": 2},
}


def training(run):
    """Loss and learning rate of a smoke run's epochs, and the spread of the head's first weights."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = ws.Experiment(**RUNS[run], scale="smoke", runs_dir=folder)
        pooling = experiment.build().get_layer("pooling")
        history = experiment.run().history
    spread = [float(np.std(weights)) for weights in pooling.get_weights()]
    return [row[name] for row in history for name in ("loss", "learning_rate")] + spread


def near(found, kept, most, few):
    """Whether pixels are the same but for a few of them, and those by no more than ``most`` levels."""
    apart = np.abs(np.subtract(found, kept))
    return apart.max() <= most and (apart > 0).mean() <= few


def changed(*names):
    return (
        f"raise the version of {' or '.join(names)} in versions.py and write the golden values anew, or undo the change"
    )


@pytest.fixture(scope="module")
def golden():
    return json.loads(VALUES.read_text(encoding="utf-8"))


def test_golden_values_are_of_todays_versions(golden):
    assert golden["versions"] == versions.VERSIONS, "python tests/test_versions.py"


def test_scenes(golden):
    found = scenes()
    assert found.pop("digits") == golden["scenes"].pop("digits"), changed("scenes")
    for name, pixels in found.items():
        assert near(pixels, golden["scenes"][name], 1, 0.03), f"{name}: {changed('scenes')}"


def test_augment(golden):
    for name, values in augment().items():
        kept = golden["augment"][name]
        if name.endswith("drawn"):
            assert values == pytest.approx(kept, rel=1e-9), f"{name}: {changed('augment')}"
        else:  # before 5, OpenCV rounds the weights of its interpolation
            most, few = (1, 0.05) if OPENCV >= 5 else (6, 1)
            assert near(values, kept, most, few), f"{name}: {changed('augment')}"


def test_decode(golden):
    assert decoded() == golden["decode"], changed("decode")


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "tensorflow", reason="each backend draws other first weights")
@pytest.mark.skipif(not pinned("keras"), reason="the losses are those of the Keras in constraints.txt")
@pytest.mark.parametrize("run", RUNS)
def test_training(golden, run):
    assert training(run) == pytest.approx(golden["training"][run], rel=TOLERANCE), changed("layers", "training")


# Changes of behaviour: (file, what stands there, what is put there), and the golden tests that have to fail, no other.
EDITS = {
    "another start of the head": (
        [("layers/pooling.py", '"stddev": 0.01', '"stddev": 0.012')],
        ["test_training[wise]"],
    ),
    "another step of the learning rate": (
        [("training/recipes.py", "decay_steps=self", "decay_steps=2 * self")],
        ["test_training[dropout, convolutions]"],
    ),
    "another layout of the digits, another rounding in the warp": (
        [
            ("data/embedded.py", "OUTER = (0.33,", "OUTER = (0.35,"),
            ("data/augment.py", "np.trunc(values)", "np.rint(values)"),
        ],
        ["test_scenes", "test_augment"],
    ),
}


def copied(root, folder, *parts):
    """A copy of the package, its tests and ``parts`` of the project in ``folder``; returns ``run(*words)`` in it."""
    for part in ("wisesr_helpers", "tests", *parts):
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "constraints.txt"):
        shutil.copy(root / file, folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, folder / "tests")))}

    def run(*words):
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


TRAIN = ("another start of the head", "another step of the learning rate")


@pytest.mark.parametrize("edit", [pytest.param(edit, marks=[pytest.mark.slow] * (edit in TRAIN)) for edit in EDITS])
def test_a_change_of_behaviour_fails_the_golden_test_of_its_name(root, tmp_path, edit):
    """In a copy of the package, in a process of its own."""
    edits, names = EDITS[edit]
    if OPENCV < 5 and "test_augment" in names:
        pytest.skip("before version 5, OpenCV itself rounds more than this change does")
    run = copied(root, tmp_path)
    for file, old, new in edits:
        path = tmp_path / "wisesr_helpers" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")
    tests = [f"tests/test_versions.py::{name}" for name in names]
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("or undo the change") >= len(tests), done.stdout
    for test in tests:
        assert f"FAILED {test} - " in done.stdout


def caches(folder, images):
    """Every kind of cache made in ``folder``, or taken from there: its files → (time of change, size)."""
    folder = pathlib.Path(folder)
    scenes_dataset(192, 2, 2, 2, folder=folder / "scenes")
    ws.image_folder(images, image_size=64, cache=folder / "prepared")
    FrozenFeatures(brightness(), "small_conv", cache=folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(".lock")]
    return {str(path.relative_to(folder)): [path.stat().st_mtime_ns, path.stat().st_size] for path in files}


def stale_files():
    """Committed records and stored notebooks that are not current: their names."""
    store = load_script("store_notebooks")
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in store.notebooks()}
    runs = ws.load_runs(store.ROOT / "results")
    assert len(runs)
    assert notebooks
    stale = [run.identity for run in runs["run"] if not is_current(run)]
    return stale + [name for name, notebook in notebooks.items() if not store.is_current(notebook, name)]


def test_renaming_moving_and_rewording_leave_records_caches_and_notebooks_current(root, tmp_path):
    """Every private function renamed, the recipes moved and messages reworded, in a copy of the project."""
    images = tmp_path / "images"
    for name in ("dark/1.png", "dark/2.png", "bright/1.png", "bright/2.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(images / name), np.random.default_rng([*name.encode()]).integers(0, 256, (64, 64, 3), np.uint8))
    before = caches(tmp_path / "cache", images)
    assert len(before) > 4
    copy = tmp_path / "copy"
    run = copied(root, copy, "scripts", "results", "notebooks")
    (copy / "wisesr_helpers/training/recipes.py").rename(copy / "wisesr_helpers/plans.py")
    texts = {path: path.read_text(encoding="utf-8") for path in copy.rglob("*.py")}
    private = set(re.findall(r"^def (_[a-z]\w*)", "\n".join(texts.values()), re.MULTILINE))
    edits = {
        rf"\b({'|'.join(private)})\b": r"\1_renamed",
        r"wisesr_helpers\.training(\.| import )recipes": lambda found: (
            "wisesr_helpers.plans" if found[1] == "." else "wisesr_helpers import plans as recipes"
        ),
        "Train the run again": "Start this run afresh",
    }
    for old, new in edits.items():
        counts = {path: re.subn(old, new, text) for path, text in texts.items()}
        assert sum(count for _, count in counts.values()) > 1, old
        texts = {path: text for path, (text, _) in counts.items()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    asked = (
        f"import test_versions as t; print([t.stale_files(), t.caches({str(tmp_path / 'cache')!r}, {str(images)!r})])"
    )
    done = run("-c", asked)
    assert done.returncode == 0, done.stderr
    stale, after = ast.literal_eval(done.stdout.splitlines()[-1])
    assert stale == []
    assert after == before


def main():
    """Write the golden values anew."""
    os.environ["WISESR_SCALE"] = "smoke"
    values = {"versions": versions.VERSIONS, "scenes": scenes(), "augment": augment(), "decode": decoded()}
    values["training"] = {run: training(run) for run in RUNS}
    VALUES.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
