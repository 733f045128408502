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

    The columns are those of `condsim.trace.header.drafts_column`.
    """
    for batch in batches:
        asked = _Asked(live, batch)
        run_steps(live, batch, new_tokens, asked)
        for name, agrees in asked.agrees.items():
            seen.add_quality(drafts_column(name), np.concatenate(agrees))


class _Asked:
    """Runs decode steps of the whole model, and before each one every exit on a copy of the cache.

    agrees: exit → whether it gave the token of all layers, float [units] a step.
    """

    def __init__(self, live: LiveModel, batch: Batch) -> None:
        self.live, self.units = live, batch.units
        self.exits = ordered(live.infos)
        self.agrees: dict[str, list[np.ndarray]] = {name: [] for name in self.exits}

    def __call__(self, forward: Forward, arguments: Arguments) -> Any:
        drafts = {}
        for number, name in enumerate(self.exits):
            output = self._passing(number, forward, copy.deepcopy(arguments))
            drafts[name] = greedy_token(output)
        output = self._passing(len(self.exits), forward, arguments)
        token = greedy_token(output)
        for name, draft in drafts.items():
            self.agrees[name].append((draft == token).flatten().float().cpu().numpy())
        return output

    def _passing(self, exits: int, forward: Forward, arguments: Arguments) -> Any:
        """The output of a step in which every unit passes so many exits."""
        forced = {}
        for number, name in enumerate(self.exits):
            forced[name] = np.full(self.units, int(number < exits))
        with self.live.in_force(Execution(forced=forced)):
            return forward(**arguments)
