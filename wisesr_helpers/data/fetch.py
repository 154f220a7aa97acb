"""Download a dataset: from Kaggle with its own client, or with Keras where Keras has it."""

import contextlib
import errno
import importlib.util
import io
import lzma
import os
import pathlib
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib

from wisesr_helpers._keras import keras
from wisesr_helpers.data.sources import by_hand, get_source, holds, keras_folder
from wisesr_helpers.progress import ProgressBar
from wisesr_helpers.storage import default_cache, describe_size, folder_lock

TIMEOUT = (30, 300)  # seconds to connect, and to wait for an answer or for the next bytes of one
LEAVINGS = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave in a folder that was only looked at
_CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
_LOGIN = (
    "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, to those of https://www.kaggle.com/settings "
    "(as environment variables or Colab secrets), or keep kaggle.json in ~/.kaggle"
)
# What zipfile raises on damaged input, beside its own error; IndexError at an entry without a name.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError, IndexError)


class FetchError(OSError):
    """A dataset could not be fetched; the message says why and what to do."""


class DamagedArchive(FetchError):
    """The archive is not what was sent; a new download may help."""


def fetch(name, data_dir=None):
    """Download a dataset, unless it is already there, and return its folder.

    An interrupted call can be repeated: a half download goes on, and a whole archive is not downloaded again.
    ``data_dir``, the per-user cache folder for None, gets ``downloads/<archive>.zip`` and ``<name>/``; MNIST and
    CIFAR-10 always go where Keras keeps its datasets.

    Raises:
        ValueError: Unknown name.
        Held: Another process is downloading into the same folder.
        FetchError: No network, no access, no space, no kaggle package, a folder that can't be written or holds
            something else, or an archive that is still damaged after a second download.
    """
    source = get_source(name)
    if source.kaggle:
        base = default_cache() if data_dir is None else pathlib.Path(data_dir).expanduser()
        folder, step = base / name, _from_kaggle
    else:
        folder, step = keras_folder(), _from_keras
    try:
        step(source, folder)
    except OSError as error:
        # Without the client's own exception: its text holds signed addresses.
        instead = f" Or by hand: {by_hand(source, folder)}" if error.errno is None else ""
        raise FetchError(f"{source.title} could not be fetched to '{folder}': {_reason(error)}{instead}") from None
    return folder


def _reason(error):
    if error.errno is None:  # a sentence of this package
        return str(error)
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return "the disk is full; free some space and repeat, finished steps are kept."
    place = f": '{error.filename}'" if error.filename else ""
    return (
        f"a file or folder can't be used ({error.strerror}{place}); "
        "give a folder that can be written with data_dir (--data-dir)."
    )


def _from_keras(source, folder):
    where = f"'{folder}' (KERAS_HOME sets where)"
    print(f"Fetching {source.title} with Keras to {where}; terms: {source.terms}.", flush=True)
    try:
        getattr(keras.datasets, source.name).load_data()
    except OSError:
        raise
    except Exception as error:
        if str(error).startswith("URL fetch failure"):
            raise FetchError("its server could not be reached; repeat with a working network.") from None
        raise FetchError(f"Keras says: {error}") from error


def _from_kaggle(source, folder):
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= set(LEAVINGS):
        if not holds(source, folder):
            raise FetchError(
                "the folder is not empty and does not hold the dataset; move it away, or delete it, and repeat."
            )
        print(f"{source.title} is already in '{folder}'.", flush=True)
        return
    archive = folder.parent / "downloads" / f"{source.kaggle.split('/')[1]}.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with folder_lock(archive.parent, "downloaded into"):
        _download_and_unpack(source, folder, archive)
    if not holds(source, folder):
        raise FetchError(
            f"the archive '{archive}' is unpacked there, but its files are not arranged as this package reads them; "
            "the dataset may have been rearranged on Kaggle, and repeating this changes nothing."
        )
    print(f"{source.title} is ready in '{folder}'; the archive '{archive}' may be deleted.", flush=True)


def _download_and_unpack(source, folder, archive):
    if archive.exists():
        with contextlib.suppress(DamagedArchive):  # half of it
            return unpack(archive, folder, source.unpacked_bytes, source.zip_bytes)
    size = "of unknown size" if source.zip_bytes is None else f"of {describe_size(source.zip_bytes)}"
    print(
        f"Fetching {source.title}, an archive {size}, from {source.address} to '{folder}'; terms: {source.terms}.",
        flush=True,
    )
    for last in (False, True):
        try:
            download(source, archive)
            return unpack(archive, folder, source.unpacked_bytes, source.zip_bytes)
        except DamagedArchive as error:
            # Before 2.2.5, kaggle goes on after an error page, which an address that has expired answers with.
            archive.unlink(missing_ok=True)
            if last:
                raise
            print(f"Downloading it again: {error}", flush=True)


