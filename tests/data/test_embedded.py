"""The embedded scenes: deterministic, split by handwriting, unreadable for a bag of patches; and the digits."""

import functools
import subprocess
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from wisesr_helpers.data import embedded
from wisesr_helpers.studies.experiment import Experiment
from wisesr_helpers.training.runs import load_runs, project_root

SIZE = 512
SIDE = embedded.STRIDE


def patches(scene):
    """(256, 32, 32): the separate patches that small_patch sees."""
    cells = SIZE // SIDE
    return scene.reshape(cells, SIDE, cells, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)


@functools.cache
def patch_features(draw_scene, count):
    """Rectified random projections of the patches of 2·count scenes, every other one (0, 1) or (1, 0): (N, 256, 48)."""
    filters = np.random.default_rng(5).normal(size=(SIDE * SIDE, 48)).astype(np.float32) / SIDE
    rngs = (np.random.default_rng([9, i]) for i in range(2 * count))
    scenes = (draw_scene(i % 2, 1 - i % 2, SIZE, "train", rng) for i, rng in enumerate(rngs))
    flat = (patches(scene).reshape(-1, SIDE * SIDE).astype(np.float32) / 255 for scene in scenes)
    return np.stack([np.maximum(each @ filters, 0) for each in flat])


def bag(features):
    """What a GAP head sees of them: the mean, positions forgotten."""
    return features.mean(axis=1)


def placed(features):
    """The same, averaged apart for the inner and the outer patches: positions kept."""
    grid = np.stack(np.meshgrid(*[np.arange(16) - 7.5] * 2), axis=-1).reshape(-1, 2)
    inner = np.hypot(*grid.T) < 4.8
    return np.concatenate([features[:, inner].mean(axis=1), features[:, ~inner].mean(axis=1)], axis=1)


