"""Figures that cells drew, on pages: described, light in bytes, readable on phones, and dark on dark pages.

``plots.show`` writes into each PNG what it shows, and where in it photographs and scenes are. Dark pages show a figure
through a filter (``_pages/dark.py``); above it lies the same file, cut to its pictures, as they are.
"""

import html
import pathlib
import posixpath

from docutils import nodes
from PIL import Image
from sphinx.transforms.post_transforms import SphinxPostTransform

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
NAME = "Figure; on a small screen it scrolls sideways"
READABLE = 0.65  # of its own width, at least, a figure is shown in: its text is as small as this allows
NARROW = 560  # pixels: what is drawn in so few is shown whole on phones


class Plate(nodes.image):
    """A figure that a cell drew. Sphinx copies its file, as that of any image."""


class ShowFigures(SphinxPostTransform):
    """Make a ``Plate`` of each figure, and text of the notebooks' badge, which comes from elsewhere."""

    builders = ("html",)
    default_priority = 5

    def run(self, **_):
        for node in list(self.document.findall(nodes.image)):
            if node["uri"] == BADGE:
                node.replace_self(nodes.Text(node["alt"]))
            elif node["uri"].endswith(".png"):
                node.replace_self(self.plate(node))

    def plate(self, node):
        """The figure of an image node, with its file as WebP, which takes a quarter of the bytes."""
        png = pathlib.Path(self.app.srcdir, node["uri"])
        webp = png.with_suffix(".webp")
        with Image.open(png) as image:
            texts, size = image.text, image.size
            if not webp.exists():  # cells' files are named after their bytes
                lines_only = texts.get("Pictures") == ""
                image.convert("RGB").save(webp, lossless=lines_only, quality=75 if lines_only else 88, method=3)
        uri = posixpath.splitext(node["uri"])[0] + ".webp"
        self.env.images.add_file(self.env.docname, uri)
        alt = node.get("alt") or texts.get("Description", "")
        options = {"uri": uri, "candidates": {"*": uri}, "alt": alt, "size": size, "pictures": texts.get("Pictures")}
        return Plate("", **options)


def cut_out(pictures):
    """The places of pictures as a CSS polygon, which goes back over its own way from one to the next."""
    boxes = [[float(side) for side in place.split()] for place in pictures.split(";")]
    around = [
        corner
        for left, top, right, bottom in boxes
        for corner in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    ]
    around += [(left, top) for left, top, *_ in boxes[::-1]]
    return f"polygon({', '.join(f'{x:g}% {y:g}%' for x, y in around)})"


def write_plate(translator, node):
    """The HTML of a ``Plate``. What doesn't say where its pictures are is a picture itself."""
    file = posixpath.join(translator.builder.imgpath, translator.builder.images[node["uri"]])
    width, height = node["size"]
    shown = f'src="{file}" width="{width}" height="{height}"'
    kind = 'class="drawn dark-light" ' if node["pictures"] is not None else ""
    inside = f'<img alt="{html.escape(node["alt"])}" {kind}{shown}>'
    if node["pictures"]:
        place = f'class="pictures dark-light" style="clip-path: {cut_out(node["pictures"])}"'
        inside += f'<img {shown} {place} alt="" aria-hidden="true">'
    least = f"min-width: {0 if width <= NARROW else READABLE * width:.0f}px; max-width: {width}px"
    translator.body.append(
        f'<div class="plate" tabindex="0" role="group" aria-label="{NAME}"><div style="{least}">{inside}</div></div>\n'
    )
    raise nodes.SkipNode


def setup(app):
    app.add_node(Plate, html=(write_plate, None))
    app.add_post_transform(ShowFigures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
