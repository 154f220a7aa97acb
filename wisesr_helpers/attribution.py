"""Where a classifier looks: Grad-CAM, HiResCAM, and what every position of the feature map adds to a logit.

For a head that is linear up to the logits, all three come from the head's weights, without a gradient.
"""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.blocks import spread_blocks
from wisesr_helpers.cuts import cut_at
from wisesr_helpers.gwap import GlobalWeightedAveragePooling2D, SharedPositionPooling2D
from wisesr_helpers.layers import GlobalDepthwisePooling2D, is_whole
from wisesr_helpers.reductions import FixedReduction2D, spread_windows

layers = keras.layers


def grad_cam(model, images, class_indices=None, relu=False, layer="features", batch_size=15):
    """Grad-CAM: the feature map's channels, each weighted by the mean of the logit's gradient over its positions.

    What the paper draws in Figure 9 (section 3.3.1), after Selvaraju et al. (2017, "Grad-CAM: Visual Explanations from
    Deep Networks via Gradient-based Localization"). The mean throws away where a head has its weights: for heads with
    weights by position, :func:`hires_cam` is what they use.

    Args:
        model: A classifier with any head, or anybody's ``keras.Model`` with one input of images and one output of
            class scores, a softmax or logits. The logits, before the softmax, are differentiated.
        images: Array (N, H, W, 3) as the model takes it: uint8 or float RGB, 0..255, for those of
            ``ws.build_classifier``. One image is ``image[None]``.
        class_indices: One class for all images, a list of one an image, or None (default): the predicted ones.
        relu: Whether what speaks against the class is set to 0, as in the source; default False: raw.
        layer: Name of the layer that gives the feature map, channels last; default "features".
        batch_size: Images that are processed at once; default 15.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map, in the logit's unit; they don't add up to it.

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: Images of another shape, a class that the model doesn't have, another number of classes than of
            images, a ``batch_size`` that is no whole number; or a model without that layer (some that it has are
            listed), with a path that leads past it, or whose last layer is neither a softmax nor linear.
    """
    cut = cut_at(model, layer)
    weigh = _linear_weights(cut) or cut.gradient
    maps = _maps(cut, images, class_indices, batch_size, lambda *batch: weigh(*batch).mean(axis=(1, 2), keepdims=True))
    return np.maximum(maps, 0) if relu else maps


def hires_cam(model, images, class_indices=None, relu=False, layer="features", batch_size=15):
    """HiResCAM: the feature map times the logit's gradient, position by position, added over the channels.

    After Draelos & Carin (2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks"). For a head that is linear up to the logits it equals :func:`contribution_map`; behind global average
    pooling it equals :func:`grad_cam`, too.

    Args:
        model: As for :func:`grad_cam`.
        images: As for :func:`grad_cam`.
        class_indices: One class for all images, a list of one an image, or None (default): the predicted ones.
        relu: Whether what speaks against the class is set to 0; default False: raw.
        layer: Name of the layer that gives the feature map, channels last; default "features".
        batch_size: Images that are processed at once; default 15.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map, in the logit's unit.

    Raises:
        TypeError, ValueError: As :func:`grad_cam`.
    """
    cut = cut_at(model, layer)
    maps = _maps(cut, images, class_indices, batch_size, _linear_weights(cut) or cut.gradient)
    return np.maximum(maps, 0) if relu else maps


def contribution_map(model, images, class_indices=None, layer="features", batch_size=15):
    """What every position of the feature map adds to a class's logit; the sum plus the biases is the logit.

    For a head that is linear up to the logits it equals :func:`hires_cam`. The head "gwap" takes its weights from the
    image; here they count as they are, in :func:`hires_cam` also for how the features change them.

    Args:
        model: A classifier with any head but "vgg_fc".
        images: As for :func:`grad_cam`.
        class_indices: One class for all images, a list of one an image, or None (default): the predicted ones.
        layer: Name of the layer that gives the feature map, channels last; default "features".
        batch_size: Images that are processed at once; default 15.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map: raw contributions in the logit's unit, negative
        ones included.

    Raises:
        TypeError: As :func:`grad_cam`.
        ValueError: As :func:`grad_cam`, or the head can't be taken apart by positions.
    """
    cut = cut_at(model, layer)
    weigh = _linear_weights(cut) or _gwap_weights(cut)
    if weigh is None:
        raise _inseparable(cut, layer)
    return _maps(cut, images, class_indices, batch_size, weigh)


def position_weights(model, layer="features"):
    """The weight of every position of every channel in every logit, of a head that is linear up to the logits.

    The weight of a channel's position, as the pooling has it, times the channel's weight in the
    classifier. Global average pooling is the special case of 1/(H·W) everywhere.

    Args:
        model: A classifier with any head but "gwap" and "vgg_fc".
        layer: Name of the layer that gives the feature map, channels last; default "features".

    Returns:
        Array (H, W, C, classes).

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: The head is not linear up to the logits, or the model can't be cut at that layer.
    """
    cut = cut_at(model, layer)
    spread = _linear_head(cut)
    if spread is None:
        raise _inseparable(cut, layer)
    return spread(_kernel(cut))


def _inseparable(cut, layer):
    return ValueError(
        f"'{cut.name}' can't be taken apart by positions: that needs one pooling whose weights are given (or a "
        f"flattening) behind '{layer}', a map of known size, and then one fully connected layer. ws.grad_cam and "
        "ws.hires_cam take any head."
    )


