"""Everything from the first decision on runs on the CPU beside the accelerator, as delegates do from the first operator that they cannot run."""

from __future__ import annotations

from condsim.strategies import ANY_ROWS, BRANCHED, Guard, Rows, rows_that_run, strategy


@strategy(
    "cpu_tail",
    *BRANCHED,
    "moe",
    "sparse_activation",
    kinds=("npu",),
    shapes="one",
    steered="companion",
    runs=ANY_ROWS,
)
def cpu_tail(guard: Guard) -> Rows:
    """As many rows as took the branch: a CPU needs no fixed shapes."""
    return rows_that_run(ANY_ROWS[guard.mechanism], guard)
