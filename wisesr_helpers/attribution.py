"""Where a classifier looks: exact contribution maps of heads that are linear up to the logits."""

import numpy as np

from wisesr_helpers._keras import keras
from wisesr_helpers.layers import GlobalDepthwisePooling2D


def _linear_head(model):
    """(pooling layer, classifier) of a head that is linear up to the logits.

    Raises:
        ValueError: The model's head is another.
    """
    names = [layer.name for layer in model.layers]
    if "features" in names:
        head = model.layers[names.index("features") + 1 :]
        steps = [layer for layer in head if not isinstance(layer, keras.layers.Dropout)]
        linear = (GlobalDepthwisePooling2D, keras.layers.GlobalAveragePooling2D)
        if len(steps) == 2 and isinstance(steps[0], linear) and isinstance(steps[1], keras.layers.Dense):
            return steps
    raise ValueError(
        f"'{model.name}' has no head whose logits are linear in the feature map: a contribution map needs a layer "
        "'features', then global average or global depthwise pooling, then the classifier."
    )


def position_weights(model):
    """The weight of every position of every channel in every logit: array (H, W, C, classes).

    The weight of a channel's position, as the pooling has it, times the channel's weight in the
    classifier. Global average pooling is the special case of 1/(H·W) everywhere.

    Raises:
        ValueError: The model's head is not linear up to the logits.
    """
    pooling, classifier = _linear_head(model)
    _, height, width, channels = model.get_layer("features").output.shape
    if isinstance(pooling, GlobalDepthwisePooling2D):
        positions = pooling.position_weights(height, width)  # (H, W, C)
    else:
        positions = np.full((height, width, channels), 1 / (height * width), np.float32)
    return positions[..., None] * keras.ops.convert_to_numpy(classifier.kernel)


def contribution_map(model, images, class_indices=None):
    """What every position of the feature map adds to a class's logit; the sum plus the biases is the logit.

    For these heads it equals HiResCAM, without a gradient.

    Args:
        model: A classifier with the head "gap" or "wise".
        images: Array (N, H, W, 3), uint8 or float RGB.
        class_indices: One class an image; None: the predicted ones.

    Returns:
        float32 array (N, h, w): raw contributions, negative ones included.

    Raises:
        ValueError: The model's head is not linear up to the logits.
    """
    weights = position_weights(model)  # (h, w, C, classes)
    both = keras.Model(model.input, [model.get_layer("features").output, model.output])
    features, probabilities = (keras.ops.convert_to_numpy(x) for x in both.predict_on_batch(images))
    if class_indices is None:
        class_indices = probabilities.argmax(axis=1)
    return np.stack([(f * weights[..., k]).sum(axis=-1) for f, k in zip(features, class_indices, strict=True)])
