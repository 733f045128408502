"""Experts wait in the host's memory: each is copied over the link when rows ask for it, and the device keeps those that were used last."""

from __future__ import annotations

from condsim.strategies import Guard, Rows, rows_that_run, strategy


@strategy(
    "offloaded",
    "moe",
    kinds=("gpu",),
    shapes="any",
    steered="host",
    runs={"moe": "looped"},
    waits_for_weights=True,
)
def offloaded(guard: Guard) -> Rows:
    """As many rows as took the expert."""
    return rows_that_run("looped", guard)
