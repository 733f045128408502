"""The table in the middle: a row a kernel, its columns what that kernel costs.

A row stands for all calls of one operator, at one place of its program, that have the same sizes.
`Runs` says how often each size is run in each step. Everything that is said of a step (latency,
segments, waterfall, timeline, energy) is a sum over the rows of this table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from condsim.lower import Call, Lowered, Place
from condsim.program import Op
from condsim.steps.sizes import Sizes, first_of_each, joined

PARTS = ("dispatch", "matmul", "traffic", "weights", "quantisation")
"""What a kernel's seconds are made of.

dispatch: of the host, or of starting it. matmul: arithmetic of products. traffic: reading and
writing activations, and operators that multiply nothing. weights: what reading weights takes
longer than the arithmetic beside it. quantisation: padding to whole tiles.
"""


@dataclass(frozen=True)
class SizeSet:
    """The sizes that operators of one scope share.

    sizes: extent → int [sizes], some of which no call may have. of_call: which size each call of
    the scope has, int [m].
    key: stands for the sizes among all sets; None where each call counts as a size of its own.
    """

    sizes: Mapping[str, np.ndarray]
    of_call: np.ndarray
    key: object = None

    def __len__(self) -> int:
        return len(next(iter(self.sizes.values())))

    @classmethod
    def distinct(cls, sizes: Sizes, known: Sizes | None = None) -> SizeSet:
        """Return the distinct sizes of m calls.

        known: all sizes that are to be in the set, those of the calls among them; None where these
        are all.
        """
        count = 0
        if known is not None:
            count = len(next(iter(known.values())))
            sizes = joined(known, sizes)
        first, of_call = first_of_each(sizes)
        different = {extent: values[first] for extent, values in sizes.items()}
        key = tuple((extent, values.tobytes()) for extent, values in different.items())
        return cls(different, of_call[count:], key)

    @classmethod
    def each_call(cls, sizes: Mapping[str, np.ndarray], calls: int) -> SizeSet:
        """Return the sizes of m calls, alike or not."""
        return cls(sizes, np.arange(calls))

    def runs(self, step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (step, size, how often it runs there) of the sizes that run, int each.

        step: of each call, int [m].
        """
        if self.key is None:
            return step, self.of_call, np.ones(len(step), np.int64)
        wide = len(self)
        times = np.bincount(step * wide + self.of_call)
        present = np.flatnonzero(times)
        return present // wide, present % wide, times[present]


@dataclass(frozen=True)
class Entry:
    """An operator at its place, with the sizes of its calls.

    scope: index of its `ScopeCalls`. kind: number of operators that cost as much at the same
    sizes. size_set: number of `sizes` among all sets.
    """

    scope: int
    node: int
    op: Op
    place: Place
    kind: int
    size_set: int
    sizes: SizeSet


@dataclass(frozen=True)
class KernelCost:
    """What the calls of one operator at one place cost.

    parts: part → seconds, number or float [sizes]. flops: of products. moved_bytes: activations
    that are read and written. family: the table that the time was read from. basis: what the time
    rests on ("calibrated", "estimated", ...). code: whose machine code runs, "" where that costs
    nothing. worlds: world of the waterfall → seconds beyond flops / peak, where the device model
    says them. on_host: the host runs it, not the device. view: it runs no kernel.
    memory_bytes: memory level → bytes, where the device model says them.
    """

    parts: Mapping[str, Any]
    family: str
    basis: str
    flops: Any = 0.0
    moved_bytes: Any = 0.0
    code: str = ""
    worlds: Mapping[str, Any] = field(default_factory=dict)
    on_host: bool = False
    view: bool = False
    memory_bytes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightRead:
    """One operator reads one weight.

    scope: index of the operator's `ScopeCalls`. of_call: which of the sizes each call has.
    bytes, rows, pieces: of each size: bytes of one visit, rows of the product, and of how many
    matrices the weight is made that a batched product takes one after the other; float [sizes].
    experts: of a grouped product that reads the weights of each expert that has rows: rows of
    each, int [calls, experts].
    """

    name: str
    scope: int
    node: int
    of_call: np.ndarray
    bytes: np.ndarray
    rows: np.ndarray
    pieces: np.ndarray
    experts: np.ndarray | None = None

    @property
    def bytes_a_call(self) -> np.ndarray:
        """Bytes that a call reads, all experts that have rows together; float [sizes]."""
        if self.experts is None:
            return self.bytes
        experts_read = (self.experts > 0).sum(1)
        read: np.ndarray = self.bytes * experts_read
        return read


