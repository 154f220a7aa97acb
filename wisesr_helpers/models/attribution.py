"""Where a classifier looks: Grad-CAM, HiResCAM, and what every position of the feature map adds to a logit.

A classifier is split at a feature map into features (images → map) and head (map → logits). For a head that is linear
up to the logits, all three maps come from the head's weights, without a gradient.
"""

import dataclasses
import functools
import weakref

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import is_whole
from wisesr_helpers.layers.blocks import lay_out
from wisesr_helpers.layers.pooling import (
    GlobalDepthwisePooling2D,
    GlobalWeightedAveragePooling2D,
    SharedPositionPooling2D,
)
from wisesr_helpers.layers.reductions import FixedReduction2D, cell_weights

layers, ops = keras.layers, keras.ops

SOFTMAX, LINEAR = keras.activations.softmax, keras.activations.linear
SHOWN = 4  # layers named in an error


@dataclasses.dataclass(frozen=True, eq=False)
class SplitClassifier:
    """A classifier, split at a feature map. The halves share the model's layers, so they follow its weights.

    Attributes:
        name: The model's.
        image: Keras tensor of the images, (None, H, W, channels).
        features: Keras tensor of the feature map, (None, h, w, C).
        scores: Keras tensor of the model's output, (None, classes).
        end: Keras tensor of the logits (None, classes) or, where a fully connected layer computes them, of its input:
            with a softmax inside that layer, no tensor of the graph holds the logits.
        classifier: That fully connected layer, or None.
        steps: The operations from the feature map to ``end``, first to last, without dropout.
    """

    name: str
    image: object
    features: object
    scores: object
    end: object
    classifier: layers.Dense | None
    steps: tuple

    @functools.cached_property
    def _extractor(self):
        """``keras.Model``: images in; feature map and scores out."""
        return keras.Model(self.image, [self.features, self.scores])

    @functools.cached_property
    def _head(self):
        """``keras.Model``: feature map in, the logits or the classifier's input out."""
        return keras.Model(self.features, self.end)

    @property
    def kernel(self):
        """The classifier's kernel as a NumPy array (features, classes)."""
        return ops.convert_to_numpy(self.classifier.kernel)

    def run(self, images):
        """Feature maps, float32 (N, h, w, C), and scores (N, classes) of images, as NumPy arrays."""
        features, scores = (ops.convert_to_numpy(x) for x in self._extractor.predict_on_batch(images))
        return features.astype(np.float32, copy=False), scores

    def logits(self, features):
        """The logits (N, classes) of feature maps (N, h, w, C), before any softmax, as a NumPy array."""
        x = ops.convert_to_numpy(self._head(features, training=False))
        if self.classifier is None:
            return x
        bias = self.classifier.bias
        return x @ self.kernel + (0 if bias is None else ops.convert_to_numpy(bias))

    def gradient(self, features, classes):
        """The gradient of every image's logit of its class (N,) by its feature map: NumPy arrays (N, h, w, C)."""

        def chosen(x):  # added over the images: each logit depends on its own image's map only, and no bias matters
            x = self._head(x, training=False)
            if self.classifier is not None:
                x = ops.matmul(x, self.classifier.kernel)
            return ops.sum(ops.take_along_axis(x, ops.convert_to_tensor(classes[:, None]), axis=1))

        return ops.convert_to_numpy(_GRADIENTS[keras.backend.backend()](chosen, ops.convert_to_tensor(features)))


def _tensorflow(function, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(function, x):
    import jax

    return jax.grad(function)(x)


def _torch(function, x):
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x, materialize_grads=True)[0]


_GRADIENTS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}

# A half is compiled when first used, and a head leaves a node behind in each of the model's layers: once is enough.
_SPLITS = weakref.WeakKeyDictionary()


