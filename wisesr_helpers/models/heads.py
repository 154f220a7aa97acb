"""The heads: how the last feature map becomes class scores. A head is a short list of Keras layers."""

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable, Mapping

import wisesr_helpers as ws  # ws.layers is imported when it is used, and Keras with it
from wisesr_helpers._keras import keras
from wisesr_helpers.checks import COVERS, PADDINGS, REDUCTIONS, check_reduction, is_whole

DROPOUT_RATE = 0.5  # section 3.2
VGG_UNITS = 4096  # section 1


@dataclasses.dataclass(frozen=True)
class Option:
    """One of a head's further options.

    Attributes:
        values: The valid ones; the first is the default, the paper's own.
        description: What it does, in a few words.
        old: Old values that are still accepted → today's. A run started with an old value keeps its identity.
    """

    values: tuple
    description: str
    old: Mapping = dataclasses.field(default_factory=dict)

    def takes(self, value):
        """Whether a value is valid; 1 is no True."""
        return any(type(value) is type(valid) and value == valid for valid in (*self.values, *self.old))


# Of the poolings with a weight for every position: the paper's section 2.4, and what the project adds.
POOLING_OPTIONS = {
    "start": Option(
        ("normal", "average", "even"),
        "of the weights; the project's own: average, as global average pooling; even, the mean of normal's, clipped",
        old={"uniform": "average"},
    ),
    "sharing": Option(("none", "radial"), "radial, the project's own: one weight for each distance from the centre"),
    "bias": Option((True, False), "whether a bias is added per channel (section 2.4)"),
    "activation": Option(("none", "relu"), "of the pooled vector (section 2.4)"),
}
# Of the heads that average blocks first: section 3.4, and what the project adds.
REDUCTION_OPTIONS = {
    "cover": Option(COVERS, "exact, the project's own: no row or column is dropped"),
    "reduction": Option(REDUCTIONS, "of the map to blocks (section 3.4)"),
    "padding": Option(PADDINGS, "around the map that is averaged (section 3.4)"),
    "strides": Option((0, 1, 2, 3, 4), "cells from block to block; 0: the block's side (section 3.4)"),
    "constraint": Option(("non_neg", "none"), "of the weights; none: they may have any sign"),
}
# Of global average pooling: by how much its output is multiplied. Nine blocks that start evenly add up to 0.036.
GAP_OPTIONS = {"scale": Option((1.0, 0.036), "of the averages; 0.036: as small as Wise-SrNet's start on 7×7 cells")}
AVERAGE = ("average", "none", 0)  # reduction, padding and strides of the paper's pre-averaging


@dataclasses.dataclass(frozen=True)
class Head:
    """A head: the way from a feature map to the vector that the classifier reads.

    Attributes:
        name: What users type.
        description: One line.
        figure: Where the paper draws it.
        build: ``(**options) → list of Keras layers``, without dropout and classifier; with ``pool_size`` if it pools.
        pools: Whether it averages blocks first, so that it takes ``pool_size``.
        dropout_rate: Share of the vector that is dropped in training; None: the head has no dropout.
        options: Name → ``Option``, the head's further ones.
    """

    name: str
    description: str
    figure: str
    build: Callable
    pools: bool = False
    dropout_rate: float | None = None
    options: Mapping = dataclasses.field(default_factory=dict)

    @property
    def arguments(self):
        """Names of everything it takes: its options, and ``pool_size`` and ``dropout_rate`` where they apply."""
        return [*self.options, *["pool_size"] * self.pools, *["dropout_rate"] * (self.dropout_rate is not None)]


def _average(scale=1.0):
    """The mean of all positions, times ``scale``: (N, H, W, C) → (N, C)."""
    scaling = [keras.layers.Rescaling(scale, name="scale")] if scale != 1 else []
    return [keras.layers.GlobalAveragePooling2D(name="pooling"), *scaling]


def _start(word):
    """The initialiser of the poolings' weights that the option ``start`` names."""
    even = ws.layers.pooling.START["stddev"] / math.sqrt(2 * math.pi)  # the mean of max(0, N(0, σ))
    return {"normal": None, "average": "average", "even": keras.initializers.Constant(even)}[word]