def _kernel(cut):
    return keras.ops.convert_to_numpy(cut.classifier.kernel)


def _linear_head(cut):
    """How a linear head makes weights of positions, (h, w, C, n), from columns of the classifier's kernel, (…, n).

    Returns:
        A function from the one to the other; None for any other head.
    """
    _, height, width, channels = cut.features.shape
    if cut.classifier is None or None in (height, width):
        return None
    match cut.steps:
        case [layers.GlobalAveragePooling2D(data_format="channels_last")]:
            positions = np.full((height, width, channels), 1 / (height * width), np.float32)
        case [GlobalDepthwisePooling2D() as pooling] if _is_linear(pooling):
            positions = pooling.position_weights(height, width)
        case [FixedReduction2D() as first, GlobalDepthwisePooling2D() as pooling] if _is_linear(pooling):
            _, rows, columns, _ = first.compute_output_shape(cut.features.shape)
            positions = first.spread(pooling.position_weights(rows, columns))
        case [
            layers.DepthwiseConv2D(padding="valid", depth_multiplier=1, data_format="channels_last") as first,
            GlobalDepthwisePooling2D() as pooling,
        ] if first.kernel_size == first.strides and _is_linear(first) and _is_linear(pooling):
            _, rows, columns, _ = first.compute_output_shape(cut.features.shape)
            kernel = keras.ops.convert_to_numpy(first.kernel)
            positions = spread_windows(kernel, pooling.position_weights(rows, columns), height, width)
        case [SharedPositionPooling2D() as pooling]:
            positions = keras.ops.convert_to_numpy(pooling.kernel)[..., None].repeat(channels, axis=-1)
        case [layers.Flatten(data_format="channels_last")]:
            return lambda kernel: kernel.reshape(height, width, channels, -1)
        case [layers.AveragePooling2D(pool_size=(p, q)) as average, layers.Flatten(data_format="channels_last")] if (
            p == q and (average.strides, average.padding, average.data_format) == ((p, p), "valid", "channels_last")
        ):
            blocks = (height // p, width // p, channels, -1)
            return lambda kernel: spread_blocks(kernel.reshape(blocks), p, height, width)
        case _:
            return None
    return lambda kernel: positions[..., None] * kernel


def _is_linear(layer):
    return layer.activation in (None, keras.activations.linear)


def _linear_weights(cut):
    """As ``cut.gradient``, for a linear head: its weights, whatever the features are; None for any other head."""
    spread = _linear_head(cut)
    if spread is None:
        return None
    kernel = _kernel(cut)
    return lambda features, classes: np.moveaxis(spread(kernel[:, classes]), -1, 0)


def _gwap_weights(cut):
    """(features, classes) → weights (N, h, w, C) of the head "gwap", as they are; None for any other head."""
    match cut.steps, cut.classifier:
        case [[GlobalWeightedAveragePooling2D() as pooling], layers.Dense()]:
            kernel = _kernel(cut)  # (C, classes)
            return lambda features, classes: (
                keras.ops.convert_to_numpy(pooling.position_weights(features)) * kernel.T[classes][:, None, None]
            )
    return None


def _maps(cut, images, class_indices, batch_size, weigh):
    """Feature maps, weighted and added over the channels: float32 (N, h, w).

    Args:
        cut: Cut.
        images: As the user gave them.
        class_indices: As the user gave them.
        batch_size: Images at once.
        weigh: Function of feature maps (n, h, w, C) and classes (n,): what to multiply the maps with.
    """
    images = _checked_images(cut, images)
    count = len(images)
    given = None if class_indices is None else _checked_classes(cut, class_indices, count)
    if not is_whole(batch_size):
        raise ValueError(f"batch_size must be a whole number of at least 1; received {batch_size!r}.")
    size = min(batch_size, count)
    maps = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)  # batches stay of one size: each is compiled for
        features, scores = cut.run(images[rows])
        classes = scores.argmax(axis=1).astype(np.int32) if given is None else given[rows]
        maps.append((features * weigh(features, classes)).sum(axis=-1))
    return np.concatenate(maps)[:count]


def _checked_images(cut, images):
    taken = tuple(cut.image.shape)
    images = _array(images)
    fits = images.ndim == 4 and all(side in (None, own) for side, own in zip(taken, images.shape, strict=True))
    if not fits or images.dtype.kind not in "uif" or not images.size:
        one = " One image is image[None]." if images.ndim == 3 else ""
        raise ValueError(
            f"'{cut.name}' takes images {taken}, all of one size, uint8 or other numbers; received {images.dtype} of "
            f"shape {images.shape}.{one}"
        )
    return images


def _checked_classes(cut, class_indices, count):
    """One class an image, (N,)."""
    classes = cut.scores.shape[1]
    given = _array(class_indices)
    whole = given.dtype.kind in "ui" and given.shape in ((), (count,))
    if not whole or (given < 0).any() or (given >= classes).any():
        raise ValueError(
            f"class_indices must be one class for all images, a list of {count} (one an image), or None for the "
            f"predicted ones; a class of '{cut.name}' is a whole number from 0 to {classes - 1}. Received "
            f"{class_indices!r}."
        )
    return np.broadcast_to(given.astype(np.int32), count)


def _array(given):
    """What a user gave as an array, of objects where it is none."""
    try:
        return np.asarray(given)
    except ValueError:  # a list of lists or arrays of several sizes
        return np.array([*given, None], object)[:-1]
