"""Sizes that other questions will have: an operator is priced at all values of the one extent that
its sizes follow, up to a round number.

A table of 64 sizes takes hardly longer than one of a single size, and another batch finds its price
there.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.steps.size_set import SizeSet
from condsim.steps.sizes import Sizes

BATCH = "batch"
"""The extent that questions differ in, where an operator follows several."""
ENDS = (2**5, 2**8, 2**11)
"""A range goes from 1 to before one of these. Beyond, sizes are priced as they come."""


@dataclass(frozen=True)
class SizeRange:
    """Sizes that some calls have, among all values of one extent.

    sizes: extent → int [values], the other extents the same in all of them.
    chosen: which of them the calls have.
    """

    sizes: SizeSet
    chosen: slice | np.ndarray

    @classmethod
    def around(cls, sizes: SizeSet, extents: Collection[str]) -> SizeRange | None:
        """Return the range that sizes lie in.

        extents: that are followed. None where each call counts as a size of its own, or sizes
        differ in several extents, or in one that no other question has.
        """
        if sizes.key is None:
            return None
        followed = {name: values for name, values in sizes.sizes.items() if name in extents}
        extent = _extent_of_range(followed)
        if extent is None:
            return None
        values = followed.pop(extent)
        others = {name: int(same[0]) for name, same in followed.items()}
        if any((followed[name] != value).any() for name, value in others.items()):
            return None
        least, most = int(values.min()), int(values.max())
        if least < 1 or most >= ENDS[-1]:
            return None
        end = next(end for end in ENDS if most < end)
        columns = {name: np.full(end - 1, value) for name, value in others.items()}
        columns[extent] = np.arange(1, end)
        key = (extent, end, *sorted(others.items()))
        chosen = slice(least - 1, least) if len(values) == 1 else values - 1
        return cls(_of_no_calls(columns, key), chosen)

    def alike(self, variants: Sequence[Hashable]) -> SizeRange:
        """Return those sizes of the range that are priced as some of the calls' are.

        variants: what tells apart how each size is priced.
        """
        every = np.arange(len(self.sizes))
        of_calls = frozenset([variants[place] for place in every[self.chosen].tolist()])
        is_alike = np.array([variant in of_calls for variant in variants])
        if is_alike.all():
            return self
        columns = {name: values[is_alike] for name, values in self.sizes.sizes.items()}
        place = np.cumsum(is_alike) - 1
        chosen: slice | np.ndarray = place[self.chosen]
        if isinstance(self.chosen, slice):
            first = int(place[self.chosen.start])
            chosen = slice(first, first + 1)
        return SizeRange(_of_no_calls(columns, (self.sizes.key, of_calls)), chosen)


def _extent_of_range(followed: Collection[str]) -> str | None:
    """The extent that a range goes over; None where none is alone."""
    if BATCH in followed:
        return BATCH
    return next(iter(followed)) if len(followed) == 1 else None


def _of_no_calls(sizes: Sizes, key: Hashable) -> SizeSet:
    return SizeSet(sizes, np.empty(0, np.int64), key)
