"""Curves and grids: exact where time is linear, rising, and honest outside of what was measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.cost.cpu.tables import EXACT, curve_seconds, grid_seconds
from condsim.hardware import Curve, Grid, HardwareProfile

Seconds = Callable[[float, float, float], float]


@pytest.fixture(scope="module")
def grid(profile: HardwareProfile) -> Grid:
    table = profile.matmuls["linear"]
    assert isinstance(table, Grid)
    return table


@settings(max_examples=60)
@given(m=st.integers(1, 64), n=st.integers(8, 256), k=st.integers(8, 256))
def test_a_multilinear_time_is_read_exactly_at_whole_tiles(
    grid: Grid, formula: Seconds, m: int, n: int, k: int
) -> None:
    m = m if m <= EXACT else m // 4 * 4
    seconds, outside = grid_seconds(grid, m, n, k)
    assert float(seconds) == pytest.approx(formula(m, n, k), rel=1e-9)
    assert not outside


@settings(max_examples=60)
@given(
    m=st.integers(1, 4000), n=st.integers(1, 600), k=st.integers(1, 600), more=st.integers(1, 64)
)
def test_more_rows_are_hardly_ever_faster(grid: Grid, m: int, n: int, k: int, more: int) -> None:
    """A remainder may cost more than the next whole tile (it does on real kernels), by 10 %."""
    few, _ = grid_seconds(grid, m, n, k)
    many, _ = grid_seconds(grid, m + more, n, k)
    assert many >= few / 1.1
    whole_tiles, _ = grid_seconds(grid, 4 * m, n, k)
    more_tiles, _ = grid_seconds(grid, 4 * (m + more), n, k)
    assert more_tiles >= whole_tiles


@settings(max_examples=40)
@given(
    m=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    n=st.integers(8, 300),
    k=st.integers(8, 300),
)
def test_arrays_give_what_numbers_give(grid: Grid, m: list[int], n: int, k: int) -> None:
    alone = [float(grid_seconds(grid, rows, n, k)[0]) for rows in m]
    by_rows, _ = grid_seconds(grid, np.array(m), n, k)
    np.testing.assert_allclose(by_rows, alone, rtol=1e-12)
    by_all, _ = grid_seconds(grid, np.array(m), np.full(len(m), n), np.full(len(m), k))
    np.testing.assert_allclose(by_all, alone, rtol=1e-12)


def test_outside_of_the_measured_sizes_efficiency_is_constant_and_said(grid: Grid) -> None:
    inside, is_outside = grid_seconds(grid, 64, 256, 256)
    assert not is_outside
    for sizes in ((640, 256, 256), (64, 2560, 256), (64, 256, 2560)):
        seconds, is_outside = grid_seconds(grid, *sizes)
        assert is_outside
        assert seconds == pytest.approx(10 * inside)


def test_a_remainder_of_columns_adds_what_it_adds_to_the_first_tile() -> None:
    columns = [8.0, 10, 12, 16, 64]
    seconds = [[1.0, 1.5, 1.6, 2.0, 8.0]] * 4
    table = Grid(
        m=[1.0, 2],
        n=columns,
        k=[1.0, 2],
        seconds=[seconds[0][n] for _m in range(2) for n in range(5) for _k in range(2)],
        reached=1e9,
    )
    whole, _ = grid_seconds(table, 1, 32, 1)
    with_two_more, _ = grid_seconds(table, 1, 34, 1)
    assert with_two_more == pytest.approx(whole + 0.5)


@settings(max_examples=40)
@given(elements=st.integers(1, 10**7), more=st.integers(1, 10**6), length=st.integers(1, 4096))
@pytest.mark.parametrize("name", ["relu", "softmax"])
def test_curves_rise(
    profile: HardwareProfile, name: str, elements: int, more: int, length: int
) -> None:
    few, _ = curve_seconds(profile.operators[name], elements, length)
    many, _ = curve_seconds(profile.operators[name], elements + more, length)
    assert many >= few * (1 - 1e-12)


def test_a_curve_gives_arrays_what_it_gives_numbers(profile: HardwareProfile) -> None:
    curve: Curve = profile.operators["softmax"]
    elements, lengths = np.array([20, 500, 10**6]), np.array([1, 16, 4096])
    together, outside = curve_seconds(curve, elements, lengths)
    alone = [curve_seconds(curve, e, w)[0] for e, w in zip(elements, lengths, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert outside.tolist() == [False, False, True]


def test_what_is_computed_from_a_table_is_kept_with_it(profile: HardwareProfile) -> None:
    table = profile.operators["relu"].model_copy()
    calls = []

    def compute() -> int:
        calls.append("computed")
        return 3

    assert [table.once("answer", compute), table.once("answer", compute)] == [3, 3]
    assert calls == ["computed"]
