"""How fast the project is beside the authors' code, from what the benchmarks measured: an answer and a figure."""

import json

from IPython.display import HTML

from _pages.benchmarks import measured_on
from _pages.markup import words
from wisesr_helpers import plots
from wisesr_helpers.training.runs import project_root

FIRST_EPOCH = "our first epoch, decoding included / authors, in turn with it"
OPEN = "Open: no benchmark with the ranges of its rounds is committed. <code>make bench</code> measures them."


def comparisons(folder=None):
    """What is compared → (median, lowest, highest) of the rounds, times as fast; and the reports that they are from."""
    folder = folder or project_root() / "results" / "benchmarks"
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    reports = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}
    rows = {name: reports.get(name, {"rows": ()})["rows"] for name in ("pipeline", "heads", "training", "setup")}
    found = []
    for row in rows["pipeline"]:
        size, ratios = f"{row['image_size']}×{row['image_size']}", row.get("ratios", {})
        found.append((f"input pipeline, {size}", ratios.get("ours / authors")))
        found.append((f"its first epoch, {size}", ratios.get(FIRST_EPOCH)))
    for row in rows["heads"]:
        name = f"wise, forward and backward, {'×'.join(map(str, row['map']))}"
        found.append((name, None if row["xla"] else row.get("beside_the_authors", {}).get("wise")))
    for row in rows["training"]:
        name = f"training, {row['backbone']}, {row['batch']} images a step"
        found.append((name, row.get("beside_the_authors")))
    found += [("set-up, beside pip", row.get("beside_pip")) for row in rows["setup"]]
    return {name: ratios for name, ratios in found if ratios}, reports


def answer(folder=None):
    """The answer, as a cell's output."""
    found, reports = comparisons(folder)
    if not found:
        return HTML(f'<p class="answer open">{OPEN}</p>')
    always = sum(low > 1 for _, low, _ in found.values())
    numbers = "".join(
        f"<li>{name}: {_times(middle)} times as fast ({_times(low)} to {_times(high)})"
        f"{'' if low > 1 else ', not faster in every round'}</li>"
        for name, (middle, low, high) in found.items()
    )
    gpu = any("gpu" in each["machine"]["device"].lower() for each in reports.values())
    whole = reports["book"]["rows"][0]["seconds"] if "book" in reports else None
    book = f" The book is built in {whole:.0f} s." if whole else ""
    return HTML(
        f'<p class="answer">Faster in every round in {always} of {len(found)} comparisons; below, the median of the '
        f"rounds (lowest to highest).{book}{'' if gpu else ' On a GPU it is not measured.'}</p>"
        f'<ul class="numbers">{numbers}</ul>'
    )


def figure(folder=None):
    """Show the figure; return what stands below it: where each was measured."""
    found, reports = comparisons(folder)
    if not found:
        return HTML('<p class="slot">To come: input pipeline, head, training and set-up beside the authors\' code.</p>')
    drawn, ax = plots.figure(4.8, 0.9 + 0.3 * len(found))
    for place, (middle, low, high) in enumerate(found.values()):
        ax.plot([low, high], [place, place], color="0.3", linewidth=2)
        ax.plot(middle, place, "o", color="#0072B2", markersize=6)
    ax.axvline(1, color="0.3", linestyle=":", linewidth=1)
    ax.set_xscale("log")
    ax.set(xlabel="times as fast", ylim=(len(found) - 0.5, -0.5))
    ax.set_yticks(range(len(found)), list(found), fontsize=8)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(axis="x", alpha=0.3)
    said = "; ".join(f"{name} {_times(middle)}" for name, (middle, *_) in found.items())
    plots.show(drawn, f"Times as fast as the authors' code, median and range of the rounds: {said}.")
    return words(measured_on(*(each for name, each in reports.items() if name != "grid")))


def _times(ratio):
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
