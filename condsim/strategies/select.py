"""Every branch runs on every row, then the wanted results are selected: what a graph without control flow does with a branch."""

from __future__ import annotations

from condsim.strategies import BRANCHED, Guard, Rows, rows_that_run, strategy

RUNS = {**dict.fromkeys((*BRANCHED, "sparse_activation"), "masked"), "moe": "looped"}


@strategy("select", *BRANCHED, "moe", "sparse_activation", kinds=("npu",), shapes="one", runs=RUNS)
def select(guard: Guard) -> Rows:
    """All rows (sparse_activation: all blocks)."""
    return (
        (guard.arriving, guard.arriving)
        if guard.mechanism == "moe"
        else rows_that_run("masked", guard)
    )
