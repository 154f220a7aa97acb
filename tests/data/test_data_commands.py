"""``python -m wisesr_helpers.data``: what it lists, fetches by Keras, refuses and says."""

import errno
import sys
import types

import pytest
from kaggle_imitation import (
    FILES,
    closed_port,
    interrupt,
    run,
    unpacked,
)

from wisesr_helpers.data import __main__ as command_line
from wisesr_helpers.data import fetch, sources
from wisesr_helpers.data.fetch import FetchError
from wisesr_helpers.storage import default_cache

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# Keras' datasets


def test_mnist_without_a_network(tmp_path):
    code = "import sys; from wisesr_helpers.data.__main__ import main; sys.exit(main(['fetch', 'mnist']))"
    proxy = f"http://127.0.0.1:{closed_port()}"
    result = run(code, KERAS_HOME=str(tmp_path / "keras"), https_proxy=proxy, http_proxy=proxy)
    assert result.returncode == 1
    folder = tmp_path / "keras" / "datasets"
    assert result.stderr.startswith(
        f"MNIST could not be fetched to '{folder}': its server could not be reached; repeat"
    )
    assert "python -m wisesr_helpers.data fetch mnist" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, None),
        (ValueError("Incomplete or corrupted file detected."), "Keras says: Incomplete or corrupted file detected."),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (ModuleNotFoundError("Keras has no backend to run on: install one."), "Keras says: Keras has no backend"),
    ],
)
def test_what_keras_says(tmp_path, monkeypatch, error, words):
    def load_data():
        if error is not None:
            raise error

    fake = types.ModuleType("wisesr_helpers._keras")
    cifar10 = types.SimpleNamespace(load_data=load_data)
    fake.keras = types.SimpleNamespace(datasets=types.SimpleNamespace(cifar10=cifar10))
    monkeypatch.setitem(sys.modules, "wisesr_helpers._keras", fake)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if error is None:
        assert fetch.fetch("cifar10") == tmp_path / "datasets"
    else:
        with pytest.raises(FetchError, match="CIFAR-10 could not be fetched") as caught:
            fetch.fetch("cifar10")
        assert words in str(caught.value)


# The command line


def test_the_list_names_every_dataset(capsys):
    assert command_line.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(sources.SOURCES)
    for line, source in zip(lines[1:], sources.SOURCES.values(), strict=True):
        for cell in (source.name, source.title, source.address, source.terms):
            assert cell in line


def test_the_command_fetches(server, tmp_path, capsys):
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path)]) == 0
    assert unpacked(tmp_path / "toy") == FILES
    server.status = 500
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path / "other")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Toy Scenes could not be fetched to")


def test_the_command_knows_the_names(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["fetch", "nope"])
    assert ended.value.code == 2
    assert "sub_imagenet" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-64"])
def test_the_command_names_a_size_that_is_none(tmp_path, capsys, size):
    assert command_line.main(["prepare", "mit", "--image-size", size, "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("image_size must be a side in pixels")
    assert said.endswith(f"received {size}.\n")


def test_the_command_does_not_call_a_stray_file_the_dataset(server, tmp_path, capsys):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "notes.txt").touch()
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path)]) == 1
    assert "is not empty and does not hold the dataset" in capsys.readouterr().err


def test_the_command_can_be_stopped(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "fetch", interrupt)
    assert command_line.main(["fetch", "mit"]) == 130
    assert capsys.readouterr().err == "\nStopped; the same command goes on where it was.\n"


def test_importing_it_imports_little():
    code = (
        "import wisesr_helpers.data.fetch, sys; print({'keras', 'tensorflow', 'kaggle', 'requests'} & set(sys.modules))"
    )
    assert run(code).stdout == "set()\n"


# The sentence on how to go on


def test_the_two_ways_name_the_folder_only_where_it_is_not_the_default(tmp_path):
    source = sources.get_source("mit")
    for folder, option in (
        (default_cache() / "mit", ""),
        (tmp_path / "mit", f' --data-dir "{tmp_path}"'),
        (tmp_path, f' --data-dir "{tmp_path}"'),
    ):
        sentence = sources.how_to_get(source, folder)
        assert f"python -m wisesr_helpers.data fetch mit{option};" in sentence
        assert sentence.endswith(f"unpack it into '{folder}'.")
    assert "python -m wisesr_helpers.data fetch mnist where" in sources.how_to_get(sources.get_source("mnist"), "x")
