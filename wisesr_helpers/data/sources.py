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
    """A dataset: what it is called, where it comes from, how it is known on a disk, and how it is read.

    Attributes:
        name: What users type.
        title: As readers know it.
        kaggle: Its address on Kaggle, ``owner/dataset``; "" for those that Keras downloads itself.
        zip_bytes: Size of Kaggle's archive; None where it is not known.
        unpacked_bytes: What the archive unpacks to at the most; more is refused.
        terms: What its owners allow, in a few words.
        marker: Function: folder → the folder, it or one below, in which its own files lie; None if they don't.
        expected: The files and folders that ``marker`` looks for, in words.
        read: Function of :mod:`wisesr_helpers.data.listings` that reads what ``marker`` found.
        classes: Class names of a dataset that comes as arrays; of the others the disk tells them.
    """

    name: str
    title: str
    kaggle: str = ""
    zip_bytes: int | None = None
    unpacked_bytes: int = GIB
    terms: str
    marker: Callable
    expected: str
    read: Callable
    classes: tuple = ()

    @property
    def address(self):
        """The page to get it from by hand."""
        if self.kaggle:
            return f"https://www.kaggle.com/datasets/{self.kaggle}"
        return f"https://keras.io/api/datasets/{self.name}/"

    def base(self, root):
        """The folder of its own files, if they are at ``root``; None if not. No image is touched."""
        return self.marker(pathlib.Path(root).expanduser())


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
            marker=folder_with("train.csv", "test.csv"),
            expected="'train.csv' and 'test.csv'",
            read=listings.sub_imagenet,
        ),
        Source(
            name="intel",
            title="Intel Image Classification",
            kaggle="puneet6060/intel-image-classification",
            zip_bytes=363_152_213,
            terms="its authors' copyright: the images may not be passed on",
            marker=folder_with("seg_train", "seg_test"),
            expected="the folders 'seg_train' and 'seg_test'",
            read=listings.intel,
        ),
        Source(
            name="mit",
            title="MIT Indoor Scenes",
            kaggle="itsahmad/indoor-scenes-cvpr-2019",
            unpacked_bytes=8 * GIB,
            terms="research use only",
            marker=lambda root: root if listings.mit_lists(root) else None,
            expected="'TrainImages.txt' and 'TestImages.txt'",
            read=listings.mit,
        ),
        Source(
            name="mnist",
            title="MNIST",
            terms="CC BY-SA 3.0",
            marker=folder_with("mnist.npz"),
            expected="'mnist.npz'",
            read=listings.mnist,
            classes=tuple("0123456789"),
        ),
        Source(
            name="cifar10",
            title="CIFAR-10",
            terms="free to use with citation",
            marker=folder_with(
                *("data_batch_1", "test_batch"),
                below=(  # Keras 3 unpacks it into a folder "…-target"
                    "cifar-10-batches-py",
                    "cifar-10-batches-py-target/cifar-10-batches-py",
                    "cifar-10-batches-py/cifar-10-batches-py",
                    "",
                ),
            ),
            expected="'data_batch_1' and 'test_batch', or the folder 'cifar-10-batches-py' with them,",
            read=listings.cifar10,
            classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        ),
        Source(
            name="tiny_imagenet",
            title="Tiny-ImageNet",
            kaggle="akash2sharma/tiny-imagenet",
            unpacked_bytes=2 * GIB,
            terms="ImageNet's terms",
            marker=folder_with(
                *("wnids.txt", "train", "val"),
                below=("", "tiny-imagenet-200", "tiny-imagenet-200/tiny-imagenet-200"),
            ),
            expected="'wnids.txt' and the folders 'train' and 'val'",
            read=listings.tiny_imagenet,
        ),
    )
}


def get_source(name):
    """The dataset of that name.

    Raises:
        ValueError: There is none; the valid names are listed.
    """
    if name not in SOURCES:
        raise ValueError(f"Unknown dataset '{name}'. Valid datasets: {', '.join(SOURCES)}.")
    return SOURCES[name]


def keras_folder():
    """Where Keras keeps the datasets that it downloads: in ``KERAS_HOME``, or ``~/.keras``."""
    return pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def places(source, data_dir=None):
    """The folders that a dataset is looked for in, in that order: list of paths, each once, whether they exist or not.

    Args:
        source: ``Source``.
        data_dir: The reader's own folder (a path); None: they named none.
    """
    return list(dict.fromkeys([*_own_places(source, data_dir), *_other_places(source)]))


def find(source, data_dir=None):
    """The folder that holds a dataset: one of its :func:`places`, or a folder in one.

    ``data_dir`` comes first, with its folders of the dataset's name and then with any folder in it; the other
    places are looked in even where ``data_dir`` exists but holds nothing, so say where the dataset was found.

    Args:
        source: ``Source``.
        data_dir: The reader's own folder (a path); None: look in the other places only.

    Returns:
        A path; None where the dataset is in none of the places.
    """
    groups = (_own_places(source, data_dir), *([place] for place in _other_places(source)))
    return next(filter(None, (_first(source, group) for group in groups)), None)


def holds(source, folder):
    """Whether the dataset is in this folder, or in a folder in it: where :func:`find` would find it."""
    return _first(source, [pathlib.Path(folder).expanduser()]) is not None


def missing(source, data_dir=None):
    """What to tell a reader whose dataset is in none of the places: where was looked, and the ways to go on."""
    looked = ", ".join(f"'{place}'" for place in places(source, data_dir))
    folder = pathlib.Path(data_dir).expanduser() if data_dir else default_cache() / source.name
    return (
        f"{source.title} was not found in any of {looked}, nor in a folder of any of these. "
        f"{how_to_get(source, folder)}"
    )


def how_to_get(source, folder):
    """The two ways to a dataset, as a sentence that ends a message.

    Args:
        source: ``Source``.
        folder: Where it is looked for. What is fetched goes to the folder itself if it is called as the dataset,
            else to one of that name in it.
    """
    folder = pathlib.Path(folder)
    command = f"python -m wisesr_helpers.data fetch {source.name}"
    if not source.kaggle:
        return (
            f"Two ways to get it: run {command} where there is a network; or by hand, copy the folder "
            f"~/.keras/datasets of a computer that has it to '{folder}' (about the data: {source.address})."
        )
    data_dir = folder.parent if folder.name == source.name else folder
    if data_dir != default_cache():
        command += f' --data-dir "{data_dir}"'
    return (
        f"Two ways to get it: from Kaggle with {command}; or by hand, open {source.address} in a browser, download "
        f"the archive and unpack it into '{folder}'."
    )


def _first(source, group):
    """The first of some places that holds the dataset, or of the folders in them; None if there is none."""
    below = (folder for place in group for folder in subfolders(place))
    return next((folder for folder in itertools.chain(group, below) if source.base(folder) is not None), None)


def _own_places(source, data_dir):
    if not data_dir:
        return []
    folder, slug = pathlib.Path(data_dir).expanduser(), source.kaggle.partition("/")[2]
    return [folder, folder / source.name, *([folder / slug] if slug else [])]


def _other_places(source):
    owner, _, slug = source.kaggle.partition("/")
    mounts = [mount for mount in MOUNTS if slug or "{slug}" not in mount]
    mounted = [pathlib.Path(mount.format(name=source.name, owner=owner, slug=slug)) for mount in mounts]
    return [default_cache() / source.name, *mounted, *([] if slug else [keras_folder()])]
