"""Rows of the strategies of accelerators: conservation, bounds, and what they become in their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.strategies import BASELINES, STRATEGIES, Guard, program_name, rows_that_run
from condsim.strategies.bucketed import bucket

counts = st.lists(st.integers(0, 400), min_size=2, max_size=2)


def guard(c: list[int], mechanism: str = "early_exit") -> Guard:
    taken = np.array([c])
    return Guard(mechanism, 1, taken, taken.sum(1))


@given(counts)
def test_rows_are_between_those_that_took_the_branch_and_all(c: list[int]) -> None:
    g = guard(c)
    least, most = rows_that_run("compacted", g)[1], rows_that_run("masked", g)[1]
    for name in ("bucketed", "select", "switched", "cpu_tail"):
        rows = rows_that_run(name, g)[1]
        assert least <= rows <= most, name


@given(counts)
def test_nobody_took_it_so_nothing_runs(c: list[int]) -> None:
    g = guard([c[0], 0])
    for name in ("bucketed", "switched", "cpu_tail"):
        assert rows_that_run(name, g)[1] == 0, name


@given(st.integers(1, 5000), st.integers(0, 300))
def test_buckets_are_monotone_powers_of_two(rows: int, more: int) -> None:
    size = int(bucket(np.array([rows]))[0])
    assert size >= max(rows, 8)
    assert size & (size - 1) == 0
    assert size < max(2 * rows, 9)
    assert bucket(np.array([rows + more]))[0] >= size


@given(counts)
def test_at_batch_one_switched_is_compacted(c: list[int]) -> None:
    one = guard([1, 0] if c[0] % 2 else [0, 1])
    np.testing.assert_array_equal(rows_that_run("switched", one), rows_that_run("compacted", one))


def test_experts() -> None:
    g = Guard("moe", 1, np.array([[5, 3, 0, 8]]), np.array([8]))
    assert rows_that_run("select", g)[1] == 8
    assert rows_that_run("switched", g)[1] == 8
    assert rows_that_run("bucketed", g)[1] == 8
    assert rows_that_run("switched", Guard("moe", 2, g.counts, g.arriving))[1] == 0


def test_each_runs_a_program_that_can_be_probed() -> None:
    probed = {n for n, s in STRATEGIES.items() if not s.runs} - set(BASELINES)
    for name, s in STRATEGIES.items():
        for mechanism in s.mechanisms if s.runs else ():
            assert s.runs[mechanism] in probed, name
            assert mechanism in STRATEGIES[s.runs[mechanism]].mechanisms, name
    assert (
        program_name({"early_exit": "select", "moe": "bucketed"}) == "early_exit=masked,moe=looped"
    )
    assert program_name({"moe": "grouped"}) == "grouped"


@pytest.mark.parametrize(
    ("kind", "static"), [("cpu", False), ("gpu", False), ("tpu", True), ("npu", True)]
)
def test_a_static_device_has_no_sizes_that_follow_the_data(kind: str, static: bool) -> None:
    able = {n for n, s in STRATEGIES.items() if s.fits(kind, static)}
    assert ("compacted" in able) == (not static)
    assert ("bucketed" in able) == (kind == "tpu")
    assert ("switched" in able) == (kind == "npu")
    assert set(BASELINES) <= able
