"""Where a classifier looks: what every position of the feature map adds to a class's logit, exactly."""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.gwap import GlobalWeightedAveragePooling2D, SharedPositionPooling2D
from wisesr_helpers.layers import GlobalDepthwisePooling2D, spread_blocks

layers = keras.layers


def _head(model):
    """(layers between the feature map and the classifier, classifier), dropout left out.

    Raises:
        ValueError: The model has no feature map, or no single fully connected layer behind it.
    """
    names = [layer.name for layer in model.layers]
    after = model.layers[names.index("features") + 1 :] if "features" in names else [None]
    steps = [layer for layer in after if not isinstance(layer, layers.Dropout)]
    if not isinstance(steps[-1], layers.Dense) or any(isinstance(step, layers.Dense) for step in steps[:-1]):
        raise ValueError(
            f"'{model.name}' can't be taken apart by positions: that needs a layer 'features', then a pooling or "
            "flattening, then one fully connected layer."
        )
    return steps[:-1], steps[-1]


def position_weights(model):
    """The weight of every position of every channel in every logit, of a head that is linear up to the logits.

    The weight of a channel's position, as the pooling has it, times the channel's weight in the
    classifier. Global average pooling is the special case of 1/(H·W) everywhere.

    Args:
        model: A classifier with any head but "gwap" and "vgg_fc".

    Returns:
        Array (H, W, C, classes).

    Raises:
        ValueError: The model's head is not linear up to the logits.
    """
    steps, classifier = _head(model)
    _, height, width, channels = model.get_layer("features").output.shape
    kernel = keras.ops.convert_to_numpy(classifier.kernel)
    match steps:
        case [layers.GlobalAveragePooling2D()]:
            positions = np.full((height, width, channels), 1 / (height * width), np.float32)
        case [GlobalDepthwisePooling2D() as pooling]:
            positions = pooling.position_weights(height, width)
        case [SharedPositionPooling2D() as pooling]:
            positions = keras.ops.convert_to_numpy(pooling.kernel)[..., None].repeat(channels, axis=-1)
        case [layers.Flatten()]:
            return kernel.reshape(height, width, channels, -1)
        case [layers.AveragePooling2D() as average, layers.Flatten()]:
            p = average.pool_size[0]
            return spread_blocks(kernel.reshape(height // p, width // p, channels, -1), p, height, width)
        case _:
            raise ValueError(f"The head of '{model.name}' is not linear in the feature map.")
    return positions[..., None] * kernel


def contribution_map(model, images, class_indices=None):
    """What every position of the feature map adds to a class's logit; the sum plus the biases is the logit.

    For the linear heads it equals HiResCAM, without a gradient.

    Args:
        model: A classifier with any head but "vgg_fc".
        images: Array (N, H, W, 3), uint8 or float RGB.
        class_indices: One class an image; None: the predicted ones.

    Returns:
        float32 array (N, h, w): raw contributions, negative ones included.

    Raises:
        ValueError: The model's head can't be taken apart by positions.
    """
    steps, classifier = _head(model)
    both = keras.Model(model.input, [model.get_layer("features").output, model.output])
    features, scores = (keras.ops.convert_to_numpy(x) for x in both.predict_on_batch(images))
    if class_indices is None:
        class_indices = scores.argmax(axis=1)
    if len(steps) == 1 and isinstance(steps[0], GlobalWeightedAveragePooling2D):
        kernel = keras.ops.convert_to_numpy(classifier.kernel)  # (C, classes)
        weighted = features * keras.ops.convert_to_numpy(steps[0].position_weights(features))
        return np.stack([f @ kernel[:, k] for f, k in zip(weighted, class_indices, strict=True)])
    weights = position_weights(model)  # (h, w, C, classes)
    return np.stack([(f * weights[..., k]).sum(axis=-1) for f, k in zip(features, class_indices, strict=True)])
