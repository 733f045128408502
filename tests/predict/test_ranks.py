"""A model spread over ranks: what all ranks do together is what one device does, and who waits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.parallel import Parallel
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate
from condsim.predict.timeline import write_chrome_trace
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

GPU = "nvidia-h200-sxm"
STEPS = [0, 3]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


def spread(trace: Trace, device: str | None = GPU, **options: object) -> Prediction:
    parallel = Parallel.parse(f"fabric=nvlink-4,{options.pop('parallel', 'expert=4')}")
    asked: dict[str, object] = {"strategy": "grouped", "batch": 8, "steps": STEPS}
    return simulate(trace, device, parallel=parallel, **(asked | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["grouped", "looped"])
def test_all_ranks_together_do_what_one_device_does(trace: Trace, strategy: str) -> None:
    together = spread(trace, strategy=strategy)
    alone = simulate(trace, GPU, strategy, 8, steps=STEPS)
    assert together.executed_flops == alone.executed_flops
    assert together.baseline_flops == alone.baseline_flops
    assert together.flops_ratio == pytest.approx(alone.flops_ratio)
    assert together.devices["rows"].sum() == 8 * 64 * 2 * 4  # units, positions, top-k, layers


@pytest.mark.parametrize("device", [GPU, None])
@pytest.mark.parametrize("baseline", ["same-params", "same-flops"])
def test_the_waterfall_is_exact(trace: Trace, device: str | None, baseline: str) -> None:
    p = spread(trace, device, baseline=baseline)
    assert p.waterfall["factor"].prod() == pytest.approx(p.speedup, rel=1e-12)
    exchanges = p.waterfall.set_index("world").loc["communication"]
    assert exchanges["conditional_s"] > 0
    assert (exchanges["baseline_s"] > 0) == (baseline == "same-params")


def test_a_rank_works_waits_and_exchanges(trace: Trace) -> None:
    p = spread(trace, None, strategy="looped")
    table = p.devices
    step_s = table["seconds"] + table["waiting_s"] + table["communication_s"]
    np.testing.assert_allclose(step_s, p.latency_s)
    assert table["waiting_s"].max() > 0
    assert table["peak_bytes"].max() < simulate(trace, None, "looped", 8, steps=STEPS).peak_bytes


def test_all_rows_on_one_rank_is_slowest(trace: Trace) -> None:
    """Experts that most rows take are put together, and apart."""
    counts = trace.unit_counts(trace.sites[0].name).sum(0)
    order = np.argsort(-counts).tolist()
    together = {site.name: order for site in trace.sites}
    apart = {site.name: order[::2] + order[1::2] for site in trace.sites}

    def latency(placement: dict[str, list[int]]) -> float:
        parallel = Parallel(expert=4, placement=placement, fabric="nvlink-4")
        return simulate(trace, None, "grouped", 8, parallel=parallel, steps=STEPS).latency_s

    assert latency(together) > latency(apart)


def test_ranks_without_units_compute_experts(trace: Trace) -> None:
    p = spread(trace, batch=2, parallel="expert=8")
    assert p.devices["units"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    assert (p.devices["rows"] > 0).all()
    assert any("no unit" in note for note in p.notes)


def test_the_timeline_has_a_lane_a_rank(trace: Trace, tmp_path: Path) -> None:
    p = spread(trace, None)
    lanes = p.timeline.groupby(["side", "lane"])["duration_s"].sum()
    assert len(lanes) == 8
    assert {"work", "wait", "exchange"} == set(p.timeline["part"])
    np.testing.assert_allclose(lanes["conditional"], p.steps["conditional_s"][0])
    events = json.loads(write_chrome_trace(p, tmp_path / "t.json").read_text())["traceEvents"]
    named = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert named == {f"rank {rank}" for rank in range(4)}


def test_one_rank_is_one_device(trace: Trace) -> None:
    one = simulate(trace, GPU, "grouped", 8, parallel=Parallel(expert=1), steps=STEPS)
    assert one.latency_s == simulate(trace, GPU, "grouped", 8, steps=STEPS).latency_s
    assert len(one.devices) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"parallel": "expert=16"}, "16 ranks are more than the 8 experts"),
        ({"parallel": "expert=4,slots=9"}, "choose slots=12"),
        ({"strategy": "padded"}, "one device only"),
    ],
)
def test_what_cannot_be_spread(trace: Trace, options: dict[str, object], says: str) -> None:
    with pytest.raises(CondsimError, match=says):
        spread(trace, **options)


def test_a_model_without_experts() -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    with pytest.raises(CondsimError, match="no experts"):
        simulate(exits, GPU, parallel=Parallel(expert=2))


def test_all_steps_are_taken_as_some_of_them_are(trace: Trace) -> None:
    count = len(rebatch(trace, 64))
    every = spread(trace, batch=64, steps=range(count))
    some = spread(trace, batch=64, steps=[0, count - 1])
    assert count > 2
    np.testing.assert_allclose(every.of_steps.conditional[[0, -1]], some.of_steps.conditional)
