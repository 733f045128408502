"""Forced decisions: what the speedup is over."""

from __future__ import annotations

import numpy as np

from condsim.strategies import Guard, Rows, strategy

EVERY = ("moe", "early_exit", "multi_branch", "skip", "sparse_activation")
KINDS = ("cpu", "gpu", "tpu", "npu")


@strategy("same-params", *EVERY, kinds=KINDS)
def same_params(guard: Guard) -> Rows:
    """Every row enters, or takes the costliest branch; nothing is selected."""
    none = guard.none
    if guard.mechanism == "sparse_activation":
        return none, none
    runs = (
        guard.choice == guard.costliest
        if guard.mechanism == "multi_branch"
        else guard.choice != 0 or guard.mechanism == "moe"
    )
    return (guard.arriving, guard.arriving) if runs else (none, none)


@strategy("same-flops", *EVERY, kinds=KINDS)
def same_flops(guard: Guard) -> Rows:
    """The first rows (or blocks) by a slice, as many as the mean over the trace; multi_branch: consecutive slices; moe: all rows, the first experts."""
    assert guard.kept is not None, "same-flops needs the rows that each branch keeps"
    none = guard.none
    if guard.mechanism == "sparse_activation":
        return none, guard.kept.sum(1)
    if guard.mechanism == "moe":
        used = guard.kept[:, guard.choice] > 0
        return np.where(used, guard.arriving, 0), np.where(used, guard.arriving, 0)
    if guard.choice == 0 and guard.mechanism != "multi_branch":
        return none, none
    ends = np.cumsum(guard.kept, axis=1) if guard.mechanism == "multi_branch" else guard.kept
    start = (
        ends[:, guard.choice - 1] if guard.mechanism == "multi_branch" and guard.choice else none
    )
    stop = np.minimum(ends[:, guard.choice], guard.arriving)
    runs = ends[:, guard.choice] > start
    return np.where(runs, guard.arriving, 0), np.where(runs, np.maximum(stop - start, 0), 0)
