"""What weights cost more that were evicted since their last use, for all of a side at once.

Weights that are read together were used equally long ago. Those that fit the private cache cost a
straight line between two measured distances, so that their curves are added up first and are read
once a visit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from condsim.cost.cpu.residency import evicted_curves
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

    def read(self, curves: np.ndarray, row: np.ndarray, visit: Any = slice(None)) -> np.ndarray:
        """Return the value of a curve at the distance of each visit.

        curves: float [curves, distances]. row: the curve of each visit. visit: which of them.
        """
        cell = self.cell[visit]
        return between(curves[row, cell], curves[row, cell + 1], self.fraction[visit])


@dataclass(frozen=True)
class _Weights:
    """Weights of some groups at their sizes, one after the other.

    size: numbered over all groups. bytes: of a visit. piece_bytes: of one of its matrices.
    per_byte: seconds a byte at each measured distance, float [weights, distances].
    """

    size: np.ndarray
    bytes: np.ndarray
    piece_bytes: np.ndarray
    per_byte: np.ndarray

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
        piece_bytes = in_bytes / pieces
        curves = evicted_curves(residency, piece_bytes, rows)
        return cls(np.concatenate(size), in_bytes, piece_bytes, curves)


def _missed(groups: Sequence[UsedTogether], residency: Residency) -> Missed:
    """`missed` of some groups."""
    visits, weights = _Visits.of(groups, residency), _Weights.of(groups, residency)
    large = weights.piece_bytes > residency.limit_bytes
    sizes = int(weights.size[-1]) + 1
    small_bytes = np.where(large, 0.0, weights.bytes)
    curves = _summed(groups, weights.per_byte * small_bytes[:, None])
    seconds = visits.read(curves, visits.size)
    if large.any():
        seconds += _large_seconds(groups, visits, weights, residency)
    bytes_of_size = np.bincount(weights.size, weights.bytes, sizes)
    deviation = np.interp(visits.distance, residency.distance, residency.spread)
    spread = bytes_of_size[visits.size] * deviation
    return Missed(visits.step, seconds, spread)


def _summed(groups: Sequence[UsedTogether], of_weights: np.ndarray) -> np.ndarray:
    """The sum over the weights of each group, float [sizes, distances].

    of_weights: of each weight at its sizes, float [weights, distances].
    """
    summed, first = [], 0
    for group in groups:
        weights, sizes = group.visits.bytes.shape
        end = first + weights * sizes
        of_group = of_weights[first:end].reshape(weights, sizes, -1)
        summed.append(of_group.sum(axis=0))
        first = end
    return np.concatenate(summed)


def _large_seconds(
    groups: Sequence[UsedTogether], visits: _Visits, weights: _Weights, residency: Residency
) -> np.ndarray:
    """Seconds of each visit for weights that do not fit the private cache.

    They were evicted by themselves when they were repeated alone: their hot time has that in it.
    """
    large = weights.piece_bytes > residency.limit_bytes
    visit, weight = _visits_of_weights(groups, large)
    cell, fraction = locate(np.array(residency.distance), weights.piece_bytes)
    every = np.arange(len(cell))
    in_hot_time = between(
        weights.per_byte[every, cell], weights.per_byte[every, cell + 1], fraction
    )
    evicted = visits.read(weights.per_byte, weight, visit)
    beyond = np.maximum(evicted - in_hot_time[weight], 0.0)
    return np.bincount(visit, beyond * weights.bytes[weight], len(visits.step))


def _visits_of_weights(
    groups: Sequence[UsedTogether], chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (visit, weight at its size) of every visit of the weights that are chosen.

    chosen: bool [weights], each at its sizes.
    """
    found_visits, found_weights = [], []
    first_visit = first_weight = 0
    for group in groups:
        weights, sizes = group.visits.bytes.shape
        for _ in range(weights):
            of_visit = group.visits.size + first_weight
            visit = np.flatnonzero(chosen[of_visit])
            found_visits.append(visit + first_visit)
            found_weights.append(of_visit[visit])
            first_weight += sizes
        first_visit += len(group.distance)
    return np.concatenate(found_visits), np.concatenate(found_weights)
