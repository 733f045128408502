"""Steps as a table of named extents."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.mechanisms import MECHANISMS
from condsim.steps.extents import SiteRule, Steps, capacity, rows_extent, window_extent
from condsim.trace.header import ONE_A_POSITION

RULE = SiteRule("e", MECHANISMS["moe"], 4, ONE_A_POSITION)


def steps(**more: np.ndarray) -> Steps:
    units, seq = np.array([2, 2]), np.array([3, 5])
    found = Steps.rectangular(units, seq, seq + 4, {"e": np.ones((2, 4), int)}, windows=(6,))
    return Steps({**found.extents, **more}, found.counts)


def test_a_rectangle_has_its_rows_from_its_sides() -> None:
    assert steps().arriving(RULE).tolist() == [6, 10]


def test_a_named_extent_says_how_many_rows_arrive() -> None:
    ragged = steps(**{rows_extent("e"): np.array([5, 7])})
    assert ragged.arriving(RULE).tolist() == [5, 7]


def test_a_window_sees_the_last_positions_only() -> None:
    assert steps().extents[window_extent(6)].tolist() == [6, 6]


def test_some_of_the_steps() -> None:
    some = steps().take([1])
    assert len(some) == 1
    assert some.extents["seq"].tolist() == [5]
    assert steps().step(0).extents["seq"].tolist() == [3]


@pytest.mark.parametrize(("rows", "room"), [(0, 1), (8, 5), (64, 40)])
def test_capacity_is_a_share_and_a_quarter_more_and_never_none(rows: int, room: int) -> None:
    assert capacity(np.array(rows), top_k=2, experts=4, factor=1.25) == room
