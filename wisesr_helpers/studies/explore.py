"""The live explorer: combinations of head and backbone, maps of images, and the controls."""

import dataclasses
import functools
import html
import io

import numpy as np
import pandas as pd

from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.checks import check_whole
from wisesr_helpers.metrics import minus, wilson_interval
from wisesr_helpers.models import attribution
from wisesr_helpers.models.attribution import split_at
from wisesr_helpers.models.backbones import SMALL, backbone_names, build_backbone, check_backbone
from wisesr_helpers.models.counts import cells_looked_at, count_flops, count_params, head_flops, head_params
from wisesr_helpers.models.heads import REGISTRY, get_head, head_layers
from wisesr_helpers.plots.heads import head_steps, looked_at, looked_at_in_words
from wisesr_helpers.published import number, published
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.studies.report import side_of_table_1
from wisesr_helpers.training.runs import load_classifier

# A head on a backbone: what it costs, which cells it looks at, and what the paper prints for it.

LARGEST = 2048  # side of the images in pixels: of larger ones, the cells of the map are too small to be told apart


@dataclasses.dataclass(frozen=True, eq=False)
class Combination:
    """The costs of a head on one backbone, and the cells it looks at, for one image size and number of classes."""

    head: str
    backbone: str
    image_size: int  # side in pixels
    classes: int
    feature_shape: tuple  # (H, W, C)
    head_params: int  # the classifier included
    params: int  # of the whole model
    head_flops: int  # for one image
    flops: int  # of the whole model
    seen: np.ndarray  # (H, W) of bool: the cells that the head looks at
    pool_size: int  # side of the averaged blocks in cells; 1 for a head that averages none

    def costs(self):
        """DataFrame, a row for the backbone, the head and the whole model: parameters, FLOPs for one image."""
        parts = {
            "backbone": (self.params - self.head_params, self.flops - self.head_flops),
            "head": (self.head_params, self.head_flops),
            "whole model": (self.params, self.flops),
        }
        rows = [(part, f"{params:,}", f"{flops:,}") for part, (params, flops) in parts.items()]
        return pd.DataFrame(rows, columns=["part", "parameters", "FLOPs for one image"])

    def published(self):
        """The values that the paper's tables print for exactly this combination, a row each; no rows if there are none.

        "computed here" is our own count, or of an accuracy the 95% interval from the size of the test set; "note" says
        what is wrong with the printed value.
        """
        rows = []
        for entry in self._entries():
            study, *setting = _settings()[entry.where]
            if setting == [self.image_size, self.classes]:
                what = entry.unit if entry.where == "Table 1" else entry.column
                name, computed = study.name if study else "", self._computed(entry, study)
                rows.append((entry.where, name, what, entry.value, computed, entry.slip))
        return pd.DataFrame(rows, columns=["where", "study", "what", "printed", "computed here", "note"])

    def _entries(self):
        """The paper's printed values for this head on this backbone, at any image size."""
        rows = published().query("source == 'paper' and backbone == @self.backbone and head == @self.head")
        return list(rows.itertuples())

    def _computed(self, entry, study):
        if entry.unit == "parameters":
            return f"{self.params:,}"
        if entry.unit == "GFLOPs":
            return f"{self.flops / 1e9:.2f}"
        low, high = wilson_interval(round(entry.number * study.test_images), study.test_images)
        return f"95% interval {low:.1%} to {high:.1%}"

    def unpublished(self):
        """The sentence to show when nothing is printed; it names the settings in which this pair is printed."""
        settings = {entry.where: _settings()[entry.where][1:] for entry in self._entries()}
        said = "; ".join(
            f"{size} pixels and {classes} classes in {where}" for where, (size, classes) in settings.items()
        )
        elsewhere = f" {self.backbone} with {self.head} is printed for {said}." if said else ""
        return f"Nothing is published in the paper for this combination.{elsewhere}"

    def looked_at(self):
        """The share of the feature map that the head looks at, a sentence."""
        count, size = int(self.seen.sum()), self.seen.size
        if self.pool_size == 1:
            return f"The head looks at all {size} cells of the {self.seen.shape[0]}×{self.seen.shape[1]} feature map."
        blocks = looked_at_in_words(self.seen, self.pool_size)
        return f"The head looks at {count} of {size} cells ({count / size:.0%}): {blocks}."

    def figure(self):
        """The head's diagram above its map of cells, a figure."""
        steps = head_steps(head_layers(self.head, self.feature_shape, self.classes), self.feature_shape)
        wide = plots.head_diagram_width(steps, self.feature_shape) / 72 + 0.2
        drawn, (above, below) = plots.figure(max(8.3, wide), 3.4, rows=2, height_ratios=(1, 3))
        plots.head_diagram(steps, self.feature_shape, above)
        above.set_title(f"{self.head} on {self.backbone}, {self.image_size}×{self.image_size}", loc="left", fontsize=9)
        outlined = self.pool_size if self.pool_size > 1 else max(self.seen.shape) + 1  # no block fits: none is outlined
        looked_at(self.seen, outlined, below).set_anchor("W")
        share = "all cells are looked at" if self.seen.all() else f"{self.seen.mean():.0%} of the cells; hatched: never"
        below.set_title(f"what it looks at: {share}", loc="left", fontsize=9)
        plots.described(below, self.looked_at())
        return drawn


