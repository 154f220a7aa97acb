"""The authors' own notebooks, as their README names them."""

from wisesr_helpers.published import published

HEADS = {  # the authors' README → ours
    "GAP": "gap",
    "GAP+DP": "gap_dropout",
    "Depthw": "depthwise",
    "Depthw+constraint": "depthwise_nonneg",
    "pre-avg+Depthw+constraint(Wise-SrNet)": "wise",
    "pre-avg+Depthw+constraint+DP(Wise-SrNet with dropout)": "wise_dropout",
    "Flatten+FC": "flatten_fc",
}


def authors_notebooks(dataset, image_size):
    """The authors' notebooks on one dataset at one image size.

    Args:
        dataset: As Table 2 spells it.
        image_size: Side in pixels.

    Returns:
        dict, (backbone, head) → name of the notebook, in the README's order.
    """
    found = {}
    for row in published().query("where == 'README' and column == 'Notebook'").itertuples():
        data, model = row.row.split(", ")
        title, size = data.split(" at ")
        backbone, head = model.split("+", 1)
        if dataset.startswith(title) and size == f"{image_size}x{image_size}":
            found[backbone, HEADS[head]] = row.value
    return found
