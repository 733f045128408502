"""Which table answers for an operator, and what a profile without it says."""

from __future__ import annotations

import pytest

import condsim
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.cpu.sparse_time import SPARSE, table_of
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Scatter

MULTIPLIED = SizedOperator("csr_mm", [(301,), (5000,), (5000,), (784, 64)], [(300, 64)], (1,))
APART = SizedOperator("csr_mm", [(301,), (5000,), (5000,), (784, 64)], [(300, 64)], (0,))


def calibrated() -> HardwareProfile:
    """A profile whose table of sparse products says: a nanosecond a value, ten more a row that
    lies otherwise."""
    points = [
        [n, k, m, values, apart]
        for n in (100.0, 1000.0)
        for k in (100.0, 1000.0)
        for m in (8.0, 512.0)
        for values in (1000.0, 100000.0)
        for apart in (0.0, 1.0)
    ]
    seconds = [1e-9 * point[3] + 1e-8 * point[4] * (point[0] + point[1]) for point in points]
    table = Scatter(
        dims=["n", "k", "m", "values", "apart"],
        points=points,
        seconds=seconds,
        scales=[4.0] * 5,
        noise=0.03,
    )
    profile = condsim.hardware("raspberry-pi-5")
    return profile.model_copy(update={"matmuls": {"csr_mm": table}})


def test_a_profile_without_the_table_says_so() -> None:
    profile = condsim.hardware("raspberry-pi-5")
    for name in SPARSE:
        with pytest.raises(CondsimError, match=rf"{name} is not calibrated\): run condsim cal"):
            operator_time(SizedOperator(name, MULTIPLIED.inputs, MULTIPLIED.outputs), profile)


def test_operands_that_lie_otherwise_cost_more() -> None:
    profile = calibrated()
    assert table_of(MULTIPLIED, profile) == "csr_mm"
    together, apart = (operator_time(one, profile) for one in (MULTIPLIED, APART))
    assert together.basis == "calibrated"
    assert 1e-6 < together.seconds < apart.seconds < 1e-3


def test_sizes_that_nobody_timed_are_extrapolated() -> None:
    wide = SizedOperator("csr_mm", [(301,), (5000,), (5000,), (9000, 64)], [(300, 64)], (1,))
    assert operator_time(wide, calibrated()).basis == "extrapolated"


def test_what_moves_a_mask_has_a_table_where_it_was_timed() -> None:
    profile = calibrated()
    topk = SizedOperator("topk", [(1000,)], [(10,), (10,)])
    assert table_of(topk, profile) == ""
    timed = profile.model_copy(
        update={"matmuls": {"topk.whole": profile.matmuls["csr_mm"], "rand": 1}}
    )
    assert table_of(topk, timed) == "topk.whole"
    of_rows = SizedOperator("topk", [(10, 100)], [(10, 2), (10, 2)])
    assert table_of(of_rows, timed) == ""
