"""What every device model does: sizes of operators, and the loop that prices a lowered program.

A device model subclasses `DeviceModel` in a module `condsim/cost/NAME/device.py` and is registered
in `DEVICE_MODELS`. It says which targets it serves, what one operator costs (`begin`), what a step
costs beside its kernels (`step_cost`), and in which order its kernels are issued (`issued`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from condsim.cost.kinds import OperatorKinds
from condsim.cost.roofline import DTYPE_BYTES
from condsim.cost.size_ranges import SizeRange
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.engine.closed_form import Issued
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.kernel_cost import CostRows, KernelCost, Priced, SizedRead
from condsim.kernels import Kernels
from condsim.layout import Entry, Layout, SharedSizes
from condsim.lowered import Call, Lowered
from condsim.program import Op, Tensor, elements
from condsim.program.operators import takes_rows
from condsim.program.work import GROUPED, MATMULS, Shape, Work, work
from condsim.registry import Registry
from condsim.results import Results
from condsim.runtimes import Runtime
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.steps.size_set import SizeSet

ITEMSIZE = {
    "int64": 8,
    "complex64": 8,
    "int32": 4,
    "bool": 1,
    "uint8": 1,
    "float64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "float32": 4,
    "fp8": 1,
    "int8": 1,
}
"""Bytes of one element, by dtype. "float" has those of the simulation's dtype."""


@dataclass(frozen=True)
class Target:
    """What a program is priced for.

    dtype: of the arithmetic and of tensors whose dtype is "float". parameters: of the whole model.
    fabric: that links ranks of tensor parallelism; None for that of the device.
    """

    profile: HardwareProfile
    dtype: str
    runtime: Runtime
    parameters: int = 0
    fabric: str | None = None

    @property
    def model_bytes(self) -> float:
        """Bytes of all weights in the simulation's dtype; infinite where nobody counted them."""
        return self.parameters * self.float_bytes if self.parameters else math.inf

    @property
    def float_bytes(self) -> int:
        """Bytes of one element in the simulation's dtype."""
        if self.dtype not in DTYPE_BYTES:
            known = ", ".join(DTYPE_BYTES)
            raise CondsimError(f"dtype {self.dtype!r} has no known size; known are {known}")
        return DTYPE_BYTES[self.dtype]

    @property
    def peak(self) -> float:
        """FLOPs a second of the device's data sheet."""
        return self.profile.peak_flops[self.dtype].value

    @property
    def prepared(self) -> bool:
        """Whether the device runs prepared graphs."""
        return self.runtime.static and self.profile.graphs is not None

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights of the model."""
        return self.parameters * self.float_bytes

    def bytes_an_element(self, dtype: str) -> float:
        """Return the bytes of one element, of weights in fewer bits a part of one."""
        if dtype in WEIGHT_DTYPES:
            return WEIGHT_DTYPES[dtype].bits / 8
        return self.itemsize(dtype)

    def itemsize(self, dtype: str) -> int:
        """Return the bytes of one element. Raises CondsimError for an unknown dtype."""
        if dtype == "float":
            return self.float_bytes
        if dtype not in ITEMSIZE:
            raise CondsimError(f"a tensor of dtype {dtype!r} has no known size")
        return ITEMSIZE[dtype]

    def bytes_of(self, tensor: Tensor, shape: Shape) -> Any:
        """Return the bytes of a tensor, number or array [sizes]."""
        return elements(shape) * self.bytes_an_element(tensor.dtype)

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

    def row_elements(self, weight: Shape) -> Any:
        """Return how many elements of a weight belong to one output: of a product, those that are
        summed up; else those of its last axis."""
        if self.job.family in MATMULS:
            return self.job.k
        return weight[-1] if weight else 1


@dataclass
class SizedKind:
    """A kind of operator at a set of sizes.

    experts_rows: of a grouped product, as in `ShapedOperator`. resident: share of its weights
    that a cache still has, a number or float [sizes]. range: of sizes that it is priced in; None
    for its own.
    """

    kind: int
    op: Op
    sizes: SizeSet
    experts_rows: np.ndarray | None = None
    resident: Any = 0.0
    range: SizeRange | None = None

    @cached_property
    def in_range(self) -> SizedKind:
        """The operator at all sizes that it is priced at."""
        if self.range is None:
            return self
        return SizedKind(self.kind, self.op, self.range.sizes, resident=self.resident)

    def at_its_sizes(self, cost: CostRows) -> CostRows:
        """Return the rows of a cost at the operator's own sizes. cost: at all of `in_range`."""
        return cost if self.range is None else cost.at(self.range.chosen)

    @cached_property
    def key(self) -> Hashable:
        """What stands for it among all operators at their sizes; None for one of its own."""
        if self.sizes.key is None:
            return None
        return self.kind, self.sizes.key, self.resident


MOST_REMEMBERED = 20_000
"""Operators at their sizes that a device model remembers."""


@dataclass
class Remembered:
    """What a device model remembers of the operators that it priced."""

    kinds: OperatorKinds = field(default_factory=OperatorKinds)
    layouts: Results = field(default_factory=Results)
    costs: dict[Hashable, CostRows] = field(default_factory=dict)

    def remember(self, key: Hashable, cost: CostRows) -> None:
        """Keep what an operator costs; everything is forgotten where that is too much."""
        if len(self.costs) >= MOST_REMEMBERED:
            self.costs.clear()
        self.costs[key] = cost


