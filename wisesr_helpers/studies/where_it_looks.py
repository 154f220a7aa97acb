"""Where two heads look: maps of classes, how well they agree, and the weights of positions."""

import functools

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from wisesr_helpers._keras import keras
from wisesr_helpers.checks import check_whole, refusing
from wisesr_helpers.metrics import minus
from wisesr_helpers.models.attribution import contribution_map, grad_cam, hires_cam, split_at
from wisesr_helpers.models.heads import REGISTRY, get_head
from wisesr_helpers.plots.evidence import distances
from wisesr_helpers.plots.figures import described, figure
from wisesr_helpers.plots.heads import weight_colours
from wisesr_helpers.plots.images import attention
from wisesr_helpers.plots.runs import colour
from wisesr_helpers.studies.experiment import Rows

# Maps over images, and the logit as a sum.

UNIT = "logit units"


def logits(model, images):
    """The model's logits of images (N, H, W, 3): float32 (N, classes)."""
    split = split_at(model)
    return np.concatenate([split.logits(split.run(image[None])[0]) for image in images])  # one at a time: few


def decomposition(models, images, classes):
    """The logit of a class as a sum: the positions' part, the pooling's bias and the classifier's bias.

    The pooling's bias adds the logit of a feature map of zeros, less the classifier's bias.

    Args:
        models: Head → a classifier that is linear up to the logits.
        images: Array (N, H, W, 3).
        classes: Class indices (N,), one an image.

    Returns:
        DataFrame, one row an image and head: image (its place in ``images``, from 0), head, class (its name if the
        model has ``class_names``, else its index), positions (the sum of the contribution map), pooling's bias,
        classifier's bias, their sum, and the logit that the model computes.
    """
    rows = []
    for head, model in models.items():
        split = split_at(model)
        nothing = split.logits(np.zeros((1, *split.features.shape[1:]), np.float32))[0]
        own = keras.ops.convert_to_numpy(split.classifier.bias)
        added = contribution_map(model, images, classes, batch_size=1).sum(axis=(1, 2))
        names = getattr(model, "class_names", range(len(own)))
        for image, (k, positions, scores) in enumerate(zip(classes, added, logits(model, images), strict=True)):
            parts = (positions, nothing[k] - own[k], own[k])
            rows.append((image, head, names[k], *map(float, parts), float(sum(parts)), float(scores[k])))
    columns = ["image", "head", "class", "positions", "pooling's bias", "classifier's bias", "sum", "logit"]
    return pd.DataFrame(rows, columns=columns).sort_values("image", kind="stable", ignore_index=True)


def in_digits(parts):
    """A :func:`decomposition` to be read: its numbers as text with four digits."""
    numbers = parts.select_dtypes(float)
    return parts.assign(**numbers.map(lambda value: minus(f"{value:.4f}")))


def class_maps(models, image, label):
    """Grad-CAM, HiResCAM and contribution map of an image (H, W, 3) for one class, in logit units.

    Returns:
        dict, head → title → float32 array (h, w).
    """
    kinds = {"Grad-CAM": grad_cam, "HiResCAM": hires_cam, "contribution": contribution_map}
    return {
        head: {title: draw(model, image[None], [label])[0] for title, draw in kinds.items()}
        for head, model in models.items()
    }


def likeness(models, images, classes):
    """How alike Grad-CAM and the contribution maps are, over images; arguments as for :func:`decomposition`.

    Correlations are of the two maps of an image, over their cells; "other sign" counts images whose two sums differ in
    sign.
    """
    rows = []
    for head, model in models.items():
        cams, exact = (draw(model, images, classes).reshape(len(images), -1) for draw in (grad_cam, contribution_map))
        varied = (np.ptp(cams, axis=1) > 0) & (np.ptp(exact, axis=1) > 0)  # a constant map is like no other
        alike = [np.corrcoef(*pair)[0, 1] for pair in zip(cams[varied], exact[varied], strict=True)]
        other = int((np.sign(cams.sum(axis=1)) != np.sign(exact.sum(axis=1))).sum())
        ends = [f"{end(alike):.3f}" if alike else "" for end in (np.median, np.min)]
        rows.append((head, len(images), *ends, f"{other} ({other / len(images):.0%})"))
    return pd.DataFrame(rows, columns=["head", "images", "correlation, median", "correlation, lowest", "other sign"])


def rival_maps(models, image, label, rival):
    """Contribution maps of an image (H, W, 3) for its class and for a rival, and their difference: as `class_maps`."""
    drawn = {}
    for head, model in models.items():
        own, other = (contribution_map(model, image[None], [k])[0] for k in (label, rival))
        drawn[head] = {"for its class": own, "for the other": other, "its lead": own - other}
    return drawn


