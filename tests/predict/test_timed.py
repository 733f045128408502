"""Which effect adds which seconds to a side: worlds that sum up to all of its seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from condsim.cost.sums import CostSums
from condsim.hardware import hardware
from condsim.predict.timed import HOST_LINK, TimedSide, world_seconds

PEAK = 10.0
PARTS = {"dispatch": 1.0, "matmul": 6.0, "traffic": 2.0, "weights": 0.5, "quantisation": 0.25}
EVEN = {**PARTS, "matmul": 4.0}


def sums(parts: dict[str, float], **more: Any) -> CostSums:
    return CostSums(True, flops=30.0, router_flops=5.0, parts=dict(parts), **more)


def side(of_side: CostSums, waited_s: float | None = None) -> TimedSide:
    """A side of two steps."""
    return TimedSide(
        profile=hardware("raspberry-pi-5"),
        sums=of_side,
        seconds=np.array([8.0, 4.0]),
        new_size_s=0.5,
        evicted_s=0.75,
        spread_s=0.1,
        work_j=np.array([1.0, 2.0]),
        companion_j=0.0,
        uncertainty={},
        waited_s=waited_s,
    )


def worlds(timed: TimedSide, even: CostSums) -> dict[str, float]:
    return world_seconds(timed, even, logical=20.0, peak=PEAK)


def test_worlds_from_parts_sum_up_to_the_seconds() -> None:
    added = worlds(side(sums(PARTS)), sums(EVEN))
    assert sum(added.values()) == pytest.approx(12.0)
    assert added["flops"] == pytest.approx(20 / PEAK)
    assert added["executed"] == pytest.approx(10 / PEAK)
    assert added["router"] == pytest.approx(5 / PEAK)
    assert added["imbalance"] == pytest.approx(6.0 - 4.0)
    assert added["efficiency"] == pytest.approx(4.0 - 35 / PEAK)
    assert added["weight_traffic"] == pytest.approx(0.75 + 0.5)
    assert added["communication"] == 0.0


def test_worlds_that_the_device_tells_are_taken_as_they_are() -> None:
    told = {"efficiency": 1.5, "gather": 0.5, "launch": 0.25, "communication": 0.125}
    added = worlds(side(sums(PARTS, worlds=told)), sums(EVEN, worlds=told | {"efficiency": 1.0}))
    assert added["efficiency"] == 1.0  # at even rows; the rest is imbalance
    assert added["imbalance"] == pytest.approx(2.0)
    assert (added["gather"], added["communication"]) == (0.5, 0.125)
    assert sum(added.values()) == pytest.approx(12.0)


def test_seconds_waited_for_copies_are_communication() -> None:
    timed = side(sums(PARTS), waited_s=3.0)
    assert worlds(timed, sums(EVEN))["communication"] == 3.0
    assert timed.sources.by_source[HOST_LINK] == 3.0


def test_stacked_gradients_are_told_apart_from_the_world_they_are_in() -> None:
    plain = worlds(side(sums(PARTS)), sums(EVEN))
    apart = worlds(side(sums(PARTS, stacked={"gather": 0.5})), sums(EVEN))
    assert apart["stacked_gradients"] == 0.5
    assert apart["gather"] == pytest.approx(plain["gather"] - 0.5)


def test_uneven_rows_that_are_cheaper_spare_tiles_at_most() -> None:
    uneven = {**PARTS, "matmul": 3.0, "quantisation": 0.0}
    even = {**PARTS, "matmul": 3.5, "quantisation": 0.25}
    added = worlds(side(sums(uneven)), sums(even))
    lost = added["weight_traffic"] + added["efficiency"]
    assert -added["imbalance"] <= lost + 1e-12 or added["quantisation"] == 0.0
    assert sum(added.values()) == pytest.approx(12.0)


def test_dispatch_rests_on_kernels_for_new_sizes_too() -> None:
    sources = side(sums(PARTS, by_family={"linear": 6.0})).sources
    assert sources.by_source == {"linear": 6.0, "dispatch": 1.0 + 0.5}
    assert sources.evicted == (0.75, 0.1)
    assert sources.clocked == 12.0
