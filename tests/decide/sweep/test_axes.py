"""Axes are read as they are written, and what cannot be an axis is one clear line."""

from __future__ import annotations

import pytest

from condsim.decide.sweep.axes import axes_of, parse_axis
from condsim.errors import CondsimError

KNOWN = ["batch", "device", "skew", "memory.dram.bandwidth"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("batch=1:256:log2", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        ("batch=1:4", [1, 2, 3, 4]),
        ("skew=0:1:0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("batch=3:100:log4", [3, 12, 48]),
        ("batch=1:2,8,16:64:log2", [1, 2, 8, 16, 32, 64]),
        ("device=all", ["all"]),
        ("strategy= grouped , looped", ["grouped", "looped"]),
    ],
)
def test_values_of_an_axis(text: str, values: list[object]) -> None:
    _, found = parse_axis(text)
    assert found == values


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("batch", "AXIS=VALUES"),
        ("=4", "AXIS=VALUES"),
        ("batch=x", "'x' is not a number"),
        ("batch=nan", "not a number"),
        ("batch=1:2:3:4", "START:STOP"),
        ("batch=0:8:log2", "above 0"),
        ("batch=8:1", "holds no value"),
        ("skew=0:1:0", "above 0"),
        ("skew=0:1:1e-9", "more than"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, word: str) -> None:
    with pytest.raises(CondsimError, match=word):
        parse_axis(text)


@pytest.mark.parametrize(
    ("over", "word"),
    [
        ({}, "empty grid"),
        ({"batch": []}, "empty grid"),
        ({"bach": [1]}, "did you mean 'batch'"),
        ({"batch": [1.5]}, "whole number"),
        ({"batch": [0]}, "at least 1"),
        ({"batch": [float("inf")]}, "whole number of at least 1, got inf"),
        ({"skew": float("nan")}, "skew must be a number, got nan"),
        ({"skew": ["much"]}, "skew must be a number"),
        ({"device": [3]}, "must be a name"),
    ],
)
def test_what_is_no_axis_is_refused(over: dict[str, object], word: str) -> None:
    with pytest.raises(CondsimError, match=word):
        axes_of(over, KNOWN)


def test_a_value_that_is_named_twice_is_one_point() -> None:
    (axis,) = axes_of({"batch": [1, 2, 1.0]}, KNOWN)
    assert axis.values == (1, 2)
