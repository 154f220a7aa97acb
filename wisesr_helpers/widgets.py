"""The live explorer: controls for a running kernel, and the same content as pictures and tables for a page."""

import html
import io

import pandas as pd

from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.backbones import SMALL, backbone_names
from wisesr_helpers.combinations import combination
from wisesr_helpers.cuts import cut_at
from wisesr_helpers.heads import REGISTRY, get_head
from wisesr_helpers.image_maps import METHODS, check_fit, image_map
from wisesr_helpers.models import load_classifier
from wisesr_helpers.studies import STUDIES

try:
    import ipywidgets
except ModuleNotFoundError as error:
    if error.name != "ipywidgets":
        raise
    raise ModuleNotFoundError(
        "ws.widgets needs ipywidgets, which is not installed. Install it with pip install 'wisesr_helpers[notebooks]'.",
        name=error.name,
    ) from None

BACKBONES = tuple(dict.fromkeys([*SMALL, *(name for study in STUDIES.values() for name in study.backbones)]))
OTHER = "another, typed below"


def static_explorer(head, backbone, image_size, classes):
    """Display what :func:`explorer` shows for one choice, for readers without a kernel: figure, sentences, tables.

    Args:
        head, backbone, image_size, classes: As for :func:`wisesr_helpers.combinations.combination`.

    Returns:
        Combination.

    Raises:
        ValueError: As :func:`wisesr_helpers.combinations.combination`.
    """
    from IPython.display import display

    chosen = combination(head, backbone, image_size, classes)
    plots.show(*chosen.figure())
    print(chosen.looked_at())
    display(chosen.costs())
    rows = chosen.published()
    with pd.option_context("display.max_colwidth", None):  # a note is a sentence
        display(rows) if len(rows) else print(chosen.unpublished())
    return chosen


def explorer(head="wise", backbone="small_conv", image_size=512, classes=67):
    """Controls for head, backbone, image size and classes; below them what a combination costs and looks at.

    Nothing is trained or downloaded. A choice that can't be is answered with the sentence that says why.

    Args:
        head, backbone, image_size, classes: What the controls start with, as for
            :func:`wisesr_helpers.combinations.combination`.

    Returns:
        ``ipywidgets.VBox``, to be displayed in a live notebook.

    Raises:
        ValueError: As :func:`wisesr_helpers.combinations.combination`, of the values to start with.
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
        drawn, said = chosen.figure()
        rows = chosen.published()
        found = _table(rows) if len(rows) else _paragraph(chosen.unpublished())
        words = _paragraph(f"{chosen.head}: {get_head(chosen.head).description}.") + _paragraph(said)
        return drawn, said, words + _table(chosen.costs()) + found

    short.observe(lambda change: setattr(typed, "disabled", change["new"] != OTHER), "value")
    return _live((heads, short, typed, size, count), draw, "counting …")


def static_viewer(run_or_model, dataset, index=0, chosen="predicted", method="contribution"):
    """Display what :func:`contribution_viewer` shows for one choice, for readers without a kernel.

    Args:
        run_or_model: As for :func:`contribution_viewer`.
        dataset, index, chosen, method: As for :func:`wisesr_helpers.image_maps.image_map`.

    Returns:
        ImageMap.

    Raises:
        TypeError, ValueError: As :func:`wisesr_helpers.image_maps.image_map`.
    """
    shown = image_map(_model(run_or_model), dataset, index, chosen, method)
    plots.show(*shown.figure(dataset))
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
        TypeError, ValueError: As :func:`wisesr_helpers.image_maps.image_map`.
        FileNotFoundError: As ``ws.load_classifier``.
    """
    model = _model(run_or_model)
    check_fit(cut_at(model), dataset)
    last = len(dataset.test) - 1
    index = _labelled(ipywidgets.IntSlider, "test image", min=0, max=last, continuous_update=False)
    classes = [("predicted", "predicted"), ("true", "true"), *((name, k) for k, name in enumerate(dataset.classes))]
    chosen = _labelled(ipywidgets.Dropdown, "class", options=classes, value="predicted")
    method = _labelled(ipywidgets.Dropdown, "map", options=list(METHODS), value="contribution")

    def draw():
        shown = image_map(model, dataset, index.value, chosen.value, method.value)
        drawn, said = shown.figure(dataset)
        return drawn, said, "".join(_paragraph(sentence) for sentence in shown.sentences())

    return _live((index, chosen, method), draw, "looking …")


def _model(run_or_model):
    return run_or_model if isinstance(run_or_model, keras.Model) else load_classifier(run_or_model)


def _labelled(kind, description, **traits):
    return kind(description=description, style={"description_width": "8em"}, layout={"width": "28em"}, **traits)


def _live(controls, draw, waiting):
    """Controls, in the order in which the Tab key reaches them, above what they choose.

    Args:
        controls: Widgets with a ``value``.
        draw: Function without arguments → (figure, its description, HTML below it); ValueError: what can't be.
        waiting: What is said until it is drawn.
    """
    status, words = ipywidgets.HTML(), ipywidgets.HTML()
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})

    def update(_=None):
        status.value = _paragraph(waiting)
        try:
            drawn, said, markup = draw()
        except ValueError as error:
            picture.layout.display, words.value, status.value = "none", "", _paragraph(error)
            return
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=110, metadata={"Description": said, "Software": None})
        picture.value, words.value = png.getvalue(), markup
        picture.layout.display, status.value = "block", ""

    for control in controls:
        control.observe(update, "value")
    update()
    return ipywidgets.VBox([*controls, status, picture, words])


def _paragraph(text):
    return f"<p>{html.escape(str(text))}</p>"


def _table(rows):
    with pd.option_context("display.max_colwidth", None):  # a note is a sentence
        return rows.to_html(index=False, border=0, justify="left")
