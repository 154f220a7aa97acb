"""Folders that imitate the six datasets as they lie on disk, with pictures that a model can learn from.

A picture's hue, and with fewer colours its brightness and stripes, tell its class, so that a shuffled label
makes a test fail.
"""

import colorsys
import csv
import dataclasses
import functools
import io
import pathlib
import pickle
import shutil

import numpy as np
from contents import Content, gif, html, write_content
from PIL import Image

__all__ = ["CIFAR10", "INTEL", "MIT", "Content", "Tree", "build_tree", "draw", "write_content"]

INTEL = "buildings forest glacier mountain sea street".split()
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
MIT = """nursery airport_inside artstudio auditorium bakery bar bathroom bedroom bookstore bowling buffet casino
children_room church_inside classroom cloister closet clothingstore computerroom concert_hall corridor deli
dentaloffice dining_room elevator fastfood_restaurant florist gameroom garage greenhouse grocerystore gym hairsalon
hospitalroom inside_bus inside_subway jewelleryshop kindergarden kitchen laboratorywet laundromat library livingroom
lobby locker_room mall meeting_room movietheater museum office operating_room pantry poolinside prisoncell restaurant
restaurant_kitchen shoeshop stairscase studiomusic subway toystore trainstation tv_studio videostore waitingroom
warehouse winecellar""".split()
MOST = {"sub_imagenet": 70, "intel": 6, "mit": 67, "tiny_imagenet": 200, "mnist": 10, "cifar10": 10}
NOISE = 14  # standard deviation, in grey levels


@dataclasses.dataclass
class Tree:
    """What was built, so that a test can tell a true report from a false one.

    Attributes:
        root: The folder to give to the code under test.
        images: The folder that the paths below start from.
        classes: Expected class names, in order.
        train_labels: Path → label of the training images that can be used; "train/17" where the dataset
            comes as arrays.
        test_labels: The same for the test images.
        defects: Reason → names planted. The reasons of lists are those of ``Listing.problems``; the contents that
            no reader takes are under "truncated JPEG", "empty file" and "HTML page".
        duplicates: "conflicting labels" and "in train and test" → pairs of paths with the same bytes, all of them
            among the images that can be used.
        formats: Path → what a picture is where it isn't what its suffix says: "PNG", "CMYK", "BMP", "GIF",
            "animated GIF", "grey".
    """

    root: pathlib.Path
    images: pathlib.Path
    classes: tuple = ()
    train_labels: dict = dataclasses.field(default_factory=dict)
    test_labels: dict = dataclasses.field(default_factory=dict)
    defects: dict = dataclasses.field(default_factory=dict)
    duplicates: dict = dataclasses.field(default_factory=dict)
    formats: dict = dataclasses.field(default_factory=dict)

    @property
    def train(self):
        """Number of training images that can be used."""
        return len(self.train_labels)

    @property
    def test(self):
        """Number of test images that can be used."""
        return len(self.test_labels)

    @property
    def unreadable(self):
        """Paths of the files that are listed and there, but can't be decoded."""
        return {path for kind in UNREADABLE for path in self.defects.get(kind, ())}

    def plant(self, reason, name):
        names = self.defects.setdefault(reason, [])
        names += [name] if name not in names else []

    def labels(self, split):
        return self.train_labels if split == "train" else self.test_labels

    def write(self, path, data):
        file = self.images / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def build_tree(name, folder, per_class=(8, 4), classes=None, image_size=None, defects=0.0, seed=0):
    """A folder that imitates one of the datasets.

    Args:
        name: "sub_imagenet", "intel", "mit", "tiny_imagenet", "mnist" or "cifar10".
        folder: Where to build it; made if need be.
        per_class: Training and test images per class that can be used.
        classes: How many classes; 4 by default. MNIST and CIFAR-10 always have ten class names, of which only
            so many have images.
        image_size: Side in pixels of all images, at most 700; None: as the real ones. The arrays' sizes are fixed.
        defects: Share of files to plant beside the good ones, at least one of each kind if above 0.
        seed: Of the pictures' noise and sizes.

    Returns:
        Tree.
    """
    classes = 4 if classes is None else classes
    if not 1 <= classes <= MOST[name]:
        raise ValueError(f"{name} has from 1 to {MOST[name]} classes; received {classes}.")
    if image_size and name in ("mnist", "cifar10"):
        raise ValueError(f"{name} has one size of images; received image_size={image_size}.")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    painter = Painter(classes, image_size, SIZES[name], np.random.default_rng(seed))
    total = classes * sum(per_class)
    kinds = KINDS[name]
    times = max(1, round(defects * total / len(kinds))) if defects else 0
    plan = [(kind, ("train", "test")[(k + n) % 2], n) for k, kind in enumerate(kinds) for n in range(times)]
    return BUILDERS[name](folder, painter, dict(zip(("train", "test"), per_class, strict=True)), plan)


