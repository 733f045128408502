"""Cases of products, and the tables of linear layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from condsim.calibrate import matmul, shapes
from condsim.calibrate.matmul import bias_curve, extra_costs, grid, peak_flops
from condsim.timing.cases import Pool


def test_every_case_runs() -> None:
    with torch.inference_mode():
        for make in matmul.cases(Pool(), shapes.TINY).values():
            make()()


def test_linear_layers_are_timed_up_to_the_largest_matmul() -> None:
    keys = [key for key in matmul.cases(Pool(), shapes.NORMAL) if key[0] == "linear"]
    assert max(2 * m * n * k for _, m, n, k in keys) <= shapes.NORMAL.flops


def _rows_by_columns(seconds: dict[tuple[int, int], float]) -> list[list[float]]:
    """The grid of 1 and 2 rows, 2 and 8 columns, alike for two depths. seconds: by (m, n)."""
    cases = {("mm", m, n, k): time_s for (m, n), time_s in seconds.items() for k in (4, 8)}
    table = grid(cases, "mm", (1, 2), (2, 8), (4, 8), 1e9)
    first_depth: list[list[float]] = np.reshape(table.seconds, (2, 2, 2))[:, :, 0].tolist()
    return first_depth


def test_a_cell_that_was_not_timed_has_the_rate_of_fewer_columns() -> None:
    timed = {(1, 2): 1.0, (1, 8): 5.0, (2, 2): 1.5}
    assert _rows_by_columns(timed) == [[1.0, 5.0], [1.5, 6.0]]


def test_a_cell_that_was_not_timed_takes_no_less_than_fewer_rows() -> None:
    timed = {(1, 2): 1.0, (1, 8): 5.0, (2, 2): 0.5}
    assert _rows_by_columns(timed) == [[1.0, 5.0], [0.5, 5.0]]


def test_the_first_column_and_the_first_cell_grow_with_rows_and_depth() -> None:
    table = grid({("mm", 1, 2, 4): 1.0}, "mm", (1, 3), (2, 4), (4, 8), 1e9)
    assert np.reshape(table.seconds, (2, 2, 2))[:, 0].tolist() == [[1.0, 2.0], [3.0, 6.0]]


def test_a_bias_never_costs_less_at_more_elements() -> None:
    seconds: dict[Any, float] = {}
    for m, n, bias_s in ((4, 16, 2.0), (2, 8, 1.0), (8, 16, 0.5)):
        seconds["bias", m, n] = 10.0 + bias_s
        seconds["unbiased", m, n] = 10.0
    curve = bias_curve(seconds)
    assert curve.sizes == [16.0, 64.0, 128.0]
    assert curve.seconds == [[1.0, 2.0, 2.0]]


def test_the_peak_is_that_of_the_fastest_linear_layer() -> None:
    seconds = {("linear", 2, 3, 4): 1.0, ("linear", 2, 3, 8): 1.5, ("mm", 9, 9, 9): 1e-9}
    assert peak_flops(seconds) == pytest.approx(64.0)


def test_extra_costs_are_never_negative() -> None:
    seconds = {("deep",): 3.0, ("flat",): 1.0, ("matmul_tiny",): 1.0, ("bmm_tiny",): 2.0}
    assert extra_costs(seconds) == {"linear.deep": 2.0, "matmul.extra": 0.0}
