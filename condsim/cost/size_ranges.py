"""Sizes that other questions will have: an operator is priced at all values of the one extent that
its sizes follow, up to a power of two.

A table of 64 sizes takes hardly longer than one of a single size, and another batch finds its price
there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from condsim.kernels import SizeSet
from condsim.steps.sizes import Sizes

BATCH = "batch"
"""The extent that questions differ in, where an operator follows several."""
LEAST = 2**5
"""A range has so many values at least."""
MOST = 2**11
"""A range has so many values at most."""


@dataclass(frozen=True)
class SizeRange:
    """Sizes that some calls have, among all values of one extent.

    sizes: extent → int [values], the other extents the same in all of them.
    chosen: which of them the calls have.
    """

    sizes: SizeSet
    chosen: slice | np.ndarray

    @classmethod
    def around(cls, sizes: Sizes, extents: Collection[str]) -> SizeRange | None:
        """Return the range that sizes lie in.

        sizes: extent → int [n]. extents: that are followed.
        None where they differ in several extents, or in one that no other question has.
        """
        followed = {extent: values for extent, values in sizes.items() if extent in extents}
        if BATCH in followed:
            extent = BATCH
        elif len(followed) == 1:
            (extent,) = followed
        else:
            return None
        values = followed.pop(extent)
        others = {name: int(others[0]) for name, others in followed.items()}
        if any((followed[name] != value).any() for name, value in others.items()):
            return None
        least, most = int(values.min()), int(values.max())
        if least < 1 or most >= MOST:
            return None
        end = max(LEAST, 2 ** most.bit_length())
        in_all = {name: np.full(end - 1, value) for name, value in others.items()}
        key = (extent, end, *sorted(others.items()))
        every = SizeSet({extent: np.arange(1, end), **in_all}, np.empty(0, int), key)
        chosen = slice(least - 1, least) if len(values) == 1 else values - 1
        return cls(every, chosen)
