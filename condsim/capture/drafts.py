"""What a draft would be worth: whether each exit gives the token that all layers give.

Drafts that are kept are tokens of the whole model, so each exit is asked along the text that the
whole model writes.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from condsim.capture.observe import Observation
from condsim.capture.sizes import ordered
from condsim.live.decode import Arguments, Forward, greedy_token, run_steps
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.trace.header import drafts_column


def score_drafts(live: LiveModel, batches: list[Batch], seen: Observation, new_tokens: int) -> None:
    """Keep, for each step and sequence, whether each exit gives the token of all layers, 1 or 0.

    The columns are those of `condsim.trace.header.drafts_column`; "conditional" is the exit that
    the model itself takes there, and "dense" all layers.
    """
    for batch in batches:
        asked = _Asked(live, batch)
        run_steps(live, batch, new_tokens, asked)
        for column, agrees in asked.agrees.items():
            seen.add_quality(column, np.concatenate(agrees))
        seen.add_quality("dense", np.ones(batch.units * new_tokens))


class _Asked:
    """Runs decode steps of the whole model, and before each one every exit on a copy of the cache.

    agrees: column → whether its token was that of all layers, float [units] a step.
    """

    def __init__(self, live: LiveModel, batch: Batch) -> None:
        self.live, self.units = live, batch.units
        self.exits = ordered(live.infos)
        self.agrees: dict[str, list[np.ndarray]] = {}

    def __call__(self, forward: Forward, arguments: Arguments) -> Any:
        ways = {"conditional": Execution()}
        for number, name in enumerate(self.exits):
            ways[drafts_column(name)] = self._passing(number)
        tokens = {}
        for column, way in ways.items():
            with self.live.in_force(way):
                tokens[column] = greedy_token(forward(**copy.deepcopy(arguments)))
        with self.live.in_force(self._passing(len(self.exits))):
            output = forward(**arguments)
        for column, token in tokens.items():
            agrees = token == greedy_token(output)
            self.agrees.setdefault(column, []).append(agrees.flatten().float().cpu().numpy())
        return output

    def _passing(self, exits: int) -> Execution:
        """Every unit passes so many exits."""
        forced = {}
        for number, name in enumerate(self.exits):
            forced[name] = np.full(self.units, int(number < exits))
        return Execution(forced=forced)
