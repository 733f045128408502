"""Sizes that are priced, and what lies between them: a straight line from one to the next."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

Cost = tuple[float, float]
"""(seconds, joules)."""


def sizes_up_to(most: int, exact: int, an_octave: int) -> list[int]:
    """Return all sizes from 1 to `exact`, then so many an octave; the last one is `most`."""
    sizes = set(range(1, min(exact, most) + 1))
    step, size = 2 ** (1 / an_octave), float(exact)
    while size < most:
        size *= step
        sizes.add(min(round(size), most))
    return sorted(sizes)


def between(sizes: Sequence[int], value: float) -> tuple[int, int, float]:
    """Return (place of the size below, of the one above, how far the value is on the way).

    Outside of all sizes it is the nearest one.
    """
    above = bisect_right(sizes, value)
    if above == 0:
        return 0, 0, 0.0
    if above == len(sizes):
        return above - 1, above - 1, 0.0
    below = above - 1
    low, high = sizes[below], sizes[above]
    return below, above, (value - low) / (high - low)


def on_line(costs: Sequence[Cost], place: tuple[int, int, float]) -> Cost:
    """Return what lies between two costs. place: as `between` returns it."""
    below, above, share = place
    return between_two(costs[below], costs[above], share)


def between_two(low: Cost, high: Cost, share: float) -> Cost:
    """Return what lies on the way from one cost to another. share: how far."""
    seconds = low[0] + share * (high[0] - low[0])
    joules = low[1] + share * (high[1] - low[1])
    return seconds, joules
