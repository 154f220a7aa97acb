"""The grid as work: its rows at a scale, how far each is, what it costs, and the command that makes it.

``python -m wisesr_helpers.studies.plan scale=paper`` prints the commands of the rows that are left.
"""

import collections
import dataclasses
import pathlib
import sys

from wisesr_helpers.data.sources import get_source
from wisesr_helpers.models.backbones import SMALL
from wisesr_helpers.models.heads import get_head
from wisesr_helpers.progress import duration
from wisesr_helpers.storage import describe_size
from wisesr_helpers.studies import questions
from wisesr_helpers.studies.experiment import SCALES, RunSpec, is_current, make_spec
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.studies.run import demo_seconds
from wisesr_helpers.training import runs

# What `--config` takes. LISTS are joined by commas ("0,1,2"); empty: all heads, and the backbones of the scale.
DEFAULTS = {"scale": "demo", "runs_dir": "", "data_dir": "", "seeds": "0", "backbones": "", "heads": ""}
DONE = ("complete", "diverged")
LISTS = ("seeds", "backbones", "heads")

# (Backbone, image side) → GFLOPs of an image, millions of weights, millions of numbers that its layers put out. Of the
# classifier with `gap`, but for VGG16's, whose two layers of 4,096 units are most of it.
COSTS = {
    ("Xception", 224): (9.134, 21.0, 34.8),
    ("ResNet50", 224): (7.751, 23.7, 37.4),
    ("DenseNet121", 224): (5.700, 7.1, 50.1),
    ("DenseNet169", 224): (6.757, 12.7, 60.3),
    ("Xception", 512): (47.97, 21.0, 184.2),
    ("ResNet50V2", 512): (36.51, 23.7, 164.4),
    ("DenseNet201", 512): (45.09, 18.5, 405.0),
    ("VGG16", 224): (30.95, 134.3, 15.4),
    ("InceptionV3", 299): (11.46, 21.8, 33.0),
    ("small_patch", 224): (0.024, 0.1, 0.3),
    ("small_patch", 512): (0.127, 0.1, 1.4),
    ("small_conv", 224): (0.051, 0.2, 0.6),
    ("small_conv", 512): (0.267, 0.3, 3.2),
}
# TFLOP a second that a training is assumed to sustain: on a GPU half of what a T4 can at most in float32, and on two
# cores. An assumption, not a measurement.
GPU_TFLOPS, CPU_TFLOPS = 4.0, 0.05
PROCESS = 1e9  # bytes that a process with TensorFlow has before it trains


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the grid: one run."""

    spec: RunSpec
    state: str  # "missing", "running" (begun), "stale" (made by older code or settings), "complete" or "diverged"

    @property
    def identity(self):
        """The run's name."""
        return self.spec.parameters.identity

    @property
    def scale(self):
        """Its scale."""
        return self.spec.parameters.scale

    @property
    def done(self):
        """Whether nothing is left to do; training a diverged run again would end in the same place."""
        return self.state in DONE

    @property
    def command(self):
        """The papermill command that makes it."""
        return self.spec.command + (" -p overwrite True" if self.state == "stale" else "")

    @property
    def targets(self):
        """What it is a part of: its study, table and figures, as ``snakemake`` takes them."""
        study = self.spec.study
        prefix = "report_" if study.name == "deeper_networks" else ""
        return [study.name, *(prefix + place.lower().replace(" ", "_") for place in (study.table, *study.figures))]

    @property
    def hours(self):
        """Estimated hours, as measured for small backbones on two cores, else from operations, see ``COSTS``.

        A training step takes three times the operations of a forward pass.
        """
        spec, size = self.spec, self.spec.plan or self.spec.study
        if spec.plan and spec.parameters.backbone in SMALL:
            return demo_seconds(spec) / 3600
        train, test = (size.train, size.test) if spec.plan else (size.train_images, size.test_images)
        flops = spec.recipe.epochs * (3 * train + test) * self._costs[0] * 1e9
        return flops / (CPU_TFLOPS if spec.plan else GPU_TFLOPS) / 1e12 / 3600

    @property
    def memory(self):
        """Estimated bytes: what the layers put out for a batch, weights with gradients and optimiser, the process."""
        _, weights, outputs = self._costs
        return PROCESS + 4e6 * (outputs * self.spec.recipe.micro_batch + weights * (2 + self._slots))

    @property
    def disk(self):
        """Estimated bytes of the run's folder, at most: three checkpoints and two models."""
        return 4e6 * self._costs[1] * (3 * (1 + self._slots) + 2)

    @property
    def images(self):
        """Bytes of the photographs that are prepared for it, once for all rows with the same."""
        spec = self.spec
        if spec.plan or get_source(spec.study.source).classes:  # arrays are taken as they are
            return 0
        return (spec.study.train_images + spec.study.test_images) * 3 * spec.image_size**2

    @property
    def _costs(self):
        # The small ones between the two, and at other sizes, take no more than this.
        return COSTS.get((self.spec.parameters.backbone, self.spec.image_size), COSTS["small_conv", 512])

    @property
    def _slots(self):
        """Numbers that the optimiser keeps for a weight."""
        return 2 if self.spec.recipe.momentum is None else 1

    @property
    def estimate(self):
        """Hours, memory and disk in words."""
        memory, disk = describe_size(self.memory), describe_size(self.disk)
        return f"about {duration(3600 * self.hours)}, {memory} of memory, {disk} of disk (estimates)"


