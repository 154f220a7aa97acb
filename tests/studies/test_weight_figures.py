"""The weights of the positions are what the models compute with, and the figures and words are those of the weights."""

import numpy as np
import pytest
from test_attention import classifier

from wisesr_helpers import plots
from wisesr_helpers._keras import keras
from wisesr_helpers.studies import where_it_looks

POOLING = ["gap", "gap_dropout", "depthwise", "depthwise_nonneg", "wise", "wise_dropout", "gwap_fixed"]


@pytest.mark.parametrize("head", POOLING)
def test_weights_of_positions_are_what_a_lit_position_adds_to_the_pooled_vector(head):
    model = classifier(head, 352)  # 11×11 cells: windows of 2 leave the last row and column out
    weights = where_it_looks.weight_map(model)
    assert weights.shape == (11, 11, 96)
    after = model.layers[[layer.name for layer in model.layers].index("features") + 1 : -1]
    rng = np.random.default_rng(3)
    features = rng.normal(size=(2, 11, 11, 96)).astype("float32")
    pooled = []
    for x in (features, np.zeros_like(features)):
        for layer in after:
            x = layer(x)
        pooled.append(keras.ops.convert_to_numpy(x))
    expected = pooled[0] - pooled[1]
    np.testing.assert_allclose(np.einsum("nijc,ijc->nc", features, weights), expected, atol=1e-4)
    assert np.abs(expected).max() > 1e-2
    unseen = where_it_looks.never_seen(weights)
    left_out = 21 if head.startswith("wise") else 0
    assert unseen.sum() == left_out
    assert unseen[10].all() == unseen[:, 10].all() == bool(left_out)


def test_the_papers_map_of_16_cells_leaves_31_of_256_unseen():
    weights = where_it_looks.weight_map(classifier("wise", 512))
    assert where_it_looks.describe_unseen(weights).startswith("31 of the 256 cells count for nothing in any channel; ")
    clipped = np.maximum(weights, 0)
    share = (clipped[:15, :15] == 0).mean()
    assert 0.4 < share < 0.6
    assert where_it_looks.describe_unseen(clipped).endswith(f" weights {share:.0%} are exactly 0.")


def test_weights_that_differ_by_class_are_no_weights_of_positions():
    with pytest.raises(ValueError, match="every class has weights of its own, not every channel"):
        where_it_looks.weight_map(classifier("avg_fc"))


@pytest.mark.parametrize("shape", [(16, 16, 5), (7, 7, 3), (5, 8, 2), (1, 1, 1)])
def test_a_radial_profile_is_what_a_loop_over_the_cells_finds(shape):
    weights = np.random.default_rng(4).normal(size=shape).astype("float32")
    height, width, channels = shape
    rings = {}
    for i in range(height):
        for j in range(width):
            away = np.sqrt((i - (height - 1) / 2) ** 2 + (j - (width - 1) / 2) ** 2)
            rings.setdefault(int(away), []).append((away, weights[i, j].astype(float)))
    profile = where_it_looks.radial_profile(weights)
    assert len(profile) == len(rings)
    assert profile["cells"].sum() == height * width
    for row, (_, cells) in zip(profile.itertuples(), sorted(rings.items()), strict=True):
        means = [sum(values[c] for _, values in cells) / len(cells) for c in range(channels)]
        assert row.cells == len(cells)
        assert row.distance == pytest.approx(np.mean([away for away, _ in cells]))
        assert row.mean == pytest.approx(np.mean(means))
        ranks = np.arange(channels) / max(channels - 1, 1)
        low, high = (np.interp(share, ranks, sorted(means)) for share in (0.1, 0.9))
        assert (row.low, row.high) == pytest.approx((low, high))


def test_channels_are_ranked_from_the_centre_outwards_and_dead_ones_left_out():
    weights = np.zeros((5, 5, 4), "float32")
    weights[0, 0, 0] = 1  # a corner
    weights[2, 2, 1] = -1  # the centre, whatever the sign
    weights[2, 1, 3] = 1
    assert where_it_looks.ranked_channels(weights, 3) == [1, 3, 0]
    assert where_it_looks.ranked_channels(weights, 2) == [1, 0]
    assert where_it_looks.ranked_channels(weights, 9) == [1, 3, 0]


def test_the_grid_of_weights_draws_mean_and_channels_and_crosses_out_what_is_unseen():
    weights = {head: where_it_looks.weight_map(classifier(head, 352)) for head in ("gap", "wise")}
    axes = where_it_looks.weight_grid(weights, plots.figure(columns=3, rows=2)[1])
    for row, map_ in zip(axes, weights.values(), strict=True):
        np.testing.assert_allclose(row[0].images[0].get_array(), map_.mean(axis=-1), rtol=1e-6)
        first, last = where_it_looks.ranked_channels(map_, 2)
        np.testing.assert_array_equal(row[1].images[0].get_array(), map_[..., first])
        np.testing.assert_array_equal(row[2].images[0].get_array(), map_[..., last])
        crossed = {(y, x) for x, y in zip(*row[0].lines[0].get_data(), strict=True)}
        assert crossed == set(map(tuple, np.argwhere((map_ == 0).all(axis=-1))))
    assert len(crossed) == 21
    assert len({ax.images[0].get_clim() for ax in axes.flat}) == 1
    said = where_it_looks.describe_weight_grid(weights, 2)
    assert f"channels {first}, {last}, from the most central" in said
    assert "gap: the mean over channels reaches from 0.0083 to 0.0083" in said  # 1/121
    assert "21 of 121 cells crossed out" in said


def test_profiles_draw_what_was_learned_beside_the_start():
    trained = {head: where_it_looks.weight_map(classifier(head)) for head in ("gap", "wise")}
    start = {"gap": trained["gap"], "wise": np.zeros((8, 8, 96), "float32")}
    ax = where_it_looks.profiles(trained, start, plots.figure()[1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["gap", "wise", "wise, before the training"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1 / 64, rtol=1e-5)
    profile = where_it_looks.radial_profile(trained["wise"])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), profile["mean"])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), profile["distance"])
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(profile["high"].max())
    said = where_it_looks.describe_profiles(trained, start)
    assert "gap: 0.016 at the centre and 0.016 at the corner;" in said
    assert said.endswith(", before the training 0 at the centre and 0 at the corner.")
