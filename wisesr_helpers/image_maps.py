"""What the positions of one test image have to do with a class: the map, and whether it sums to the logit."""

import dataclasses

import numpy as np

from wisesr_helpers import attribution, plots
from wisesr_helpers.cuts import cut_at
from wisesr_helpers.layers import is_whole
from wisesr_helpers.studies import DEMO_NOTE

METHODS = {
    "contribution": attribution.contribution_map,
    "HiResCAM": attribution.hires_cam,
    "Grad-CAM": attribution.grad_cam,
}


@dataclasses.dataclass(frozen=True, eq=False)
class ImageMap:
    """What the positions of one test image's feature map have to do with one class.

    Attributes:
        names: Of the classes.
        index: Of the image in the test split.
        label: The true class, an index.
        predicted: The predicted class.
        chosen: The class of the map.
        method: One of ``METHODS``.
        probability: What the model's output is for the chosen class.
        logit: Of the chosen class.
        empty: The logit of a feature map of zeros: what the biases alone make it.
        values: Array (h, w) in the logit's unit; None where the head has no such map.
        problem: Why it has none, a sentence, or "".
        precision: Relative, of the arithmetic that the logit was computed in.
    """

    names: tuple
    index: int
    label: int
    predicted: int
    chosen: int
    method: str
    probability: float
    logit: float
    empty: float
    values: np.ndarray | None
    problem: str = ""
    precision: float = 1e-3

    @property
    def adds_up(self):
        """Whether the map's cells and the logit of an empty map sum to the logit, to the precision."""
        return self.values is not None and bool(
            np.isclose(float(self.values.sum()) + self.empty, self.logit, rtol=self.precision, atol=self.precision)
        )

    def sentences(self):
        """True and predicted class, the logit, and whether the map sums to it."""
        said = [
            f"Test image {self.index}: {self.names[self.label]}. Predicted: {self.names[self.predicted]}.",
            f"Class of the map: {self.names[self.chosen]}, output {self.probability:.1%}, logit {self.logit:.4f}.",
        ]
        if self.values is None:
            return [*said, self.problem]
        total = float(self.values.sum())
        row, column = np.unravel_index(np.abs(self.values).argmax(), self.values.shape)
        return [
            *said,
            f"{self.method}: the cells sum to {total:.4f}; with the logit of an empty map, {self.empty:.4f}, that is "
            f"{total + self.empty:.4f}, {'the' if self.adds_up else 'not the'} logit (to {self.precision:.1%}).",
            f"The strongest of {self.values.size} cells is in row {row + 1} and column {column + 1} from the top left: "
            f"{self.values[row, column]:+.4f}.",
        ]

    def figure(self, dataset):
        """The image with the map over it, and a colour bar in the logit's unit.

        Returns:
            (figure, description).
        """
        drawn, ax = plots.figure(5.2, 4.4)
        plots.attention(dataset.test.rgb([self.index])[0], self.values, ax)
        if self.values is not None:
            drawn.colorbar(ax.images[-1], label=f"{self.method}, in the logit's unit", shrink=0.85)
        ax.set_title(f"{self.names[self.label]} → {self.names[self.predicted]}", fontsize=9)
        drawn.suptitle("" if dataset.photographs else DEMO_NOTE, fontsize=9)
        return drawn, " ".join(self.sentences())


def image_map(model, dataset, index=0, chosen="predicted", method="contribution"):
    """The map of one test image for one class.

    Args:
        model: As ``ws.contribution_map`` takes it.
        dataset: Dataset of the model's image size and classes.
        index: Of the image in the test split.
        chosen: "predicted" (default), "true", or the index of a class.
        method: "contribution" (default), "HiResCAM" or "Grad-CAM".

    Returns:
        ImageMap.

    Raises:
        TypeError: ``model`` is no Keras model.
        ValueError: Model and dataset don't go together, or there is no such image, class or method.
    """
    cut = cut_at(model)
    check_fit(cut, dataset)
    names = dataset.classes
    _check_choice("method", method, METHODS)
    if not is_whole(index, least=0) or index >= len(dataset.test):
        raise ValueError(f"index must be that of a test image, 0 to {len(dataset.test) - 1}; received {index!r}.")
    image = dataset.test.rgb([index])
    features, scores = cut.run(image)
    label, predicted = int(dataset.test.labels[index]), int(scores[0].argmax())
    known = {"predicted": predicted, "true": label} | {k: k for k in range(len(names))}
    _check_choice("chosen", chosen, known)
    chosen = known[chosen]
    try:
        values, problem = METHODS[method](model, image, [chosen])[0], ""
    except ValueError as error:  # a head that can't be taken apart by positions
        values, problem = None, str(error)
    logits = [float(cut.logits(maps)[0, chosen]) for maps in (features, np.zeros_like(features))]
    return ImageMap(
        *(names, index, label, predicted, chosen, method, float(scores[0, chosen]), *logits, values, problem),
        precision=1e-3 if {layer.compute_dtype for layer in model.layers} <= {"float32", "float64"} else 2e-2,
    )


def check_fit(cut, dataset):
    """Refuse a dataset that is not the model's.

    Args:
        cut: :class:`wisesr_helpers.cuts.Cut` of the model.
        dataset: Dataset.

    Raises:
        ValueError: Their image sizes or their numbers of classes differ.
    """
    size, count = tuple(cut.image.shape[1:3]), cut.scores.shape[1]
    if count != len(dataset.classes) or any(a not in (None, b) for a, b in zip(size, dataset.test.size, strict=True)):
        raise ValueError(
            f"'{cut.name}' has images of {size} pixels and {count} classes, {dataset.name} {dataset.test.size} and "
            f"{len(dataset.classes)}. Give the dataset that the model was trained on."
        )


def _check_choice(name, value, valid):
    if value not in valid:
        raise ValueError(f"{name} must be one of {', '.join(map(str, valid))}; received {value!r}.")
