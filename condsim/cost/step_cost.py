"""What one side of a comparison costs, step by step: the one place where the effects are composed.

    seconds = Σ dispatch + Σ hot operators + Σ weights that were evicted + Σ first calls (after other data, or at new sizes)

Sizes repeat: each operator is priced once for every distinct size, and the prices are summed over the steps (and experts) that have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from condsim.cost.cost_model import Pricing
from condsim.cost.cpu.evicted_code import cold_seconds, own_seconds
from condsim.cost.cpu.new_shapes import NewShapes, new_shape_seconds
from condsim.cost.cpu.operator_time import VIEW, Hot
from condsim.cost.cpu.residency import miss_seconds, miss_spread_seconds
from condsim.hardware import HardwareProfile
from condsim.lower import Lowering, Visit
from condsim.program import Op
from condsim.program.operators import GROUPED, MATMULS, Work, work

PARTS = ("matmul", "traffic", "dispatch")
Label = tuple[str, ...]


@dataclass
class WeightVisits:
    """Visits of one operator to a weight. bytes: of one visit, [m]; step, choice: int [m]; rows: of its product, [m]. label: what `Labels` says of the
    operator. pieces: matrices that it is made of, which a batched product takes one after the other, [m] or the same for all."""

    name: str
    bytes: np.ndarray
    step: np.ndarray
    choice: np.ndarray
    rows: np.ndarray
    label: Label = ()
    pieces: Any = 1

    def miss_seconds(self, distance_bytes: np.ndarray, profile: HardwareProfile) -> np.ndarray:
        """Seconds that evicted weights cost each visit, float [m]."""
        seconds: np.ndarray = self.pieces * miss_seconds(
            self.bytes / self.pieces, distance_bytes, profile, self.rows
        )
        return seconds


@dataclass
class Labels:
    """The same seconds by what each operator is labelled with. of: operator → label. seconds: without evicted weights, float [n]; calls: of each code
    (`condsim.cost.cpu.evicted_code`), float [n]."""

    of: Callable[[Visit], Label]
    seconds: dict[Label, np.ndarray] = field(default_factory=dict)
    calls: dict[tuple[Label, str], np.ndarray] = field(default_factory=dict)

    def add(self, label: Label, code: str, seconds: np.ndarray, calls: np.ndarray) -> None:
        """One operator's seconds and calls in each step, float [n] each."""
        self.seconds[label] = self.seconds.get(label, 0.0) + seconds
        self.calls[label, code] = self.calls.get((label, code), 0.0) + calls


