"""Rows of strategies: conservation, bounds, and what they become in their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.mechanisms import MECHANISMS, Guards
from condsim.strategies import BASELINES, STRATEGIES, rows_that_run
from condsim.strategies.bucketed import bucket
from condsim.strategies.strategy import program_name

counts = st.lists(st.integers(0, 400), min_size=2, max_size=2)


def guards(taken: list[int], choice: int = 1, mechanism: str = "early_exit") -> Guards:
    """The guard of one branch in one call. taken: rows that took each branch."""
    rows = np.array([taken])
    return Guards(MECHANISMS[mechanism], np.array([choice]), rows, rows.sum(1))


def rows(name: str, of: Guards) -> int:
    return int(rows_that_run(name, of)[1][0, 0])


@given(counts)
def test_rows_are_between_those_that_took_the_branch_and_all(taken: list[int]) -> None:
    of = guards(taken)
    for name in ("bucketed", "select", "switched", "cpu_tail"):
        assert rows("compacted", of) <= rows(name, of) <= rows("masked", of), name


@given(counts)
def test_nobody_took_it_so_nothing_runs(taken: list[int]) -> None:
    of = guards([taken[0], 0])
    for name in ("bucketed", "switched", "cpu_tail"):
        assert rows(name, of) == 0, name


@given(st.integers(1, 5000), st.integers(0, 300))
def test_buckets_are_monotone_powers_of_two(count: int, more: int) -> None:
    size = int(bucket(np.array([count]))[0])
    assert size >= max(count, 8)
    assert size & (size - 1) == 0
    assert size < max(2 * count, 9)
    assert bucket(np.array([count + more]))[0] >= size


@given(counts)
def test_at_batch_one_switched_is_compacted(taken: list[int]) -> None:
    one = guards([1, 0] if taken[0] % 2 else [0, 1])
    np.testing.assert_array_equal(rows_that_run("switched", one), rows_that_run("compacted", one))


def test_experts() -> None:
    taken = [[5, 3, 0, 8]]
    of = Guards(MECHANISMS["moe"], np.array([1, 2]), np.array(taken), np.array([8]))
    assert rows_that_run("select", of)[1].tolist() == [[8, 8]]
    assert rows_that_run("switched", of)[1].tolist() == [[8, 0]]
    assert rows_that_run("bucketed", of)[1].tolist() == [[8, 0]]


def test_each_runs_a_program_that_can_be_probed() -> None:
    probed = {name for name, s in STRATEGIES.items() if not s.runs} - set(BASELINES)
    for name, strategy in STRATEGIES.items():
        for family, program in strategy.runs.items():
            assert program in probed, name
            assert family in STRATEGIES[program].all_served, name
    both = program_name({"early_exit": "select", "moe": "bucketed"})
    assert both == "early_exit=masked,moe=looped"
    assert program_name({"moe": "grouped"}) == "grouped"


@pytest.mark.parametrize(
    ("kind", "static"), [("cpu", False), ("gpu", False), ("tpu", True), ("npu", True)]
)
def test_a_static_device_has_no_sizes_that_follow_the_data(kind: str, static: bool) -> None:
    able = {name for name, s in STRATEGIES.items() if s.fits_device(kind, static)}
    assert ("compacted" in able) == (not static)
    assert ("bucketed" in able) == (kind == "tpu")
    assert ("switched" in able) == (kind == "npu")
    assert set(BASELINES) <= able
