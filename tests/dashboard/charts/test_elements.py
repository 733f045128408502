"""What several charts are made of."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from condsim.dashboard.charts import elements

LOW = st.floats(1e-4, 1e4)
FACTOR = st.floats(1.0, 1e4)


@given(low=LOW, factor=FACTOR)
def test_ticks_are_few_ascending_and_about_inside(low: float, factor: float) -> None:
    high = low * factor
    ticks = elements.ticks(low, high)
    assert len(ticks) <= elements.MOST_TICKS
    assert ticks == sorted(ticks)
    assert all(low / 1.12 <= tick <= high * 1.25 for tick in ticks)


@given(low=LOW, factor=st.floats(10.0, 1e4))
def test_a_decade_or_more_has_a_power_of_ten(low: float, factor: float) -> None:
    ticks = elements.ticks(low, low * factor)
    assert any(math.isclose(math.log10(tick) % 1, 0, abs_tol=1e-9) for tick in ticks)


@given(low=LOW, factor=st.floats(1.01, 1e4))
def test_an_axis_has_two_labels_at_least(low: float, factor: float) -> None:
    high = low * factor
    between = [tick for tick in elements.ticks(low, high) if low <= tick <= high]
    assert len(between) >= 2


def test_a_level_is_one_value_of_y() -> None:
    chart = elements.level(1.0, elements.log_scale(0.5, 2.0)).to_dict()
    assert chart["encoding"]["y"]["scale"]["domain"] == [0.5, 2.0]
