"""Where a speedup crosses 1x, and a grid of scenarios."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.study.breakeven import BATCH, SHARE, SKEW, axes, crossings, grid
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"
SPEEDUPS = st.lists(st.floats(0.01, 100.0), min_size=2, max_size=20)


def line(speedups: list[float], y: float | None = None) -> pd.DataFrame:
    """Points of one line, x = 1, 2, 4, ..."""
    x = [2.0**place for place in range(len(speedups))]
    return pd.DataFrame({"x": x, "y": y, "speedup": speedups})


@given(SPEEDUPS)
def test_starts_and_stops_alternate(speedups: list[float]) -> None:
    kinds = list(crossings(line(speedups))["what"])
    for before, after in itertools.pairwise(kinds):
        assert before != after


@given(SPEEDUPS)
def test_a_line_crosses_as_often_as_its_points_change_sides(speedups: list[float]) -> None:
    above = np.array(speedups) > 1.0
    changes = int((above[1:] != above[:-1]).sum())
    assert len(crossings(line(speedups))) == changes


@given(SPEEDUPS)
def test_a_crossing_lies_between_two_points_on_different_sides(speedups: list[float]) -> None:
    points = line(speedups)
    for crossing in crossings(points).to_dict("records"):
        before = points[points["x"] <= crossing["x"] * (1 + 1e-12)].iloc[-1]
        after = points[points["x"] >= crossing["x"] * (1 - 1e-12)].iloc[0]
        sides = sorted((before["speedup"], after["speedup"]))
        assert sides[0] <= 1.0 <= sides[1]


@given(SPEEDUPS, st.permutations(range(4)))
def test_the_order_of_the_points_does_not_matter(speedups: list[float], order: list[int]) -> None:
    points = line((speedups * 2)[:4])
    pd.testing.assert_frame_equal(crossings(points), crossings(points.iloc[order]))


def test_between_two_points_the_logarithm_is_linear() -> None:
    (row,) = crossings(line([0.5, 2.0])).to_dict("records")
    assert row["x"] == pytest.approx(math.sqrt(2.0))
    assert row["what"] == "starts to pay"
    (row,) = crossings(line([4.0, 0.5])).to_dict("records")
    assert row["x"] == pytest.approx(2.0 ** (2 / 3))
    assert row["what"] == "stops to pay"


def test_from_zero_the_share_itself_is_linear() -> None:
    points = pd.DataFrame({"x": [0.0, 1.0], "y": None, "speedup": [0.5, 2.0]})
    assert crossings(points)["x"].tolist() == [0.5]


def test_another_level() -> None:
    assert crossings(line([1.5, 3.0])).empty
    assert crossings(line([1.5, 6.0]), level=3.0)["x"].tolist() == [pytest.approx(math.sqrt(2.0))]


def test_each_y_has_its_own_crossings() -> None:
    both = pd.concat([line([0.5, 2.0], y=1.0), line([2.0, 3.0], y=8.0)])
    assert crossings(both)["y"].tolist() == [1.0]


def test_points_that_could_not_be_simulated_are_left_out() -> None:
    points = line([0.5, math.nan, 2.0])
    assert crossings(points)["x"].tolist() == [pytest.approx(2.0)]
    refused = pd.DataFrame({"x": [1.0], "y": [None], "error": ["no"]})
    assert list(crossings(refused).columns) == ["y", "x", "what"]
    assert crossings(refused).empty


@pytest.fixture(scope="module")
def exits() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def test_axes_are_what_the_trace_and_the_device_have(exits: Trace) -> None:
    device = hardware(GPU)
    known = axes(exits, device)
    assert SHARE in known
    assert SKEW not in known
    assert known[BATCH][0] == 1.0
    experts = axes(condsim.load(resource("traces") / "moe-bytes"), device)
    assert SKEW in experts
    assert SHARE not in experts


def test_every_number_of_a_profile_can_be_varied(exits: Trace) -> None:
    device = hardware(GPU)
    for path in axes(exits, device):
        if path not in (BATCH, SKEW, SHARE):
            value = device.model_dump()
            for name in path.split("."):
                value = value[name]
            assert value["value"] > 0


def test_a_point_is_what_simulate_says(exits: Trace) -> None:
    (row,) = grid(exits, GPU, BATCH, [8.0])
    prediction = condsim.simulate(exits, GPU, batch=8)
    assert (row["x"], row["y"]) == (8.0, None)
    assert row["speedup"] == prediction.speedup
    assert row["latency_s"] == prediction.latency_s
    assert (row["low"], row["high"]) == prediction.speedup_interval


def test_factor_one_changes_nothing_and_less_of_a_resource_is_not_faster(exits: Trace) -> None:
    path = next(name for name in axes(exits, hardware(GPU)) if name.endswith("bandwidth"))
    slow, usual = grid(exits, GPU, path, [0.1, 1.0], batch=8)
    assert usual["latency_s"] == condsim.simulate(exits, GPU, batch=8).latency_s
    assert slow["latency_s"] >= usual["latency_s"]


def test_more_rows_that_go_on_cost_more(exits: Trace) -> None:
    rows = list(grid(exits, GPU, SHARE, [0.1, 0.5, 0.9], batch=8))
    speedups = [row["speedup"] for row in rows]
    assert speedups == sorted(speedups, reverse=True)


def test_a_point_that_cannot_be_simulated_says_why(exits: Trace) -> None:
    rows = list(grid(exits, GPU, SHARE, [0.5], BATCH, [1.0, 1e6]))
    assert [row["y"] for row in rows] == [1.0, 1e6]
    assert "speedup" in rows[0]
    assert "1000000" in rows[1]["error"]


def test_unknown_axes_are_refused(exits: Trace) -> None:
    with pytest.raises(CondsimError, match="unknown axis 'bach'"):
        list(grid(exits, GPU, "bach", [1.0]))
    with pytest.raises(CondsimError, match="both axes are 'batch'"):
        list(grid(exits, GPU, BATCH, [1.0], BATCH, [1.0]))
    with pytest.raises(CondsimError, match="unknown axis 'skew'"):
        list(grid(exits, GPU, SKEW, [1.0]))
