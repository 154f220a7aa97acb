"""Heads: what they are made of, and what they refuse."""

import pytest

import wisesr_helpers as ws
from wisesr_helpers import heads
from wisesr_helpers._keras import keras


def test_every_head_is_listed_with_a_description():
    assert {"gap", "wise"} <= set(ws.HEADS)
    assert all(len(description) > 20 for description in ws.HEADS.values())


def test_an_unknown_head_is_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"Unknown head 'gapp'\. Valid heads: gap, .*wise"):
        heads.get_head("gapp")


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'gap' is registered already"):
        heads.register("gap", "another", "Figure 0")(lambda pool_size: [])


def test_gap_takes_no_pool_size():
    with pytest.raises(ValueError, match="averages no blocks, so it takes no pool_size; received 3"):
        heads.head_layers("gap", (7, 7, 8), 4, pool_size=3)


@pytest.mark.parametrize("head", ["gap", "wise"])
def test_a_head_without_dropout_takes_no_dropout_rate(head):
    with pytest.raises(ValueError, match="has no dropout, so it takes no dropout_rate; received 0.5"):
        heads.head_layers(head, (7, 7, 8), 4, dropout_rate=0.5)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(ValueError, match="Head 'wise' has no option 'strat'"):
        heads.head_layers("wise", (7, 7, 8), 4, strat="uniform")


def test_the_classifier_starts_as_the_authors_does():
    classifier = heads.head_layers("gap", (7, 7, 2048), 67)[-1]
    classifier.build((None, 2048))
    kernel, bias = classifier.get_weights()
    assert kernel.std() == pytest.approx(0.01, rel=0.02)
    assert not bias.any()
    assert classifier.dtype_policy.name == "float32"


def test_the_description_follows_the_layers():
    layers = heads.head_layers("wise", (16, 16, 2048), 67)
    assert heads.describe_head(layers, (16, 16, 2048)) == [
        ("average pooling", "3×3", (5, 5, 2048)),
        ("depthwise", "5×5, weights ≥ 0", (2048,)),
        ("fully connected", "softmax", (67,)),
    ]
    layers = heads.head_layers("wise", (16, 16, 2048), 67, pool_size=4)
    assert heads.describe_head(layers, (16, 16, 2048))[0] == ("average pooling", "4×4", (4, 4, 2048))
    assert heads.describe_head([keras.layers.GlobalAveragePooling2D()], (7, 7, 3)) == [("average", "7×7", (3,))]
