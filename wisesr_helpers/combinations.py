"""A head on a backbone: what it costs, which cells it looks at, and what the paper prints for it."""

import dataclasses
import functools

import numpy as np
import pandas as pd

from wisesr_helpers import plots
from wisesr_helpers.backbones import build_backbone, check_backbone
from wisesr_helpers.costs import cells_looked_at, head_flops, head_params
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.diagrams import head_steps
from wisesr_helpers.drawings import describe_looked_at, looked_at
from wisesr_helpers.heads import get_head, head_layers
from wisesr_helpers.layers import is_whole
from wisesr_helpers.metrics import wilson_interval
from wisesr_helpers.published import number, printed, published
from wisesr_helpers.studies import STUDIES

LARGEST = 2048  # side of the images in pixels: of larger ones, the cells of the map are too small to be told apart


@dataclasses.dataclass(frozen=True, eq=False)
class Combination:
    """What a head costs and looks at on one backbone, for one image size and number of classes.

    Attributes:
        head: One of ``ws.HEADS``.
        backbone: Its Keras name, or one of the small ones.
        image_size: Side in pixels.
        classes: Number of classes.
        feature_shape: (H, W, C) of the feature map.
        head_params: Parameters of the head, the classifier included.
        params: Parameters of the whole model.
        head_flops: Operations of the head for one image, as :func:`wisesr_helpers.counts.count_flops` counts them.
        flops: Operations of the whole model.
        seen: Array (H, W) of bool: the cells that the head looks at.
        pool_size: Side of the averaged blocks in cells; 1 for a head that averages none.
    """

    head: str
    backbone: str
    image_size: int
    classes: int
    feature_shape: tuple
    head_params: int
    params: int
    head_flops: int
    flops: int
    seen: np.ndarray
    pool_size: int

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
        """What the paper's tables print for exactly this combination.

        Returns:
            DataFrame, a row a printed value: where, study, what, printed, computed here (parameters and GFLOPs
            counted; of an accuracy the 95 % interval from the size of the test set), note (what is wrong with the
            printed value, or ""). No rows if nothing is printed.
        """
        rows = []
        for entry in self._entries().itertuples():
            study, *setting = _settings()[entry.where]
            if setting == [self.image_size, self.classes]:
                what = entry.unit if entry.where == "Table 1" else entry.column
                name = study.name if study else ""
                rows.append((entry.where, name, what, entry.value, self._computed(entry, study), entry.slip))
        return pd.DataFrame(rows, columns=["where", "study", "what", "printed", "computed here", "note"])

    def _entries(self):
        of_paper = published().query("source == 'paper'")
        return of_paper[(of_paper["backbone"] == self.backbone) & (of_paper["head"] == self.head)]

    def _computed(self, entry, study):
        if entry.unit == "parameters":
            return f"{self.params:,}"
        if entry.unit == "GFLOPs":
            return f"{self.flops / 1e9:.2f}"
        low, high = wilson_interval(round(entry.number * study.test_images), study.test_images)
        return f"95 % interval {low:.1%} to {high:.1%}"

    def unpublished(self):
        """A sentence for where nothing is printed: that it is so, and where this head on this backbone is."""
        places = [(where, *_settings()[where][1:]) for where in dict.fromkeys(self._entries()["where"])]
        said = "; ".join(f"{size} pixels and {classes} classes in {where}" for where, size, classes in places)
        elsewhere = f" {self.backbone} with {self.head} is printed for {said}." if said else ""
        return f"Nothing is published in the paper for this combination.{elsewhere}"

    def looked_at(self):
        """A sentence: which share of the feature map the head looks at."""
        count, size = int(self.seen.sum()), self.seen.size
        if self.pool_size == 1:
            return f"The head looks at all {size} cells of the {self.seen.shape[0]}×{self.seen.shape[1]} feature map."
        blocks = describe_looked_at(self.seen, self.pool_size)
        return f"The head looks at {count} of {size} cells ({count / size:.0%}): {blocks}."

    def figure(self):
        """The head's diagram above its map of cells.

        Returns:
            (figure, description).
        """
        steps = head_steps(head_layers(self.head, self.feature_shape, self.classes), self.feature_shape)
        wide = plots.head_diagram_width(steps, self.feature_shape) / 72 + 0.2
        drawn, (above, below) = plots.figure(max(8.3, wide), 3.4, rows=2, height_ratios=(1, 3))
        plots.head_diagram(steps, self.feature_shape, above)
        above.set_title(f"{self.head} on {self.backbone}, {self.image_size}×{self.image_size}", loc="left", fontsize=9)
        outlined = self.pool_size if self.pool_size > 1 else max(self.seen.shape) + 1  # no block fits: none is outlined
        looked_at(self.seen, outlined, below).set_anchor("W")
        share = "all cells are looked at" if self.seen.all() else f"{self.seen.mean():.0%} of the cells; hatched: never"
        below.set_title(f"what it looks at: {share}", loc="left", fontsize=9)
        diagram = plots.describe_head_diagram(steps, self.feature_shape)
        return drawn, f"Diagram of the head {self.head}: {diagram}. {self.looked_at()}"


def combination(head, backbone, image_size, classes):
    """Count a combination without weights and without a network; a backbone is built once for each image size.

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
    if not is_whole(classes, least=2):
        raise ValueError(f"classes must be a whole number of at least 2; received {classes!r}.")
    if not is_whole(image_size) or image_size > LARGEST:
        raise ValueError(
            f"The explorer takes an image_size from 1 to {LARGEST:,}, a side in whole pixels; received {image_size!r}."
        )
    shape, params, flops = _backbone_costs(backbone, image_size)
    params_of_head, flops_of_head = _head_costs(head, shape, classes)
    seen, pool_size = cells_looked_at(*shape[:2]) if pools else (np.ones(shape[:2], bool), 1)
    return Combination(
        *(head, backbone, image_size, classes, shape),
        head_params=params_of_head,
        params=params + params_of_head,
        head_flops=flops_of_head,
        flops=flops + flops_of_head,
        seen=seen,
        pool_size=pool_size,
    )


@functools.lru_cache(maxsize=256)
def _backbone_costs(backbone, image_size):
    """(shape of the feature map, parameters, FLOPs): the model itself is let go."""
    model = build_backbone(backbone, image_size)
    return tuple(model.output.shape[1:]), count_params(model), count_flops(model)


@functools.lru_cache(maxsize=256)
def _head_costs(head, feature_shape, classes):
    """(parameters, FLOPs), the classifier included."""
    return head_params(head, feature_shape, classes), head_flops(head, feature_shape, classes)


@functools.cache
def _settings():
    """Where the paper prints models → (Study or None, side in pixels, classes)."""
    tables = set(published().query("source == 'paper' and unit == 'fraction' and backbone != ''")["where"])
    studies = {study.table: study for study in STUDIES.values() if study.table in tables}
    side = int(printed("Table 1 caption", "images", "Image Size").split("×")[0])
    table_1 = (None, side, int(number("Table 1 caption", "classes", "Number of Classes")))
    return {"Table 1": table_1} | {table: (s, s.image_size, s.classes) for table, s in studies.items()}
