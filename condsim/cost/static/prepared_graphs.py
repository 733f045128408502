"""What one side costs on a device that runs prepared graphs (TPU, NPU): the place where their effects are composed.

    seconds = Σ kernels (what one adds + max(padded FLOPs / rate, memory)) + launches, decisions and conditionals + what the CPU beside it runs

The host does not run ahead of a graph, and graphs do not run ahead of decisions, so a step is a sum. Each kernel is split, for the waterfall, into the
product as it is (`matmul`), its padding (`quantisation`), what its weights take longer than that (`weights`), and the rest of its memory (`traffic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cost_model import COPIES_ROWS, Pricing
from condsim.cost.cpu.operator_time import hot_seconds
from condsim.cost.roofline import peak_rate
from condsim.cost.static.matrix_unit import padded_flops
from condsim.cost.static.on_chip_memory import tiled_elements, traffic_seconds, weight_share
from condsim.cost.static.partition import cuts, launches, loop_of, steering
from condsim.cost.step_cost import Side, WeightVisits, by_scope, distinct_sizes
from condsim.engine.closed_form import Kernels
from condsim.hardware import HardwareProfile
from condsim.lower import Call, Lowering, Path, Visit
from condsim.program import FLOATING, JOINED, Op, elements
from condsim.program.operators import MATMULS, Shape, Work, work

Guards = tuple[tuple[str, int], ...]
PARTS = ("matmul", "traffic", "dispatch", "weights", "quantisation")


@dataclass(frozen=True)
class Kernel:
    """One operator on the device, or on the CPU beside it; numbers or arrays. Seconds by part, FLOPs, bytes of weights and activations by where they
    come from. cpu: its seconds, where it runs on the companion."""

    parts: Mapping[str, Any]
    flops: Any
    weights_bytes: Any
    main_bytes: Any
    chip_bytes: Any
    cpu: Any = 0.0

    @property
    def seconds(self) -> Any:
        return sum(self.parts.values())


NO_KERNEL = Kernel({}, 0.0, 0.0, 0.0, 0.0)


def prepared_side(lowering: Lowering, pricing: Pricing) -> Side:
    """Price everything that a lowering runs."""
    n = len(lowering.rows)
    profile = pricing.profile
    main = max(profile.memory, key=lambda name: profile.memory[name].bytes.value)
    chip = min(profile.memory, key=lambda name: profile.memory[name].bytes.value)
    out = Side(
        n, np.zeros(n), np.zeros(n), {p: np.zeros(n) for p in PARTS}, activation_bytes=np.zeros(n)
    )
    out.traffic_bytes = {name: np.zeros(n) for name in (main, chip)}
    visits = list(lowering.walk())
    strategy_of = {
        name: lowering.strategies[rule.mechanism] for name, rule in lowering.sites.items()
    }
    cpu_s, cpu_flops = np.zeros(n), np.zeros(n)
    on_cpu = False
    begun: set[Path] = set()
    for group in by_scope(visits):
        step = group[0].step
        if not len(step):
            continue
        on_cpu = on_cpu or any(
            steering(strategy_of[s], profile) == "companion" for s, _ in group[0].guards
        )
        known: dict[str, tuple[Mapping[str, Any], np.ndarray, np.ndarray | None]] = {}
        for v in group:
            where = (
                "groups" if _in_groups(v.op) else v.op.site
            )  # operators of one scope and site share their sizes
            if where not in known:
                known[where] = _sizes(v, lowering)
            sizes, inverse, rows = known[where]
            kernel = (
                _kernel(v.op, sizes, pricing, rows, on_cpu)
                if not _decides(v.op, v.guards, strategy_of, profile)
                else NO_KERNEL
            )

            def add(
                values: Any, to: np.ndarray, step: np.ndarray = step, inverse: np.ndarray = inverse
            ) -> None:
                to += np.bincount(step, np.broadcast_to(values, int(inverse.max()) + 1)[inverse], n)

            for part, seconds in kernel.parts.items():
                add(seconds, out.seconds[part])
            if _begins(v.op, v.place[0], v.guards, begun, strategy_of, profile):
                add(boundary_seconds(v.op, sizes, pricing), out.seconds["dispatch"])
            add(kernel.cpu, cpu_s)
            add(kernel.flops if on_cpu else 0.0, cpu_flops)
            add(kernel.flops, out.router_flops if v.op.role else out.flops)
            add(kernel.main_bytes, out.traffic_bytes[main])
            add(kernel.chip_bytes, out.traffic_bytes[chip])
            np.maximum.at(
                out.activation_bytes,
                step,
                np.broadcast_to(kernel.main_bytes + kernel.chip_bytes, int(inverse.max()) + 1)[
                    inverse
                ],
            )
            _note_weights(v, sizes, inverse, pricing, out)
    starts = launches(
        cuts(visits, n, {s: r.branches for s, r in lowering.sites.items()}), n, strategy_of, profile
    )
    out.companion_flops = cpu_flops
    _finish(out, pricing, starts.seconds(profile), cpu_s, starts.prepared)
    return out


def _finish(
    out: Side, pricing: Pricing, started_s: np.ndarray, cpu_s: np.ndarray, prepared: int
) -> None:
    """Add launches and the CPU, and note what everything rests on."""
    profile = pricing.profile
    kernels_s = float(out.seconds["dispatch"].sum())
    out.seconds["dispatch"] = out.seconds["dispatch"] + started_s
    rates = {"matrix unit": ("matmul", "quantisation"), "memory": ("weights", "traffic")}
    out.by_family = {
        name: sum((out.seconds[p] for p in parts), np.zeros(out.steps))
        for name, parts in rates.items()
    }
    out.by_basis = {
        "calibrated" if profile.calibrated else "estimated": float(
            sum(s.sum() for s in out.seconds.values())
        )
    }
    graphs = profile.graphs
    assert graphs is not None
    launch_s = float(started_s.sum())
    spread = np.hypot(
        kernels_s * profile.host.dispatch.relative, launch_s * graphs.launch.relative
    ) / max(kernels_s + launch_s, 1e-30)
    out.uncertainty = {
        "dispatch": float(spread),
        "matrix unit": float(
            np.hypot(
                profile.matmul_efficiency.relative,
                profile.peak_flops[pricing.dtype or profile.dtype].relative,
            )
        ),
        "memory": profile.dram.bandwidth.relative,
    }
    out.prepared = prepared
    if profile.companion is not None:
        out.companion_j = cpu_s * profile.companion.active_w.value


def _sizes(v: Visit, lowering: Lowering) -> tuple[Mapping[str, Any], np.ndarray, np.ndarray | None]:
    """Distinct sizes, which of them each call has, and the rows of each group where the operator is a grouped product (then every call is distinct)."""
    if _in_groups(v.op):
        return v.bindings, np.arange(len(v.step)), lowering.rows.counts[v.op.site][v.step]
    return *distinct_sizes(v.bindings), None


def _in_groups(op: Op) -> bool:
    return op.name == "_grouped_mm" and bool(op.site)


def _decides(
    op: Op, guards: Guards, strategy_of: Mapping[str, str], profile: HardwareProfile
) -> bool:
    """Whether the host does it when it decides: it stands behind a guard that the host steers, and touches decisions only, no activations."""
    if not guards or steering(strategy_of[guards[-1][0]], profile) != "host":
        return False
    return not any(t.dtype in FLOATING for t in (*op.inputs, *op.outputs))


def _begins(
    op: Op,
    path: Path,
    guards: Guards,
    begun: set[Path],
    strategy_of: Mapping[str, str],
    profile: HardwareProfile,
) -> bool:
    """Whether it is the first kernel of a graph that the host starts for a branch. begun: those that were seen, to which this one is added."""
    if (
        op.view
        or not guards
        or path in begun
        or steering(strategy_of[guards[-1][0]], profile) != "host"
        or _decides(op, guards, strategy_of, profile)
    ):
        return False
    begun.add(path)
    return True


def boundary_seconds(op: Op, sizes: Mapping[str, Any], pricing: Pricing) -> Any:
    """What it takes to change the layout of the activations that a graph's first kernel reads: bytes / rate; number or array."""
    graphs = pricing.profile.graphs
    if graphs is None or graphs.boundary is None:
        return 0.0
    crossing = sum(
        (
            elements(t.shape(sizes)) * pricing.itemsize(t.dtype)
            for t in op.inputs
            if not t.weight and t.dtype in FLOATING
        ),
        0,
    )
    return crossing / graphs.boundary.value


