"""``python -m wisesr_helpers.data``: the datasets on the command line."""

import argparse
import sys

from wisesr_helpers.data.fetch import fetch
from wisesr_helpers.data.load import load_dataset
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.storage import Held


def _prepare(options):
    dataset = load_dataset(options.name, options.image_size, options.data_dir, strict=options.strict)
    print(*dataset.describe(), sep="\n")


def main(arguments=None):
    """Run a sub-command; its exit status: 1 after a failure that was told, 2 without a command, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m wisesr_helpers.data",
        description=f"Fetch, prepare and list the datasets: {', '.join(SOURCES)}.",
    )
    commands = parser.add_subparsers(metavar="command", title="commands")
    fetching = commands.add_parser("fetch", help="download a dataset, or go on with a download")
    fetching.set_defaults(run=lambda options: fetch(options.name, options.data_dir))
    preparing = commands.add_parser("prepare", help="decode a dataset's images once, for one image size")
    preparing.set_defaults(run=_prepare)
    preparing.add_argument("--image-size", type=int, required=True, metavar="N", help="side in pixels")
    for command in (fetching, preparing):
        command.add_argument("name", choices=SOURCES, help="the dataset")
        command.add_argument("--data-dir", metavar="DIR", help="folder for datasets (default: the per-user cache)")
    preparing.add_argument("--strict", action="store_true", help="refuse a dataset of which anything was left out")
    listing = commands.add_parser("list", help="the datasets, their addresses and terms")
    listing.set_defaults(run=lambda options: print(_table()))
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return 2
    try:
        options.run(options)
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on where it was.", file=sys.stderr)
        return 130
    except (ImportError, OSError, ValueError, Held) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _table():
    rows = [("name", "title", "address", "terms")]
    rows += [(source.name, source.title, source.address, source.terms) for source in SOURCES.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