def combination(head, backbone, image_size, classes):
    """Count a combination; nothing is downloaded, and a backbone is built once for each image size.

    Args:
        head: One of ``ws.HEADS``.
        backbone: As ``ws.build_backbone`` takes it.
        image_size: Side in pixels, at most ``LARGEST``.
        classes: Number of classes, at least 2.

    Returns:
        Combination.

    Raises:
        ValueError: A value that can't be used, with those that can, or values that don't go together.
    """
    pools = get_head(head).pools
    check_backbone(backbone)
    classes, image_size = check_whole("classes", classes, 2), check_whole("image_size", image_size, most=LARGEST)
    shape, params, flops = _backbone_costs(backbone, image_size)
    own_params, own_flops = head_params(head, shape, classes), head_flops(head, shape, classes)
    costs = (own_params, params + own_params, own_flops, flops + own_flops)
    seen, pool_size = cells_looked_at(*shape[:2]) if pools else (np.ones(shape[:2], bool), 1)
    return Combination(head, backbone, image_size, classes, shape, *costs, seen, pool_size)


@functools.lru_cache(maxsize=256)
def _backbone_costs(backbone, image_size):
    """(shape of the feature map, parameters, FLOPs) of a backbone."""
    model = build_backbone(backbone, image_size)
    return tuple(model.output.shape[1:]), count_params(model), count_flops(model)


@functools.cache
def _settings():
    """Table of the paper → (its ``Study`` or None, side in pixels, classes)."""
    tables = set(published().query("source == 'paper' and unit == 'fraction' and backbone != ''")["where"])
    studies = {study.table: study for study in STUDIES.values() if study.table in tables}
    table_1 = (None, side_of_table_1(), int(number("Table 1 caption", "classes", "Number of Classes")))
    return {"Table 1": table_1} | {table: (s, s.image_size, s.classes) for table, s in studies.items()}


# The map of a test image for a class, and whether it sums to the logit.

METHODS = {
    "contribution": attribution.contribution_map,
    "HiResCAM": attribution.hires_cam,
    "Grad-CAM": attribution.grad_cam,
}


@dataclasses.dataclass(frozen=True, eq=False)
class ImageMap:
    """The map of one test image for one class, and the logit that it may sum to."""

    names: tuple  # of the classes
    index: int  # the image's place in the test split
    label: int  # the true class
    predicted: int  # the predicted class
    chosen: int  # the class of the map
    method: str  # one of METHODS
    probability: float  # the model's output for the chosen class
    logit: float  # of the chosen class
    empty: float  # the logit of a feature map of zeros, which the biases alone make
    values: np.ndarray | None  # (h, w) in the logit's unit; None where the head has no such map
    problem: str = ""  # why there is no map, a sentence
    precision: float = 1e-3  # relative, of the arithmetic that the logit was computed in

    @property
    def adds_up(self):
        """Whether the map's cells and the logit of an empty map sum to the logit, within ``precision``."""
        return self.values is not None and bool(
            np.isclose(float(self.values.sum()) + self.empty, self.logit, rtol=self.precision, atol=self.precision)
        )

    def sentences(self):
        """True and predicted class, the logit, and whether the map sums to it."""
        said = [
            f"Test image {self.index}: {self.names[self.label]}. Predicted: {self.names[self.predicted]}.",
            f"Class of the map: {self.names[self.chosen]}, output {self.probability:.1%}, logit {_digits(self.logit)}.",
        ]
        if self.values is None:
            return [*said, self.problem]
        total = float(self.values.sum())
        row, column = np.unravel_index(np.abs(self.values).argmax(), self.values.shape)
        return [
            *said,
            f"{self.method[0].upper()}{self.method[1:]}: the cells sum to {_digits(total)}; with the logit of an empty "
            f"map, {_digits(self.empty)}, that is {_digits(total + self.empty)}, "
            f"{'the' if self.adds_up else 'not the'} logit (to {self.precision:.1%}).",
            f"The strongest of {self.values.size} cells is in row {row + 1} and column {column + 1} from the top left: "
            f"{_digits(self.values[row, column], '+')}.",
        ]

    def figure(self, dataset):
        """The image with the map over it, and a colour bar in the logit's unit: a figure."""
        drawn, ax = plots.figure(5, 4.2)
        plots.attention(dataset.test.rgb([self.index])[0], self.values, ax)
        if self.values is not None:
            drawn.colorbar(ax.images[-1], label=f"{self.method}, in the logit's unit", shrink=0.85)
        ax.set_title(f"{self.names[self.label]} → {self.names[self.predicted]}", fontsize=9)
        drawn.suptitle(dataset.note, fontsize=9)
        plots.described(ax, " ".join(self.sentences()))
        return drawn


