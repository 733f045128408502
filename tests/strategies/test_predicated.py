"""Warps that diverge: the closed form, its limits, and where it lies between running all rows
and running those that asked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.resources import resource
from condsim.strategies.predicated import diverged

TAKEN = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(TAKEN)
def test_between_the_rows_that_take_it_and_all(case: tuple[int, int]) -> None:
    taken, arriving = case
    assert taken - 1e-6 <= diverged(taken, arriving) <= arriving + 1e-6
    assert diverged(taken, arriving, warp=1) == pytest.approx(taken)
    assert diverged(0, arriving) == 0
    assert diverged(arriving, arriving) == pytest.approx(arriving)


@given(TAKEN)
def test_wider_warps_and_more_rows_never_run_less(case: tuple[int, int]) -> None:
    taken, arriving = case
    by_warp = [float(diverged(taken, arriving, w)) for w in (1, 2, 8, 32, 128)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(by_warp))
    assert diverged(min(taken + 1, arriving), arriving) >= diverged(taken, arriving) - 1e-9


def test_a_draw_agrees() -> None:
    """Whole warps of shuffled rows, counted."""
    rng, n, taken = np.random.default_rng(0), 4096, 100
    rows = [
        32 * rng.permuted(np.arange(n) < taken).reshape(-1, 32).any(1).sum() for _ in range(200)
    ]
    assert diverged(taken, n) == pytest.approx(np.mean(rows), rel=0.02)


@pytest.mark.parametrize("name", ["exit-fashion", "skip-fashion", "branch-fashion"])
def test_on_a_gpu_it_waits_for_nothing_and_runs_no_more_than_masked(name: str) -> None:
    trace = condsim.load(resource("traces") / name)
    masked, predicated, compacted = (
        condsim.simulate(trace, "nvidia-h100-sxm", s, 256)
        for s in ("masked", "predicated", "compacted")
    )
    assert compacted.executed_flops <= predicated.executed_flops <= masked.executed_flops
    assert predicated.latency_s <= masked.latency_s * 1.0001
    graphs = condsim.simulate(
        trace, "nvidia-h100-sxm", "predicated", 256, runtime="cuda_graphs"
    )  # its sizes do not follow the data
    assert graphs.latency_s < predicated.latency_s
