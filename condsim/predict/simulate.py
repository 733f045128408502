"""Trace + profile → prediction: rebatch, lower, price, and compare with the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.cost_model import Pricing
from condsim.cost.energy import energy_j
from condsim.cost.price import price
from condsim.cost.step_cost import Side
from condsim.engine import closed_form
from condsim.engine import reference as events
from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile, hardware, this_machine
from condsim.lower import CAPACITY_FACTOR, Lowering, StepRows, capacity, peak_bytes
from condsim.predict.offload import play
from condsim.predict.prediction import CONFORMAL, Prediction, intervals
from condsim.predict.segments import segments
from condsim.predict.timeline import kernels, of_each_step, stacked, timeline
from condsim.predict.waterfall import waterfall
from condsim.program import Program, loops
from condsim.runtimes import RUNTIMES, Runtime, the_runtime
from condsim.steps.rebatch import Steps, rebatch, site_rules
from condsim.strategies import BASELINES, STRATEGIES, name_of
from condsim.strategies.choose import fitting, program_of, refusal, strategies_of, the_strategies
from condsim.trace import Trace

PROTOCOLS = ("stream", "repeat")
ENGINES = ("closed", "events")
PEAK_STEPS = 8
MATMUL_WORLDS = ("weight_traffic", "efficiency", "quantisation")
CLOCKED_STEPS = 16  # host and device as two clocks need each step in executed order


def simulate(
    trace: Trace,
    profile: HardwareProfile | str | None = None,
    strategy: str | Mapping[str, str] | None = None,
    batch: int | None = None,
    baseline: str = "same-params",
    dtype: str | None = None,
    runtime: str | None = None,
    threshold: float | None = None,
    phase: str | None = None,
    *,
    protocol: str = "stream",
    steps: list[int] | None = None,
    engine: str = "closed",
    capacity_factor: float = CAPACITY_FACTOR,
    expert_cache: float | None = None,
) -> Prediction:
    """Predict one configuration.

    profile: None = the one stored with the trace, else this machine's, in the dtype that the trace was captured in where there is one.
    strategy: a name, or mechanism → name; None = the captured one. batch: units a step; None = captured. baseline: "same-params" or "same-flops".
    threshold: decide early exits anew. phase: "prefill" or "decode".
    protocol: "stream" = the trace's steps follow each other; "repeat" = each step is repeated in turn with its baseline, as a paired measurement does.
    steps: only these steps (numbers of `rebatch`'s steps). engine: "closed" form, or "events" for SimPy, its reference (slow).
    capacity_factor: of `padded`, the rows that an expert has room for over its even share. expert_cache: of `offloaded`, the share of the experts' weights
    that the device keeps (0 to 1); None: what its memory has room for.
    Raises CondsimError for anything unknown or impossible, naming the way out.
    """
    device = the_profile(trace, profile)
    if baseline not in BASELINES:
        raise unknown("baseline", baseline, BASELINES)
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if not capacity_factor > 0:
        raise CondsimError(f"capacity_factor must be above 0, got {capacity_factor}")
    if expert_cache is not None and not 0 <= expert_cache <= 1:
        raise CondsimError(
            f"expert_cache is a share of the experts, from 0 to 1, got {expert_cache}"
        )
    how = the_runtime(
        runtime, device.runtime if device.runtime in RUNTIMES else "eager", device.kind
    )
    dtype = dtype or device.dtype
    if dtype not in device.peak_flops:
        raise CondsimError(
            f"profile {device.name!r} has no dtype {dtype!r}; it has {', '.join(device.peak_flops)}"
        )
    strategies = the_strategies(trace, strategy)
    if not fitting(strategies, device.kind, how.static):
        if strategy is not None:
            raise refusal(strategies, trace, device.name, device.kind, how.static)
        return _cheapest(
            trace,
            device,
            how,
            batch,
            baseline,
            dtype,
            threshold,
            phase,
            protocol=protocol,
            steps=steps,
            engine=engine,
            capacity_factor=capacity_factor,
            expert_cache=expert_cache,
        )
    cut = rebatch(trace, batch, phase, threshold)
    pricing = _pricing(trace, device, dtype, how)
    if steps is None and _waits_for_weights(strategies):
        steps = list(
            range(min(len(cut.rows), CLOCKED_STEPS))
        )  # in a row: what a cache has depends on the step before
    if (
        steps is None
        and not (device.kind == "cpu" or pricing.prepared)
        and len(cut.rows) > CLOCKED_STEPS
    ):
        steps = [
            int(i) for i in np.unique(np.linspace(0, len(cut.rows) - 1, CLOCKED_STEPS).astype(int))
        ]
    rows = dataclasses.replace(
        cut.rows if steps is None else cut.rows.some(np.array(steps)),
        capacity_factor=capacity_factor,
    )
    tag = (
        cut.batch,
        cut.phase,
        threshold,
        device.name,
        id(device),
        dtype,
        how.name,
        capacity_factor,
        None if steps is None else tuple(steps),
    )
    conditional = _side(trace, cut, rows, strategies, pricing, (*tag, name_of(strategies)))
    dense = _side(trace, cut, rows, dict.fromkeys(strategies, baseline), pricing, (*tag, baseline))
    return _predict(
        trace,
        device,
        pricing,
        cut,
        rows,
        strategies,
        baseline,
        conditional,
        dense,
        protocol,
        engine,
        expert_cache,
    )


def _waits_for_weights(strategies: Mapping[str, str]) -> bool:
    return any(STRATEGIES[s].waits_for_weights for s in strategies.values())


def _cheapest(
    trace: Trace,
    device: HardwareProfile,
    how: Runtime,
    batch: int | None,
    baseline: str,
    dtype: str,
    threshold: float | None,
    phase: str | None,
    **rest: Any,
) -> Prediction:
    """The fastest of what the device can run, where it cannot run what was captured."""
    able = strategies_of(trace, device.kind, how.static)
    if not able:
        raise refusal(the_strategies(trace, None), trace, device.name, device.kind, how.static)
    tried = [
        simulate(trace, device, s, batch, baseline, dtype, how.name, threshold, phase, **rest)
        for s in able
    ]
    return min(tried, key=lambda p: p.latency_s)


def the_profile(trace: Trace, profile: HardwareProfile | str | None) -> HardwareProfile:
    """The profile to use: given, this machine's, or the one stored with the trace. Raises CondsimError where there is none."""
    if isinstance(profile, HardwareProfile):
        return profile
    if profile is not None:
        return hardware(profile)
    found = trace.profile or this_machine(dtype=trace.dtype) or this_machine()
    if found is None:
        raise CondsimError(
            "no profile: this machine is not calibrated (condsim calibrate does it) and the trace carries none; or name a device"
        )
    return found


def _pricing(trace: Trace, device: HardwareProfile, dtype: str, runtime: Runtime) -> Pricing:
    key = ("pricing", id(device), dtype, runtime.name)
    if key not in trace._cache:
        trace._cache[key] = Pricing(device, dtype, runtime, trace.header.provenance.parameters)
    return trace._cache[key]  # type: ignore[no-any-return]


def _lowering(
    trace: Trace, cut: Steps, rows: StepRows, strategies: Mapping[str, str], pricing: Pricing
) -> Lowering:
    return Lowering(
        pricing.joined(program_of(trace, strategies, cut)), site_rules(trace), strategies, rows
    )


def _side(
    trace: Trace,
    cut: Steps,
    rows: StepRows,
    strategies: Mapping[str, str],
    pricing: Pricing,
    key: Any,
) -> Side:
    if ("side", key) not in trace._cache:
        trace._cache["side", key] = price(_lowering(trace, cut, rows, strategies, pricing), pricing)
    return trace._cache["side", key]  # type: ignore[no-any-return]


def _balanced(trace: Trace, rows: StepRows) -> StepRows:
    """The same rows spread evenly over the experts that were touched."""
    counts = dict(rows.counts)
    for site in trace.sites:
        if site.mechanism == "moe":
            c = counts[site.name]
            hit = c > 0
            hits = np.maximum(hit.sum(1), 1)[:, None]
            total = c.sum(1)[:, None]
            order = np.cumsum(hit, axis=1) - 1
            counts[site.name] = np.where(hit, total // hits + (order < total % hits), 0)
    return dataclasses.replace(rows, counts=counts)


def logical_flops(trace: Trace, rows: StepRows, dense: Side) -> np.ndarray:
    """FLOPs that the decisions ask for, a step: everything outside of the sites, and each row's branch. dense: the same-params side. float [n]."""
    inside = np.zeros(len(rows))
    whole = np.zeros(len(rows))
    for site in trace.sites:
        per_row = np.array(site.branch_flops)
        arriving = rows.units * rows.seq if site.per_position else rows.units
        counts = rows.counts[site.name]
        inside += counts @ per_row
        dense_branch = (
            per_row[rows.costliest[site.name]]
            if site.mechanism == "multi_branch"
            else per_row.sum()
        )
        whole += arriving * dense_branch
    logical: np.ndarray = dense.flops - whole + inside
    return logical


def _predict(
    trace: Trace,
    device: HardwareProfile,
    pricing: Pricing,
    cut: Steps,
    rows: StepRows,
    strategies: Mapping[str, str],
    baseline: str,
    conditional: Side,
    dense: Side,
    protocol: str,
    engine: str,
    expert_cache: float | None,
) -> Prediction:
    peak = device.peak_flops[pricing.dtype or device.dtype].value
    full = (
        dense
        if baseline == "same-params"
        else _side(
            trace,
            cut,
            rows,
            dict.fromkeys(strategies, "same-params"),
            pricing,
            (
                cut.batch,
                cut.phase,
                "full",
                device.name,
                id(device),
                pricing.dtype,
                pricing.runtime.name,
                len(rows),
                hash(rows.counts[trace.sites[0].name].tobytes()),
            ),
        )
    )
    logical = logical_flops(trace, rows, full)
    repeat = protocol == "repeat"
    miss_c, spread_c = conditional.miss(device, dense.evicting_bytes(device) if repeat else None)
    miss_b, spread_b = dense.miss(device, conditional.evicting_bytes(device) if repeat else None)
    n = len(rows)
    first_c, first_b = (
        sum(s.returning(device, other.footprint_bytes()).values(), np.zeros(n))
        if repeat
        else s.building(device)
        for s, other in ((conditional, dense), (dense, conditional))
    )
    step_c = _clock(trace, cut, rows, strategies, pricing, conditional, miss_c + first_c, engine)
    step_b = _clock(
        trace,
        cut,
        rows,
        dict.fromkeys(strategies, baseline),
        pricing,
        dense,
        miss_b + first_b,
        engine,
    )
    played = None
    if _waits_for_weights(strategies):
        played = play(
            lambda i: _lowering(trace, cut, rows.step(i), strategies, pricing),
            n,
            pricing,
            expert_cache,
        )
        step_c = played.seconds
    away = 0 if played is None else int(played.experts_bytes - played.room_bytes)
    rest_c, rest_b = _by_source(conditional, first_c), _by_source(dense, first_b)
    uncertainty = {name: device.uncertainty(name) for name in {*rest_c, *rest_b}}
    uncertainty |= {
        "dispatch": device.host.dispatch.relative,
        **dense.uncertainty,
        **conditional.uncertainty,
    }
    if played is not None:
        rest_c, uncertainty = (
            {**rest_c, "host link": float(played.waited.sum())},
            {**uncertainty, "host link": device.links["host"].relative},
        )
    evicted = tuple(
        (float(miss.sum()), float(spread.sum()))
        for miss, spread in ((miss_c, spread_c), (miss_b, spread_b))
    )
    wider = (
        CONFORMAL["compiled" if pricing.compiled_here else "eager"] if device.calibrated else 1.0
    )
    speedup_interval, latency_interval = intervals(
        rest_c, rest_b, uncertainty, (evicted[0], evicted[1]), wider
    )
    program = program_of(trace, strategies, cut)
    total = sum(conditional.by_basis.values())
    speedup = float(step_b.sum() / step_c.sum())
    basis = "calibrated" if device.calibrated and not pricing.compiled_here else "estimated"

    def worlds() -> pd.DataFrame:
        even = conditional
        if name_of(strategies) != baseline and any(
            strategies.get("moe") == s for s in ("looped", "grouped", "fused")
        ):
            even = price(
                _lowering(trace, cut, _balanced(trace, rows), strategies, pricing), pricing
            )
        deltas_c = _deltas(conditional, even, float(logical.sum()), miss_c, peak)
        deltas_b = _deltas(dense, dense, float(dense.flops.sum()), miss_b, peak)
        deltas_c["communication"] += 0.0 if played is None else float(played.waited.sum())
        for deltas, seconds in ((deltas_c, step_c), (deltas_b, step_b)):
            deltas["launch"] += float(seconds.sum()) - sum(deltas.values())
        return waterfall(deltas_c, deltas_b)

    return Prediction(
        trace=trace.name,
        mechanism="+".join(trace.mechanisms),
        strategy=name_of(strategies),
        runtime=pricing.runtime.name,
        dtype=pricing.dtype or device.dtype,
        phase=cut.phase,
        batch=cut.batch,
        baseline=baseline,
        profile=device.name,
        speedup=speedup,
        latency_s=float(step_c.mean()),
        baseline_s=float(step_b.mean()),
        energy_j=_energy(conditional, step_c, device, pricing),
        baseline_energy_j=_energy(dense, step_b, device, pricing),
        flops_ratio=float(dense.flops.sum() / logical.sum()),
        executed_flops=float((conditional.flops + conditional.router_flops).mean()),
        baseline_flops=float(dense.flops.mean()),
        speedup_interval=_around(speedup_interval, speedup),
        latency_interval=(latency_interval[0] / n, latency_interval[1] / n),
        estimated={b: s / total for b, s in conditional.by_basis.items()},
        steps=pd.DataFrame({"step": np.arange(n), "conditional_s": step_c, "baseline_s": step_b}),
        rivals=_rivals(conditional, dense, logical, device, peak),
        notes=_notes(trace, cut, rows, program, strategies, pricing),
        graphs=conditional.prepared,
        prepare_s=conditional.prepared * device.graphs.prepare.value if device.graphs else 0.0,
        basis=basis,
        _peaks=lambda: (
            _peak(trace, cut, rows, strategies, pricing) - away,
            _peak(trace, cut, rows, dict.fromkeys(strategies, baseline), pricing),
        ),
        _waterfall=worlds,
        _segments=lambda: segments(
            trace,
            {
                "conditional": _lowering(trace, cut, rows, strategies, pricing),
                "baseline": _lowering(
                    trace, cut, rows, dict.fromkeys(strategies, baseline), pricing
                ),
            },
            pricing,
            repeat=repeat,
        ),
        _timeline=lambda: timeline(
            lambda way: _lowering(trace, cut, rows.step(0), way, pricing),
            strategies,
            baseline,
            pricing,
        ),
    )


def _clock(
    trace: Trace,
    cut: Steps,
    rows: StepRows,
    strategies: Mapping[str, str],
    pricing: Pricing,
    s: Side,
    miss: np.ndarray,
    engine: str,
) -> np.ndarray:
    """Seconds of each step, float [n]: a sum where host and device are one (a CPU), else host and device clocks over the kernels in order.
    miss: what was evicted, of weights and code."""
    if (pricing.profile.kind == "cpu" or pricing.prepared) and engine == "closed":
        total: np.ndarray = sum(s.seconds.values(), miss)
        return total
    key = ("clock", id(s), engine)  # a side stays in the cache, and meets more than one baseline
    if key not in trace._cache:
        trace._cache[key] = _finish(
            _lowering(trace, cut, rows, strategies, pricing), pricing, engine
        )
    clocked: np.ndarray = trace._cache[key] + miss
    return clocked


def _finish(lowering: Lowering, pricing: Pricing, engine: str) -> np.ndarray:
    """When host and device are done with each step, seconds, float [n]."""
    if engine == "events":
        steps = (lowering.step(i) for i in range(len(lowering.rows)))
        return np.array([float(events.run(kernels(step, pricing)[0])[2]) for step in steps])
    if not loops(lowering.program.root):
        return closed_form.run(stacked(lowering, pricing))[2]
    return np.array([float(closed_form.run(k)[2]) for k in of_each_step(lowering, pricing)])


def _deltas(s: Side, even: Side, logical: float, miss: np.ndarray, peak: float) -> dict[str, float]:
    """Seconds that each world adds, summed over the steps."""
    executed, router = float(s.flops.sum()), float(s.router_flops.sum())
    balanced, real = float(even.seconds["matmul"].sum()), float(s.seconds["matmul"].sum())
    padding, real_padding = (float(np.sum(x.seconds.get("quantisation", 0.0))) for x in (even, s))
    if s.worlds:  # the device model says what each effect adds
        adds = {
            w: float(np.sum((even if w in MATMUL_WORLDS else s).worlds.get(w, 0.0)))
            for w in (*MATMUL_WORLDS, "gather", "launch")
        }
        return {
            "flops": logical / peak,
            "executed": (executed - logical) / peak,
            "router": router / peak,
            **adds,
            "imbalance": real - balanced,
            "launch": adds["launch"] + float(s.seconds["dispatch"].sum()),
            "communication": 0.0,
        }
    return {
        "flops": logical / peak,
        "executed": (executed - logical) / peak,
        "router": router / peak,
        "gather": float(s.seconds["traffic"].sum()),
        "weight_traffic": float(miss.sum()) + float(np.sum(s.seconds.get("weights", 0.0))),
        "efficiency": balanced - (executed + router) / peak,
        "imbalance": real - balanced + real_padding - padding,
        "quantisation": padding,
        "launch": float(s.seconds["dispatch"].sum()),
        "communication": 0.0,
    }


def _by_source(s: Side, first: np.ndarray) -> dict[str, float]:
    found = {name: float(np.sum(t)) for name, t in s.by_family.items()}
    return {**found, "dispatch": float(s.seconds["dispatch"].sum() + first.sum())}


def _around(interval: tuple[float, float], value: float) -> tuple[float, float]:
    return min(interval[0], value), max(interval[1], value)


def _rivals(
    c: Side, b: Side, logical: np.ndarray, device: HardwareProfile, peak: float
) -> dict[str, float]:
    """Speedups as others would estimate them: FLOP ratio, plain roofline (peak and bandwidth), and the sum of hot micro-benchmarks."""

    def roofline(s: Side) -> float:
        weights = s.footprint_bytes()
        return float(
            np.maximum(
                (s.flops + s.router_flops) / peak, weights / device.dram.bandwidth.value
            ).sum()
        )

    def hot(s: Side) -> float:
        return float(sum(s.seconds.values()).sum())  # type: ignore[union-attr]

    return {
        "flop_ratio": float(b.flops.sum() / logical.sum()),
        "roofline": roofline(b) / roofline(c),
        "hot_sum": hot(b) / hot(c),
    }


def _energy(s: Side, seconds: np.ndarray, device: HardwareProfile, pricing: Pricing) -> float:
    flops = s.flops + s.router_flops - s.companion_flops
    return float(
        np.mean(
            energy_j(seconds, flops, s.traffic_bytes or s.footprint_bytes(), device, pricing.dtype)
            + s.companion_j
        )
    )


def _peak(
    trace: Trace, cut: Steps, rows: StepRows, strategies: Mapping[str, str], pricing: Pricing
) -> int:
    """Weights plus the largest sum of live tensors over at most PEAK_STEPS evenly spread steps, bytes."""
    sample = np.unique(np.linspace(0, len(rows) - 1, PEAK_STEPS).astype(int))
    live = max(
        peak_bytes(
            _lowering(trace, cut, rows.step(int(i)), strategies, pricing).sequence(),
            pricing.float_bytes,
        )
        for i in sample
    )
    return live + trace.header.provenance.parameters * pricing.float_bytes


def _notes(
    trace: Trace,
    cut: Steps,
    rows: StepRows,
    program: Program,
    strategies: Mapping[str, str],
    pricing: Pricing,
) -> tuple[str, ...]:
    notes = list(trace.header.notes)
    if pricing.profile.calibrated and trace.dtype != pricing.dtype:
        notes.append(
            f"captured in {trace.dtype}, predicted in {pricing.dtype}: casts between the two are as captured"
        )
    if cut.dropped:
        notes.append(f"{cut.dropped} units of partial last steps are left out")
    if program.flagged:
        notes.append(
            f"{len(program.flagged)} operators keep the size they were captured at: {program.flagged[0]}"
        )
    notes += [f"{s}: {STRATEGIES[s].changes}" for s in strategies.values() if STRATEGIES[s].changes]
    if any(STRATEGIES[s].drops for s in strategies.values()):
        share, factor = _dropped(trace, rows), f"{rows.capacity_factor:g}"
        notes.append(
            f"capacity factor {factor}: {share:.1%} of the assignments are over an expert's capacity and dropped, so outputs differ from the model's"
        )
    return tuple(notes)


def _dropped(trace: Trace, rows: StepRows) -> float:
    """Share of the assignments of rows to experts that are over an expert's capacity."""
    over = total = 0
    for site in trace.sites:
        if site.mechanism == "moe":
            counts = rows.counts[site.name]
            arriving = rows.units * rows.seq if site.per_position else rows.units
            room = capacity(arriving, site.top_k or 1, site.branches, rows.capacity_factor)
            over += int(np.maximum(counts - room[:, None], 0).sum())
            total += int(counts.sum())
    return over / max(total, 1)
