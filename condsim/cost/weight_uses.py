"""How far apart the uses of each weight are, which says how much of it was evicted meanwhile.

Steps are looked at in blocks, and what was used last is carried from block to block. The first use
of each weight follows its last one: the trace repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from condsim.kernel_cost import SizedRead
from condsim.kernels import Kernels
from condsim.layout import GroupKey, Layout, WeightRead
from condsim.steps.sizes import first_of_each


@dataclass(frozen=True)
class Visits:
    """Weights that the calls of a scope visit together.

    reads: a weight each. bytes, rows, pieces, row_bytes: of a visit, as in `SizedRead`, float
    [weights, sizes]; sizes that differ in the number of rows only, beyond one, are one.
    size: which of these each visit has. step, choice: of each visit; int [visits] each.
    """

    reads: list[WeightRead]
    bytes: np.ndarray
    rows: np.ndarray
    pieces: np.ndarray
    row_bytes: np.ndarray
    size: np.ndarray
    step: np.ndarray
    choice: np.ndarray

    def those(self, chosen: np.ndarray) -> Visits:
        """Return some of the visits. chosen: bool [visits]."""
        size, step, choice = self.size[chosen], self.step[chosen], self.choice[chosen]
        return replace(self, size=size, step=step, choice=choice)

    def of_weight(self, number: int) -> Visits:
        """Return the visits of one of the weights."""
        one = slice(number, number + 1)
        return replace(
            self,
            reads=self.reads[one],
            bytes=self.bytes[one],
            rows=self.rows[one],
            pieces=self.pieces[one],
            row_bytes=self.row_bytes[one],
        )


Group = tuple[GroupKey, Visits]
"""Weights that are always used together, and their visits."""

FEW_SIZES = 64
"""Up to so many sizes it is not looked at whether weights are read alike at some of them."""

MOST_VISITS = 2**16
"""Groups of weights are looked at together up to so many visits, to save memory."""


@dataclass(frozen=True)
class UsedTogether:
    """Weights that are visited together, and how far away their last uses are.

    distance: bytes touched since, float [visits]. first_step: number of the step that those of the
    visits count from.
    """

    visits: Visits
    distance: np.ndarray
    first_step: int


def visits_of(reads: list[WeightRead], kernels: Kernels) -> Visits:
    """Return the visits of weights that are read together; those of a grouped product's experts
    by ascending expert."""
    calls = kernels.lowered.scopes[reads[0].reader.scope]
    sized = [kernels.read(read) for read in reads]
    size = kernels.size_of_calls(reads[0])
    if sized[0].experts is not None:
        return _visits_of_experts(reads, sized, size, calls.step)
    in_bytes = np.array([read.bytes for read in sized])
    rows = np.array([read.rows for read in sized])
    pieces = np.array([read.pieces for read in sized])
    row_bytes = np.array([read.row_bytes for read in sized])
    if in_bytes.shape[1] > FEW_SIZES:
        first, alike = _alike(np.concatenate([in_bytes, rows > 1, pieces, row_bytes]))
        in_bytes = in_bytes[:, first]
        rows = rows[:, first]
        pieces = pieces[:, first]
        row_bytes = row_bytes[:, first]
        size = alike[size]
    sizes = in_bytes, rows, pieces, row_bytes
    return Visits(reads, *sizes, size, calls.step, calls.choice)


class VisitedBytes(NamedTuple):
    """Bytes of weights that the calls of a scope visit together.

    bytes: of all of them at each size, float [sizes]. size: which of these each visit has. step,
    choice: of each visit; int [visits] each.
    """

    bytes: np.ndarray
    size: np.ndarray
    step: np.ndarray
    choice: np.ndarray


def bytes_of_visits(reads: list[WeightRead], kernels: Kernels) -> VisitedBytes:
    """Return the bytes of weights that are read together, all of them summed up."""
    sized = [kernels.read(read) for read in reads]
    if sized[0].experts is not None:
        visits = visits_of(reads, kernels)
        return VisitedBytes(visits.bytes.sum(axis=0), visits.size, visits.step, visits.choice)
    in_bytes = sized[0].bytes
    for more in sized[1:]:
        in_bytes = in_bytes + more.bytes
    calls = kernels.lowered.scopes[reads[0].reader.scope]
    return VisitedBytes(in_bytes, kernels.size_of_calls(reads[0]), calls.step, calls.choice)


def _alike(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (first of each of the different columns, which of these each column is), int each.

    Sizes follow batches and contexts, weights do not: thousands of sizes read them alike.
    """
    alike = np.zeros(table.shape[1], np.int64)
    first = alike[:1]
    varies = (table != table[:, :1]).any(axis=1)
    different_rows = {row.tobytes(): row for row in table[varies]}
    for row in different_rows.values():
        _, of_row = np.unique(row, return_inverse=True)
        first, alike = first_of_each({"before": alike, "here": of_row})
    return first, alike


