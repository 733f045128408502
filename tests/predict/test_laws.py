"""Laws that every prediction obeys: whatever the trace, the device and the question.

EXAMPLES in the environment says how many cases each law is tried on; `make fuzz` tries many.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware
from condsim.predict.choose import strategies_on
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate
from condsim.resources import resource
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory

TRACES = (
    *("branch-fashion", "exit-fashion", "skip-fashion", "sparse-bytes", "moe-bytes"),
    *("prune-fashion", "merge-fashion", "moe-bytes-train", "sparse-fashion"),
)
OF_UNITS = TRACES[:3]
"""Traces whose rows are units."""
DEVICES = sorted(file.stem for file in resource("hwprofiles").glob("*.yaml"))
STEPS = 3
"""Of each trace."""
EXACT = 1e-9
"""Relative: the same sum in another order."""
laws = settings(
    max_examples=int(os.environ.get("EXAMPLES", "3")),
    derandomize="EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@cache
def trace_of(name: str) -> Trace:
    """The first steps of a trace that comes with condsim, without what was measured of others."""
    whole = condsim.load(resource("traces") / name)
    steps = whole.steps.iloc[:STEPS]
    decisions: dict[str, Decisions] = {}
    for site in whole.sites:
        rows = int(whole.rows_per_unit(site)[: int(steps["units"].sum())].sum())
        d = whole.decisions(site.name)
        cut = (None if column is None else column[:rows] for column in (d.weights, d.scores))
        decisions[site.name] = Decisions(d.ids[:rows], *cut)
    return replace(
        whole,
        steps=steps,
        reader=in_memory(decisions),
        quality=pd.DataFrame(),
        measurements=whole.measurements.iloc[:0],
        segments=whole.segments.iloc[:0],
    )


@cache
def device_of(name: str) -> HardwareProfile:
    return hardware(name)


@cache
def able(trace: str, strategy: str | None) -> list[str]:
    """Devices that can run a trace by a strategy; None: by any."""
    found = {d: strategies_on(trace_of(trace), device_of(d)) for d in DEVICES}
    return [d for d in DEVICES if (strategy in found[d] if strategy else found[d])]


class Asked(tuple[Trace, HardwareProfile, dict[str, Any]]):
    """A question, which a report shows in a line."""

    def __repr__(self) -> str:
        return f"{self[0].name} on {self[1].name}: {self[2]}"


@st.composite
def questions(
    draw: st.DrawFn, traces: tuple[str, ...] = TRACES, strategy: str | None = None
) -> Asked:
    """A trace, a device, and arguments that both allow. strategy: None for any."""
    name = draw(st.sampled_from(traces))
    trace = trace_of(name)
    device = device_of(draw(st.sampled_from(able(name, strategy))))
    arguments = {
        "strategy": strategy or draw(st.sampled_from(strategies_on(trace, device))),
        "batch": draw(st.sampled_from([None, 1, 2, 5, 16, 64])),
        "baseline": draw(st.sampled_from(["same-params", "same-flops"])),
        "dtype": draw(st.sampled_from(list(device.peak_flops))),
    }
    return Asked((trace, device, arguments))


def asked(trace: Trace, device: HardwareProfile, arguments: dict[str, Any]) -> Prediction:
    """The prediction; a question without an answer is none that a law speaks of."""
    try:
        return simulate(trace, device, **arguments)
    except CondsimError:
        assume(False)
        raise


def at_both(question: Any, field: str, *values: float) -> list[Prediction]:
    """The predictions of one question at two values of a field, the smaller value first."""
    trace, device, arguments = question
    return [asked(trace, device, {**arguments, field: value}) for value in sorted(values)]


def numbers(p: Prediction) -> dict[str, Any]:
    return p.to_dict()


def alike(a: Prediction, b: Prediction, within: float = EXACT) -> None:
    for name in ("speedup", "latency_s", "baseline_s", "energy_j", "flops_ratio", "peak_bytes"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=within), name


@laws
@given(questions())
def test_the_waterfall_is_the_speedup_is_the_quotient_of_seconds(question: Any) -> None:
    p = asked(*question)
    assert math.prod(p.waterfall["factor"]) == pytest.approx(p.speedup, rel=EXACT)
    assert p.waterfall["speedup"].iloc[-1] == pytest.approx(p.speedup, rel=EXACT)
    sums = p.steps[["conditional_s", "baseline_s"]].sum()
    assert sums["baseline_s"] / sums["conditional_s"] == pytest.approx(p.speedup, rel=EXACT)
    assert p.baseline_s / p.latency_s == pytest.approx(p.speedup, rel=EXACT)


@laws
@given(questions())
def test_a_number_lies_in_its_interval(question: Any) -> None:
    p = asked(*question)
    for point, (low, high) in (
        (p.speedup, p.speedup_interval),
        (p.latency_s, p.latency_interval),
    ):
        assert 0 < low <= point * (1 + EXACT)
        assert point <= high * (1 + EXACT) < math.inf


@laws
@given(questions())
def test_energy_is_at_least_that_of_waiting(question: Any) -> None:
    p = asked(*question)
    idle_w = question[1].power.idle_w.value
    assert p.energy_j >= idle_w * p.latency_s * (1 - EXACT)
    assert p.baseline_energy_j >= idle_w * p.baseline_s * (1 - EXACT)


@laws
@given(questions(), questions())
def test_the_order_of_questions_changes_nothing(one: Any, other: Any) -> None:
    first, second = asked(*one), asked(*other)
    fresh = replace(one[0]), replace(other[0])
    assert numbers(asked(fresh[1], *other[1:])) == numbers(second)
    assert numbers(asked(fresh[0], *one[1:])) == numbers(first)


@laws
@given(questions())
def test_the_captured_batch_is_the_default(question: Any) -> None:
    trace, device, arguments = question
    units = set(trace.steps["units"])
    assume(len(units) == 1)
    named = {**arguments, "batch": int(units.pop())}
    assert numbers(asked(trace, device, named)) == numbers(
        asked(trace, device, {**arguments, "batch": None})
    )


@laws
@given(questions(("exit-fashion",)))
def test_the_captured_threshold_is_the_default(question: Any) -> None:
    trace, device, arguments = question
    thresholds = set(trace.header.thresholds.values())
    assume(len(thresholds) == 1)
    named = {**arguments, "threshold": thresholds.pop()}
    alike(asked(trace, device, named), asked(trace, device, arguments))


@laws
@given(questions(OF_UNITS), st.randoms(use_true_random=False))
def test_the_order_of_units_in_a_step_changes_nothing(question: Any, random: Any) -> None:
    trace, device, arguments = question
    arguments = {**arguments, "batch": None}
    order = np.concatenate(list(_shuffled(trace, random)))
    decisions = {}
    for site in trace.sites:
        d = trace.decisions(site.name)
        decisions[site.name] = Decisions(
            d.ids[order], None, None if d.scores is None else d.scores[order]
        )
    permuted = replace(trace, reader=in_memory(decisions))
    alike(asked(permuted, device, arguments), asked(trace, device, arguments))


def _shuffled(trace: Trace, random: Any) -> Iterator[np.ndarray]:
    """The units of each step in another order."""
    start = 0
    for units in trace.steps["units"]:
        places = list(range(start, start + int(units)))
        random.shuffle(places)
        yield np.array(places)
        start += int(units)


@pytest.mark.parametrize("name", TRACES)
def test_what_is_saved_and_opened_is_the_same(name: str, tmp_path: Path) -> None:
    trace = trace_of(name)
    opened = condsim.load(trace.save(tmp_path / "one"))
    opened.save(tmp_path / "two")
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*"))
    for file in files:
        one, two = tmp_path / "one" / file, tmp_path / "two" / file
        assert one.is_dir() or one.read_bytes() == two.read_bytes(), file
    device = device_of("raspberry-pi-5")
    assert numbers(simulate(opened, device)) == numbers(simulate(trace, device))


FASTER = ("peak_flops", "bandwidth")
DEARER = ("dispatch", "view", "module_call", "synchronise")


def scaled(device: HardwareProfile, words: tuple[str, ...], factor: float) -> HardwareProfile:
    """A device some of whose numbers are so many times what they are."""
    fields = device.model_dump()
    changes = {}
    for path, value in _quantities(fields):
        if any(word in path.split(".") for word in words):
            changes[path] = value * factor
    assume(bool(changes))
    return device.replace(**changes)


def _quantities(fields: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in fields.items():
        if name in ("operators", "matmuls", "residency", "activations", "among", "cold"):
            continue
        if isinstance(value, dict) and "basis" in value and value.get("value") is not None:
            yield f"{path}{name}", value["value"]
        elif isinstance(value, dict):
            yield from _quantities(value, f"{path}{name}.")


@laws
@given(questions(), st.sampled_from([1.1, 2.0, 10.0]))
def test_a_faster_device_is_never_slower(question: Any, factor: float) -> None:
    trace, device, arguments = question
    slow = asked(trace, device, arguments)
    fast = asked(trace, scaled(device, FASTER, factor), arguments)
    assert fast.latency_s <= slow.latency_s * (1 + EXACT)
    assert fast.baseline_s <= slow.baseline_s * (1 + EXACT)


@laws
@given(questions(), st.sampled_from([1.1, 2.0, 10.0]))
def test_dearer_launches_are_never_faster(question: Any, factor: float) -> None:
    trace, device, arguments = question
    cheap = asked(trace, device, arguments)
    dear = asked(trace, scaled(device, DEARER, factor), arguments)
    assert dear.latency_s >= cheap.latency_s * (1 - EXACT)
    assert dear.baseline_s >= cheap.baseline_s * (1 - EXACT)


@laws
@given(questions())
def test_more_units_take_no_less_work(question: Any) -> None:
    """A step of twice the units executes twice the baseline's products."""
    trace, device, arguments = question
    small = asked(trace, device, {**arguments, "batch": 8, "baseline": "same-params"})
    large = asked(trace, device, {**arguments, "batch": 16, "baseline": "same-params"})
    assert large.baseline_flops == pytest.approx(2 * small.baseline_flops, rel=1e-6)
    assert large.baseline_s >= small.baseline_s * (1 - EXACT)


