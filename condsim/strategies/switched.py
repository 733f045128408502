"""A prepared graph for each branch; the host reads the decision and starts the one taken."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.strategy import BRANCHED, EXPERTS, strategy
from condsim.strategies.wait import wait

RUNS = {BRANCHED: "wait", EXPERTS: "looped"}


@strategy(
    "switched", BRANCHED, EXPERTS, needs=(abilities.PARTITIONED_GRAPHS,), steered="host", runs=RUNS
)
def switched(guards: Guards) -> Rows:
    """All rows where at least one took the branch: a graph has the shapes of the batch."""
    return wait(guards)
