"""Forced decisions: what the speedup is over."""

from __future__ import annotations

import numpy as np

from condsim.strategies import Rows, strategy

EVERY = ("moe", "early_exit", "multi_branch", "skip", "sparse_activation")


@strategy("same-params", *EVERY)
def same_params(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """Every row enters, or takes the costliest branch; nothing is selected."""
    none = np.zeros_like(arriving)
    if mechanism == "sparse_activation":
        return none, none
    runs = choice == costliest if mechanism == "multi_branch" else choice != 0 or mechanism == "moe"
    return (arriving, arriving) if runs else (none, none)


@strategy("same-flops", *EVERY)
def same_flops(mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None) -> Rows:
    """The first rows (or blocks) by a slice, as many as the mean over the trace; multi_branch: consecutive slices; moe: all rows, the first experts."""
    assert kept is not None, "same-flops needs the rows that each branch keeps"
    none = np.zeros_like(arriving)
    if mechanism == "sparse_activation":
        return none, kept.sum(1)
    if mechanism == "moe":
        used = kept[:, choice] > 0
        return np.where(used, arriving, 0), np.where(used, arriving, 0)
    if choice == 0 and mechanism != "multi_branch":
        return none, none
    ends = np.cumsum(kept, axis=1) if mechanism == "multi_branch" else kept
    start = ends[:, choice - 1] if mechanism == "multi_branch" and choice else none
    stop = np.minimum(ends[:, choice], arriving)
    runs = ends[:, choice] > start
    return np.where(runs, arriving, 0), np.where(runs, np.maximum(stop - start, 0), 0)
