"""Branches of unlike cost: each row takes one of several, easy rows a light one."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms.base import (
    NOT_REACHED,
    Draw,
    Guards,
    Mechanism,
    Redraw,
    Rows,
    mechanism,
)


@mechanism
class MultiBranch(Mechanism):
    """Every branch computes something; the dense network runs the costliest."""

    name = "multi_branch"
    title = "multi branch"
    one_of_several = True

    @property
    def how_to_mark(self) -> str:
        return (
            f"mark the decision: ids = condsim.route('NAME', {self.name!r}, ids, branches=B), "
            "and each branch: with condsim.branch('NAME', b): ..."
        )

    def reach_all(self, draw: Draw) -> np.ndarray | None:
        return np.arange(draw.rows) % draw.branches

    def probe_kept(self, draw: Draw, share: float, ids: np.ndarray) -> np.ndarray:
        return np.bincount(ids, minlength=draw.branches)

    def redraw(self, old: np.ndarray, asked: Redraw, rng: np.random.Generator) -> np.ndarray:
        takes_costliest = rng.random(len(old)) < asked.share_of_rows()
        branches = range(asked.branches)
        others = [branch for branch in branches if branch != asked.costliest]
        other = rng.choice(others, len(old)) if others else asked.costliest
        ids = np.where(takes_costliest, asked.costliest, other)
        return np.where(old >= 0, ids, NOT_REACHED).astype(old.dtype)

    def same_params(self, guards: Guards) -> Rows:
        rows = guards.every_row() * (guards.choices == guards.costliest)
        return rows, rows

    def same_flops(self, guards: Guards) -> Rows:
        """Consecutive slices of the rows, one a branch."""
        kept = guards.kept_rows()
        ends = np.cumsum(kept, axis=1)[:, guards.choices]
        starts = ends - kept[:, guards.choices]
        arriving = guards.every_row()
        runs = ends > starts
        rows = np.maximum(np.minimum(ends, arriving) - starts, 0)
        return arriving * runs, rows * runs

    def rows_kept(self, shares: np.ndarray, rows: int, top_k: int | None = None) -> np.ndarray:
        total = max(shares.sum(), 1e-30)
        share_so_far = np.cumsum(shares) / total
        ends = np.rint(share_so_far * rows).astype(np.int64)
        return np.diff(ends, prepend=0)

    def kept_slice(self, kept: np.ndarray, choice: int) -> tuple[int, int]:
        ends = np.cumsum(kept)
        return int(ends[choice] - kept[choice]), int(ends[choice])

    def dense_choice(self, choice: int, costliest: int | None) -> bool:
        return choice == costliest

    def dense_flops(self, per_branch: np.ndarray, costliest: int | None) -> float:
        if costliest is None:
            raise ValueError("the dense network needs to know which branch is the costliest")
        return float(per_branch[costliest])
