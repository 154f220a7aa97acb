"""Write the four study notebooks from scripts/study_notebook.md, and Colab's cells into every notebook.

Stored outputs stay where a cell's source is unchanged. In the template "%% " begins a cell; its kind, its tags and,
behind a bar, the caption of its figures follow.
"""

import copy
import dataclasses
import pathlib
import re
import string

import nbformat
from address import UNSET, current

import wisesr_helpers as ws
from wisesr_helpers.published import printed

ROOT = pathlib.Path(__file__).resolve().parent.parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COLAB = """\
On Colab the first of these two cells installs the package in this notebook's own version and leaves Colab's \
TensorFlow alone; the second says what was installed, and can keep your runs on Google Drive. Elsewhere both do \
nothing."""
INSTALL = """\
import os

from IPython.core.error import UsageError

install = '(pip install -q "$package@v$version" || pip install -q "$package@main") > pip.log 2>&1'
if "google.colab" in str(get_ipython()) and os.system(install):
    raise UsageError("The package can't be installed: pip.log says why. With no network, connect and try again.")"""
KEEP = """\
keep_runs_on_drive = False  # @param {type: "boolean"}
if "google.colab" in str(get_ipython()):
    from wisesr_helpers import colab

    colab.prepare("$version", keep_runs_on_drive)"""

PAGE = "- Build the book (`make book`): its page of this study shows your runs beside the committed ones.\n"

REPORT = "from wisesr_helpers.studies import report\n\n"


@dataclasses.dataclass(frozen=True)
class Words:
    """What is said of one study only.

    Attributes:
        section: Of the paper.
        question: What the study asks, a sentence.
        notes: Differences between paper, code and demo that a reader of the printed numbers has to know.
    """

    section: str
    question: str
    notes: tuple


def words():
    """The words of each study, its numbers as published."""
    sub, intel, mit, large = (ws.STUDIES[name] for name in ("sub_imagenet_224", "intel_224", "mit_224", "mit_512"))
    each = printed("Section 3.1", "Sub-ImageNet", "Training images per class")
    supplied = printed("Section 3.2.2", f"{intel.dataset}, as supplied", "Image Size")
    said = printed("Section 3.3", "MIT Indoors Scenes at 224×224", "Epochs")
    gains = {name: printed("Section 3.2.3", f"{name}, over GAP", "Top-1 accuracy gain") for name in mit.backbones}
    top1 = ws.published().query("where == 'Table 7' and column == 'Top-1 accuracy'")
    top1 = top1.set_index(["backbone", "head"])["number"]
    over_gap = [f"{100 * (top1[name, 'wise_dropout'] - top1[name, 'gap']):.2f}" for name in mit.backbones]
    rate, batch = large.recipe.learning_rate, large.recipe.batch_size
    return {
        "sub_imagenet_224": Words(
            "3.2.1",
            "What does each part of Wise-SrNet add: a weight for every position, the constraint that no weight is "
            "negative, averaging blocks first, dropout?",
            (
                "Table 5's caption promises the models' parameters, and the table has none. Those of Table 1 hold for "
                "the same backbones and classes.",
                f"The paper's text says {each} training images a class; Table 2's {sub.train_images:,} in "
                f"{sub.classes} classes are {sub.train_images // sub.classes} each.",
                "GWAP is described as one matrix for all channels (`gwap_fixed`); the work that is cited for it "
                "computes its weights from the features (`gwap`).",
            ),
        ),
        "intel_224": Words(
            "3.2.2",
            f"How much does Wise-SrNet gain where there are only {intel.classes} classes?",
            (
                f"The photographs are supplied at {supplied} pixels and enlarged to "
                f"{intel.image_size}×{intel.image_size}.",
                "Table 6 has three of the heads, none with dropout, and no top-5 accuracy.",
                f"{intel.recipe.epochs} epochs here, {sub.recipe.epochs} for Sub-ImageNet and {mit.recipe.epochs} for "
                "MIT at the same image size (Table 4): the studies differ in more than their images.",
            ),
        ),
        "mit_224": Words(
            "3.2.3",
            f"How much does Wise-SrNet gain with {mit.classes} classes and {mit.train_images:,} training images, at "
            "the usual image size?",
            (
                f"Table 4 and Figure 6 say {mit.recipe.epochs} epochs, which are used here; section 3.3 says {said}.",
                f"The gains over GAP in the paper's text ({', '.join(gains.values())} points) are those of Wise-SrNet "
                f"with dropout over GAP *with dropout*; over GAP alone, Table 7 gives it {', '.join(over_gap)}.",
            ),
        ),
        "mit_512": Words(
            "3.3",
            "What becomes of a classifier at a large image size when its last feature map is pooled by global average "
            "pooling (GAP) or by Wise-SrNet?",
            (
                "At the paper's scale the backbone starts from ImageNet's weights, and images are prepared in caffe "
                "mode, as Table 3 says of every model. Xception's weights were made with another preparation (−1 to "
                f"1); with a first learning rate of {rate} at batch {batch}, this may play a part in its result with "
                "GAP, which stays at chance.",
                "The authors' notebook without Wise-SrNet and GAP connects every position to every class "
                "(`flatten_fc`); Table 9's row averages blocks first (`avg_fc`).",
            ),
        ),
    }


