"""Fail if a built book lacks a page, has a link to nowhere, or loads a file from elsewhere: Sphinx exits 0 then."""

import base64
import pathlib
import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLAB = "colab.research.google.com"
LOADED = {"script", "img", "iframe", "source", "audio", "video", "embed", "object", "link"}  # tags that fetch a file
NOT_LOADED = {"canonical", "next", "prev", "index", "search", "author", "license"}  # kinds of <link> that don't


class Page(HTMLParser):
    """What a page names: ``ids``, ``links`` to follow, and what is ``loaded`` with it, all of them text."""

    def __init__(self, path):
        super().__init__()
        self.path, self.ids, self.links, self.loaded = path, set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        self.ids |= {attrs[name] for name in ("id", "name") if name in attrs}
        followed = tag in ("a", "area") or attrs.get("rel") in NOT_LOADED
        for name in {"src", "href", "data", "poster"} & set(attrs):
            if followed or tag in LOADED:
                (self.links if followed else self.loaded).append(attrs[name])
        self.loaded += _styled(attrs.get("style", ""))

    def handle_data(self, data):
        if self.lasttag == "style":
            self.loaded += _styled(data)


def pages():
    """Every page that _toc.yml names."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *chapters]


def problems(built):
    """What is wrong with the book in the folder ``built``, a sentence each."""
    found = []
    for page in pages():
        path = built / f"{page}.html"
        if not path.exists():
            found.append(f"{path} is missing: the book lacks a page that _toc.yml names.")
            continue
        body = re.search(r"<article.*?</article>", path.read_text(encoding="utf-8"), re.DOTALL)
        text = re.sub(r"<[^>]+>", " ", body[0]) if body else ""
        if len(text.split()) < 50:
            found.append(f"{path} holds {len(text.split())} words: the page is as good as empty.")
    return found + broken(built)


def broken(built):
    """Links that lead nowhere, and files that are missing or come from elsewhere, a sentence each."""
    read = {path: Page(path) for path in sorted(built.rglob("*.html")) if "_static" not in path.parts}
    found = []
    for path, page in read.items():
        for link in dict.fromkeys(page.links):
            address = urlsplit(link)
            if address.scheme == "data" and not _data(link):
                found.append(f"{path} offers a file that is empty: {link[:60]}")
            elif address.netloc == COLAB and path.parent.name != "notebooks":
                found.append(f"{path} is no notebook and leads to Colab: {link}")
            if address.scheme or address.netloc:
                continue
            target = _file(path, address.path)
            if not target.exists():
                found.append(f"{path} links '{link}', which is not there.")
            elif address.fragment and target in read and unquote(address.fragment) not in read[target].ids:
                found.append(f"{path} links '{link}', and {target.name} has no such place.")
        found += _not_here(path, page.loaded)
    for path in sorted(built.rglob("*.css")):
        found += _not_here(path, _styled(path.read_text(encoding="utf-8")))
    return found


def _styled(css):
    """What a piece of CSS loads."""
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"'()\s;]+)""", css)


def _not_here(path, loaded):
    """A sentence for each address that isn't a file of the book."""
    for address in dict.fromkeys(loaded):
        parts = urlsplit(address)
        if parts.netloc or parts.scheme in ("http", "https"):
            yield f"{path} loads '{address}' from elsewhere."
        elif not parts.scheme and parts.path and not _file(path, parts.path).exists():
            yield f"{path} loads '{address}', which is not there."


def _file(path, address):
    """The file that a page's relative address means; empty: the page itself."""
    return (path.parent / unquote(address)).resolve() if address else path


def _data(link):
    """What a link holds within itself."""
    return base64.b64decode(link.partition(",")[2], validate=True) if ";base64," in link else link.partition(",")[2]


if __name__ == "__main__":
    found = problems(pathlib.Path(sys.argv[1]).resolve())
    print("\n".join(found) or f"The book is whole: {len(pages())} pages in {sys.argv[1]}.")
    sys.exit(1 if found else 0)
