"""Options of the heads with a weight for every position: their names, valid values, and which go together."""

import dataclasses

from wisesr_helpers.reductions import check_reduction


@dataclasses.dataclass(frozen=True)
class Option:
    """One of a head's further options.

    Attributes:
        values: The valid ones; the first is the default, the paper's own.
        description: What it does, in a few words.
    """

    values: tuple
    description: str

    def takes(self, value):
        """Whether a value is valid; 1 is no True."""
        return any(type(value) is type(valid) and value == valid for valid in self.values)


# Of the poolings with a weight for every position: the paper's section 2.4, and what the project adds.
POOLING_OPTIONS = {
    "start": Option(("normal", "uniform"), "of the weights; uniform, the project's own: as global average pooling"),
    "sharing": Option(("none", "radial"), "radial, the project's own: one weight for each distance from the centre"),
    "bias": Option((True, False), "whether a bias is added per channel (section 2.4)"),
    "activation": Option(("none", "relu"), "of the pooled vector (section 2.4)"),
}
# Of the heads that average blocks first: section 3.4, and what the project adds.
REDUCTION_OPTIONS = {
    "cover": Option(("blocks", "exact"), "exact, the project's own: no row or column is dropped"),
    "reduction": Option(
        ("average", "bilinear", "bicubic", "nearest", "area", "depthwise"), "of the map to blocks (section 3.4)"
    ),
    "padding": Option(("none", "zeros", "ones"), "around the map that is averaged (section 3.4)"),
    "strides": Option((0, 1, 2, 3, 4), "cells from block to block; 0: the block's side (section 3.4)"),
}

AVERAGE = ("average", "none", 0)  # reduction, padding and strides of the paper's pre-averaging


def check_blocks(pool_size=None, cover="blocks", reduction="average", padding="none", strides=0, **_):
    """Refuse options of averaged blocks that don't go together.

    Raises:
        ValueError: As :func:`wisesr_helpers.reductions.check_reduction`; or a cover of blocks that are no separate
            averages.
    """
    check_reduction(reduction, padding, strides, pool_size)
    if cover != "blocks" and (reduction, padding, strides) != AVERAGE:
        raise ValueError(
            f"Option 'cover' is about separate averaged blocks; received cover={cover!r} with reduction={reduction!r}, "
            f"padding={padding!r} and strides={strides}: leave either out."
        )
