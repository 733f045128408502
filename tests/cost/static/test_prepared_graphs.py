"""Prepared graphs on the traces that come with condsim: the engines agree, the effects are what
their pages say, and each verdict flips with its figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware
from condsim.predict.choose import strategies_on
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate
from condsim.resources import resource
from condsim.trace import Trace

NOTHING = 1e-12
DEVICES = ("google-tpu-v3", "google-edge-tpu")
TRACES = ("exit-fashion", "skip-fashion", "branch-fashion", "moe-bytes", "sparse-bytes")


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    return {name: condsim.load(resource("traces") / name) for name in TRACES}


def factors(p: Prediction) -> dict[str, float]:
    return dict(zip(p.waterfall["world"], p.waterfall["factor"], strict=True))


def free(profile: HardwareProfile, *paths: str) -> HardwareProfile:
    """The device if these figures were next to nothing."""
    return profile.replace(**dict.fromkeys(paths, NOTHING))


@pytest.mark.parametrize("device", ["google-tpu-v5e", "qualcomm-hexagon-8gen3"])
@pytest.mark.parametrize("name", TRACES)
def test_the_sum_is_what_both_engines_play(
    traces: dict[str, Trace], name: str, device: str
) -> None:
    trace, profile = traces[name], hardware(device)
    for strategy in strategies_on(trace, profile):
        steps = [0, 1]
        closed = simulate(trace, profile, strategy, 2, steps=steps)
        events = simulate(trace, profile, strategy, 2, steps=steps, engine="events")
        for side in ("conditional_s", "baseline_s"):
            np.testing.assert_allclose(
                closed.steps[side], events.steps[side], rtol=1e-9, err_msg=f"{strategy} {side}"
            )
        shown = closed.timeline
        ends = (shown["start_s"] + shown["duration_s"]).groupby(shown["side"]).max()
        assert ends["conditional"] == pytest.approx(closed.steps["conditional_s"][0], rel=1e-9), (
            strategy
        )
        assert closed.waterfall["factor"].prod() == pytest.approx(closed.speedup, rel=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_the_default_is_the_fastest_that_the_device_has(
    traces: dict[str, Trace], name: str, device: str
) -> None:
    trace, profile = traces[name], hardware(device)
    able = strategies_on(trace, profile)
    captured = next(iter(trace.header.captured.values()))
    assert captured not in able
    assert simulate(trace, profile, batch=8).latency_s == min(
        simulate(trace, profile, s, 8).latency_s for s in able
    )
    with pytest.raises(CondsimError, match=r"sizes of a prepared graph are fixed|not for a npu"):
        simulate(trace, profile, captured, 8)


@pytest.mark.parametrize("name", ["exit-fashion", "skip-fashion", "branch-fashion"])
def test_select_runs_all_and_pays_nowhere(traces: dict[str, Trace], name: str) -> None:
    """Both branches run, so no figure of the device can make it faster than the dense model."""
    costs = ("graphs.launch", "graphs.switch", "host.dispatch", "host.synchronise")
    for device in ("apple-neural-engine-m4", "qualcomm-hexagon-8gen3", "google-edge-tpu"):
        for profile in (hardware(device), free(hardware(device), *costs)):
            p = simulate(traces[name], profile, "select", 1)
            assert p.speedup < 1
            assert p.graphs == 1
            if name != "branch-fashion":
                assert p.waterfall.set_index("world").loc["executed", "speedup"] == pytest.approx(1)


@pytest.mark.parametrize(
    "device", ["apple-neural-engine-m4", "qualcomm-hexagon-8gen3", "google-edge-tpu"]
)
def test_switched_pays_where_what_is_skipped_exceeds_floor_and_switch(
    traces: dict[str, Trace], device: str
) -> None:
    """The break-even launch is a closed form: what is skipped, over the graphs that are started
    more than once."""
    trace, profile = traces["exit-fashion"], hardware(device)
    as_it_is = simulate(trace, profile, "switched", 1)
    assert as_it_is.speedup < 1
    assert as_it_is.main_loss == "launch"
    one_graph = free(profile, "graphs.launch", "graphs.switch", "host.synchronise")
    skipping = simulate(trace, one_graph, "switched", 1)
    assert skipping.speedup > 1
    skipped_s = skipping.baseline_s - skipping.latency_s
    cuts = np.mean([_decisions(trace, step) for step in range(trace.units)])
    even = (
        skipped_s / cuts
    )  # launch = switch + read back = nothing: the cost of a cut is one more launch
    at_break_even = simulate(trace, one_graph.replace(**{"graphs.launch": even}), "switched", 1)
    assert at_break_even.speedup == pytest.approx(1, rel=1e-6)
    assert (
        simulate(trace, one_graph.replace(**{"graphs.launch": even * 1.1}), "switched", 1).speedup
        < 1
    )
    assert (
        simulate(trace, one_graph.replace(**{"graphs.launch": even * 0.9}), "switched", 1).speedup
        > 1
    )


def _decisions(trace: Trace, unit: int) -> int:
    """Exits that a unit comes to."""
    return sum(int(trace.unit_counts(s.name)[unit].sum()) for s in trace.sites)


def test_padded_on_a_tpu_loses_most_to_executed_work(traces: dict[str, Trace]) -> None:
    trace, profile = traces["moe-bytes"], hardware("google-tpu-v3")
    roomy = simulate(trace, profile, "padded", capacity_factor=2.0)
    assert roomy.main_loss == "executed"
    exact = simulate(trace, profile, "padded", capacity_factor=1.0)
    assert factors(exact)["executed"] == pytest.approx(1, abs=0.01)
    assert exact.main_loss == "launch"  # what is left of a small model
    assert exact.latency_s < roomy.latency_s
    assert "dropped" in exact.notes[-1]


@pytest.mark.parametrize("device", ["google-tpu-v3", "google-tpu-v4", "google-tpu-v5e"])
def test_padded_loses_most_to_executed_work_where_the_model_is_not_too_small(
    traces: dict[str, Trace], device: str
) -> None:
    """At the usual capacity factor of 1.25 padding takes a tenth.

    This model hides it: 110 us to start a program against as long a step, matrices of 96 in units
    of 128. With those at their limits it is what is left, on every generation.
    """
    profile = hardware(device)
    assert simulate(traces["moe-bytes"], profile, "padded").main_loss != "executed"
    idle = free(profile, "graphs.launch", "graphs.switch", "host.dispatch", "host.synchronise")
    fitting = idle.replace(
        **{f"matrix.{size}": 1 for size in ("rows", "columns", "feed")},
        **{f"memory.{m}.bandwidth": 1e24 for m in profile.memory},
    )
    p = simulate(traces["moe-bytes"], fitting, "padded")
    assert p.main_loss == "executed"
    assert factors(p)["executed"] == pytest.approx(1 / 1.1, rel=0.05)


def test_a_tpu_branches_by_itself_where_sizes_are_fixed(traces: dict[str, Trace]) -> None:
    """`wait` reads nothing back: without its conditional it is the host's, and slower by that."""
    trace, profile = traces["exit-fashion"], hardware("google-tpu-v4")
    by_itself = simulate(trace, profile, "wait", 1)
    assert by_itself.graphs == 1
    assert simulate(trace, profile, "bucketed", 1).graphs > 1
    by_the_host = simulate(trace, profile.replace(**{"graphs.branch": None}), "wait", 1)
    assert by_the_host.latency_s > by_itself.latency_s + profile.graphs.launch.value


