"""Backbones by name: ``keras.applications`` and two small ones, with the paper's preprocessing inside."""

import functools
import os
import pathlib
import re
import warnings

import wisesr_helpers as ws  # ws.layers is imported when it is used, and Keras with it
from wisesr_helpers._keras import keras
from wisesr_helpers.data.images import check_size

# These begin with a normalisation of their own, so the paper's preprocessing would be applied on top of it.
NORMALISES_INSIDE = ("EfficientNet", "ConvNeXt", "MobileNetV3")
# What the ImageNet weights of the others were trained with; of those not named here, "caffe".
_OF_WEIGHTS = {"tf": ("Xception", "Inception", "MobileNet", "NASNet", "ResNet50V2", "ResNet101V2", "ResNet152V2")}
_OF_WEIGHTS["torch"] = ("DenseNet",)


def _block(x, filters, size, strides, padding, name):
    x = keras.layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv")(x)
    return _normalised(x, name)


def _normalised(x, name):
    x = keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)  # short runs need quick statistics
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def small_patch(inputs, mode, neighbours=0):
    """Separate patches of 32×32 pixels, no overlap, no padding: (N, H, W, 3) → (N, H // 32, W // 32, 96).

    What it sees of one patch can't depend on any other, so the head alone can bring in positions. With ``neighbours``
    it ends in as many zero-padded 3×3 convolutions, each of which adds a ring of neighbours to what a cell sees.
    """
    x = _normalised(ws.layers.PatchEmbedding2D(64, 16, mode, name="patch1_conv")(inputs), "patch1")
    x = _block(x, 64, 1, 1, "valid", "mix1")
    x = _block(x, 96, 2, 2, "valid", "patch2")
    x = _block(x, 96, 1, 1, "valid", "mix2")
    for k in range(neighbours):
        x = _block(x, 96, 3, 1, "same", f"neighbours{k + 1}")
    return x


def small_conv(inputs, mode):
    """Overlapping, zero-padded convolutions, so positions leak in: (N, H, W, 3) → (N, ⌈H / 32⌉, ⌈W / 32⌉, 96)."""
    x = _block(preprocess(inputs, mode), 16, 7, 4, "same", "conv1")
    x = _block(x, 32, 3, 2, "same", "conv2")
    x = _block(x, 64, 3, 2, "same", "conv3")
    x = _block(x, 96, 3, 2, "same", "conv4")
    x = _block(x, 96, 3, 1, "same", "conv5")
    return _block(x, 96, 3, 1, "same", "conv6")


SMALL = {"small_patch": small_patch, "small_conv": small_conv}
# Between the two: cells of the map that see 3×3, 5×5 or 7×7 patches, the last of which is all of a scene at 224.
GROWING = {f"small_patch_{2 * k + 1}": functools.partial(small_patch, neighbours=k) for k in (1, 2, 3)}
SMALL |= GROWING
# The models of keras.applications, typed here so that a name is checked without importing Keras.
APPLICATIONS = tuple(
    (
        "ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169 DenseNet201 "
        "EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 EfficientNetB6 "
        "EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L "
        "EfficientNetV2M EfficientNetV2S InceptionResNetV2 InceptionV3 MobileNet MobileNetV2 MobileNetV3Large "
        "MobileNetV3Small NASNetLarge NASNetMobile ResNet101 ResNet101V2 ResNet152 ResNet152V2 ResNet50 ResNet50V2 "
        "VGG16 VGG19 Xception"
    ).split()
)


def preprocess(inputs, mode):
    """Images behind the layer of that mode of preprocessing; none for "none"."""
    if mode == "none":
        return inputs
    return ws.layers.ImageNetPreprocessing(mode, name="preprocessing", dtype="float32")(inputs)


def backbone_names():
    """Every name that :func:`build_backbone` takes, the small ones first."""
    return [*SMALL, *APPLICATIONS]