def _kernel(
    op: Op, sizes: Mapping[str, Any], pricing: Pricing, rows: np.ndarray | None, on_cpu: bool
) -> Kernel:
    profile = pricing.profile
    if op.view:
        interpreted = (
            profile.calibrated and not on_cpu and not op.name.endswith(JOINED)
        )  # an interpreter of graphs runs a view as any operator
        return (
            Kernel(
                {"dispatch": profile.host.view.value + profile.host.dispatch.value},
                0.0,
                0.0,
                0.0,
                0.0,
            )
            if interpreted
            else NO_KERNEL
        )
    ins, outs = [t.shape(sizes) for t in op.inputs], [t.shape(sizes) for t in op.outputs]
    job = work(op.name, ins, outs, op.params)
    if profile.calibrated and not on_cpu:
        return _timed(op, job, ins, outs, pricing)
    weights, activations = 0.0 * np.asarray(job.m), 0.0 * np.asarray(job.m)
    tiled = profile.kind == "tpu" and profile.matrix is not None and not on_cpu
    for t, shape in (*zip(op.inputs, ins, strict=True), *zip(op.outputs, outs, strict=True)):
        itemsize = pricing.itemsize(t.dtype)
        if t.weight:
            size = elements(shape) * itemsize
            if op.name in COPIES_ROWS:
                size = np.minimum(size, elements(outs[0]) * itemsize)
            if rows is not None:
                size = size * (rows > 0).mean(-1)
            weights = weights + size
        elif tiled:
            assert profile.matrix is not None
            activations = (
                activations + tiled_elements(shape, itemsize, profile.matrix.feed.value) * itemsize
            )
        else:
            activations = activations + elements(shape) * itemsize
    if on_cpu:
        return _on_companion(job.flops, weights + activations, pricing)
    weights = weights * weight_share(profile, pricing.weights_bytes)
    rate = peak_rate(profile, pricing.dtype) if job.family in MATMULS else 1.0
    flops = job.flops if job.family in MATMULS else 0.0
    padded = padded_flops(job, profile.matrix, rows) if job.family in MATMULS else 0.0
    of_weights, of_activations, fits = traffic_seconds(weights, activations, profile)
    product, whole = flops / rate, padded / rate
    seconds = np.maximum(
        whole, np.where(fits, np.maximum(of_weights, of_activations), of_weights + of_activations)
    )
    more_weights = np.maximum(of_weights - whole, 0.0)
    parts = {
        "matmul": product,
        "quantisation": whole - product,
        "weights": more_weights,
        "traffic": seconds - whole - more_weights,
        "dispatch": profile.host.dispatch.value,
    }
    return Kernel(
        parts,
        flops,
        weights,
        weights + np.where(fits, 0.0, activations),
        np.where(fits, activations, 0.0),
    )


