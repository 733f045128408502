"""The price of one operator on a profile: its time, its work, and what the host takes for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from condsim.cost.cpu import compiled_graphs as compiled
from condsim.cost.cpu.activations import curves_of, far_per_byte
from condsim.cost.cpu.code_locality import among_seconds, call_sites, distances
from condsim.cost.cpu.evicted_code import code_of
from condsim.cost.cpu.operator_time import Hot, hot_seconds
from condsim.cost.gpu.operator import gpu_operator, resident_shares
from condsim.cost.roofline import DTYPE_BYTES
from condsim.hardware import HardwareProfile
from condsim.lower import ITEMSIZE, Lowering, Place
from condsim.program import JOINED, Op, Program, Tensor, elements
from condsim.program.operators import Work, work
from condsim.runtimes import EAGER, Runtime

COPIES_ROWS = ("index", "index_select", "embedding", "gather")


class Pricing:
    """Prices operators on one profile, and remembers what it priced. dtype: "fp32", ...; None: the profile's. runtime: what joins operators.
    parameters: of the whole model."""

    def __init__(
        self,
        profile: HardwareProfile,
        dtype: str | None = None,
        runtime: Runtime = EAGER,
        parameters: int = 0,
    ) -> None:
        self.profile, self.dtype, self.runtime = profile, dtype, runtime
        self.float_bytes = DTYPE_BYTES.get(dtype or profile.dtype, 4)
        self.weights_bytes = parameters * self.float_bytes
        self.compiled_here = profile.kind == "cpu" and runtime.host == "kernel"
        if self.compiled_here:
            compiled.check(profile)
        self._known: dict[Any, tuple[Hot, Work, Any]] = {}
        self._numbers: dict[Any, int] = {}
        self._kinds: dict[int, tuple[Op, tuple[int, str]]] = {}
        self._curves = (
            curves_of(profile) if runtime.host == "operator" or self.compiled_here else None
        )
        self._steps: dict[Any, Played] = {}
        self._joined: dict[int, tuple[Program, Program]] = {}

    @property
    def prepared(self) -> bool:
        """Whether the device runs prepared graphs (`condsim.cost.static.prepared_graphs`)."""
        return self.runtime.static and self.profile.graphs is not None

    def joined(self, program: Program) -> Program:
        """The program with its operators joined as the runtime does."""
        if self.runtime.joins is None:
            return program
        if id(program) not in self._joined:
            self._joined[id(program)] = program, self.runtime.joins(program)
        return self._joined[id(program)][1]

    def operator(
        self,
        op: Op,
        bindings: Mapping[str, Any],
        sizes: Any,
        groups_rows: np.ndarray | None = None,
        resident: np.ndarray | float = 0.0,
    ) -> tuple[Hot, Work, Any]:
        """(time, work, bytes of activations) of an operator; numbers or arrays like the bindings. sizes: a hashable that stands for the bindings.

        groups_rows: rows of each group of a grouped matmul, int [n, groups]. resident: share of its weights that a cache still has, float or float [n].
        """
        once = groups_rows is not None or isinstance(resident, np.ndarray)
        key = (self._kind(op)[0], sizes, None if once else resident)
        if not once and key in self._known:
            return self._known[key]
        ins, outs = [t.shape(bindings) for t in op.inputs], [t.shape(bindings) for t in op.outputs]
        job = work(op.name, ins, outs, op.params)
        if self.profile.gpu is not None:
            hot, job = gpu_operator(
                op,
                job,
                ins,
                outs,
                self.profile,
                self.dtype or self.profile.dtype,
                self.float_bytes,
                groups_rows,
                resident,
            )
        else:
            hot = self._hot(op, ins, outs, groups_rows)
        moved = sum(
            (
                elements(shape) * self.itemsize(t.dtype)
                for t, shape in self._activations(op, ins, outs)
            ),
            0,
        )
        priced = (hot, job, moved)
        if not once:
            self._known[key] = priced
        return priced

    def _hot(self, op: Op, ins: list[Any], outs: list[Any], groups_rows: np.ndarray | None) -> Hot:
        if self.compiled_here and op.name.endswith(JOINED):
            return compiled.joined_seconds(op, ins, outs, self.profile)
        hot = hot_seconds(
            op.name, ins, outs, op.params, self.profile, groups_rows, view=op.view, dtype=self.dtype
        )
        return replace(hot, basis="estimated") if self.compiled_here else hot

    def resident(self, lowering: Lowering) -> np.ndarray | float:
        """Share of each step's weights that a cache still has from the step before, float [n], or one for all; 0 where the operators' times say it."""
        return (
            0.0
            if self.profile.gpu is None
            else resident_shares(lowering, self.profile, self.itemsize)
        )

    def _kind(self, op: Op) -> tuple[int, str]:
        """(a number that operators of the same sizes have in common, whose code it runs)."""
        if id(op) not in self._kinds:
            shape = (
                op.name,
                op.view,
                op.params,
                *(
                    tuple((t.dims, t.dtype, bool(t.weight)) for t in of)
                    for of in (op.inputs, op.outputs)
                ),
            )
            number = self._numbers.setdefault(shape, len(self._numbers))
            self._kinds[id(op)] = (
                op,
                (number, code_of(op.name, op.view, len(op.inputs), self.profile)),
            )
        return self._kinds[id(op)][1]

    def code(self, op: Op) -> str:
        """Whose code it runs (`condsim.cost.cpu.evicted_code`)."""
        return self._kind(op)[1]

    @staticmethod
    def _activations(op: Op, ins: list[Any], outs: list[Any]) -> Iterator[tuple[Tensor, Any]]:
        pairs = (
            ()
            if op.view
            else (*zip(op.inputs, ins, strict=True), *zip(op.outputs, outs, strict=True))
        )
        return ((t, shape) for t, shape in pairs if not t.weight)

    def itemsize(self, dtype: str) -> int:
        return self.float_bytes if dtype == "float" else ITEMSIZE.get(dtype, 4)

    def weight_bytes(self, op: Op, t: Tensor, shape: Any, outs: list[Any]) -> Any:
        """Bytes of a weight that one call reads; of a table that it looks rows up in, those rows."""
        if op.view or not t.weight:
            return 0.0
        size = elements(shape) * self.itemsize(t.dtype)
        return (
            np.minimum(size, elements(outs[0]) * self.itemsize(t.dtype))
            if op.name in COPIES_ROWS
            else size
        )

    def far_per_byte(self, lowering: Lowering, place: Place) -> float:
        """Seconds a byte of activations that lie further away than in a micro-benchmark (`condsim.cost.cpu.activations`)."""
        if self._curves is None:
            return 0.0
        return self._played(lowering).far.get(place, 0.0)

    def _bytes(self, op: Op, t: Tensor, shape: Any, outs: Any) -> float:
        return float(
            self.weight_bytes(op, t, shape, outs)
            if t.weight
            else elements(shape) * self.itemsize(t.dtype)
        )

    def host_seconds(self, lowering: Lowering, place: Place, op: Op, hot: Hot) -> float:
        """Host time of one call: its dispatch, what it costs more among other operators, and what Python did before it. What it costs more after other
        data comes on top (`condsim.cost.cpu.evicted_code`)."""
        if self.runtime.host == "graph":
            return 0.0
        if self.compiled_here:
            return compiled.host_seconds(
                op, hot, place in self._played(lowering).begins, self.profile
            )
        if self.runtime.host == "kernel":
            return 0.0 if op.view else hot.dispatch
        played = self._played(lowering)
        known = played.host
        if place not in known:
            p = self.profile
            seconds = hot.dispatch + float(
                among_seconds(
                    op.name,
                    played.distinct.get(place, played.most),
                    p,
                    view=op.view,
                    inputs=len(op.inputs),
                )
            )
            if p.host.instruction is None:
                known[place] = seconds + op.entered * p.host.module_call.value
            else:
                known[place] = seconds + op.instructions * p.host.instruction.value
        return known[place]

    def _played(self, lowering: Lowering) -> Played:
        """What the first step of a lowering says, remembered."""
        program, key = lowering.program, lowering.first_step
        if key not in self._steps:
            calls = lowering.sequence()
            names = [f"{c.op.name}.view" if c.op.view else c.op.name for c in calls]
            labels = call_sites(names, [c.op.module for c in calls], [c.op.entered for c in calls])
            distinct = {c.place: d for c, d in zip(calls, distances(labels), strict=True)}
            far = (
                {}
                if self._curves is None
                else far_per_byte(calls, self._bytes, self.itemsize, self._curves)
            )
            begins = (
                compiled.beginnings(lowering.walk()) if self.compiled_here else frozenset[Place]()
            )
            self._steps[key] = Played(program, distinct, len(set(labels)), far, begins)
        return self._steps[key]


@dataclass(frozen=True)
class Played:
    """One step of a program in executed order. distinct: different places of the code between two calls of each place, most: all of them. far: seconds a byte
    of activations by place. begins: where compiled graphs do. host: seconds by place, as far as asked for."""

    program: Program
    distinct: Mapping[Place, int]
    most: int
    far: Mapping[Place, float]
    begins: frozenset[Place] = frozenset()
    host: dict[Place, float] = field(default_factory=dict)
