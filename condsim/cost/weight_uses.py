"""How far apart the uses of each weight are, which says how much of it was evicted meanwhile.

Steps are looked at in blocks, and what was used last is carried from block to block. The first use
of each weight follows its last one: the trace repeats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from condsim.kernels import Kernels, WeightRead

GroupKey = tuple[int, str, int]
"""(scope, site, experts) of weights that are always used together; site "" and no experts where
each call of the scope uses them."""


@dataclass(frozen=True)
class Visits:
    """One weight's visits by the calls of its scope.

    bytes, rows, pieces: as in `WeightRead`, float [sizes]. size: which of these each visit has.
    step, choice: of each visit; int [visits] each.
    """

    read: WeightRead
    bytes: np.ndarray
    rows: np.ndarray
    pieces: np.ndarray
    size: np.ndarray
    step: np.ndarray
    choice: np.ndarray


@dataclass(frozen=True)
class UsedTogether:
    """Weights that are visited together, and how far away their last uses are.

    weights: with the same step and choice each. distance: bytes touched since, float [visits].
    first_step: number of the step that theirs count from.
    """

    weights: list[Visits]
    distance: np.ndarray
    first_step: int


def visits_of(read: WeightRead, kernels: Kernels) -> Visits:
    """Return a weight's visits; those of a grouped product's experts by ascending expert."""
    calls = kernels.lowered.scopes[read.scope]
    of_call = read.of_call
    if read.experts is None:
        sizes = (read.bytes, read.rows, read.pieces)
        return Visits(read, *sizes, of_call, calls.step, calls.choice)
    return _visits_of_experts(read, calls.step)


def _visits_of_experts(read: WeightRead, step: np.ndarray) -> Visits:
    """The visits of a grouped product's experts: of each number of bytes, by one row and by more.

    step: of each call.
    """
    assert read.experts is not None
    has_rows = read.experts.T > 0
    expert, call = np.nonzero(has_rows)
    more_rows = read.experts.T[has_rows] > 1
    bytes_, of_size = np.unique(read.bytes, return_inverse=True)
    size = 2 * of_size[read.of_call[call]] + more_rows
    rows = np.tile([1.0, 2.0], len(bytes_))
    pieces = np.ones(len(rows))
    return Visits(read, np.repeat(bytes_, 2), rows, pieces, size, step[call], expert)


def _those(weights: list[Visits], chosen: np.ndarray) -> list[Visits]:
    """Visits of weights that are used together, those that are chosen.

    chosen: bool [visits]. Weights that have their sizes in common still do.
    """
    step, choice = weights[0].step[chosen], weights[0].choice[chosen]
    size = {id(visits.size): visits.size[chosen] for visits in weights}
    return [
        replace(visits, size=size[id(visits.size)], step=step, choice=choice) for visits in weights
    ]


def read_together(kernels: Kernels) -> Iterator[tuple[GroupKey, list[Visits]]]:
    """Yield the weights that are visited together: those of a scope, and those of the grouped
    products of a site in it."""
    groups: dict[GroupKey, list[WeightRead]] = {}
    for read in kernels.weights:
        groups.setdefault(_group_of(read, kernels), []).append(read)
    for key, group in groups.items():
        yield key, [visits_of(read, kernels) for read in group]


def _group_of(read: WeightRead, kernels: Kernels) -> GroupKey:
    if read.experts is None:
        return read.scope, "", 0
    entry = kernels.entries[kernels.layout.entry_of[read.scope, read.node]]
    return read.scope, entry.op.site, read.experts.shape[1]


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
        for key, weights in read_together(kernels):
            distance = self._since_last(key, weights[0], before)
            is_first = np.isnan(distance)
            if is_first.any():
                first = self._note_first(key, weights, is_first, before)
                if ends:
                    distance[is_first] = self._around(first)
                else:
                    self._first.append(first)
                    weights = _those(weights, ~is_first)
                    distance = distance[~is_first]
            if len(distance):
                yield UsedTogether(weights, distance, self.steps)
        if ends:
            for first in self._first:
                yield UsedTogether(first.weights, self._around(first), first.first_step)
        self.steps += len(evicting_bytes)

    def in_turn(self, kernels: Kernels, evicting_bytes: np.ndarray) -> Iterator[UsedTogether]:
        """Yield the uses of the weights in a block of steps, each of which is repeated.

        evicting_bytes: that pass through the caches from one run of a step to its next, float
        [steps].
        """
        for _, weights in read_together(kernels):
            yield UsedTogether(weights, evicting_bytes[weights[0].step], self.steps)
        self.steps += len(evicting_bytes)

    def _since_last(self, key: GroupKey, visits: Visits, before: np.ndarray) -> np.ndarray:
        """Return the bytes touched since each visit's weight was used before, NaN where it never
        was, and note when each is used last.

        before: bytes touched before each step.
        """
        order = _by_choice(visits)
        step, choice = visits.step[order], visits.choice[order]
        if not len(step):
            return np.empty(0)
        begins = np.concatenate([[True], choice[1:] != choice[:-1]])
        ends = np.concatenate([begins[1:], [True]])
        now = before[step]
        previous = np.concatenate([[0.0], now[:-1]])
        last = self._last_uses(key, int(choice[-1]))
        previous[begins] = last[choice[begins] + 1]
        last[choice[ends] + 1] = now[ends]
        distance = np.empty(len(step))
        distance[order] = np.maximum(now - previous, 1.0)
        return distance

    def _last_uses(self, key: GroupKey, most: int) -> np.ndarray:
        """The bytes touched before each choice from -1 to `most` was used last, NaN for never."""
        known = self._last.get(key, np.empty(0))
        missing = most + 2 - len(known)
        if missing > 0:
            known = np.concatenate([known, np.full(missing, np.nan)])
            self._last[key] = known
        return known

    def _note_first(
        self, key: GroupKey, weights: list[Visits], is_first: np.ndarray, before: np.ndarray
    ) -> _FirstUses:
        first = _those(weights, is_first)
        return _FirstUses(key, first, before[first[0].step], self.steps)

    def _around(self, first: _FirstUses) -> np.ndarray:
        """Bytes touched from the last use of weights to the end, and from the beginning to their
        first."""
        all_bytes = max(self.touched_bytes, 1.0)
        last = self._last[first.key][first.weights[0].choice + 1]
        distance: np.ndarray = np.maximum(first.before + all_bytes - last, 1.0)
        return distance


@dataclass(frozen=True)
class _FirstUses:
    """The first visits of weights. before: bytes touched before each, float [visits]."""

    key: GroupKey
    weights: list[Visits]
    before: np.ndarray
    first_step: int


def _by_choice(visits: Visits) -> np.ndarray | slice:
    """What puts visits in the order of their choices, and those of a choice in that of steps."""
    if not len(visits.step):
        return slice(None)
    steps = int(visits.step.max()) + 1
    place = visits.choice * steps + visits.step
    if (place[1:] >= place[:-1]).all():
        return slice(None)
    return np.argsort(place, kind="stable")