def split_at(model, layer="features"):
    """A classifier, split at the feature map of a layer, which all paths to the scores must pass.

    The same object as long as the model has the same output. Errors are those of :func:`grad_cam`.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"A Keras model is needed; received an object of type '{type(model).__name__}'.")
    known = _SPLITS.setdefault(model, {})
    split = known.get(layer)
    if split is None or split.scores is not model.outputs[0]:  # a sequential model may have been continued
        split = known[layer] = _split(model, layer)
    return split


def _split(model, layer):
    inputs, outputs = (getattr(model, end, None) or () for end in ("inputs", "outputs"))
    if [len(tensor.shape) for tensor in (*inputs, *outputs)] != [4, 2]:
        raise ValueError(
            f"'{model.name}' must be a functional model, or a sequential one that is built, with one input of images "
            "(None, height, width, channels) and one output of class scores (None, classes)."
        )
    features = _feature_map(model, layer)
    end, classifier = _end(model)
    passed = [step for _, step in ancestry(end, until=features)]
    if any(isinstance(step, layers.InputLayer) for step in passed):
        raise ValueError(
            f"'{model.name}' can't be split at '{layer}': a path leads past it from the images to the class scores. "
            "Take a layer that every path passes."
        )
    steps = tuple(step for step in reversed(passed) if not isinstance(step, layers.Dropout))
    return SplitClassifier(model.name, inputs[0], features, outputs[0], end, classifier, steps)


def _feature_map(model, layer):
    maps = [(tensor, step) for tensor, step in ancestry(model.outputs[0]) if len(tensor.shape) == 4]
    found = [tensor for tensor, step in maps if step.name == layer]
    if len(found) != 1:
        names = list(dict.fromkeys(step.name for _, step in maps if not isinstance(step, layers.InputLayer)))
        named = ", ".join(f"'{name}'" for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        raise ValueError(
            f"'{model.name}' has no layer '{layer}' that gives one feature map (N, h, w, C) on the way to the class "
            f"scores; {f'those that do, the last first: {named}' if names else 'no layer does'}."
        )
    return found[0]


def _end(model):
    """(tensor, classifier): the input of the fully connected layer that makes the logits, or the logits and None."""
    tensor = model.outputs[0]
    last, sources = origin(tensor)
    activation = getattr(last, "activation", None)
    separate = isinstance(last, layers.Softmax) or (isinstance(last, layers.Activation) and activation is SOFTMAX)
    if separate:  # what goes into it are the logits, whatever made them
        tensor = sources[0]
        last, sources = origin(tensor)
        activation = getattr(last, "activation", None)
    if isinstance(last, layers.Dense) and (activation is LINEAR or (activation is SOFTMAX and not separate)):
        return sources[0], last
    if separate or activation is LINEAR:
        return tensor, None
    raise ValueError(
        f"The logits of '{model.name}' can't be computed: its last layer, '{last.name}', must be a softmax, a fully "
        "connected layer with softmax, or a layer without activation."
    )


def origin(tensor):
    """The operation that gives a Keras tensor, and the Keras tensors that it takes in that call, one of several."""
    history = tensor._keras_history  # Keras has no public name for it
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors


def ancestry(*tensors, until=None):
    """(tensor, its operation) of all that Keras tensors are computed from, themselves first; ``until`` is left out."""
    waiting, seen = [*tensors], {id(until)}
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) not in seen:
            seen.add(id(tensor))
            operation, sources = origin(tensor)
            yield tensor, operation
            waiting += sources


def grad_cam(model, images, class_indices=None, relu=False, layer="features", batch_size=15):
    """Grad-CAM: the feature map's channels, each weighted by the mean of the logit's gradient over its positions.

    What the paper draws in Figure 9 (section 3.3.1), after Selvaraju et al. (2017, "Grad-CAM: Visual Explanations from
    Deep Networks via Gradient-based Localization"). The mean discards at which positions a head has its weights; for
    heads with weights by position, :func:`hires_cam` shows what they use.

    Args:
        model: A classifier with any head, or anybody's ``keras.Model`` with one input of images and one output of
            class scores, a softmax or logits. The logits, before the softmax, are differentiated.
        images: Array (N, H, W, 3) as the model takes it: uint8 or float RGB, 0..255, for those of
            ``ws.build_classifier``. One image is ``image[None]``.
        class_indices: One class for all images, a list of one an image, or None (default): the predicted ones.
        relu: Whether negative values, which speak against the class, are set to 0, as in the source; default False.
        layer: Name of the layer that gives the feature map, channels last; default "features".
        batch_size: Images that are processed at once; default 15.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map, in the logit's unit; they don't add up to it.

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: The images have another shape, the model doesn't have a class, the numbers of classes and images
            differ, ``batch_size`` is no whole number, or the model can't be split: it doesn't have that layer (the
            message lists some that it has), a path leads past it, or the last layer is neither a softmax nor linear.
    """
    split = split_at(model, layer)
    weigh = _linear_weights(split) or split.gradient

    def mean(features, classes):
        return weigh(features, classes).mean(axis=(1, 2), keepdims=True)

    return _maps(split, images, class_indices, batch_size, mean, relu)


def hires_cam(model, images, class_indices=None, relu=False, layer="features", batch_size=15):
    """HiResCAM: the feature map times the logit's gradient, position by position, added over the channels.

    After Draelos & Carin (2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks"). For a head that is linear up to the logits it equals :func:`contribution_map`; behind global average
    pooling it equals :func:`grad_cam`, too.

    Arguments and errors are those of :func:`grad_cam`.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map, in the logit's unit.
    """
    split = split_at(model, layer)
    return _maps(split, images, class_indices, batch_size, _linear_weights(split) or split.gradient, relu)


def contribution_map(model, images, class_indices=None, layer="features", batch_size=15):
    """What every position of the feature map adds to a class's logit; the sum plus the biases is the logit.

    For a head that is linear up to the logits it equals :func:`hires_cam`. The head "gwap" computes its weights from
    the features; here they count as constants, while :func:`hires_cam` includes how the features change them.

    Args:
        model: A classifier with any head but "vgg_fc".
        images, class_indices, layer, batch_size: As for :func:`grad_cam`.

    Returns:
        float32 array (N, h, w), h×w the cells of the feature map: raw contributions in the logit's unit, negative
        ones included.

    Raises:
        TypeError: As :func:`grad_cam`.
        ValueError: As :func:`grad_cam`, or the head can't be taken apart by positions.
    """
    split = split_at(model, layer)
    weigh = _linear_weights(split) or _gwap_weights(split)
    if weigh is None:
        raise _inseparable(split, layer)
    return _maps(split, images, class_indices, batch_size, weigh)


def pooling_weights(model, layer="features"):
    """The weight of every position of every channel in the pooled vector, of a head that is linear up to the logits.

    Returns:
        Array (H, W, C); 1/(H·W) everywhere with global average pooling.

    Raises:
        TypeError, ValueError: As :func:`contribution_map`; or the head is "gwap"; or every class has weights of its own
            ("avg_fc", "flatten_fc").
    """
    split = split_at(model, layer)
    if _linear_head(split) is None:
        raise _inseparable(split, layer)
    weights = _pooling(split)
    if weights is None:
        raise ValueError(
            f"In '{model.name}' every class has weights of its own, not every channel. ws.contribution_map shows what "
            "every position adds to a class."
        )
    return weights


def _inseparable(split, layer):
    return ValueError(
        f"'{split.name}' can't be taken apart by positions: that needs one pooling whose weights are given (or a "
        f"flattening) behind '{layer}', a map of known size, and then one fully connected layer. ws.grad_cam and "
        "ws.hires_cam take any head."
    )


def _linear_head(split):
    """(…, n) of the classifier's kernel → weights of positions (h, w, C, n), of a linear head; None for any other."""
    _, height, width, channels = split.features.shape
    if split.classifier is None or None in (height, width):
        return None
    pooling = _pooling(split)
    if pooling is not None:
        return lambda kernel: pooling[..., None] * kernel
    match split.steps:
        case [layers.Flatten(data_format="channels_last")]:
            return lambda kernel: kernel.reshape(height, width, channels, -1)
        case [layers.AveragePooling2D(pool_size=(p, q)) as average, layers.Flatten(data_format="channels_last")] if (
            p == q and (average.strides, average.padding, average.data_format) == ((p, p), "valid", "channels_last")
        ):
            layout = lay_out(height, width, p)
            return lambda kernel: ops.convert_to_numpy(layout.cell_weights(kernel.reshape(layout.count, channels, -1)))
    return None


def _pooling(split):
    """Weights of positions (h, w, C) of a head that is one linear pooling; None for any other head."""
    _, height, width, channels = split.features.shape
    match split.steps:
        case [layers.GlobalAveragePooling2D(data_format="channels_last")]:
            return np.full((height, width, channels), 1 / (height * width), np.float32)
        case [layers.GlobalAveragePooling2D(data_format="channels_last"), layers.Rescaling(offset=0) as scaling]:
            return np.full((height, width, channels), scaling.scale / (height * width), np.float32)
        case [SharedPositionPooling2D() as pooling]:
            return ops.convert_to_numpy(pooling.kernel)[..., None].repeat(channels, axis=-1)
        case [GlobalDepthwisePooling2D() as pooling] if _is_linear(pooling):
            return pooling.position_weights(height, width)
        case [first, GlobalDepthwisePooling2D() as pooling] if _is_linear(pooling) and _is_reduction(first):
            _, rows, columns, _ = first.compute_output_shape(split.features.shape)
            return cell_weights(first, pooling.position_weights(rows, columns), height, width)
    return None


def _is_reduction(layer):
    """Whether a layer is linear and such as :func:`wisesr_helpers.layers.reductions.reduction_layer` makes."""
    if not isinstance(layer, layers.DepthwiseConv2D):
        return isinstance(layer, FixedReduction2D)
    kind = (layer.kernel_size, layer.padding, layer.depth_multiplier, layer.data_format)
    return kind == (layer.strides, "valid", 1, "channels_last") and _is_linear(layer)


def _is_linear(layer):
    return layer.activation in (None, LINEAR)


def _linear_weights(split):
    """As ``split.gradient``, for a linear head: its weights, whatever the features are; None for any other head."""
    weigh = _linear_head(split)
    if weigh is None:
        return None
    kernel = split.kernel
    return lambda features, classes: np.moveaxis(weigh(kernel[:, classes]), -1, 0)


def _gwap_weights(split):
    """(features, classes) → weights (N, h, w, C) of the head "gwap", as they are; None for any other head."""
    match split.steps, split.classifier:
        case [[GlobalWeightedAveragePooling2D() as pooling], layers.Dense()]:
            kernel = split.kernel  # (C, classes)
            return lambda features, classes: (
                ops.convert_to_numpy(pooling.position_weights(features)) * kernel.T[classes][:, None, None]
            )
    return None


def _maps(split, images, class_indices, batch_size, weigh, relu=False):
    """Feature maps times ``weigh(features, classes)``, added over the channels: float32 (N, h, w)."""
    images = _checked_images(split, images)
    count = len(images)
    given = None if class_indices is None else _checked_classes(split, class_indices, count)
    if not is_whole(batch_size):
        raise ValueError(f"batch_size must be a whole number of at least 1; received {batch_size!r}.")
    size = min(batch_size, count)
    maps = []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)  # batches stay of one size: each is compiled for
        features, scores = split.run(images[rows])
        classes = scores.argmax(axis=1).astype(np.int32) if given is None else given[rows]
        maps.append((features * weigh(features, classes)).sum(axis=-1))
    maps = np.concatenate(maps)[:count]
    return np.maximum(maps, 0) if relu else maps


def _checked_images(split, images):
    taken = tuple(split.image.shape)
    images = _array(images)
    fits = images.ndim == 4 and all(side in (None, own) for side, own in zip(taken, images.shape, strict=True))
    if not fits or images.dtype.kind not in "uif" or not images.size:
        one = " One image is image[None]." if images.ndim == 3 else ""
        raise ValueError(
            f"'{split.name}' takes images {taken}, all of one size, uint8 or other numbers; received {images.dtype} of "
            f"shape {images.shape}.{one}"
        )
    return images


def _checked_classes(split, class_indices, count):
    """One class an image, (N,)."""
    classes = split.scores.shape[1]
    given = _array(class_indices)
    whole = given.dtype.kind in "ui" and given.shape in ((), (count,))
    if not whole or (given < 0).any() or (given >= classes).any():
        raise ValueError(
            f"class_indices must be one class for all images, a list of {count} (one an image), or None for the "
            f"predicted ones; a class of '{split.name}' is a whole number from 0 to {classes - 1}. Received "
            f"{class_indices!r}."
        )
    return np.broadcast_to(given.astype(np.int32), count)


def _array(given):
    """What a user gave as an array, of objects where it is none."""
    try:
        return np.asarray(given)
    except ValueError:  # a list of lists or arrays of several sizes
        return np.array([*given, None], object)[:-1]
