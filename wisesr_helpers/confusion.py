"""A classifier's mistakes: which classes are taken for which, and which images."""

import numpy as np
import pandas as pd

from wisesr_helpers.metrics import top_k_correct, wilson_interval
from wisesr_helpers.samples import show_image

MOST_COUNTED = 20  # classes up to which every cell of the figure prints its count
NAMED = 5  # mistakes named in words
TICKS = 35  # names along a side, at most


def confusion_matrix(labels, predicted, classes):
    """How many images of each class were taken for each class.

    Args:
        labels: Integer array (N,), the true classes.
        predicted: Integer array (N,).
        classes: Number of classes; both arrays hold values from 0 to below it.

    Returns:
        Int array (classes, classes): rows the true class, columns the predicted one.

    Raises:
        ValueError: The arrays differ in length, or a value is no class.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise ValueError(
            f"labels and predicted must be two arrays of the same length; received shapes {labels.shape} and "
            f"{predicted.shape}."
        )
    for name, values in (("labels", labels), ("predicted", predicted)):
        if len(values) and not (values.dtype.kind in "iu" and values.min() >= 0 and values.max() < classes):
            raise ValueError(
                f"{name} must be whole numbers from 0 to {classes - 1}, one of {classes} classes; received "
                f"{values.dtype} from {values.min()} to {values.max()}."
            )
    flat = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def class_accuracies(counts, names):
    """How well each class is recognised, a row a class.

    Args:
        counts: As :func:`confusion_matrix` returns it.
        names: Of the classes.

    Returns:
        DataFrame: "class", "images", "correct", "accuracy", "95 % interval" (Wilson's), "most often taken for".
    """
    rows = []
    for k, name in enumerate(names):
        images, correct = int(counts[k].sum()), int(counts[k, k])
        wrong = counts[k] * (np.arange(len(names)) != k)
        other = int(wrong.argmax())
        low, high = wilson_interval(correct, images) if images else (0, 1)
        rows.append(
            {
                "class": name,
                "images": images,
                "correct": correct,
                "accuracy": f"{correct / images:.1%}" if images else "none",
                "95 % interval": f"{low:.1%} to {high:.1%}" if images else "none",
                "most often taken for": f"{names[other]} ({wrong[other]})" if wrong[other] else "no other",
            }
        )
    return pd.DataFrame(rows)


def draw_confusion(counts, names, ax):
    """A confusion matrix: shades for the share of a class's images, and the counts where there is room for them.

    The shades are of the share's square root, so that one mistake in a hundred is seen. A cell without a number is 0.

    Args:
        counts: As :func:`confusion_matrix` returns it.
        names: Of the classes.
        ax: Axes to draw on.
    """
    from matplotlib.colors import PowerNorm

    images = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(images, 1)  # (classes, classes)
    drawn = ax.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    if len(names) <= MOST_COUNTED:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.3 else "black"
            size = 9 if len(names) <= 10 else 6
            ax.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=size)
    ticks = np.arange(0, len(names), -(-len(names) // TICKS))
    shown = [names[k] for k in ticks]
    size = 9 if len(names) <= 10 else 6
    turned = {"rotation": 90} if max(map(len, shown)) > 2 else {}
    ax.set_xticks(ticks, shown, fontsize=size, **turned)
    ax.set_yticks(ticks, shown, fontsize=size)
    ax.set(xlabel="predicted class", ylabel="true class")
    bar = ax.figure.colorbar(drawn, ax=ax, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1], label="share of the class's images")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return ax


def describe_confusion(counts, names):
    """:func:`draw_confusion` in words, from the same data: how many are right, and the most frequent mistakes."""
    wrong = np.where(np.eye(len(names), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NAMED]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    said = [
        f"{names[i]} taken for {names[j]} ({wrong[i, j]:,} of {counts[i].sum():,})" for i, j in pairs if wrong[i, j]
    ]
    return (
        f"Confusion matrix of {counts.sum():,} test images in {len(names)} classes, a row a true class, a column a "
        f"predicted one: {np.trace(counts):,} on the diagonal. "
        + (f"Most frequent mistakes: {'; '.join(said)}." if said else "No mistakes.")
    )


def misclassified(probabilities, labels, names):
    """The images that a classifier gets wrong, those first of which it is surest.

    Args:
        probabilities: Array (N, classes), as ``models.predict_split`` returns it.
        labels: Integer array (N,), the true classes.
        names: Of the classes.

    Returns:
        DataFrame: "image" (its index in the split), "class" (the true one), "predicted", "probability" (of the
        predicted class), "probability of the class" (of the true one).

    Raises:
        ValueError: A probability is not finite.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if not np.isfinite(probabilities).all():
        raise ValueError("The probabilities hold values that are not finite: this classifier's outputs are no classes.")
    wrong = np.flatnonzero(~top_k_correct(probabilities, labels))
    predicted = probabilities.argmax(axis=1)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    return pd.DataFrame(
        {
            "image": wrong,
            "class": [names[k] for k in labels[wrong]],
            "predicted": [names[k] for k in predicted[wrong]],
            "probability": probabilities[wrong, predicted[wrong]].astype(float),
            "probability of the class": probabilities[wrong, labels[wrong]].astype(float),
        }
    )


def draw_misclassified(split, table, axes):
    """Misclassified images, one on each of the axes, with the true class and the predicted one's probability.

    Args:
        split: ``Split`` that the images are of.
        table: As :func:`misclassified` returns it; its first rows are shown.
        axes: Axes to draw on; those without an image are left empty.
    """
    for ax in np.ravel(axes):
        ax.set_axis_off()
    for ax, row in zip(np.ravel(axes), table.to_dict("records"), strict=False):
        title = f"{row['class']} → {row['predicted']} ({row['probability']:.0%})"
        show_image(split.rgb([row["image"]])[0], title, ax)
    return axes


def describe_misclassified(table, shown):
    """:func:`draw_misclassified` in words, from the same data, for ``shown`` images."""
    if table.empty:
        return "No test image is misclassified."
    parts = [
        f"test image {row['image']} of class {row['class']} taken for {row['predicted']} with a probability of "
        f"{row['probability']:.0%}"
        for row in table.head(shown).to_dict("records")
    ]
    return f"{len(parts)} of {len(table):,} misclassified test images, the surest mistakes first: {'; '.join(parts)}."
