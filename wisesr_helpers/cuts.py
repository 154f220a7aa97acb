"""A classifier cut in two at a feature map: images → feature map, feature map → logits, and their gradient."""

import dataclasses
import functools
import weakref

import numpy as np

from wisesr_helpers._keras import keras

layers, ops = keras.layers, keras.ops

SOFTMAX, LINEAR = keras.activations.softmax, keras.activations.linear
SHOWN = 4  # layers named in an error


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """A classifier, cut at a feature map. The halves share the model's layers, so they follow its weights.

    Attributes:
        name: The model's.
        image: Keras tensor of the images, (None, H, W, channels).
        features: Keras tensor of the feature map, (None, h, w, C).
        scores: Keras tensor of the model's output, (None, classes).
        tail_end: Keras tensor of the logits (None, classes); where a fully connected layer makes them, of its input
            instead, for with a softmax inside that layer no tensor of the graph is the logits.
        classifier: That fully connected layer, or None.
        steps: The operations from the feature map to ``tail_end``, first to last, without dropout.
    """

    name: str
    image: object
    features: object
    scores: object
    tail_end: object
    classifier: layers.Dense | None
    steps: tuple

    @functools.cached_property
    def front(self):
        """``keras.Model``: images in; feature map and scores out."""
        return keras.Model(self.image, [self.features, self.scores])

    @functools.cached_property
    def tail(self):
        """``keras.Model``: feature map in, the logits or the classifier's input out."""
        return keras.Model(self.features, self.tail_end)

    def run(self, images):
        """Feature maps, float32 (N, h, w, C), and scores (N, classes) of images, as NumPy arrays."""
        features, scores = (ops.convert_to_numpy(x) for x in self.front.predict_on_batch(images))
        return features.astype(np.float32, copy=False), scores

    def logits(self, features):
        """The logits (N, classes) of feature maps (N, h, w, C), before any softmax, as a NumPy array."""
        x = ops.convert_to_numpy(self.tail(features, training=False))
        if self.classifier is None:
            return x
        bias = self.classifier.bias
        return x @ ops.convert_to_numpy(self.classifier.kernel) + (0 if bias is None else ops.convert_to_numpy(bias))

    def gradient(self, features, classes):
        """The gradient of every image's logit of one class with respect to its feature map.

        Args:
            features: NumPy array (N, h, w, C), float32.
            classes: NumPy array (N,), whole numbers.

        Returns:
            NumPy array (N, h, w, C), float32.
        """
        differentiate = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
        gradient = differentiate(lambda x: self._chosen_logits(x, classes), ops.convert_to_tensor(features))
        return ops.convert_to_numpy(gradient)

    def _chosen_logits(self, features, classes):
        """The logits of the given classes but for their biases, which no gradient sees, added over the images.

        Each depends on its own image's feature map only, so the gradient of the sum is all of theirs.
        """
        x = self.tail(features, training=False)
        if self.classifier is not None:
            x = ops.matmul(x, self.classifier.kernel)
        return ops.sum(ops.take_along_axis(x, ops.convert_to_tensor(classes[:, None]), axis=1))


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


# A half is compiled when first used, and a tail leaves a node behind in each of the model's layers: once is enough.
_CUTS = weakref.WeakKeyDictionary()


def cut_at(model, layer="features"):
    """A classifier, cut at the feature map that a layer gives.

    Args:
        model: ``keras.Model`` made of a graph (functional, or sequential and built): one input of images, one
            output (None, classes) that is a softmax or logits.
        layer: Name of a layer whose output is 4-D, channels last, and which everything passes on the way from the
            images to the scores.

    Returns:
        Cut; the same one for as long as the model and its output are.

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: It has no such graph or no such layer, or its last layer is neither a softmax nor linear.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"A Keras model is needed; received an object of type '{type(model).__name__}'.")
    known = _CUTS.setdefault(model, {})
    cut = known.get(layer)
    if cut is None or cut.scores is not model.outputs[0]:  # a sequential model may have been continued
        cut = known[layer] = _cut(model, layer)
    return cut


def _cut(model, layer):
    inputs, outputs = (getattr(model, end, None) or () for end in ("inputs", "outputs"))
    if [len(tensor.shape) for tensor in (*inputs, *outputs)] != [4, 2]:
        raise ValueError(
            f"'{model.name}' must be a functional model, or a sequential one that is built, with one input of images "
            "(None, height, width, channels) and one output of class scores (None, classes)."
        )
    features = _feature_map(model, layer)
    tail_end, classifier = _tail_end(model)
    passed = [step for _, step in _ancestry(tail_end, features)]
    if any(isinstance(step, layers.InputLayer) for step in passed):
        raise ValueError(
            f"'{model.name}' can't be cut at '{layer}': a path leads past it from the images to the class scores. Take "
            "a layer that every path passes."
        )
    steps = tuple(step for step in reversed(passed) if not isinstance(step, layers.Dropout))
    return Cut(model.name, inputs[0], features, outputs[0], tail_end, classifier, steps)


def _feature_map(model, layer):
    maps = [(tensor, step) for tensor, step in _ancestry(model.outputs[0]) if len(tensor.shape) == 4]
    found = [tensor for tensor, step in maps if step.name == layer]
    if len(found) != 1:
        names = list(dict.fromkeys(step.name for _, step in maps if not isinstance(step, layers.InputLayer)))
        named = ", ".join(f"'{name}'" for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        raise ValueError(
            f"'{model.name}' has no layer '{layer}' that gives one feature map (N, h, w, C) on the way to the class "
            f"scores; {f'those that do, the last first: {named}' if names else 'no layer does'}."
        )
    return found[0]


def _tail_end(model):
    """(tensor, classifier): the input of the fully connected layer that makes the logits, or the logits and None.

    The layers' own inputs don't tell: a layer may be called more than once, in this model or another.

    Raises:
        ValueError: The model ends in neither a softmax nor a linear layer.
    """
    tensor = model.outputs[0]
    last, sources = _origin(tensor)
    activation = getattr(last, "activation", None)
    apart = isinstance(last, layers.Softmax) or (isinstance(last, layers.Activation) and activation is SOFTMAX)
    if apart:  # what goes into it are the logits, whatever made them
        tensor = sources[0]
        last, sources = _origin(tensor)
        activation = getattr(last, "activation", None)
    if isinstance(last, layers.Dense) and (activation is LINEAR or (activation is SOFTMAX and not apart)):
        return sources[0], last
    if apart or activation is LINEAR:
        return tensor, None
    raise ValueError(
        f"The logits of '{model.name}' can't be told from its outputs: its last layer, '{last.name}', must be a "
        "softmax, or a layer with an activation that is softmax (fully connected layers) or none."
    )


def _origin(tensor):
    """The operation that gives a Keras tensor, and the Keras tensors that it takes."""
    history = tensor._keras_history  # Keras has no public name for it
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors


def _ancestry(tensor, end=None):
    """What a Keras tensor is computed from, itself included, the nearest first, up to ``end``, which is left out.

    Yields:
        (tensor, the operation that gives it).
    """
    waiting, seen = [tensor], {id(end)}
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) not in seen:
            seen.add(id(tensor))
            operation, sources = _origin(tensor)
            yield tensor, operation
            waiting += sources
