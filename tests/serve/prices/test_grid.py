"""Sizes of a grid, and straight lines between them."""

from __future__ import annotations

import pytest

from condsim.serve.prices.grid import between, on_line, sizes_up_to


def test_sizes_are_exact_at_first_and_then_by_octaves() -> None:
    sizes = sizes_up_to(64, 8, 2)
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 23, 32, 45, 64]
    assert sizes_up_to(5, 16, 8) == [1, 2, 3, 4, 5]
    assert sizes_up_to(1, 1, 4) == [1]


@pytest.mark.parametrize(
    ("value", "place"),
    [(0, (0, 0, 0.0)), (1, (0, 1, 0.0)), (3, (1, 2, 0.5)), (4, (2, 2, 0.0)), (9, (2, 2, 0.0))],
)
def test_places(value: float, place: tuple[int, int, float]) -> None:
    assert between([1, 2, 4], value) == place


def test_a_line_is_exact_at_its_ends_and_straight() -> None:
    costs = [(1.0, 10.0), (3.0, 30.0)]
    assert on_line(costs, (0, 1, 0.0)) == (1.0, 10.0)
    assert on_line(costs, (0, 1, 0.5)) == (2.0, 20.0)
    assert on_line(costs, (1, 1, 0.0)) == (3.0, 30.0)