@dataclass
class Side:
    """Sums a step, float [n]: executed FLOPs without and of routers, seconds by part.

    by_family: hot seconds by table, float [n]; by_basis: basis word → seconds, summed over steps; weights: visits, for residency; calls: of each code
    (`condsim.cost.cpu.evicted_code`), float [n]; moved_bytes: activations read and written, float [n];
    worlds: seconds on the device beyond flops / peak by world, float [n], where the device model says them.
    On a device that runs prepared graphs also: traffic_bytes by memory level, float [n]; companion_j, companion_flops: of the CPU beside it, float [n];
    uncertainty: relative, of what by_family names; prepared: graphs that were compiled for all steps. labels: None unless they were asked for.
    """

    steps: int
    flops: np.ndarray
    router_flops: np.ndarray
    seconds: dict[str, np.ndarray]
    by_family: dict[str, np.ndarray] = field(default_factory=dict)
    by_basis: dict[str, float] = field(default_factory=dict)
    weights: list[WeightVisits] = field(default_factory=list)
    worlds: dict[str, np.ndarray] = field(default_factory=dict)
    activation_bytes: np.ndarray = field(default_factory=lambda: np.zeros(0))
    traffic_bytes: dict[str, np.ndarray] = field(default_factory=dict)
    companion_j: np.ndarray | float = 0.0
    companion_flops: np.ndarray | float = 0.0
    uncertainty: dict[str, float] = field(default_factory=dict)
    prepared: int = 0
    moved_bytes: np.ndarray = field(default_factory=lambda: np.zeros(0))
    calls: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: NewShapes = field(default_factory=lambda: NewShapes(0))
    labels: Labels | None = None

    def touched_bytes(self) -> np.ndarray:
        """Bytes that a step touches one operator after the other: weights, and activations once (one writes what the next reads), float [n]."""
        total: np.ndarray = self.moved_bytes / 2
        for v in self.weights:
            total += np.bincount(v.step, v.bytes, self.steps)
        return total

    def footprint_bytes(self) -> np.ndarray:
        """Bytes that a step touches: each weight once, and the largest operator's activations (their memory is used again), float [n]."""
        if not hasattr(self, "_footprint"):
            total = self.activation_bytes.copy()
            seen: dict[str, np.ndarray] = {}
            for v in self.weights:
                key = v.step * 65536 + v.choice + 1
                fresh = ~np.isin(key, seen[v.name]) if v.name in seen else np.ones(len(key), bool)
                seen[v.name] = np.concatenate([seen[v.name], key]) if v.name in seen else key
                total += np.bincount(v.step[fresh], v.bytes[fresh], self.steps)
            self._footprint: np.ndarray = total
        return self._footprint

    def evicting_bytes(self, profile: HardwareProfile) -> np.ndarray:
        """Bytes that are touched while a step runs, float [n]: its own, and those of whoever else uses the caches in that time."""
        others = 0.0 if profile.residency is None else profile.residency.others
        found: np.ndarray = self.footprint_bytes() + others * np.sum(
            list(self.seconds.values()), axis=0
        )
        return found

    def miss(
        self, profile: HardwareProfile, other_bytes: np.ndarray | float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Seconds that evicted weights cost in each step, and one standard deviation of it, float [n] each.

        other_bytes: None where the steps follow each other; else each step is repeated, and so many bytes of something else are touched in between.
        """
        seconds, spread = np.zeros(self.steps), np.zeros(self.steps)
        for v, distance in self._distances(profile, other_bytes):
            seconds += np.bincount(v.step, v.miss_seconds(distance, profile), self.steps)
            spread += np.bincount(
                v.step, miss_spread_seconds(v.bytes, distance, profile), self.steps
            )
        return seconds, spread

    def returning(
        self, profile: HardwareProfile, other_bytes: np.ndarray | float | None
    ) -> dict[str, np.ndarray]:
        """Seconds that the first call of each code in a step costs more where so many bytes of something else were touched before it, code → float [n].
        other_bytes: None where the steps follow each other."""
        if profile.cold is None or other_bytes is None:
            return {}
        touched, different = self.touched_bytes(), self.footprint_bytes()
        found = {}
        for code, calls in self.calls.items():
            since = np.minimum(touched / np.maximum(calls, 1.0), different)
            usual, first = (
                own_seconds(code, bytes_, profile) for bytes_ in (since, since + other_bytes)
            )
            found[code] = np.minimum(calls, 1.0) * (first - usual)
        return found

    def building(self, profile: HardwareProfile) -> np.ndarray:
        """Seconds in each step that go into kernels for sizes which no step before had, where the steps follow each other; float [n]."""
        return sum(self.shapes.seconds(profile).values(), np.zeros(self.steps))

    def by_label(
        self,
        profile: HardwareProfile,
        other_bytes: np.ndarray | float | None,
        foreign: np.ndarray | float | None,
    ) -> dict[Label, np.ndarray]:
        """Seconds in each step by label, float [n]: together they are all that a CPU takes, evicted weights and code included. other_bytes: as in `miss`;
        foreign: as in `returning`."""
        assert self.labels is not None
        found = dict(self.labels.seconds)
        first = self.returning(profile, foreign)
        for (label, code), calls in self.labels.calls.items():
            if code in first:
                found[label] = found[label] + first[code] * calls / np.maximum(
                    self.calls[code], 1.0
                )
        if other_bytes is None:
            for of, seconds in self.shapes.seconds(profile).items():
                found[of] = found[of] + seconds
        for v, distance in self._distances(profile, other_bytes):
            found[v.label] = found.get(v.label, 0.0) + np.bincount(
                v.step, v.miss_seconds(distance, profile), self.steps
            )
        return found

    def _distances(
        self, profile: HardwareProfile, other_bytes: np.ndarray | float | None
    ) -> Iterator[tuple[WeightVisits, np.ndarray]]:
        """Bytes touched since the last use of the weight, float [m], for all visits; arguments as in `miss`."""
        touched = self.evicting_bytes(profile)
        cumulative = np.concatenate([[0.0], np.cumsum(touched)])
        most = max((float(cumulative[-1])), 1.0)
        distances: dict[
            tuple[int, int], np.ndarray
        ] = {}  # weights of one scope are visited together
        for v in self.weights:
            visits = id(v.step), id(v.choice)
            if visits not in distances and other_bytes is not None:
                distances[visits] = (touched + other_bytes)[v.step]
            elif visits not in distances:
                distances[visits] = _since_last(v, cumulative, most)
            yield v, distances[visits]


def _since_last(v: WeightVisits, cumulative: np.ndarray, most: float) -> np.ndarray:
    """Bytes touched since each visit's weight was used before; the first use of each wraps round to its last (a trace that repeats)."""
    order = np.lexsort((v.step, v.choice))
    step, choice = v.step[order], v.choice[order]
    begins = np.concatenate([[True], choice[1:] != choice[:-1]])
    ends = np.concatenate([begins[1:], [True]])
    previous = np.concatenate([[0], step[:-1]])
    distance = cumulative[step] - cumulative[previous]
    distance[begins] = cumulative[step[begins]] + most - cumulative[step[ends]]
    out: np.ndarray = np.empty_like(distance)
    out[order] = np.maximum(distance, 1.0)
    return out


def side(
    lowering: Lowering, pricing: Pricing, label: Callable[[Visit], Label] | None = None
) -> Side:
    """Price everything that a lowering runs. label: also give the seconds by what it says of each operator."""
    n = len(lowering.rows)
    out = Side(
        n,
        np.zeros(n),
        np.zeros(n),
        {p: np.zeros(n) for p in PARTS},
        activation_bytes=np.zeros(n),
        moved_bytes=np.zeros(n),
    )
    out.labels, out.shapes = None if label is None else Labels(label), NewShapes(n)
    resident = pricing.resident(lowering)
    for visits in by_scope(lowering.walk()):
        _scope(visits, lowering, pricing, out, resident)
    _after_other_data(out, pricing.profile)
    return out


def _after_other_data(out: Side, profile: HardwareProfile) -> None:
    """What operators cost more because their code was evicted by a step's data."""
    if profile.cold is None:
        return
    touched, every = out.touched_bytes(), np.sum(list(out.calls.values()), axis=0)
    different = out.footprint_bytes()
    each = {
        code: cold_seconds(code, calls, every, touched, different, profile)
        for code, calls in out.calls.items()
    }
    extra = sum((calls * each[code] for code, calls in out.calls.items()), np.zeros(out.steps))
    out.seconds["dispatch"] += extra
    out.by_basis["calibrated"] = out.by_basis.get("calibrated", 0.0) + float(extra.sum())
    if out.labels:
        for (label, code), calls in out.labels.calls.items():
            if code in each:  # none is, where graphs are compiled
                out.labels.seconds[label] = out.labels.seconds[label] + calls * each[code]


def by_scope(visits: Iterable[Visit]) -> Iterator[list[Visit]]:
    """Consecutive operators that share their sizes."""
    group: list[Visit] = []
    for v in visits:
        if group and (v.step is not group[0].step):
            yield group
            group = []
        group.append(v)
    if group:
        yield group


def distinct_sizes(bindings: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(bindings of each distinct size, which of them each call has)."""
    key = np.zeros(len(next(iter(bindings.values()))), np.int64)
    for values in bindings.values():
        low, high = int(values.min()), int(values.max())
        if low != high:
            key = key * (high - low + 1) + (values - low)
    if len(key) and (key == key[0]).all():
        return {k: v[:1] for k, v in bindings.items()}, np.zeros(len(key), np.int64)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return {k: v[first] for k, v in bindings.items()}, inverse


Sizes = tuple[
    dict[str, np.ndarray], np.ndarray, Any
]  # distinct bindings, which of them each call has, a hashable that stands for them


def _scope(
    visits: list[Visit],
    lowering: Lowering,
    pricing: Pricing,
    out: Side,
    resident: np.ndarray | float,
) -> None:
    """Price the operators of one scope and add them to the steps that run it."""
    step = visits[0].step
    if not len(step):
        return
    sizes_of: dict[str, Sizes] = {}
    sums: dict[tuple[str, str], np.ndarray] = {}
    inverses: dict[str, np.ndarray] = {}
    for v in visits:
        where = v.op.site
        if where not in sizes_of:
            distinct, inverse = distinct_sizes(v.bindings)
            sizes_of[where] = (
                distinct,
                inverse,
                tuple((k, d.tobytes()) for k, d in distinct.items()),
            )
        distinct, inverse, key = sizes_of[where]
        _weights(v, distinct, inverse, lowering, pricing, out)
        share = (
            resident[step]
            if isinstance(resident, np.ndarray) and any(t.weight for t in v.op.inputs)
            else resident
        )
        grouped = lowering.rows.counts[where][step] if v.op.name in GROUPED and where else None
        if grouped is not None or isinstance(
            share, np.ndarray
        ):  # every step has groups, or a share, of its own
            hot, job, moved = pricing.operator(v.op, v.bindings, None, grouped, share)
            where, inverse = f"{where} by step", np.arange(len(step))
        else:
            hot, job, moved = pricing.operator(v.op, distinct, key, resident=share)
        if where not in inverses:
            inverses[where] = inverse
        if not v.op.view and new_shape_seconds(
            "linear" if grouped is not None else job.family, pricing.profile
        ):
            out.shapes.add(job, grouped, inverse, step, out.labels.of(v) if out.labels else ())
        far = pricing.far_per_byte(lowering, v.place) * moved
        host, code = pricing.host_seconds(lowering, v.place, v.op, hot), pricing.code(v.op)
        if out.labels:
            per_call = np.broadcast_to(_body(hot) + far + host, (int(inverse.max()) + 1,))[inverse]
            out.labels.add(
                out.labels.of(v),
                code,
                np.bincount(step, per_call, out.steps),
                np.bincount(step, minlength=out.steps),
            )
        for what, values in _parts(
            v.op, hot, job, moved, far, host, code if pricing.runtime.host == "operator" else None
        ):
            if (what, where) not in sums:
                sums[what, where] = np.zeros(int(inverse.max()) + 1)
            total = sums[what, where]
            sums[what, where] = (
                np.maximum(total, values) if what == "activations" else total + values
            )
    for (what, where), per_size in sums.items():
        _add(out, what, step, per_size[inverses[where]])


def _body(hot: Hot) -> Any:
    """What an operator takes beyond its dispatch; a view takes no more."""
    return 0.0 if hot.family == VIEW else np.maximum(np.asarray(hot.seconds) - hot.dispatch, 0.0)


def _parts(
    op: Op, hot: Hot, job: Work, moved: Any, far: Any, host: float, code: str | None
) -> Iterator[tuple[str, Any]]:
    """What one operator adds to which sum."""
    yield "dispatch", host
    if code is not None:
        yield f"calls {code}", 1.0
    if hot.family == VIEW:
        yield f"basis {hot.basis}", host
        return
    body = _body(hot)
    for world, seconds in hot.worlds.items():
        yield f"world {world}", seconds
    yield f"basis {hot.basis}", body + far + host
    yield f"family {hot.family}", body + far
    yield "traffic", far
    yield "activations", moved
    yield "moved", moved
    if job.family in MATMULS:
        yield "matmul", body
        yield "router_flops" if op.role else "flops", job.flops
    else:
        yield "traffic", body


def _add(out: Side, what: str, step: np.ndarray, calls: np.ndarray) -> None:
    if what == "activations":
        np.maximum.at(out.activation_bytes, step, calls)
        return
    total = np.bincount(step, calls, out.steps)
    kind, _, label = what.partition(" ")
    if kind == "calls":
        out.calls[label] = out.calls.get(label, 0.0) + total
    elif kind == "moved":
        out.moved_bytes += total
    elif kind == "family":
        out.by_family[label] = out.by_family.get(label, 0.0) + total
    elif kind == "world":
        out.worlds[label] = out.worlds.get(label, 0.0) + total
    elif kind == "basis":
        out.by_basis[label] = out.by_basis.get(label, 0.0) + float(total.sum())
    elif kind == "flops":
        out.flops += total
    elif kind == "router_flops":
        out.router_flops += total
    else:
        out.seconds[kind] += total


def _weights(
    v: Visit,
    distinct: Mapping[str, np.ndarray],
    inverse: np.ndarray,
    lowering: Lowering,
    pricing: Pricing,
    out: Side,
) -> None:
    """Note which weights an operator reads, how many bytes of them, and for how many rows."""
    if v.op.view or not any(t.weight for t in v.op.inputs):
        return
    ins, outs = ([t.shape(distinct) for t in of] for of in (v.op.inputs, v.op.outputs))
    job = work(v.op.name, ins, outs, v.op.params)
    label = out.labels.of(v) if out.labels else ()

    def per_call(value: Any) -> np.ndarray:
        sizes = np.asarray(value, float)
        return np.full(len(inverse), sizes.item()) if sizes.size == 1 else sizes[inverse]

    pieces = np.maximum(per_call(job.groups), 1.0) if job.family == "bmm" else 1

    for t, shape in zip(v.op.inputs, ins, strict=True):
        if not t.weight:
            continue
        size = per_call(pricing.weight_bytes(v.op, t, shape, outs))
        if v.op.name in GROUPED and v.op.site:
            here = int(np.max(shape[0]))  # the weights of the first of all experts
            counts = lowering.rows.counts[v.op.site][v.step][:, :here]
            at, expert = np.nonzero(counts)
            out.weights.append(
                WeightVisits(
                    t.weight, size[at] / here, v.step[at], expert, counts[at, expert], label
                )
            )
        else:
            out.weights.append(
                WeightVisits(t.weight, size, v.step, v.choice, per_call(job.m), label, pieces)
            )
