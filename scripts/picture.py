"""Draw the README's picture from the embedded scenes and the committed records."""

import pathlib
import sys

import numpy as np

from wisesr_helpers import plots
from wisesr_helpers.data.dataset import DEMO_NOTE
from wisesr_helpers.data.embedded import class_pairs, draw_scene

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "book"))
from _pages.results import ResultsPage, draw_ceiling

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "book" / "_static" / "what_the_demo_shows.png"


def draw():
    """(figure, description)."""
    runs = ResultsPage("mit_512").committed
    runs = runs[runs["head"].isin(("gap", "wise"))]
    figure, axes = plots.figure(10, 2.9, columns=3, width_ratios=[1, 1, 2.2])
    for index, (ax, pair) in enumerate(zip(axes[:2], class_pairs(2), strict=True)):
        ax.imshow(draw_scene(*pair, 512, "test", np.random.default_rng(index)), cmap="gray", vmin=0, vmax=255)
        ax.set_title("{} inside, {} outside".format(*pair), fontsize=9)
        ax.set_axis_off()
    plots.described(axes[:2], "Two mirrored scenes that hold the same digits at different places.")
    plots.accuracies(runs, axes[2]).set_title(DEMO_NOTE, fontsize=9)
    draw_ceiling(runs, axes[2], axes[2].axvline)
    return figure, plots.alt_text(figure)


if __name__ == "__main__":
    figure, description = draw()
    figure.savefig(PICTURE, dpi=110, metadata={"Description": description, "Software": None})
    print(f"{PICTURE.relative_to(ROOT)}: {description}")
