"""A GPU: the host issues kernels ahead of the device, so that two clocks run.

An accelerator without a `gpu` block is priced from its peak rates, in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.device import DEVICE_MODELS, ITEMSIZE, ShapedOperator, Target
from condsim.cost.gpu.operator import gpu_operator
from condsim.cost.gpu.rates import GpuRates, Quantised
from condsim.cost.gpu.traffic import resident_share
from condsim.cost.hot import OperatorTime, SizedOperator
from condsim.cost.issued import IssuedModel
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.kernels import Kernels
from condsim.lowered import Lowered
from condsim.parallel.tensor import COLLECTIVES
from condsim.program import Op, Tensor
from condsim.program.work import GROUPED
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.runtimes.served import ATTENTION, UNPACKED
from condsim.scope_calls import ScopeCalls

UNCERTAINTY_OF_PRODUCTS = {"linear": 0.20, "grouped_mm": 0.25}
"""Relative standard deviation of products that are priced in tiles.

With it 90 % of 4,040 dense products and 2,459 layers of experts that others measured on five GPUs
lie inside of their intervals, each GPU weighing the same (`benchmarks.gpu_intervals`). Bf16 only;
other dtypes were not counted.
"""


@DEVICE_MODELS.register("gpu")
class GpuModel(IssuedModel):
    """Kernels on a device with a clock of its own."""

    two_clocks = True

    @classmethod
    def serves(cls, target: Target) -> bool:
        return target.profile.device_class.priced_as == "gpu" and not target.prepared

    def operator_time(self, sized: ShapedOperator, resident: Any) -> tuple[OperatorTime, Any]:
        op, profile = sized.op, self.target.profile
        operator = SizedOperator(op.name, sized.inputs, sized.outputs, op.params, sized.job)
        rows = sized.experts_rows
        if profile.gpu is None:
            hot = operator_time(operator, profile, rows, view=op.view, dtype=self.target.dtype)
            return hot, sized.job.flops
        device = self._rates(op)
        if op.name in COLLECTIVES:
            device = replace(device, fabric=self.target.fabric)
        hot, job = gpu_operator(operator, device, rows, resident, view=op.view)
        return hot, job.flops

    def _rates(self, op: Op) -> GpuRates:
        """The device, and the dtypes that an operator computes in and reads."""
        target, weight_itemsize = self.target, self._weight_itemsize(op)
        stored = op.inputs[1].dtype if len(op.inputs) > 1 else ""
        if stored not in WEIGHT_DTYPES or not WEIGHT_DTYPES[stored].computes_in:
            return GpuRates(target.profile, target.dtype, target.float_bytes, weight_itemsize)
        narrow = WEIGHT_DTYPES[stored]
        itemsize = ITEMSIZE[narrow.computes_in]
        quantised = Quantised(target.float_bytes, narrow.scaled_depth)
        return GpuRates(target.profile, narrow.computes_in, itemsize, weight_itemsize, quantised)

    def _weight_itemsize(self, op: Op) -> float:
        """Bytes of a weight; a product unpacks narrow ones."""
        if len(op.inputs) < 2:
            return self.target.float_bytes
        stored = op.inputs[1].dtype
        packed = stored in WEIGHT_DTYPES or op.name in (ATTENTION, UNPACKED)
        dtype = stored if packed else "float"
        return self.target.bytes_an_element(dtype)

    def resident(self, lowered: Lowered) -> np.ndarray | float:
        """Return the share of each step's weights that L2 still has, where steps of the same
        sizes follow each other; one number where it is the same for all steps."""
        if self.target.profile.gpu is None:
            return 0.0
        share: np.ndarray = resident_share(self._weight_bytes(lowered), self.target.profile)
        if share.min() < share.max():
            return share
        return float(share[0])

    def _weight_bytes(self, lowered: Lowered) -> np.ndarray:
        """Bytes of the weights of each step, all of a table that is looked up; float [steps]."""
        steps = len(lowered.steps)
        total = np.zeros(steps)
        for scope, calls in enumerate(lowered.scopes):
            if not len(calls):
                continue
            each_call = 0.0
            for op, tensor in _weights(calls):
                if all(dim.constant for dim in tensor.dims) and op.name not in GROUPED:
                    each_call += float(self.target.bytes_of(tensor, tensor.shape({})))
                else:
                    read = self._bytes_of_calls(op, tensor, scope, lowered)
                    total += np.bincount(calls.step, read, steps)
            total += each_call * np.bincount(calls.step, minlength=steps)
        return total

    def _bytes_of_calls(self, op: Op, tensor: Tensor, scope: int, lowered: Lowered) -> np.ndarray:
        """Bytes of a weight that each call of an operator reads, float [m]."""
        calls = lowered.scopes[scope]
        shape = tensor.shape(lowered.sizes(scope, op.site))
        size = np.asarray(self.target.bytes_of(tensor, shape), float)
        if op.name in GROUPED and op.site:
            experts_here = int(np.max(shape[0]))
            experts_rows = lowered.steps.counts[op.site][calls.step]
            has_rows = experts_rows[:, :experts_here] > 0
            size = size / experts_here * has_rows.sum(1)
        return np.broadcast_to(size, len(calls))

    def priced_in_ranges(self, kind: int) -> bool:
        needs = self.remembered.kinds.needs[kind]
        return not (needs.op.view or needs.may_fall or needs.op.name in GROUPED)

    def uncertainty(self, sums: CostSums) -> dict[str, float]:
        profile = self.target.profile
        if profile.gpu is None:
            return {}
        tables = profile.matmuls
        return {name: u for name, u in UNCERTAINTY_OF_PRODUCTS.items() if name not in tables}

    def step_cost(self, kernels: Kernels) -> StepCost:
        return StepCost(kernels, self.target.profile, self.target.peak)


def _weights(calls: ScopeCalls) -> Iterator[tuple[Op, Tensor]]:
    """Yield the weights that the operators of a scope read."""
    for _, op in calls.operators():
        if op.view:
            continue
        for tensor in op.inputs:
            if tensor.weight:
                yield op, tensor
