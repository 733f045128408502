"""Patterns of sparse weights: what the sizes of a step follow, of masks.

Of each mask four numbers are known: the weights that are there, the rows and the columns that hold
any, and the square blocks that hold any. They are extents of a step, a name a weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from condsim.steps.extents import SiteRule
from condsim.trace import Site, Trace

PATTERN = ("active", "out", "in", "blocks")
"""What is known of a mask: weights that are there; rows, columns and blocks that hold any."""
ACTIVE, OUT, IN, BLOCKS = range(len(PATTERN))
KEPT = "kept"
"""Columns of the dense weight of as many elements as a mask leaves on average."""
BLOCK = 16
"""Rows and columns of a block; those at the edge may be smaller."""


def extent_of(what: str, site: str) -> str:
    """Return the name of the extent that says how many of something a sparse weight has."""
    return f"{what}@{site}"


def pattern_of(mask: np.ndarray) -> np.ndarray:
    """Return what is known of a mask, int [len(PATTERN)]. mask: bool [out, in]."""
    rows = mask.any(1).sum()
    columns = mask.any(0).sum()
    return np.array([mask.sum(), rows, columns, blocks_of(mask).sum()], np.int64)


def blocks_of(mask: np.ndarray) -> np.ndarray:
    """Return which blocks hold a weight, bool [ceil(out / BLOCK), ceil(in / BLOCK)]."""
    rows, columns = mask.shape
    first_rows = np.arange(0, rows, BLOCK)
    first_columns = np.arange(0, columns, BLOCK)
    of_rows = np.add.reduceat(mask, first_rows, axis=0, dtype=np.int64)
    of_blocks = np.add.reduceat(of_rows, first_columns, axis=1)
    holding: np.ndarray = of_blocks > 0
    return holding


def masks_of(trace: Trace, site: Site) -> Iterator[np.ndarray]:
    """Yield the mask of each captured step, bool [out, in]."""
    rows = site.unit_rows.a_step
    rest = np.zeros((0, site.branches), bool)
    for block in trace.reader(site.name):
        rest = np.concatenate([rest, block.ids])
        while len(rest) >= rows:
            yield rest[:rows]
            rest = rest[rows:]


def patterns_of(trace: Trace, site: Site) -> np.ndarray:
    """Return what is known of the mask of each captured step, int [steps, len(PATTERN)]."""

    def count() -> np.ndarray:
        return np.stack([pattern_of(mask) for mask in masks_of(trace, site)])

    return trace.results.remember(("patterns", site.name), count)


def kept_columns(active: np.ndarray, rows: int) -> int:
    """Return the columns of a dense weight with as many elements as masks leave on average.

    active: weights of each mask. rows: of the weight.
    """
    return max(1, round(float(active.mean()) / rows))


@dataclass(frozen=True)
class CutWeight:
    """What a cut knows of a sparse weight.

    of_unit: of each unit-step of the trace, what is known of the mask that it met, int
        [units, len(PATTERN)]. kept: columns of the dense weight of same-flops.
    """

    rule: SiteRule
    of_unit: np.ndarray
    kept: int

    @classmethod
    def of(cls, trace: Trace, site: Site) -> CutWeight:
        """Return what is known of a site of a trace."""
        patterns = patterns_of(trace, site)
        of_unit = np.repeat(patterns, trace.steps["units"].to_numpy(), axis=0)
        kept = kept_columns(patterns[:, ACTIVE], site.unit_rows.a_step)
        return cls(SiteRule.of(site), of_unit, kept)

    def of_steps(self, units: np.ndarray) -> np.ndarray:
        """Return what is known of the mask of each step, that of its first unit, int
        [n, len(PATTERN)]. units: of each step, int [n, units]."""
        patterns: np.ndarray = self.of_unit[units[:, 0]].astype(np.int64)
        return patterns


def pattern_extents(site: str, patterns: np.ndarray, kept: int) -> Mapping[str, np.ndarray]:
    """Return the extents that a sparse weight adds to n steps, int [n] each.

    patterns: int [n, len(PATTERN)]. kept: columns of the dense weight of same-flops.
    """
    extents = {}
    for column, what in enumerate(PATTERN):
        extents[extent_of(what, site)] = patterns[:, column]
    extents[extent_of(KEPT, site)] = np.full(len(patterns), kept)
    return extents
