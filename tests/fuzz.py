"""Damage images, lists and archives at random: each must end in a report or in one clear sentence.

    python tests/fuzz.py 1000 [seed]

A traceback of any other kind, a case that takes longer than its limit, or a wrong label ends the run with the case's
number; ``python tests/fuzz.py --case NUMBER`` repeats it alone.
"""

import argparse
import collections
import contextlib
import io
import pathlib
import shutil
import signal
import sys
import tempfile
import zipfile

import numpy as np
from contents import write_content
from PIL import Image
from trees import build_tree

from wisesr_helpers.data.fetch import FetchError, unpack
from wisesr_helpers.data.images import Unreadable, decode, quiet_decoding
from wisesr_helpers.data.listings import read_listing
from wisesr_helpers.data.sources import SOURCES

LIMIT = 30  # seconds a case may take
SIZE = (40, 40)
LISTS = {
    "sub_imagenet": ("train.csv", "test.csv"),
    "mit": ("TrainImages.txt", "TestImages.txt"),
    "tiny_imagenet": ("val/val_annotations.txt", "wnids.txt", "words.txt"),
}


class Fuzz:
    """The material, made once; :meth:`case` damages a copy of some of it."""

    def __init__(self, folder, seed=0):
        self.folder = pathlib.Path(folder)
        self.seed = seed
        self.images = [
            content.path.read_bytes()
            for name, content in write_content(self.folder / "contents").items()
            if name != "bomb"
        ]
        self.trees = {name: build_tree(name, self.folder / name, (3, 2), 3, image_size=24) for name in LISTS}
        self.archive = self.folder / "whole.zip"
        with zipfile.ZipFile(self.archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(self.trees["mit"].root.rglob("*")):
                file.write(path, path.relative_to(self.trees["mit"].root))

    def case(self, number):
        """One case: "<what>: <how it ended>". Raises if it ended in any way that it should not."""
        rng = np.random.default_rng([self.seed, number])
        what = ("image", "list", "archive")[number % 3]
        return f"{what}: {getattr(self, f'_{what}')(rng)}"

    def _image(self, rng):
        data = damage(self.images[rng.integers(len(self.images))], rng, self.images)
        try:
            with quiet_decoding():
                image = decode(data, SIZE)
        except Unreadable as error:
            return f"set aside, {one_sentence(error)}"
        assert image.dtype == np.uint8
        assert image.ndim == 2 or image.shape[2] == 3
        assert 0 < image.shape[0] <= SIZE[0]
        assert 0 < image.shape[1] <= SIZE[1]
        with quiet_decoding(), Image.open(io.BytesIO(data)) as source:
            side = min(SIZE[1], source.width), min(SIZE[0], source.height)
            expected = np.asarray(source.convert("RGB").resize(side, Image.Resampling.NEAREST))
        np.testing.assert_array_equal(image if image.ndim == 3 else np.repeat(image[..., None], 3, -1), expected)
        return "as Pillow gives it"

    def _list(self, rng):
        name = list(LISTS)[rng.integers(len(LISTS))]
        tree, file = self.trees[name], LISTS[name][rng.integers(len(LISTS[name]))]
        path = next(path for path in sorted(tree.root.rglob("*")) if path.as_posix().endswith(file))
        whole = path.read_bytes()
        damaged = damage(whole, rng, [whole])
        path.write_bytes(damaged)
        try:
            listing = read_listing(SOURCES[name], tree.root)
        except (ValueError, FileNotFoundError) as error:
            return f"refused, {one_sentence(error).replace(str(self.folder), '')[:20]}…"
        finally:
            path.write_bytes(whole)
        text = damaged.decode("utf-8", errors="replace")
        lines = io.StringIO(text, newline=None).readlines()  # only at the ends of lines that the reader knows, too
        truth = {path: tree.classes[label] for path, label in (tree.train_labels | tree.test_labels).items()}
        kinds = listing.classes
        if name == "tiny_imagenet":  # its lists and folders tell the wnid, and words.txt only what to call it
            wnids = sorted((tree.images / "wnids.txt").read_text().split())
            wnid = dict(zip(tree.classes, wnids, strict=True))
            truth = {path: wnid[said] for path, said in truth.items()}
            kinds = wnids if file == "words.txt" else [wnid.get(said, said) for said in kinds]
        for entry in listing.train + listing.test:
            assert (listing.root / entry.path).is_file(), entry
            said = kinds[entry.label]
            if truth.get(entry.path) != said:
                base = entry.path.rpartition("/")[2].lower()  # a name is found in other letters' case too
                assert any(base in line.lower() and said in line for line in lines), (entry, said)
        return "read, with a report" if listing.problems else "read"

    def _archive(self, rng):
        path, target = self.folder / "damaged.zip", self.folder / "unpacked" / "here"
        path.write_bytes(damage(self.archive.read_bytes(), rng, [self.archive.read_bytes()]))
        target.parent.mkdir()
        before = {file for file in self.folder.rglob("*") if "unpacked" not in file.parts}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                unpack(path, target, 10_000_000)
        except FetchError as error:
            return f"refused, {type(error).__name__}" if one_sentence(error) else ""
        else:
            return "unpacked"
        finally:
            after = {file for file in self.folder.rglob("*") if "unpacked" not in file.parts}
            assert after == before, after ^ before
            shutil.rmtree(self.folder / "unpacked", ignore_errors=True)


def one_sentence(error):
    """The error's text, which must be words for people on one line."""
    text = str(error)
    assert text
    assert "\n" not in text, text
    return text


def damage(data, rng, others):
    """Bytes with one to four kinds of damage."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data) + 1))
        some = int(rng.integers(1, 30))
        kind = rng.integers(7)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + some]
        elif kind == 2:
            data[at:at] = rng.bytes(some)
        elif kind == 3:
            data[at : at + some] = bytes(len(data[at : at + some]))
        elif kind == 4 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 5:
            other = others[rng.integers(len(others))]
            data[at:] = other[int(rng.integers(len(other) + 1)) :]
        elif kind == 6 and at < len(data):
            data[at : at + 4] = b"\xff" * len(data[at : at + 4])
    return bytes(data)


@contextlib.contextmanager
def limited(seconds):
    """Raise if the block takes longer, where the platform has alarms."""

    def late(*_):
        raise TimeoutError(f"took more than {seconds} seconds")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(numbers, seed=0):
    """Run cases; returns how often each ending came."""
    endings = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(folder, seed)
        for number in numbers:
            try:
                with limited(LIMIT):
                    endings[fuzz.case(number)] += 1
            except Exception as error:
                raise AssertionError(f"case {number} of seed {seed}: {type(error).__name__}: {error}") from error
    return endings


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--case", type=int, help="repeat one case")
    options = parser.parse_args()
    endings = run(range(options.count) if options.case is None else [options.case], options.seed)
    for ending, count in sorted(endings.items()):
        print(f"{count:6,}  {ending}")
    print(f"{sum(endings.values()):,} cases, each ended in a report or a sentence.")


if __name__ == "__main__":
    sys.exit(main())