def _digits(value, sign=""):
    return minus(f"{value:{sign}.4f}")


def image_map(model, dataset, index=0, chosen="predicted", method="contribution"):
    """The ``ImageMap`` of one test image for one class, "predicted", "true" or an index, by one of ``METHODS``.

    ValueError where model and dataset don't go together, or for an image, class or method that there is not.
    """
    split = split_at(model)
    check_fit(split, dataset)
    names = dataset.classes
    _check_choice("method", method, METHODS)
    index = check_whole("index", index, 0, len(dataset.test) - 1)
    image = dataset.test.rgb([index])
    features, scores = split.run(image)
    label, predicted = int(dataset.test.labels[index]), int(scores[0].argmax())
    known = {"predicted": predicted, "true": label} | {k: k for k in range(len(names))}
    _check_choice("chosen", chosen, known)
    chosen = known[chosen]
    try:
        values, problem = METHODS[method](model, image, [chosen])[0], ""
    except ValueError as error:  # a head that can't be taken apart by positions
        values, problem = None, str(error)
    logits = [float(split.logits(maps)[0, chosen]) for maps in (features, np.zeros_like(features))]
    return ImageMap(
        *(names, index, label, predicted, chosen, method, float(scores[0, chosen]), *logits, values, problem),
        precision=1e-3 if {layer.compute_dtype for layer in model.layers} <= {"float32", "float64"} else 2e-2,
    )


def check_fit(split, dataset):
    """Check that a ``SplitClassifier`` takes a dataset's image size and has its number of classes; ValueError."""
    size, count = tuple(split.image.shape[1:3]), split.scores.shape[1]
    if count != len(dataset.classes) or any(a not in (None, b) for a, b in zip(size, dataset.test.size, strict=True)):
        raise ValueError(
            f"'{split.name}' takes images of {size} pixels and {count} classes; {dataset.name} has images of "
            f"{dataset.test.size} pixels and {len(dataset.classes)} classes. Give the dataset that the model was "
            "trained on."
        )


def _check_choice(name, value, valid):
    if value not in valid:
        raise ValueError(f"{name} must be one of {', '.join(map(str, valid))}; received {value!r}.")


# Controls for a running kernel, and the same content as pictures and tables for a page.

try:
    import ipywidgets
except ModuleNotFoundError as error:
    if error.name != "ipywidgets":
        raise
    raise ModuleNotFoundError(
        "wisesr_helpers.studies.explore needs ipywidgets, which is not installed. Install it with "
        "pip install 'wisesr_helpers[notebooks]'.",
        name=error.name,
    ) from None

BACKBONES = tuple(dict.fromkeys([*SMALL, *(name for study in STUDIES.values() for name in study.backbones)]))
OTHER = "another, typed below"


def static_explorer(head, backbone, image_size, classes):
    """Display for one choice what :func:`explorer` shows, for readers without a kernel; returns the ``Combination``.

    Raises:
        ValueError: As :func:`combination`, which takes the same arguments.
    """
    from IPython.display import display

    chosen = combination(head, backbone, image_size, classes)
    plots.show(chosen.figure())
    print(chosen.looked_at())
    display(chosen.costs())
    rows = chosen.published()
    display(rows.drop(columns="note")) if len(rows) else print(chosen.unpublished())
    for row in rows[rows["note"] != ""].itertuples():
        print(f"{row.where}, {row.what}: {row.note}")
    return chosen


