"""Operators that a host issues one by one: what CPUs and GPUs have in common.

The host's time of an operator depends on what ran before it, so one step is played in executed
order first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from condsim.cost.cpu.code_locality import call_sites, code_locality_seconds, distances
from condsim.cost.device import DeviceModel, Pricing, ShapedOperator, Target
from condsim.cost.hot import VIEW, OperatorTime
from condsim.engine.closed_form import Issued
from condsim.kernels import Entry, KernelCost, Kernels
from condsim.lower import Call, Lowered, Place
from condsim.program import Op, Program
from condsim.program.work import MATMULS
from condsim.results import Results


@dataclass(frozen=True)
class PlayedStep:
    """One step in executed order.

    distinct: place → different places of the code since its last call, itself included.
    most: all different places. far_per_byte: place → seconds a byte that its activations lie
    further away than in a micro-benchmark. begins: places where a compiled graph begins.
    """

    distinct: Mapping[Place, int]
    most: int
    far_per_byte: Mapping[Place, float] = field(default_factory=dict)
    begins: frozenset[Place] = frozenset()


def played(calls: list[Call]) -> PlayedStep:
    """Return how far apart the calls of the same code are."""
    names = []
    for call in calls:
        name = call.op.name
        names.append(f"{name}.view" if call.op.view else name)
    modules = [call.op.module for call in calls]
    entered = [call.op.entered for call in calls]
    labels = call_sites(names, modules, entered)
    places = [call.place for call in calls]
    distinct = dict(zip(places, distances(labels), strict=True))
    return PlayedStep(distinct, len(set(labels)))


class IssuedModel(DeviceModel):
    """A device whose operators a host issues."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._played = Results()

    def begin(self, lowered: Lowered) -> IssuedPricing:
        return IssuedPricing(self, lowered)

    def played_step(self, lowered: Lowered, entries: list[Entry]) -> PlayedStep:
        """Return the first step of a lowered program, played in executed order."""
        return self.played(lowered.program, lowered.sequence())

    def played(self, program: Program, calls: list[Call]) -> PlayedStep:
        """Return how far apart the calls of the same code are. calls: of the program."""
        key = (program.digest, tuple([call.place for call in calls]))
        return self._played.remember(key, lambda: played(calls))

    def resident(self, lowered: Lowered) -> np.ndarray | float:
        """Return the share of each step's weights that a cache still has from the step before,
        float [steps], or one number for all; 0 where the operators' times say it."""
        return 0.0

    @abstractmethod
    def operator_time(self, sized: ShapedOperator, resident: Any) -> tuple[OperatorTime, Any]:
        """Return an operator's time and its FLOPs."""

    def code_of(self, op: Op) -> str:
        """Return whose machine code an operator runs, of what costs more after other data."""
        return ""

    def host_seconds(self, op: Op, hot: OperatorTime, place: Place, step: PlayedStep) -> float:
        """Return the host's time of one call: its dispatch, what it costs more among other
        operators, and what Python did before it."""
        host = self.target.runtime.host
        if host == "graph":
            return 0.0
        if host == "kernel":
            return 0.0 if op.view else hot.dispatch
        profile = self.target.profile
        distinct = step.distinct.get(place, step.most)
        among_s = code_locality_seconds(
            op.name, distinct, profile, view=op.view, inputs=len(op.inputs)
        )
        if profile.host.instruction is None:
            python_s = op.entered * profile.host.module_call.value
        else:
            python_s = op.instructions * profile.host.instruction.value
        return hot.dispatch + float(among_s) + python_s

    def issued(self, kernels: Kernels, step: int) -> tuple[Issued, list[Call]]:
        calls = kernels.lowered.sequence(step)
        rows = kernels.rows_of(calls)
        host = kernels.column("dispatch")[rows]
        device = kernels.seconds[rows] - host
        stream = np.zeros(len(calls), int)
        sync = np.array([call.op.sync for call in calls], bool)
        return Issued(host, device, stream, sync), calls


class IssuedPricing(Pricing):
    """Prices the operators of one lowered program."""

    def __init__(self, model: IssuedModel, lowered: Lowered) -> None:
        self.model, self.lowered = model, lowered
        self.resident = model.resident(lowered)
        self.step = PlayedStep({}, 0)

    def alone(self, op: Op) -> bool:
        return super().alone(op) or isinstance(self.resident, np.ndarray)

    def prepare(self, entries: list[Entry], played: PlayedStep | None) -> PlayedStep:
        self.step = played or self.model.played_step(self.lowered, entries)
        return self.step

    def kernel(self, entry: Entry) -> KernelCost:
        op = entry.op
        sized, hot, flops = self._time(entry)
        host = self.model.host_seconds(op, hot, entry.place, self.step)
        code = self.model.code_of(op)
        if hot.family == VIEW:
            return KernelCost({"dispatch": host}, VIEW, hot.basis, code=code, view=True)
        beyond_dispatch = np.maximum(np.asarray(hot.seconds) - hot.dispatch, 0.0)
        far = self.step.far_per_byte.get(entry.place, 0.0) * sized.moved_bytes
        if sized.job.family in MATMULS:
            parts = {"dispatch": host, "matmul": beyond_dispatch, "traffic": far}
        else:
            parts = {"dispatch": host, "traffic": beyond_dispatch + far}
            flops = 0.0
        return KernelCost(
            parts,
            hot.family,
            hot.basis,
            flops=flops,
            moved_bytes=sized.moved_bytes,
            code=code,
            worlds=hot.worlds,
        )

    def _time(self, entry: Entry) -> tuple[ShapedOperator, OperatorTime, Any]:
        """Operators of one kind and size are priced once."""
        model = self.model
        resident = self._resident_of(entry.scope)
        if entry.sizes.key is None:
            sized = model.sized(entry, self.lowered)
            return sized, *model.operator_time(sized, resident)
        key = (entry.kind, entry.sizes.key, resident)
        if key not in model.priced.costs:
            sized = model.sized(entry, self.lowered)
            model.priced.costs[key] = (sized, *model.operator_time(sized, resident))
        found: tuple[ShapedOperator, OperatorTime, Any] = model.priced.costs[key]
        return found

    def _resident_of(self, scope: int) -> Any:
        if isinstance(self.resident, np.ndarray):
            calls = self.lowered.scopes[scope]
            return self.resident[calls.step]
        return self.resident
