"""Every figure: functions that draw on the axes they are given and return them, and words for who can't see them.

May import training and what is below.
"""

import importlib

_NAMES = {
    "ARRAY": "heads",
    "CHANCE": "runs",
    "COLOURS": "runs",
    "COMPUTING": "heads",
    "OTHER_COLOURS": "runs",
    "accuracies": "runs",
    "alt_text": "figures",
    "attention": "images",
    "augmented_sample": "images",
    "colour": "runs",
    "contributions": "images",
    "curves": "runs",
    "described": "figures",
    "figure": "figures",
    "head_diagram": "heads",
    "head_diagram_width": "heads",
    "head_figure": "heads",
    "labelled_sample": "images",
    "measure_in_words": "runs",
    "show": "figures",
}

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__():
    return sorted(set(__all__) | set(globals()))
