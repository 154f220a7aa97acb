"""Images as figures: samples of a dataset, what augmentation does to them, and where a model looks in them."""

import numpy as np

from wisesr_helpers.plots.figures import described

ADDS, SUBTRACTS = "#e34a33", "#3182bd"  # of middle lightness, to be seen on dark scenes and on light ones
OPAQUE = 0.85  # of the strongest cell


def labelled_sample(dataset, axes):
    """Test images of the first classes, one on each of the axes, titled with its class; returns ``axes``, described."""
    labels = np.asarray(dataset.test.labels)
    shown = np.unique(labels)[: np.size(axes)]
    for ax, label in zip(np.ravel(axes), shown, strict=False):
        index = int(np.flatnonzero(labels == label)[0])
        show_image(dataset.test.rgb([index])[0], dataset.classes[label], ax)
    return described(axes, f"Test images of the first classes: {'; '.join(dataset.classes[k] for k in shown)}.")


def augmented_sample(dataset, augmentation, axes, seed=0):
    """The first training image as it is, and as augmented in the first epochs.

    Args:
        dataset: Dataset.
        augmentation: ``Augmentation``, or None: all images are the same.
        axes: Axes to draw on, one an image.
        seed: The run's.

    Returns:
        ``axes``, described.
    """
    from wisesr_helpers.data.batches import Batches

    batches = Batches(dataset.train, len(dataset.train), seed, augmentation=augmentation, threads=1)
    for epoch, ax in enumerate(np.ravel(axes), start=-1):
        image = dataset.train.rgb([0])[0] if epoch < 0 else batches.augmented(0, epoch)
        show_image(image, "as it is" if epoch < 0 else f"epoch {epoch + 1}", ax)
    seen = f"epochs 1 to {np.size(axes) - 1} show it" + ("" if augmentation else ", which is the same")
    return described(axes, f"A training image as it is, and as {seen}.")


def show_image(image, title, ax):
    """One image with a title, without a frame."""
    ax.imshow(image)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    return ax


def contributions(model, dataset, axes):
    """Test images, spread over the classes, with what every position adds to the predicted class's logit.

    For a head that can't be taken apart by positions, the reason is printed and the images are drawn alone.
    """
    from wisesr_helpers.models.attribution import contribution_map

    labels = np.asarray(dataset.test.labels)
    present = np.unique(labels)
    chosen = present[np.linspace(0, len(present) - 1, np.size(axes)).astype(int)]
    indices = np.array([np.flatnonzero(labels == label)[0] for label in chosen])
    images = dataset.test.rgb(indices)
    predicted = np.asarray(model.predict_on_batch(images)).argmax(axis=1)
    try:
        added = contribution_map(model, images, predicted)
    except ValueError as error:
        print(error)
        added = [None] * len(images)
    said = []
    for ax, image, label, guess, map_ in zip(np.ravel(axes), images, labels[indices], predicted, added, strict=True):
        attention(image, map_, ax)
        ax.set_title(f"{dataset.classes[label]}\n→ {dataset.classes[guess]}", fontsize=9)
        most = "" if map_ is None else f", most from {_strongest(map_)}"
        said.append(f"{dataset.classes[label]}, predicted {dataset.classes[guess]}{most}")
    return described(axes, f"Test images with what every position adds to the predicted class. {'; '.join(said)}.")


def _strongest(map_):
    """The strongest cell of a map (H, W) in words."""
    row, column = np.unravel_index(np.abs(map_).argmax(), map_.shape)
    height, width = map_.shape
    return f"the cell in row {row + 1} of {height} and column {column + 1} of {width}: {map_[row, column]:+.2g}"


def attention(image, contributions, ax):
    """An image (H, W, 3) under its contributions (h, w), or None: red adds to the logit, blue subtracts.

    What adds nothing covers nothing; a colour bar of the map shows the colours with their opacity.
    """
    height, width = image.shape[:2]
    ax.imshow(image, extent=(0, width, height, 0))
    ax.set_axis_off()
    if contributions is None:
        return ax
    most = float(np.abs(contributions).max()) or 1.0
    ax.imshow(
        contributions,
        cmap=signed(OPAQUE),
        vmin=-most,
        vmax=most,
        extent=(0, width, height, 0),
        interpolation="nearest",
    )
    return ax


def signed(opaque=1.0):
    """Colours from blue over nothing to red: the larger a value, the more opaque, up to ``opaque``."""
    from matplotlib.colors import ListedColormap, to_rgb

    values = np.linspace(-1, 1, 255)
    inks = np.array([to_rgb(ADDS if value > 0 else SUBTRACTS) for value in values])
    return ListedColormap(np.column_stack([inks, opaque * np.abs(values) ** 0.8]), "signed")