def _weigh(pool_size=1, start="normal", sharing="none", bias=True, activation="none", **arguments):
    """Averaged blocks, then one weighted sum a channel, non-negative by default: (N, H, W, C) → (N, C)."""
    pooling = ws.layers.GlobalDepthwisePooling2D(
        pool_size,
        use_bias=bias,
        depthwise_initializer=_start(start),
        sharing=None if sharing == "none" else sharing,
        activation=None if activation == "none" else activation,
        name="pooling",
        **arguments,
    )
    return [pooling]


def _reduce_and_weigh(
    pool_size, cover="blocks", reduction="average", padding="none", strides=0, constraint="non_neg", **options
):
    """As :func:`_weigh`, or another reduction of section 3.4 before it: (N, H, W, C) → (N, C)."""
    options["depthwise_constraint"] = None if constraint == "none" else constraint
    if (reduction, padding, strides) == AVERAGE:
        return _weigh(pool_size, cover=cover, **options)
    return [ws.layers.reductions.reduction_layer(pool_size, reduction, padding, strides), *_weigh(**options)]


def _average_and_flatten(pool_size):
    """Averaged blocks, flattened: (N, H, W, C) → (N, (H // p)·(W // p)·C)."""
    return [ws.layers.BlockAveragePooling2D(pool_size, name="average"), keras.layers.Flatten(name="flatten")]


def _flatten_and_connect():
    """The map, flattened, and two rectified layers: (N, H, W, C) → (N, ``VGG_UNITS``)."""
    hidden = [keras.layers.Dense(VGG_UNITS, activation="relu", name=f"fc{k}") for k in (1, 2)]
    return [keras.layers.Flatten(name="flatten"), *hidden]


_ALL_OPTIONS = POOLING_OPTIONS | REDUCTION_OPTIONS
_HEADS = (
    Head(
        "gap",
        "global average pooling: every position counts the same",
        "Figures 1a, 3a, 8a",
        _average,
        options=GAP_OPTIONS,
    ),
    Head(
        "wise",
        "Wise-SrNet: average blocks, then learn a non-negative weight for every position of every channel",
        "Figures 3e, 8c",
        _reduce_and_weigh,
        pools=True,
        options=_ALL_OPTIONS,
    ),
    Head(
        "gap_dropout",
        "global average pooling, then dropout",
        "Figure 3b",
        _average,
        dropout_rate=DROPOUT_RATE,
    ),
    Head(
        "depthwise",
        "a learned weight for every position of every channel, of any sign",
        "Figures 1c, 3c",
        functools.partial(_weigh, depthwise_constraint=None),
        options=POOLING_OPTIONS,
    ),
    Head(
        "depthwise_nonneg",
        "a learned, non-negative weight for every position of every channel",
        "Figure 3d",
        _weigh,
        options=POOLING_OPTIONS,
    ),
    Head(
        "wise_dropout",
        "Wise-SrNet, then dropout",
        "Figure 3f",
        _reduce_and_weigh,
        pools=True,
        dropout_rate=DROPOUT_RATE,
        options=_ALL_OPTIONS,
    ),
    Head(
        "gwap",
        "global weighted average pooling after Qiu (2018): weights from the features, shared by all channels",
        "",
        lambda: [ws.layers.GlobalWeightedAveragePooling2D(name="pooling")],
    ),
    Head(
        "gwap_fixed",
        "GWAP as the paper describes it: one learned matrix, shared by all channels",
        "Figure 1b",
        lambda: [ws.layers.SharedPositionPooling2D(name="pooling")],
    ),
    Head(
        "avg_fc",
        "average blocks, then connect every block of every channel to every class",
        "Figure 8b",
        _average_and_flatten,
        pools=True,
    ),
    Head(
        "flatten_fc",
        "connect every position of every channel to every class",
        "Figure 2",
        lambda: [keras.layers.Flatten(name="flatten")],
    ),
    Head(
        "vgg_fc",
        f"VGG's way: every position into two fully connected layers of {VGG_UNITS:,} units",
        "section 1",
        _flatten_and_connect,
    ),
)
REGISTRY = {head.name: head for head in _HEADS}
HEADS = {head.name: head.description for head in _HEADS}