def grid(image, maps, axes):
    """An image and its maps, a column a head; the maps of a head share one colour scale, with a colour bar.

    The heads don't share it: only differences between logits of one model count, so another's may be far larger.

    Args:
        image: uint8 array (H, W, 3).
        maps: dict, head → title → array (h, w), as :func:`class_maps` and :func:`rival_maps` return it.
        axes: Axes (1 + titles, heads).
    """
    said = []
    for column, (head, titled) in zip(axes.T, maps.items(), strict=True):
        most = max(float(np.abs(map_).max()) for map_ in titled.values()) or 1.0
        attention(image, None, column[0]).set_title(head, fontsize=9, fontweight="bold", color=colour(head))
        for ax, (title, map_) in zip(column[1:], titled.items(), strict=True):
            attention(image, map_, ax).set_title(f"{title}, sum {minus(f'{map_.sum():.3g}')}", fontsize=8)
            ax.images[-1].set_clim(-most, most)
            y, x = np.unravel_index(np.abs(map_).argmax(), map_.shape)
            place = f"row {y + 1} of {map_.shape[0]} and column {x + 1} of {map_.shape[1]}"
            span = f"from {map_.min():.2g} to {map_.max():.2g}"
            said.append(minus(f"{head}, {title}: sum {map_.sum():.3g}, {span}, strongest at {place}"))
        below = {"location": "bottom", "shrink": 0.8, "aspect": 30, "label": UNIT}
        bar = column[0].figure.colorbar(column[-1].images[-1], ax=list(column), **below)
        bar.ax.tick_params(labelsize=7)
    return described(axes, f"An image with its maps ({UNIT}). {'; '.join(said)}.")


# Two heads on the same test images: which of them is right, and which images are shown.

WITHOUT_WEIGHTS = ("gwap", "avg_fc", "flatten_fc", "vgg_fc")  # theirs depend on the image or on the class


class Pair:
    """Two runs of one study that differ in their head alone. All arguments are checked before anything is loaded.

    Args:
        study: One of ``ws.STUDIES``.
        heads: Two names of ``ws.HEADS``, with a comma between them: see :func:`two_heads`.
        images: How many images that both get right are shown; default 3.
        **common: Further keywords of ``ws.Experiment`` for both runs.

    Raises:
        ValueError: A value that can't be used, with those that can.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
        OSError: The runs folder can't be written.
    """

    @refusing()
    def __init__(self, study, heads="gap, wise", images=3, **common):
        self.heads = two_heads(heads)
        self.images = check_whole("images", images)
        self.rows = Rows(study, {head: {"head": head} for head in self.heads}, **common)
        self.announce, self.note = self.rows.announce, self.rows.note

    @property
    def dataset(self):
        """The dataset of both runs."""
        return self.rows.first.dataset

    @functools.cached_property
    def runs(self):
        """DataFrame as ``ws.Rows.run`` returns it; when first asked for, runs that are not complete are trained."""
        return self.rows.run()

    @functools.cached_property
    def right(self):
        """Head → bool array (N,): which test images it gets right after the last whole epoch."""
        measured = {run.data_fingerprint for run in self.runs["run"]}
        if measured != {self.dataset.fingerprint}:
            other = "different test images" if len(measured) > 1 else "other test images than are here now"
            raise ValueError(
                f"The runs of {' and '.join(self.heads)} were measured on {other}. Train them again with "
                "overwrite=True."
            )
        return {head: run.right for head, run in zip(self.heads, self.runs["run"], strict=True)}

    @functools.cached_property
    def models(self):
        """Head → its trained classifier after the last epoch."""
        return {head: experiment.load() for head, experiment in self.rows.experiments.items()}

    @functools.cached_property
    def untrained(self):
        """Head → its classifier as its training began."""
        return {head: experiment.build() for head, experiment in self.rows.experiments.items()}

    def both_right(self):
        """Indices of at most ``images`` test images that both heads get right, see :func:`choose`."""
        first, second = self.right.values()
        return choose(first & second, self.dataset.test.labels, self.images, f"{' and '.join(self.heads)} get right")

    def one_right(self):
        """Indices of at most two test images: for each head, the second one first, the first that it alone gets right.

        The second head is by default Wise-SrNet, which is alone with far more images than GAP.
        """
        first, second = self.right.values()
        chosen = []
        for head, mask in zip(self.heads[::-1], (second & ~first, first & ~second), strict=True):
            chosen += choose(mask, self.dataset.test.labels, 1, f"only {head} gets right")
        return chosen

    def class_figure(self, index):
        """A figure of Grad-CAM, HiResCAM and contribution map of a test image for its own class, a column a head."""
        image, label = self._image(index)
        return self._figure(index, class_maps(self.models, image, label), "")

    def rival_figure(self, index):
        """A figure of a test image's contribution maps for its own class, for a rival, and of their difference.

        The rival is the class over which the own class has the smallest lead (its logit less the other's), over both
        heads.
        """
        image, label = self._image(index)
        scores = np.stack([logits(model, image[None])[0] for model in self.models.values()])
        leads = scores[:, [label]] - np.delete(scores, label, axis=1)
        rival = np.delete(np.arange(scores.shape[1]), label)[leads.min(axis=0).argmin()]
        rivalry = f"; the other: {self.dataset.classes[rival]}"
        return self._figure(index, rival_maps(self.models, image, label, rival), rivalry)

    def _image(self, index):
        return self.dataset.test.rgb([index])[0], int(self.dataset.test.labels[index])

    def _figure(self, index, maps, more):
        image, label = self._image(index)
        drawn, axes = figure(4.6, 9.4, columns=2, rows=4)
        grid(image, maps, axes)
        guesses = {head: int(logits(model, image[None])[0].argmax()) for head, model in self.models.items()}
        said = ", ".join(f"{head} says {self.dataset.classes[guess]}" for head, guess in guesses.items())
        title = f"test image {index}, class: {self.dataset.classes[label]}{more}"
        drawn.suptitle("\n".join(filter(None, (title, said, self.note))), fontsize=9)
        return drawn


