"""Intervals: wider where less is known, sane where nearly nothing is evicted."""

from __future__ import annotations

from condsim.predict.prediction import intervals


def test_more_uncertainty_is_wider() -> None:
    narrow, wide = (
        intervals({"linear": 1.0}, {"linear": 2.0}, {"linear": u})[0] for u in (0.02, 0.2)
    )
    assert wide[0] < narrow[0] < 2.0 < narrow[1] < wide[1]


def test_what_both_sides_share_partly_cancels() -> None:
    speedup, latency = intervals({"linear": 1.0}, {"linear": 1.0}, {"linear": 0.1})
    assert (speedup[1] - speedup[0]) / 1.0 < 1.3 * (latency[1] - latency[0])


def test_a_large_deviation_of_almost_nothing_moves_little() -> None:
    speedup, _ = intervals(
        {"linear": 1.0}, {"linear": 2.0}, {"linear": 0.0}, ((1e-9, 1e-6), (1e-9, 1e-6))
    )
    assert 1.999 < speedup[0] <= speedup[1] < 2.001


def test_the_same_seed_gives_the_same_interval() -> None:
    assert intervals({"a": 1.0}, {"a": 2.0}, {"a": 0.1}) == intervals(
        {"a": 1.0}, {"a": 2.0}, {"a": 0.1}
    )
