"""Logins are found, sent and never shown; whatever the installed kaggle package does."""

import base64
import os
import sys
import types

import pytest
from kaggle_imitation import (
    ARCHIVE,
    FILES,
    SECRET,
    closed_port,
    refused,
    run,
    unpacked,
)

from wisesr_helpers.data import fetch
from wisesr_helpers.data.fetch import FetchError

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# Credentials


def test_without_credentials_no_login_is_sent(server, tmp_path, capfd):
    fetch.fetch("toy", tmp_path)
    assert not any("Authorization" in headers for headers in server.asked + server.got)
    captured = capfd.readouterr()
    assert "uthenticat" not in captured.out + captured.err


def login(headers):
    kind, _, value = headers.get("Authorization", " ").partition(" ")
    return f"{kind} {base64.b64decode(value).decode() if kind == 'Basic' else value}"


@pytest.mark.parametrize("place", ["key", "token", "file", "colab", "colab token"])
def test_a_login_is_sent_and_never_shown(server, home, tmp_path, monkeypatch, capfd, place):
    secrets = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": SECRET}
    if "token" in place:
        secrets = {"KAGGLE_API_TOKEN": SECRET}
    if place in ("key", "token"):
        for name, value in secrets.items():
            monkeypatch.setenv(name, value)
    elif place == "file":
        (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "someone", "key": "{SECRET}"}}')
        (home / ".kaggle" / "kaggle.json").chmod(0o600)
    else:
        put_colab(monkeypatch, secrets)
    expected = f"Bearer {SECRET}" if "token" in place else f"Basic someone:{SECRET}"

    fetch.connect()
    extended = sys.modules["kaggle.api.kaggle_api_extended"]
    monkeypatch.setattr(extended.KaggleApi, "args", ["--verbose"])  # VERBOSE=1: print every request
    server.status = 401
    message = refused(FetchError, tmp_path)
    assert "(HTTP 401)" in message
    server.status = 302
    fetch.fetch("toy", tmp_path)
    assert [login(headers) for headers in server.asked] == [expected] * 2
    captured = capfd.readouterr()
    for shown in (message, captured.out, captured.err):
        assert SECRET not in shown
        assert base64.b64encode(f"someone:{SECRET}".encode()).decode() not in shown


def put_colab(monkeypatch, secrets):
    class SecretNotFoundError(Exception):
        pass

    def get(key):
        if key not in secrets:
            raise SecretNotFoundError(key)
        return secrets[key]

    colab = types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google.colab", colab)


def test_the_environment_goes_before_colabs_secrets(server, tmp_path, monkeypatch):
    put_colab(monkeypatch, {"KAGGLE_USERNAME": "other", "KAGGLE_KEY": "other"})
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    fetch.fetch("toy", tmp_path)
    assert login(server.asked[0]) == f"Basic someone:{SECRET}"


def test_colab_without_secrets_downloads_without_a_login(server, tmp_path, monkeypatch):
    put_colab(monkeypatch, {})
    fetch.fetch("toy", tmp_path)
    assert "Authorization" not in server.asked[0]


# The kaggle package itself


def replace_kaggle(monkeypatch, tmp_path, files):
    """Another package called kaggle."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    for name, text in files.items():
        path = tmp_path / "packages" / "kaggle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "packages")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('how to log in')\nexit(1)", "can't be started (SystemExit); update it"),
        ("raise OSError('Could not find kaggle.json')", "can't be started (OSError); update it"),
        ("import sixty", "can't be started (ModuleNotFoundError: No module named 'sixty')"),
    ],
)
def test_a_package_that_does_not_start(home, toy, tmp_path, monkeypatch, capsys, text, words):
    replace_kaggle(monkeypatch, tmp_path, {"__init__.py": text})
    assert words in refused(FetchError, tmp_path)
    assert "how to log in" not in capsys.readouterr().out


def test_without_the_package_its_extra_is_named(home, toy, tmp_path, monkeypatch):
    def find_spec(name, *arguments):
        if name == "kaggle":
            raise ModuleNotFoundError("No module named 'kaggle'", name="kaggle")

    replace_kaggle(monkeypatch, tmp_path, {})
    monkeypatch.setattr(sys, "meta_path", [types.SimpleNamespace(find_spec=find_spec), *sys.meta_path])
    assert "not installed; install it with pip install 'wisesr_helpers[data]'" in refused(FetchError, tmp_path)


OLD = """
from kaggle.api.kaggle_api_extended import KaggleApi
api = KaggleApi()
api.authenticate()
"""
OLD_API = f"""
class KaggleApi:
    args = []
    download_file = None
    def authenticate(self):
        exit(1)
    def dataset_download_files(self, dataset, path=None, force=False, quiet=True, unzip=False):
        assert not (force or unzip)
        with open(path + "/toy-scenes.zip", "wb") as file:
            file.write({ARCHIVE!r})
"""


def test_a_package_that_ends_the_process_for_want_of_credentials_is_used_without(home, toy, tmp_path, monkeypatch):
    """As 2.0.2, which Colab has."""
    pytest.importorskip("requests")
    files = {"__init__.py": OLD, "api/__init__.py": "", "api/kaggle_api_extended.py": OLD_API}
    replace_kaggle(monkeypatch, tmp_path, files)
    assert unpacked(fetch.fetch("toy", tmp_path)) == FILES
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)


def test_a_home_that_cannot_be_written(home, tmp_path):
    pytest.importorskip("kagglesdk")
    (tmp_path / "file").touch()
    os.environ.pop("KAGGLE_CONFIG_DIR")
    code = (
        "import kagglesdk.kaggle_env as env, sys\n"
        f"env._env_to_endpoint[env.KaggleEnv.PROD] = 'http://127.0.0.1:{closed_port()}'\n"
        "from wisesr_helpers.data.__main__ import main\n"
        f"sys.exit(main(['fetch', 'mit', '--data-dir', {str(tmp_path)!r}]))"
    )
    result = run(code, HOME=str(tmp_path / "file" / "home"), TMPDIR=str(tmp_path))
    assert result.returncode == 1
    assert "the connection to Kaggle failed" in result.stderr
    assert "Traceback" not in result.stderr
