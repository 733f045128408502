"""The table in the middle: a row a kernel, its columns what that kernel costs.

A row stands for all calls of one operator, at one place of its program, that have the same sizes.
`Kernels.runs` says how often each size is run in each step. Everything that is said of a step
(latency, segments, waterfall, timeline, energy) is a sum over the rows of this table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from condsim.kernel_cost import PARTS, CostRows, Priced, SizedRead
from condsim.layout import Entry, Layout, WeightRead
from condsim.lowered import Call, Lowered
from condsim.played import PlayedSteps
from condsim.steps.size_set import SizeSet


class TimesRun(NamedTuple):
    """How often sizes run in steps; a size may stand here several times; int, int and float [n].

    size: numbered over all sets.
    """

    step: np.ndarray
    size: np.ndarray
    times: np.ndarray


@dataclass
class Kernels:
    """The table of one side.

    layout: operators at their places; an entry has a row a size.
    sets: the sizes that entries share. entry_rows: first row of each entry, and the end.
    columns: name → float [rows]: parts ("dispatch", ...), "flops", "router_flops", "moved_bytes",
    "world NAME", "memory LEVEL". costs: of operators, alike ones once. cost_of: which of these each
    entry has, int [entries].
    """

    lowered: Lowered
    layout: Layout
    sets: list[SizeSet]
    entry_rows: np.ndarray
    columns: dict[str, np.ndarray]
    costs: Sequence[CostRows]
    cost_of: np.ndarray

    @classmethod
    def of(cls, lowered: Lowered, layout: Layout, sets: list[SizeSet], priced: Priced) -> Kernels:
        """Return the table of what a lowered program's operators cost."""
        sizes_of_set = np.array([len(size_set) for size_set in sets])
        lengths = sizes_of_set[layout.size_set]
        entry_rows = np.concatenate([[0], np.cumsum(lengths)])
        columns = _columns(priced, layout, lengths)
        return cls(lowered, layout, sets, entry_rows, columns, priced.costs, priced.cost_of)

    @property
    def steps(self) -> int:
        return len(self.lowered.steps)

    @property
    def entries(self) -> list[Entry]:
        """Operators at their places."""
        return self.layout.entries

    @cached_property
    def on_host(self) -> np.ndarray:
        """Whether the host runs each entry, bool [entries]."""
        of_costs = np.array([rows.cost.on_host for rows in self.costs])
        on_host: np.ndarray = of_costs[self.cost_of]
        return on_host

    @cached_property
    def family(self) -> list[str]:
        """The table or rate that the time of each entry is from."""
        return self._of_entries([rows.cost.family for rows in self.costs])

    @cached_property
    def basis(self) -> list[str]:
        """What the time of each entry rests on."""
        return self._of_entries([rows.basis for rows in self.costs])

    @cached_property
    def code(self) -> list[str]:
        """Whose machine code each entry runs, "" where that costs nothing."""
        return self._of_entries([rows.cost.code for rows in self.costs])

    def _of_entries(self, of_costs: Sequence[str]) -> list[str]:
        """What is said of each entry, of what is said of each cost."""
        return [of_costs[number] for number in self.cost_of.tolist()]

    def read(self, weight: WeightRead) -> SizedRead:
        """Return what is read of a weight at its operator's sizes."""
        return self._reads[int(self.cost_of[weight.entry])][weight.place]

    @cached_property
    def _reads(self) -> list[list[SizedRead]]:
        """The weights that the operators of each cost read."""
        return [rows.reads for rows in self.costs]

    def size_of_calls(self, weight: WeightRead) -> np.ndarray:
        """Return which of its operator's sizes each call has that reads a weight, int [calls]."""
        return self.sets[weight.reader.size_set].of_call

    @cached_property
    def entry(self) -> np.ndarray:
        """The entry of each row, int [rows]."""
        numbers = np.arange(len(self.entries))
        rows_of_entry = np.diff(self.entry_rows)
        return np.repeat(numbers, rows_of_entry)

    @cached_property
    def _set_start(self) -> np.ndarray:
        """Number of the first size of each set, and how many sizes all sets have."""
        lengths = [len(s) for s in self.sets]
        start = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=start[1:])
        return start

    @property
    def _sizes(self) -> int:
        """How many sizes all sets have."""
        return int(self._set_start[-1])

    @cached_property
    def size(self) -> np.ndarray:
        """The size of each row, numbered over all sets, int [rows]."""
        first_size = self._set_start[self.layout.size_set]
        lengths = np.diff(self.entry_rows)
        return _ranges(first_size, lengths)

    @cached_property
    def times_run(self) -> TimesRun:
        """How often each size runs in each step."""
        steps, sizes, counts = [], [], []
        for number, size_set in enumerate(self.sets):
            scope = self.layout.sets[number].scope
            step = self.lowered.scopes[scope].step
            run_in, size, times = size_set.runs(step)
            steps.append(run_in)
            sizes.append(size + self._set_start[number])
            counts.append(times)
        times = np.concatenate(counts).astype(float)
        return TimesRun(np.concatenate(steps), np.concatenate(sizes), times)

    @cached_property
    def runs(self) -> csr_matrix:
        """How often each size runs in each step, [steps, sizes]."""
        runs = self.times_run
        places = (runs.step, runs.size)
        return csr_matrix((runs.times, places), (self.steps, self._sizes))

    def per_step(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the kernels of each step, float [steps]. values: float [rows]."""
        runs = self.times_run
        of_size = np.bincount(self.size, values, self._sizes)
        of_run = of_size[runs.size] * runs.times
        return np.bincount(runs.step, of_run, self.steps)

    def by_entry(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all steps of each entry, float [entries]. values: float [rows]."""
        runs = self.times_run
        times = np.bincount(runs.size, runs.times, self._sizes)
        weighted = values * times[self.size]
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
        if name not in self._totals:
            self._totals[name] = self.per_step(self.columns[name])
        return self._totals[name]

    @cached_property
    def _totals(self) -> dict[str, np.ndarray]:
        """Column → its sum over each step, of those that were asked for."""
        return {}

    def calls(self, labels: Sequence[Any]) -> dict[Any, np.ndarray]:
        """Return label → calls of the kernels that have it in each step, float [steps].

        labels: of each entry.
        """
        names, of_entry = _numbered(labels)
        shape = (len(names), len(self.sets))
        place = of_entry * shape[1] + self.layout.size_set
        of_places = np.bincount(place, minlength=shape[0] * shape[1])
        entries = of_places.reshape(shape).astype(float)
        calls = [self._calls_of_scope[shared.scope] for shared in self.layout.sets]
        calls_of_label = entries @ np.stack(calls)
        return dict(zip(names, calls_of_label, strict=True))

    @cached_property
    def _calls_of_scope(self) -> list[np.ndarray]:
        """Calls of each scope in each step, float [steps] each."""
        found = []
        for calls in self.lowered.scopes:
            of_step = np.bincount(calls.step, minlength=self.steps)
            found.append(of_step.astype(float))
        return found

    def by_label(self, labels: Sequence[Any], values: np.ndarray) -> dict[Any, np.ndarray]:
        """Return label → sum over the kernels of each step that have it, float [steps].

        labels: of each entry. values: float [rows].
        """
        names, of_entry = _numbered(labels)
        shape = (self._sizes, len(names))
        place = self.size * shape[1] + of_entry[self.entry]
        of_places = np.bincount(place, values, minlength=shape[0] * shape[1])
        summed = self.runs @ of_places.reshape(shape)
        return dict(zip(names, summed.T, strict=True))

    def largest(self, name: str) -> np.ndarray:
        """Return the largest value of a column in each step, float [steps]."""
        runs = self.times_run
        of_size = np.zeros(self._sizes)
        np.maximum.at(of_size, self.size, self.column(name))
        found = np.zeros(self.steps)
        np.maximum.at(found, runs.step, of_size[runs.size])
        return found

    @cached_property
    def seconds(self) -> np.ndarray:
        """Seconds of each row, float [rows]."""
        parts = [self.columns[part] for part in PARTS if part in self.columns]
        total: np.ndarray = np.sum(parts, axis=0)
        return total

    def rows_of(self, calls: Sequence[Call]) -> np.ndarray:
        """Return the row of each call, int [calls]."""
        entry_of = self.layout.entry_of
        entries = [entry_of[call.scope, call.place[1]] for call in calls]
        of_scope = [call.call for call in calls]
        return self._rows(np.array(entries, np.int64), np.array(of_scope, np.int64))

    def rows_played(self, played: PlayedSteps) -> np.ndarray:
        """Return the row of each call of steps in executed order, int [steps, calls]."""
        of_scope = played.calls[:, played.order.entry]
        return self._rows(self.layout.entries_of(played), of_scope)

    def _rows(self, entries: np.ndarray, of_scope: np.ndarray) -> np.ndarray:
        """The rows of calls. entries: of each. of_scope: which of its scope's calls each is."""
        sizes, begin = self._size_of_calls
        size = sizes[begin[self.layout.size_set[entries]] + of_scope]
        rows: np.ndarray = self.entry_rows[entries] + size
        return rows

    @cached_property
    def _size_of_calls(self) -> tuple[np.ndarray, np.ndarray]:
        """(the size of each call of all sets, one set after the other; where each set begins)."""
        of_sets = [size_set.of_call for size_set in self.sets]
        lengths = [len(of_call) for of_call in of_sets]
        begin = np.concatenate([[0], np.cumsum(lengths)])
        return np.concatenate(of_sets), begin

    def rows_in_steps(self, calls: Sequence[Call]) -> np.ndarray:
        """Return the row of each call in every step, int [steps, calls].

        calls: of one step, outside of all loops.
        """
        columns = []
        for call in calls:
            _, node = call.place
            number = self.layout.entry_of[call.scope, node]
            size_set = self.sets[self.entries[number].size_set]
            columns.append(self.entry_rows[number] + size_set.of_call)
        return np.stack(columns, axis=1)


def _numbered(labels: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """(different labels, which of them each is, int [labels])."""
    numbers: dict[Any, int] = {}
    of_each = [numbers.setdefault(label, len(numbers)) for label in labels]
    return list(numbers), np.array(of_each)


def _columns(priced: Priced, layout: Layout, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Column → float [rows]. lengths: rows of each entry."""
    cost_of = priced.cost_of
    rows_of_cost = np.zeros(len(priced.costs), np.int64)
    rows_of_cost[cost_of] = lengths
    first_row = np.cumsum(rows_of_cost) - rows_of_cost
    row_of_cost = _ranges(first_row[cost_of], lengths)
    columns = {}
    for name, values in _columns_of_costs(priced.costs).items():
        columns[name] = values[row_of_cost]
    columns["dispatch"] = columns["dispatch"] + _repeated(priced.dispatch_s, lengths)
    if np.any(priced.far_s_per_byte):
        far_s = columns["moved_bytes"] * _repeated(priced.far_s_per_byte, lengths)
        columns["traffic"] = columns["traffic"] + far_s
    if layout.router.any():
        router = np.repeat(layout.router, lengths)
        columns["router_flops"] = np.where(router, columns["flops"], 0.0)
        columns["flops"] = np.where(router, 0.0, columns["flops"])
    return columns


def _columns_of_costs(costs: Sequence[CostRows]) -> dict[str, np.ndarray]:
    """Column → float [rows], the costs one after the other."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, cost in enumerate(costs):
        alike.setdefault(cost.names, []).append(number)
    lengths = np.array([cost.table.shape[1] for cost in costs])
    first_row = np.cumsum(lengths) - lengths
    columns: dict[str, np.ndarray] = {}
    for names, numbers in alike.items():
        rows = _ranges(first_row[numbers], lengths[numbers])
        table = np.concatenate([costs[number].table for number in numbers], axis=1)
        for name, values in zip(names, table, strict=True):
            if name not in columns:
                columns[name] = np.zeros(lengths.sum())
            columns[name][rows] = values
    return columns


def _repeated(values: np.ndarray | float, lengths: np.ndarray) -> np.ndarray | float:
    """What is said of each entry, of each of its rows."""
    return np.repeat(values, lengths) if isinstance(values, np.ndarray) else values


def _ranges(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """first, first + 1, ... so many numbers, one range after the other."""
    before = np.cumsum(lengths) - lengths
    shift = np.repeat(first - before, lengths)
    ranges: np.ndarray = np.arange(lengths.sum()) + shift
    return ranges
