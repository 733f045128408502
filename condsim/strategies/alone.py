"""Only what was asked for runs, each guard by itself: gather the rows, run them, scatter them.

Weight blocks that any row of the batch asks for are copied into a smaller matrix.
"""

from __future__ import annotations

from condsim.mechanisms import Guards, Rows
from condsim.strategies.strategy import (
    BLOCKS,
    BRANCHED,
    EXPERTS,
    TOKENS,
    rows_that_run,
    strategy,
)

ALONE = {BRANCHED: "compacted", EXPERTS: "looped", BLOCKS: "gathered", TOKENS: "padded"}
"""Family → the strategy that runs no more than it must to follow the decisions."""


@strategy("compacted", BRANCHED, shapes="any", steered="host")
@strategy("looped", EXPERTS, shapes="any", steered="host", feels_imbalance=True)
def compacted(guards: Guards) -> Rows:
    """As many rows as took the branch."""
    return guards.every_row(), guards.taken()


@strategy("gathered", BLOCKS, shapes="any", steered="host")
def gathered(guards: Guards) -> Rows:
    """The union of the blocks that rows ask for."""
    asked_for = guards.counts > 0
    union = asked_for.sum(1)[:, None]
    blocks = union + guards.no_row()
    return guards.every_row(), blocks


def rows_alone(guards: Guards) -> Rows:
    """Return the rows of the strategy of `ALONE` for a mechanism."""
    return rows_that_run(ALONE[guards.mechanism.family], guards)
