"""The learned pooling in anybody's model, in place of the average that it ends in."""

from wisesr_helpers._keras import keras
from wisesr_helpers.layers.pooling import GlobalDepthwisePooling2D
from wisesr_helpers.models.attribution import ancestry, origin

layers = keras.layers


def replace_pooling(model, cover="exact", depthwise_initializer="average", **arguments):
    """A copy of a model with a learned pooling where it had global average pooling; all other weights are kept.

    With the defaults the pooling starts as the average of every cell, so the first predictions are the old model's.
    Compile and train the copy as any model; a saved one loads after ``import wisesr_helpers.layers``.

    Args:
        model: ``keras.Model``, functional or sequential, with an input of fixed size: one of ``keras.applications``
            with ``include_top=True``, or one of your own; the pooling may be in a model that is nested in it. All
            that comes from the images has to pass the pooling; what follows it stays as it is.
        cover: As for ``ws.layers.GlobalDepthwisePooling2D``; default "exact", here.
        depthwise_initializer: As there; default "average", here. None: the paper's.
        **arguments: Its other arguments, with its own defaults: ``pool_size`` (the paper's rule, which leaves a map
            below 4×4 cells a single weight; 1: one for every cell), ``depthwise_constraint`` (non-negative weights), ….

    Returns:
        ``keras.Model`` with weights of its own, not compiled. The pooling keeps its name and dtype, and is trainable.

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: It has no graph or no such pooling, its feature map has no fixed size, or an argument doesn't fit.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"A Keras model is needed; received an object of type '{type(model).__name__}'.")
    pooling = _average_pooling(model)
    if pooling is None:
        raise ValueError(
            f"'{model.name}' has no average pooling to replace: that needs a functional model, or a sequential one "
            "that is built, in which all that comes from the images passes one GlobalAveragePooling2D (or "
            "AveragePooling2D of the whole map), channels last. In another one, put "
            "ws.layers.GlobalDepthwisePooling2D behind the last feature map yourself."
        )
    kept = {"name": pooling.name, "dtype": pooling.dtype_policy, "keepdims": getattr(pooling, "keepdims", True)}
    learned = GlobalDepthwisePooling2D(
        cover=cover, depthwise_initializer=depthwise_initializer, data_format="channels_last", **(kept | arguments)
    )
    twins = {pooling: learned}

    def copy(layer):
        if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
            return _clone(layer, copy)
        if not isinstance(layer, layers.Layer):  # an operation, which has nothing of its own
            return layer
        if layer not in twins:
            twins[layer] = _twin(layer)
        return twins[layer]

    replaced = _clone(model, copy)
    del twins[pooling]
    for layer, twin in twins.items():
        twin.set_weights(layer.get_weights())
        if isinstance(twin, layers.Normalization):  # computes with copies of its weights
            twin.finalize_state()
    if hasattr(model, "class_names"):
        replaced.class_names = model.class_names
    return replaced


def _clone(model, copy):
    """A model of copied layers, with the names of its inputs; not compiled, since Keras reads back no loss of yours."""
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=origin(x)[0].name),
        model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
    )
    if isinstance(model, keras.Sequential):  # Keras' clone of a frozen one would freeze the new pooling, too
        return keras.Sequential([inputs, *map(copy, model.layers)], name=model.name)
    compiled, model.compiled = model.compiled, False
    try:
        return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy)
    finally:
        model.compiled = compiled


def _twin(layer):
    if type(layer) is layers.Lambda:  # Keras refuses to read back a function that it wrote
        same = {"name": layer.name, "dtype": layer.dtype_policy}
        return layers.Lambda(layer.function, layer._output_shape, layer.mask, layer.arguments, **same)
    return type(layer).from_config(layer.get_config())


def _average_pooling(model):
    """The last average pooling that all images pass, in a model or in one that is nested in it; None if none is."""
    outputs = getattr(model, "outputs", None) or ()
    for tensor, layer in ancestry(*outputs):
        nested = isinstance(layer, keras.Model)
        if (nested or _averages_map(tensor)) and not any(
            isinstance(step, layers.InputLayer) and len(past.shape) > 3
            for past, step in ancestry(*outputs, until=tensor)
        ):
            found = _average_pooling(layer) if nested else layer
            if found:
                return found
    return None


def _averages_map(tensor):
    """Whether a tensor is Keras' own average of a whole feature map, channels last."""
    layer, sources = origin(tensor)
    if type(layer) is layers.AveragePooling2D:
        whole = layer.pool_size == tuple(sources[0].shape[1:3]) and layer.padding == "valid"
        return whole and layer.data_format == "channels_last"
    return type(layer) is layers.GlobalAveragePooling2D and layer.data_format == "channels_last"
