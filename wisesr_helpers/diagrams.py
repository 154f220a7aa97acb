"""A head as steps, read off its layers: what its diagram shows."""

import dataclasses
import math

from wisesr_helpers._keras import keras
from wisesr_helpers.gwap import GlobalWeightedAveragePooling2D, SharedPositionPooling2D
from wisesr_helpers.layers import GlobalDepthwisePooling2D, check_pool_size
from wisesr_helpers.reductions import FixedReduction2D

layers = keras.layers


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer of a head and the array that it gives.

    Attributes:
        layer: What computes, in the field's words.
        detail: Its window, kernel or activation.
        shape: Of the array for one image.
    """

    layer: str
    detail: str
    shape: tuple


def head_steps(head, feature_shape):
    """What a head does, step by step.

    Args:
        head: The layers from the feature map to the class scores, in order, as
            :func:`wisesr_helpers.heads.head_layers` returns them.
        feature_shape: (H, W, C) of the feature map.

    Returns:
        List of Step; a pre-averaging is a step of its own.
    """
    steps, shape = [], tuple(feature_shape)
    for layer in head:
        if isinstance(layer, GlobalDepthwisePooling2D):
            layout = layer.lay_out(*shape[:2])
            shape = (*layout.numbers.shape, shape[2])
            if check_pool_size(layer.pool_size, layout.height, layout.width) > 1:
                steps.append(Step("average pooling", f"{_sides(layout.rows)}×{_sides(layout.columns)}", shape))
            radial = ", radial" if layer.sharing == "radial" else ""
            linear = layer.activation is keras.activations.linear
            activation = "" if linear else f", {layer.activation.__name__}"
            detail = f"{shape[0]}×{shape[1]}{radial}{_limit(layer)}{activation}"
            steps.append(Step("depthwise", detail, shape[2:]))
        else:
            steps.append(_step(layer, shape))
        shape = steps[-1].shape
    return steps


def _step(layer, shape):
    size = "×".join(map(str, shape[:2]))
    if isinstance(layer, FixedReduction2D | layers.DepthwiseConv2D):
        return _reduction(layer, tuple(layer.compute_output_shape((None, *shape))[1:]))
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return Step("global average", size, shape[2:])
    if isinstance(layer, layers.AveragePooling2D):
        height, width = layer.pool_size
        return Step("average pooling", f"{height}×{width}", (shape[0] // height, shape[1] // width, shape[2]))
    if isinstance(layer, GlobalWeightedAveragePooling2D):
        return Step("weighted average", f"{size}, from the features", shape[2:])
    if isinstance(layer, SharedPositionPooling2D):
        return Step("weighted sum", f"{size}, one for all channels", shape[2:])
    if isinstance(layer, layers.Flatten):
        return Step("flatten", "", (math.prod(shape),))
    if isinstance(layer, layers.Dropout):
        return Step("dropout", f"{layer.rate:.0%}", shape)
    if isinstance(layer, layers.Dense):
        return Step("fully connected", layer.activation.__name__, (layer.units,))
    return Step(type(layer).__name__, "", tuple(layer.compute_output_shape((None, *shape))[1:]))


def _reduction(layer, shape):
    """The step of a reduction to another map than the average of separate blocks."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return Step("depthwise", "×".join(map(str, layer.kernel_size)) + _limit(layer), shape)
    if layer.reduction != "average":
        return Step(layer.reduction, f"to {shape[0]}×{shape[1]}", shape)
    strides = f", stride {layer.strides}" if layer.strides else ""
    padding = f", {layer.padding} around" if layer.padding != "none" else ""
    return Step("average pooling", f"{layer.pool_size}×{layer.pool_size}{strides}{padding}", shape)


def _sides(blocks):
    """The sides of blocks along one axis in words: 3, or 3–4 where they differ."""
    return "–".join(map(str, sorted({min(blocks), max(blocks)})))


def _limit(layer):
    return ", weights ≥ 0" if isinstance(layer.depthwise_constraint, keras.constraints.NonNeg) else ""
