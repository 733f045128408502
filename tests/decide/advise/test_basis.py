"""Sobol indices of a sum that is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.decide.advise.basis import sensitivity
from condsim.predict.intervals import SideSeconds, Sources, Spread


def test_variance_is_shared_as_seconds_times_uncertainty_are() -> None:
    """With small errors log speedup is linear: a source makes (s u)² of its variance on a side."""
    conditional = SideSeconds({"fast": 1.0, "slow": 3.0})
    baseline = SideSeconds({"fast": 4.0})
    sources = Sources(conditional, baseline, Spread({"fast": 0.02, "slow": 0.04}))
    table = sensitivity(sources).set_index("source")
    # log speedup = fast (shared 1 - 1/4; own 1/4, 1) and slow (3/4), each with half its variance.
    fast = 0.02**2 * (0.5 * 0.75**2 + 0.5 * (0.25**2 + 1))
    slow = 0.04**2 * 0.75**2
    assert table.loc["slow", "share"] == pytest.approx(slow / (slow + fast), abs=0.05)
    assert table["share"].sum() == pytest.approx(1, abs=0.05)
    assert list(table.index) == ["slow", "fast"]


def test_numbers_that_are_known_move_nothing() -> None:
    side = SideSeconds({"fast": 1.0})
    assert sensitivity(Sources(side, side, Spread({"fast": 0.0}))).empty


def test_speedups_of_no_draw_are_the_speedup() -> None:
    sources = Sources(SideSeconds({"a": 2.0}), SideSeconds({"a": 3.0}), Spread({"a": 0.3}))
    none = np.zeros((1, 2))
    assert sources.speedups(none, none, none) == pytest.approx([1.5])