def two_heads(heads):
    """The two names in a text such as "gap, wise".

    Raises:
        ValueError: Not two different heads, or one whose weights of positions depend on the image or the class.
    """
    names = [name.strip() for name in heads.split(",")] if isinstance(heads, str) else []
    for name in filter(None, names):
        if get_head(name).name in WITHOUT_WEIGHTS:
            valid = ", ".join(other for other in REGISTRY if other not in WITHOUT_WEIGHTS)
            raise ValueError(
                f"Head '{name}' has no weights of positions that hold for every image and class. Valid heads: {valid}."
            )
    if len(names) != 2 or len(set(names)) != 2 or not all(names):
        raise ValueError(
            f"heads must be two different heads with a comma between them, such as 'gap, wise'; received {heads!r}."
        )
    return names


def choose(mask, labels, count, what):
    """At most ``count`` indices of images in ``mask``: the first of every class, then the second of every class, ….

    Prints a sentence where there are fewer than ``count``.

    Args:
        mask: Bool array (N,).
        labels: Integer array (N,).
        count: Number of images.
        what: What ``mask`` means, such as "only wise gets right".
    """
    found, labels = np.flatnonzero(mask), np.asarray(labels)
    turns = [(labels[found[:k]] == labels[index]).sum() for k, index in enumerate(found)]
    if len(found) < count:
        print(
            f"Of the {len(labels):,} test images, {len(found) or 'none'} {'is' if len(found) < 2 else 'are'} such "
            f"that {what}; {count} {'was' if count == 1 else 'were'} asked for."
        )
    return [int(index) for index in found[np.lexsort((labels[found], turns))][:count]]


def counts(right):
    """Numbers of test images that both heads, either or neither get right: DataFrame, the first head in the rows."""
    (first, mine), (second, other) = right.items()
    both = confusion_matrix(~mine, ~other, labels=[False, True])
    sides = ("right", "wrong")
    return pd.DataFrame(both, [f"{first} {side}" for side in sides], [f"{second} {side}" for side in sides])


def describe_selection(right):
    """In words: how many images both heads get right, and how many are left out where only those are shown."""
    (first, second), table = right, counts(right)
    (both, only_first), (only_second, neither) = table.to_numpy().tolist()
    images = both + only_first + only_second + neither
    return (
        f"The images that both {first} and {second} get right are {both:,} of {images:,} ({both / images:.0%}). Left "
        f"out are {only_first:,} that only {first} gets right, {only_second:,} that only {second} gets right, and "
        f"{neither:,} that neither does."
    )


# The weight of each position of each channel in the pooled vector, and figures of the weights.


def radial_profile(weights):
    """Mean weight by distance from the centre of the map, of weights (H, W, C), one row a ring, from the centre.

    Ring k holds the cells at a distance from k to below k + 1 cells. "distance" is their mean; "low" and "high" are the
    10% and 90% quantiles over the channels of each one's mean in the ring.
    """
    away = distances(*weights.shape[:2])
    rows = []
    for ring in np.unique(away.astype(int)):
        inside = away.astype(int) == ring
        by_channel = weights[inside].astype(np.float64).mean(axis=0)  # (C,)
        rows.append((away[inside].mean(), int(inside.sum()), by_channel.mean(), *np.quantile(by_channel, (0.1, 0.9))))
    return pd.DataFrame(rows, columns=["distance", "cells", "mean", "low", "high"])


def never_seen(weights):
    """The cells whose weight is 0 in every channel, from weights (H, W, C): bool array (H, W)."""
    return (weights == 0).all(axis=-1)


