"""The figure of what the printed accuracies can support."""

from wisesr_helpers.metrics import BETTER, NO_DIFFERENCE, WORSE, points
from wisesr_helpers.plots.figures import described
from wisesr_helpers.plots.runs import COLOURS

INKS = {BETTER: COLOURS["wise"], NO_DIFFERENCE: "0.4", WORSE: COLOURS["gap"]}
LINEAR = 10  # points; beyond, the axis is logarithmic, for gains of 72 points stand beside gains of 2


def gains(rows, ax):
    """Gains in top-1 over GAP with their 95% intervals, a line a model: by verdict, then by head, the largest on top.

    Args:
        rows: Rows of ``studies.support.comparisons``: "where", "backbone", "head", "difference", "low", "high" (all
            fractions), "word".
        ax: Axes to draw on; about 4.5 inches wide and 0.17 inches a row. Names stand inside it.

    Returns:
        ``ax``, described.
    """
    of_head, said, at = rows["head"].value_counts(), [], 0
    for word, ink in INKS.items():
        group = rows[rows["word"] == word].sort_values("difference", ascending=False)
        if group.empty:
            continue
        # Names are where no interval is: on the left, but for losses.
        side, align = (0.985, "right") if word == WORSE else (0.015, "left")
        style = {"transform": ax.get_yaxis_transform(), "ha": align, "va": "center", "fontsize": 7.5}
        title = f"{word}: {len(group)} of {len(rows)}"
        plate = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(side, at, title, **style | {"color": ink, "weight": "bold", "fontsize": 9, "bbox": plate})
        names = []
        for head in group["head"].value_counts().index:
            models = group[group["head"] == head]
            at += 1.3
            ax.text(side, at, f"{head}: {len(models)} of {of_head[head]}", weight="bold", **style)
            for row in models.itertuples():
                at += 1
                ax.text(side, at, f"{row.backbone}, {row.where}", **style)
                ax.plot([100 * row.low, 100 * row.high], [at, at], color=ink, linewidth=2, alpha=0.6)
                ax.plot(100 * row.difference, at, "o", color=ink, markersize=4)
                names.append(f"{row.backbone} + {head} ({row.where}) {points(row.difference, '+')}")
        said.append(f"{title}: {', '.join(names)}.")
        at += 2.2
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_xscale("symlog", linthresh=LINEAR)
    ax.set_xticks([-30, -LINEAR, -5, 0, 5, LINEAR, 30, 70], "−30 −10 −5 0 +5 +10 +30 +70".split(), fontsize=8)
    ax.minorticks_off()
    ax.set_yticks([])
    ax.set(xlim=(-40, 90), ylim=(at - 1, -1.2))
    ax.set_xlabel(f"gain in top-1 over GAP, points (logarithmic beyond ±{LINEAR})", fontsize=8)
    ax.grid(axis="x", alpha=0.3)
    return described(ax, f"Gains in printed top-1 over GAP in points, with 95% intervals. {' '.join(said)}")
