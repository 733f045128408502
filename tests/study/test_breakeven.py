"""Where it pays, by the verdict of each point, and a grid of scenarios."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.study.breakeven import BATCH, SHARE, SKEW, axes, grid, without_effect, zones
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"
VERDICTS = st.lists(
    st.sampled_from(["faster", "slower", "too close to call"]), min_size=1, max_size=20
)


def line(verdicts: list[str], y: float | None = None) -> pd.DataFrame:
    """Points of one line, x = 1, 2, 4, ..."""
    x = [2.0**place for place in range(len(verdicts))]
    return pd.DataFrame({"x": x, "y": y, "speedup": 1.0, "verdict": verdicts})


@given(VERDICTS)
def test_zones_divide_the_points_of_a_line(verdicts: list[str]) -> None:
    points = line(verdicts)
    table = zones(points)
    assert table["points"].sum() == len(points)
    for zone in table.to_dict("records"):
        inside = points["x"].between(zone["first"], zone["last"])
        assert inside.sum() == zone["points"]
        assert set(points.loc[inside, "verdict"]) == {zone["verdict"]}


@given(VERDICTS)
def test_neighbouring_zones_have_different_verdicts(verdicts: list[str]) -> None:
    for before, after in itertools.pairwise(zones(line(verdicts))["verdict"]):
        assert before != after


@given(VERDICTS, st.randoms())
def test_the_order_of_the_points_does_not_matter(verdicts: list[str], chance: object) -> None:
    points = line(verdicts)
    shuffled = points.sample(frac=1.0, random_state=len(verdicts))
    pd.testing.assert_frame_equal(zones(points), zones(shuffled))


def test_each_y_has_its_own_zones() -> None:
    both = pd.concat([line(["slower", "faster"], y=1.0), line(["faster", "faster"], y=8.0)])
    assert zones(both)[["y", "points"]].values.tolist() == [[1.0, 1], [1.0, 1], [8.0, 2]]


def test_points_that_could_not_be_simulated_are_left_out() -> None:
    points = line(["slower", "faster", "slower"])
    points.loc[1, "speedup"] = float("nan")
    assert zones(points)["points"].tolist() == [2]
    refused = pd.DataFrame({"x": [1.0], "y": [None], "error": ["no"]})
    assert zones(refused).empty
    assert without_effect(refused) == []


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


def test_zones_say_what_the_verdict_says() -> None:
    trace = condsim.load(resource("traces") / "skip-fashion")
    points = pd.DataFrame(grid(trace, None, BATCH, [1, 2, 64]))
    for zone in zones(points).to_dict("records"):
        for batch in (zone["first"], zone["last"]):
            assert condsim.simulate(trace, batch=int(batch)).verdict == zone["verdict"]


def test_half_a_unit_is_no_batch(exits: Trace) -> None:
    with pytest.raises(CondsimError, match=r"a batch is a whole number of units, got 1\.5"):
        list(grid(exits, GPU, BATCH, [1.5]))
    with pytest.raises(CondsimError, match="whole number"):
        list(grid(exits, GPU, SHARE, [0.5], BATCH, [3.5]))


def test_a_number_that_nothing_rests_on_is_without_effect(exits: Trace) -> None:
    dead = pd.DataFrame(grid(exits, None, "peak_flops.fp32", [0.1, 10.0], batch=8))
    assert without_effect(dead) == ["x"]
    assert without_effect(dead.iloc[:1]) == []
    alive = pd.DataFrame(grid(exits, GPU, BATCH, [1, 8], "host.dispatch", [0.5, 2.0]))
    assert without_effect(alive) == []
    half = pd.DataFrame(grid(exits, None, BATCH, [1, 8], "peak_flops.fp32", [0.1, 10.0]))
    assert without_effect(half) == ["y"]
