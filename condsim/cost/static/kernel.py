"""One kernel of a prepared graph, and the layout that a graph's first kernel changes.

    seconds = what one adds + max(padded FLOPs / rate, memory)

Each kernel is split, for the waterfall, into the product as it is (`matmul`), its padding
(`quantisation`), what its weights take longer than that (`weights`), and the rest of its memory
(`traffic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.device import ShapedOperator, Target
from condsim.cost.hot import SizedOperator
from condsim.cost.roofline import peak_rate
from condsim.cost.static.matrix_unit import padded_flops
from condsim.cost.static.on_chip_memory import tiled_elements, traffic_seconds, weight_share
from condsim.hardware import abilities
from condsim.kernel_cost import KernelCost
from condsim.program import FLOATING, JOINED, Op, Tensor, elements
from condsim.program.operators import takes_rows
from condsim.program.work import MATMULS, Shape


class KernelPrices:
    """Prices kernels on one device, and on the CPU beside it.

    main, chip: names of its largest and of its smallest memory. basis: what the seconds rest on.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        capacity = {name: level.bytes.value for name, level in target.profile.memory.items()}
        self.main = max(capacity, key=capacity.__getitem__)
        self.chip = min(capacity, key=capacity.__getitem__)
        self.basis = "calibrated" if target.profile.calibrated else "estimated"

    def kernel(self, sized: ShapedOperator, on_cpu: bool) -> KernelCost:
        """Return what one operator costs on the device, or on the CPU beside it."""
        if sized.op.view:
            return self._view(sized.op, on_cpu)
        if self.target.profile.calibrated and not on_cpu:
            return self._from_tables(sized)
        if on_cpu:
            return self._on_companion(sized)
        return self._from_rates(sized)

    def nothing(self, view: bool) -> KernelCost:
        """Return the cost of an operator that the device does not run."""
        return KernelCost({"dispatch": 0.0}, "", self.basis, view=view)

    def _view(self, op: Op, on_cpu: bool) -> KernelCost:
        """An interpreter of graphs runs a view as any operator; a compiler removes it."""
        profile = self.target.profile
        joined = op.name.endswith(JOINED)
        interpreted = profile.calibrated and not on_cpu and not joined
        if not interpreted:
            return self.nothing(view=True)
        dispatch = profile.host.view.value + profile.host.dispatch.value
        return KernelCost({"dispatch": dispatch}, "", self.basis, view=True)

    def _from_tables(self, sized: ShapedOperator) -> KernelCost:
        """The tables of a calibration know neither padding nor memory apart."""
        op, profile = sized.op, self.target.profile
        hot = operator_time(
            SizedOperator(op.name, sized.inputs, sized.outputs, op.params),
            profile,
            dtype=self.target.dtype,
        )
        is_product = sized.job.family in MATMULS
        part = "matmul" if is_product else "traffic"
        beyond_dispatch = np.maximum(hot.seconds - hot.dispatch, 0.0)
        dispatch = hot.dispatch + profile.host.dispatch.value
        parts = {part: beyond_dispatch, "dispatch": dispatch}
        weights, activations = 0, 0
        for tensor, shape in _tensors(sized):
            size = self.target.bytes_of(tensor, shape)
            if tensor.weight:
                weights = weights + size
            else:
                activations = activations + size
        flops = sized.job.flops if is_product else 0.0
        return self._cost(parts, flops, weights + activations, 0.0)

    def _on_companion(self, sized: ShapedOperator) -> KernelCost:
        """A roofline with a dispatch. Source: Williams, Waterman, Patterson, 2009."""
        cpu = self.target.profile.companion
        assert cpu is not None, "a tail on the CPU needs a companion"
        weights = self._weights_of_kernel(sized)
        moved = weights + self._activations_of_kernel(sized, tiled=False)
        product = sized.job.flops / cpu.flops.value
        memory = moved / cpu.bandwidth.value
        parts = {
            "matmul": product,
            "traffic": np.maximum(memory - product, 0.0),
            "dispatch": cpu.dispatch.value,
        }
        return self._cost(parts, sized.job.flops, moved, 0.0, on_host=True)

    def _from_rates(self, sized: ShapedOperator) -> KernelCost:
        profile, job = self.target.profile, sized.job
        tiled = abilities.TILED_MEMORY in profile.device_class.offers
        activations = self._activations_of_kernel(sized, tiled)
        share = weight_share(profile, self.target.weights_bytes)
        weights = self._weights_of_kernel(sized) * share
        rate, flops, padded = 1.0, 0.0, 0.0
        if job.family in MATMULS:
            rate = peak_rate(profile, self.target.dtype)
            flops = job.flops
            padded = padded_flops(job, profile.matrix, sized.experts_rows)
        of_weights, of_activations, fits = traffic_seconds(weights, activations, profile)
        product = flops / rate
        whole = padded / rate
        at_once = np.maximum(of_weights, of_activations)
        one_after_the_other = of_weights + of_activations
        memory = np.where(fits, at_once, one_after_the_other)
        seconds = np.maximum(whole, memory)
        more_weights = np.maximum(of_weights - whole, 0.0)
        rest_of_memory = seconds - whole - more_weights
        parts = {
            "matmul": product,
            "quantisation": whole - product,
            "weights": more_weights,
            "traffic": rest_of_memory,
            "dispatch": profile.host.dispatch.value,
        }
        in_main = weights + np.where(fits, 0.0, activations)
        on_chip = np.where(fits, activations, 0.0)
        return self._cost(parts, flops, in_main, on_chip)

    def _cost(
        self, parts: Mapping[str, Any], flops: Any, main: Any, chip: Any, on_host: bool = False
    ) -> KernelCost:
        return KernelCost(
            parts,
            "",
            self.basis,
            flops=flops,
            moved_bytes=main + chip,
            memory_bytes={self.main: main, self.chip: chip},
            on_host=on_host,
        )

    def _weights_of_kernel(self, sized: ShapedOperator) -> Any:
        """Bytes of weights: of a looked-up table its rows, of experts those that have rows."""
        total = 0.0 * np.asarray(sized.job.m)
        for tensor, shape in _tensors(sized):
            if not tensor.weight:
                continue
            size = self.target.bytes_of(tensor, shape)
            if takes_rows(sized.op.name):
                itemsize = self.target.itemsize(tensor.dtype)
                looked_up = elements(sized.outputs[0]) * itemsize
                size = np.minimum(size, looked_up)
            if sized.experts_rows is not None:
                has_rows = sized.experts_rows > 0
                size = size * has_rows.mean(-1)
            total = total + size
        return total

    def _activations_of_kernel(self, sized: ShapedOperator, tiled: bool) -> Any:
        """Bytes of activations. tiled: as a matrix unit's memory lays them out."""
        matrix = self.target.profile.matrix
        total = 0.0 * np.asarray(sized.job.m)
        for tensor, shape in _tensors(sized):
            if tensor.weight:
                continue
            itemsize = self.target.itemsize(tensor.dtype)
            count = elements(shape)
            if tiled and matrix is not None:
                count = tiled_elements(shape, itemsize, matrix.feed.value)
            total = total + count * itemsize
        return total

    def boundary_seconds(self, op: Op, sizes: Mapping[str, Any]) -> Any:
        """Return the seconds it takes to change the layout of the activations that a graph's
        first kernel reads: bytes / rate; number or float [sizes]."""
        graphs = self.target.profile.graphs
        if graphs is None or graphs.boundary is None:
            return 0.0
        crossing: Any = 0
        for tensor in op.inputs:
            if not tensor.weight and tensor.dtype in FLOATING:
                crossing = crossing + self.target.bytes_of(tensor, tensor.shape(sizes))
        return crossing / graphs.boundary.value


def _tensors(sized: ShapedOperator) -> Iterator[tuple[Tensor, Shape]]:
    yield from zip(sized.op.inputs, sized.inputs, strict=True)
    yield from zip(sized.op.outputs, sized.outputs, strict=True)
