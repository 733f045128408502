"""Costs of grouped matmuls beyond the linear layers of their groups."""

from __future__ import annotations

import pytest

from condsim.calibrate.grouped import COSTS, SIZES, grouped_costs
from condsim.hardware import Grid, Residency

FREE_MISSES = Residency(
    distance=[1.0, 2.0],
    bytes=[1.0],
    one_row=[[0.0, 0.0]],
    more_rows=[[0.0, 0.0]],
    spread=[0.0, 0.0],
    limit_bytes=1.0,
)


def test_costs_that_made_the_times_are_found_again() -> None:
    setup_s, group_s, busy_s = 5e-6, 2e-7, 3e-7
    seconds = {}
    one_cell = Grid(m=[1, 64], n=[32, 512], k=[32, 512], seconds=[1e-6] * 8, reached=1e12)
    for number, size in enumerate(SIZES):
        busy = size.groups if size.rows else 0
        seconds["grouped_mm", number] = setup_s + group_s * size.groups + busy_s * busy
    costs = grouped_costs(seconds, one_cell, FREE_MISSES)
    assert tuple(costs) == COSTS
    assert list(costs.values()) == pytest.approx([setup_s, group_s, busy_s], rel=1e-3)
