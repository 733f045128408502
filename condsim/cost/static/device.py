"""A device that runs prepared graphs: a TPU or an NPU.

    seconds = Σ kernels (what one adds + max(padded FLOPs / rate, memory))
              + launches, decisions and conditionals + what the CPU beside it runs

The host does not run ahead of a graph, and graphs do not run ahead of decisions, so a step is a
sum. What a kernel costs is in `condsim.cost.static.kernel`, what happens between two graphs in
`condsim.cost.static.decisions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

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
from condsim.cost.static.decisions import DecisionsInTime
from condsim.cost.static.kernel import KernelPrices
from condsim.cost.static.partition import launches, steering
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.engine.closed_form import Issued
from condsim.hardware import HardwareProfile
from condsim.kernel_cost import KernelCost, SizedRead
from condsim.kernels import Kernels
from condsim.layout import Entry
from condsim.lowered import Call, Lowered
from condsim.program import FLOATING, Op
from condsim.program.model import Place
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
        self.prices = KernelPrices(target)
        self.known = Results(MOST_REMEMBERED)

    def begin(self, lowered: Lowered) -> PreparedPricing:
        return PreparedPricing(self, lowered)

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
                element_bytes = self.target.bytes_an_element(tensor.dtype)
                row_bytes = element_bytes * shaped.row_elements(shape)
                reads.append(SizedRead(size, rows, pieces, of_each_size(row_bytes, count)))
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
        if calls:
            host[0] += graphs.launch.value
        start_s = graphs.switch.value + graphs.launch.value
        branch_s = 0.0 if graphs.branch is None else graphs.branch.value
        for number, event in _decisions_of(kernels.lowered, profile, calls):
            if event == "device":
                device[number] += branch_s
                continue
            host[number] += start_s if event == "start" else profile.host.synchronise.value
            sync[max(number - 1, 0)] = True
        stream = np.zeros(len(calls), int)
        return Issued(host, device, stream, sync), calls


def _decisions_of(
    lowered: Lowered, profile: HardwareProfile, calls: list[Call]
) -> Iterator[tuple[int, str]]:
    """Yield (number of a call, event before it): "start" and "read" on the host, "device"."""
    decisions = DecisionsInTime(lowered, profile)
    for number, call in enumerate(calls):
        for event in decisions.before(call):
            yield number, event


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
            return replace(self.model.prices.nothing(entry.op.view), reads=cost.reads)
        if self.begins[entry.scope] != entry.node:
            return cost
        crossing = self.model.prices.boundary_seconds(entry.op, sized.sizes.sizes)
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
        return replace(self.model.prices.kernel(shaped, on_cpu), reads=reads)

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
