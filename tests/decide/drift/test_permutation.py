"""The permutation test: right without drift, whatever tokens of a sequence do, and it finds
drift."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sticky import Sticky
from condsim.decide.drift.permutation import holm, permuted

ROUTER = Sticky(sets=16, skew=0.5)


def p_of(seed: int, moved: float = 0.0) -> float:
    rng = np.random.default_rng(seed)
    law = ROUTER.popularity.copy()
    law[:8] *= 1 - moved / law[:8].sum()
    law[8:] *= 1 + moved / law[8:].sum()
    one, other = ROUTER.counts(40, rng), ROUTER.counts(40, rng, law)
    return permuted({"site": one}, {"site": other}, 99, seed).overall.p


def test_level_holds_on_sticky_sequences() -> None:
    calls = np.mean([p_of(seed) <= 0.1 for seed in range(300)])
    assert calls == pytest.approx(0.1, abs=0.052)  # three standard errors


def test_drift_is_found() -> None:
    assert np.mean([p_of(seed, 0.4) <= 0.1 for seed in range(20)]) > 0.9


def test_distance_is_total_variation() -> None:
    one, other = np.array([[3, 1], [1, 3]]), np.array([[4, 0], [2, 2]])
    moved = permuted({"site": one}, {"site": other}, 9).of_site("site")
    assert moved.distance == pytest.approx(0.25)
    assert permuted({"site": one}, {"site": one}, 9).overall.p == 1


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
