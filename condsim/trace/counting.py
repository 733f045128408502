"""Counting decisions: how many rows of each unit took each branch.

This is the only place that looks at every decision, so it is written for speed: a block of rows
is counted by one pass over its ids.
"""

from __future__ import annotations

import numpy as np


def narrowed(counts: np.ndarray) -> np.ndarray:
    """Return counts (0 or more) in the narrowest signed integers that hold them."""
    most = int(counts.max(initial=0))
    return counts.astype(np.min_scalar_type(-most - 1))


class UnitCounter:
    """Counts decisions block by block, in row order.

    rows_per_unit: int [units]. counts: rows that took each branch, int32 [units, branches]; of
    blocks of weights, rows that asked for each.
    """

    def __init__(self, rows_per_unit: np.ndarray, branches: int) -> None:
        self.branches = branches
        self.counts = np.zeros((len(rows_per_unit), branches), np.int32)
        self._ends = np.cumsum(rows_per_unit)
        self._start = 0

    def add(self, ids: np.ndarray) -> None:
        """Count a block: branch ids int [rows] or [rows, k], or blocks asked for bool
        [rows, blocks]. Ids outside of the branches (-1: never reached) count for nothing."""
        if not len(ids):
            return
        stop = self._start + len(ids)
        first = int(np.searchsorted(self._ends, self._start, side="right"))
        last = int(np.searchsorted(self._ends, stop - 1, side="right"))
        ends = np.minimum(self._ends[first : last + 1], stop) - self._start
        rows = np.diff(ends, prepend=0)
        if ids.dtype == bool:
            self._add_blocks(ids, rows, first)
        else:
            self._add_ids(ids.reshape(len(ids), -1), rows, first)
        self._start = stop

    def _add_blocks(self, asked: np.ndarray, rows: np.ndarray, first: int) -> None:
        busy = np.flatnonzero(rows)
        begins = np.cumsum(rows)[busy] - rows[busy]
        summed = np.add.reduceat(asked, begins, axis=0, dtype=np.int32)
        self.counts[first + busy] += summed

    def _add_ids(self, ids: np.ndarray, rows: np.ndarray, first: int) -> None:
        """One bin a unit and branch, and one a unit for what lies outside of the branches."""
        wide = self.branches + 1
        units = len(rows)
        offsets = np.repeat(np.arange(units, dtype=np.intp) * wide, rows)
        taken = ids.T
        if self._may_be_outside(ids):
            outside = (taken < 0) | (taken >= self.branches)
            taken = np.where(outside, self.branches, taken.astype(np.intp))
        # Column after column: an inner loop over a row's few ids would cost twice as much.
        bins = np.add(taken, offsets, order="C")
        found = np.bincount(bins.ravel(), minlength=units * wide)
        counts = found.reshape(units, wide)[:, : self.branches]
        self.counts[first : first + units] += counts.astype(np.int32)

    def _may_be_outside(self, ids: np.ndarray) -> bool:
        return bool(ids.min() < 0 or ids.max() >= self.branches)
