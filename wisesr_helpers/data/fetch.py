"""Downloads of the datasets: Kaggle's client, what is checked of an archive, and the fetching itself."""

import contextlib
import errno
import io
import lzma
import os
import pathlib
import shutil
import stat
import struct
import sys
import tempfile
import threading
import zipfile
import zlib

from wisesr_helpers.data.sources import get_source, holds, how_to_get, keras_folder
from wisesr_helpers.storage import default_cache, describe_size, folder_lock

# Zip archives from the internet: checked before they are believed, unpacked so that nothing leaves the folder.

# What zipfile raises on damaged input, beside its own error.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError)


class DamagedArchive(ValueError):
    """The archive is not what was sent; a new download may help."""


class UnsafeArchive(ValueError):
    """The archive is whole, but unpacking it could do harm."""


def check_space(folder, needed):
    """Make sure that the disk has room.

    Args:
        folder: A folder that exists.
        needed: Bytes that are going to be written.

    Raises:
        OSError: There is less room, with both numbers in the message.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"the disk has {describe_size(free)} free and about {describe_size(needed)} are needed; free some space "
            "or give a folder on another disk with data_dir (--data-dir)."
        )


def check_archive(path, limit, size=None):
    """Read a zip archive from end to end, without writing anything.

    Args:
        path: The archive.
        limit: Bytes that it may unpack to at the most.
        size: Bytes that the archive itself must have; None where that is not known.

    Raises:
        DamagedArchive: Wrong size, no zip archive, no entries, or an entry whose checksum is wrong.
        UnsafeArchive: It unpacks to more than ``limit``, or holds an entry that is a link or leaves the folder.
        OSError: It can't be read.
    """
    found = os.path.getsize(path)
    if size is not None and found != size:
        raise DamagedArchive(f"the archive '{path}' has {found:,} bytes instead of {size:,}.")
    try:
        with _reading(path) as archive:
            _check_entries(archive, limit)
            bad = archive.testzip()
    except OSError as error:
        # bz2 says "Invalid data stream" without a number, and a damaged offset seeks before the start.
        if error.errno in (None, errno.EINVAL):
            raise DamagedArchive(f"'{path}' is not an intact zip archive.") from error
        raise
    if bad is not None:
        raise DamagedArchive(f"the archive '{path}' is damaged (its entry '{bad}' fails the checksum).")


def unpack(path, folder, limit):
    """Unpack a zip archive: ``folder`` appears when everything is in it, or not at all.

    Names are treated as Python's ``zipfile`` does, so a backslash is part of a name except on Windows.

    Args:
        path: The archive.
        folder: Where its entries go; it must not exist, or be empty.
        limit: Bytes that may be written at the most.

    Raises:
        DamagedArchive, UnsafeArchive: As for :func:`check_archive`.
        OSError: It can't be read, or the folder not written.
    """
    folder = pathlib.Path(folder)
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    try:
        with _reading(path) as archive:
            entries = _check_entries(archive, limit)
            check_space(folder.parent, sum(entry.file_size for entry in entries))
            temporary.mkdir()
            written = 0
            for entry in _with_progress(entries):
                target = archive.extract(entry, temporary)
                # Counted on disk, whatever the headers state; of one entry zipfile writes no more than they do.
                written += 0 if entry.is_dir() else os.path.getsize(target)
                if written > limit:
                    raise _too_large(archive, limit)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _reading(path):
    """The open archive; whatever zipfile raises on damaged bytes becomes a DamagedArchive."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (DamagedArchive, UnsafeArchive):
        raise
    except _DAMAGE as error:
        raise DamagedArchive(f"'{path}' is not an intact zip archive.") from error


