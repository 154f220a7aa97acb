"""Every figure: functions that draw on the axes they are given and return them, and words for who can't see them.

May import training and what is below.
"""

import importlib

_NAMES = {
    "ARRAY": "heads",
    "CHANCE": "runs",
    "COLOURS": "runs",
    "COMPUTING": "heads",
    "ENDING": "runs",
    "MARKS": "runs",
    "OTHER_COLOURS": "runs",
    "accuracies": "runs",
    "attention": "images",
    "augmented_sample": "images",
    "colour": "runs",
    "contributions": "images",
    "curves": "runs",
    "describe_accuracies": "runs",
    "describe_contributions": "images",
    "describe_curves": "runs",
    "describe_growth": "runs",
    "describe_head_diagram": "heads",
    "describe_row_accuracies": "runs",
    "describe_row_curves": "runs",
    "figure": "runs",
    "growth": "runs",
    "head_diagram": "heads",
    "head_diagram_width": "heads",
    "head_figure": "heads",
    "labelled_sample": "images",
    "measure_in_words": "runs",
    "row_accuracies": "runs",
    "row_curves": "runs",
    "show": "runs",
}

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__():
    return sorted(set(__all__) | set(globals()))
