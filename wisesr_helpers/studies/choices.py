"""What a user's words come to: the scale, and the options of head, recipe and data. Everything is checked by name."""

import dataclasses
import os

from wisesr_helpers._keras import keras
from wisesr_helpers.data.augment import CONVENTIONS
from wisesr_helpers.data.images import RESAMPLING
from wisesr_helpers.data.load import is_prepared
from wisesr_helpers.data.sources import find, get_source, missing
from wisesr_helpers.models.heads import check_head
from wisesr_helpers.storage import devices
from wisesr_helpers.studies.grid import STUDIES
from wisesr_helpers.training.recipes import PRECISIONS

SCALES = ("paper", "demo", "smoke")

# Name → (valid values for a recipe, what it does); for all studies. Of the data's, the first value is the default.
RECIPE_OPTIONS = {
    "weights": (lambda recipe: ("imagenet", "none"), "the backbone's initial weights"),
    "convention": (lambda recipe: CONVENTIONS, "how the augmentation computes"),
    "accumulate": (lambda recipe: recipe.accumulations(), "in how many parts a batch goes through the model"),
    "precision": (lambda recipe: PRECISIONS, "of computing; weights are always float32"),
    "jit_compile": (lambda recipe: (False, True), "whether XLA compiles the training step"),
}
DATA_OPTIONS = {
    "resample": (RESAMPLING, "how photographs are resized"),
    "strict": ((False, True), "refuse a dataset of which anything was left out or noticed"),
}


def choose_scale(scale, study, backbone, data_dir):
    """The scale that is run, and why.

    Args:
        scale: "auto", "paper", "demo" or "smoke"; ``WISESR_SCALE`` stands in for "auto".
        study: Study.
        backbone: What was asked for, or "".
        data_dir: Where data is looked for first, or None.

    Returns:
        (scale, reason).

    Raises:
        ValueError: An unknown scale, or "paper" for a study that has none.
        FileNotFoundError: "paper", and the study's data is not on this machine.
    """
    asked = os.environ.get("WISESR_SCALE", "auto") if scale == "auto" else scale
    if asked not in ("auto", *SCALES):
        where = "WISESR_SCALE" if scale == "auto" else "scale"
        raise ValueError(f"Unknown {where} '{asked}'. Valid scales: auto, {', '.join(SCALES)}.")
    if not study.source and asked == "paper":
        others = ", ".join(name for name, other in STUDIES[study.name].datasets.items() if other.source)
        raise ValueError(
            f"{study.dataset} are the demo's data and have no scale 'paper'. Datasets that have: {others}; or take "
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
        return "demo", f"scale='auto' chose it: {study.dataset} is not prepared on this machine"
    if not accelerators():
        return "demo", f"scale='auto' chose it: {study.dataset} is here, but no accelerator"
    return "paper", f"scale='auto' chose it: {study.dataset} is prepared, and there is {accelerators()[0]}"


def accelerators():
    """The devices of this machine that are no CPU."""
    return [device for device in devices() if not device.startswith("cpu")]


def check_option_names(options, head):
    """Refuse options that no head, recipe or dataset has.

    Args:
        options: Name → value, or None.
        head: ``Head``.

    Raises:
        ValueError: No mapping, or an unknown name; the valid ones are listed.
    """
    if options is not None and not isinstance(options, dict):
        raise ValueError(
            f"options must be a mapping of names to values; received {options!r}. "
            'With papermill: -y "options: {name: value}".'
        )
    valid = [*head.arguments, *RECIPE_OPTIONS, *DATA_OPTIONS]
    for name in options or {}:
        if name not in valid:
            raise ValueError(f"Unknown option '{name}' for head '{head.name}'. Valid options: {', '.join(valid)}.")


def check_options(options, head, recipe):
    """Sort a user's options into those of the head, the recipe and the data.

    Args:
        options: Name → value, or None.
        head: ``Head``.
        recipe: The ``Recipe`` of the scale.

    Returns:
        (head's options, recipe with its options applied, data's options), only what differs from the defaults.

    Raises:
        ValueError: No mapping, an unknown name, or a value that isn't valid.
    """
    check_option_names(options, head)
    of_head, of_data = {}, {}
    for name, value in (options or {}).items():
        if name in head.arguments:
            of_head[name] = value
        elif name in RECIPE_OPTIONS:
            _check_value(name, value, RECIPE_OPTIONS[name][0](recipe))
            recipe = _with_option(recipe, name, value)
        else:
            _check_value(name, value, DATA_OPTIONS[name][0])
            if value != DATA_OPTIONS[name][0][0]:
                of_data[name] = value
    check_head(head.name, **of_head)
    return of_head, recipe, of_data


def _check_value(name, value, valid):
    if not any(type(value) is type(other) and value == other for other in valid):
        raise ValueError(f"Option '{name}' must be one of {', '.join(map(str, valid))}; received {value!r}.")


def _with_option(recipe, name, value):
    """A recipe with one of its options."""
    if name == "weights":
        return dataclasses.replace(recipe, weights=None if value == "none" else value)
    if name == "jit_compile" and value and keras.backend.backend() == "tensorflow" and not accelerators():
        raise ValueError(
            "Option 'jit_compile' can't be True with TensorFlow on a CPU, where XLA is several times slower; leave it "
            "out."
        )
    if name != "convention":
        return dataclasses.replace(recipe, **{name: value})
    if recipe.augmentation is None:
        raise ValueError("Option 'convention' is about the augmentation, and this recipe has none.")
    return dataclasses.replace(recipe, augmentation=dataclasses.replace(recipe.augmentation, convention=value))
