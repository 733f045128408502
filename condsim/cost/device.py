"""What every device model does: sizes of operators, and the loop that prices a lowered program.

A device model subclasses `DeviceModel` in a module `condsim/cost/NAME/device.py` and is registered
in `DEVICE_MODELS`. It says which targets it serves, what one operator costs (`begin`), what a step
costs beside its kernels (`step_cost`), and in which order its kernels are issued (`issued`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from condsim.cost.roofline import DTYPE_BYTES
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.engine.closed_form import Issued
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.kernels import Entry, KernelCost, Kernels, KernelsBuilder, SizeSet, WeightRead
from condsim.lower import Call, Lowered, Place
from condsim.program import Op, Program, Tensor, elements
from condsim.program.operators import takes_rows
from condsim.program.work import GROUPED, Shape, Work, work
from condsim.registry import Registry
from condsim.runtimes import Runtime

ITEMSIZE = {
    "int64": 8,
    "int32": 4,
    "bool": 1,
    "uint8": 1,
    "float64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "float32": 4,
}
"""Bytes of one element, by dtype. "float" has those of the simulation's dtype."""


@dataclass(frozen=True)
class Target:
    """What a program is priced for.

    dtype: of the arithmetic and of tensors whose dtype is "float". parameters: of the whole model.
    """

    profile: HardwareProfile
    dtype: str
    runtime: Runtime
    parameters: int = 0

    @property
    def float_bytes(self) -> int:
        """Bytes of one element in the simulation's dtype."""
        if self.dtype not in DTYPE_BYTES:
            known = ", ".join(DTYPE_BYTES)
            raise CondsimError(f"dtype {self.dtype!r} has no known size; known are {known}")
        return DTYPE_BYTES[self.dtype]

    @property
    def prepared(self) -> bool:
        """Whether the device runs prepared graphs."""
        return self.runtime.static and self.profile.graphs is not None

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights of the model."""
        return self.parameters * self.float_bytes

    def itemsize(self, dtype: str) -> int:
        """Return the bytes of one element. Raises CondsimError for an unknown dtype."""
        if dtype == "float":
            return self.float_bytes
        if dtype not in ITEMSIZE:
            raise CondsimError(f"a tensor of dtype {dtype!r} has no known size")
        return ITEMSIZE[dtype]

    def bytes_of(self, tensor: Tensor, shape: Shape) -> Any:
        """Return the bytes of a tensor, number or array [sizes]."""
        return elements(shape) * self.itemsize(tensor.dtype)

    def weight_bytes(self, op: Op, tensor: Tensor, shape: Shape, outputs: list[Shape]) -> Any:
        """Return the bytes of a weight that one call reads: of a looked-up table, those rows."""
        whole = self.bytes_of(tensor, shape)
        if not takes_rows(op.name):
            return whole
        return np.minimum(whole, self.bytes_of(tensor, outputs[0]))

    def activation_bytes(self, op: Op, inputs: list[Shape], outputs: list[Shape]) -> Any:
        """Return the bytes of activations that one call reads and writes; 0 for a view."""
        if op.view:
            return 0
        moved: Any = 0
        for tensor, shape in zip(op.inputs, inputs, strict=True):
            if not tensor.weight:
                moved = moved + self.bytes_of(tensor, shape)
        for tensor, shape in zip(op.outputs, outputs, strict=True):
            if not tensor.weight:
                moved = moved + self.bytes_of(tensor, shape)
        return moved


@dataclass(frozen=True)
class ShapedOperator:
    """An operator at given sizes.

    inputs, outputs: shapes, entries int or int [sizes]. job: its work. moved_bytes: activations.
    experts_rows: rows of each expert of a grouped product, int [sizes, experts].
    """

    op: Op
    inputs: list[Shape]
    outputs: list[Shape]
    job: Work
    moved_bytes: Any
    experts_rows: np.ndarray | None = None


class OperatorKinds:
    """Numbers for operators, alike where their sizes and tensors are.

    Layers of one stack run the same kinds, so that each is priced once.
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._of_program: dict[str, Mapping[Place, int]] = {}

    def of_program(self, program: Program) -> Mapping[Place, int]:
        """Return place of an operator → number of its kind."""
        if program.digest not in self._of_program:
            self._of_program[program.digest] = self._numbered(program)
        return self._of_program[program.digest]

    def _numbered(self, program: Program) -> dict[Place, int]:
        found = {}
        for placed in program.scopes:
            for node, op in enumerate(placed.scope.nodes):
                if isinstance(op, Op):
                    kind = _kind(op)
                    number = self._numbers.setdefault(kind, len(self._numbers))
                    found[placed.number, node] = number
        return found


