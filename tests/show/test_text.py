"""Numbers and results in words."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.mechanisms import MECHANISMS
from condsim.show.text import (
    PREFIXES,
    cancelled_line,
    error_line,
    number,
    percent,
    sentence,
    shares,
    si,
    spoken,
    times,
)

POSITIVE = st.floats(1e-14, 1e14)
SCALES = {prefix: scale for scale, prefix in PREFIXES}


@given(POSITIVE)
def test_a_number_keeps_three_digits_and_has_no_exponent(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=5.1e-3)


@given(POSITIVE)
def test_a_prefix_stands_for_its_power_of_ten(value: float) -> None:
    shown, unit = si(value, "s").split()
    scale = SCALES[unit.removesuffix("s")]
    assert float(shown) * scale == pytest.approx(value, rel=5.1e-3)


@given(st.floats(1e-14, 9e14))
def test_no_prefix_leaves_a_number_above_a_thousand(value: float) -> None:
    assert float(si(value, "s").split()[0]) < 1000


@given(POSITIVE)
def test_the_sign_changes_nothing_else(value: float) -> None:
    assert si(-value, "s") == "-" + si(value, "s")
    assert number(-value) == "-" + number(value)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_unknown_says_so(value: float | None) -> None:
    assert {number(value), si(value, "s"), times(value), percent(value)} == {"n/a"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00413, "4.13 ms"),
        (1.9, "1.90 s"),
        (1.5e-6, "1.50 µs"),
        (0.0, "0 s"),
        (12345.0, "12.3 ks"),
        (0.9996, "1.000 s"),
        (0.9994, "999 ms"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert si(value, "s") == text


def test_other_numbers() -> None:
    assert [times(value) for value in (1.4, 0.0541)] == ["1.40x", "0.054x"]
    assert number(1979.4) == "1979"
    assert number(0) == "0"
    assert percent(0.0234) == "+2.3%"
    assert percent(0.0234, sign=False) == "2.3%"


def test_names_are_spoken() -> None:
    assert spoken("weight_traffic") == "weight traffic"
    assert spoken("moe") == "mixture of experts"
    for name in MECHANISMS:
        assert "_" not in spoken(name)


@given(st.dictionaries(st.sampled_from(["measured", "calibrated", "estimated"]), st.floats(0, 1)))
def test_the_largest_share_comes_first(basis: dict[str, float]) -> None:
    shown = [int(share) for share in re.findall(r"(\d+)%", shares(basis))]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == len([share for share in basis.values() if share >= 0.005])


@pytest.mark.parametrize(
    ("verdict", "begin"),
    [
        ("faster", "It pays: 1.40x as fast as"),
        ("slower", "It does not pay: 1.40x as fast as"),
        ("too close to call", "Too close to call: 1.40x as fast as"),
    ],
)
def test_the_verdict_is_a_sentence(verdict: str, begin: str) -> None:
    prediction: Any = SimpleNamespace(
        verdict=verdict,
        speedup=1.4,
        speedup_interval=(0.9, 1.9),
        baseline="same-params",
        profile="a-device",
        batch=8,
    )
    text = sentence(prediction)
    assert text.startswith(begin)
    assert "the same-params dense model on a-device at batch 8" in text
    assert "90 % interval 0.900 ... 1.90" in text


def test_statistics_of_errors() -> None:
    assert "no statistics" in error_line({"rows_same_machine": 0})
    line = error_line(
        {
            "rows_same_machine": 9,
            "median_abs_error": 0.05,
            "p90_abs_error": 0.1,
            "worst_abs_error": 0.2,
        }
    )
    assert "9 rows" in line
    assert "median |error| 5.0%, 90th percentile 10.0%, worst 20.0%" in line


def test_statistics_of_parts() -> None:
    summary = {"sides": 2, "median_abs_error": 0.01, "median_sum_of_abs_errors": 0.3}
    line = cancelled_line(summary, "segment")
    assert "2 sides: |error| of the sum 1.0%" in line
    assert "|errors| of each segment 30.0%" in line
