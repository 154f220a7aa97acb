"""The scenes whose logits are added up: terms, sums and answers by the heads' own weights."""

import numpy as np
import pytest
from _pages import mirrored, scene_explorer

SCENES = 2 * scene_explorer.PAIRS


@pytest.fixture(scope="module")
def held():
    return scene_explorer.data()


def weights(head):
    """(weights of positions (cells, channels), pooling's bias (channels,), kernel (channels, 2), bias (2,))."""
    *_, pooling, classifier = mirrored.trained(head).layers
    kernel, bias = classifier.get_weights()
    if head == "gap":
        return np.full((mirrored.CELLS, 2), 1 / mirrored.CELLS), np.zeros(2), kernel, bias
    blocks, own = (values.squeeze() for values in pooling.get_weights())  # (3, 3, 2), (2,)
    cells = np.zeros((mirrored.SIDE, mirrored.SIDE, 2))
    cells[:6, :6] = blocks.repeat(2, axis=0).repeat(2, axis=1) / 4  # of blocks of 2×2 cells; the seventh fills none
    return cells.reshape(-1, 2), own, kernel, bias


@pytest.mark.parametrize("head", scene_explorer.HEADS)
def test_terms_are_features_times_weights_and_add_up_to_the_logit(held, head):
    positions, own, kernel, bias = weights(head)
    found = np.array(held["found"], float)  # (scenes, cells, channels)
    terms = np.einsum("sic,ic,ck->ski", found, positions, kernel)
    kept = held["heads"][head]
    np.testing.assert_allclose(kept["terms"], terms, atol=2e-5)
    np.testing.assert_allclose(kept["start"], own @ kernel + bias, atol=2e-5)
    np.testing.assert_allclose(np.array(kept["start"]) + np.sum(kept["terms"], axis=-1), kept["logits"], atol=5e-4)
    assert np.abs(kept["logits"]).max() <= kept["most"]


def test_a_mirror_image_moves_the_same_cells_which_gap_cannot_tell(held):
    found, labels = np.array(held["found"]), held["labels"]
    assert [labels[k] + labels[k + 1] for k in range(0, SCENES, 2)] == [1] * scene_explorer.PAIRS
    for scene, mirror in zip(found[::2], found[1::2], strict=True):
        assert sorted(map(tuple, scene)) == sorted(map(tuple, mirror))
        assert (scene != mirror).any()
    logits = np.array(held["heads"]["gap"]["logits"])
    np.testing.assert_allclose(logits[::2], logits[1::2], atol=2e-5)
    assert scene_explorer.right("gap") == scene_explorer.COUNTED  # one of each pair
    assert scene_explorer.right("wise") > 1.8 * scene_explorer.COUNTED


def test_the_table_has_the_same_logits(held):
    rows = scene_explorer.logits()
    assert len(rows) == SCENES * len(scene_explorer.HEADS)
    for row in rows.to_dict("records"):
        scene = int(row["scene"].split(":")[0]) - 1
        own = held["heads"][row["head"]]["logits"][scene]
        shown = [float(row[f"logit of “{name}”"].replace("−", "-")) for name in mirrored.NAMES]
        assert shown == pytest.approx(own, abs=6e-4)
        assert row["answer"] == ("right" if np.argmax(own) == held["labels"][scene] else "wrong")
