"""The sizes that operators have: each distinct size once, and which of them each call has."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from condsim.steps.sizes import Sizes, first_of_each, joined

CALLS_A_PLACE = 2
"""Calls are counted by step and size where that table has no more than so many places a call."""


@dataclass(frozen=True, eq=False)
class SizeSet:
    """The sizes that operators of one scope share. A set is equal to itself alone.

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
    def distinct(
        cls, sizes: Sizes, known: Sizes | None = None, extents: Container[str] | None = None
    ) -> SizeSet:
        """Return the distinct sizes of m calls.

        known: all sizes that are to be in the set, those of the calls among them; None where these
        are all. extents: that calls are told apart by; None for all.
        """
        if extents is not None:
            sizes = _of_extents(sizes, extents)
            known = None if known is None else _of_extents(known, extents)
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
        """Return (step, size, how often it runs there) of the sizes that run, int each. Where few
        calls have many sizes, each of them stands for itself.

        step: of each call, int [m].
        """
        wide = len(self)
        table = wide * (int(step.max(initial=0)) + 1)
        if self.key is None or len(step) * CALLS_A_PLACE < table:
            return step, self.of_call, np.ones(len(step), np.int64)
        times = np.bincount(step * wide + self.of_call)
        present = np.flatnonzero(times)
        return present // wide, present % wide, times[present]


def _of_extents(sizes: Sizes, extents: Container[str]) -> Sizes:
    """Sizes by some extents; by the first one, the same for all, where none of them is there."""
    chosen = {extent: sizes[extent] for extent in sizes if extent in extents}
    if chosen:
        return chosen
    first, values = next(iter(sizes.items()))
    return {first: np.zeros_like(values)}