def explorer(head="wise", backbone="small_conv", image_size=512, classes=67):
    """Controls for head, backbone, image size and classes; below them what a combination costs and looks at.

    Nothing is trained or downloaded. An impossible choice is answered with a sentence that says why.

    Args:
        head, backbone, image_size, classes: The values that the controls start with, as for :func:`combination`.

    Returns:
        ``ipywidgets.VBox``, to be displayed in a live notebook.

    Raises:
        ValueError: As :func:`combination`, of the values to start with.
    """
    combination(head, backbone, image_size, classes)
    known = backbone in BACKBONES
    heads = _labelled(ipywidgets.Dropdown, "head", options=list(REGISTRY), value=head)
    short = _labelled(ipywidgets.Dropdown, "backbone", options=[*BACKBONES, OTHER], value=backbone if known else OTHER)
    typed = _labelled(
        ipywidgets.Combobox,
        "other backbone",
        options=backbone_names(),
        value="" if known else backbone,
        placeholder="a model of keras.applications",
        continuous_update=False,
        disabled=known,
    )
    size = _labelled(ipywidgets.IntText, "image size", value=image_size, step=32)
    count = _labelled(ipywidgets.IntText, "classes", value=classes)

    def draw():
        name = typed.value.strip() if short.value == OTHER else short.value
        if not name:
            raise ValueError(
                "Type a model of keras.applications into 'other backbone', such as VGG16, and press Enter."
            )
        chosen = combination(heads.value, name, size.value, count.value)
        drawn = chosen.figure()
        rows = chosen.published()
        found = _table(rows) if len(rows) else _paragraph(chosen.unpublished())
        words = _paragraph(f"{chosen.head}: {get_head(chosen.head).description}.") + _paragraph(plots.alt_text(drawn))
        return drawn, words + _table(chosen.costs()) + found

    short.observe(lambda change: setattr(typed, "disabled", change["new"] != OTHER), "value")
    return _live((heads, short, typed, size, count), draw, "counting …")


def static_viewer(run_or_model, dataset, index=0, chosen="predicted", method="contribution"):
    """Display for one choice what :func:`contribution_viewer` shows, for readers without a kernel.

    Arguments, return value and errors are those of :func:`image_map`; the model may also be given as a run's folder.
    """
    shown = image_map(_model(run_or_model), dataset, index, chosen, method)
    plots.show(shown.figure(dataset))
    print(*shown.sentences(), sep="\n")
    return shown


def contribution_viewer(run_or_model, dataset):
    """Controls for test image, class and method; below them the image with its map, and the sum beside the logit.

    Args:
        run_or_model: A run's folder, as for ``ws.load_classifier``, or a classifier.
        dataset: Dataset of the model's image size and classes; its test images are shown.

    Returns:
        ``ipywidgets.VBox``, to be displayed in a live notebook.

    Raises:
        TypeError, ValueError: As :func:`image_map`.
        FileNotFoundError: As ``ws.load_classifier``.
    """
    model = _model(run_or_model)
    check_fit(split_at(model), dataset)
    last = len(dataset.test) - 1
    index = _labelled(ipywidgets.IntSlider, "test image", min=0, max=last, continuous_update=False)
    classes = [("predicted", "predicted"), ("true", "true"), *((name, k) for k, name in enumerate(dataset.classes))]
    chosen = _labelled(ipywidgets.Dropdown, "class", options=classes, value="predicted")
    method = _labelled(ipywidgets.Dropdown, "map", options=list(METHODS), value="contribution")

    def draw():
        shown = image_map(model, dataset, index.value, chosen.value, method.value)
        return shown.figure(dataset), "".join(_paragraph(sentence) for sentence in shown.sentences())

    return _live((index, chosen, method), draw, "looking …")


def _model(run_or_model):
    return run_or_model if isinstance(run_or_model, keras.Model) else load_classifier(run_or_model)


def _labelled(kind, description, **traits):
    return kind(description=description, style={"description_width": "8em"}, layout={"width": "28em"}, **traits)


def _live(controls, draw, waiting):
    """Controls, in the order of the Tab key, above a picture and HTML that are drawn anew with every change.

    ``draw()`` returns (figure, HTML), or raises a ValueError that is shown; ``waiting`` is shown until then.
    """
    status, words = ipywidgets.HTML(), ipywidgets.HTML()
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})

    def update(_=None):
        status.value = _paragraph(waiting)
        try:
            drawn, markup = draw()
        except ValueError as error:
            picture.layout.display, words.value, status.value = "none", "", _paragraph(error)
            return
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=110, metadata={"Description": plots.alt_text(drawn), "Software": None})
        picture.value, words.value = png.getvalue(), markup
        picture.layout.display, status.value = "block", ""

    for control in controls:
        control.observe(update, "value")
    update()
    return ipywidgets.VBox([*controls, status, picture, words])


def _paragraph(text):
    return f"<p>{html.escape(str(text))}</p>"


def _table(rows):
    return rows.to_html(index=False, border=0, justify="left")
