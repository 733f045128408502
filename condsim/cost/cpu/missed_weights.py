"""What evicted weights cost, for all weights of a side at once.

Weights that are read together were used equally long ago. Those that fit the private cache cost a
straight line between two measured distances, so that their curves are added up first and are read
once a visit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from condsim.cost.cpu.residency import evicted_curves
from condsim.cost.cpu.tables import between, locate
from condsim.hardware import Residency
from condsim.kernels import WeightRead

MOST_VISITS = 2**16
"""Groups of weights are looked at together up to so many visits, to save memory."""


class ReadTogether(NamedTuple):
    """Weights that the calls of one scope read together.

    size: of the sizes of the reads, that each visit has. step: of each visit. distance: bytes
    touched since the weights were used before; [visits] each.
    """

    reads: Sequence[WeightRead]
    size: np.ndarray
    step: np.ndarray
    distance: np.ndarray


def missed_seconds(
    groups: Sequence[ReadTogether], residency: Residency, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (seconds that evicted weights cost, one standard deviation of it), float [steps]
    each."""
    seconds, spread = np.zeros(steps), np.zeros(steps)
    for some in _in_portions(groups):
        missed_s, deviation_s = _missed(some, residency, steps)
        seconds += missed_s
        spread += deviation_s
    return seconds, spread


def _in_portions(groups: Sequence[ReadTogether]) -> Iterator[list[ReadTogether]]:
    """Yield groups of few enough visits."""
    some: list[ReadTogether] = []
    visits = 0
    for group in groups:
        if some and visits + len(group.step) > MOST_VISITS:
            yield some
            some, visits = [], 0
        some.append(group)
        visits += len(group.step)
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
    def of(cls, groups: Sequence[ReadTogether], residency: Residency) -> _Visits:
        """Return the visits of groups."""
        size, first = [], 0
        for group in groups:
            size.append(group.size + first)
            first += len(group.reads[0].bytes)
        distance = np.concatenate([group.distance for group in groups])
        step = np.concatenate([group.step for group in groups])
        where = locate(np.array(residency.distance), distance)
        return cls(np.concatenate(size), step, distance, *where)

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
    def of(cls, groups: Sequence[ReadTogether], residency: Residency) -> _Weights:
        """Return the weights of groups."""
        reads = [read for group in groups for read in group.reads]
        first, size = 0, []
        for group in groups:
            end = first + len(group.reads[0].bytes)
            size += [np.arange(first, end)] * len(group.reads)
            first = end
        in_bytes = np.concatenate([read.bytes for read in reads])
        pieces = np.concatenate([read.pieces for read in reads])
        rows = np.concatenate([read.rows for read in reads])
        piece_bytes = in_bytes / pieces
        curves = evicted_curves(residency, piece_bytes, rows)
        return cls(np.concatenate(size), in_bytes, piece_bytes, curves)


def _missed(
    groups: Sequence[ReadTogether], residency: Residency, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """`missed_seconds` of some groups."""
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
    return np.bincount(visits.step, seconds, steps), np.bincount(visits.step, spread, steps)


def _summed(groups: Sequence[ReadTogether], of_weights: np.ndarray) -> np.ndarray:
    """The sum over the weights of each group, float [sizes, distances].

    of_weights: of each weight at its sizes, float [weights, distances].
    """
    summed, first = [], 0
    for group in groups:
        sizes = len(group.reads[0].bytes)
        end = first + len(group.reads) * sizes
        of_group = of_weights[first:end].reshape(len(group.reads), sizes, -1)
        summed.append(of_group.sum(axis=0))
        first = end
    return np.concatenate(summed)


def _large_seconds(
    groups: Sequence[ReadTogether], visits: _Visits, weights: _Weights, residency: Residency
) -> np.ndarray:
    """Seconds of each visit for weights that do not fit the private cache.

    They were evicted by themselves when they were repeated alone: their hot time has that in it.
    """
    large = weights.piece_bytes > residency.limit_bytes
    visit, weight = _visits_of_weights(groups)
    is_large = large[weight]
    visit, weight = visit[is_large], weight[is_large]
    cell, fraction = locate(np.array(residency.distance), weights.piece_bytes)
    every = np.arange(len(cell))
    in_hot_time = between(
        weights.per_byte[every, cell], weights.per_byte[every, cell + 1], fraction
    )
    evicted = visits.read(weights.per_byte, weight, visit)
    beyond = np.maximum(evicted - in_hot_time[weight], 0.0)
    return np.bincount(visit, beyond * weights.bytes[weight], len(visits.step))


def _visits_of_weights(groups: Sequence[ReadTogether]) -> tuple[np.ndarray, np.ndarray]:
    """Return (visit, weight at its size) of every visit of every weight."""
    visits, weights = [], []
    first_visit = first_weight = 0
    for group in groups:
        of_group = np.arange(first_visit, first_visit + len(group.step))
        for read in group.reads:
            visits.append(of_group)
            weights.append(group.size + first_weight)
            first_weight += len(read.bytes)
        first_visit += len(group.step)
    return np.concatenate(visits), np.concatenate(weights)
