"""Images decoded once: one memory-mapped file a split, an account of every file, and no work done twice.

A prepared folder holds, for each split, ``<split>.images`` (the pixels, one image after the other) and
``<split>.files`` (a line of JSON a file: its shape and checksums, or why it was left out), and ``prepared.json``,
which appears only when both are complete. An interrupted preparation goes on after the last line that is whole.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import json
import math
import os
import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

from wisesr_helpers.data.dataset import Split
from wisesr_helpers.data.images import Unreadable, decode, is_turned, printable, quiet_decoding
from wisesr_helpers.progress import ProgressBar
from wisesr_helpers.storage import folder_lock, usable_cores, write_whole
from wisesr_helpers.versions import VERSIONS

HEADER = "prepared.json"
SPLITS = ("train", "test")
FLUSH = 256  # files between two moments from which an interrupted preparation can go on
TASK = 8  # files that a thread takes at once
AHEAD = 12  # tasks that may be waiting to be written
PLAIN = "one colour only"
SAME_BYTES = "in train and test, byte for byte"
TWO_LABELS = "same bytes, different labels"
COPY = "same bytes as another of its class"
TURNED = "turned upright, as the EXIF data say"


class PreparedImages(Sequence):
    """The images of a prepared split: uint8 (h, w, 3) or (h, w), views of the mapped file.

    Args:
        path: The file of pixels.
        shapes: The shape of every image in it, in order.
        places: Which of them these are; None: all.
    """

    def __init__(self, path, shapes, places=None):
        self._shapes = [tuple(shape) for shape in shapes]
        self._places = range(len(shapes)) if places is None else places
        self._offsets = np.concatenate([[0], np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64)])
        self._pixels = np.asarray(np.memmap(path, np.uint8, "r"))

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index):
        place = self._places[index]
        return self._pixels[self._offsets[place] : self._offsets[place + 1]].reshape(self._shapes[place])


def prepare(listing, size, folder, resample="nearest", upright=False):
    """Decode a listing's images into ``folder``, or what is missing of them.

    No stored side is larger than in ``size``, (height, width), or than its source's.

    Returns:
        dict, split → list with a dict a file, in the listing's order: "file", "label", and either "shape", "sha256"
        (of the file), "pixels" (CRC-32 of the decoded image) and perhaps "plain" and "turned", or "left_out" (the
        reason).

    Raises:
        Held: Another process is preparing the same folder.
        OSError: The folder can't be written, or the disk is full; what is prepared stays.
    """
    folder = pathlib.Path(folder)
    settings = size, resample, upright
    plan = {split: _plan(listing, split, *settings) for split in SPLITS}
    header = read_header(folder)
    if header and header["plan"] == plan:
        accounts = {split: read_account(folder, split)[1] for split in SPLITS}
        if is_intact(folder, accounts):
            return accounts
        print(f"The prepared images in '{folder}' are damaged; what is damaged is prepared again.")
    elif header:
        print(f"'{listing.root}', or what prepares it, changed since; each split concerned is prepared again.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder, "prepared"), quiet_decoding():
            (folder / HEADER).unlink(missing_ok=True)
            accounts = {split: _prepare_split(listing, split, folder, plan[split], settings) for split in SPLITS}
            content = {"schema": 1, "plan": plan, "classes": listing.classes, "problems": dict(listing.problems)}
            write_whole(folder / HEADER, json.dumps(content))
    except OSError as error:
        raise OSError(
            f"The prepared images can't be kept in '{folder}' ({error.strerror or error}). What is prepared stays and "
            "is gone on from; free some space, or give another folder: data_dir, or cache for images of your own."
        ) from error
    return accounts


def prepared_split(folder, split, account, size, labels=None, places=None):
    """What a folder that :func:`prepare` has filled holds of a split, ``account`` being its lines, as a ``Split``.

    ``places`` are the decoded images that are taken, ``labels`` theirs (n,); None: all, and those of the lines.
    """
    decoded = [line for line in account if "shape" in line]
    images = PreparedImages(pathlib.Path(folder) / f"{split}.images", [line["shape"] for line in decoded], places)
    taken = decoded if places is None else [decoded[place] for place in places]
    digest = hashlib.sha256("".join(line["sha256"] + line["pixels"] for line in taken).encode()).hexdigest()
    labels = np.array([line["label"] for line in taken]) if labels is None else labels
    return Split(images, labels, digest, size, tuple(line["file"] for line in taken))


def find_copies(accounts):
    """Files with the same bytes: dict, reason → names, of those in both splits, of several labels, or there twice."""
    lines = {split: [line for line in accounts[split] if "sha256" in line] for split in SPLITS}
    by_bytes = collections.defaultdict(list)
    for line in lines["train"] + lines["test"]:
        by_bytes[line["sha256"]].append(line)
    trained, tested = ({line["sha256"] for line in lines[split]} for split in SPLITS)
    found = {
        SAME_BYTES: [line["file"] for line in lines["test"] if line["sha256"] in trained],
        TWO_LABELS: [],
        COPY: [],
    }
    for digest, same in by_bytes.items():
        if len({line["label"] for line in same}) > 1:
            found[TWO_LABELS] += [line["file"] for line in same]
        elif not (digest in trained and digest in tested):
            found[COPY] += [line["file"] for line in same[1:]]
    return {reason: names for reason, names in found.items() if names}


def read_header(folder):
    """What ``prepared.json`` of a complete folder holds; None where the preparation is not complete or damaged."""
    folder = pathlib.Path(folder)
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        if header["schema"] != 1:
            return None
        for split in SPLITS:
            plan, lines = read_account(folder, split)
            if plan != header["plan"][split] or (folder / f"{split}.images").stat().st_size != _bytes(lines):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return header


def read_account(folder, split):
    """(plan, lines) of a split as far as it is prepared; a last line that is not whole is no line."""
    text = (pathlib.Path(folder) / f"{split}.files").read_bytes()
    whole = text[: text.rfind(b"\n") + 1].decode()
    plan, *lines = [json.loads(line) for line in whole.splitlines()] or [None]
    return plan, lines


def _plan(listing, split, size, resample, upright=False):
    """All that the prepared split depends on: settings, the decoder's version, every file's name, size and time."""
    files = hashlib.sha256()
    for entry in getattr(listing, split):
        try:
            stat = (listing.root / entry.path).stat()
            files.update(f"{entry.path}\0{entry.label}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="replace"))
        except OSError:
            files.update(f"{entry.path}\0{entry.label}\0gone\n".encode(errors="replace"))
    plan = {"decode": VERSIONS["decode"], "size": list(size), "resample": resample, "files": files.hexdigest()}
    return plan | ({"upright": True} if upright else {})


def _prepare_split(listing, split, folder, plan, settings):
    entries = getattr(listing, split)
    lines = _take_up(folder, split, plan)
    if lines:
        print(f"{len(lines):,} of {len(entries):,} {split} images were prepared before; going on from there.")
    bar = ProgressBar(f"preparing {split}", len(entries), "images", len(lines))
    with (
        open(folder / f"{split}.images", "ab") as images,
        open(folder / f"{split}.files", "ab") as account,
        concurrent.futures.ThreadPoolExecutor(usable_cores() + 1) as pool,  # each waits for the interpreter at times
    ):
        if not lines and account.tell() == 0:
            account.write(_line(plan))
        try:
            for line, pixels in _in_order(pool, listing.root, entries[len(lines) :], settings):
                if pixels is not None:
                    images.write(pixels.data)
                account.write(_line(line))
                lines.append(line)
                if len(lines) % FLUSH == 0 or len(lines) == len(entries):
                    _flush(images)  # pixels first: a line promises that its pixels are there
                    _flush(account)
                    bar.show(len(lines))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return lines


def _take_up(folder, split, plan):
    """The lines that an interrupted preparation left, its files cut to them; none if it had another plan."""
    images, account = folder / f"{split}.images", folder / f"{split}.files"
    try:
        found, lines = read_account(folder, split)
        stored = images.stat().st_size
        _bytes(lines)
    except (OSError, ValueError, TypeError, KeyError):  # not there, or damaged
        found, lines, stored = None, [], 0
    if found != plan:
        images.unlink(missing_ok=True)
        account.unlink(missing_ok=True)
        return []
    ends = itertools.accumulate(map(_pixel_bytes, lines))
    lines = _intact(images, lines[: sum(end <= stored for end in ends)])
    if stored or lines:
        os.truncate(images, _bytes(lines))
    os.truncate(account, len(b"".join(map(_line, [plan, *lines]))))
    return lines


def is_intact(folder, accounts):
    """Whether all pixels in the mapped files are those that were written: their checksums are computed again."""
    return all(
        len(_intact(pathlib.Path(folder) / f"{split}.images", accounts[split])) == len(accounts[split])
        for split in SPLITS
    )


def _intact(images, lines):
    """The lines up to the first whose pixels are not in the file: a machine that lost power may have kept the line."""
    good = [number for number, line in enumerate(lines) if "shape" in line]
    pixels = PreparedImages(images, [lines[number]["shape"] for number in good]) if good else ()

    def holds(k):
        return _checksum(pixels[k]) == lines[good[k]]["pixels"]

    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        for k, whole in enumerate(pool.map(holds, range(len(good)), chunksize=64)):
            if not whole:
                return lines[: good[k]]
    return lines


def _checksum(pixels):
    """CRC-32, hexadecimal: against damage, at the speed of memory; against another image stands the file's SHA-256."""
    return f"{zlib.crc32(pixels.data):08x}"


