"""The six datasets of the paper and of the report: one declaration each, and where each may lie on this machine."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable

from wisesr_helpers.data import listings
from wisesr_helpers.data.listings import folder_with, subfolders
from wisesr_helpers.storage import default_cache

GIB = 2**30
# Where notebooks on Kaggle and Colab find mounted or unpacked data.
MOUNTS = (
    "/kaggle/input/{slug}",
    "/kaggle/input/datasets/{owner}/{slug}",
    "/content/{name}",
    "/content/{slug}",
    "/content/data/{name}",
    "/content/drive/MyDrive/{name}",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset: its name, where it comes from, how it is recognised on a disk, and how it is read.

    Attributes:
        name: What users type.
        title: Its name in texts.
        kaggle: Its address on Kaggle, ``owner/dataset``; "" for datasets that Keras downloads.
        zip_bytes: Size of Kaggle's archive; None where it is not known.
        unpacked_bytes: The most that the archive may unpack to; more is refused.
        terms: What its owners allow, in a few words.
        files: Names of files and folders that it is recognised by, all in one folder.
        below: Where that folder may be in the one that is given; "" is that one itself.
        marker: Function: given folder, ``files``, ``below`` → the one that holds them; None: there is none.
        read: Function of :mod:`wisesr_helpers.data.listings` that reads the folder that ``marker`` found.
        classes: Class names of a dataset that comes as arrays; those of the others are read from the disk.
    """

    name: str
    title: str
    kaggle: str = ""
    zip_bytes: int | None = None
    unpacked_bytes: int = GIB
    terms: str
    files: tuple
    below: tuple = ("",)
    marker: Callable = folder_with
    read: Callable
    classes: tuple = ()

    @property
    def address(self):
        """The page to get it from by hand."""
        if self.kaggle:
            return f"https://www.kaggle.com/datasets/{self.kaggle}"
        return f"https://keras.io/api/datasets/{self.name}/"

    def base(self, root):
        """The folder that holds its files, ``root`` or one below it; None if neither does. No image is opened."""
        return self.marker(pathlib.Path(root).expanduser(), self.files, self.below)


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="sub_imagenet",
            title="Sub-ImageNet (70 classes)",
            kaggle="mohammadrahimzadeh/imagenet-70classes",
            zip_bytes=2_753_347_742,
            unpacked_bytes=8 * GIB,
            terms="ImageNet's terms: non-commercial research and education",
            files=("train.csv", "test.csv"),
            read=listings.sub_imagenet,
        ),
        Source(
            name="intel",
            title="Intel Image Classification",
            kaggle="puneet6060/intel-image-classification",
            zip_bytes=363_152_213,
            terms="its authors' copyright: the images may not be passed on",
            files=("seg_train", "seg_test"),
            read=listings.intel,
        ),
        Source(
            name="mit",
            title="MIT Indoor Scenes",
            kaggle="itsahmad/indoor-scenes-cvpr-2019",
            unpacked_bytes=8 * GIB,
            terms="research use only",
            files=("TrainImages.txt", "TestImages.txt"),
            marker=lambda root, files, below: root if listings.mit_lists(root) else None,
            read=listings.mit,
        ),
        Source(
            name="mnist",
            title="MNIST",
            terms="CC BY-SA 3.0",
            files=("mnist.npz",),
            read=listings.mnist,
            classes=tuple("0123456789"),
        ),
        Source(
            name="cifar10",
            title="CIFAR-10",
            terms="free to use with citation",
            files=("data_batch_1", "test_batch"),
            below=(  # Keras 3 unpacks it into a folder "…-target"
                "cifar-10-batches-py",
                "cifar-10-batches-py-target/cifar-10-batches-py",
                "cifar-10-batches-py/cifar-10-batches-py",
                "",
            ),
            read=listings.cifar10,
            classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        ),
        Source(
            name="tiny_imagenet",
            title="Tiny-ImageNet",
            kaggle="akash2sharma/tiny-imagenet",
            unpacked_bytes=2 * GIB,
            terms="ImageNet's terms",
            files=("wnids.txt", "train", "val"),
            below=("", "tiny-imagenet-200", "tiny-imagenet-200/tiny-imagenet-200"),
            read=listings.tiny_imagenet,
        ),
    )
}


