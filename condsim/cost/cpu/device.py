"""A CPU: host and device are one, so a step is the sum of its operators.

Times come from the profile's tables where it was calibrated, else from peak rates. On top come,
one file an effect: the code's distance (`code_locality`), what Python does between operators, how
far away activations lie (`activations`), code (`evicted_code`) and weights (`residency`) that were
evicted, and kernels that a library writes for new sizes (`new_shapes`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from condsim.cost.cpu import compiled_graphs
from condsim.cost.cpu.activations import activation_curves, far_per_byte
from condsim.cost.cpu.call_memory import MemoryOfCalls
from condsim.cost.cpu.evicted_code import code_of
from condsim.cost.cpu.new_shapes import NEW_SHAPE, NewShapes, new_shape_seconds
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.device import DEVICE_MODELS, ShapedOperator, Target
from condsim.cost.hot import OperatorTime
from condsim.cost.issued import IssuedModel, PlayedStep
from condsim.cost.step_cost import StepCost
from condsim.engine.closed_form import Issued
from condsim.kernels import Entry, Kernels
from condsim.lower import Call, Lowered, Place
from condsim.program import JOINED, Op


@DEVICE_MODELS.register("cpu")
class CpuModel(IssuedModel):
    """A CPU, under eager PyTorch or in compiled graphs."""

    @classmethod
    def serves(cls, target: Target) -> bool:
        return target.profile.kind == "cpu"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.compiled = target.runtime.host == "kernel"
        if self.compiled:
            compiled_graphs.check(target.profile)
        self._plays_activations = target.runtime.host == "operator" or self.compiled

    # One step in order

    def played_step(self, lowered: Lowered, entries: list[Entry]) -> PlayedStep:
        calls = lowered.sequence()
        step = self.played(lowered.program, calls)
        curves = activation_curves(self.target.profile)
        if curves is not None and self._plays_activations:
            shaped = partial(self.sized, lowered=lowered)
            memory_of_calls = MemoryOfCalls(self.target, entries, shaped)
            places, memory = memory_of_calls.of_step(calls)
            step = replace(step, far_per_byte=far_per_byte(places, memory, curves))
        if self.compiled:
            begins = compiled_graphs.graph_beginnings(lowered.visits())
            step = replace(step, begins=begins)
        return step

    # One operator

    def operator_time(self, sized: ShapedOperator, resident: Any) -> tuple[OperatorTime, Any]:
        op = sized.op
        profile = self.target.profile
        if self.compiled and op.name.endswith(JOINED):
            hot = compiled_graphs.joined_seconds(op, sized.inputs, sized.outputs, profile)
            return hot, sized.job.flops
        hot = operator_time(
            op.name,
            sized.inputs,
            sized.outputs,
            op.params,
            profile,
            sized.experts_rows,
            view=op.view,
            dtype=self.target.dtype,
        )
        if self.compiled:
            hot = replace(hot, basis="estimated")
        return hot, sized.job.flops

    def host_seconds(self, op: Op, hot: OperatorTime, place: Place, step: PlayedStep) -> float:
        if self.compiled:
            begins = place in step.begins
            return compiled_graphs.host_seconds(op, hot, begins, self.target.profile)
        return super().host_seconds(op, hot, place, step)

    def code_of(self, op: Op) -> str:
        if self.target.runtime.host != "operator":
            return ""
        return code_of(op.name, op.view, len(op.inputs), self.target.profile)

    # One step

    def step_cost(self, kernels: Kernels) -> StepCost:
        cost = StepCost(kernels, self.target.profile)
        cost.new_shapes = self._new_shapes(kernels)
        return cost

    def _new_shapes(self, kernels: Kernels) -> NewShapes:
        """The products whose library writes a kernel for new sizes, and where they are met."""
        shapes = NewShapes(kernels.steps)
        lowered = kernels.lowered
        for entry in kernels.entries:
            if entry.op.view or not self._writes_kernels:
                continue
            sized = self.sized(entry, lowered)
            family = "linear" if sized.experts_rows is not None else sized.job.family
            if new_shape_seconds(family, self.target.profile):
                step = lowered.scopes[entry.scope].step
                of_call = entry.sizes.of_call
                label = (entry.scope, entry.node)
                shapes.add(sized.job, sized.experts_rows, of_call, step, label)
        return shapes

    @property
    def _writes_kernels(self) -> bool:
        """Whether some library of this machine writes kernels for new sizes."""
        return any(name.endswith(NEW_SHAPE) for name in self.target.profile.extra_s)

    def issued(self, kernels: Kernels, step: int) -> tuple[Issued, list[Call]]:
        """On a CPU the host does everything, and waits for every kernel."""
        issued, calls = super().issued(kernels, step)
        evicted_code_s = self._evicted_code_s(kernels, calls, step)
        host_s = issued.host_s + issued.device_s + evicted_code_s
        device_s = np.zeros(len(calls))
        waits = np.ones(len(calls), bool)
        return Issued(host_s, device_s, issued.stream, waits), calls

    def _evicted_code_s(self, kernels: Kernels, calls: list[Call], step: int) -> np.ndarray:
        """What each call of a step costs more because its code was evicted, seconds."""
        seconds_a_call = {}
        for code, evicted in self.step_cost(kernels).evicted_code.items():
            of_steps = np.broadcast_to(evicted.each_s, kernels.steps)
            seconds_a_call[code] = float(of_steps[step])
        codes = [self.code_of(call.op) for call in calls]
        return np.array([seconds_a_call.get(code, 0.0) for code in codes])
