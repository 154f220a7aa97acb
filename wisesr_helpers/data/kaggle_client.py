"""Kaggle's own client: with a login if there is one, and whatever it says put into a sentence."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile

from wisesr_helpers.data.archives import DamagedArchive, check_space
from wisesr_helpers.overlapping import shared

PATIENCE = (30, 300)  # seconds: for a connection, and for an answer or the next bytes of one
_CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")
_LOGIN = (
    "set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, to those of https://www.kaggle.com/settings "
    "(as environment variables or Colab secrets), or keep kaggle.json in ~/.kaggle"
)


class FetchError(OSError):
    """A dataset could not be fetched; the message says why and what can be done."""


@shared
@contextlib.contextmanager
def _impatient():
    """Meanwhile, requests gives up on a server that stays silent; the client would wait for its first answer for ever.

    The class is changed, as the client makes its sessions itself; a request with a timeout of its own keeps that.
    """
    try:
        import requests  # comes with kaggle; not before a download, as it takes its time
    except ImportError:
        yield  # to where it is told that kaggle is missing
        return
    send = requests.Session.send

    def send_with_timeout(session, request, **settings):
        if settings.get("timeout") is None:
            settings["timeout"] = PATIENCE
        return send(session, request, **settings)

    requests.Session.send = send_with_timeout
    try:
        yield
    finally:
        requests.Session.send = send


@_impatient()
def download(source, downloads, path):
    """Let Kaggle's client complete an archive; it goes on with a half file.

    Args:
        source: ``Source`` of the catalogue.
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
