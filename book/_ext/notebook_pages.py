"""How a stored notebook becomes a page: Colab's cells and long logs fold, figures have captions, one stands on top.

The notebooks themselves stay as they are: nothing is executed.
"""

import base64
import copy
import html
import io
import re

import nbformat
from PIL import Image

from wisesr_helpers.data.dataset import DEMO_NOTE

LOG = 8  # lines; what prints more folds away behind one
ON_TOP = "first-figure"  # tag of the cell whose figure stands under the first paragraph, too, without a number
UNSET = "github.com/OWNER/REPOSITORY"  # nothing is installed from there: such a page has no cells for Colab


def shorten(app, docname, source):
    """Give Sphinx a notebook as its page shows it."""
    if str(app.env.doc2path(docname)).endswith(".ipynb"):
        source[0] = nbformat.writes(as_page(nbformat.reads(source[0], as_version=4)))


def as_page(notebook):
    """Change a notebook into what its page shows."""
    cells = [part for cell in _folded(notebook.cells) for part in _parts(cell)]
    first = next((cell for cell in cells if ON_TOP in cell.metadata.get("tags", []) and _is_figure(cell)), None)
    if first:
        above, below = _after_first_paragraph(cells[0])
        on_top = _without_source(first)
        del on_top.metadata["mystnb"]
        cells[:1] = [above, on_top, below]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"
    notebook.cells = cells
    return notebook


def _folded(cells):
    """The cells, with those that prepare Colab and what is said of them as one line that unfolds."""
    colab = [cell for cell in cells if "hide-cell" in cell.metadata.get("tags", [])]
    said = cells[cells.index(colab[0]) - 1] if colab else None
    code = "\n\n".join(f"```python\n{cell.source}\n```" for cell in colab)
    for cell in cells:
        if cell is said and UNSET not in code:
            yield nbformat.v4.new_markdown_cell(f"`````{{dropdown}} On Colab\n{said.source}\n\n{code}\n`````")
        elif cell is not said and cell not in colab:
            yield cell


def _parts(cell):
    """A cell in parts, since MyST-NB makes a figure of all outputs of a cell or of none."""
    groups = []
    for output in map(_short, _joined(cell.get("outputs", []))):
        image = "image/png" in output.get("data", {})
        if groups and not image and not groups[-1][0]:
            groups[-1][1].append(output)
        else:
            groups.append((image, [output]))
    if not groups:
        yield cell
    for number, (image, group) in enumerate(groups):
        part = _without_source(cell) if number else copy.deepcopy(cell)
        part["outputs"] = group
        if image:
            part.metadata["mystnb"] = {
                "figure": {"caption": _caption(group[0].data["image/png"], cell.metadata.get("caption", ""))}
            }
        yield part


def _without_source(cell):
    """A copy that shows its outputs only."""
    cell = copy.deepcopy(cell)
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "remove-input"]
    return cell


def _is_figure(cell):
    return "mystnb" in cell.metadata


def _joined(outputs):
    """The outputs; printed texts and lines of progress that follow each other as one text."""
    joined = []
    for output in outputs:
        progress = output.output_type == "display_data" and set(output.data) == {"text/plain"}
        if not progress and output.output_type != "stream":
            joined.append(output)
            continue
        text = output.data["text/plain"] + "\n" if progress else output.text
        if joined and joined[-1].output_type == "stream":
            joined[-1].text += text
        else:
            joined.append(nbformat.v4.new_output("stream", name="stdout", text=text))
    return joined


def _short(output):
    """The output; a long printed text as one line that unfolds."""
    lines = output.get("text", "").splitlines()
    if len(lines) <= LOG:
        return output
    summary, rest = f"{lines[0]} … {len(lines) - 1} more lines", lines[1:]
    if lines[0].endswith(":"):  # a log of runs, each under its title
        titles = [line.removesuffix(":") for line in lines if line.endswith(":")]
        summary, rest = f"{len(titles)} runs: {'; '.join(titles)}", lines
    summary, rest = html.escape(summary), html.escape("\n".join(rest))
    folded = f'<details class="log"><summary>{summary}</summary><pre>{rest}</pre></details>'
    return nbformat.v4.new_output("display_data", data={"text/html": folded, "text/plain": output.text})


def _caption(png, written):
    """The caption of a figure: what is written in its cell's metadata, "{}" standing for what is said without that.

    Without, the description in its PNG up to its first sentence of four words. The demo's note follows either.
    """
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        description = image.text["Description"]
    said = []
    for sentence in re.split(r"(?<=\S)\. ", re.sub(rf"[;:]? *{DEMO_NOTE}[.:] *", ". ", description).lstrip(". ")):
        said.append(sentence.rstrip("."))
        if len(sentence.split()) >= 4:
            break
    text = ". ".join(said)
    text = text.partition(": ")[0] if len(text) > 200 else text
    text = text if "_" in text.split()[0] else text[0].upper() + text[1:]  # small_patch is a name
    text = re.sub(r"([\\`*_\[\]<>$])", r"\\\1", text)
    text = written.replace("{}", text) or f"{text}."
    return f"{text} {DEMO_NOTE.capitalize()}." if DEMO_NOTE in description else text


def _after_first_paragraph(title):
    """A title cell as two: up to its first paragraph, and the rest. Headings, badges and comments are none."""
    blocks = title.source.split("\n\n")
    end = 1 + next(k for k, block in enumerate(blocks) if not block.startswith(("#", "<!--", "[!")))
    return [nbformat.v4.new_markdown_cell("\n\n".join(part)) for part in (blocks[:end], blocks[end:])]


def setup(app):
    app.connect("source-read", shorten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
