"""The sampling unit of statistics about decisions: a sequence, or an image; never a token.

Tokens of one sequence are alike, so that statistics which take them for independent say that
nearly nothing is unseen, and that everything has drifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim.program.regime import DECODE
from condsim.steps.sequences import sequence_of_units
from condsim.trace import Site, Trace


@dataclass(frozen=True)
class Units:
    """Which unit-steps of a trace are of one sequence.

    of_step: sequence of each unit-step, int [unit-steps]. count: sequences.
    """

    of_step: np.ndarray
    count: int
    word: str

    @classmethod
    def of(cls, trace: Trace) -> Units:
        """Return the sampling units of a trace: a unit of a prefill step, with the decode steps of
        as many units that follow it and go on where it ends.

        Raises CondsimError where decisions are not of rows.
        """
        trace.require_rows()
        of_step, count = sequence_of_units(trace)
        steps = trace.steps
        longest = int(steps["seq"].max())
        word = "sequence" if longest > 1 or DECODE in set(steps["phase"]) else "image"
        return cls(of_step, count, word)

    def of_rows(self, trace: Trace, site: Site) -> np.ndarray:
        """Return the sequence of each row of a site, int [rows]."""
        rows: np.ndarray = np.repeat(self.of_step, trace.rows_per_unit(site))
        return rows
