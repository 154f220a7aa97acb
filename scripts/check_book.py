"""Fail if a built book lacks a page of its table of contents, or a page is empty: Sphinx itself exits 0 then."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
    return found


if __name__ == "__main__":
    found = problems(pathlib.Path(sys.argv[1]))
    print("\n".join(found) or f"The book is whole: {len(pages())} pages in {sys.argv[1]}.")
    sys.exit(1 if found else 0)
