"""Products on a calibrated CPU: each kind is what it is made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.cpu.tables import grid_seconds
from condsim.cost.hot import OperatorTime, SizedOperator
from condsim.hardware import Curve, Grid, HardwareProfile, Scatter

Seconds = Callable[[float, float, float], float]


def linear(m: int, n: int, k: int, profile: HardwareProfile) -> OperatorTime:
    return operator_time(SizedOperator("linear", [(m, k), (n, k)], [(m, n)]), profile)


def grid_of(profile: HardwareProfile) -> Grid:
    table = profile.matmuls["linear"]
    assert isinstance(table, Grid)
    return table


def test_a_linear_layer_says_whether_its_sizes_were_measured(profile: HardwareProfile) -> None:
    assert linear(64, 256, 256, profile).basis == "calibrated"
    assert linear(640, 256, 256, profile).basis == "extrapolated"
    assert linear(8, 2560, 256, profile).basis == "extrapolated"


def test_a_bias_costs_what_was_measured_of_it(profile: HardwareProfile) -> None:
    bias = Curve(sizes=[1.0, 1e6], seconds=[[3e-6, 3e-6]])
    known = profile.model_copy(update={"operators": {**profile.operators, "linear.bias": bias}})
    plain = linear(8, 64, 64, known)
    biased = operator_time(SizedOperator("linear", [(8, 64), (64, 64), (64,)], [(8, 64)]), known)
    assert biased.seconds == pytest.approx(plain.seconds + 3e-6)


def test_a_grouped_product_is_the_sum_of_its_groups(
    profile: HardwareProfile, formula: Seconds
) -> None:
    rows = np.array([[4, 0, 12, 0], [4, 4, 4, 4]])
    inputs, outputs = [(16, 64), (4, 64, 64), (4,)], [(16, 64)]
    hot = operator_time(SizedOperator("_grouped_mm", inputs, outputs), profile, rows)
    least = grid_of(profile).dispatch_s
    expected = []
    for of_step in rows:
        layers = sum(formula(r, 64, 64) - least for r in of_step if r)
        expected.append(5e-6 + 4 * 1e-6 + layers)
    np.testing.assert_allclose(hot.seconds, expected)
    even = operator_time(SizedOperator("_grouped_mm", inputs, outputs), profile)
    assert even.seconds == pytest.approx(expected[1])


def test_no_rows_cost_the_dispatch(profile: HardwareProfile) -> None:
    shape = (1, 4, 0, 32)
    hot = operator_time(
        SizedOperator("scaled_dot_product_attention", [shape] * 3, [shape]), profile
    )
    assert hot.seconds == hot.dispatch


def test_batched_products_beyond_what_was_timed_run_one_after_the_other(
    profile: HardwareProfile,
) -> None:
    table = Scatter(
        dims=["groups", "m", "n", "k"],
        points=[[2, 2, 8, 8], [4, 8, 8, 64], [8, 8, 64, 8], [2, 16, 64, 64]],
        seconds=[1e-6, 2e-6, 3e-6, 4e-6],
        scales=[4.0] * 4,
        noise=0.02,
    )
    known = profile.model_copy(update={"matmuls": {**profile.matmuls, "bmm": table}})
    large = operator_time(
        SizedOperator("bmm", [(4, 64, 256), (4, 256, 256)], [(4, 64, 256)]), known
    )
    grid = grid_of(profile)
    once_s, _ = grid_seconds(grid, 64, 256, 256)
    assert large.seconds == pytest.approx(grid.dispatch_s + 4 * (once_s - grid.dispatch_s))
    timed = operator_time(SizedOperator("bmm", [(4, 8, 64), (4, 64, 8)], [(4, 8, 8)]), known)
    assert timed.seconds < 1e-5


def test_a_convolution_without_a_table_is_estimated(profile: HardwareProfile) -> None:
    inputs, outputs = [(2, 16, 8, 8), (32, 16, 3, 3)], [(2, 32, 8, 8)]
    hot = operator_time(SizedOperator("conv2d", inputs, outputs, (1, 1)), profile)
    assert (hot.basis, hot.family) == ("estimated", "conv2d")
    assert hot.seconds > hot.dispatch