def describe_unseen(weights, cam):
    """In words: how many cells have no weight at all, from weights (H, W, C), and how much of a Grad-CAM (H, W)."""
    unseen = never_seen(weights)
    if not unseen.any():
        return "every cell counts."
    zero, there = (weights[~unseen] == 0).mean(), np.abs(cam)[unseen].sum() / np.abs(cam).sum()
    return (
        f"{int(unseen.sum())} of the {unseen.size} cells count for nothing in any channel, and {there:.1%} of Grad-CAM "
        f"lies there; of the other cells' weights {zero:.0%} are exactly 0."
    )


def ranked_channels(weights, count=4):
    """At most ``count`` channels of weights (H, W, C), evenly spread from the most central one to the outermost.

    Channels without any weight are left out.
    """
    sizes = np.abs(weights).sum(axis=(0, 1), dtype=np.float64)
    alive = np.flatnonzero(sizes)
    mean = (np.abs(weights) * distances(*weights.shape[:2])[..., None]).sum(axis=(0, 1))[alive] / sizes[alive]
    places = np.linspace(0, len(alive) - 1, min(count, len(alive))).round().astype(int)
    return [int(channel) for channel in alive[np.argsort(mean, kind="stable")][places]]


def weight_grid(weights, axes):
    """The weights' mean over channels, then some channels, from the most central one to the outermost.

    The panels of a head share one colour scale, with a colour bar; another head's weights may be far larger. Shades are
    of the weights' square roots unless some are negative. Cells that no channel looks at are crossed out.

    Args:
        weights: dict, head → array (H, W, C).
        axes: Axes (heads, 1 + channels).
    """
    from matplotlib.colors import PowerNorm

    rows = []
    for head, map_ in weights.items():
        chosen = ranked_channels(map_, axes.shape[1] - 1)
        named = {f"channel {channel}": map_[..., channel] for channel in chosen}
        rows.append({f"{head}: mean\nof {map_.shape[2]} channels": map_.mean(axis=-1), **named})
    for row, panels, map_ in zip(axes, rows, weights.values(), strict=True):
        for ax in row:
            ax.set_axis_off()
        colours = weight_colours(panels.values())
        most = colours["vmax"]
        if colours["vmin"] == 0:  # by square roots, so that a channel of small weights is seen beside one of large
            colours = {"cmap": colours["cmap"], "norm": PowerNorm(0.5, 0, 1.6 * most)}
        for ax, (title, panel) in zip(row, panels.items(), strict=False):
            drawn = ax.imshow(panel, **colours)
            ax.plot(*np.argwhere(never_seen(map_)).T[::-1], "x", color="0.5", markersize=3, markeredgewidth=0.8)
            ax.set_title(title, fontsize=8)
        bar = row[0].figure.colorbar(drawn, ax=list(row), shrink=0.8, label="weight of a cell")
        bar.ax.set_ylim(top=most)
        bar.ax.tick_params(labelsize=7)
    said = []
    for (head, map_), panels in zip(weights.items(), rows, strict=True):
        mean, *channels = panels
        low, high = panels[mean].min(), panels[mean].max()
        said.append(
            f"{head}: the mean over channels reaches from {low:.2g} to {high:.2g}; {', '.join(channels)}, from "
            f"the most central to the outermost; {int(never_seen(map_).sum())} of {map_[..., 0].size} cells crossed out"
        )
    return described(axes, f"Weights of the cells, a colour scale for each head. {'; '.join(said)}.")


def profiles(trained, untrained, ax):
    """Mean weight by distance from the centre, with a band of the middle 80% of channels; dashed: before training.

    Args:
        trained: dict, head → array (H, W, C).
        untrained: The same before the training; a head that has not changed is drawn once.
        ax: Axes to draw on.
    """
    said = []
    for head, weights in trained.items():
        lines = {head: (weights, "-")}
        if not np.array_equal(weights, untrained[head]):
            lines[f"{head}, before the training"] = (untrained[head], "--")
        for label, (each, dashes) in lines.items():
            ink = colour(head) if dashes == "-" else "0.4"
            profile = radial_profile(each)
            away, mean = profile["distance"], profile["mean"]
            ax.fill_between(away, profile["low"], profile["high"], color=ink, alpha=0.15, linewidth=0)
            ax.plot(away, mean, dashes, color=ink, label=label, marker="o", markersize=3)
            said.append(f"{label}: {mean.iloc[0]:.2g} at the centre and {mean.iloc[-1]:.2g} at the corner")
    ax.set(xlabel="distance from the centre of the feature map, in cells", ylabel="weight of a cell")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    return described(ax, minus(f"Mean weight by distance from the centre. {'; '.join(said)}."))