def _timed(op: Op, job: Work, ins: list[Shape], outs: list[Shape], pricing: Pricing) -> Kernel:
    """An operator from the tables of a calibration, which know neither padding nor memory apart."""
    hot = hot_seconds(op.name, ins, outs, op.params, pricing.profile, dtype=pricing.dtype)
    product = job.family in MATMULS
    body = np.maximum(hot.seconds - hot.dispatch, 0.0)
    weights, moved = (
        sum(
            (
                elements(s) * pricing.itemsize(t.dtype)
                for t, s in zip((*op.inputs, *op.outputs), (*ins, *outs), strict=True)
                if bool(t.weight) == weight
            ),
            0,
        )
        for weight in (True, False)
    )
    parts = {
        "matmul" if product else "traffic": body,
        "dispatch": hot.dispatch + pricing.profile.host.dispatch.value,
    }
    return Kernel(parts, job.flops if product else 0.0, weights, weights + moved, 0.0)


def _on_companion(flops: Any, moved: Any, pricing: Pricing) -> Kernel:
    """A roofline with a dispatch. Source: Williams, Waterman, Patterson, 2009."""
    cpu = pricing.profile.companion
    assert cpu is not None, "a tail on the CPU needs a companion"
    product = flops / cpu.flops.value
    parts = {
        "matmul": product,
        "traffic": np.maximum(moved / cpu.bandwidth.value - product, 0.0),
        "dispatch": cpu.dispatch.value,
    }
    return Kernel(parts, flops, 0.0, moved, 0.0, sum(parts.values()))


