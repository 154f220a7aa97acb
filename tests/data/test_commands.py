"""``python -m wisesr_helpers.data``: what it lists, fetches, prepares, refuses and says."""

import re

import pytest
from kaggle_imitation import FILES, closed_port, interrupt, run, unpacked
from trees import build_tree

from wisesr_helpers.data import __main__ as command_line
from wisesr_helpers.data.sources import SOURCES

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_the_list_names_every_dataset(capsys):
    assert command_line.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(SOURCES)
    for line, source in zip(lines[1:], SOURCES.values(), strict=True):
        assert all(cell in line for cell in (source.name, source.title, source.address, source.terms))


def test_alone_it_lists_its_commands_and_the_datasets(capsys):
    assert command_line.main([]) == 2
    said = capsys.readouterr().out
    assert re.findall(r"^    (\w+) ", said, re.MULTILINE) == ["fetch", "prepare", "list"]
    assert all(name in said for name in SOURCES)


def test_it_fetches(server, tmp_path, capsys):
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path)]) == 0
    assert unpacked(tmp_path / "toy") == FILES
    server.status = 500
    assert command_line.main(["fetch", "toy", "--data-dir", str(tmp_path / "other")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Toy Scenes could not be fetched to")


@pytest.mark.slow
def test_it_fetches_without_a_network_what_keras_has(tmp_path):
    code = "import sys; from wisesr_helpers.data.__main__ import main; sys.exit(main(['fetch', 'mnist']))"
    proxy = f"http://127.0.0.1:{closed_port()}"
    result = run(code, KERAS_HOME=str(tmp_path / "keras"), https_proxy=proxy, http_proxy=proxy)
    assert result.returncode == 1
    folder = tmp_path / "keras" / "datasets"
    said = f"MNIST could not be fetched to '{folder}': its server could not be reached; repeat"
    assert result.stderr.startswith(said)
    assert "Traceback" not in result.stderr


def test_it_prepares_and_reports(tmp_path, capsys):
    tree = build_tree("mit", tmp_path, per_class=(3, 2), classes=2, defects=0.01, image_size=80)
    prepare = ["prepare", "mit", "--image-size", "64", "--data-dir", str(tree.root)]
    assert command_line.main(prepare) == 0
    said = capsys.readouterr().out
    assert re.search(rf"MIT Indoor Scenes: {tree.train} training and {tree.test} test images in 2 classes", said)
    assert "Note: 1 empty file" in said
    assert command_line.main([*prepare, "--strict"]) == 1
    assert "is not as it should be" in capsys.readouterr().err
    assert command_line.main(["prepare", "mit", "--image-size", "-64"]) == 1
    assert capsys.readouterr().err.startswith("image_size must be a side in pixels")


def test_it_knows_the_names_and_can_be_stopped(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["fetch", "nope"])
    assert ended.value.code == 2
    assert "sub_imagenet" in capsys.readouterr().err
    monkeypatch.setattr(command_line, "fetch", interrupt)
    assert command_line.main(["fetch", "mit"]) == 130
    assert capsys.readouterr().err == "\nStopped; the same command goes on where it was.\n"


def test_importing_it_imports_little():
    code = (
        "import wisesr_helpers.data.__main__, sys\n"
        "print({'keras', 'tensorflow', 'kaggle', 'requests'} & set(sys.modules))"
    )
    assert run(code).stdout == "set()\n"
