"""Intervals: wider where less is known, sane where nearly nothing is evicted."""

from __future__ import annotations

import pytest

from condsim.predict.intervals import Interval, SideSeconds, Spread, around, intervals


def of_one_source(uncertainty: float, conditional_s: float, baseline_s: float) -> list[Interval]:
    spread = Spread({"linear": uncertainty})
    conditional = SideSeconds({"linear": conditional_s})
    baseline = SideSeconds({"linear": baseline_s})
    return list(intervals(conditional, baseline, spread))


def width(interval: Interval) -> float:
    return interval[1] - interval[0]


def test_more_uncertainty_is_wider() -> None:
    narrow, _ = of_one_source(0.02, 1.0, 2.0)
    wide, _ = of_one_source(0.2, 1.0, 2.0)
    assert wide[0] < narrow[0] < 2.0 < narrow[1] < wide[1]


def test_what_both_sides_share_partly_cancels() -> None:
    speedup, latency = of_one_source(0.1, 1.0, 1.0)
    assert width(speedup) < 1.3 * width(latency)


def test_a_large_deviation_of_almost_nothing_moves_little() -> None:
    conditional = SideSeconds({"linear": 1.0}, evicted=(1e-9, 1e-6))
    baseline = SideSeconds({"linear": 2.0}, evicted=(1e-9, 1e-6))
    speedup, _ = intervals(conditional, baseline, Spread({"linear": 0.0}))
    assert 1.999 < speedup[0] <= speedup[1] < 2.001


def test_the_same_seed_gives_the_same_interval() -> None:
    assert of_one_source(0.1, 1.0, 2.0) == of_one_source(0.1, 1.0, 2.0)


def test_seconds_that_overlap_are_drawn_as_the_clocks_run() -> None:
    summed = SideSeconds({"host": 1.0, "device": 1.0})
    clocked = SideSeconds({"host": 1.0, "device": 1.0}, clocked=1.2)
    spread = Spread({"host": 0.1, "device": 0.1})
    _, of_sum = intervals(summed, summed, spread)
    _, of_clock = intervals(clocked, clocked, spread)
    assert of_clock == pytest.approx((0.6 * of_sum[0], 0.6 * of_sum[1]))
    assert of_clock[0] < 1.2 < of_clock[1]


def test_an_interval_holds_its_value() -> None:
    assert around((1.0, 2.0), 3.0) == (1.0, 3.0)
    assert around((1.0, 2.0), 0.5) == (0.5, 2.0)
    assert around((1.0, 2.0), 1.5) == (1.0, 2.0)
