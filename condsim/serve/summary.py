"""Mean and percentiles of numbers that are too many to be held at once.

A percentile is exact. The numbers are counted by the first 16 bits of a key that is ordered as they
are, those of the part that the rank falls into by the next 16, until so few are left that they can
be sorted (radix selection).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.serve.columns import BLOCK

Pieces = Callable[[], Iterator[np.ndarray]]
"""Gives all numbers, float [...] each, as often as they are asked for."""
BITS = 16
"""Of a digit of a key."""
DIGITS, VALUES = 64 // BITS, 1 << BITS
SIGN = np.uint64(1 << 63)


@dataclass(frozen=True)
class Summary:
    """count: of numbers. mean, percentiles: NaN where there are none; share in % → value."""

    count: int
    mean: float
    percentiles: Mapping[float, float]


def summary_of(pieces: Pieces, shares: Sequence[float]) -> Summary:
    """Return the mean and the percentiles of all numbers, NaN left out.

    shares: in %, from 0 to 100; between two numbers a percentile lies on a straight line.
    """
    known = _known(pieces)
    count, total = 0, 0.0
    for piece in known():
        count += len(piece)
        total += float(piece.sum())
    if not count:
        return Summary(0, math.nan, dict.fromkeys(shares, math.nan))
    if count <= BLOCK:
        values = np.concatenate(list(known()))
        found = np.percentile(values, shares).tolist()
        return Summary(count, float(values.mean()), dict(zip(shares, found, strict=True)))
    percentiles = {}
    for share in shares:
        place = share / 100 * (count - 1)
        percentiles[share] = _on_line(known, place)
    return Summary(count, total / count, percentiles)


def _known(pieces: Pieces) -> Pieces:
    """The same numbers without NaN, and without pieces that hold none."""

    def known() -> Iterator[np.ndarray]:
        for piece in pieces():
            left = piece[~np.isnan(piece)]
            if len(left):
                yield left

    return known


def _on_line(pieces: Pieces, place: float) -> float:
    """The number at a place of the sorted ones, counted from 0; between two, on a line."""
    rank = int(place)
    low = ranked(pieces, rank)
    if place == rank:
        return low
    high = _next(pieces, low, rank)
    return low + (high - low) * (place - rank)


def ranked(pieces: Pieces, rank: int) -> float:
    """Return the number that so many others stand before when all are sorted."""
    before, begins_with = 0, np.uint64(0)
    for digit in range(DIGITS):
        counts = np.zeros(VALUES, np.int64)
        for keys, _ in _beginning_with(pieces, begins_with, digit):
            counts += np.bincount(_digit(keys, digit), minlength=VALUES)
        up_to = before + np.cumsum(counts)
        chosen = int(np.searchsorted(up_to, rank, side="right"))
        before = int(up_to[chosen] - counts[chosen])
        begins_with = begins_with * np.uint64(VALUES) + np.uint64(chosen)
        if counts[chosen] <= BLOCK:
            break
    alike = [numbers for _, numbers in _beginning_with(pieces, begins_with, digit + 1)]
    if digit + 1 == DIGITS:
        return float(alike[0][0])
    return float(np.partition(np.concatenate(alike), rank - before)[rank - before])


def _beginning_with(
    pieces: Pieces, begins_with: np.uint64, digits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (keys, numbers) of those whose key has such first digits."""
    for piece in pieces():
        keys = _keys(piece)
        if digits:
            alike = keys >> np.uint64(BITS * (DIGITS - digits)) == begins_with
            keys, piece = keys[alike], piece[alike]
        if len(keys):
            yield keys, piece


def _keys(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers in the same order, uint64: bits of a float are ordered as it is, but for its
    sign."""
    bits = np.ascontiguousarray(numbers, np.float64).view(np.uint64)
    negative = bits >> np.uint64(63) == 1
    keys: np.ndarray = np.where(negative, ~bits, bits | SIGN)
    return keys


def _digit(keys: np.ndarray, digit: int) -> np.ndarray:
    """One digit of each key, the first of them is 0; int64."""
    shifted = keys >> np.uint64(BITS * (DIGITS - 1 - digit))
    digits: np.ndarray = (shifted % np.uint64(VALUES)).astype(np.int64)
    return digits


def _next(pieces: Pieces, value: float, rank: int) -> float:
    """The number behind the one at a rank, whose value is known."""
    up_to, above = 0, math.inf
    for piece in pieces():
        larger = piece[piece > value]
        up_to += len(piece) - len(larger)
        if len(larger):
            above = min(above, float(larger.min()))
    return value if up_to > rank + 1 else above
