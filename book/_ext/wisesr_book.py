"""What the book needs of Sphinx beyond Jupyter Book: descriptions of figures and honest buttons."""

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


def drop_dead_buttons(app, pagename, templatename, context, doctree):
    """No button that leads nowhere: to Colab from a page that is no notebook, or to an address that isn't set."""
    source = str(app.env.doc2path(pagename, base=False)) if pagename in app.env.all_docs else ""
    dead = set() if source.endswith(".ipynb") else {"launch-buttons"}
    if app.config.html_theme_options["repository_url"].endswith("/OWNER/REPOSITORY"):
        dead |= {"launch-buttons", "source-buttons"}
    context["header_buttons"] = [b for b in context.get("header_buttons", []) if b.get("label") not in dead]


def setup(app):
    app.add_post_transform(DescribeFigures)
    app.connect("html-page-context", drop_dead_buttons, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
