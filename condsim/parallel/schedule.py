"""When ranks work and wait: between two exchanges each runs a stage, and the slowest ends it.

    end[stage] = end[stage - 1] + exchange[stage - 1] + max over ranks of seconds[rank, stage]

`condsim.parallel.reference` plays the same ranks as SimPy processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Schedule:
    """The stages of all ranks, of n steps.

    stages_s: float [n, ranks, stages]. exchanges_s: after each stage but the last, float
    [n, stages - 1]. beside_s: work of each rank beside each exchange, float [n, ranks, stages - 1],
    None for none; hidden_s: of each rank, what of that is not in its stages, float [n, ranks].
    """

    stages_s: np.ndarray
    exchanges_s: np.ndarray
    beside_s: np.ndarray | None = None
    hidden_s: np.ndarray | float = 0.0

    @property
    def slowest_s(self) -> np.ndarray:
        """Seconds of the slowest rank in each stage, float [n, stages]."""
        slowest: np.ndarray = self.stages_s.max(1)
        return slowest

    @property
    def begin_s(self) -> np.ndarray:
        """When each stage begins, float [n, stages]."""
        lasts = self.slowest_s[:, :-1] + self.exchanges_s
        first = np.zeros((len(lasts), 1))
        begin: np.ndarray = np.concatenate([first, np.cumsum(lasts, axis=1)], axis=1)
        return begin

    @property
    def seconds(self) -> np.ndarray:
        """Seconds of each step, float [n]."""
        total: np.ndarray = self.slowest_s.sum(1) + self.communication_s
        return total

    @property
    def communication_s(self) -> np.ndarray:
        """Seconds of exchanges, float [n]."""
        total: np.ndarray = self.exchanges_s.sum(1)
        return total

    @property
    def busy_s(self) -> np.ndarray:
        """Seconds that each rank works, float [n, ranks]."""
        busy: np.ndarray = self.stages_s.sum(2) + self.hidden_s
        return busy

    @property
    def exposed_s(self) -> np.ndarray:
        """Seconds of exchanges beside which each rank does not work, float [n, ranks]; below 0
        where it works while it would wait for slower ranks."""
        shape = self.stages_s.shape[:2]
        exposed: np.ndarray = np.broadcast_to(self.communication_s[:, None], shape) - self.hidden_s
        return exposed

    @property
    def waiting_s(self) -> np.ndarray:
        """Seconds that each rank waits for slower ones, float [n, ranks]."""
        waiting: np.ndarray = self.slowest_s.sum(1)[:, None] - self.stages_s.sum(2)
        return waiting