def study_notebook(name):
    """A study's notebook, without outputs."""
    study, own = ws.STUDIES[name], words()[name]
    counting, counts = _counting(study)
    towards = [f"**{where}**" for where in (study.table, *study.figures)]
    call = f'experiment = ws.Experiment(\n    "{name}", {_ARGUMENTS}\n)'
    one_line = f'experiment = ws.Experiment("{name}", {_ARGUMENTS})'
    filled = {
        "name": name,
        "title": study.title,
        "badge": badge(name),
        "address": current(),
        "section": own.section,
        "question": own.question,
        "notes": "\n".join(f"- {note}" for note in own.notes),
        "towards": " and ".join([", ".join(towards[:-1]), towards[-1]]),
        "dataset": study.dataset,
        "source": study.source,
        "minutes": "1 minute" if study.demo.minutes == 1 else f"{study.demo.minutes:g} minutes",
        "heads": ", ".join(ws.HEADS),
        "experiment": one_line if len(one_line) <= 120 else call,
        "counting": counting,
        "counts": counts,
        "authors": _authors(study),
        "page": PAGE if (ROOT / f"book/{name}.md").exists() else "",
    }
    template = (ROOT / "scripts/study_notebook.md").read_text(encoding="utf-8")
    cells = []
    for part in re.split(r"^%% ", template, flags=re.MULTILINE)[1:]:
        line, _, source = part.partition("\n")
        said, _, caption = line.partition(" | ")
        kind, *tags = said.split()
        metadata = {"tags": tags} | ({"caption": caption} if caption else {})
        make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
        source = string.Template(source.strip()).substitute(filled)
        cells += colab_cells() if kind == "colab" else [make[kind](source, metadata=metadata)]
    return numbered(nbformat.v4.new_notebook(cells=cells, metadata=METADATA))


_ARGUMENTS = "head, backbone, scale, seed, epochs, data_dir, runs_dir, overwrite, options"


def _counting(study):
    """What is said before the paper's models are counted, and the code that counts them."""
    said = "The paper's own models have the same head on a larger backbone. "
    agree = "They have to agree to the last digit, which needs neither photographs nor a GPU."
    if ws.published().query("where == @study.table and column == 'Parameters'").empty:
        return (
            f"{said}{study.table} prints no parameters; Table 1 does, for the same backbones and number of classes. "
            f"Where it has this head, its models are counted here, beside what is printed. {agree}",
            f"{REPORT}"
            'counts = report.table_1().query("head == @head")\nassert (counts["agrees"] == "yes").all()\ncounts',
        )
    return (
        f"{said}Where {study.table} has this head, the parameters of its models are counted here, on models that are "
        f"built now, beside the printed ones. {agree}",
        f"{REPORT}"
        f'counts = report.counts_beside_published("{study.name}", head)\n'
        'assert (counts["parameters, counted"] == counts["parameters, printed"]).all()\n'
        "counts",
    )