def _note_weights(
    v: Visit, sizes: Mapping[str, Any], inverse: np.ndarray, pricing: Pricing, out: Side
) -> None:
    """Which weights are read, for the bytes that a step touches."""
    if v.op.view or not any(t.weight for t in v.op.inputs):
        return
    ins, outs = ([t.shape(sizes) for t in of] for of in (v.op.inputs, v.op.outputs))
    many = int(inverse.max()) + 1
    rows = np.broadcast_to(np.asarray(work(v.op.name, ins, outs, v.op.params).m, float), many)[
        inverse
    ]
    for t, shape in zip(v.op.inputs, ins, strict=True):
        if t.weight:
            size = np.broadcast_to(
                np.asarray(elements(shape) * pricing.itemsize(t.dtype), float), many
            )
            out.weights.append(WeightVisits(t.weight, size[inverse], v.step, v.choice, rows))


def prepared_kernels(
    lowering: Lowering, pricing: Pricing
) -> tuple[Kernels, list[Call], list[tuple[float, float, str, str]]]:
    """The first step's kernels in order, and for each call its (host seconds, device seconds, part, basis).

    The host starts a graph, waits for its end, decides, and starts the next; conditionals on the device are device time.
    """
    profile = pricing.profile
    graphs = profile.graphs
    assert graphs is not None
    calls = lowering.sequence()
    strategy_of = {
        name: lowering.strategies[rule.mechanism] for name, rule in lowering.sites.items()
    }
    host, device, parts = np.zeros(len(calls)), np.zeros(len(calls)), []
    sync = np.zeros(len(calls), bool)
    begun: dict[Any, int] = {}
    crossed: set[Path] = set()
    on_cpu = False
    if len(calls):
        host[0] += graphs.launch.value
    for i, call in enumerate(calls):
        for kind in _events(call, begun, strategy_of, pricing):
            if kind == "device":
                device[i] += graphs.branch.value if graphs.branch is not None else 0.0
            elif kind == "start":
                host[i] += graphs.switch.value + graphs.launch.value
                sync[max(i - 1, 0)] = True
            elif kind == "read":
                host[i] += profile.host.synchronise.value
                sync[max(i - 1, 0)] = True
            on_cpu = on_cpu or kind == "companion"
        rows = lowering.rows.counts[call.op.site][:1] if _in_groups(call.op) else None
        decides = _decides(call.op, call.guards, strategy_of, profile)
        kernel = (
            NO_KERNEL
            if decides
            else _kernel(
                call.op, {k: np.array([b]) for k, b in call.bindings.items()}, pricing, rows, on_cpu
            )
        )
        seconds = float(np.sum(kernel.seconds))
        if on_cpu:
            host[i] += seconds
        else:
            device[i] += seconds
        if _begins(call.op, call.place[0], call.guards, crossed, strategy_of, profile):
            device[i] += float(np.sum(boundary_seconds(call.op, call.bindings, pricing)))
        heaviest = max(
            kernel.parts, key=lambda p: float(np.sum(kernel.parts[p])), default="dispatch"
        )
        parts.append(
            "traffic"
            if heaviest == "weights"
            else "matmul"
            if heaviest == "quantisation"
            else heaviest
        )
    priced = [
        (float(h), float(d), p, "estimated") for h, d, p in zip(host, device, parts, strict=True)
    ]
    return Kernels(host, device, np.zeros(len(calls), int), sync), calls, priced


def _events(
    call: Call, begun: dict[Any, int], strategy_of: Mapping[str, str], pricing: Pricing
) -> Iterator[str]:
    """What happens before a call: "read" (a decision is read back), "start" (another graph begins), "device" (a conditional), "companion"."""
    for depth, (site, choice) in enumerate(call.guards):
        loop = loop_of(call.place[0][: depth + 1])
        how = steering(strategy_of[site], pricing.profile)
        first = loop not in begun
        begun.setdefault(loop, 0)
        if first and how == "device":
            yield "device"
        if how == "companion" and "companion" not in begun:
            begun["companion"] = 1
            yield from ("read", "companion")
        if how != "host":
            continue
        if first:
            yield from ("read", "start")
        ran = depth == len(call.guards) - 1 and call.bindings["rows"] > 0
        if ran and (loop, choice) not in begun:
            begun[loop, choice] = 1
            begun[loop] += 1
            if begun[loop] > 1:
                yield "start"
