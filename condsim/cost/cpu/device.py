"""A CPU: host and device are one, so a step is the sum of its operators.

Times come from the profile's tables where it was calibrated, else from peak rates. On top come,
one file an effect: the code's distance (`code_locality`), what Python does between operators, how
far away activations lie (`activations`), code (`evicted_code`) and weights (`residency`) that were
evicted, and kernels that a library writes for new sizes (`new_shapes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from condsim.cost.columns import Columns, in_columns
from condsim.cost.cpu import compiled_graphs
from condsim.cost.cpu.activations import activation_curves, far_per_byte
from condsim.cost.cpu.call_memory import step_memory
from condsim.cost.cpu.evicted_code import code_of
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.new_shapes import NEW_SHAPE, NewShapes, new_shape_seconds
from condsim.cost.cpu.operator_time import looks_at_shapes, operator_time, variants
from condsim.cost.device import DEVICE_MODELS, ShapedOperator, SizedKind, Target
from condsim.cost.hot import OperatorTime, SizedOperator
from condsim.cost.issued import IssuedModel
from condsim.cost.size_ranges import SizeRange
from condsim.cost.step_cost import StepCost
from condsim.engine.closed_form import Issued
from condsim.kernel_cost import CostRows, KernelCost
from condsim.kernels import Kernels
from condsim.layout import Layout
from condsim.lowered import Call, Lowered
from condsim.played import PlayedSteps
from condsim.program import JOINED, Op
from condsim.program.order import Order
from condsim.program.work import Shape, Work
from condsim.steps.size_set import SizeSet


@DEVICE_MODELS.register("cpu")
class CpuModel(IssuedModel):
    """A CPU, under eager PyTorch or in compiled graphs."""

    @classmethod
    def serves(cls, target: Target) -> bool:
        return target.profile.device_class.priced_as == "cpu"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.compiled = target.runtime.host == "kernel"
        self._of_views: dict[int, KernelCost] = {}
        self._variants_in_range: dict[Hashable, Sequence[Hashable]] = {}
        if self.compiled:
            compiled_graphs.check(target.profile)
        self._plays_activations = target.runtime.host == "operator" or self.compiled

    # One step in order

    def far_per_byte(
        self, lowered: Lowered, played: PlayedSteps, layout: Layout
    ) -> np.ndarray | float:
        curves = activation_curves(self.target.profile)
        if curves is None or not self._plays_activations:
            return 0.0
        memory = step_memory(self.target, lowered, played)
        entry_of_call = layout.entries_of(played)
        new_s = self.target.profile.extra_s.get(NEW, 0.0)
        return far_per_byte(memory, entry_of_call, len(layout.entries), curves, new_s)

    def host_seconds(self, lowered: Lowered, order: Order, layout: Layout) -> np.ndarray:
        if not self.compiled:
            return super().host_seconds(lowered, order, layout)
        begins = compiled_graphs.graph_beginnings(lowered.visits())
        begins_s = compiled_graphs.beginning_seconds(self.target.profile)
        return np.array([begins_s if e.place in begins else 0.0 for e in layout.entries])

    # Operators at their sizes

    def costs(self, operators: Sequence[SizedKind]) -> list[CostRows]:
        """Return what operators cost; those that differ in their sizes only are priced at once."""
        found: dict[int, CostRows] = {}
        together = []
        for number, sized in enumerate(operators):
            if sized.op.view:
                found[number] = self._view_cost(sized).rows(len(sized.sizes))
            elif sized.sizes.key is None:
                (found[number],) = super().costs([sized])
            else:
                together.append((number, sized))
        for columns in in_columns(together, self.remembered.kinds, self._variants):
            shaped = self.shaped_operator(columns.op, columns.inputs, columns.outputs)
            hot, flops = self.operator_time(shaped, 0.0)
            count = columns.dims.shape[1]
            cost = self.cost(shaped, hot, flops, count).rows(count, hot.basis)
            for number, sizes in columns.members:
                found[number] = cost.at(sizes)
        return [found[number] for number in range(len(operators))]

    def _view_cost(self, sized: SizedKind) -> KernelCost:
        """What an operator costs that makes no new storage: the same whatever its sizes are."""
        form, op = self.remembered.kinds.forms[sized.kind], sized.op
        if form not in self._of_views:
            shaped = ShapedOperator(op, [], [], Work(op.name), 0.0)
            hot, flops = self.operator_time(shaped, 0.0)
            self._of_views[form] = self.cost(shaped, hot, flops, 1)
        return self._of_views[form]

    def priced_in_ranges(self, kind: int) -> bool:
        needs = self.remembered.kinds.needs[kind]
        return not (self.compiled or needs.op.view or needs.may_fall)

    def alike(self, kind: int, sizes: SizeRange) -> SizeRange:
        op = self.remembered.kinds.ops[kind]
        if not self._looks_at_shapes(op):
            return sizes
        key = (kind, sizes.sizes.key)
        if key not in self._variants_in_range:
            self._variants_in_range[key] = self._variant_of_each(op, sizes.sizes)
        return sizes.alike(self._variants_in_range[key])

    def _variant_of_each(self, op: Op, sizes: SizeSet) -> Sequence[Hashable]:
        """What decides how the time of an operator is found at each size."""
        count = len(sizes)
        inputs = [_arrays(tensor.shape(sizes.sizes), count) for tensor in op.inputs]
        outputs = [_arrays(tensor.shape(sizes.sizes), count) for tensor in op.outputs]
        operator = SizedOperator(op.name, inputs, outputs, op.params)
        return variants(operator, count, self.target.profile)

    def _variants(self, columns: Columns) -> Sequence[Hashable]:
        """What decides how the time of each operator is found, beside its form."""
        op = columns.op
        if not self._looks_at_shapes(op):
            return [None] * len(columns.members)
        operator = SizedOperator(op.name, columns.inputs, columns.outputs, op.params)
        of_sizes = variants(operator, columns.dims.shape[1], self.target.profile)
        return [frozenset(of_sizes[sizes]) for _, sizes in columns.members]

    def _looks_at_shapes(self, op: Op) -> bool:
        return self.target.profile.calibrated and looks_at_shapes(op.name)

    def operator_time(self, shaped: ShapedOperator, resident: Any) -> tuple[OperatorTime, Any]:
        op = shaped.op
        profile = self.target.profile
        if self.compiled and op.name.endswith(JOINED):
            hot = compiled_graphs.joined_seconds(op, shaped.inputs, shaped.outputs, profile)
            return hot, shaped.job.flops
        operator = SizedOperator(op.name, shaped.inputs, shaped.outputs, op.params, shaped.job)
        rows = shaped.experts_rows
        hot = operator_time(operator, profile, rows, view=op.view, dtype=self.target.dtype)
        if self.compiled:
            hot = replace(hot, basis="estimated")
        return hot, shaped.job.flops

    def dispatch_seconds(self, op: Op, hot: OperatorTime) -> float:
        if self.compiled:
            return compiled_graphs.call_seconds(op, hot, self.target.profile)
        return super().dispatch_seconds(op, hot)

    def code_of(self, op: Op) -> str:
        if self.target.runtime.host != "operator":
            return ""
        return code_of(op.name, op.view, len(op.inputs), self.target.profile)

    # One step

    def step_cost(self, kernels: Kernels) -> StepCost:
        cost = StepCost(kernels, self.target.profile, self.target.peak)
        cost.new_shapes = self._new_shapes(kernels)
        return cost

    def _new_shapes(self, kernels: Kernels) -> NewShapes:
        """The products whose library writes a kernel for new sizes, and where they are met."""
        shapes = NewShapes(kernels.steps)
        if not self._writes_kernels:
            return shapes
        lowered, costs = kernels.lowered, kernels.costs
        for entry, number in zip(kernels.entries, kernels.cost_of.tolist(), strict=True):
            if not self._may_write_kernels(costs[number].cost.job):
                continue
            job = costs[number].job
            assert job is not None
            experts_rows = self.experts_rows(entry, lowered)
            family = "linear" if experts_rows is not None else job.family
            if new_shape_seconds(family, self.target.profile):
                step = lowered.scopes[entry.scope].step
                of_call = kernels.sets[entry.size_set].of_call
                label = (entry.scope, entry.node)
                shapes.add(job, experts_rows, of_call, step, label)
        return shapes

    def _may_write_kernels(self, job: Work | None) -> bool:
        """Whether a product's library may write kernels: a grouped one runs linear layers."""
        if job is None:
            return False
        grouped = job.family == "grouped_mm"
        return grouped or new_shape_seconds(job.family, self.target.profile) > 0

    @cached_property
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


def _arrays(shape: Shape, count: int) -> Shape:
    """A shape with the size of each dimension at all points, int [count]."""
    return tuple([np.broadcast_to(size, count) for size in shape])