def _check_entries(archive, limit):
    entries = archive.infolist()
    if not entries:
        raise DamagedArchive(f"the archive '{archive.filename}' is empty.")
    for entry in entries:
        # Checked as Windows reads it, the strictest: either slash separates, a drive letter or a slash leads out.
        path = pathlib.PureWindowsPath(entry.filename)
        if path.anchor or ".." in path.parts:
            raise UnsafeArchive(
                f"the archive '{archive.filename}' is refused: its entry '{entry.filename}' would leave the folder."
            )
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(
                f"the archive '{archive.filename}' is refused: its entry '{entry.filename}' is a link or a device."
            )
    if sum(entry.file_size for entry in entries) > limit:
        raise _too_large(archive, limit)
    return entries


def _too_large(archive, limit):
    return UnsafeArchive(
        f"the archive '{archive.filename}' is refused: it unpacks to more than the {describe_size(limit)} that are "
        "expected at the most."
    )


def _with_progress(entries):
    try:
        from tqdm import tqdm  # comes with kaggle
    except ImportError:
        return entries
    return tqdm(entries, desc="Unpacking", unit=" files")


# Kaggle's own client: with a login if there is one, and whatever it says put into a sentence.

PATIENCE = (30, 300)  # seconds: for a connection, and for an answer or the next bytes of one
_CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
_LOGIN = (
    "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, to those of https://www.kaggle.com/settings "
    "(as environment variables or Colab secrets), or keep kaggle.json in ~/.kaggle"
)


class FetchError(OSError):
    """A dataset could not be fetched; the message says why and what can be done."""


_one_download = threading.Lock()


@contextlib.contextmanager
def _impatient():
    """Meanwhile, requests gives up on a server that stays silent; the client would wait for its first answer for ever.

    The class is changed, as the client makes its sessions itself; a request with a timeout of its own keeps that, and
    a second download waits for the first.
    """
    try:
        import requests  # comes with kaggle; not before a download, as it takes its time
    except ImportError:
        yield  # to where it is told that kaggle is missing
        return

    def send_with_timeout(session, request, **settings):
        if settings.get("timeout") is None:
            settings["timeout"] = PATIENCE
        return send(session, request, **settings)

    with _one_download:
        send = requests.Session.send
        requests.Session.send = send_with_timeout
        try:
            yield
        finally:
            requests.Session.send = send


@_impatient()
def download(source, downloads, path):
    """Let Kaggle's client complete an archive; it goes on with a half file.

    Args:
        source: ``Source``.
        downloads: Folder that the client writes to.
        path: The archive's file in it.

    Raises:
        DamagedArchive: The archive does not have the size that was announced.
        OSError: No network, no access, no room, or no kaggle package.
    """
    client = connect()
    import requests  # comes with kaggle

    download_file = client.download_file

    def checked(response, *args, **kwargs):
        announced = int(response.headers.get("Content-Length") or 0)
        if announced and source.zip_bytes not in (None, announced):
            raise FetchError(
                f"Kaggle offers an archive of {announced:,} bytes where {source.zip_bytes:,} are expected, so it is "
                "not the one that the records were made with."
            )
        # Photographs hardly shrink in an archive: unpacked beside it they take as much again.
        check_space(downloads, 2 * announced - (path.stat().st_size if path.exists() else 0))
        return download_file(response, *args, **kwargs)

    client.download_file = checked
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where its progress bar is
            client.dataset_download_files(source.kaggle, path=str(downloads), force=False, quiet=False, unzip=False)
    except requests.HTTPError as error:
        raise FetchError(_refusal(source, getattr(error.response, "status_code", 0))) from None
    except requests.RequestException as error:
        raise FetchError(
            f"the connection to Kaggle failed ({type(error).__name__}); with a working network the same command goes "
            "on where it was."
        ) from None
    except ValueError as error:
        if "size" not in str(error):
            raise FetchError(f"the kaggle package failed ({error}).") from error
        raise DamagedArchive(f"the archive '{path}' does not have the size that Kaggle announced.") from None
    except OSError:
        raise
    except (Exception, SystemExit) as error:
        raise FetchError(f"the kaggle package failed ({type(error).__name__}: {error}).") from error