@laws
@given(questions(("exit-fashion",), "compacted"), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_lets_fewer_rows_leave(question: Any, one: float, other: float) -> None:
    leaves, stays = at_both(question, "threshold", one, other)
    assert leaves.executed_flops <= stays.executed_flops * (1 + EXACT)


@laws
@given(questions(("moe-bytes",), "padded"), st.floats(0.5, 4), st.floats(0.5, 4))
def test_more_capacity_is_more_work(question: Any, one: float, other: float) -> None:
    narrow, wide = at_both(question, "capacity_factor", one, other)
    assert narrow.executed_flops <= wide.executed_flops * (1 + EXACT)
    assert narrow.latency_s <= wide.latency_s * (1 + EXACT)


@laws
@given(questions(("moe-bytes",), "offloaded"), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_cache_of_experts_is_never_slower(question: Any, one: float, other: float) -> None:
    few, many = at_both(question, "expert_cache", one, other)
    assert many.latency_s <= few.latency_s * (1 + EXACT)


@laws
@given(questions())
def test_halves_take_no_longer_than_wholes(question: Any) -> None:
    """fp16 and bf16 move half the bytes of fp32, and no device computes them more slowly."""
    trace, device, arguments = question
    halves = [dtype for dtype in ("bf16", "fp16") if dtype in device.peak_flops]
    assume(halves and "fp32" in device.peak_flops)
    assume(device.peak_flops[halves[0]].value >= device.peak_flops["fp32"].value)
    half = asked(trace, device, {**arguments, "dtype": halves[0]})
    whole = asked(trace, device, {**arguments, "dtype": "fp32"})
    assert half.baseline_s <= whole.baseline_s * (1 + EXACT)


@laws
@given(questions(("sparse-bytes",)), st.integers(0, 1000), st.floats(0, 0.5))
def test_more_blocks_are_more_work(question: Any, seed: int, share: float) -> None:
    trace, device, arguments = question
    generator = np.random.default_rng(seed)
    decisions = {}
    for site in trace.sites:
        ids = trace.decisions(site.name).ids
        decisions[site.name] = Decisions(ids | (generator.random(ids.shape) < share))
    fuller = replace(trace, reader=in_memory(decisions))
    few = asked(trace, device, {**arguments, "baseline": "same-params"})
    many = asked(fuller, device, {**arguments, "baseline": "same-params"})
    assert few.executed_flops <= many.executed_flops * (1 + EXACT)
    assert few.latency_s <= many.latency_s * (1 + EXACT)


@laws
@given(questions(("prune-fashion", "merge-fashion")), st.integers(0, 1000), st.floats(0, 0.5))
def test_more_tokens_that_stay_are_more_work(question: Any, seed: int, share: float) -> None:
    """Where some units keep all of their tokens."""
    trace, device, arguments = question
    generator = np.random.default_rng(seed)
    full = generator.random(int(trace.steps["units"].sum())) < share
    decisions = {}
    for site in trace.sites:
        d = trace.decisions(site.name)
        rows = trace.rows_per_unit(site)
        stays = np.repeat(full, rows)
        ids = d.ids.copy()
        ids[stays] = 1
        decisions[site.name] = Decisions(ids, d.weights, d.scores)
    fuller = replace(trace, reader=in_memory(decisions))
    named = {**arguments, "baseline": "same-params"}
    few, many = asked(trace, device, named), asked(fuller, device, named)
    assert few.executed_flops <= many.executed_flops * (1 + EXACT)
    assert few.baseline_s == pytest.approx(many.baseline_s, rel=EXACT)


@laws
@given(questions(("sparse-fashion",)), st.integers(0, 1000), st.floats(0, 0.5))
def test_more_weights_that_stay_are_more_work(question: Any, seed: int, share: float) -> None:
    trace, device, arguments = question
    generator = np.random.default_rng(seed)
    decisions = {}
    for site in trace.sites:
        ids = trace.decisions(site.name).ids
        decisions[site.name] = Decisions(ids | (generator.random(ids.shape) < share))
    denser = replace(trace, reader=in_memory(decisions))
    named = {**arguments, "baseline": "same-params"}
    few, many = asked(trace, device, named), asked(denser, device, named)
    assert few.executed_flops <= many.executed_flops * (1 + EXACT)
    assert few.baseline_s == pytest.approx(many.baseline_s, rel=EXACT)


@laws
@given(questions(("moe-bytes-train",)))
def test_training_needs_the_memory_of_its_parts(question: Any) -> None:
    """Weights and their gradients, at least, are there at the peak of a step."""
    trace, device, arguments = question
    p = asked(trace, device, arguments)
    width = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}.get(p.dtype)
    assume(width is not None)
    parameters = trace.header.provenance.parameters
    assert p.peak_bytes >= parameters * width  # type: ignore[operator]
