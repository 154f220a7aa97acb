"""Where a dataset is looked for, in which order, and what is said where it is nowhere."""

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


@pytest.mark.parametrize("inner", ["", "{name}", "{slug}", "any", "{name}/any", "{slug}/any"])
@pytest.mark.parametrize("name", BUILDERS)
def test_the_readers_folder_and_those_in_it(tmp_path, name, inner):
    assert sources.find(SOURCES[name], tmp_path / "mine") is None
    (tmp_path / "mine").mkdir()
    assert sources.find(SOURCES[name], str(tmp_path / "mine")) is None
    folder = build(name, tmp_path / "mine" / inner.format(name=name, slug=SLUGS.get(name, name)))
    assert sources.find(SOURCES[name], tmp_path / "mine") == folder
    assert sources.find(SOURCES[name], str(tmp_path / "mine")) == folder
    assert sources.find(SOURCES[name]) is None


@pytest.mark.parametrize("name", BUILDERS)
def test_every_place_is_looked_in_and_an_earlier_one_wins(tmp_path, name):
    mine = tmp_path / "mine"
    for folder in reversed(sources.places(SOURCES[name], mine)):
        build(name, folder)
        assert sources.find(SOURCES[name], mine) == folder
        if not folder.is_relative_to(mine):
            assert sources.find(SOURCES[name]) == folder


@pytest.mark.parametrize("name", BUILDERS)
def test_the_places_in_their_order(tmp_path, name, monkeypatch):
    owner, _, slug = SOURCES[name].kaggle.partition("/")
    assert slug == SLUGS.get(name, "")
    mine = ["mine", f"mine/{name}"]
    mounted = [f"content/{name}", f"content/data/{name}", f"content/drive/MyDrive/{name}", "keras/datasets"]
    if slug:
        mine += [f"mine/{slug}"]
        mounted[-1:] = []
        mounted[1:1] = [f"content/{slug}"]
        mounted[:0] = [f"kaggle/input/{slug}", f"kaggle/input/datasets/{owner}/{slug}"]
    expected = [tmp_path / place for place in dict.fromkeys([*mine, f"cache/{name}", *mounted])]
    assert sources.places(SOURCES[name], tmp_path / "mine") == expected
    assert sources.places(SOURCES[name]) == sources.places(SOURCES[name], "") == expected[len(dict.fromkeys(mine)) :]


@pytest.mark.parametrize(("name", "target"), [("mnist", ""), ("cifar10", "cifar-10-batches-py-target")])
def test_what_keras_downloads_is_looked_for_in_its_home(tmp_path, name, target, monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / ".keras" / "datasets"
    assert sources.places(SOURCES[name])[-1] == folder
    build(name, folder / target)
    assert sources.find(SOURCES[name]) == folder


def test_a_folder_that_holds_several_datasets_serves_each_and_another_does_not_end_the_search(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in BUILDERS:
        build(name, tmp_path / "all" / name)
    for name in BUILDERS:
        assert sources.find(SOURCES[name], "~/all") == tmp_path / "all" / name
    (tmp_path / "mine").mkdir()
    folder = build("intel", tmp_path / "cache" / "intel")
    assert sources.find(SOURCES["intel"], tmp_path / "mine") == folder


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="Unknown dataset 'imagenet'. Valid datasets: sub_imagenet"):
        sources.get_source("imagenet")


@pytest.mark.parametrize("name", BUILDERS)
def test_the_message_names_the_dataset_the_places_and_the_ways_on(tmp_path, name):
    source, mine = SOURCES[name], tmp_path / "mine"
    mine.mkdir()
    for data_dir, folder in ((None, tmp_path / "cache" / name), ("", tmp_path / "cache" / name), (mine, mine)):
        looked, _, ways = sources.missing(source, data_dir).partition(", nor in a subfolder of these. ")
        assert looked.startswith(
            f"{source.title}, recognised by {' and '.join(source.files)}, was not found in any of '"
        )
        assert all(f"'{place}'" in looked for place in sources.places(source, data_dir))
        assert ways == sources.how_to_get(source, folder)
        assert f"fetch {name}" in ways
        assert source.address in ways
        assert f"'{folder}'" in ways


@pytest.mark.parametrize("name", BUILDERS)
def test_a_given_folder_that_is_not_there_is_said_with_the_files_expected_in_it(tmp_path, name):
    root = build(name, tmp_path / "there")
    said = sources.missing(SOURCES[name], root.with_name("gone"))
    assert said.startswith(f"There is no folder '{root.with_name('gone')}', and {SOURCES[name].title}, recognised by ")
    assert f"'{root.with_name('gone') / name}'" not in said
    expected = said.partition("recognised by ")[2].partition(", was not")[0].split(" and ")
    assert all(list(root.rglob(file)) for file in expected)


@pytest.mark.parametrize(("inner", "named"), [("mit", True), ("", True), (None, False)])
def test_the_two_ways_name_the_folder_only_where_it_is_not_the_default(tmp_path, inner, named):
    folder = default_cache() / "mit" if inner is None else tmp_path / inner
    option = f' --data-dir "{tmp_path}"' if named else ""
    sentence = sources.how_to_get(SOURCES["mit"], folder)
    assert f"python -m wisesr_helpers.data fetch mit{option}, where there is a network; or by hand, open " in sentence
    assert sentence.endswith(f"unpack it into '{folder}'.")