def check_backbone(name):
    """ValueError unless a backbone has that name: with the nearest names, and where the rest are listed."""
    if name in backbone_names():
        return
    import difflib

    near = difflib.get_close_matches(str(name), backbone_names(), n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(
        f"Unknown backbone '{name}'.{meant} Valid: {', '.join(SMALL)}, and any model of keras.applications by its "
        "Keras name (Xception, ResNet50, DenseNet121, …)."
    )


def preprocessing_mode(name, preprocessing=None):
    """The preprocessing that goes into the model: "caffe", "tf", "torch" or "none".

    None is "caffe" as in the paper (Table 3), and "none" for backbones that normalise inside, which take no other.
    """
    inside = name.startswith(NORMALISES_INSIDE)
    if preprocessing is None:
        return "none" if inside else "caffe"
    if preprocessing not in ("caffe", "tf", "torch", "none"):
        raise ValueError(f"Unknown preprocessing '{preprocessing}'. Valid: caffe, tf, torch, none.")
    if inside and preprocessing != "none":
        raise ValueError(
            f"{name} normalises its input itself, so preprocessing must be 'none' or left out; "
            f"received '{preprocessing}'."
        )
    return preprocessing


def preprocessing_of_weights(name):
    """The preprocessing that a backbone's ImageNet weights were trained with, whatever the paper's runs use."""
    if name.startswith(NORMALISES_INSIDE):
        return "none"
    return next((mode for mode, names in _OF_WEIGHTS.items() if name.startswith(names)), "caffe")


def check_weights(name, weights):
    """None, "imagenet" or the file as a ``pathlib.Path``; ValueError or FileNotFoundError before anything is built."""
    if weights is None:
        return None
    if not isinstance(weights, (str, os.PathLike)):
        raise ValueError(f"weights must be None (random), 'imagenet' or the path of a file; received {weights!r}.")
    if weights == "imagenet":
        if name in SMALL:
            raise ValueError(f"{name} has no ImageNet weights; weights must be None or a path.")
        return weights
    path = pathlib.Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no weights file '{path}'. Give the path of one, 'imagenet', or None for random weights."
        )
    return path


def build_backbone(name, image_size, weights=None, preprocessing=None):
    """A backbone up to its last feature map.

    Args:
        name: One of ``SMALL``, or a model of ``keras.applications`` by its Keras name.
        image_size: Side in pixels, or (height, width).
        weights: None (random), "imagenet" (downloaded once), or the path of a weights file.
        preprocessing: "caffe", "tf", "torch" or "none"; None (default): "caffe" as in the paper (Table 3), and "none"
            for backbones that normalise inside (EfficientNet, ConvNeXt, MobileNetV3), which take no other.

    Returns:
        ``keras.Model``: RGB images (N, H, W, 3), 0..255, in; the feature map (N, h, w, C), of the
        layer named "features", out. The backbone's layers are the model's own, not a model inside it.

    Raises:
        ValueError: An unknown backbone, size or preprocessing, or weights that it doesn't have or that
            don't fit.
        FileNotFoundError: The weights file isn't there.
        OSError: The ImageNet weights can't be downloaded; the file and its folder are named.
    """
    check_backbone(name)
    weights = check_weights(name, weights)
    height, width = check_size(image_size)
    inputs = keras.Input((height, width, 3), name="image")
    mode = preprocessing_mode(name, preprocessing)
    try:
        features = _features(name, inputs, mode, weights)
        if 0 in features.shape:
            raise ValueError("the feature map is empty")
    except ValueError as error:
        raise ValueError(
            f"{name} can't be built for images of {height}×{width} pixels; use larger ones. ({error})"
        ) from error
    features = keras.layers.Identity(name="features")(features)
    model = keras.Model(inputs, features, name=name)
    if weights not in (None, "imagenet"):
        _load_weights(model, name, weights)
    return model


def _features(name, inputs, mode, weights):
    if name in SMALL:
        return SMALL[name](inputs, mode)
    x = preprocess(inputs, mode)
    application = getattr(keras.applications, name)
    downloaded = "imagenet" if weights == "imagenet" else None
    try:
        return application(include_top=False, weights=downloaded, input_tensor=x, input_shape=x.shape[1:]).output
    except Exception as error:  # Keras raises a plain Exception when a download fails
        failed = re.search(r"URL fetch failure on (\S+/(\S+?)):? ", f"{error} ")
        if not failed:
            raise
        url, file = failed.groups()
        file = _OTHER_FILE_NAMES.get(file, file)
        folder = os.environ.get("KERAS_HOME") or "~/.keras"
        raise OSError(
            f"The ImageNet weights of {name} could not be downloaded. Connect to the network once, or fetch {url} "
            f"elsewhere and put it here as {folder}/models/{file}."
        ) from error


# Where Keras stores a download under another name than the address has.
_OTHER_FILE_NAMES = {
    "NASNet-large-no-top.h5": "nasnet_large_no_top.h5",
    "NASNet-mobile-no-top.h5": "nasnet_mobile_no_top.h5",
}


def _load_weights(model, name, weights):
    try:
        with warnings.catch_warnings():
            # Keras only warns when it leaves a layer as it was; other kinds of warnings say nothing about weights.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(weights)
    except (OSError, ValueError, UserWarning) as error:
        raise ValueError(f"The weights in '{weights}' do not fit {name}: {error}") from error
