"""The course report's deeper networks, and what they confuse."""

import numpy as np
import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.metrics import judge, top_k_correct, unpaired_comparison, wilson_interval
from wisesr_helpers.models.classifiers import build_classifier, predict_split
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.images import show_image
from wisesr_helpers.plots.runs import curves, row_styles
from wisesr_helpers.published import number, published
from wisesr_helpers.studies.experiment import Experiment, Rows
from wisesr_helpers.studies.grid import REPORT_STUDIES, STUDIES
from wisesr_helpers.studies.support import accuracies

# A classifier's mistakes: which classes are taken for which, and which images.

MOST_COUNTED = 20  # classes up to which every cell of the figure prints its count
NAMED = 5  # mistakes named in words
TICKS = 35  # names along a side, at most


def class_accuracies(counts, names):
    """How well each class is recognised, a row a class.

    Args:
        counts: Int array (classes, classes): rows the true class, columns the predicted one.
        names: Of the classes.

    Returns:
        DataFrame: "class", "images", "correct", "accuracy", "95% interval" (Wilson's), "most often taken for".
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
                "95% interval": f"{low:.1%} to {high:.1%}" if images else "none",
                "most often taken for": f"{names[other]} ({wrong[other]})" if wrong[other] else "no other",
            }
        )
    return pd.DataFrame(rows)


def draw_confusion(counts, names, ax):
    """A confusion matrix: shades for the share of a class's images, and the counts where there is room for them.

    The shades are of the share's square root, so that one mistake in a hundred is seen. A cell without a number is 0.
    The last of several panels draws the colour bar of all.

    Args:
        counts: Int array (classes, classes): rows the true class, columns the predicted one.
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
    place = ax.get_subplotspec()
    if place.is_last_col() and place.is_last_row():  # one bar for all panels
        panels, ticks = ax.figure.axes, [0, 0.01, 0.1, 0.25, 0.5, 1]
        bar = ax.figure.colorbar(drawn, ax=panels, ticks=ticks, label="share of the class's images")
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    wrong = np.where(np.eye(len(names), dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NAMED]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    said = [
        f"{names[i]} taken for {names[j]} ({wrong[i, j]:,} of {counts[i].sum():,})" for i, j in pairs if wrong[i, j]
    ]
    return described(
        ax,
        f"Confusion matrix of {counts.sum():,} test images in {len(names)} classes, a row a true class, a column a "
        f"predicted one: {np.trace(counts):,} on the diagonal. "
        + (f"Most frequent mistakes: {'; '.join(said)}." if said else "No mistakes."),
    )


def misclassified(probabilities, labels, names):
    """The images that a classifier gets wrong, those first of which it is surest.

    Args:
        probabilities: Array (N, classes).
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


def draw_misclassified(table, split, axes):
    """Misclassified images, one on each of the axes, with the true class and the predicted one's probability.

    Args:
        table: As :func:`misclassified` returns it; its first rows are shown.
        split: ``Split`` that the images are of.
        axes: Axes to draw on; those without an image are left empty.
    """
    said = []
    for ax in np.ravel(axes):
        ax.set_axis_off()
    for ax, row in zip(np.ravel(axes), table.to_dict("records"), strict=False):
        title = f"{row['class']} → {row['predicted']} ({row['probability']:.0%})"
        show_image(split.rgb([row["image"]])[0], title, ax)
        said.append(
            f"test image {row['image']} of class {row['class']} taken for {row['predicted']} with a probability of "
            f"{row['probability']:.0%}"
        )
    found = f"{len(said)} of {len(table):,} misclassified test images, the surest mistakes first: {'; '.join(said)}."
    return described(axes, found if said else "No test image is misclassified.")


# The course report "Deeper Networks for Image Classification": its table, its figures and its architectures.

STUDY = STUDIES["deeper_networks"]
IMAGENET = int(number("Section 2", "ImageNet", "Number of Classes", source="report"))
MEASURES = ("top-1", "top-5")
# Kind of layer → what the names of its classes have in common.
KINDS = {"convolutions": "Conv", "normalisations": "Normalization", "poolings": "Pool", "dense layers": "Dense"}
CURVES = ("top1", "test_top1", "loss")


def rows(dataset, head="", backbone="", **common):
    """What the study's notebook trains.

    Args:
        dataset: One of the study's.
        head: Empty: each backbone's own.
        backbone: Empty: at paper scale VGG16, else every small network that stands in for the report's.
        **common: Further keywords of ``ws.Experiment``.

    Returns:
        ``ws.Rows``.

    Raises:
        ValueError, FileNotFoundError, OSError: As ``ws.Experiment`` says.
    """
    first = Experiment(STUDY.name, head, backbone, dataset=dataset, **common)
    pairs = [(first.parameters.backbone, first.parameters.head)]
    if first.spec.plan and not backbone:
        pairs = [(name, head or own) for name, own in first.spec.plan.rows]
    typed = {f"{name} + {own}": {"backbone": name, "head": own} for name, own in pairs}
    return Rows(STUDY.name, typed, dataset=dataset, **common)


def predictions(rows):
    """Class probabilities of every row's trained classifier on the test split: title → float32 (N, classes)."""
    return {
        title: predict_split(experiment.load(), experiment.dataset.test, experiment.recipe.micro_batch)
        for title, experiment in rows.experiments.items()
    }


def confusion_matrices(probabilities, dataset):
    """The confusion matrix of every row on the test split: title → int array (classes, classes)."""
    from sklearn.metrics import confusion_matrix

    labels, classes = dataset.test.labels, range(len(dataset.classes))
    return {
        title: confusion_matrix(labels, values.argmax(axis=1), labels=classes)
        for title, values in probabilities.items()
    }


def joined(tables):
    """Tables of several models under each other: title → DataFrame becomes one DataFrame with a column "model".

    Parameters become text: "102,764,544".
    """
    named = [table.assign(model=title)[["model", *table.columns]] for title, table in tables.items()]
    table = pd.concat(named, ignore_index=True)
    if "parameters" in table:
        table["parameters"] = table["parameters"].map("{:,}".format)
    return table


def table_1():
    """The report's Table 1, a row a model; the intervals and the last column are computed here.

    Returns:
        DataFrame: "dataset", "backbone", "top-1" and "top-5" as printed, each with the 95% interval that the size
        of its test set gives, and "beside the best": whether top-1 is worse than that of the dataset's best, by
        :func:`wisesr_helpers.metrics.judge`; only counts are known, so the comparisons are unpaired.
    """
    printed = accuracies().query("source == 'report'")
    rows = []
    for (dataset, backbone), measures in printed.groupby(["dataset", "backbone"], sort=False):
        row = {"dataset": REPORT_STUDIES[dataset].dataset, "backbone": backbone}
        for each in measures.itertuples():
            row |= {each.measure: each.printed, f"95% interval of {each.measure}": f"{each.low:.4f} to {each.high:.4f}"}
        rows.append(row)
    table = pd.DataFrame(rows)
    best = table.groupby("dataset")["top-1"].transform("max")  # four digits each: as text they sort alike
    pairs = {
        row: unpaired_comparison(*_counts(own, name), *_counts(top, name))
        for row, name, own, top in zip(table.index, table["dataset"], table["top-1"], best, strict=True)
        if own != top
    }
    words = {row: compared.word for row, compared in judge(pairs).items()}
    table["beside the best"] = [words.get(row, "best") for row in table.index]
    return table


def _counts(value, dataset):
    """(correct, all) test images of a dataset that give a printed accuracy."""
    images = next(study.test_images for study in REPORT_STUDIES.values() if study.dataset == dataset)
    return round(float(value) * images), images


BACKBONE_SHADES = ("0.25", "0.55", "0.8")  # colours are heads'


def published_bars(table, axes):
    """Figures 2, 4 and 6: the printed accuracies as bars with their 95% intervals, a panel a dataset.

    Args:
        table: As :func:`table_1` returns it.
        axes: One Axes for each dataset.
    """
    said = []
    for ax, (dataset, rows) in zip(np.ravel(axes), table.groupby("dataset", sort=False), strict=True):
        for k, row in enumerate(rows.to_dict("records")):
            places = np.arange(len(MEASURES)) + (k - 1) * 0.27
            values = [float(row[measure]) for measure in MEASURES]
            ends = np.array([wilson_interval(*_counts(row[measure], dataset)) for measure in MEASURES])
            reach = np.abs(ends.T - values)  # (2, measures): below and above
            label = row["backbone"] if ax is np.ravel(axes)[0] else None
            ax.bar(places, values, 0.25, yerr=reach, color=BACKBONE_SHADES[k], label=label, capsize=2)
        ax.set_xticks(range(len(MEASURES)), MEASURES)
        ax.set(title=dataset, ylim=(0, 1.02))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        values = [f"{row['backbone']} {row['top-1']} and {row['top-5']}" for row in rows.to_dict("records")]
        said.append(f"{dataset}: {', '.join(values)}")
    np.ravel(axes)[0].set_ylabel("test accuracy")
    np.ravel(axes)[0].figure.legend(loc="outside lower center", ncols=len(STUDY.backbones), frameon=False, fontsize=8)
    words = "Top-1 and top-5 accuracies as the report prints them, bars with 95% intervals."
    return described(axes, f"{words} {'; '.join(said)}.")


def recipe_in_words():
    """What the report prints of its training, which every run at paper scale follows, in a sentence."""
    recipe, sizes = STUDY.recipe, {name: STUDY.size_for(name) for name in STUDY.backbones}
    epochs = ", ".join(f"{study.recipe.epochs} epochs on {study.dataset}" for study in REPORT_STUDIES.values())
    return (
        f"Learning rate {recipe.learning_rate:g}, batch {recipe.batch_size}, "
        f"{'augmented' if recipe.augmentation else 'no augmentation'}; {epochs}; images of "
        f"{', '.join(f'{side}×{side} for {name}' for name, side in sizes.items())}."
    )


def slips():
    """Where the report disagrees with itself, or leaves out what is needed: "where", "printed", "remark"."""
    found = published().query("source == 'report' and slip != ''").drop_duplicates("slip")
    found = found.rename(columns={"value": "printed", "slip": "remark"})
    return found[["where", "printed", "remark"]].reset_index(drop=True)


def training_curves(runs, axes):
    """Figures 3, 5 and 7: training top-1, training loss and seconds an epoch, and the test top-1; a colour a row.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it.
        axes: Four Axes.
    """
    axes = np.ravel(axes)
    for ax, measure in zip(axes[:3], CURVES, strict=True):
        curves(runs, ax, measure).get_legend().remove()
    epoch_seconds(runs, axes[3])
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return axes


def epoch_seconds(runs, ax):
    """Seconds that each epoch took, measurement on the test split included: a line and a colour a row."""
    said = []
    for row, (colour, dashes) in zip(runs.itertuples(), row_styles(runs["row"]), strict=True):
        seconds = row.run.execution["seconds"]
        ax.plot(range(1, len(seconds) + 1), seconds, dashes, color=colour, label=row.row)
        took = f"median {np.median(seconds):.3g}, the first {seconds[0]:.3g}" if seconds else "no whole epoch"
        said.append(f"{row.row}: {took}")
    ax.set(xlabel="epoch", ylabel="seconds an epoch")
    ax.set_ylim(bottom=0)
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.grid(alpha=0.3)
    return described(ax, f"Seconds an epoch. {'; '.join(said)}.")


def architecture(model):
    """A model's layers, gathered by the size of the map that they give; after the last map, a row a layer.

    Args:
        model: ``keras.Model`` of one image input.

    Returns:
        DataFrame: "output" (the stage's shape with most channels), how many layers of each of ``KINDS`` and of other
        kinds, and "parameters", which add up to the model's.
    """
    stages, waiting = {}, []
    for layer in model.layers:
        waiting.append(layer)
        if not isinstance(layer, keras.layers.ZeroPadding2D):  # a margin belongs to the convolution that follows
            shape = tuple(layer.output.shape[1:])
            stages.setdefault(shape[:2] if len(shape) == 3 else layer.name, []).extend(waiting)
            waiting = []
    rows = []
    for layers in stages.values():
        names = [type(layer).__name__ for layer in layers]
        kinds = {kind: sum(part in name for name in names) for kind, part in KINDS.items()}
        widest = max((layer.output.shape[1:] for layer in layers), key=lambda shape: shape[-1])
        rows.append(
            {
                "output": "×".join(map(str, widest)),
                **kinds,
                "other layers": len(layers) - sum(kinds.values()),
                "parameters": sum(layer.count_params() for layer in layers),
            }
        )
    return pd.DataFrame(rows)


def architectures():
    """The report's three networks with ImageNet's classes: :func:`architecture` of each, after a column "backbone"."""
    tables = {
        backbone: architecture(build_classifier(backbone, head, IMAGENET, STUDY.size_for(backbone)))
        for backbone, head in STUDY.rows
    }
    return joined(tables).rename(columns={"model": "backbone"})


def parameters_beside_keras(table):
    """Parameters of the three networks beside those that ``keras.applications`` counts for its own.

    Args:
        table: As :func:`architectures` returns it.

    Returns:
        DataFrame, a row a backbone: "parameters, counted here" and "parameters, keras.applications" with ImageNet's
        classes; for each number of classes of the report's datasets, the parameters with the class layer replaced,
        as here, and with another one behind it, as the report's words can be read. All are text: "138,357,544".
    """
    rows = []
    for backbone, texts in table.groupby("backbone", sort=False)["parameters"]:
        stages = [int(text.replace(",", "")) for text in texts]
        total = sum(stages)
        row = {
            "backbone": backbone,
            "parameters, counted here": total,
            "parameters, keras.applications": getattr(keras.applications, backbone)(weights=None).count_params(),
        }
        for classes in sorted({study.classes for study in REPORT_STUDIES.values()}):
            a_class = stages[-1] // IMAGENET
            row[f"{classes} classes, layer replaced"] = total + (classes - IMAGENET) * a_class
            row[f"{classes} classes, layer added"] = total + classes * (IMAGENET + 1)
        rows.append({name: value if name == "backbone" else f"{value:,}" for name, value in row.items()})
    return pd.DataFrame(rows)
