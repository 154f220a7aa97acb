"""The heads, by name, and their options."""

import dataclasses
import numbers
from collections.abc import Callable, Mapping

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.blocks import check_pool_size, is_whole
from wisesr_helpers.layers.pooling import (
    START,
    BlockAveragePooling2D,
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.reductions import check_reduction, reduction_layers

# Options of the heads with a weight for every position: their names, valid values, and which go together.


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
        ValueError: As :func:`wisesr_helpers.layers.reductions.check_reduction`; or a cover of blocks that are no
            separate
            averages.
    """
    check_reduction(reduction, padding, strides, pool_size)
    if cover != "blocks" and (reduction, padding, strides) != AVERAGE:
        raise ValueError(
            f"Option 'cover' is about separate averaged blocks; received cover={cover!r} with reduction={reduction!r}, "
            f"padding={padding!r} and strides={strides}: leave either out."
        )


# Heads: how the last feature map becomes class scores. A head is a short list of Keras layers.

DROPOUT_RATE = 0.5  # section 3.2
VGG_UNITS = 4096  # section 1


@dataclasses.dataclass(frozen=True)
class Head:
    """One way from a feature map to a vector that the classifier reads.

    Attributes:
        name: What users type.
        description: One line.
        figure: Where the paper draws it.
        build: ``(pool_size, **options) → list of Keras layers``, without dropout and classifier.
        pools: Whether it averages blocks before anything else, so that it takes ``pool_size``.
        dropout_rate: Share of the vector that is dropped in training; None: the head has no dropout.
        options: Name → ``Option``, the head's further ones.
        check: ``(pool_size, **options)``, which refuses options that don't go together; None: all do.
    """

    name: str
    description: str
    figure: str
    build: Callable
    pools: bool = False
    dropout_rate: float | None = None
    options: Mapping = dataclasses.field(default_factory=dict)
    check: Callable | None = None

    @property
    def arguments(self):
        """What it takes by name: its options, and ``pool_size`` and ``dropout_rate`` where it has such."""
        shared = {"pool_size": self.pools, "dropout_rate": self.dropout_rate is not None}
        return [*self.options, *(name for name, taken in shared.items() if taken)]


REGISTRY = {}


def register(name, description, figure, **traits):
    """Decorator that adds a head; what it decorates is the head's ``build``.

    Raises:
        ValueError: The name is taken.
    """

    def add(build):
        if name in REGISTRY:
            raise ValueError(f"A head named '{name}' is registered already: {REGISTRY[name].description}.")
        REGISTRY[name] = Head(name, description, figure, build, **traits)
        return build

    return add


def get_head(name):
    """The head of that name.

    Raises:
        ValueError: There is none; the valid names are listed.
    """
    if name not in REGISTRY:
        raise ValueError(f"Unknown head '{name}'. Valid heads: {', '.join(REGISTRY)}.")
    return REGISTRY[name]


def check_head(name, pool_size=None, dropout_rate=None, **options):
    """The head of that name, if it can be built with these values on some feature map.

    Args:
        name: One of ``ws.HEADS``.
        pool_size: Side of the averaged blocks; None: the paper's rule (heads that pool only).
        dropout_rate: None: the head's own (heads with dropout only).
        **options: The head's own options.

    Returns:
        Head.

    Raises:
        ValueError: A value that this head does not take on any map, with those that it does.
    """
    head = get_head(name)
    for option in options:
        if option not in head.options:
            takes = f"it takes {', '.join(head.options)}" if head.options else "it takes none"
            raise ValueError(f"Head '{name}' has no option '{option}'; {takes}.")
        if not head.options[option].takes(options[option]):
            valid = ", ".join(map(str, head.options[option].values))
            raise ValueError(f"Option '{option}' must be one of {valid}; received {options[option]!r}.")
    if pool_size is not None and not head.pools:
        raise ValueError(f"Head '{name}' averages no blocks, so it takes no pool_size; received {pool_size!r}.")
    if pool_size is not None and not is_whole(pool_size):
        raise ValueError(
            "pool_size must be a whole number of cells, at least 1 (no pre-averaging), or None for the paper's rule; "
            f"received {pool_size!r}."
        )
    if dropout_rate is not None and head.dropout_rate is None:
        with_dropout = [other.name for other in REGISTRY.values() if other.dropout_rate is not None]
        known = f" Heads with dropout: {', '.join(with_dropout)}." if with_dropout else ""
        raise ValueError(f"Head '{name}' has no dropout, so it takes no dropout_rate; received {dropout_rate}.{known}")
    if dropout_rate is not None and not (_is_real(dropout_rate) and 0 <= dropout_rate < 1):
        raise ValueError(
            "dropout_rate is the share of the vector that is dropped in training, a number from 0 to below 1; "
            f"received {dropout_rate!r}."
        )
    if head.check:
        head.check(pool_size, **options)
    return head


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def head_layers(
    name,
    feature_shape,
    classes,
    pool_size=None,
    dropout_rate=None,
    classifier_activation="softmax",
    **options,
):
    """The layers of a head, to be applied one after the other.

    Args:
        name: One of ``ws.HEADS``.
        feature_shape: (H, W, C) of the last feature map.
        classes: Number of classes.
        pool_size: Side of the averaged blocks; None: the paper's rule (heads that pool only).
        dropout_rate: From 0 to below 1; None: the head's own (heads with dropout only).
        classifier_activation: Of the last layer; None gives logits.
        **options: The head's own options.

    Returns:
        List of Keras layers; the last is a float32 ``Dense`` named "predictions", its kernel
        started as in the authors' code (``layers.START``).

    Raises:
        ValueError: A value that this head does not take, with those that it does.
    """
    head = check_head(name, pool_size, dropout_rate, **options)
    height, width, _ = feature_shape
    if head.pools:
        pool_size = check_pool_size(pool_size, height, width)
    layers = list(head.build(pool_size, **options))
    rate = head.dropout_rate if dropout_rate is None else float(dropout_rate)
    if rate is not None:
        layers.append(keras.layers.Dropout(rate, name="dropout"))
    layers.append(
        keras.layers.Dense(
            classes,
            activation=classifier_activation,
            kernel_initializer=keras.initializers.RandomNormal(**START),
            dtype="float32",
            name="predictions",
        )
    )
    return layers


@register("gap", "global average pooling: every position counts the same", "Figures 1a, 3a, 8a")
def gap(pool_size):
    """Mean over all positions: (N, H, W, C) → (N, C)."""
    return [keras.layers.GlobalAveragePooling2D(name="pooling")]


@register(
    "wise",
    "Wise-SrNet: average blocks, then learn a non-negative weight for every position of every channel",
    "Figures 3e, 8c",
    pools=True,
    options=POOLING_OPTIONS | REDUCTION_OPTIONS,
    check=check_blocks,
)
def wise(pool_size, cover="blocks", reduction="average", padding="none", strides=0, **options):
    """Averaged blocks, then a non-negative weighted sum a channel: (N, H, W, C) → (N, C)."""
    if (reduction, padding, strides) == AVERAGE:
        return [_pooling(pool_size, cover=cover, **options)]
    return [*reduction_layers(pool_size, reduction, padding, strides), _pooling(1, **options)]


def _pooling(pool_size, start="normal", sharing="none", bias=True, activation="none", **arguments):
    """The pooling with a weight for every position, by the names of the options."""
    return GlobalDepthwisePooling2D(
        pool_size,
        use_bias=bias,
        depthwise_initializer="average" if start == "uniform" else None,
        sharing=None if sharing == "none" else sharing,
        activation=None if activation == "none" else activation,
        name="pooling",
        **arguments,
    )


@register("gap_dropout", "global average pooling, then dropout", "Figure 3b", dropout_rate=DROPOUT_RATE)
def gap_dropout(pool_size):
    """As ``gap``; half of the vector is dropped in training."""
    return gap(pool_size)


@register(
    "depthwise",
    "a learned weight for every position of every channel, of any sign",
    "Figures 1c, 3c",
    options=POOLING_OPTIONS,
)
def depthwise(pool_size, **options):
    """One weighted sum a channel, weights of any sign: (N, H, W, C) → (N, C)."""
    return [_pooling(1, depthwise_constraint=None, **options)]


@register(
    "depthwise_nonneg",
    "a learned, non-negative weight for every position of every channel",
    "Figure 3d",
    options=POOLING_OPTIONS,
)
def depthwise_nonneg(pool_size, **options):
    """One non-negative weighted sum a channel: (N, H, W, C) → (N, C)."""
    return [_pooling(1, **options)]


@register(
    "wise_dropout",
    "Wise-SrNet, then dropout",
    "Figure 3f",
    pools=True,
    dropout_rate=DROPOUT_RATE,
    options=POOLING_OPTIONS | REDUCTION_OPTIONS,
    check=check_blocks,
)
def wise_dropout(pool_size, **options):
    """As ``wise``; half of the vector is dropped in training."""
    return wise(pool_size, **options)


@register(
    "gwap", "global weighted average pooling after Qiu (2018): weights from the features, shared by all channels", ""
)
def gwap(pool_size):
    """Weighted average with weights computed from the features: (N, H, W, C) → (N, C)."""
    return [GlobalWeightedAveragePooling2D(name="pooling")]


@register("gwap_fixed", "GWAP as the paper describes it: one learned matrix, shared by all channels", "Figure 1b")
def gwap_fixed(pool_size):
    """Weighted sum with one learned matrix for all channels: (N, H, W, C) → (N, C)."""
    return [SharedPositionPooling2D(name="pooling")]


@register("avg_fc", "average blocks, then connect every block of every channel to every class", "Figure 8b", pools=True)
def avg_fc(pool_size):
    """Averaged blocks, flattened: (N, H, W, C) → (N, (H // p)·(W // p)·C)."""
    return [BlockAveragePooling2D(pool_size, name="average"), keras.layers.Flatten(name="flatten")]


@register("flatten_fc", "connect every position of every channel to every class", "Figure 2")
def flatten_fc(pool_size):
    """The map, flattened: (N, H, W, C) → (N, H·W·C)."""
    return [keras.layers.Flatten(name="flatten")]


@register("vgg_fc", f"VGG's way: every position into two fully connected layers of {VGG_UNITS:,} units", "section 1")
def vgg_fc(pool_size):
    """The map, flattened, and two rectified layers (section 1): (N, H, W, C) → (N, ``VGG_UNITS``)."""
    hidden = [keras.layers.Dense(VGG_UNITS, activation="relu", name=f"fc{k}") for k in (1, 2)]
    return [keras.layers.Flatten(name="flatten"), *hidden]
