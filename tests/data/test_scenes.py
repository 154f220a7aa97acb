"""The embedded scenes: deterministic, split by handwriting, and unreadable for a bag of patches."""

import subprocess

import numpy as np
import pytest

from wisesr_helpers.data import embedded

SIZE = 512
SIDE = embedded.STRIDE


def draw(pair, index, **options):
    return embedded.draw_scene(*pair, SIZE, "train", np.random.default_rng([9, index]), **options)


def patches(scene):
    """(256, 32, 32): the separate patches that small_patch sees."""
    cells = SIZE // SIDE
    return scene.reshape(cells, SIDE, cells, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)


def bag_features(scene, filters):
    """What a GAP head on random patch features sees: the mean of rectified projections, positions forgotten."""
    flat = patches(scene).reshape(-1, SIDE * SIDE).astype(np.float32) / 255
    return np.maximum(flat @ filters, 0).mean(axis=0)


def placed_features(scene, filters):
    """The same, averaged apart for the inner and the outer patches: positions kept."""
    flat = patches(scene).reshape(-1, SIDE * SIDE).astype(np.float32) / 255
    active = np.maximum(flat @ filters, 0)
    grid = np.stack(np.meshgrid(*[np.arange(16) - 7.5] * 2), axis=-1).reshape(-1, 2)
    inner = np.hypot(*grid.T) < 4.8
    return np.concatenate([active[inner].mean(axis=0), active[~inner].mean(axis=0)])


def mirrored_pair_accuracy(features, count=300, **options):
    """Test accuracy of a logistic regression that has to tell (0, 1) from (1, 0), on ``count`` unseen scenes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    filters = np.random.default_rng(5).normal(size=(SIDE * SIDE, 48)).astype(np.float32) / SIDE
    pairs = [(0, 1), (1, 0)]
    x = np.array([features(draw(pairs[i % 2], i, **options), filters) for i in range(2 * count)])
    y = np.arange(2 * count) % 2
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return model.fit(x[:count], y[:count]).score(x[count:], y[count:])


CHANCE = 0.5 + 3 * 0.5 / np.sqrt(300)  # three standard errors above one half


def test_a_bag_of_patches_cannot_tell_mirrored_classes():
    assert mirrored_pair_accuracy(bag_features) < CHANCE


def test_the_same_features_with_positions_can():
    assert mirrored_pair_accuracy(placed_features) > 0.75


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
        assert mirrored_pair_accuracy(bag_features) > CHANCE
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
    assert not np.array_equal(a.train.images[:4], a.test.images)


def test_no_handwriting_is_in_both_splits():
    for digit in range(10):
        train = {glyph.tobytes() for glyph in embedded.glyphs(digit, "train")}
        test = {glyph.tobytes() for glyph in embedded.glyphs(digit, "test")}
        assert len(train) > len(test) > 50
        assert not train & test


def test_a_scene_holds_handwriting_of_its_own_split_only(monkeypatch):
    asked = []
    monkeypatch.setattr(embedded, "glyphs", lambda digit, split: asked.append((digit, split)) or np.zeros((1, 8, 8)))
    embedded.draw_scene(4, 1, 224, "test", np.random.default_rng(0))
    assert asked == [(4, "test")] * 3 + [(1, "test")] * 3


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
    for train in (4, 6, 4):
        dataset = embedded.scenes_dataset(192, 2, train, 2, folder=folder)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("12 files of older scenes (1.2 MB) are never read again. Remove them with: rm '")
    subprocess.run(said.partition("with: ")[2], shell=True, check=True)
    left = {path.name for path in folder.iterdir()}
    assert left >= {*others, "scenes-192-2-4-2-s0-v1-train.npy", "scenes-192-2-6-2-s0-v1-test.sha256"}
    assert len(left) == len(others) + 8
    assert embedded.scenes_dataset(192, 2, 4, 2, folder=folder).fingerprint == dataset.fingerprint
    embedded.scenes_dataset(192, 2, 8, 2, folder=folder)
    assert capsys.readouterr().out == ""