def _decode_entry(root, entry, size, resample, upright=False):
    """(line of the account, pixels or None) of one file."""
    line = {"file": printable(entry.path), "label": entry.label}
    try:
        data = (root / entry.path).read_bytes()
    except OSError as error:
        return {**line, "left_out": f"can't be read ({error.strerror})"}, None
    try:
        pixels = decode(data, size, resample, upright)
    except Unreadable as error:
        return {**line, "left_out": str(error)}, None
    line |= {"shape": list(pixels.shape), "sha256": hashlib.sha256(data).hexdigest()}
    line |= {"pixels": _checksum(pixels)}
    if pixels.min() == pixels.max():
        line["plain"] = True
    if upright and is_turned(data):
        line["turned"] = True
    return line, pixels


def _in_order(pool, root, entries, settings):
    """Line and pixels of the entries in their order, a bounded number of tasks ahead."""

    def task(some):
        return [_decode_entry(root, entry, *settings) for entry in some]

    waiting = collections.deque()
    for start in range(0, len(entries), TASK):
        waiting.append(pool.submit(task, entries[start : start + TASK]))
        if len(waiting) >= AHEAD:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _bytes(lines):
    return sum(map(_pixel_bytes, lines))


def _pixel_bytes(line):
    return math.prod(line["shape"]) if "shape" in line else 0


def _line(value):
    return json.dumps(value).encode() + b"\n"


def _flush(file):
    """Hand over to the system; no waiting for the disk, as every use checks the pixels."""
    file.flush()
