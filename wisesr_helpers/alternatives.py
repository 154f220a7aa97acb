"""What the paper tried beside its final design: sections 2.4 and 3.4, and EfficientNet of its discussion."""

import dataclasses
from collections.abc import Mapping

import pandas as pd

from wisesr_helpers._keras import keras
from wisesr_helpers.advice import LEVEL
from wisesr_helpers.backbones import build_backbone
from wisesr_helpers.choices import choose_scale
from wisesr_helpers.counts import count_flops, count_params
from wisesr_helpers.heads import head_layers
from wisesr_helpers.layers import default_pool_size
from wisesr_helpers.metrics import holm, mcnemar, paired_difference_interval
from wisesr_helpers.published import number
from wisesr_helpers.report import results_table
from wisesr_helpers.runs import ending, was_right
from wisesr_helpers.studies import STUDIES, get_study

EFFICIENTNET = "EfficientNetB0"  # the smallest of the family that the discussion is about
FINAL = "wise"  # title of the paper's final design, beside which the others stand
LEARNED = "two depthwise layers"  # title of the reduction with weights of its own


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One of the paper's attempts.

    Attributes:
        options: Of the head ``wise``, by name.
        where: Where the paper has it.
        finding: What the paper says of it, in our words.
    """

    options: Mapping
    where: str
    finding: str


def alternatives(pool_size):
    """The paper's final design and what it tried instead: title → Alternative.

    Args:
        pool_size: Side of the averaged blocks in cells, at least 2; the stride tried is one less.
    """
    no_gain = "no higher accuracy than averaging"
    weaker = "weakens the results"
    interpolations = ("bilinear", "bicubic", "nearest", "area")
    return {
        FINAL: Alternative({}, "sections 2.3 and 2.4", "the final design"),
        LEARNED: Alternative({"reduction": "depthwise"}, "section 3.4, 1", "underfits, does not train"),
        **{name: Alternative({"reduction": name}, "section 3.4, 2", no_gain) for name in interpolations},
        "zero padding": Alternative({"padding": "zeros"}, "section 3.4, 3", weaker),
        "unit padding": Alternative({"padding": "ones"}, "section 3.4, 3", weaker),
        f"stride {pool_size - 1}": Alternative({"strides": pool_size - 1}, "section 3.4, 4", "the results degrade"),
        "no bias": Alternative({"bias": False}, "section 2.4", "a bias is better"),
        "relu": Alternative({"activation": "relu"}, "section 2.4", "no activation is better"),
    }


def paper_pool_size(study, backbone=""):
    """Side of the blocks by the paper's rule, for a study's images on backbones with a 32nd of the image's side.

    Args:
        study: One of the paper's four studies.
        backbone: Empty: the study's own.

    Returns:
        int: 2 at 224×224, 3 at 512×512.

    Raises:
        ValueError: Another study.
    """
    papers = [name for name, known in STUDIES.items() if not known.datasets]
    if study not in papers:
        raise ValueError(f"study must be one of the paper's four: {', '.join(papers)}; received {study!r}.")
    side = get_study(study).size_for(backbone)
    return default_pool_size(round(side * number("Section 3.3", "feature map side over image side", "Ratio")))


def typed_rows(study, backbone="", scale="auto", data_dir="", efficientnet=False):
    """What each row types, for ``ws.Rows``: title → keywords of ``ws.Experiment``.

    Args:
        study: One of the paper's four studies.
        backbone: Of the rows that name none.
        scale: "auto", "paper", "demo" or "smoke".
        data_dir: Where data is looked for first; empty: the usual folders.
        efficientnet: Whether EfficientNet with both heads is added; at the paper's scale it always is.

    Raises:
        ValueError: Another study or scale, or ``efficientnet`` is no bool.
        FileNotFoundError: ``scale="paper"`` and the study's data is not there.
    """
    if not isinstance(efficientnet, bool):
        raise ValueError(f"efficientnet must be True or False; received {efficientnet!r}.")
    tried = alternatives(paper_pool_size(study, backbone))
    rows = {title: {"options": dict(one.options)} for title, one in tried.items()}
    if efficientnet or choose_scale(scale, get_study(study), backbone, data_dir or None)[0] == "paper":
        rows |= {f"{EFFICIENTNET} + {head}": {"backbone": EFFICIENTNET, "head": head} for head in ("gap", "wise")}
    return rows


def beside_paper(runs):
    """Results beside what the paper says.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it for :func:`typed_rows`.

    Returns:
        DataFrame, a row a run: "row", "kind", "top-1, final epoch", "95 % interval", "top-1, best epoch", "status",
        "beside wise" (how much better or worse on the same test images, or that no difference is shown), "the
        paper", "where".
    """
    shown = results_table(runs)[["row", "kind", "top-1, final epoch", "95 % interval", "top-1, best epoch", "status"]]
    tried = alternatives(2) | alternatives(3)  # strides of both sizes
    about = [tried.get(title, _DISCUSSED) for title in runs["row"]]
    beside = _beside(runs)
    return shown.assign(
        **{
            f"beside {FINAL}": [f"{beside[row][0]}, {beside[row][1]}" if row in beside else "" for row in runs["row"]],
            "the paper": [one.finding for one in about],
            "where": [one.where for one in about],
        }
    )


_DISCUSSED = Alternative({}, "section 4", "no remarkable gain over GAP")


def _beside(runs):
    """Title → ("better", "worse" or "no difference shown", by how much), of the runs that the final design's is beside.

    On the same test images, by McNemar's exact test, corrected by Holm for the number of rows.
    """
    complete = [row for row in runs.itertuples() if row.status == "complete" and EFFICIENTNET not in row.row]
    right = {row.row: was_right(row.record) for row in complete}
    if FINAL not in right:
        return {}
    final = right.pop(FINAL)
    p_values = holm([mcnemar(own, final) for own in right.values()])
    beside = {}
    for (title, own), p in zip(right.items(), p_values, strict=True):
        low, high = paired_difference_interval(own, final)
        shown = p < LEVEL and not low <= 0 <= high
        word = ("better" if low > 0 else "worse") if shown else "no difference shown"
        points = [f"{100 * value:+.1f}".replace("-", "−") for value in (own.mean() - final.mean(), low, high)]
        beside[title] = word, "{} points ({} to {})".format(*points)
    return beside


def verdict(runs):
    """How the rows do beside the final design, in sentences, computed.

    Args:
        runs: DataFrame as ``ws.Rows.run`` returns it for :func:`typed_rows`.
    """
    words = pd.Series({title: word for title, (word, _) in _beside(runs).items()}, dtype=object)
    if words.empty:
        return f"Nothing to compare: that takes a finished run of '{FINAL}' and one of another row."
    parts = []
    for word in ("worse", "better", "no difference shown"):
        titles = ", ".join(f"'{title}'" for title in words.index[words == word])
        parts.append(f"{word}: {titles or 'none'}")
    apart = [f"'{row.row}' {ending(row.record['outcome'])}" for row in runs.itertuples() if row.status != "complete"]
    if apart:
        parts.append(f"not counted: {', '.join(apart)}")
    comparisons = "1 comparison" if len(words) == 1 else f"{len(words)} comparisons"
    return (
        f"Beside '{FINAL}', on the same test images, {'; '.join(parts)}. McNemar's exact test at 5 %, corrected for "
        f"{comparisons}. Each row is one run with one seed: this is the chance of the test images, not that of "
        "training, whose last epoch may also be an unlucky one (see the best epoch)."
    )


def efficientnet_counts(study):
    """EfficientNet with both heads beside each other, built now without weights.

    Args:
        study: One of the paper's four studies; its image size and classes count.

    Returns:
        DataFrame: "backbone", "head", "parameters", "GFLOPs" (of one image).
    """
    study = get_study(study)
    base = build_backbone(EFFICIENTNET, study.image_size)
    rows = []
    for head in ("gap", "wise"):
        x = base.output
        for layer in head_layers(head, x.shape[1:], study.classes):
            x = layer(x)
        model = keras.Model(base.input, x)
        rows.append((EFFICIENTNET, head, f"{count_params(model):,}", f"{count_flops(model) / 1e9:.4f}"))
    return pd.DataFrame(rows, columns=["backbone", "head", "parameters", "GFLOPs"])
