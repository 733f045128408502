"""Operators that a host issues one by one: what CPUs and GPUs have in common.

The host's time of an operator depends on what ran before it, so one step is played in executed
order first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from condsim.cost.cpu.code_locality import code_locality_seconds, distances
from condsim.cost.device import DeviceModel, Pricing, ShapedOperator, SizedKind
from condsim.cost.hot import VIEW, OperatorTime
from condsim.cost.size_ranges import SizeRange
from condsim.engine.closed_form import Issued
from condsim.kernel_cost import CostRows, KernelCost, Priced, least_sure
from condsim.kernels import Kernels
from condsim.layout import Entry, Layout
from condsim.lowered import Call, Lowered
from condsim.played import PlayedSteps
from condsim.program import Op
from condsim.program.order import Order
from condsim.program.work import MATMULS
from condsim.steps.size_set import SizeSet


def code_distances(order: Order) -> tuple[list[int], int]:
    """Return (different operators since the last call of the same one, itself included, of each
    call; all different operators)."""
    names = [f"{op.name}.view" if op.view else op.name for op in order.ops]
    return distances(names), len(set(names))


class FirstStep(NamedTuple):
    """What is kept of the first step of a side.

    layout: of the block of steps that it is in. far_s_per_byte: of each of its entries, as in
    `Priced`.
    """

    order: Order
    layout: Layout
    far_s_per_byte: np.ndarray | float

    def far_of(self, layout: Layout) -> np.ndarray | float:
        """Return `far_s_per_byte` of the entries of some block; 0 for those that the first step
        does not run."""
        far = self.far_s_per_byte
        if layout is self.layout or not isinstance(far, np.ndarray):
            return far
        entry_of = self.layout.entry_of
        numbers = [entry_of.get((entry.scope, entry.node), -1) for entry in layout.entries]
        return np.array([far[number] if number >= 0 else 0.0 for number in numbers])


class IssuedModel(DeviceModel):
    """A device whose operators a host issues."""

    def begin(self, lowered: Lowered) -> IssuedPricing:
        return IssuedPricing(self, lowered)

    def resident(self, lowered: Lowered) -> np.ndarray | float:
        """Return the share of each step's weights that a cache still has from the step before,
        float [steps], or one number for all; 0 where the operators' times say it."""
        return 0.0

    # Operators at their sizes

    @abstractmethod
    def operator_time(self, shaped: ShapedOperator, resident: Any) -> tuple[OperatorTime, Any]:
        """Return an operator's time and its FLOPs."""

    def known_costs(self, operators: Sequence[SizedKind]) -> list[CostRows]:
        """Return what operators cost at all sizes that they are priced at; those that are new are
        priced."""
        return self._remembered_costs([sized.in_range for sized in operators])

    def _remembered_costs(self, operators: Sequence[SizedKind]) -> list[CostRows]:
        """What operators cost; those that are new are priced, alike ones once."""
        found: dict[Hashable, CostRows] = {}
        new: dict[Hashable, SizedKind] = {}
        keys = []
        for number, sized in enumerate(operators):
            key = number if sized.key is None else sized.key
            keys.append(key)
            if key in self.remembered.costs:
                found[key] = self.remembered.costs[key]
            else:
                new[key] = sized
        for key, cost in zip(new, self.costs(list(new.values())), strict=True):
            found[key] = cost
            if new[key].key is not None:
                self.remembered.remember(key, cost)
        return [found[key] for key in keys]

    def price_ahead(self, pricings: Iterable[Pricing]) -> None:
        of_all, operators = [], []
        for pricing in pricings:
            assert isinstance(pricing, IssuedPricing)
            of_all.append(pricing)
            operators += pricing.operators
        costs = self.known_costs(operators)
        begin = 0
        for pricing in of_all:
            end = begin + len(pricing.operators)
            pricing.known = costs[begin:end]
            begin = end

    def priced_in_ranges(self, kind: int) -> bool:
        """Whether a kind of operator is priced at more sizes than it has."""
        return False

    def alike(self, kind: int, sizes: SizeRange) -> SizeRange:
        """Return those sizes of a range whose prices do not depend on one another."""
        return sizes

    def costs(self, operators: Sequence[SizedKind]) -> list[CostRows]:
        """Return what operators cost at their sizes, whatever ran before them."""
        found = []
        for sized in operators:
            shaped = self.shaped(sized)
            hot, flops = self.operator_time(shaped, sized.resident)
            count = len(sized.sizes)
            found.append(self.cost(shaped, hot, flops, count).rows(count))
        return found

    def cost(self, shaped: ShapedOperator, hot: OperatorTime, flops: Any, count: int) -> KernelCost:
        """Return what an operator costs from its time. count: of its sizes."""
        op = shaped.op
        code = self.code_of(op)
        parts: dict[str, Any] = {"dispatch": self.dispatch_seconds(op, hot)}
        if hot.family == VIEW:
            return KernelCost(parts, VIEW, hot.basis, code=code, view=True)
        beyond_dispatch = np.maximum(np.asarray(hot.seconds) - hot.dispatch, 0.0)
        is_product = shaped.job.family in MATMULS
        if is_product:
            parts |= {"matmul": beyond_dispatch, "traffic": 0.0}
        else:
            parts |= {"traffic": beyond_dispatch}
        return KernelCost(
            parts,
            hot.family,
            least_sure(hot.basis),
            flops=flops if is_product else 0.0,
            moved_bytes=shaped.moved_bytes,
            code=code,
            worlds=hot.worlds,
            reads=self.weight_reads(shaped, count),
            job=shaped.job if is_product else None,
        )

    def code_of(self, op: Op) -> str:
        """Return whose machine code an operator runs, of what costs more after other data."""
        return ""

    # The host

    def dispatch_seconds(self, op: Op, hot: OperatorTime) -> float:
        """Return the host's time of one call, whatever ran before it."""
        host = self.target.runtime.host
        if host == "graph" or (host == "kernel" and op.view):
            return 0.0
        return hot.dispatch

    def host_seconds(self, lowered: Lowered, order: Order, layout: Layout) -> np.ndarray:
        """Return what each entry costs the host more among other operators, and what Python did
        before it, float [entries]. order: of a step."""
        if self.target.runtime.host != "operator":
            return np.zeros(len(layout.entries))
        make = partial(self._host_seconds, order, layout)
        return layout.results.remember(("host seconds", order.entered), make)

    def _host_seconds(self, order: Order, layout: Layout) -> np.ndarray:
        of_calls, different = code_distances(order)
        distance = dict(zip(order.places, of_calls, strict=True))
        ops = [entry.op for entry in layout.entries]
        distinct = [distance.get(entry.place, different) for entry in layout.entries]
        seconds: np.ndarray = self.among_seconds(ops, distinct)
        return seconds + [self.python_seconds(op) for op in ops]

    def among_seconds(self, ops: Sequence[Op], distinct: Sequence[int]) -> np.ndarray:
        """What a call of each operator costs more since others ran, float [ops].

        distinct: of `code_distances`.
        """
        return code_locality_seconds(ops, distinct, self.target.profile)

    def python_seconds(self, op: Op) -> float:
        """What Python did before an operator."""
        host = self.target.profile.host
        if host.instruction is None:
            return op.entered * host.module_call.value
        return op.instructions * host.instruction.value

    # One step

    def far_per_byte(
        self, lowered: Lowered, played: PlayedSteps, layout: Layout
    ) -> np.ndarray | float:
        """Return what each byte of activations of each entry takes longer than in a
        micro-benchmark, as in a step; seconds, float [entries] or a number for all."""
        return 0.0

    def issued(self, kernels: Kernels, step: int) -> tuple[Issued, list[Call]]:
        calls = kernels.lowered.sequence(step)
        sync = np.array([call.op.sync for call in calls], bool)
        return self._issued(kernels, kernels.rows_of(calls), sync), calls

    def issued_alike(self, kernels: Kernels) -> Iterator[tuple[np.ndarray, Issued]]:
        for played in kernels.lowered.played_alike():
            rows = kernels.rows_played(played)
            yield played.numbers, self._issued(kernels, rows, played.order.sync)

    def _issued(self, kernels: Kernels, rows: np.ndarray, sync: np.ndarray) -> Issued:
        """Kernels in issue order. rows: of the table, int [kernels] or [steps, kernels]."""
        host = kernels.column("dispatch")[rows]
        device = kernels.seconds[rows] - host
        stream = np.zeros(rows.shape[-1], int)
        return Issued(host, device, stream, sync)


