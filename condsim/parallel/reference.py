"""The ranks of `condsim.parallel.schedule` as SimPy processes that meet at barriers: the reference
that the closed form is held equal to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy


class _Barrier:
    """Ranks wait until all have come; then one exchange passes, and all go on."""

    def __init__(self, env: simpy.Environment, ranks: int) -> None:
        self.env, self.ranks = env, ranks
        self._arrived = 0
        self._opened = env.event()

    def meet(self, exchange_s: float) -> Generator[Any, Any, None]:
        """Wait for the other ranks, and for the exchange."""
        self._arrived += 1
        opened = self._opened
        if self._arrived == self.ranks:
            self._arrived, self._opened = 0, self.env.event()
            yield self.env.timeout(exchange_s)
            opened.succeed()
        else:
            yield opened


def run(stages_s: np.ndarray, exchanges_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (begin, end) of each rank's stages, float [ranks, stages] each, and when the step
    ends, seconds.

    stages_s: float [ranks, stages]. exchanges_s: float [stages - 1].
    """
    env = simpy.Environment()
    ranks, stages = stages_s.shape
    begin, end = np.zeros(stages_s.shape), np.zeros(stages_s.shape)
    barrier = _Barrier(env, ranks)

    def rank_process(rank: int) -> Generator[Any, Any, None]:
        for stage in range(stages):
            begin[rank, stage] = env.now
            yield env.timeout(float(stages_s[rank, stage]))
            end[rank, stage] = env.now
            if stage < stages - 1:
                yield from barrier.meet(float(exchanges_s[stage]))

    for rank in range(ranks):
        env.process(rank_process(rank))
    env.run()
    return begin, end, float(env.now)