def _kind(op: Op) -> tuple[Any, ...]:
    """All of an operator that its cost at given sizes depends on."""
    inputs = tuple(_tensor_kind(tensor) for tensor in op.inputs)
    outputs = tuple(_tensor_kind(tensor) for tensor in op.outputs)
    return op.name, op.view, op.params, inputs, outputs


def _tensor_kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dims, tensor.dtype, bool(tensor.weight)


@dataclass
class Priced:
    """What a device model remembers of the operators that it priced."""

    kinds: OperatorKinds = field(default_factory=OperatorKinds)
    sized: dict[Any, ShapedOperator] = field(default_factory=dict)
    costs: dict[Any, Any] = field(default_factory=dict)

    def forget(self) -> None:
        """Start anew where too much is remembered."""
        if max(len(self.sized), len(self.costs)) > MOST_REMEMBERED:
            self.sized.clear()
            self.costs.clear()


class Pricing(ABC):
    """A device model at work on one lowered program."""

    @abstractmethod
    def kernel(self, entry: Entry) -> KernelCost:
        """Return what an operator costs at each of the sizes of its scope's calls."""

    @abstractmethod
    def prepare(self, entries: list[Entry], played: Any) -> Any:
        """Look at all operators before the first of them is priced.

        played: what was kept of the first step, where an earlier block of steps had it; None where
        it is among these. Returns what is to be kept.
        """

    def alone(self, op: Op) -> bool:
        """Whether each call of an operator counts as a size of its own."""
        return op.name in GROUPED and bool(op.site)