def mirrored_pair_accuracy(seen, count=300):
    """Test accuracy of a logistic regression that has to tell (0, 1) from (1, 0), on ``count`` unseen scenes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = seen(patch_features(embedded.draw_scene, count))
    y = np.arange(2 * count) % 2
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return model.fit(x[:count], y[:count]).score(x[count:], y[count:])


CHANCE = 0.5 + 3 * 0.5 / np.sqrt(300)  # three standard errors above one half


def test_a_bag_of_patches_cannot_tell_mirrored_classes():
    assert mirrored_pair_accuracy(bag) < CHANCE


def test_the_same_features_with_positions_can():
    assert mirrored_pair_accuracy(placed) > 0.75


@pytest.mark.slow
def test_the_bag_test_would_notice_a_leak():
    """Negative control: outer glyphs that keep to one corner of their cell give themselves away."""
    original = embedded.draw_scene

    def leaking(inner, outer, size, split, rng, **_):
        scene = original(inner, outer, size, split, rng)
        aligned = original(inner, outer, size, split, rng, jitter=False)
        yy, xx = np.mgrid[:size, :size] - size / 2
        return np.where(np.hypot(yy, xx) / size > 0.3, aligned, scene)

    embedded.draw_scene = leaking
    try:
        assert mirrored_pair_accuracy(bag) > CHANCE
    finally:
        embedded.draw_scene = original


@pytest.mark.parametrize("size", [*range(192, 700, 32), 300])
def test_every_glyph_has_cells_of_its_own_inside_the_scene(size):
    cells = size // SIDE
    count = embedded.glyphs_per_ring(size)
    assert count >= 2
    for index in range(10):
        blocks = embedded._place_blocks(np.random.default_rng(index), cells, count)
        taken = [(r + i, c + j) for r, c in blocks for i in (0, 1) for j in (0, 1)]
        assert len(taken) == len(set(taken)) == 8 * count
        assert all(0 <= r < cells and 0 <= c < cells for r, c in taken)
        distance = np.hypot(*(blocks + 1 - cells / 2).T) / cells
        assert distance[:count].max() < distance[count:].min()


def test_scenes_are_functions_of_seed_split_and_index():
    a = embedded.scenes_dataset(192, 2, 6, 4, seed=3)
    b = embedded.scenes_dataset(192, 2, 8, 4, seed=3)
    c = embedded.scenes_dataset(192, 2, 6, 4, seed=4)
    np.testing.assert_array_equal(a.train.images, b.train.images[:6])
    assert a.test.digest == b.test.digest
    assert a.train.digest != c.train.digest
    thirds = [embedded.scenes_dataset(192, 2, 6, 4, seed=3, test_third=third) for third in embedded.THIRDS]
    assert thirds[0].fingerprint == a.fingerprint
    assert len({each.train.digest for each in thirds}) == len({each.test.digest for each in thirds}) == 3
    assert not np.array_equal(a.train.images[:4], a.test.images)


@pytest.mark.parametrize(
    ("study", "dataset"),
    [("mit_224", ""), ("deeper_networks", "digits"), pytest.param("mit_512", "", marks=pytest.mark.slow)],
)
def test_images_are_those_of_the_committed_records(study, dataset):
    records = load_runs(project_root() / "results").query("study == @study and scale == 'demo' and options == ''")
    experiment = Experiment(study, "gap", scale="demo", dataset=dataset)
    assert {run.data_fingerprint for run in records["run"]} == {experiment.dataset.fingerprint}


def test_noise_is_rounded_alike_by_every_processor():
    first, weight, other = embedded._grains()
    coarse = np.random.default_rng(0).normal(size=(16, SIDE // embedded.GRAIN)).astype(np.float32)
    exact = [
        [
            Fraction(float(a * row[k])) + Fraction(float(b)) * Fraction(float(row[k + 1]))
            for a, b, k in zip(weight, other, first, strict=True)
        ]
        for row in coarse
    ]
    np.testing.assert_array_equal(embedded._to_pixels(coarse), np.array(exact, float).astype(np.float32))
    rounded_twice = coarse[:, first] * weight + coarse[:, first + 1] * other  # the check would notice
    assert not np.array_equal(embedded._to_pixels(coarse), rounded_twice)


def test_no_handwriting_is_in_both_splits():
    for digit in range(10):
        tests = []
        for third in embedded.THIRDS:
            train, test = (
                {glyph.tobytes() for glyph in embedded.glyphs(digit, split, third)} for split in ("train", "test")
            )
            assert len(train) > len(test) > 50
            assert not train & test
            tests.append(test)
        assert not tests[0] & (tests[1] | tests[2])  # what was judged on the last third is judged on no other


def test_a_scene_holds_handwriting_of_its_own_split_only(monkeypatch):
    asked = []
    monkeypatch.setattr(embedded, "glyphs", lambda *wanted: asked.append(wanted) or np.zeros((1, 8, 8)))
    embedded.draw_scene(4, 1, 224, "test", np.random.default_rng(0), test_third="first")
    assert asked == [(4, "test", "first")] * 3 + [(1, "test", "first")] * 3


@pytest.mark.parametrize("classes", [2, 6, 12, 68, 90])
def test_classes_come_in_mirrored_pairs(classes):
    pairs = embedded.class_pairs(classes)
    assert len(set(pairs)) == classes
    assert all(pairs[i] == pairs[i ^ 1][::-1] for i in range(classes))


@pytest.mark.parametrize("classes", [5, 0, 92])
def test_other_numbers_of_classes_are_refused(classes):
    with pytest.raises(ValueError, match=f"an even number from 2 to 90; received {classes}"):
        embedded.class_pairs(classes)


def test_too_small_scenes_and_empty_splits_are_refused():
    with pytest.raises(ValueError, match="at least 192 pixels; received 160"):
        embedded.scenes_dataset(160, 2, 2, 2)
    with pytest.raises(ValueError, match="at least one scene; received train=0"):
        embedded.scenes_dataset(192, 2, 0, 2)


def test_the_cache_holds_the_same_scenes(tmp_path):
    memory = embedded.scenes_dataset(192, 2, 4, 2)
    for _ in range(2):
        cached = embedded.scenes_dataset(192, 2, 4, 2, folder=tmp_path)
        assert cached.fingerprint == memory.fingerprint
        np.testing.assert_array_equal(cached.train.images, memory.train.images)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_files_of_older_scenes_are_named_once_with_the_command_that_removes_exactly_them(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "two words"
    folder.mkdir()
    old = [
        f"scenes-192-2-4-2-s0-{made}-{split}" for made in ("0a1b2c3d", "12345678", "v0") for split in ("train", "test")
    ]
    others = ["scenes-notes.txt", "mine-0a1b2c3d-train.npy", "scenes-192-2-4-2-s0-v1-test.npy.0a1b2c3d"]
    for name in [f"{name}.{kind}" for name in old for kind in ("npy", "sha256")] + others:
        (folder / name).write_bytes(bytes(100_000))
    monkeypatch.setitem(embedded.VERSIONS, "scenes", 1)
    told = []
    monkeypatch.setattr(embedded, "tell", told.append)
    for train in (4, 6, 4):
        dataset = embedded.scenes_dataset(192, 2, train, 2, folder=folder)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("12 files of older scenes (1.2 MB) are never read again. Remove them with: rm '")
    subprocess.run(said.partition("with: ")[2], shell=True, check=True)
    left = {path.name for path in folder.iterdir()}
    assert left >= {*others, "scenes-192-2-4-2-s0-v1-train.npy", "scenes-192-2-6-2-s0-v1-test.sha256"}
    assert len(left) == len(others) + 8
    assert embedded.scenes_dataset(192, 2, 4, 2, folder=folder).fingerprint == dataset.fingerprint
    assert [text.split()[1] for text in told] == ["4", "2", "6", "2"]  # scenes, as they are drawn
    embedded.scenes_dataset(192, 2, 8, 2, folder=folder)
    assert capsys.readouterr().out == ""


# scikit-learn's digits


@pytest.fixture(scope="module")
def dataset():
    return embedded.digits_dataset(32)


def grey(split):
    """The split's images as they are kept, in scikit-learn's levels: float (n, 64)."""
    return np.round(np.asarray(split.images).reshape(len(split), -1) / 255 * 16)


def test_of_every_class_the_first_two_thirds_train_and_the_rest_test(dataset):
    found = load_digits()
    for digit in range(10):
        expected = found.data[found.target == digit]
        cut = 2 * len(expected) // 3
        for split, part in ((dataset.train, expected[:cut]), (dataset.test, expected[cut:])):
            np.testing.assert_array_equal(grey(split)[split.labels == digit], part)
    assert (len(dataset.train), len(dataset.test)) == (embedded.COUNTS["train"], embedded.COUNTS["test"])
    assert len(dataset.train) + len(dataset.test) == len(found.data) == 1797


def test_no_image_is_in_both_splits(dataset):
    train, test = ({image.tobytes() for image in split.images} for split in (dataset.train, dataset.test))
    assert len(train) > len(test) > 500
    assert not train & test


def test_the_first_images_hold_every_class_equally_often():
    few = embedded.digits_dataset(32, train=20, test=10)
    assert sorted(few.train.labels) == sorted([*range(10)] * 2)
    assert sorted(few.test.labels) == [*range(10)]


@pytest.mark.parametrize("side", [8, 224, 299])
def test_images_are_enlarged_by_pillows_nearest(side):
    split = embedded.digits_dataset(side).test
    images = split.rgb([0, 17])
    for image, kept in zip(images, np.asarray(split.images)[[0, 17]], strict=True):
        expected = np.asarray(Image.fromarray(kept).resize((side, side), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=2))
    assert images.dtype == np.uint8
    assert images.max() == 255


def test_the_labels_can_be_learned_and_shuffled_ones_can_not(dataset):
    train, test = grey(dataset.train) / 16, grey(dataset.test) / 16

    def learned(labels):
        return KNeighborsClassifier(1).fit(train, labels).score(test, dataset.test.labels)

    assert learned(dataset.train.labels) > 0.85
    assert learned(np.random.default_rng(0).permutation(dataset.train.labels)) < 0.3


def test_two_makings_have_one_fingerprint_and_fewer_images_another(dataset):
    assert embedded.digits_dataset(32).fingerprint == dataset.fingerprint
    assert embedded.digits_dataset(32, train=20).fingerprint != dataset.fingerprint
    assert dataset.photographs is False


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"image_size": 7}, "have 8×8 pixels; ask for no smaller image size than 8"),
        ({"image_size": 8, "train": 1196}, "The train split of the digits has 1 to 1,195 images; received 1196"),
        ({"image_size": 8, "test": 0}, "The test split of the digits has 1 to 602 images; received 0"),
    ],
)
def test_what_is_not_there_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        embedded.digits_dataset(**asked)
