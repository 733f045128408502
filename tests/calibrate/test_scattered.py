"""Products at scattered sizes, and their tables."""

from __future__ import annotations

import pytest

from condsim.calibrate import shapes
from condsim.calibrate.scattered import FAMILIES, points, scatter
from condsim.calibrate.shapes import Convolution, Depthwise, Products


@pytest.mark.parametrize("name", FAMILIES)
def test_a_point_has_a_coordinate_for_each_dimension(name: str) -> None:
    family = FAMILIES[name]
    for point in points(name, shapes.TINY):
        assert len(family.coordinates(point)) == len(family.dims)
        assert family.flops(point) <= shapes.TINY.flops


def test_coordinates_of_convolutions_count_the_positions_of_the_output() -> None:
    size = Convolution(2, 8, 16, side=7, kernel=3, stride=2)
    assert FAMILIES["conv2d"].coordinates(size) == (2 * 16, 16, 8, 16, 3, 2)
    depthwise = Depthwise(2, 8, side=7, kernel=3, stride=2)
    assert FAMILIES["conv2d_depthwise"].coordinates(depthwise) == (2 * 16, 16, 8, 3, 2)


def test_single_rows_and_columns_have_no_coordinate() -> None:
    assert FAMILIES["bmm_row"].coordinates(Products(4, 1, 5, 6)) == (4, 5, 6)
    assert FAMILIES["bmm_column"].coordinates(Products(4, 3, 1, 6)) == (4, 3, 6)


def test_a_table_leaves_out_doubtful_points_while_enough_others_remain() -> None:
    chosen = points("bmm", shapes.NORMAL)
    seconds = {}
    for point in chosen:
        seconds["bmm", *point] = 1e-6 + 1e-9 * FAMILIES["bmm"].flops(point)
    every = scatter(seconds, "bmm", shapes.NORMAL)
    assert len(every.points) == len(chosen)
    few = {("bmm", *point) for point in chosen[:10]}
    assert len(scatter(seconds, "bmm", shapes.NORMAL, few).points) == len(chosen) - 10
    most = {("bmm", *point) for point in chosen[10:]}
    assert len(scatter(seconds, "bmm", shapes.NORMAL, most).points) == len(chosen)
