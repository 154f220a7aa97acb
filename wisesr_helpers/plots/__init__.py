"""Figures: functions that draw on given axes, return them with alt text attached. May import training and below."""

import importlib

_NAMES = {
    "accuracies": "runs",
    "alt_text": "figures",
    "attention": "images",
    "augmented_sample": "images",
    "colour": "runs",
    "contributions": "images",
    "curves": "runs",
    "described": "figures",
    "figure": "figures",
    "gains": "published",
    "head_diagram": "heads",
    "head_diagram_width": "heads",
    "head_figure": "heads",
    "labelled_sample": "images",
    "show": "figures",
}

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__():
    return sorted(set(__all__) | set(globals()))
