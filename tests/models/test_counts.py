"""Heads are counted without being built, as the built ones are; and the cells that they look at."""

import pytest

import wisesr_helpers as ws
from wisesr_helpers._keras import keras
from wisesr_helpers.models import counts
from wisesr_helpers.models.heads import head_layers


@pytest.mark.parametrize("shape", [(7, 7, 6), (16, 16, 4), (9, 12, 5)], ids=str)
@pytest.mark.parametrize("head", list(ws.HEADS))
def test_parameters_of_a_head_are_those_of_the_built_one(head, shape):
    built = keras.Sequential([keras.Input(shape), *head_layers(head, shape, 11)])
    assert counts.head_params(head, shape, 11) == built.count_params()


@pytest.mark.parametrize("shape", [(7, 7, 6), (9, 12, 5)], ids=str)
@pytest.mark.parametrize("head", list(ws.HEADS))
def test_operations_of_a_head_are_those_of_the_built_one(head, shape):
    built = keras.Sequential([keras.Input(shape), *head_layers(head, shape, 11)])
    assert counts.head_flops(head, shape, 11) == ws.count_flops(built)


def test_parameters_follow_the_pool_size():
    by_pool = [counts.head_params("wise", (16, 16, 8), 5, pool_size=p) for p in (1, 2, 3)]
    assert by_pool == [(n + 1) * 8 + 9 * 5 for n in (256, 64, 25)]


def test_a_huge_head_is_counted_without_being_built():
    units = 4096
    expected = (32 * 32 * 2048 + 1) * units + (units + 1) * units + (units + 1) * 1000
    assert counts.head_params("vgg_fc", (32, 32, 2048), 1000) == expected


@pytest.mark.parametrize(("side", "pool", "left_out"), [(7, 2, 13), (16, 3, 31)])
def test_pre_averaging_leaves_cells_out(side, pool, left_out):
    seen, window = counts.cells_looked_at(side, side)
    assert window == pool
    assert (~seen).sum() == left_out
    covered = side // pool * pool
    assert seen[:covered, :covered].all()
    assert not seen[covered:].any()
    assert not seen[:, covered:].any()


def test_a_pool_that_divides_the_map_looks_at_all_of_it():
    assert counts.cells_looked_at(16, 16, 4)[0].all()
    assert counts.cells_looked_at(7, 9, 1)[0].all()