def plan(config=None):
    """The rows of the grid that a configuration asks for, seed by seed: a list of ``Row``.

    The configuration has some of the keys of ``DEFAULTS``. At paper scale rows are those of the paper's tables and of
    the report's. At demo and smoke scale a row's backbone is the small one unless ``backbones`` names it, the digits
    stand in for the report's datasets, and rows that coincide are one.
    """
    options = {name: str(value) for name, value in (config or {}).items() if value is not None}
    _check("configuration", options, DEFAULTS)
    options = {**DEFAULTS, **options}
    scale, places = options["scale"], list(_places(options["scale"]))
    seeds, backbones, heads = ([word for word in options[name].split(",") if word] for name in LISTS)
    _check("scale", [scale], SCALES)
    _check("backbone", backbones, dict.fromkeys(backbone for _, _, backbone, _ in places))
    _check("head", heads, dict.fromkeys(head for *_, head in places))
    if not seeds or not all(seed.isdecimal() for seed in seeds):
        raise ValueError(f"seeds must be whole numbers with commas, such as 0,1,2; received '{options['seeds']}'.")
    return [
        _row(study, dataset, backbone, head, scale, int(seed), options["runs_dir"], options["data_dir"])
        for seed in seeds
        for study, dataset, backbone, head in places
        if backbone in (backbones or _usual(study, scale)) and head in (heads or (head,))
    ]


def committed(results, runs_dir="", data_dir=""):
    """The rows whose records are to be committed, and that have no current one in the folder ``results``.

    Such a row is done once a clean tree has made it, since its record says which commit that was.
    """
    places = [
        (study, "", backbone, head, "demo", seed)
        for study in STUDIES.values()
        for backbone, seeds in study.demo.backbones.items()
        for head in study.demo.heads
        for seed in range(seeds)
    ]
    rows = [_row(*place, runs_dir, data_dir) for place in places]
    rows += [_placed(questions.spec(typed), runs_dir, data_dir) for typed in questions.runs()]
    for row in {row.identity: row for row in rows}.values():
        if state(results / f"{row.identity}.json", row.spec.recipe.epochs) not in DONE:
            dirty = row.done and not runs.read_run(row.spec.folder).execution["clean"]
            yield dataclasses.replace(row, state="stale") if dirty else row


def describe(rows):
    """What is done of some rows, and what the others take in all, in words."""
    left = [row for row in rows if not row.done]
    done = f"{len(rows) - len(left)} of {len(rows)} rows are done"
    if not left:
        return f"{done}."
    states = collections.Counter(row.state for row in left)
    images = {(row.spec.study.source, row.spec.image_size): row.images for row in left}
    return (
        f"{done}, {', '.join(f'{number} {state}' for state, number in states.items())}. Estimated for those, one after "
        f"another: {duration(3600 * sum(row.hours for row in left))}, up to "
        f"{describe_size(max(row.memory for row in left))} of memory, "
        f"{describe_size(sum(row.disk for row in left) + sum(images.values()))} of disk with prepared images."
    )


def _row(study, dataset, backbone, head, scale, seed, runs_dir, data_dir):
    """The ``Row`` of a ``Study`` (of the dataset), with its state as its record says; folders empty: the defaults."""
    return _placed(make_spec(study, get_head(head), backbone, scale, seed, dataset=dataset), runs_dir, data_dir)


def _placed(spec, runs_dir, data_dir):
    """The ``Row`` of a ``RunSpec`` in these folders."""
    runs_dir, data_dir = (pathlib.Path(name).expanduser() if name else None for name in (runs_dir, data_dir))
    folder = (runs_dir or runs.default_runs_dir()) / spec.parameters.identity
    spec = dataclasses.replace(spec, folder=folder, runs_dir=runs_dir, data_dir=data_dir)
    return Row(spec, state(folder, spec.recipe.epochs))


def state(record, epochs):
    """How far the run of a record is, see ``Row``; ``record`` is its file or folder."""
    try:
        run = runs.read_run(record)
    except FileNotFoundError:
        return "missing"
    except ValueError as error:  # its checkpoints may be whole
        print(error, file=sys.stderr)
        return "missing"
    if not is_current(run):
        return "stale"
    return "running" if run.status == "complete" and run.epochs < epochs else run.status


def _places(scale):
    """(study, dataset, backbone, head) of all that can be asked for, the small backbones after the study's own."""
    for study in STUDIES.values():
        small = study.demo.rows or [(backbone, head) for backbone in SMALL for head in study.heads]
        for dataset, each in (study.datasets or {"": study}).items():
            if not study.datasets or bool(each.source) == (scale == "paper"):
                yield from ((each, dataset, backbone, head) for backbone, head in (*study.rows, *small))


def _usual(study, scale):
    """The backbones of a study's rows where none is named."""
    return study.backbones if scale == "paper" else dict(study.demo.rows) or ("small_patch",)


def _check(what, words, valid):
    for word in words:
        if word not in valid:
            raise ValueError(f"The grid has no {what} '{word}'. Valid: {', '.join(valid)}.")


if __name__ == "__main__":
    try:
        rows = plan(dict(word.partition("=")[::2] for word in sys.argv[1:]))
    except ValueError as error:
        sys.exit(str(error))
    for row in rows:
        if not row.done:
            print(row.command)