def _visits_of_experts(
    reads: list[WeightRead], sized: list[SizedRead], size_of_call: np.ndarray, step: np.ndarray
) -> Visits:
    """The visits of a grouped product's experts: of each number of bytes, by one row and by more.

    sized: of the reads. size_of_call, step: of each call.
    """
    experts = sized[0].experts
    assert experts is not None
    has_rows = experts.T > 0
    expert, call = np.nonzero(has_rows)
    more_rows = experts.T[has_rows] > 1
    in_bytes = np.array([read.bytes for read in sized])
    row_bytes = np.array([read.row_bytes for read in sized])
    both = np.concatenate([in_bytes, row_bytes])
    different, of_size = np.unique(both, axis=1, return_inverse=True)
    size = 2 * of_size.ravel()[size_of_call[call]] + more_rows
    in_bytes, row_bytes = np.split(np.repeat(different, 2, axis=1), 2)
    rows = np.broadcast_to(np.tile([1.0, 2.0], different.shape[1]), in_bytes.shape)
    pieces = np.ones(in_bytes.shape)
    return Visits(reads, in_bytes, rows, pieces, row_bytes, size, step[call], expert)


def read_together(kernels: Kernels) -> Iterator[Group]:
    """Yield the weights that are visited together."""
    for key, reads in kernels.layout.read_together.items():
        yield key, visits_of(reads, kernels)


def read_again(layout: Layout) -> list[list[list[WeightRead]]]:
    """Return the weights that a step may read more than once, those together that are read at the
    same places: place by place, the reads of each.

    It follows from the program alone.
    """
    return layout.results.remember("weights read again", lambda: _read_again(layout))


def _read_again(layout: Layout) -> list[list[list[WeightRead]]]:
    alike: dict[tuple[GroupKey, ...], list[list[WeightRead]]] = {}
    for reads in _shared_weights(layout):
        places = tuple([read.group for read in reads])
        alike.setdefault(places, []).append(reads)
    at_each_place = []
    for weights in alike.values():
        at_each_place.append([list(reads) for reads in zip(*weights, strict=True)])
    return at_each_place


def _shared_weights(layout: Layout) -> Iterator[list[WeightRead]]:
    """Yield the reads of each weight that a step may read more than once.

    Bodies of one loop never read the weights of the same choice in one run of the loop.
    """
    by_name: dict[str, list[WeightRead]] = {}
    for read in layout.weight_reads:
        by_name.setdefault(read.name, []).append(read)
    for reads in by_name.values():
        scopes = {read.reader.scope for read in reads}
        loops = {layout.loops[scope] for scope in scopes}
        if len(scopes) < len(reads) or len(loops) > 1:
            yield reads