def get_source(name):
    """The dataset of that name; ValueError, with the valid ones, for an unknown name."""
    if name not in SOURCES:
        raise ValueError(f"Unknown dataset '{name}'. Valid datasets: {', '.join(SOURCES)}.")
    return SOURCES[name]


def keras_folder():
    """Where Keras keeps the datasets that it downloads: ``datasets`` in ``KERAS_HOME``, or in ``~/.keras``."""
    return pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def places(source, data_dir=None):
    """The different folders where a dataset is looked for, in their order; they need not exist."""
    return list(dict.fromkeys(itertools.chain(*_places(source, data_dir))))


def _places(source, data_dir):
    """The places as groups: the user's own folder and the dataset's names in it; then each other place by itself."""
    owner, _, slug = source.kaggle.partition("/")
    own = pathlib.Path(data_dir).expanduser() if data_dir else None
    names = (source.name, slug) if slug else (source.name,)
    mounts = [mount.format(name=source.name, owner=owner, slug=slug) for mount in MOUNTS if slug or "slug" not in mount]
    others = [default_cache() / source.name, *map(pathlib.Path, mounts), *([] if slug else [keras_folder()])]
    return [[own, *(own / name for name in names)] if own else [], *([place] for place in others)]


def find(source, data_dir=None):
    """The folder that holds a dataset: one of its :func:`places`, or a subfolder of one; None where none does.

    ``data_dir`` and its subfolders come first. The other places are searched even where ``data_dir`` exists, so tell
    the user where the dataset was found.
    """
    return next(filter(None, (_first(source, group) for group in _places(source, data_dir))), None)


def holds(source, folder):
    """Whether :func:`find` would find the dataset in this folder: in itself or in one of its subfolders."""
    return _first(source, [pathlib.Path(folder).expanduser()]) is not None


def _first(source, group):
    below = (folder for place in group for folder in subfolders(place))
    return next((folder for folder in itertools.chain(group, below) if source.base(folder) is not None), None)


def missing(source, data_dir=None):
    """The message for a dataset that is in none of the places: where it was looked for, and how to get it."""
    folder = pathlib.Path(data_dir).expanduser() if data_dir else default_cache() / source.name
    absent = bool(data_dir) and not folder.is_dir()
    looked = ", ".join(f"'{place}'" for place in places(source, None if absent else data_dir))
    said = f"There is no folder '{folder}', and " if absent else ""
    return (
        f"{said}{source.title}, recognised by {' and '.join(source.files)}, was not found in any of {looked}, nor in a "
        f"subfolder of these. {how_to_get(source, folder)}"
    )


def how_to_get(source, folder):
    """The two ways to get a dataset, as the sentence that ends a message.

    ``folder`` is where it is looked for; its own name is that of the dataset, or it holds a folder of that name.
    """
    folder = pathlib.Path(folder)
    command = f"python -m wisesr_helpers.data fetch {source.name}"
    data_dir = folder.parent if folder.name == source.name else folder
    if source.kaggle and data_dir != default_cache():
        command += f' --data-dir "{data_dir}"'
    return f"Two ways to get it: {command}, where there is a network; or by hand, {by_hand(source, folder)}"


def by_hand(source, folder):
    """How to get a dataset where ``fetch`` can't, as the end of a sentence; arguments as for :func:`how_to_get`."""
    if not source.kaggle:
        return (
            f"copy the folder ~/.keras/datasets of a computer that has it to '{folder}' (about the data: "
            f"{source.address})."
        )
    return (
        f"open {source.address} in a browser, on any computer with a network, download the archive and unpack it into "
        f"'{folder}'."
    )