class DeviceModel(ABC):
    """Prices lowered programs for one target.

    two_clocks: the host runs ahead of the device, so that the order of kernels matters.
    """

    two_clocks = False

    @classmethod
    @abstractmethod
    def serves(cls, target: Target) -> bool:
        """Whether it is the model of a target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.priced = Priced()

    @abstractmethod
    def begin(self, lowered: Lowered) -> Pricing:
        """Return the pricing of one lowered program."""

    @abstractmethod
    def step_cost(self, kernels: Kernels) -> StepCost:
        """Return what each step costs."""

    def uncertainty(self, sums: CostSums) -> dict[str, float]:
        """Return source → relative standard deviation of what a side's seconds rest on, where not
        the profile's tables say it. sums: of all its steps."""
        return {}

    @abstractmethod
    def issued(self, kernels: Kernels, step: int) -> tuple[Issued, list[Call]]:
        """Return host and device seconds of one step's kernels in issue order, and their calls."""

    def kernels(self, lowered: Lowered, played: Any = None) -> Kernels:
        """Price everything that a lowered program runs.

        played: of the kernels of an earlier block of steps; None for the first block.
        """
        self.priced.forget()
        builder = KernelsBuilder(lowered)
        pricing = self.begin(lowered)
        entries = self._entries(lowered, pricing, builder)
        played = pricing.prepare(entries, played)
        for entry in entries:
            reads = [] if entry.op.view else self.weight_reads(entry, lowered)
            builder.add(entry, pricing.kernel(entry), reads)
        return builder.table(played)

    def _entries(self, lowered: Lowered, pricing: Pricing, builder: KernelsBuilder) -> list[Entry]:
        """All operators that some step runs, in the program's order."""
        kinds = self.priced.kinds.of_program(lowered.program)
        entries = []
        for scope, calls in enumerate(lowered.scopes):
            if not len(calls):
                continue
            numbers: dict[tuple[str, bool], int] = {}
            for node, op in calls.operators():
                shared = (op.site, pricing.alone(op))
                if shared not in numbers:
                    sizes = lowered.sizes(scope, op.site)
                    if pricing.alone(op):
                        size_set = SizeSet.each_call(sizes, len(calls))
                    else:
                        size_set = SizeSet.distinct(sizes, lowered.known_sizes(scope, op.site))
                    numbers[shared] = builder.add_set(scope, size_set)
                number = numbers[shared]
                place = (calls.placed.number, node)
                kind, sizes_of_calls = kinds[place], builder.sets[number]
                entries.append(Entry(scope, node, op, place, kind, number, sizes_of_calls))
        return entries

    def sized(self, entry: Entry, lowered: Lowered) -> ShapedOperator:
        """Return an operator at its sizes."""
        if entry.sizes.key is None:
            return self._sized(entry, self.experts_rows(entry, lowered))
        key = (entry.kind, entry.sizes.key)
        if key not in self.priced.sized:
            self.priced.sized[key] = self._sized(entry, None)
        return self.priced.sized[key]

    def _sized(self, entry: Entry, experts_rows: np.ndarray | None) -> ShapedOperator:
        op, sizes = entry.op, entry.sizes.sizes
        inputs = [t.shape(sizes) for t in op.inputs]
        outputs = [t.shape(sizes) for t in op.outputs]
        job = work(op.name, inputs, outputs, op.params)
        moved = self.target.activation_bytes(op, inputs, outputs)
        return ShapedOperator(op, inputs, outputs, job, moved, experts_rows)

    def weight_reads(self, entry: Entry, lowered: Lowered) -> list[WeightRead]:
        """Return the weights that an operator reads."""
        if not any(t.weight for t in entry.op.inputs):
            return []
        sized = self.sized(entry, lowered)
        count = len(entry.sizes)
        rows = of_each_size(sized.job.m, count)
        pieces = np.ones(count)
        if sized.job.family == "bmm":
            pieces = np.maximum(of_each_size(sized.job.groups, count), 1.0)
        reads = []
        for tensor, shape in zip(entry.op.inputs, sized.inputs, strict=True):
            if not tensor.weight:
                continue
            size = self.target.weight_bytes(entry.op, tensor, shape, sized.outputs)
            here = None
            if sized.experts_rows is not None:
                experts_here = int(np.max(shape[0]))
                here = sized.experts_rows[:, :experts_here]
                size = size / here.shape[1]
            size = of_each_size(size, count)
            of_call = entry.sizes.of_call
            read = WeightRead(
                tensor.weight, entry.scope, entry.node, of_call, size, rows, pieces, here
            )
            reads.append(read)
        return reads

    @staticmethod
    def experts_rows(entry: Entry, lowered: Lowered) -> np.ndarray | None:
        """Return the rows of each expert in each call of a grouped product, else None."""
        op = entry.op
        if op.name in GROUPED and op.site:
            step = lowered.scopes[entry.scope].step
            rows: np.ndarray = lowered.steps.counts[op.site][step]
            return rows
        return None


def of_each_size(value: Any, count: int) -> np.ndarray:
    """Return a number, or the value of each size, as float [sizes]."""
    return np.broadcast_to(np.asarray(value, float).ravel(), (count,))


MOST_REMEMBERED = 20_000
"""Operators at their sizes that a device model remembers."""

DEVICE_MODELS: Registry[type[DeviceModel]] = Registry("device model")
"""`condsim.cost.cost_model` chooses among them."""