@dataclass
class WeightUses:
    """When each weight was used last.

    steps: looked at so far. touched_bytes: by them.
    """

    steps: int = 0
    touched_bytes: float = 0.0
    _last: dict[GroupKey, np.ndarray] = field(default_factory=dict)
    _first: list[_FirstUses] = field(default_factory=list)

    def in_a_row(
        self, kernels: Kernels, evicting_bytes: np.ndarray, ends: bool
    ) -> Iterator[UsedTogether]:
        """Yield the uses of the weights in a block of steps that follow each other.

        evicting_bytes: that pass through the caches in each step, float [steps]. ends: whether it
        is the last block, after which also those are yielded that were used first in an earlier
        one.
        """
        before = np.cumsum(np.concatenate([[self.touched_bytes], evicting_bytes]))
        self.touched_bytes = float(before[-1])
        for groups in _in_portions(read_together(kernels)):
            yield from self._used(groups, before, ends)
        if ends:
            for first_uses in self._first:
                distance = self._around(first_uses)
                yield UsedTogether(first_uses.visits, distance, first_uses.first_step)
        self.steps += len(evicting_bytes)

    def _used(
        self, groups: Sequence[Group], before: np.ndarray, ends: bool
    ) -> Iterator[UsedTogether]:
        """The uses of some groups of weights. before, ends: as in `in_a_row`."""
        distance = self._since_last(groups, before)
        end = 0
        for key, visits in groups:
            begin, end = end, end + len(visits.step)
            of_group = distance[begin:end]
            is_first = np.isnan(of_group)
            if is_first.any():
                first = visits.those(is_first)
                first_uses = _FirstUses(key, first, before[first.step], self.steps)
                if ends:
                    of_group[is_first] = self._around(first_uses)
                else:
                    self._first.append(first_uses)
                    visits, of_group = visits.those(~is_first), of_group[~is_first]
            if len(of_group):
                yield UsedTogether(visits, of_group, self.steps)

    def in_turn(self, kernels: Kernels, evicting_bytes: np.ndarray) -> Iterator[UsedTogether]:
        """Yield the uses of the weights in a block of steps, each of which is repeated.

        evicting_bytes: that pass through the caches from one run of a step to its next, float
        [steps].
        """
        for _, visits in read_together(kernels):
            yield UsedTogether(visits, evicting_bytes[visits.step], self.steps)
        self.steps += len(evicting_bytes)

    def _since_last(self, groups: Sequence[Group], before: np.ndarray) -> np.ndarray:
        """Return the bytes touched since each visit's weight was used before, NaN where it never
        was, and note when each is used last; of all groups, one after the other.

        before: bytes touched before each step.
        """
        lasts = [self._last_uses(key, int(visits.choice.max(initial=-1))) for key, visits in groups]
        first_weights = np.cumsum([0, *[len(last) for last in lasts]]).tolist()
        step = np.concatenate([visits.step for _, visits in groups])
        last = np.concatenate(lasts)
        numbered = zip(groups, first_weights[:-1], strict=True)
        weight = np.concatenate([visits.choice + 1 + first for (_, visits), first in numbered])
        order = _by_weight(weight, step)
        distance = np.empty(len(step))
        distance[order] = _since_last(weight[order], before[step[order]], last)
        for number, (key, _) in enumerate(groups):
            self._last[key] = last[first_weights[number] : first_weights[number + 1]]
        return distance

    def _last_uses(self, key: GroupKey, most: int) -> np.ndarray:
        """The bytes touched before each choice from -1 to `most` was used last, NaN for never."""
        known = self._last.get(key, np.empty(0))
        missing = most + 2 - len(known)
        if missing > 0:
            known = np.concatenate([known, np.full(missing, np.nan)])
        return known

    def _around(self, first: _FirstUses) -> np.ndarray:
        """Bytes touched from the last use of weights to the end, and from the beginning to their
        first."""
        all_bytes = max(self.touched_bytes, 1.0)
        last = self._last[first.key][first.visits.choice + 1]
        distance: np.ndarray = np.maximum(first.before + all_bytes - last, 1.0)
        return distance


@dataclass(frozen=True)
class _FirstUses:
    """The first visits of weights. before: bytes touched before each, float [visits]."""

    key: GroupKey
    visits: Visits
    before: np.ndarray
    first_step: int


def _since_last(weight: np.ndarray, now: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the bytes touched from the use of a weight before each visit to the visit, NaN where
    there is none.

    weight: of each visit, those of a weight together. now: bytes touched before each; those of a
    weight rise. last: bytes touched before each weight was used last, float [weights]; they become
    those of its last visit.
    """
    if not len(weight):
        return np.empty(0)
    begins = np.concatenate([[True], weight[1:] != weight[:-1]])
    ends = np.concatenate([begins[1:], [True]])
    previous = np.concatenate([[0.0], now[:-1]])
    previous[begins] = last[weight[begins]]
    last[weight[ends]] = now[ends]
    distance: np.ndarray = np.maximum(now - previous, 1.0)
    return distance


def _by_weight(weight: np.ndarray, step: np.ndarray) -> np.ndarray | slice:
    """What puts visits in the order of their weights, and those of a weight in that of steps."""
    place = weight * (int(step.max(initial=0)) + 1) + step
    if (place[1:] >= place[:-1]).all():
        return slice(None)
    return np.argsort(place, kind="stable")


def _in_portions(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Yield groups of few enough visits."""
    some: list[Group] = []
    visits = 0
    for group in groups:
        count = len(group[1].step)
        if some and visits + count > MOST_VISITS:
            yield some
            some, visits = [], 0
        some.append(group)
        visits += count
    if some:
        yield some
