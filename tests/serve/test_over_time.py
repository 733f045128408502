"""A number over time keeps its integral, however long the time is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.serve.over_time import BUCKETS, OverTime

TICKS = st.integers(0, 1 << 20).map(lambda ticks: ticks / 1024)
"""Times that floats add up exactly."""
SPANS = st.lists(st.tuples(TICKS, TICKS, st.integers(0, 50)), min_size=1, max_size=20)


@given(SPANS)
def test_the_integral_is_kept(spans: list[tuple[float, float, int]]) -> None:
    number = OverTime()
    expected, now = 0.0, 0.0
    for gap, held, value in spans:
        now += gap
        number.add(now, now + held, value)
        expected += value * held
        now += held
    assert number.integral == pytest.approx(expected, rel=1e-9, abs=1e-12)
    table = number.table("value")
    assert len(table) <= BUCKETS
    ends = np.append(table["start_s"].to_numpy()[1:], now)
    width = np.maximum(ends - table["start_s"].to_numpy(), 0)
    assert float((table["value"] * width).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_buckets_are_means() -> None:
    number = OverTime()
    number.add(0.0, 1.0, 4)
    number.add(1.0, 3.0, 2)
    number.add(3.0, 4.0, 0)
    table = number.table("value")
    assert number.largest == 4
    assert table["value"].iloc[0] == pytest.approx(4)
    assert table["value"].iloc[-1] == pytest.approx(0)