@dataclass
class Kernels:
    """The table of one side. `KernelsBuilder` fills it.

    entries: operators at their places; an entry has a row a size.
    entry_rows: first row of each entry, and the end.
    columns: name → float [rows]: parts ("dispatch", ...), "flops", "router_flops", "moved_bytes",
    "world NAME", "memory LEVEL". family, basis, code: label of each entry.
    played: what the device model keeps of the first step for the blocks of steps that follow.
    """

    lowered: Lowered
    entries: list[Entry]
    entry_rows: np.ndarray
    sets: list[SizeSet]
    set_scope: list[int]
    columns: dict[str, np.ndarray]
    family: list[str]
    basis: list[str]
    code: list[str]
    on_host: np.ndarray
    view: np.ndarray
    weights: list[WeightRead]
    entry_of: dict[tuple[int, int], int]
    played: Any = None

    @property
    def steps(self) -> int:
        return len(self.lowered.steps)

    @cached_property
    def entry(self) -> np.ndarray:
        """The entry of each row, int [rows]."""
        return np.repeat(np.arange(len(self.entries)), np.diff(self.entry_rows))

    @cached_property
    def _set_start(self) -> np.ndarray:
        lengths = [len(s) for s in self.sets]
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    @cached_property
    def size(self) -> np.ndarray:
        """The size of each row, numbered over all sets, int [rows]."""
        set_of_entry = np.array([entry.size_set for entry in self.entries])
        first_size = self._set_start[set_of_entry]
        in_entry = np.arange(self.entry_rows[-1]) - self.entry_rows[self.entry]
        sizes: np.ndarray = first_size[self.entry] + in_entry
        return sizes

    @cached_property
    def runs(self) -> csr_matrix:
        """How often each size runs in each step, [steps, sizes]."""
        steps, sizes, counts = [], [], []
        for number, size_set in enumerate(self.sets):
            step = self.lowered.scopes[self.set_scope[number]].step
            run_in, size, times = size_set.runs(step)
            steps.append(run_in)
            sizes.append(size + self._set_start[number])
            counts.append(times)
        shape = (self.steps, int(self._set_start[-1]))
        where = (np.concatenate(steps), np.concatenate(sizes))
        return csr_matrix((np.concatenate(counts).astype(float), where), shape=shape)

    def per_step(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the kernels of each step, float [steps]. values: float [rows]."""
        of_size = np.bincount(self.size, values, minlength=int(self._set_start[-1]))
        summed: np.ndarray = self.runs @ of_size
        return summed

    def by_entry(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all steps of each entry, float [entries]. values: float [rows]."""
        times_run = self.runs.sum(axis=0).A1
        weighted = values * times_run[self.size]
        summed: np.ndarray = np.bincount(self.entry, weighted, len(self.entries))
        return summed

    def column(self, name: str) -> np.ndarray:
        """Return a column, float [rows]; zeros where no kernel has it."""
        if name in self.columns:
            return self.columns[name]
        return np.zeros(int(self.entry_rows[-1]))

    def total(self, name: str) -> np.ndarray:
        """Return a column's sum over each step, float [steps]."""
        if name not in self.columns:
            return np.zeros(self.steps)
        return self.per_step(self.columns[name])

    def by_label(self, labels: Sequence[Any], values: np.ndarray) -> dict[Any, np.ndarray]:
        """Return label → sum over the kernels of each step that have it, float [steps].

        labels: of each entry. values: float [rows].
        """
        names = list(dict.fromkeys(labels))
        numbers = {name: i for i, name in enumerate(names)}
        of_entry = np.array([numbers[label] for label in labels])
        sizes = int(self._set_start[-1])
        flat = self.size * len(names) + of_entry[self.entry]
        table = np.bincount(flat, values, minlength=sizes * len(names))
        summed = self.runs @ table.reshape(sizes, len(names))
        return {name: summed[:, i] for i, name in enumerate(names)}

    def largest(self, name: str) -> np.ndarray:
        """Return the largest value of a column in each step, float [steps]."""
        sizes = int(self._set_start[-1])
        of_size = np.zeros(sizes)
        np.maximum.at(of_size, self.size, self.column(name))
        runs = self.runs
        values = of_size[runs.indices]
        starts = runs.indptr[:-1]
        found = np.zeros(self.steps)
        busy = np.diff(runs.indptr) > 0
        if busy.any():
            found[busy] = np.maximum.reduceat(values, starts[busy])
        return found

    @cached_property
    def seconds(self) -> np.ndarray:
        """Seconds of each row, float [rows]."""
        parts = [self.columns[part] for part in PARTS if part in self.columns]
        total: np.ndarray = np.sum(parts, axis=0)
        return total

    def rows_of(self, calls: Sequence[Call]) -> np.ndarray:
        """Return the row of each call, int [calls]."""
        found = np.empty(len(calls), np.int64)
        for i, call in enumerate(calls):
            number = self.entry_of[call.scope, call.place[1]]
            size = self.entries[number].sizes.of_call[call.call]
            found[i] = self.entry_rows[number] + size
        return found


class KernelsBuilder:
    """Collects what a device model says of each operator."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.sets: list[SizeSet] = []
        self.set_scope: list[int] = []
        self.weights: list[WeightRead] = []
        self._priced: list[_PricedEntry] = []

    def add_set(self, scope: int, size_set: SizeSet) -> int:
        """Number the sizes that operators of a scope share."""
        self.sets.append(size_set)
        self.set_scope.append(scope)
        return len(self.sets) - 1

    def add(self, entry: Entry, cost: KernelCost, reads: list[WeightRead]) -> None:
        """Enter what an operator costs, and the weights that it reads."""
        self._priced.append(_PricedEntry(entry, cost, reads))
        self.weights += reads

    def table(self, played: Any = None) -> Kernels:
        """Return the table of all that was entered. played: as in `Kernels`."""
        entries = [priced.entry for priced in self._priced]
        costs = [priced.cost for priced in self._priced]
        lengths = [len(entry.sizes) for entry in entries]
        entry_rows = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Kernels(
            lowered=self.lowered,
            entries=entries,
            entry_rows=entry_rows,
            sets=self.sets,
            set_scope=self.set_scope,
            columns=self._columns(entry_rows),
            family=[cost.family for cost in costs],
            basis=[cost.basis for cost in costs],
            code=[cost.code for cost in costs],
            on_host=np.array([cost.on_host for cost in costs]),
            view=np.array([cost.view for cost in costs]),
            weights=self.weights,
            entry_of={(entry.scope, entry.node): i for i, entry in enumerate(entries)},
            played=played,
        )

    def _columns(self, entry_rows: np.ndarray) -> dict[str, np.ndarray]:
        columns: dict[str, np.ndarray] = {}
        rows = int(entry_rows[-1])
        for number, priced in enumerate(self._priced):
            of_entry = slice(int(entry_rows[number]), int(entry_rows[number + 1]))
            for name, values in priced.numbers():
                if name not in columns:
                    columns[name] = np.zeros(rows)
                columns[name][of_entry] += values
        return columns


@dataclass(frozen=True)
class _PricedEntry:
    """An operator at its place, what it costs, and the weights that it reads."""

    entry: Entry
    cost: KernelCost
    reads: list[WeightRead]

    def numbers(self) -> Iterator[tuple[str, Any]]:
        """Yield (column, number or float [sizes])."""
        yield from self.cost.parts.items()
        yield ("router_flops" if self.entry.op.role else "flops"), self.cost.flops
        yield "moved_bytes", self.cost.moved_bytes
        for world, seconds in self.cost.worlds.items():
            yield f"world {world}", seconds
        for level, moved in self.cost.memory_bytes.items():
            yield f"memory {level}", moved
        for read in self.reads:
            yield "weight_bytes", read.bytes_a_call