# The authors' README → ours.
_DATASETS = {"Sub-ImageNet": "sub_imagenet", "Intel Image Classification": "intel", "MIT Indoors Scenes": "mit"}
_HEADS = {
    "GAP": "gap",
    "GAP+DP": "gap_dropout",
    "Depthw": "depthwise",
    "Depthw+constraint": "depthwise_nonneg",
    "pre-avg+Depthw+constraint(Wise-SrNet)": "wise",
    "pre-avg+Depthw+constraint+DP(Wise-SrNet with dropout)": "wise_dropout",
    "Flatten+FC": "flatten_fc",
}


def _authors(study):
    """The authors' notebooks of a study, as their README names them, and what is typed here for each, as a table."""
    lines = ["| the authors' notebook | here |", "|---|---|"]
    for row in ws.published().query("where == 'README' and column == 'Notebook'").itertuples():
        data, model = row.row.split(", ")
        dataset, size = data.split(" at ")
        backbone, head = model.split("+", 1)
        if (_DATASETS[dataset], size) == (study.source, f"{study.image_size}x{study.image_size}"):
            lines.append(f"| `{row.value}` | `-p scale paper -p backbone {backbone} -p head {_HEADS[head]}` |")
    return "\n".join(lines)


def badge(name):
    """The badge that opens a notebook on Colab; a comment until there is an address that it could lead to."""
    repository = current().removeprefix("https://github.com/")
    opened = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb"
    shown = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({opened})"
    return f"<!-- {shown} -->" if current() == UNSET else shown


def colab_cells():
    """The cells that prepare Colab, the same in every notebook: what they do, installation, where runs are kept."""
    filled = {"version": ws.__version__, "package": f"wisesr_helpers @ git+{current()}"}
    return [
        nbformat.v4.new_markdown_cell(COLAB, metadata={"tags": []}),
        *(
            nbformat.v4.new_code_cell(string.Template(code).substitute(filled), metadata={"tags": ["hide-cell"]})
            for code in (INSTALL, KEEP)
        ),
    ]


def with_colab_cells(notebook):
    """A notebook with today's cells for Colab after its title, and without those of any other day."""
    title, *rest = (cell for cell in notebook.cells if not _prepares_colab(cell))
    notebook.cells = [title, *colab_cells(), *rest]
    return numbered(notebook)


def _prepares_colab(cell):
    if cell.cell_type == "code":
        return "hide-cell" in cell.metadata.get("tags", []) and "google.colab" in cell.source
    return cell.source.startswith("On Colab")


def numbered(notebook):
    """The notebook with its cells' ids in order."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def keeping(new, old):
    """``new`` with the outputs of ``old`` in code cells whose source is the same, and the versions that made them."""
    ran = {cell.source: cell for cell in old.cells if cell.cell_type == "code"}
    for cell in new.cells:
        if cell.cell_type == "code" and cell.source in ran:
            cell.outputs, cell.execution_count = ran[cell.source].outputs, ran[cell.source].execution_count
    if "wisesr" in old.metadata:
        new.metadata["wisesr"] = old.metadata["wisesr"]
    return new


def wanted(path):
    """The text that the notebook at ``path`` should have: a study's from the template, any with today's Colab cells."""
    old = nbformat.read(path, as_version=4) if path.exists() else nbformat.v4.new_notebook()
    new = study_notebook(path.stem) if path.stem in words() else with_colab_cells(copy.deepcopy(old))
    return nbformat.writes(keeping(new, old)) + "\n"


def main():
    """Write every notebook that is not as it should be."""
    studies = {ROOT / f"notebooks/{name}.ipynb" for name in words()}
    for path in sorted(studies | {*ROOT.glob("notebooks/*.ipynb")}):
        text = wanted(path)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} is written.")


if __name__ == "__main__":
    main()