def get_head(name):
    """The :class:`Head` of that name; ValueError with the valid ones otherwise."""
    if name not in REGISTRY:
        raise ValueError(f"Unknown head '{name}'. Valid heads: {', '.join(REGISTRY)}.")
    return REGISTRY[name]


def check_head(name, pool_size=None, dropout_rate=None, **options):
    """The :class:`Head` of that name; ValueError if it can't be built with these values on any feature map."""
    head = get_head(name)
    for option, value in options.items():
        if option not in head.options:
            takes = f"it takes {', '.join(head.options)}" if head.options else "it takes none"
            raise ValueError(f"Head '{name}' has no option '{option}'; {takes}.")
        if not head.options[option].takes(value):
            valid = ", ".join(map(str, head.options[option].values))
            raise ValueError(f"Option '{option}' must be one of {valid}; received {value!r}.")
    if pool_size is not None and not head.pools:
        raise ValueError(f"Head '{name}' averages no blocks, so it takes no pool_size; received {pool_size!r}.")
    if pool_size is not None and not is_whole(pool_size):
        raise ValueError(
            "pool_size must be a whole number of cells, at least 1 (no pre-averaging), or None for the paper's rule; "
            f"received {pool_size!r}."
        )
    if dropout_rate is not None and head.dropout_rate is None:
        others = ", ".join(other.name for other in REGISTRY.values() if other.dropout_rate is not None)
        raise ValueError(
            f"Head '{name}' has no dropout, so it takes no dropout_rate; received {dropout_rate}. Heads with dropout: "
            f"{others}."
        )
    if dropout_rate is not None and not (_is_real(dropout_rate) and 0 <= dropout_rate < 1):
        raise ValueError(
            "dropout_rate is the share of the vector that is dropped in training, a number from 0 to below 1; "
            f"received {dropout_rate!r}."
        )
    _check_blocks(pool_size, **options)
    return head


@functools.cache  # once is enough
def _say_old_word(option, old, today):
    print(f"Option {option}='{old}' is the old word for {option}='{today}' and does the same.")


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_blocks(pool_size, cover="blocks", reduction="average", padding="none", strides=0, **_):
    """Check options of averaged blocks that don't go together; raise ValueError."""
    check_reduction(reduction, padding, strides, pool_size)
    if cover != "blocks" and (reduction, padding, strides) != AVERAGE:
        raise ValueError(
            f"Option 'cover' is about separate averaged blocks; received cover={cover!r} with reduction={reduction!r}, "
            f"padding={padding!r} and strides={strides}: leave either out."
        )


def head_layers(
    name,
    feature_shape,
    classes,
    pool_size=None,
    dropout_rate=None,
    classifier_activation="softmax",
    **options,
):
    """The layers of a head for a feature map (H, W, C), to be applied one after the other.

    Arguments are as for ``ws.build_classifier``. The last layer is a float32 ``Dense`` named "predictions", its kernel
    started as in the authors' code (``layers.pooling.START``). ValueError, with what the head takes, for another value.
    """
    head = check_head(name, pool_size, dropout_rate, **options)
    for option, value in options.items():
        if value in head.options[option].old:
            options[option] = head.options[option].old[value]
            _say_old_word(option, value, options[option])
    if head.pools:
        options["pool_size"] = ws.layers.blocks.check_pool_size(pool_size, *feature_shape[:2])
    rate = head.dropout_rate if dropout_rate is None else float(dropout_rate)
    steps = head.build(**options)  # before the rest: each layer draws its seed when it is made
    if rate is not None:
        steps.append(keras.layers.Dropout(rate, name="dropout"))
    classifier = keras.layers.Dense(
        classes,
        activation=classifier_activation,
        kernel_initializer=keras.initializers.RandomNormal(**ws.layers.pooling.START),
        dtype="float32",
        name="predictions",
    )
    return [*steps, classifier]
