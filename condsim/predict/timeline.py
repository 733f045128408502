"""One step as kernels in time, both sides: a table, and a file that ui.perfetto.dev opens (Chrome trace event format)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.cost_model import Pricing
from condsim.cost.cpu.evicted_code import cold_seconds
from condsim.cost.cpu.operator_time import VIEW
from condsim.cost.static.prepared_graphs import prepared_kernels
from condsim.cost.step_cost import distinct_sizes, side
from condsim.engine import closed_form as engine
from condsim.files import write_whole
from condsim.lower import Call, Lowering, Place, Stretch
from condsim.program.operators import GROUPED, MATMULS

COLUMNS = ("side", "lane", "start_s", "duration_s", "operator", "part", "module", "guard", "basis")


def timeline(
    lowering: Callable[[Mapping[str, str]], Lowering],
    strategies: Mapping[str, str],
    baseline: str,
    pricing: Pricing,
) -> pd.DataFrame:
    """A row a slice: side, lane (host or device), start and duration in seconds, operator, part (matmul, traffic or dispatch), module, guard, basis.

    A CPU has one lane, the host's; elsewhere a kernel has a slice on the host, its dispatch, and one on the device.
    lowering: of one step, under the strategies given. Weights are taken as resident.
    """
    tables = [
        _side(name, lowering(way), pricing)
        for name, way in (
            ("conditional", strategies),
            ("baseline", dict.fromkeys(strategies, baseline)),
        )
    ]
    return pd.concat(tables, ignore_index=True)


def _side(name: str, lowering: Lowering, pricing: Pricing) -> pd.DataFrame:
    table, calls, priced = kernels(lowering, pricing)
    issue, end, _ = engine.run(table)
    busy = table.device_s > 0
    on_host = (table.host_s > 0) | ~busy
    found = pd.DataFrame(
        {
            "operator": [c.op.name for c in calls],
            "part": [p[2] for p in priced],
            "module": [c.op.module for c in calls],
            "guard": [" / ".join(f"{s}={b}" for s, b in c.guards) for c in calls],
            "basis": [p[3] for p in priced],
        }
    )
    host = found.assign(lane="host", start_s=issue - table.host_s, duration_s=table.host_s)[on_host]
    host["part"] = host["part"].mask(busy[on_host], "dispatch")
    device = found.assign(lane="device", start_s=end - table.device_s, duration_s=table.device_s)[
        busy
    ]
    return (
        pd.concat([host, device], ignore_index=True)
        .assign(side=name)
        .reindex(columns=list(COLUMNS))
        .sort_values("start_s", kind="stable")
    )


def kernels(
    lowering: Lowering, pricing: Pricing
) -> tuple[engine.Kernels, list[Call], list[tuple[float, float, str, str]]]:
    """The first step's kernels in order, and for each call its (host seconds, device seconds, part, basis). On a CPU the host does everything."""
    if pricing.prepared:
        return prepared_kernels(lowering, pricing)
    calls = lowering.sequence()
    cold = _after_other_data(lowering, pricing)
    resident = pricing.resident(lowering)
    priced = [
        _price(c, lowering, pricing, cold.get(pricing.code(c.op), 0.0), resident) for c in calls
    ]
    host, device = np.array([p[0] for p in priced]), np.array([p[1] for p in priced])
    cpu = pricing.profile.kind == "cpu"
    if cpu:
        host, device = host + device, np.zeros(len(device))
    sync = np.array([cpu or c.op.sync for c in calls], bool)
    return engine.Kernels(host, device, np.zeros(len(host), int), sync), calls, priced


def stacked(lowering: Lowering, pricing: Pricing) -> engine.Kernels:
    """The kernels of all steps at once, device seconds [steps, kernels], of a program in which every step runs the same operators (no guards)."""
    resident = pricing.resident(lowering)
    host, device, sync = [], [], []
    for v in lowering.walk():
        groups = lowering.rows.counts[v.op.site] if v.op.name in GROUPED and v.op.site else None
        hot, _, _ = pricing.operator(
            v.op,
            v.bindings,
            tuple((k, b.tobytes()) for k, b in v.bindings.items()),
            groups,
            resident,
        )
        host.append(pricing.host_seconds(lowering, v.place, v.op, hot))
        device.append(
            np.broadcast_to(
                0.0
                if hot.family == VIEW
                else np.maximum(np.asarray(hot.seconds) - hot.dispatch, 0.0),
                len(lowering.rows),
            )
        )
        sync.append(v.op.sync)
    return engine.Kernels(
        np.array(host), np.stack(device, axis=-1), np.zeros(len(host), int), np.array(sync, bool)
    )