@functools.cache
def _noise():
    return np.random.default_rng(0).normal(0, NOISE, (700, 700, 3)).astype(np.float32)


def draw(label, classes, height, width, rng):
    """A picture of a class: a hue of its own (and above 16 classes, a brightness), its own stripes, and noise.

    Returns:
        Array (height, width, 3), uint8.
    """
    hues = min(classes, 16)
    red, green, blue = colorsys.hsv_to_rgb((label % hues) / hues, 0.85, 0.9 - 0.5 * (label // hues) / 13)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle = np.pi * label / classes
    along = (np.cos(angle) * columns / width + np.sin(angle) * rows / height) * (2 + label % 5)
    stripes = 20 * np.sin(2 * np.pi * (along + rng.random()))
    y, x = rng.integers(0, 700 - height + 1), rng.integers(0, 700 - width + 1)
    picture = 255 * np.array([red, green, blue], np.float32) + stripes[..., None]
    return np.clip(picture + _noise()[y : y + height, x : x + width], 0, 255).astype(np.uint8)


@dataclasses.dataclass
class Painter:
    """Draws and encodes one picture after another."""

    classes: int
    image_size: int | None
    sizes: tuple
    rng: np.random.Generator

    def array(self, label):
        """(H, W, 3) uint8 in a size that the dataset has."""
        size = (self.image_size,) * 2 if self.image_size else self.sizes[self.rng.integers(len(self.sizes))]
        return draw(label, self.classes, *size, self.rng)

    def encode(self, label, kind="JPEG"):
        """One picture's file, as bytes."""
        image = Image.fromarray(self.array(label))
        if kind in ("GIF", "animated GIF"):
            return gif(image, frames=2 if kind == "animated GIF" else 1)
        if kind in ("CMYK", "grey"):
            image, kind = image.convert({"CMYK": "CMYK", "grey": "L"}[kind]), "JPEG"
        file = io.BytesIO()
        image.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}))
        return file.getvalue()

    def broken(self, label, kind):
        """The bytes of a file that no reader takes."""
        if kind == "empty file":
            return b""
        whole = self.encode(label)
        return html() if kind == "HTML page" else whole[: len(whole) // 2]


def fill(tree, painter, per_class, path, kinds=()):
    """Write the good images of both splits and note their labels.

    Args:
        tree: Tree.
        painter: Painter.
        per_class: Split → images per class.
        path: Function (split, label, index, kind) → path of that image.
        kinds: What the first images of each split are instead of JPEG.

    Returns:
        Split → paths, in the order of writing: one class after another.
    """
    written = {}
    for split, count in per_class.items():
        # Spread over the classes: the k-th kind goes to class k, then on to the second images.
        which = {(k % painter.classes, k // painter.classes): kind for k, kind in enumerate(kinds)}
        for label in range(painter.classes):
            for index in range(count):
                kind = which.get((label, index), "JPEG")
                name = path(split, label, index, kind)
                tree.write(name, painter.encode(label, kind))
                tree.labels(split)[name] = label
                written.setdefault(split, []).append(name)
                if kind != "JPEG":
                    tree.formats[name] = kind
    return written


def sub_imagenet(folder, painter, per_class, plan):
    """``train.csv``, ``test.csv`` with ``dir\\file``, and a folder of .JPEG per class."""
    names = [f"n{1440764 + 9721 * label:08d}" for label in range(painter.classes)]
    tree = Tree(folder, folder, tuple(names))

    def path(split, label, index, kind):
        return f"{names[label]}/{names[label]}_{split}{index}.JPEG"

    written = fill(tree, painter, per_class, path, ("PNG", "CMYK", "JPEG", "CMYK", "grey"))
    rows = {split: [(name, name.split("/")[0]) for name in paths] for split, paths in written.items()}
    for kind, split, n in plan:
        label = n % painter.classes
        name = f"{names[label]}/{names[label]}_{kind.split()[0]}{n}.JPEG"
        listed_class = names[label]
        if kind == "unknown label":
            split, listed_class = "test", "n99999999"
            tree.write(name, painter.encode(label))
        elif kind == "listed twice":
            name = written[split][n % len(written[split])]
            listed_class = name.split("/")[0]
        elif kind in UNREADABLE:
            tree.write(name, painter.broken(label, kind))
        rows[split].append((name, listed_class))
        tree.plant(kind, name)
    for split, listed in rows.items():
        with open(folder / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("filename", "class"), *((n.replace("/", "\\"), c) for n, c in listed)])
    return tree


def intel(folder, painter, per_class, plan):
    """Doubled folders, a folder without labels, and the same picture in two places."""
    names = INTEL[: painter.classes]
    tree = Tree(folder, folder, tuple(names))
    start = {split: f"seg_{split}/seg_{split}" for split in ("train", "test")}

    def path(split, label, index, kind):
        number = {"train": 10000, "test": 20000}[split] + 100 * label + index
        return f"{start[split]}/{names[label]}/{number}.jpg"

    fill(tree, painter, per_class, path)
    for n in range(5):
        tree.write(f"seg_pred/seg_pred/{n}.jpg", painter.encode(n % painter.classes))
    copies = {}
    if per_class["train"] > 3 and painter.classes > 1:  # with fewer, too few images of the class would be left
        copies["conflicting labels"] = (path("train", 0, 1, ""), path("train", 1, per_class["train"] - 1, ""))
    if per_class["train"] > 1 and per_class["test"] > 1:
        copies["in train and test"] = (path("train", 0, 0, ""), path("test", 0, per_class["test"] - 1, ""))
    for reason, (source, target) in copies.items():
        shutil.copyfile(folder / source, folder / target)
        tree.duplicates[reason] = [(source, target)]
    for kind, split, n in plan:
        label = n % painter.classes
        if kind == "unknown label":
            name = f"{start['test']}/harbour/{n}.jpg"
            tree.write(name, painter.encode(label))
        else:
            name = f"{start[split]}/{names[label]}/{kind.split()[0]}{n}.jpg"
            tree.write(name, painter.broken(label, kind))
        tree.plant(kind, name)
    return tree


def mit(folder, painter, per_class, plan):
    """Two lists without a last newline, and formats that only the file's name tells."""
    names = sorted(MIT[: painter.classes])
    tree = Tree(folder, folder / "indoorCVPR_09" / "Images", tuple(names))

    def path(split, label, index, kind):
        name = f"{names[label]}_{split}_{index:04d}.jpg"
        if names[label] == "nursery" and split == "train" and index == per_class["train"] - 1:
            name = "baby's_room.jpg.jpg"
        elif kind in ("GIF", "animated GIF", "PNG", "BMP"):
            name = f"{name[:-4]}_{kind.split()[-1].lower()}.jpg"
        elif index == per_class[split] - 1 and label % 3 == 0:
            name = f"{names[label]} {split} {index}.jpg"
        return f"{names[label]}/{name}"

    kinds = ("GIF", "animated GIF", "PNG", "BMP", "grey")
    written = fill(tree, painter, per_class, path, kinds)
    lists = {split: list(paths) for split, paths in written.items()}
    (folder / "indoorCVPR_09annotations" / "Annotations").mkdir(parents=True)
    for kind, split, n in plan:
        label = n % painter.classes
        name = f"{names[label]}/{kind.split()[0]}{n}.jpg"
        if kind == "unknown label":
            split, name = "test", f"observatory/{n}.jpg"
            tree.write(name, painter.encode(label))
        elif kind == "listed twice":
            name = written[split][n % len(written[split])]
        elif kind == "found under other case":
            tree.write(name, painter.encode(label))
            tree.labels(split)[name] = label
            name = name.replace(".jpg", ".JPG")
        elif kind == "malformed line":
            name = f"line {n} without a class"
        elif kind in UNREADABLE:
            tree.write(name, painter.broken(label, kind))
        lists[split].append(name)
        tree.plant(kind, name)
    for split, lines in lists.items():
        (folder / f"{split.title()}Images.txt").write_bytes("\n".join(lines).encode())
    return tree


def tiny_imagenet(folder, painter, per_class, plan):
    """A folder per class, a validation split with a list, and test images without labels."""
    base = folder / "tiny-imagenet-200"
    wnids = [f"n{1443537 + 1009 * label:08d}" for label in range(painter.classes)]
    tree = Tree(folder, base, tuple(f"thing {label}" for label in range(painter.classes)))

    def path(split, label, index, kind):
        if split == "train":
            return f"train/{wnids[label]}/images/{wnids[label]}_{index}.JPEG"
        return f"val/images/val_{label * per_class['test'] + index}.JPEG"

    written = fill(tree, painter, per_class, path, ("grey",))
    rows = [(name.split("/")[-1], wnids[tree.test_labels[name]]) for name in written["test"]]
    for kind, split, n in plan:
        label = n % painter.classes
        # Only the validation split has a list that can be wrong.
        split = split if kind in UNREADABLE else "test"
        name, wnid = f"val/images/{kind.split()[0]}{n}.JPEG", wnids[label]
        if kind == "unknown label":
            wnid = "n99999999"
            tree.write(name, painter.encode(label))
        elif kind == "listed twice":
            name = written["test"][n % len(written["test"])]
            wnid = wnids[tree.test_labels[name]]
        elif kind in UNREADABLE:
            name = f"train/{wnid}/images/{kind.split()[0]}{n}.JPEG" if split == "train" else name
            tree.write(name, painter.broken(label, kind))
        if split == "test":
            rows.append((name.split("/")[-1], wnid))
        tree.plant(kind, name)
    for n in range(3):
        tree.write(f"test/images/test_{n}.JPEG", painter.encode(n % painter.classes))
    for wnid in wnids:
        boxes = base / "train" / wnid / f"{wnid}_boxes.txt"
        boxes.parent.mkdir(parents=True, exist_ok=True)
        boxes.write_text(f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
    lines = [f"{name}\t{wnid}\t0\t32\t44\t62\n" for name, wnid in rows]
    (base / "val" / "val_annotations.txt").write_text("".join(lines))
    (base / "wnids.txt").write_text("\n".join(reversed(wnids)) + "\n")  # the real list is not sorted either
    words = [f"{wnid}\tthing {label}, thing of sort {label}\n" for label, wnid in enumerate(wnids)]
    (base / "words.txt").write_text("".join([*words, "n00001740\tentity\n"]))
    return tree


def _arrays(tree, painter, per_class, plan, names):
    """Split → (images (N, H, W, 3), labels (N,)) with labels out of range among them, classes in turn."""
    arrays = {}
    for split, count in per_class.items():
        wrong = [n for _, where, n in plan if where == split]
        labels = [n % painter.classes for n in range(count * painter.classes)]
        for n in wrong:  # not at the end, so that leaving one out moves the others
            labels.insert((7 * n + 1) % len(labels), len(names) + n)
        arrays[split] = np.stack([painter.array(label % painter.classes) for label in labels]), labels
        for index, label in enumerate(labels):
            if label < len(names):
                tree.labels(split)[f"{split}/{index}"] = label
            else:
                tree.plant("unknown label", f"{split}/{index}")
    return arrays


def mnist(folder, painter, per_class, plan):
    """``mnist.npz``; the grey level and the stripes tell the class."""
    tree = Tree(folder, folder, tuple("0123456789"))
    arrays = {}
    for split, (images, labels) in _arrays(tree, painter, per_class, plan, tree.classes).items():
        levels = 40 + 180 * (np.array(labels) % painter.classes) / max(1, painter.classes - 1)
        grey = images.mean(-1)
        grey = 0.5 * (grey - grey.mean((1, 2), keepdims=True)) + levels[:, None, None]
        arrays[f"x_{split}"] = np.clip(grey, 0, 255).astype(np.uint8)
        arrays[f"y_{split}"] = np.array(labels, np.uint8)
    np.savez_compressed(folder / "mnist.npz", **arrays)
    return tree


def cifar10(folder, painter, per_class, plan):
    """``cifar-10-batches-py``: five pickled batches and one of the test split, planes of colour one after another."""
    tree = Tree(folder, folder / "cifar-10-batches-py", tuple(CIFAR10))
    tree.images.mkdir()
    for split, (images, labels) in _arrays(tree, painter, per_class, plan, tree.classes).items():
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), 3072)
        parts = np.array_split(np.arange(len(labels)), 5 if split == "train" else 1)
        for number, part in enumerate(parts, start=1):
            name = f"data_batch_{number}" if split == "train" else "test_batch"
            batch = {
                b"batch_label": f"{split} batch {number} of {len(parts)}".encode(),
                b"labels": [labels[i] for i in part],
                b"data": planes[part],
                b"filenames": [f"{split}_{i}.png".encode() for i in part],
            }
            (tree.images / name).write_bytes(pickle.dumps(batch, protocol=2))
    meta = {b"num_cases_per_batch": 10000, b"label_names": [name.encode() for name in CIFAR10], b"num_vis": 3072}
    (tree.images / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return tree


UNREADABLE = ("truncated JPEG", "empty file", "HTML page")
LISTED = (*UNREADABLE, "listed but absent", "listed twice", "unknown label")
KINDS = {
    "sub_imagenet": LISTED,
    "intel": (*UNREADABLE, "unknown label"),
    "mit": (*LISTED, "malformed line", "found under other case"),
    "tiny_imagenet": LISTED,
    "mnist": ("unknown label",) * 2,  # one in each split
    "cifar10": ("unknown label",) * 2,
}
SIZES = {  # (height, width), as often as listed
    "sub_imagenet": ((150, 200), (200, 150), (180, 240), (256, 256), (120, 90)),
    "intel": ((150, 150),) * 9 + ((136, 150),),
    "mit": ((256, 256), (240, 320), (320, 240), (300, 400)),
    "tiny_imagenet": ((64, 64),),
    "mnist": ((28, 28),),
    "cifar10": ((32, 32),),
}
BUILDERS = {
    "sub_imagenet": sub_imagenet,
    "intel": intel,
    "mit": mit,
    "tiny_imagenet": tiny_imagenet,
    "mnist": mnist,
    "cifar10": cifar10,
}
