"""Counts of the published models: stored with the package, so that comparing them needs no Keras, and counted again.

``counted.csv`` is written by ``python -m wisesr_helpers.studies.claims --recount``; tests/models/test_counts.py builds
every model and compares.
"""

import functools
import pathlib

import pandas as pd

from wisesr_helpers.models.backbones import build_backbone
from wisesr_helpers.models.counts import count_flops, count_params, head_flops, head_params
from wisesr_helpers.published import number, published
from wisesr_helpers.studies.grid import PAPER_STUDIES, REPORT_STUDIES

PATH = pathlib.Path(__file__).with_name("counted.csv")
COLUMNS = ("where", "backbone", "head", "image_size", "classes", "parameters", "flops", "feature_map")


def stored():
    """The stored counts: a DataFrame with a row per model that the paper or the report gives parameters of.

    Columns: "where" ("report Table 1" for the course report's, with ten classes), "backbone", "head" ("" for the
    backbone alone), "image_size" (side in pixels), "classes", "parameters", "flops" (of one image, as Table 1 counts
    them), "feature_map" ("7×7×2048": height, width, channels).
    """
    return pd.read_csv(PATH, keep_default_na=False)


def models():
    """The models counted: a list of tuples (where, backbone, head, image_size, classes)."""
    imagenet = int(number("Section 2.2", "ImageNet", "Number of Classes"))
    found = [("Section 1", "VGG16", head, 224, imagenet) for head in ("", "vgg_fc")]
    printed = published().query("source == 'paper' and backbone != '' and unit == 'parameters'")
    for model in dict.fromkeys(zip(printed["where"], printed["backbone"], printed["head"], strict=True)):
        # Table 1 has the images and classes of Table 5, which prints no parameters.
        study = PAPER_STUDIES["Table 5" if model[0] == "Table 1" else model[0]]
        found.append((*model, study.image_size, study.classes))
    study = REPORT_STUDIES["mnist"]
    found += [
        ("report Table 1", backbone, study.head_for(backbone), study.size_for(backbone), study.classes)
        for backbone in study.backbones
    ]
    return found


def recount(where=""):
    """The counts of :func:`stored`, or those of one place, on networks built now, each once for all the heads on it."""
    build = functools.cache(build_backbone)
    rows = []
    for place, backbone, head, size, classes in models():
        if where and place != where:
            continue
        base = build(backbone, size)
        shape = base.output.shape[1:]
        more = (head_params(head, shape, classes), head_flops(head, shape, classes)) if head else (0, 0)
        counts = (count_params(base) + more[0], count_flops(base) + more[1])
        rows.append((place, backbone, head, size, classes, *counts, "×".join(map(str, shape))))
    return pd.DataFrame(rows, columns=COLUMNS)
