"""The soft maximum of arithmetic and traffic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu.overlap import soft_maximum

SECONDS = st.floats(0, 1)


@given(SECONDS, SECONDS, st.floats(1, 50))
def test_it_lies_between_the_longer_one_and_the_sum(a: float, b: float, exponent: float) -> None:
    joined = soft_maximum(a, b, exponent)
    assert max(a, b) * (1 - 1e-9) <= joined <= (a + b) * (1 + 1e-9)


@given(SECONDS, SECONDS)
def test_its_limits_are_the_sum_and_the_longer_one(a: float, b: float) -> None:
    assert soft_maximum(a, b, 1.0) == pytest.approx(a + b)
    assert soft_maximum(a, b, 1e4) == pytest.approx(max(a, b), rel=1e-3)
