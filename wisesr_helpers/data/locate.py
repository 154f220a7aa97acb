"""Where a dataset may already lie: the reader's folder, the cache, and where Colab, Kaggle and Keras put it."""

import itertools
import os
import pathlib

from wisesr_helpers.data import arrays, sources
from wisesr_helpers.data.listings import is_at, subfolders
from wisesr_helpers.storage import default_cache

# Where notebooks on Kaggle and Colab find mounted or unpacked data.
MOUNTS = (
    "/kaggle/input/{slug}",
    "/kaggle/input/datasets/{owner}/{slug}",
    "/content/{name}",
    "/content/{slug}",
    "/content/data/{name}",
    "/content/drive/MyDrive/{name}",
)


def places(name, data_dir=None):
    """The folders that are looked in, in that order.

    Args:
        name: One of ``catalogue.SOURCES``.
        data_dir: The reader's own folder (a path); None: they named none.

    Returns:
        List of paths, whether they exist or not, each once.

    Raises:
        ValueError: There is no dataset of that name.
    """
    return list(dict.fromkeys([*_own(name, data_dir), *_others(name)]))


def find(name, data_dir=None):
    """The folder that holds the dataset.

    ``data_dir`` comes first, with its folders of the dataset's name and then with any folder in it; the other
    places are looked in even where ``data_dir`` exists but holds nothing, so say where the dataset was found.

    Args:
        name: One of ``catalogue.SOURCES``.
        data_dir: The reader's own folder (a path); None: look in the other places only.

    Returns:
        A path; None where the dataset is in none of the places.

    Raises:
        ValueError: There is no dataset of that name.
    """
    groups = (_own(name, data_dir), *([place] for place in _others(name)))
    return next(filter(None, (_first(name, group) for group in groups)), None)


def holds(name, folder):
    """Whether the dataset is in this folder, or in a folder in it: where :func:`find` would find it.

    Args:
        name: One of ``catalogue.SOURCES``.
        folder: A path, of a folder or of nothing.

    Raises:
        ValueError: There is no dataset of that name.
    """
    return _first(name, [_folder(folder)]) is not None


def missing(name, data_dir=None):
    """What to tell a reader whose dataset is in none of the places: where was looked, and the ways to go on."""
    source = sources.get_source(name)
    looked = ", ".join(f"'{place}'" for place in places(name, data_dir))
    folder = _folder(data_dir) if data_dir else default_cache() / name
    ways = sources.how_to_get(source, folder)
    return f"{source.title} was not found in any of {looked}, nor in a folder of any of these. {ways}"


def _first(name, group):
    """The first of some places that holds the dataset, or of the folders in them; None if there is none."""
    below = (folder for place in group for folder in subfolders(place))
    return next((folder for folder in itertools.chain(group, below) if is_at(name, folder)), None)


def _folder(data_dir):
    return pathlib.Path(data_dir).expanduser()


def _slug(name):
    """Kaggle's owner and name of the dataset; two empty strings where it isn't there."""
    owner, _, slug = sources.get_source(name).kaggle.partition("/")
    return owner, slug


def _own(name, data_dir):
    _, slug = _slug(name)
    if not data_dir:
        return []
    return [_folder(data_dir), _folder(data_dir) / name, *([_folder(data_dir) / slug] if slug else [])]


def _others(name):
    owner, slug = _slug(name)
    mounts = [mount for mount in MOUNTS if slug or "{slug}" not in mount]
    found = [default_cache() / name, *(pathlib.Path(m.format(name=name, owner=owner, slug=slug)) for m in mounts)]
    if name in arrays.CLASSES:
        found.append(pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets")
    return found
