"""Wise-SrNet, reproduced: heads, backbones, data, training and records behind the book and its notebooks.

Names are loaded when first used, so that importing the package costs next to nothing and loads neither Keras nor a
backend. Imports point down: studies, plots, training, models, then layers and data, then the modules beside this one.
"""

import importlib

# Bound now: the name stays the function's, since importing a module that is loaded binds nothing anew.
from wisesr_helpers.published import published

__version__ = "0.1.0"

_NAMES = {
    "HEADS": "models.heads",
    "Experiment": "studies.experiment",
    "apply_transform": "data.augment",
    "contribution_map": "models.attribution",
    "build_backbone": "models.backbones",
    "build_classifier": "models.classifiers",
    "check_folder": "data.folders",
    "claims": "studies.claims",
    "compare_heads": "studies.compare",
    "count_flops": "models.counts",
    "count_params": "models.counts",
    "grad_cam": "models.attribution",
    "hires_cam": "models.attribution",
    "image_folder": "data.folders",
    "load_classifier": "training.runs",
    "load_dataset": "data.load",
    "load_runs": "training.runs",
    "predict": "models.classifiers",
    "replace_pooling": "models.replace",
    "Rows": "studies.experiment",
    "STUDIES": "studies.grid",
}
_MODULES = ("layers", "plots")

__all__ = ["published", *_MODULES, *_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"wisesr_helpers.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"wisesr_helpers.{name}")
    raise AttributeError(f"module 'wisesr_helpers' has no attribute '{name}'")


def __dir__():
    return sorted(set(__all__) | set(globals()))
