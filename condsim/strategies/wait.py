"""The batch waits for its slowest: all rows run as long as one needs it."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms import Guards, Rows
from condsim.strategies.strategy import BRANCHED, strategy


@strategy("wait", BRANCHED, steered="host")
def wait(guards: Guards) -> Rows:
    """All rows where at least one took the branch, none where none did."""
    arriving = guards.every_row()
    return arriving, np.where(guards.taken() > 0, arriving, 0)
