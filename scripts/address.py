"""Set the repository's public address: _config.yml holds it, README and notebooks repeat it.

Until it is set, badges that would lead nowhere are kept as comments, and the book has no buttons for it.

python scripts/address.py https://github.com/<owner>/<repository>
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNSET = "https://github.com/OWNER/REPOSITORY"
FORM = r"https://github\.com/([\w.-]+)/([\w.-]+?)"


def files():
    """The files in which the address stands."""
    return [
        ROOT / "_config.yml",
        ROOT / "README.md",
        ROOT / "CITATION.cff",
        *sorted(ROOT.glob("notebooks/*.ipynb")),
    ]


def current():
    """The address that _config.yml holds."""
    return re.search(r"^  url: (\S+)$", (ROOT / "_config.yml").read_text(encoding="utf-8"), re.MULTILINE)[1]


def replaced(text, old, new):
    """A file's text with the address, and the forms of it that Colab reads, replaced, and its badges shown."""
    old, new = old.removeprefix("https://github.com/"), new.removeprefix("https://github.com/")
    for form in ("https://github.com/{}", "https://colab.research.google.com/github/{}"):
        text = re.sub(re.escape(form.format(old)) + r"(?![\w-])", form.format(new), text)
    return re.sub(r"<!-- (\[!\[Open in Colab\][^>]*) -->", r"\1", text)


def main(url):
    """Write ``url`` wherever the address stands; exit with a message if it is none of a GitHub repository."""
    match = re.fullmatch(FORM + r"(\.git)?/?", url)
    if not match:
        sys.exit(
            f"make address: received {url!r}; valid is https://github.com/<owner>/<repository>: "
            "make address URL=https://github.com/owner/repository"
        )
    url = f"https://github.com/{match[1]}/{match[2]}"
    old = current()
    for path in files():
        text = path.read_text(encoding="utf-8")
        path.write_text(replaced(text, old, url), encoding="utf-8")
    print(f"The address is {url} in {', '.join(str(path.relative_to(ROOT)) for path in files())}.")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