def unpack(path, folder, limit, size=None):
    """Check a zip archive and unpack it: ``folder`` appears when everything is in it, or not at all.

    Python's ``zipfile`` keeps every entry inside the folder and makes no links. ``limit`` is how many bytes the archive
    may unpack to, ``size`` how many it must have itself; None: any number.
    """
    folder = pathlib.Path(folder)
    if size not in (None, os.path.getsize(path)):
        raise DamagedArchive(f"the archive '{path}' has {os.path.getsize(path):,} bytes instead of {size:,}.")
    print(f"Checking '{path}' and unpacking it to '{folder}'.", flush=True)
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)  # of no entry does zipfile write more
            if unpacked > limit:
                raise FetchError(
                    f"the archive '{path}' is refused: it unpacks to {describe_size(unpacked)}, and no more than "
                    f"{describe_size(limit)} are expected."
                )
            if not entries:
                raise DamagedArchive(f"the archive '{path}' is empty.")
            if bad := archive.testzip():
                raise DamagedArchive(f"the archive '{path}' is damaged (its entry '{bad}' fails the checksum).")
            _check_space(folder.parent, unpacked)
            bar = ProgressBar("unpacking", len(entries), "files")
            for done, entry in enumerate(entries, 1):
                archive.extract(entry, temporary)
                if done % 256 == 0 or done == len(entries):
                    bar.show(done)
        for name in LEAVINGS:
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        os.replace(temporary, folder)
    except (*_DAMAGE, OSError) as error:
        # bz2 says "Invalid data stream" without a number, and a damaged offset seeks before the start.
        if isinstance(error, FetchError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise
        raise DamagedArchive(f"'{path}' is not an intact zip archive.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"the disk has {describe_size(free)} free and about {describe_size(needed)} are needed; free some space "
            "or give a folder on another disk with data_dir (--data-dir)."
        )


# Kaggle's own client.


def download(source, archive):
    """Let Kaggle's client download an archive, or what is missing of it.

    The file is named as the client names it. DamagedArchive where it does not have the size that was announced.
    """
    if importlib.util.find_spec("kaggle") is None:
        raise FetchError("the kaggle package is not installed; install it with pip install 'wisesr_helpers[data]'.")
    import requests  # comes with kaggle

    try:
        with _timeouts(requests.Session), contextlib.redirect_stdout(sys.stderr):  # where its progress bar is
            client = connect()
            client.download_file = _checked(client.download_file, source, archive)
            client.dataset_download_files(source.kaggle, path=str(archive.parent), quiet=False)
    except requests.HTTPError as error:
        raise FetchError(_refusal(source, getattr(error.response, "status_code", 0))) from None
    except requests.RequestException as error:
        raise FetchError(
            f"the connection to Kaggle failed ({type(error).__name__}); with a working network the same command goes "
            "on where it was."
        ) from None
    except ValueError as error:
        raise DamagedArchive(f"the download of '{archive}' failed ({error}).") from None
    except OSError:
        raise
    except (Exception, SystemExit) as error:
        raise FetchError(f"the kaggle package failed ({type(error).__name__}: {error}).") from error


@contextlib.contextmanager
def _timeouts(session_class):
    """Give requests without a timeout one: Kaggle's client would wait for a silent server for ever."""
    send = session_class.send

    def send_with_timeout(session, request, **kwargs):
        return send(session, request, **{**kwargs, "timeout": kwargs.get("timeout") or TIMEOUT})

    session_class.send = send_with_timeout
    try:
        yield
    finally:
        session_class.send = send


def _checked(download_file, source, archive):
    """The client's ``download_file``, with a look at the announced size before it."""

    def checked(response, *args, **kwargs):
        announced = int(response.headers.get("Content-Length") or 0)
        if announced and source.zip_bytes not in (None, announced):
            raise FetchError(
                f"Kaggle offers an archive of {announced:,} bytes where {source.zip_bytes:,} are expected, so it is "
                "not the one that the records were made with."
            )
        # Photographs hardly shrink in an archive: unpacked beside it they take as much again.
        _check_space(archive.parent, 2 * announced - (archive.stat().st_size if archive.exists() else 0))
        return download_file(response, *args, **kwargs)

    return checked


def _refusal(source, status):
    return {
        401: f"Kaggle wants a valid login (HTTP 401); {_LOGIN}.",
        403: f"Kaggle refuses access (HTTP 403); accept the terms on the dataset's page, and {_LOGIN}.",
        404: f"Kaggle has no dataset '{source.kaggle}' (HTTP 404); it may have been moved or withdrawn.",
        429: "Kaggle has had too many requests from here (HTTP 429); wait some minutes and repeat.",
        500: f"Kaggle has a fault of its own (HTTP {status}); repeat later.",
    }.get(min(status, 500), f"Kaggle refuses the request (HTTP {status}).")


def connect():
    """Kaggle's client, logged in if there are credentials, else anonymous, which public datasets allow."""
    home = pathlib.Path.home()
    has_folder = os.path.exists(home / ".kaggle") or os.path.exists(home / ".config" / "kaggle")
    if not (has_folder or os.access(home, os.W_OK) or "KAGGLE_CONFIG_DIR" in os.environ):
        os.environ["KAGGLE_CONFIG_DIR"] = tempfile.mkdtemp(prefix="kaggle-")  # it makes its folder when imported
    _copy_colab_secrets()
    with contextlib.redirect_stdout(io.StringIO()):  # without credentials it explains at length how to log in
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
        except (Exception, SystemExit) as error:
            # Before 2.2.4, importing it without credentials ends the process, but the class is there by then.
            KaggleApi = getattr(sys.modules.get("kaggle.api.kaggle_api_extended"), "KaggleApi", None)
            if KaggleApi is None:
                raise FetchError(
                    f"the kaggle package can't be started ({type(error).__name__}: {error}); update it with "
                    f"pip install --upgrade kaggle, and if that does not help, {_LOGIN}."
                ) from None
        client = KaggleApi()
        # VERBOSE=1 makes it print every request with the login in it.
        client.args = [argument for argument in client.args if argument != "--verbose"]
        # Where this fails, the download goes without a login, and the server's answer to that is what counts.
        with contextlib.suppress(Exception, SystemExit):
            client.authenticate()
    return client


def _copy_colab_secrets():
    """Put Colab's secrets into the environment, where kaggle looks, unless credentials are there."""
    if any(os.environ.get(key) for key in _CREDENTIALS):
        return
    with contextlib.suppress(ImportError):
        from google.colab import userdata

        for key in _CREDENTIALS:
            # Not set, not allowed for this notebook, or no answer: then without it.
            with contextlib.suppress(Exception):
                os.environ[key] = userdata.get(key)
