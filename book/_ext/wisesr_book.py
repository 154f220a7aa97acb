"""What the book needs of Sphinx beyond Jupyter Book: descriptions of figures, and honest launch buttons."""

from docutils import nodes
from PIL import Image
from sphinx.transforms.post_transforms import SphinxPostTransform


class DescribeFigures(SphinxPostTransform):
    """Give every figure made by a cell the description that ``plots.show`` wrote into its PNG."""

    default_priority = 5

    def run(self, **_):
        for node in self.document.findall(nodes.image):
            if not node.get("alt") and node["uri"].endswith(".png"):
                path = node["uri"] if node["uri"].startswith("/") else f"{self.app.srcdir}/{node['uri']}"
                with Image.open(path) as image:
                    node["alt"] = image.text.get("Description", "")


def drop_buttons_of_text(app, pagename, templatename, context, doctree):
    """Colab opens notebooks only: a page written in Markdown has no launch button."""
    source = str(app.env.doc2path(pagename, base=False)) if pagename in app.env.all_docs else ""
    if not source.endswith(".ipynb"):
        buttons = context.get("header_buttons", [])
        context["header_buttons"] = [b for b in buttons if b.get("label") != "launch-buttons"]


def setup(app):
    app.add_post_transform(DescribeFigures)
    app.connect("html-page-context", drop_buttons_of_text, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