def test_buckets_pay_where_starting_a_program_costs_nothing(traces: dict[str, Trace]) -> None:
    trace, profile = traces["exit-fashion"], hardware("google-tpu-v5e")
    assert simulate(trace, profile, "bucketed", 512).speedup < 1
    ideal = free(profile, "graphs.launch", "graphs.switch", "host.synchronise", "host.dispatch")
    assert simulate(trace, ideal, "bucketed", 512).speedup > 1
    p = simulate(trace, profile, "bucketed", 32)
    sizes = {8, 16, 32}
    assert 1 + 3 + 3 <= p.graphs <= 1 + 3 + 3 * len(sizes)
    assert p.prepare_s == pytest.approx(p.graphs * profile.graphs.prepare.value)


def test_weights_are_free_where_a_cache_holds_them(traces: dict[str, Trace]) -> None:
    trace, profile = traces["exit-fashion"], hardware("google-edge-tpu")
    held = simulate(trace, profile, "select", 1)
    assert factors(held)["weight_traffic"] == 1
    streamed = simulate(trace, profile.replace(weight_cache_bytes=1.0), "select", 1)
    assert streamed.latency_s > held.latency_s
    read_s = trace.header.provenance.parameters / profile.dram.bandwidth.value
    assert (
        streamed.latency_s - held.latency_s < 1.2 * read_s
    )  # what is hidden behind products costs nothing


def test_what_cannot_apply_is_exactly_one(traces: dict[str, Trace]) -> None:
    p = simulate(traces["exit-fashion"], hardware("apple-neural-engine-m4"), "switched", 4)
    assert factors(p)["quantisation"] == 1  # its matrix unit is not published
    assert factors(p)["imbalance"] == 1
    assert factors(p)["communication"] == 1


@pytest.mark.parametrize(
    ("path", "better"),
    [
        ("memory.dram.bandwidth", 1e12),
        ("memory.vtcm.bandwidth", 1e13),
        ("graphs.launch", 1e-6),
        ("host.dispatch", 1e-9),
        ("peak_flops.int8", 1e16),
        ("matrix.rows", 1.0),
        ("companion.flops", 1e13),
        ("companion.bandwidth", 1e12),
    ],
)
def test_a_better_device_is_never_slower(
    traces: dict[str, Trace], path: str, better: float
) -> None:
    profile = hardware("qualcomm-hexagon-8gen3")
    for strategy in ("select", "switched", "cpu_tail"):
        usual, improved = (
            simulate(traces["exit-fashion"], p, strategy, 8)
            for p in (profile, profile.replace(**{path: better}))
        )
        assert improved.latency_s <= usual.latency_s * (1 + 1e-12)
        assert improved.baseline_s <= usual.baseline_s * (1 + 1e-12)


def test_energy_is_the_sum_of_its_levels(traces: dict[str, Trace]) -> None:
    trace, profile = traces["exit-fashion"], hardware("apple-neural-engine-m4")
    power = profile.power.model_dump()

    def energy(strategy: str, **watts: Any) -> float:
        return simulate(trace, profile.replace(**watts), strategy, 1).energy_j

    for strategy in ("select", "switched", "cpu_tail"):
        usual = energy(strategy)
        assert energy(strategy, **{"power.idle_w": 1.0}) == pytest.approx(
            usual + 0.999 * simulate(trace, profile, strategy, 1).latency_s, rel=1e-6
        )
        for level in power["j_per_byte"]:
            assert energy(strategy, **{f"power.j_per_byte.{level}": 1e-6}) > usual
    assert energy("cpu_tail", **{"companion.active_w": 100.0}) > energy("cpu_tail")
    assert energy("select", **{"companion.active_w": 100.0}) == energy("select")


def test_a_device_of_prepared_graphs_says_what_they_cost() -> None:
    with pytest.raises(CondsimError, match="needs `graphs`"):
        hardware("google-tpu-v4").replace(graphs=None)