def of_each_step(lowering: Lowering, pricing: Pricing) -> Iterator[engine.Kernels]:
    """The kernels of each step in executed order, on a device with a clock of its own. What the steps run at one place is priced at once."""
    resident = pricing.resident(lowering)
    steps = [list(lowering.stretches(i)) for i in range(len(lowering.rows))]
    places: dict[Place, list[tuple[int, Stretch]]] = {}
    for i, pieces in enumerate(steps):
        for piece in pieces:
            places.setdefault((piece.path, piece.first), []).append((i, piece))
    priced = {
        place: iter(np.stack(_at_one_place(visits, lowering, pricing, resident), axis=1))
        for place, visits in places.items()
    }
    for pieces in steps:
        host, device = np.concatenate(
            [next(priced[piece.path, piece.first]) for piece in pieces], axis=1
        )
        yield engine.Kernels(
            host,
            device,
            np.zeros(len(host), int),
            np.array([op.sync for piece in pieces for op in piece.ops], bool),
        )


def _at_one_place(
    visits: list[tuple[int, Stretch]],
    lowering: Lowering,
    pricing: Pricing,
    resident: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray]:
    """(host seconds, device seconds), float [visits, operators], of the same operators in m steps or experts."""
    piece, step = visits[0][1], np.array([i for i, _ in visits])
    env = {k: np.array([p.sizes[k] for _, p in visits]) for k in piece.sizes}
    host, device = np.zeros((2, len(visits), len(piece.ops)))
    known: dict[str, tuple[Mapping[str, np.ndarray], np.ndarray, Any]] = {}
    for i, op in enumerate(piece.ops):
        if op.site not in known:
            distinct, each = distinct_sizes(lowering.sizes(op, env, step))
            known[op.site] = distinct, each, tuple((k, v.tobytes()) for k, v in distinct.items())
        sizes, each, key = known[op.site]
        groups = lowering.rows.counts[op.site][step] if op.name in GROUPED and op.site else None
        share = (
            resident[step]
            if isinstance(resident, np.ndarray) and any(t.weight for t in op.inputs)
            else resident
        )
        if groups is not None or isinstance(
            share, np.ndarray
        ):  # every step has groups, or a share, of its own
            sizes, each, key = lowering.sizes(op, env, step), np.arange(len(step)), None
        hot, _, moved = pricing.operator(op, sizes, key, groups, share)
        place = (piece.path, piece.first + i)
        host[:, i] = pricing.host_seconds(lowering, place, op, hot)
        if not op.view:
            body = (
                np.maximum(np.asarray(hot.seconds) - hot.dispatch, 0.0)
                + pricing.far_per_byte(lowering, place) * moved
            )
            device[:, i] = np.broadcast_to(body, int(each.max()) + 1)[each]
    return host, device


def _after_other_data(lowering: Lowering, pricing: Pricing) -> dict[str, float]:
    """What each call of a code costs more because it was evicted (`condsim.cost.cpu.evicted_code`), in the first step."""
    if pricing.profile.cold is None:
        return {}
    step = side(lowering.step(0), pricing)
    every, touched, different = (
        sum(step.calls.values()),
        step.touched_bytes(),
        step.footprint_bytes(),
    )
    return {
        code: float(cold_seconds(code, calls, every, touched, different, pricing.profile)[0])
        for code, calls in step.calls.items()
    }


def _price(
    call: Call, lowering: Lowering, pricing: Pricing, cold_s: float, resident: np.ndarray | float
) -> tuple[float, float, str, str]:
    """(host seconds, device seconds, part, basis)."""
    op = call.op
    groups = lowering.rows.counts[op.site][:1] if op.name in GROUPED and op.site else None
    bindings = (
        {k: np.array([v]) for k, v in call.bindings.items()}
        if groups is not None
        else call.bindings
    )
    hot, job, moved = pricing.operator(
        op, bindings, tuple(sorted(call.bindings.items())), groups, resident
    )
    device = (
        0.0
        if hot.family == VIEW
        else max(float(np.sum(hot.seconds)) - hot.dispatch, 0.0)
        + pricing.far_per_byte(lowering, call.place) * float(np.sum(moved))
    )
    return (
        pricing.host_seconds(lowering, call.place, op, hot) + cold_s,
        device,
        "dispatch" if op.view else "matmul" if job.family in MATMULS else "traffic",
        hot.basis,
    )


def write_chrome_trace(prediction: Any, path: str | Path) -> Path:
    """Write a prediction's timeline; both sides are processes of one file.

    Raises CondsimError where the path cannot be written.
    """
    events: list[dict[str, Any]] = []
    for pid, (name, table) in enumerate(prediction.timeline.groupby("side", sort=False)):
        label = f"{name}: {prediction.strategy if name == 'conditional' else prediction.baseline} on {prediction.profile}"
        events.append({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": label}})
        lanes = list(dict.fromkeys(table["lane"]))
        events += [
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": i, "args": {"name": lane}}
            for i, lane in enumerate(lanes)
        ]
        for row in table.itertuples():
            events.append(
                {
                    "ph": "X",
                    "name": row.operator,
                    "cat": row.part,
                    "pid": pid,
                    "tid": lanes.index(row.lane),
                    "ts": row.start_s * 1e6,
                    "dur": row.duration_s * 1e6,
                    "args": {"module": row.module, "guard": row.guard, "basis": row.basis},
                }
            )
    return write_whole(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))
