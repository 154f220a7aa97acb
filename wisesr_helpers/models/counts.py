"""Parameters and floating-point operations of a model, counted from its layers."""

import functools
import math

import wisesr_helpers as ws  # ws.layers is imported when it is used, and Keras with it
from wisesr_helpers._keras import keras
from wisesr_helpers.models.heads import head_layers


def count_params(model):
    """Number of weights, trainable or not, as the paper's tables count them."""
    return model.count_params()


def count_flops(model):
    """Floating-point operations for one image, as Table 1 counts them.

    2 per multiply-add, 1 per bias output, 2 per batch-normalisation output, 1 per output of a
    residual addition, the window's size per pooled output; activations and concatenations 0. Layers that
    Table 1's models lack are counted alike: a normalisation 2 per output, a scaling 1.

    Args:
        model: ``keras.Model`` with an input of known size.

    Returns:
        int; Table 1 prints it in G = 10⁹.

    Raises:
        ValueError: A layer has weights and no rule.
    """
    return sum(_layer_flops(layer) for layer in model.layers)


def _layer_flops(layer):
    if isinstance(layer, keras.Model):
        return count_flops(layer)
    if hasattr(layer, "count_flops"):  # the project's own layers know theirs
        return layer.count_flops(layer.input.shape)
    for kind, rule in _rules():
        if isinstance(layer, kind):
            return rule(layer, _size(layer.output))
    if type(layer).__name__ == "LayerScale":  # ConvNeXt's; keras.applications does not export its class
        return _size(layer.output)
    if layer.weights:
        raise ValueError(f"No rule counts the operations of '{layer.name}' ({type(layer).__name__}).")
    return 0


def _size(tensor):
    """Values of a tensor for one image."""
    return math.prod(tensor.shape[1:])


def _bias(layer, outputs):
    return outputs if layer.use_bias else 0


def _conv(layer, outputs):
    per_output = math.prod(layer.kernel_size) * layer.input.shape[-1] // layer.groups
    return 2 * per_output * outputs + _bias(layer, outputs)


def _depthwise(layer, outputs):
    return 2 * math.prod(layer.kernel_size) * outputs + _bias(layer, outputs)


def _separable(layer, outputs):
    between = outputs // layer.filters * layer.input.shape[-1] * layer.depth_multiplier
    pointwise = 2 * layer.input.shape[-1] * layer.depth_multiplier * outputs
    return 2 * math.prod(layer.kernel_size) * between + pointwise + _bias(layer, outputs)


def _dense(layer, outputs):
    return 2 * layer.input.shape[-1] * outputs + _bias(layer, outputs)


def _window(layer, outputs):
    return math.prod(layer.pool_size) * outputs


@functools.cache
def _rules():
    """Pairs (layer class, its rule); the first that fits counts, so subclasses come before their parents."""
    return (
        (keras.layers.SeparableConv2D, _separable),
        (keras.layers.DepthwiseConv2D, _depthwise),
        (keras.layers.Conv2D, _conv),
        (keras.layers.Dense, _dense),
        (
            (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.Normalization),
            lambda layer, outputs: 2 * outputs,
        ),
        (keras.layers.Add, lambda layer, outputs: (len(layer.input) - 1) * outputs),
        ((keras.layers.MaxPooling2D, keras.layers.AveragePooling2D), _window),
        (
            (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D),
            lambda layer, outputs: _size(layer.input),
        ),
    )


def head_params(head, feature_shape, classes, **options):
    """Parameters of a head, its classifier included.

    Args:
        head: One of ``ws.HEADS``.
        feature_shape: (H, W, C) of the feature map.
        classes: Number of classes.
        **options: As :func:`wisesr_helpers.models.heads.head_layers` takes them.
    """
    count = 0
    for layer, shape in _head_stages(head, feature_shape, classes, options):
        if isinstance(layer, keras.layers.Dense):
            count += (shape[-1] + layer.use_bias) * layer.units
        else:
            layer.build((None, *shape))
            count += layer.count_params()
    return count


def head_flops(head, feature_shape, classes, **options):
    """Operations of a head for one image, its classifier included; arguments as for :func:`head_params`."""
    return sum(
        (2 * shape[-1] + layer.use_bias) * layer.units
        if isinstance(layer, keras.layers.Dense)
        else count_flops(keras.Sequential([keras.Input(shape), layer]))
        for layer, shape in _head_stages(head, feature_shape, classes, options)
    )


def _head_stages(head, feature_shape, classes, options):
    """Pairs (layer, its input's shape). Fully connected layers are never built, for they can be huge."""
    shape = tuple(feature_shape)
    for layer in head_layers(head, shape, classes, **options):
        yield layer, shape
        shape = tuple(layer.compute_output_shape((None, *shape))[1:])


def cells_looked_at(height, width, pool_size=None):
    """(array (height, width) of bool: the cells that a pre-averaged head weighs, side of its blocks in cells).

    ``pool_size=None`` is the paper's rule.
    """
    layout = ws.layers.blocks.lay_out(height, width, pool_size)
    return layout.inside, layout.window
