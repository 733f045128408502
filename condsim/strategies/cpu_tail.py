"""All from the first decision on runs on the CPU beside the accelerator.

Delegates do so from the first operator that they cannot run.
"""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.alone import ALONE, rows_alone
from condsim.strategies.strategy import EVERY_FAMILY, strategy


@strategy(
    "cpu_tail",
    *EVERY_FAMILY,
    needs=(abilities.PARTITIONED_GRAPHS,),
    steered="companion",
    runs=ALONE,
)
def cpu_tail(guards: Guards) -> Rows:
    """As many rows as took the branch: a CPU needs no fixed shapes."""
    return rows_alone(guards)
