"""Blocks of a map and the weight that each cell has, against loops and hand counts."""

import itertools
import math

import numpy as np
import pytest

from wisesr_helpers.layers.blocks import block_sides, check_pool_size, default_pool_size, lay_out

AXES = [(length, window) for length in range(1, 41) for window in range(1, min(length, 8) + 1)]


@pytest.mark.parametrize(
    ("length", "window", "sides"),
    [(7, 2, (2, 3, 2)), (16, 3, (3, 3, 4, 3, 3)), (17, 3, (3, 4, 3, 4, 3)), (12, 2, (2,) * 6), (11, 6, (11,))],
)
def test_exact_blocks_by_hand(length, window, sides):
    assert block_sides(length, window, "exact") == sides
    assert block_sides(length, window) == (window,) * len(sides)  # the paper's: as many


def test_exact_blocks_leave_nothing_out_and_are_nearly_equal():
    for length, window in AXES:
        sides = block_sides(length, window, "exact")
        assert len(sides) == length // window
        assert sum(sides) == length
        assert max(sides) - min(sides) <= 1
        assert min(sides) >= window


def test_exact_blocks_are_the_same_from_both_ends_where_that_can_be():
    uneven = [axis for axis in AXES if (sides := block_sides(*axis, "exact")) != sides[::-1]]
    assert uneven == [(length, window) for length, window in AXES if length % 2 == 1 and length // window % 2 == 0]


@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(5, 5, 6), (3, 3, 3), (4, 4, 3), (1, 1, 1), (3, 6, 6), (11, 11, 20)]
)
def test_a_radial_kernel_has_a_weight_for_each_distance(rows, columns, count):
    """11×11: three and four blocks away diagonally is five away along an axis."""
    layout = lay_out(rows, columns, 1, sharing="radial")
    assert layout.count == count
    of_distance = {}
    for i, j in itertools.product(range(rows), range(columns)):
        distance = round(math.hypot(i - (rows - 1) / 2, j - (columns - 1) / 2), 9)
        of_distance.setdefault(distance, set()).add(int(layout.numbers[i, j]))
    assert [of_distance[distance] for distance in sorted(of_distance)] == [{k} for k in range(count)]


def test_cells_of_the_papers_blocks():
    layout = lay_out(7, 7, 2)
    assert (~layout.inside).sum() == 13  # in no block
    assert layout.covered == 36
    for i, j in itertools.product(range(6), range(6)):
        assert layout.cells[i, j] == i // 2 * 3 + j // 2


def test_cells_of_exact_blocks():
    layout = lay_out(7, 5, 2, "exact")
    np.testing.assert_array_equal(layout.cells[:, 0], [0, 0, 2, 2, 2, 4, 4])
    np.testing.assert_array_equal(layout.cells[0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(layout.sizes, [6, 4, 9, 6, 6, 4])


def test_blocks_of_two_sizes_at_one_distance_have_the_mean_size():
    layout = lay_out(7, 6, 2, "exact", "radial")  # above and below the centre 2×2 cells, beside it 3×2
    assert layout.numbers.tolist() == [[2, 1, 2], [1, 0, 1], [2, 1, 2]]
    np.testing.assert_array_equal(layout.sizes, [6, 5, 4])


@pytest.mark.parametrize(("height", "width"), [(7, 6), (16, 16), (17, 16)])
@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("cover", ["blocks", "exact"])
@pytest.mark.parametrize("sharing", [None, "radial"])
def test_averaging_gives_every_covered_cell_the_same(height, width, window, cover, sharing):
    layout = lay_out(height, width, window, cover, sharing)
    of_cells = np.append(layout.averaging / layout.sizes, 0)[layout.cells]
    inside = layout.cells < layout.count
    assert inside.all() or cover == "blocks"
    np.testing.assert_allclose(of_cells[inside], 1 / inside.sum(), rtol=1e-12)
    assert not of_cells[~inside].any()


@pytest.mark.parametrize(
    ("side", "p", "kernel"), [(7, 2, 3), (16, 3, 5), (10, 2, 5), (12, 3, 4), (4, 2, 2), (32, 6, 5)]
)
def test_the_papers_rule_for_the_pool(side, p, kernel):
    assert default_pool_size(side) == lay_out(side, side + 1).window == p
    assert side // p == kernel <= 5
    assert p == 2 or side // (p - 1) > 5


@pytest.mark.parametrize("pool_size", [8, 0, -1, 2.0, True])
def test_a_pool_that_does_not_fit_is_refused(pool_size):
    with pytest.raises(ValueError, match=r"7×9 cells takes a pool_size from 1 to 7 .* received pool_size="):
        check_pool_size(pool_size, 7, 9)


def test_a_map_too_small_for_the_papers_rule_is_refused():
    with pytest.raises(ValueError, match="1×1 cells takes a pool_size from 1 to 1 .* the paper's rule asks for"):
        lay_out(1, 1)