def _refusal(source, status):
    if status == 401:
        return f"Kaggle wants a valid login (HTTP 401); {_LOGIN}."
    if status == 403:
        return f"Kaggle refuses access (HTTP 403); accept the terms on the dataset's page, and {_LOGIN}."
    if status == 404:
        return f"Kaggle has no dataset '{source.kaggle}' (HTTP 404); it may have been moved or withdrawn."
    if status == 429:
        return "Kaggle has had too many requests from here (HTTP 429); wait some minutes and repeat."
    if status >= 500:
        return f"Kaggle has a fault of its own (HTTP {status}); repeat later."
    return f"Kaggle refuses the request (HTTP {status})."


def connect():
    """An authenticated client if there are credentials, else an anonymous one, which public datasets allow.

    Raises:
        FetchError: The package is missing or can't be started.
    """
    _find_config_folder()
    _copy_colab_secrets()
    with contextlib.redirect_stdout(io.StringIO()):  # without credentials it explains at length how to log in
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "kaggle":
                raise FetchError(
                    "the kaggle package is not installed; install it with pip install 'wisesr_helpers[data]'."
                ) from None
            # Before 2.2.4, importing it without credentials ends the process, but the class is there by then.
            KaggleApi = getattr(sys.modules.get("kaggle.api.kaggle_api_extended"), "KaggleApi", None)
            if KaggleApi is None:
                reason = type(error).__name__ + (f": {error}" if isinstance(error, ImportError) else "")
                raise FetchError(
                    f"the kaggle package can't be started ({reason}); update it with pip install --upgrade kaggle, "
                    f"and if that does not help, {_LOGIN}."
                ) from None
        client = KaggleApi()
        # VERBOSE=1 makes it print every request with the login in it.
        client.args = [argument for argument in client.args if argument != "--verbose"]
        # Where this fails, the download goes without a login, and the server's answer to that is what counts.
        with contextlib.suppress(Exception, SystemExit):
            client.authenticate()
    return client


def _find_config_folder():
    """Have kaggle use a temporary folder where it can't make its own, which it does on import."""
    if os.environ.get("KAGGLE_CONFIG_DIR"):
        return
    folder = pathlib.Path("~/.kaggle").expanduser()
    if sys.platform.startswith("linux") and not folder.exists():
        folder = pathlib.Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "kaggle"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        os.environ["KAGGLE_CONFIG_DIR"] = tempfile.mkdtemp(prefix="kaggle-")


def _copy_colab_secrets():
    """Put Colab's secrets into the environment, where kaggle looks, unless credentials are there."""
    if any(os.environ.get(key) for key in _CREDENTIALS):
        return
    try:
        from google.colab import userdata
    except ImportError:
        return
    for key in _CREDENTIALS:
        # Not set, not allowed for this notebook, or no answer: then without it.
        with contextlib.suppress(Exception):
            os.environ[key] = userdata.get(key)


# Download a dataset: from Kaggle with its own client, or with Keras where Keras has it.

LEAVINGS = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave in folders that were only looked at


def fetch(name, data_dir=None):
    """Download a dataset, unless it is there already.

    Each step can be repeated after the process was killed: a half download goes on, a whole and checked archive is
    not downloaded again, a half unpacked folder is made anew.

    Args:
        name: One of ``data.sources.SOURCES``, such as "mit".
        data_dir: Folder that gets ``downloads/<archive>.zip`` and ``<name>/``; None for :func:`default_cache`.
            MNIST and CIFAR-10 go where Keras keeps its datasets, whatever is given here.

    Returns:
        The dataset's folder, a ``pathlib.Path``.

    Raises:
        ValueError: There is no such dataset, or its archive is damaged twice over or not safe to unpack.
        Held: Another process is downloading into the same folder.
        OSError: No network, no access, no room, a folder that can't be written or holds something else, or no kaggle
            package.
    """
    source = get_source(name)
    if source.kaggle:
        base = default_cache() if data_dir is None else pathlib.Path(data_dir).expanduser()
        folder, step = base / name, _from_kaggle
    else:
        folder, step = keras_folder(), _from_keras
    failure = f"{source.title} could not be fetched to '{folder}':"
    try:
        step(source, folder)
    except (DamagedArchive, UnsafeArchive) as error:
        raise type(error)(f"{failure} {error} {how_to_get(source, folder)}") from None
    except OSError as error:
        # Without the client's own exception: its text holds signed addresses.
        raise FetchError(f"{failure} {_reason(error)} {how_to_get(source, folder)}") from None
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


