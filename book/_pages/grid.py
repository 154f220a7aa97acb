"""The grid as a picture and as tables: what depends on what, what is done, and what the rest is estimated to take."""

import dataclasses

import pandas as pd
from matplotlib.patches import Patch, Rectangle

from wisesr_helpers import plots
from wisesr_helpers.progress import duration
from wisesr_helpers.storage import describe_size
from wisesr_helpers.studies import plan
from wisesr_helpers.training.runs import project_root, read_run

COLOURS = {
    "complete": "#1b6ca8",
    "diverged": "#c8553d",
    "running": "#f2c14e",
    "stale": "#b8b8b8",
    "missing": "#ffffff",
}
SCALES = ("demo", "paper")


def rows(results=None, own=""):
    """The rows of the demo and of the paper's scale, done if a committed record or one of the reader's own says so."""
    results = results or project_root() / "results"
    found = [row for scale in SCALES for row in plan.plan({"scale": scale, "runs_dir": str(own)})]
    return [row if row.done else _committed(row, results / f"{row.identity}.json") for row in found]


def _committed(row, path):
    """The row, done if the committed record at ``path`` says so."""
    state = plan.state(path, row.spec.recipe.epochs)
    done = dataclasses.replace(row, spec=dataclasses.replace(row.spec, folder=path), state=state)
    return done if done.done else row


def table(grid):
    """What a row takes at the paper's scale, a line for the rows that take the same; hours of a whole run."""
    lines = {}
    for row in (row for row in grid if row.scale == "paper"):
        spec = row.spec
        line = lines.setdefault(
            (spec.study.title, spec.parameters.backbone),
            {
                "study": spec.study.title,
                "backbone": spec.parameters.backbone,
                "time of a row (estimate)": duration(3600 * row.hours),
                "GPU memory (estimate)": describe_size(row.memory),
                "disk of a row, at most": describe_size(row.disk),
                "rows": 0,
                "done": 0,
                "measured": [],
            },
        )
        line["rows"] += 1
        line["done"] += row.done
        line["measured"] += [row.spec.folder] * row.done
    for line in lines.values():
        line["measured"] = _measured(line["measured"])
    return pd.DataFrame(lines.values())


def _measured(folders):
    """Mean time of the runs with these records, and on which devices, in words; empty without one."""
    made = [read_run(folder).execution for folder in folders]
    if not made:
        return ""
    mean = sum(sum(each["seconds"]) for each in made) / len(made)
    return f"{duration(mean)} on {', '.join(dict.fromkeys(each['device'] for each in made))}"


def all_rows(grid):
    """Every row with its estimates and its command, as data."""
    return pd.DataFrame(
        {
            **dataclasses.asdict(row.spec.parameters),
            "state": row.state,
            "hours": round(row.hours, 3),
            "memory_gb": round(row.memory / 1e9, 1),
            "disk_gb": round(row.disk / 1e9, 3),
            "command": row.command,
        }
        for row in grid
    ).drop(columns="options")


def words(grid):
    """Numbers for the prose: name → text."""
    paper, demo = ([row for row in grid if row.scale == scale] for scale in ("paper", "demo"))
    lack = [f"{row.spec.study.title}, {row.spec.parameters.head}" for row in demo if not row.done]
    return {
        "rows": str(len(paper)),
        "done": plan.describe(paper),
        "demo_done": f"{sum(row.done for row in demo)} of {len(demo)}",
        "demo_lack": f"missing: {'; '.join(lack)}" if lack else "none is missing",
        "hours": f"{sum(row.hours for row in paper):,.0f}",
        "gpu_tflops": f"{plan.GPU_TFLOPS:g}",
    }


def _counted(grid, scale):
    """How many rows of a scale are done, in words."""
    chosen = [row for row in grid if row.scale == scale]
    return f"{sum(row.done for row in chosen)} of {len(chosen)} {scale} rows"


def draw(grid, ax):
    """Datasets, the rows that need them, and what is made of those: a square a row, coloured by its state.

    The number in a square is the estimated hours of a row at the paper's scale.
    """
    heads = list(dict.fromkeys(row.spec.parameters.head for row in grid))
    groups = {}
    for row in sorted(grid, key=lambda row: SCALES.index(row.scale)):
        groups.setdefault((row.spec.study.name, row.spec.parameters.dataset), []).append(row)
    y, studies = 0.0, []
    for members in groups.values():
        study, top = members[0].spec.study, y
        places = list(dict.fromkeys((row.scale, row.spec.parameters.backbone) for row in members))
        for scale, backbone in places:
            ax.text(-0.7, y, f"{backbone}, demo" if scale == "demo" else backbone, ha="right", va="center", fontsize=9)
            for row in members:
                if (row.scale, row.spec.parameters.backbone) == (scale, backbone):
                    x = heads.index(row.spec.parameters.head)
                    ax.add_patch(
                        Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, fc=COLOURS[row.state], ec="#888888", lw=0.6)
                    )
                    if scale == "paper":
                        shade = "white" if row.state in plan.DONE else "black"
                        ax.text(x, y, f"{row.hours:.1f}", ha="center", va="center", fontsize=8, color=shade)
            y += 1
        middle, where = (top + y - 1) / 2, [study.table, *study.figures]
        box = {"ha": "center", "va": "center", "fontsize": 9, "bbox": {"boxstyle": "round", "fc": "#eef3f7"}}
        ax.text(-8.2, middle, f"{study.dataset}\n{study.image_size}×{study.image_size}", **box)
        ax.text(len(heads) + 2.3, middle, "\n".join([*["the report's"] * bool(study.own_heads), *where]), **box)
        for start, end in ((-5.8, -4.9), (len(heads) - 0.3, len(heads) + 0.6)):
            ax.annotate("", (end, middle), (start, middle), arrowprops={"arrowstyle": "->", "color": "#555555"})
        counted = [_counted(members, scale) for scale in SCALES if any(row.scale == scale for row in members)]
        studies.append(f"{study.title}: {' and '.join(counted)} done, for {', '.join(where)}")
        y += 0.6
    for x, head in enumerate(heads):
        ax.text(x - 0.2, -0.6, head, rotation=45, ha="left", va="bottom", fontsize=9)
    ax.set(xlim=(-10.4, len(heads) + 4), ylim=(y, -4.2))
    ax.set_axis_off()
    ax.legend(
        handles=[Patch(fc=colour, ec="#888888", label=state) for state, colour in COLOURS.items()],
        loc="lower center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=len(COLOURS),
        fontsize=9,
        frameon=False,
    )
    return plots.described(
        ax, f"The grid: datasets, a square for each row, and the tables and figures. {'; '.join(studies)}."
    )
