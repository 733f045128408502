"""What weights cost more that were evicted since their last use, for all of a side at once.

Weights that are read together were used equally long ago. Those that fit the private cache cost a
straight line between two measured distances, so that their curves are added up first and are read
once a visit. What the others cost is looked up for all that are alike at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from condsim.cost.cpu.residency import Weight, evicted_curves
from condsim.cost.cpu.tables import between, locate
from condsim.cost.weight_uses import MOST_VISITS, UsedTogether
from condsim.hardware import Residency


class Missed(NamedTuple):
    """What some visits of weights cost.

    step: of each visit, int [visits]. seconds: since the weights were evicted. spread: one standard
    deviation of it; float [visits] each.
    """

    step: np.ndarray
    seconds: np.ndarray
    spread: np.ndarray

    @property
    def by_step(self) -> tuple[slice, np.ndarray]:
        """(steps, seconds of each of them, float [steps])."""
        first = int(self.step.min())
        seconds = np.bincount(self.step - first, self.seconds)
        return slice(first, first + len(seconds)), seconds


def missed(uses: Iterable[UsedTogether], residency: Residency) -> Iterator[Missed]:
    """Yield what it costs that weights were evicted since they were used last."""
    for some in _in_portions(uses):
        yield _missed(some, residency)


def _in_portions(uses: Iterable[UsedTogether]) -> Iterator[list[UsedTogether]]:
    """Yield groups of few enough visits."""
    some: list[UsedTogether] = []
    visits = 0
    for group in uses:
        count = len(group.distance)
        if some and visits + count > MOST_VISITS:
            yield some
            some, visits = [], 0
        if count:
            some.append(group)
            visits += count
    if some:
        yield some


@dataclass(frozen=True)
class _Visits:
    """Visits of some groups, one after the other.

    size: numbered over all groups; step: of each visit. cell, fraction: where its distance lies
    among those that were measured.
    """

    size: np.ndarray
    step: np.ndarray
    distance: np.ndarray
    cell: np.ndarray
    fraction: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[UsedTogether], residency: Residency) -> _Visits:
        """Return the visits of groups."""
        size, step, first = [], [], 0
        for group in groups:
            size.append(group.visits.size + first)
            step.append(group.visits.step + group.first_step)
            first += group.visits.bytes.shape[1]
        distance = np.concatenate([group.distance for group in groups])
        where = locate(np.array(residency.distance), distance)
        return cls(np.concatenate(size), np.concatenate(step), distance, *where)

    def read(self, curves: np.ndarray, row: Any) -> np.ndarray:
        """Return the value of a curve at the distance of each visit.

        curves: float [curves, distances]. row: the curve of each visit, or that of all.
        """
        return between(curves[row, self.cell], curves[row, self.cell + 1], self.fraction)


@dataclass(frozen=True)
class _Weights:
    """Weights of some groups, by what their seconds a byte depend on: how large they are, how long
    their rows are, and whether they are multiplied with more than one row.

    piece_bytes: of one matrix of a weight of each kind, float [kinds]. per_byte: seconds a byte at
    each measured distance, float [kinds, distances]. bytes: that a visit of each size reads of
    weights of each kind, float [sizes, kinds]; sizes are numbered over all groups.
    """

    piece_bytes: np.ndarray
    per_byte: np.ndarray
    bytes: np.ndarray

    @classmethod
    def of(cls, groups: Sequence[UsedTogether], residency: Residency) -> _Weights:
        """Return the weights of groups."""
        first, size = 0, []
        for group in groups:
            weights, sizes = group.visits.bytes.shape
            size.append(np.tile(np.arange(first, first + sizes), weights))
            first += sizes
        in_bytes = np.concatenate([group.visits.bytes.ravel() for group in groups])
        pieces = np.concatenate([group.visits.pieces.ravel() for group in groups])
        rows = np.concatenate([group.visits.rows.ravel() for group in groups])
        row_bytes = np.concatenate([group.visits.row_bytes.ravel() for group in groups])
        all_kinds = np.stack([in_bytes / pieces, row_bytes, np.minimum(rows, 2)])
        kinds, kind = np.unique(all_kinds, axis=1, return_inverse=True)
        weights = Weight(*kinds)
        curves = evicted_curves(residency, weights)
        count = len(weights.rows)
        place = np.concatenate(size) * count + kind.ravel()
        by_kind = np.bincount(place, in_bytes, first * count)
        return cls(weights.bytes, curves, by_kind.reshape(first, -1))

    def evicted_by_themselves(self, residency: Residency) -> np.ndarray:
        """Return the seconds a byte that a weight of each kind loses to itself, float [kinds].

        One that does not fit the private cache was evicted by itself when it was repeated alone:
        its hot time has that in it. 0 for any other.
        """
        cell, fraction = locate(np.array(residency.distance), self.piece_bytes)
        every = np.arange(len(cell))
        alone = between(self.per_byte[every, cell], self.per_byte[every, cell + 1], fraction)
        return np.where(self.piece_bytes > residency.limit_bytes, alone, 0.0)


def _missed(groups: Sequence[UsedTogether], residency: Residency) -> Missed:
    """`missed` of some groups."""
    visits, weights = _Visits.of(groups, residency), _Weights.of(groups, residency)
    large = weights.piece_bytes > residency.limit_bytes
    of_small = weights.bytes[:, ~large] @ weights.per_byte[~large]
    seconds = visits.read(of_small, visits.size)
    in_hot_time = weights.evicted_by_themselves(residency)
    for kind in np.flatnonzero(large):
        evicted = visits.read(weights.per_byte, kind)
        beyond = np.maximum(evicted - in_hot_time[kind], 0.0)
        seconds += beyond * weights.bytes[visits.size, kind]
    deviation = np.interp(visits.distance, residency.distance, residency.spread)
    spread = weights.bytes.sum(axis=1)[visits.size] * deviation
    return Missed(visits.step, seconds, spread)
