"""Where a dataset is looked for, in which order, and what is said where it is nowhere."""

import pathlib

import pytest
from trees import BUILDERS, build_tree

from wisesr_helpers.data import sources
from wisesr_helpers.data.sources import SOURCES
from wisesr_helpers.storage import default_cache

SLUGS = {
    "sub_imagenet": "imagenet-70classes",
    "intel": "intel-image-classification",
    "mit": "indoor-scenes-cvpr-2019",
    "tiny_imagenet": "tiny-imagenet",
}


@pytest.fixture(autouse=True)
def mounts(monkeypatch, tmp_path):
    """The mounts and Keras' home, moved into the test's folder, so that nothing of this machine is found."""
    monkeypatch.setattr(sources, "MOUNTS", tuple(f"{tmp_path}{mount}" for mount in sources.MOUNTS))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path


def build(name, folder):
    build_tree(name, folder, per_class=(1, 1), classes=2, image_size=8 if name in SLUGS else None)
    return folder


@pytest.mark.parametrize("name", BUILDERS)
def test_nothing_is_found_where_nothing_is(tmp_path, name):
    assert sources.find(SOURCES[name]) is None
    assert sources.find(SOURCES[name], tmp_path / "absent") is None
    (tmp_path / "empty").mkdir()
    assert sources.find(SOURCES[name], str(tmp_path / "empty")) is None


@pytest.mark.parametrize("inner", ["", "{name}", "{slug}", "any", "{name}/any", "{slug}/any"])
@pytest.mark.parametrize("name", BUILDERS)
def test_the_readers_folder_and_those_in_it(tmp_path, name, inner):
    folder = build(name, tmp_path / "mine" / inner.format(name=name, slug=SLUGS.get(name, name)))
    assert sources.find(SOURCES[name], tmp_path / "mine") == folder
    assert sources.find(SOURCES[name], str(tmp_path / "mine")) == folder
    assert sources.find(SOURCES[name]) is None


@pytest.mark.parametrize("name", BUILDERS)
def test_every_place_is_looked_in_and_an_earlier_one_wins(tmp_path, name):
    mine = tmp_path / "mine"
    wanted = sources.places(SOURCES[name], mine)
    for folder in reversed(wanted[1:]):
        build(name, folder)
        assert sources.find(SOURCES[name], mine) == folder
        if not folder.is_relative_to(mine):
            assert sources.find(SOURCES[name]) == folder
    build(name, mine)
    assert sources.find(SOURCES[name], mine) == mine


@pytest.mark.parametrize("name", SLUGS)
def test_the_places_in_their_order(tmp_path, name):
    owner = sources.SOURCES[name].kaggle.split("/")[0]
    slug = SLUGS[name]
    assert [path.relative_to(tmp_path).as_posix() for path in sources.places(SOURCES[name], tmp_path / "mine")] == list(
        dict.fromkeys(
            [
                "mine",
                f"mine/{name}",
                f"mine/{slug}",
                f"cache/{name}",
                f"kaggle/input/{slug}",
                f"kaggle/input/datasets/{owner}/{slug}",
                f"content/{name}",
                f"content/{slug}",
                f"content/data/{name}",
                f"content/drive/MyDrive/{name}",
            ]
        )
    )
    assert sources.places(SOURCES[name]) == sources.places(SOURCES[name], tmp_path / "mine")[3:]


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_what_keras_downloads_is_looked_for_in_its_folder(tmp_path, name, monkeypatch):
    assert [path.relative_to(tmp_path).as_posix() for path in sources.places(SOURCES[name])] == [
        f"cache/{name}",
        f"content/{name}",
        f"content/data/{name}",
        f"content/drive/MyDrive/{name}",
        "keras/datasets",
    ]
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert sources.places(SOURCES[name])[-1] == tmp_path / "home" / ".keras" / "datasets"
    assert sources.find(SOURCES[name]) is None
    target = "cifar-10-batches-py-target" if name == "cifar10" else ""
    build(name, tmp_path / "home" / ".keras" / "datasets" / target)
    assert sources.find(SOURCES[name]) == tmp_path / "home" / ".keras" / "datasets"


def test_a_folder_that_holds_several_datasets_serves_each(tmp_path):
    for name in BUILDERS:
        build(name, tmp_path / "all" / name)
    for name in BUILDERS:
        assert sources.find(SOURCES[name], tmp_path / "all") == tmp_path / "all" / name


def test_a_folder_that_holds_nothing_does_not_end_the_search(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = build("intel", tmp_path / "cache" / "intel")
    assert sources.find(SOURCES["intel"], tmp_path / "mine") == folder


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = build("mit", tmp_path / "data" / "mit")
    assert sources.find(SOURCES["mit"], "~/data") == folder


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="Unknown dataset 'imagenet'. Valid datasets: sub_imagenet"):
        sources.get_source("imagenet")


@pytest.mark.parametrize("name", BUILDERS)
def test_the_message_names_the_dataset_the_places_and_the_ways_on(tmp_path, name, monkeypatch):
    asked = []

    def how_to_get(source, folder):
        asked.append((source.name, pathlib.Path(folder)))
        return "Do this, or that."

    monkeypatch.setattr(sources, "how_to_get", how_to_get)
    for data_dir, folder in ((None, tmp_path / "cache" / name), (tmp_path / "mine", tmp_path / "mine")):
        message = sources.missing(SOURCES[name], data_dir)
        assert message.startswith(f"{sources.SOURCES[name].title} was not found in any of '")
        assert message.endswith("', nor in a subfolder of these. Do this, or that.")
        assert all(f"'{place}'" in message for place in sources.places(SOURCES[name], data_dir))
        assert asked.pop() == (name, folder)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_message_tells_where_to_get_the_dataset(tmp_path, name):
    message = sources.missing(SOURCES[name], tmp_path / "mine")
    assert sources.SOURCES[name].address in message
    assert f"'{tmp_path / 'mine'}'" in message.split("Two ways to get it")[1]


def test_no_folder_and_an_empty_name_are_the_same():
    assert sources.places(SOURCES["mit"], "") == sources.places(SOURCES["mit"], None)
    assert sources.missing(SOURCES["mit"], "") == sources.missing(SOURCES["mit"], None)


def test_the_two_ways_name_the_folder_only_where_it_is_not_the_default(tmp_path):
    for folder, option in (
        (default_cache() / "mit", ""),
        (tmp_path / "mit", f' --data-dir "{tmp_path}"'),
        (tmp_path, f' --data-dir "{tmp_path}"'),
    ):
        sentence = sources.how_to_get(SOURCES["mit"], folder)
        assert f"python -m wisesr_helpers.data fetch mit{option};" in sentence
        assert sentence.endswith(f"unpack it into '{folder}'.")
    assert "python -m wisesr_helpers.data fetch mnist where" in sources.how_to_get(SOURCES["mnist"], "x")
