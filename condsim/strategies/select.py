"""Every branch runs on every row, then the wanted results are selected: what a graph without
control flow does with a branch."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.masked import masked
from condsim.strategies.strategy import BLOCKS, BRANCHED, EVERY_FAMILY, EXPERTS, TOKENS, strategy

RUNS = {BRANCHED: "masked", BLOCKS: "masked", TOKENS: "masked", EXPERTS: "looped"}


@strategy("select", *EVERY_FAMILY, needs=(abilities.PARTITIONED_GRAPHS,), runs=RUNS)
def select(guards: Guards) -> Rows:
    """All rows, or all blocks."""
    return masked(guards)