class Pricing(ABC):
    """A device model at work on one lowered program.

    each_call: each call counts as a size of its own.
    """

    each_call = False

    def __init__(self, model: DeviceModel, lowered: Lowered) -> None:
        self._model, self.lowered = model, lowered

    @cached_property
    def layout(self) -> Layout:
        """The operators that the program runs, whatever their sizes."""
        return self._model.layout(self.lowered, self.each_call)

    @cached_property
    def sets(self) -> list[SizeSet]:
        """The sizes that operators share."""
        shared_and_extents = zip(self.layout.sets, self.layout.extents, strict=True)
        return [_size_set(self.lowered, *each) for each in shared_and_extents]

    def kernels(self) -> Kernels:
        """Price everything that the program runs."""
        return Kernels.of(self.lowered, self.layout, self.sets, self.price())

    def sized(self, entry: Entry, **more: Any) -> SizedKind:
        """Return the kind of an operator at its sizes. more: of it."""
        experts_rows = self._model.experts_rows(entry, self.lowered)
        return SizedKind(entry.kind, entry.op, self.sets[entry.size_set], experts_rows, **more)

    @abstractmethod
    def price(self) -> Priced:
        """Return what all operators cost, each at the sizes of its set."""


class OneByOne(Pricing):
    """Prices one operator after the other, each at its place."""

    def prepare(self) -> None:
        """Look at all operators before the first of them is priced."""

    @abstractmethod
    def kernel(self, entry: Entry, sized: SizedKind) -> KernelCost:
        """Return what an operator costs at its place."""

    def price(self) -> Priced:
        self.prepare()
        costs = []
        for entry in self.layout.entries:
            sized = self.sized(entry)
            costs.append(self.kernel(entry, sized).rows(len(sized.sizes)))
        return Priced(costs, np.arange(len(costs)))


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
        self.remembered = Remembered()

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

    def issued_alike(self, kernels: Kernels) -> Iterator[tuple[np.ndarray, Issued]]:
        """Yield steps that run the same operators, with their kernels, [steps, kernels]."""
        for step in range(kernels.steps):
            issued, _ = self.issued(kernels, step)
            yield np.array([step]), issued

    def kernels(self, lowered: Lowered) -> Kernels:
        """Price everything that a lowered program runs."""
        return self.begin(lowered).kernels()

    def price_ahead(self, pricings: Iterable[Pricing]) -> None:
        """Price at once what several programs run, where that is faster than one by one."""
        return

    def layout(self, lowered: Lowered, each_call: bool) -> Layout:
        """Return the operators that a lowered program runs, whatever their sizes."""
        kinds = self.remembered.kinds.of_program(lowered.program)
        scopes = tuple([(calls.placed.number, bool(len(calls))) for calls in lowered.scopes])
        key = (lowered.program.digest, scopes, tuple(lowered.steps.extents), each_call)
        make = partial(Layout.of, lowered, kinds, each_call)
        return self.remembered.layouts.remember(key, make)

    def shaped(self, sized: SizedKind) -> ShapedOperator:
        """Return a kind of operator with its shapes."""
        op, sizes = sized.op, sized.sizes.sizes
        inputs = [t.shape(sizes) for t in op.inputs]
        outputs = [t.shape(sizes) for t in op.outputs]
        return self.shaped_operator(op, inputs, outputs, sized.experts_rows)

    def shaped_operator(
        self,
        op: Op,
        inputs: list[Shape],
        outputs: list[Shape],
        experts_rows: np.ndarray | None = None,
    ) -> ShapedOperator:
        """Return an operator with shapes."""
        job = work(op.name, inputs, outputs, op.params)
        moved = self.target.activation_bytes(op, inputs, outputs)
        return ShapedOperator(op, inputs, outputs, job, moved, experts_rows)

    def weight_reads(self, shaped: ShapedOperator, count: int) -> list[SizedRead]:
        """Return the weights that an operator reads. count: of its sizes."""
        op = shaped.op
        if op.view or not any(t.weight for t in op.inputs):
            return []
        rows = of_each_size(shaped.job.m, count)
        pieces = np.ones(count)
        if shaped.job.family == "bmm":
            pieces = np.maximum(of_each_size(shaped.job.groups, count), 1.0)
        reads = []
        for tensor, shape in zip(op.inputs, shaped.inputs, strict=True):
            if not tensor.weight:
                continue
            size = self.target.weight_bytes(op, tensor, shape, shaped.outputs)
            here = None
            if shaped.experts_rows is not None:
                experts_here = int(np.max(shape[0]))
                here = shaped.experts_rows[:, :experts_here]
                size = size / here.shape[1]
            row_bytes = self.target.bytes_an_element(tensor.dtype) * shaped.row_elements(shape)
            sizes = of_each_size(size, count), rows, pieces, of_each_size(row_bytes, count)
            reads.append(SizedRead(*sizes, here))
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


def _size_set(lowered: Lowered, shared: SharedSizes, extents: set[str]) -> SizeSet:
    """The sizes of some operators. extents: those that they follow; calls that differ in others
    only are alike."""
    sizes = lowered.sizes(shared.scope, shared.site)
    if shared.alone:
        return SizeSet.each_call(sizes, len(lowered.scopes[shared.scope]))
    known = lowered.known_sizes(shared.scope, shared.site)
    return SizeSet.distinct(sizes, known, extents)


def of_each_size(value: Any, count: int) -> np.ndarray:
    """Return a number, or the value of each size, as float [sizes]."""
    values = np.asarray(value, float)
    return values.ravel() if values.size == count else np.full(count, float(values))


DEVICE_MODELS: Registry[type[DeviceModel]] = Registry("device model")
"""`condsim.cost.cost_model` chooses among them."""