class IssuedPricing(Pricing):
    """Prices the operators of one lowered program.

    known: what its operators cost at all sizes that they are priced at; None until that is known.
    """

    def __init__(self, model: IssuedModel, lowered: Lowered) -> None:
        super().__init__(model, lowered)
        self.model = model
        self.resident = model.resident(lowered)
        self.each_call = isinstance(self.resident, np.ndarray)
        self.known: list[CostRows] | None = None
        self._ranges: dict[tuple[int, frozenset[str]], SizeRange | None] = {}

    @cached_property
    def operators(self) -> list[SizedKind]:
        """Operators at their sizes, alike ones once."""
        first, _ = self._distinct
        found = []
        for number in first:
            entry = self.layout.entries[number]
            resident = self._resident_of(entry.scope)
            found.append(self.sized(entry, resident=resident, range=self._range_of(entry)))
        return found

    @cached_property
    def _distinct(self) -> tuple[list[int], np.ndarray]:
        return distinct_operators(self.layout, self.sets)

    def _range_of(self, entry: Entry) -> SizeRange | None:
        """The sizes that an operator is priced at; None for its own."""
        if not self.model.priced_in_ranges(entry.kind):
            return None
        sizes = self.sets[entry.size_set]
        extents = self.model.remembered.kinds.needs[entry.kind].shape_extents
        key = (entry.size_set, extents)
        if key not in self._ranges:
            self._ranges[key] = SizeRange.around(sizes, extents)
        found = self._ranges[key]
        return None if found is None else self.model.alike(entry.kind, found)

    def _resident_of(self, scope: int) -> Any:
        if isinstance(self.resident, np.ndarray):
            calls = self.lowered.scopes[scope]
            return self.resident[calls.step]
        return self.resident

    def price(self) -> Priced:
        _, cost_of = self._distinct
        outline = self.lowered.outline
        if outline.first_step is None:
            outline.first_step = self._first_step()
        first: FirstStep = outline.first_step
        host_s = self.model.host_seconds(self.lowered, first.order, self.layout)
        return Priced(self._costs(), cost_of, host_s, first.far_of(self.layout))

    def _costs(self) -> list[CostRows]:
        """What operators cost at their own sizes."""
        known = self.model.known_costs(self.operators) if self.known is None else self.known
        pairs = zip(self.operators, known, strict=True)
        return [sized.at_its_sizes(cost) for sized, cost in pairs]

    def _first_step(self) -> FirstStep:
        step = self.lowered.played()
        far = self.model.far_per_byte(self.lowered, step, self.layout)
        return FirstStep(step.order, self.layout, far)


def distinct_operators(layout: Layout, sets: list[SizeSet]) -> tuple[list[int], np.ndarray]:
    """Return (the first entry of each operator at its sizes, which of them each entry is)."""
    numbers: dict[Hashable, int] = {}
    of_set = []
    for number, size_set in enumerate(sets):
        stands_for = number if size_set.key is None else size_set.key
        of_set.append(numbers.setdefault(stands_for, len(numbers)))
    make = partial(_distinct, layout, np.array(of_set))
    return layout.results.remember(("distinct operators", *of_set), make)


def _distinct(layout: Layout, of_set: np.ndarray) -> tuple[list[int], np.ndarray]:
    """`distinct_operators`. of_set: number of the sizes of each set, int [sets]."""
    pairs = layout.kind * len(of_set) + of_set[layout.size_set]
    _, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    return first.tolist(), which
