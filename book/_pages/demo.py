"""What the page on the demo task shows: its scenes, its backbones, and how far its curves jump."""

import numpy as np
import pandas as pd

from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.data.embedded import class_pairs, draw_scene
from wisesr_helpers.layers.preprocessing import PatchEmbedding2D
from wisesr_helpers.models.backbones import SMALL, build_backbone
from wisesr_helpers.models.counts import count_params


def scenes(classes):
    """Show a scene of each class, mirrored classes beside each other."""
    pairs = class_pairs(classes)
    drawn, axes = plots.figure(5, 2.7 * (classes // 2), columns=2, rows=classes // 2)
    for k, pair in enumerate(pairs):
        ax = axes[k // 2, k % 2]
        ax.imshow(draw_scene(*pair, 512, "test", np.random.default_rng(k)), cmap="gray", vmin=0, vmax=255)
        ax.set_title("{} inside, {} outside".format(*pair), fontsize=9)
        ax.set_axis_off()
    said = ", ".join("{} inside and {} outside".format(*pair) for pair in pairs)
    plots.show(drawn, f"Scenes of handwritten digits on black, one of each class: {said}.")


def backbones(image_size):
    """The small backbones, a row each: layers, receptive field, padding, map and parameters."""
    rows = []
    for name in SMALL:
        model = build_backbone(name, image_size)
        windows, field, stride, padded = [], 1, 1, False
        for layer in model.layers:
            if isinstance(layer, PatchEmbedding2D):
                size = step = layer.patch_size
            elif isinstance(layer, keras.layers.Conv2D):
                size, step = layer.kernel_size[0], layer.strides[0]
                padded |= layer.padding == "same" and size > 1
            else:
                continue
            windows.append(f"{size}×{size}, stride {step}")
            field, stride = field + (size - 1) * stride, stride * step
        rows.append(
            {
                "backbone": name,
                "convolutions": "; ".join(windows),
                "a cell sees": f"{field}×{field} pixels",
                "distance of cells": f"{stride} pixels",
                "zero padding": "yes" if padded else "no",
                "map": "×".join(map(str, model.output.shape[1:])),
                "parameters": f"{count_params(model):,}",
            }
        )
    return pd.DataFrame(rows)


def largest_jump(runs):
    """The largest change of test top-1 from one epoch to the next among runs, in words."""
    jumps = []
    for run in runs["run"]:
        for before, after in zip(run.history, run.history[1:], strict=False):
            jumps.append((abs(after["test_top1"] - before["test_top1"]), run, before, after))
    if not jumps:
        return "no run is committed"
    _, run, before, after = max(jumps, key=lambda each: each[0])
    return (
        f"{run.backbone} + {run.head}, seed {run.seed}, from {before['test_top1']:.0%} to {after['test_top1']:.0%} "
        f"in epoch {after['epoch']} of {run.planned_epochs}"
    )