def _from_kaggle(source, folder):
    if _is_there(source, folder):
        print(f"{source.title} is already in '{folder}'.", flush=True)
        return
    downloads = folder.parent / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=downloads):  # the client would try five times to write to a read-only folder
        pass
    with folder_lock(downloads, "downloaded into"):
        archive = _archive(source, folder, downloads)
        print(f"Unpacking '{archive}' to '{folder}'.", flush=True)
        for name in LEAVINGS:  # only an empty folder can be replaced
            (folder / name).unlink(missing_ok=True)
        try:
            unpack(archive, folder, source.unpacked_bytes)
        except DamagedArchive:  # since it was checked
            _remove(archive)
            raise
    if not holds(source, folder):
        raise FetchError(
            f"what the archive '{archive}' held is in that folder, but not arranged as the dataset is read here, so it "
            "may have been rearranged on Kaggle. To repeat this changes nothing."
        )
    print(f"{source.title} is ready in '{folder}'; the archive '{archive}' may be deleted.", flush=True)


def _is_there(source, folder):
    """Whether the dataset is in the folder, where it would be loaded from; False if nothing is."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} <= set(LEAVINGS):
        return False
    if not holds(source, folder):
        raise FetchError(
            "the folder is not empty and does not hold the dataset; move it away, or delete it, and repeat."
        )
    return True


def _archive(source, folder, downloads):
    """The path of the dataset's archive, downloaded if need be, and checked."""
    path = downloads / f"{source.kaggle.split('/')[1]}.zip"
    note = _note(path)
    if path.exists():
        with contextlib.suppress(OSError, ValueError):  # no note, or none that can be read
            if note.read_text() == _stamp(path):
                print(f"'{path}' is already downloaded and checked.", flush=True)
                return path
        with contextlib.suppress(DamagedArchive):  # half of it, or one that was never checked
            return _checked(path, source)
    size = "of unknown size" if source.zip_bytes is None else f"of {describe_size(source.zip_bytes)}"
    print(
        f"Fetching {source.title}, an archive {size}, from {source.address} to '{folder}'; terms: {source.terms}.",
        flush=True,
    )
    try:
        download(source, downloads, path)
        return _checked(path, source)
    except DamagedArchive as error:
        # An address that expires during a download leaves an error page within the archive.
        print(f"Once more from the start: {error}", flush=True)
        _remove(path)
    try:
        download(source, downloads, path)
        return _checked(path, source)
    except DamagedArchive:
        _remove(path)
        raise


def _checked(path, source):
    print(f"Checking '{path}'.", flush=True)
    check_archive(path, source.unpacked_bytes, source.zip_bytes)
    _note(path).write_text(_stamp(path))
    return path


def _stamp(path):
    status = path.stat()
    return f"{status.st_size} bytes, modified at {status.st_mtime_ns} ns\n"


def _note(path):
    """The file that says that this archive was checked."""
    return path.with_name(f"{path.name}.verified")


def _remove(path):
    partial = path.with_name(f"{path.name}.kaggle-partial")  # where the client notes what it may go on with
    for file in (_note(path), partial, path):
        file.unlink(missing_ok=True)


def _from_keras(source, folder):
    where = f"'{folder}' (KERAS_HOME sets where)"
    print(f"Fetching {source.title} with Keras to {where}; terms: {source.terms}.", flush=True)
    try:
        from wisesr_helpers._keras import keras

        getattr(keras.datasets, source.name).load_data()
    except OSError:
        raise
    except Exception as error:
        if str(error).startswith("URL fetch failure"):
            raise FetchError("its server could not be reached; repeat with a working network.") from None
        raise FetchError(f"Keras says: {error}") from error
