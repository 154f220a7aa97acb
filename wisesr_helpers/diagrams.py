"""A head as steps, read off its layers: what its diagram shows."""

import dataclasses
import math

from wisesr_helpers._keras import keras
from wisesr_helpers.gwap import GlobalWeightedAveragePooling2D, SharedPositionPooling2D
from wisesr_helpers.layers import GlobalDepthwisePooling2D, check_pool_size

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
            window = check_pool_size(layer.pool_size, *shape[:2])
            if window > 1:
                shape = (shape[0] // window, shape[1] // window, shape[2])
                steps.append(Step("average pooling", f"{window}×{window}", shape))
            limit = ", weights ≥ 0" if isinstance(layer.depthwise_constraint, keras.constraints.NonNeg) else ""
            steps.append(Step("depthwise", f"{shape[0]}×{shape[1]}{limit}", shape[2:]))
        else:
            steps.append(_step(layer, shape))
        shape = steps[-1].shape
    return steps


def _step(layer, shape):
    size = "×".join(map(str, shape[:2]))
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
