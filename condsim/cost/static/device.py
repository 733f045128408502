"""A device that runs prepared graphs: a TPU or an NPU.

    seconds = Σ kernels (what one adds + max(padded FLOPs / rate, memory))
              + launches, decisions and conditionals + what the CPU beside it runs

The host does not run ahead of a graph, and graphs do not run ahead of decisions, so a step is a
sum. Each kernel is split, for the waterfall, into the product as it is (`matmul`), its padding
(`quantisation`), what its weights take longer than that (`weights`), and the rest of its memory
(`traffic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.device import (
    DEVICE_MODELS,
    MOST_REMEMBERED,
    DeviceModel,
    OneByOne,
    ShapedOperator,
    SizedKind,
    Target,
    of_each_size,
)
from condsim.cost.hot import SizedOperator
from condsim.cost.roofline import peak_rate
from condsim.cost.static.matrix_unit import padded_flops
from condsim.cost.static.on_chip_memory import tiled_elements, traffic_seconds, weight_share
from condsim.cost.static.partition import launches, steering
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.engine.closed_form import Issued
from condsim.hardware import HardwareProfile
from condsim.kernel_cost import KernelCost, SizedRead
from condsim.kernels import Kernels
from condsim.layout import Entry
from condsim.lowered import Call, Lowered
from condsim.program import FLOATING, JOINED, Op, Tensor, elements
from condsim.program.model import Place
from condsim.program.operators import takes_rows
from condsim.program.work import MATMULS, Shape
from condsim.results import Results

MATRIX_UNIT = ("matmul", "quantisation")
MEMORY = ("weights", "traffic")


@DEVICE_MODELS.register("prepared graphs")
class PreparedGraphs(DeviceModel):
    """A device whose sizes are fixed before a run."""

    @classmethod
    def serves(cls, target: Target) -> bool:
        return target.prepared

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        capacity = {name: level.bytes.value for name, level in target.profile.memory.items()}
        self.main = max(capacity, key=capacity.__getitem__)
        self.chip = min(capacity, key=capacity.__getitem__)
        self.known = Results(MOST_REMEMBERED)
        self.basis = "calibrated" if target.profile.calibrated else "estimated"

    def begin(self, lowered: Lowered) -> PreparedPricing:
        return PreparedPricing(self, lowered)

    # One kernel

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
        tiled = profile.kind == "tpu" and profile.matrix is not None
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

    def weight_reads(self, shaped: ShapedOperator, count: int) -> list[SizedRead]:
        """Return the weights that a step touches: tables and experts whole."""
        op = shaped.op
        if op.view:
            return []
        rows = of_each_size(shaped.job.m, count)
        pieces = np.ones(count)
        reads = []
        for tensor, shape in zip(op.inputs, shaped.inputs, strict=True):
            if tensor.weight:
                size = of_each_size(self.target.bytes_of(tensor, shape), count)
                reads.append(SizedRead(size, rows, pieces))
        return reads

    # One step

    def step_cost(self, kernels: Kernels) -> StepCost:
        profile = self.target.profile
        graphs = profile.graphs
        assert graphs is not None
        starts = launches(kernels.lowered, profile)
        started_s = starts.seconds(profile)
        on_host = kernels.on_host[kernels.entry].astype(float)
        flops = kernels.column("flops") + kernels.column("router_flops")
        cost = StepCost(kernels, profile, self.target.peak, {"dispatch": started_s})
        cost.companion_flops = kernels.per_step(flops * on_host)
        if profile.companion is not None:
            companion_s = kernels.per_step(kernels.seconds * on_host)
            cost.companion_j = companion_s * profile.companion.active_w.value
        matrix_unit_s = np.sum([kernels.total(part) for part in MATRIX_UNIT], axis=0)
        memory_s = np.sum([kernels.total(part) for part in MEMORY], axis=0)
        cost.by_source = {"matrix unit": matrix_unit_s, "memory": memory_s}
        cost.graphs = starts.prepared
        return cost

    def uncertainty(self, sums: CostSums) -> dict[str, float]:
        return {
            "dispatch": self._uncertainty_of_dispatch(sums),
            "matrix unit": self._uncertainty_of_rate(),
            "memory": self.target.profile.dram.bandwidth.relative,
        }

    def _uncertainty_of_dispatch(self, sums: CostSums) -> float:
        """Relative standard deviation of what kernels and launches take together."""
        profile = self.target.profile
        assert profile.graphs is not None
        launch_s = sums.started_s
        kernels_s = sums.parts["dispatch"] - launch_s
        of_kernels = kernels_s * profile.host.dispatch.relative
        of_launches = launch_s * profile.graphs.launch.relative
        deviation_s = np.hypot(of_kernels, of_launches)
        return float(deviation_s / max(kernels_s + launch_s, 1e-30))

    def _uncertainty_of_rate(self) -> float:
        profile = self.target.profile
        peak = profile.peak_flops[self.target.dtype].relative
        return float(np.hypot(profile.matmul_efficiency.relative, peak))

    # Kernels in time

    def issued(self, kernels: Kernels, step: int) -> tuple[Issued, list[Call]]:
        """The host starts a graph, waits for its end, decides, and starts the next.

        Conditionals on the device are device time.
        """
        profile = self.target.profile
        graphs = profile.graphs
        assert graphs is not None
        calls = kernels.lowered.sequence(step)
        rows = kernels.rows_of(calls)
        seconds = kernels.seconds[rows]
        on_host = kernels.on_host[kernels.entry[rows]]
        host = np.where(on_host, seconds, 0.0)
        device = np.where(on_host, 0.0, seconds)
        sync = np.zeros(len(calls), bool)
        decisions = _Decisions(kernels.lowered, profile)
        if calls:
            host[0] += graphs.launch.value
        for i, call in enumerate(calls):
            for event in decisions.before(call):
                if event == "device" and graphs.branch is not None:
                    device[i] += graphs.branch.value
                elif event == "start":
                    host[i] += graphs.switch.value + graphs.launch.value
                    sync[max(i - 1, 0)] = True
                elif event == "read":
                    host[i] += profile.host.synchronise.value
                    sync[max(i - 1, 0)] = True
        stream = np.zeros(len(calls), int)
        return Issued(host, device, stream, sync), calls


def _tensors(sized: ShapedOperator) -> Iterator[tuple[Tensor, Shape]]:
    yield from zip(sized.op.inputs, sized.inputs, strict=True)
    yield from zip(sized.op.outputs, sized.outputs, strict=True)


class PreparedPricing(OneByOne):
    """Prices the operators of one lowered program.

    on_cpu: places whose operators the CPU beside the device runs. begins: scope → node of the
    first kernel of a graph that the host starts for a branch.
    """

    def __init__(self, model: PreparedGraphs, lowered: Lowered) -> None:
        super().__init__(model, lowered)
        self.model = model
        self.profile = model.target.profile
        self.on_cpu: set[Place] = set()
        self.begins: dict[int, int] = {}

    def prepare(self) -> None:
        self.on_cpu = self._places_on_cpu()
        self.begins = {entry.scope: self._beginning(entry.scope) for entry in self.layout.entries}

    def kernel(self, entry: Entry, sized: SizedKind) -> KernelCost:
        cost = self._priced(sized, entry.place in self.on_cpu)
        if self._decides(entry.scope, entry.op):
            return replace(self.model.nothing(entry.op.view), reads=cost.reads)
        if self.begins[entry.scope] != entry.node:
            return cost
        crossing = self.model.boundary_seconds(entry.op, sized.sizes.sizes)
        dispatch = cost.parts["dispatch"] + crossing
        return replace(cost, parts={**cost.parts, "dispatch": dispatch})

    def _priced(self, sized: SizedKind, on_cpu: bool) -> KernelCost:
        """Operators of one kind and size are priced once."""
        make = partial(self._new_cost, sized, on_cpu)
        if sized.key is None:
            return make()
        return self.model.known.remember((sized.key, on_cpu), make)

    def _new_cost(self, sized: SizedKind, on_cpu: bool) -> KernelCost:
        shaped = self.model.shaped(sized)
        reads = self.model.weight_reads(shaped, len(sized.sizes))
        return replace(self.model.kernel(shaped, on_cpu), reads=reads)

    def _places_on_cpu(self) -> set[Place]:
        """All places from the first decision on that the companion follows."""
        found = set()
        started = False
        for visit in self.lowered.visits():
            for site, _ in visit.guards:
                strategy = self.lowered.strategy_of(site)
                started = started or steering(strategy, self.profile) == "companion"
            if started:
                found.add(visit.place)
        return found

    def _host_steers(self, scope: int) -> bool:
        guards = self.lowered.scopes[scope].guards
        if not guards:
            return False
        site, _ = guards[-1]
        strategy = self.lowered.strategy_of(site)
        return steering(strategy, self.profile) == "host"

    def _decides(self, scope: int, op: Op) -> bool:
        """Whether the host does it when it decides: it stands behind a guard that the host
        steers, and touches decisions only, no activations."""
        if not self._host_steers(scope):
            return False
        tensors = (*op.inputs, *op.outputs)
        return not any(tensor.dtype in FLOATING for tensor in tensors)

    def _beginning(self, scope: int) -> int:
        """Node of the first kernel of the graph that the host starts for a branch; -1 for none."""
        if not self._host_steers(scope):
            return -1
        for node, op in self.lowered.scopes[scope].operators():
            if not op.view and not self._decides(scope, op):
                return node
        return -1


@dataclass
class _Decisions:
    """What happens before the calls of one step."""

    lowered: Lowered
    profile: HardwareProfile

    def __post_init__(self) -> None:
        self.branches_run: dict[tuple[int, int], set[int]] = {}
        self.companion_started = False

    def before(self, call: Call) -> Iterator[str]:
        """Yield "read" (a decision is read back), "start" (another graph begins), "device" (a
        conditional)."""
        for depth, calls in enumerate(self._scopes_of(call)):
            site, _ = calls.guards[-1]
            loop = (calls.placed.parent, calls.placed.loop)
            follower = steering(self.lowered.strategy_of(site), self.profile)
            first = loop not in self.branches_run
            run = self.branches_run.setdefault(loop, set())
            if first and follower == "device":
                yield "device"
            if follower == "companion" and not self.companion_started:
                self.companion_started = True
                yield "read"
            if follower != "host":
                continue
            if first:
                yield "read"
                yield "start"
            innermost = depth == len(call.guards) - 1
            choice = call.guards[depth][1]
            if innermost and call.bindings["rows"] > 0 and choice not in run:
                run.add(choice)
                if len(run) > 1:
                    yield "start"

    def _scopes_of(self, call: Call) -> list[Any]:
        """The guarded scopes that a call stands in, from the outside in."""
        found = []
        number = call.scope
        while self.lowered.scopes[number].parent >= 0:
            found.append(self.lowered.scopes[number])
            number = self.lowered.scopes[number].parent
        return found[::-1]
