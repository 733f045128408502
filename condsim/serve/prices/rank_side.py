"""One side of a served model whose experts are spread over ranks: what one rank does of a step.

A rank computes attention, routers and shared experts of its own tokens, and its experts of the
tokens that it is sent; the two are priced apart, so that tokens of any ranks can be put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from condsim.cost.energy import with_idle_j
from condsim.parallel.plan import RankRows, expert_sites, on_rank
from condsim.parallel.sharding import DenseWidth, Stages
from condsim.predict.carried import Carried
from condsim.predict.gate import answering
from condsim.predict.rank import rank_program
from condsim.predict.side import Side
from condsim.predict.stage_seconds import clocked, summed
from condsim.program import Program
from condsim.program.regime import DECODE, Regime
from condsim.serve.prices.side import ServedSide
from condsim.steps.extents import Steps


@dataclass(kw_only=True)
class RankSide(ServedSide):
    """The conditional model or its dense baseline, on one of several ranks.

    width: of dense baselines, in experts.
    """

    width: DenseWidth

    def recorded(self, regime: str) -> Program:
        return rank_program(self.trace, self.strategies, regime, self.width)

    @property
    def sites(self) -> tuple[str, ...]:
        """Those with experts, as the trace has them."""
        return tuple(site.name for site in expert_sites(self.trace))

    def price(self, phase: str, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
        """Return (seconds, joules) of a rank's own work in some steps, experts left out; float [n]
        each. Ranks differ in what they compute, and run the same operators."""
        seconds, work_j = self._priced(phase, self._without_experts(steps))
        own_s = seconds[:, ::2].sum(1)
        return own_s, with_idle_j(own_s, work_j, self.target.profile)

    def price_experts(
        self, steps: Steps, of_sites: Mapping[str, RankRows]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (seconds, joules) of experts, float [n, sites] in the program's order and [n].

        steps: of a rank, whose own work is left out. of_sites: what its experts compute.
        """
        seconds, work_j = self._priced(DECODE, on_rank(steps, of_sites))
        _, idle_work_j = self._priced(DECODE, self._without_experts(steps))
        experts_s = seconds[:, 1::2]
        joules = np.maximum(work_j - idle_work_j, 0.0)
        return experts_s, with_idle_j(experts_s.sum(1), joules, self.target.profile)

    def _without_experts(self, steps: Steps) -> Steps:
        none = np.zeros(len(steps), int)
        idle = {}
        for site in expert_sites(self.trace):
            idle[site.name] = RankRows(np.zeros((len(steps), site.branches), int), none, none)
        return on_rank(steps, idle)

    def _priced(self, phase: str, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of each stage, float [n, stages], and joules of what is computed and moved."""
        self.priced += len(steps)
        with answering(self.trace.name, self.target.profile.name):
            side = self.side(str(Regime(phase, False)), steps)
            stages = Stages.of(side.lowered.program, self.sites)
            return self._stages_s(side, stages), side.work_j

    def _stages_s(self, side: Side, stages: Stages) -> np.ndarray:
        if self.two_clocks:
            return clocked(side, stages)
        seconds = side.clocked_s.copy()
        carried = Carried(self.target.profile, self.target.model_bytes)
        for missed in carried.missed_weights(side.cost, None, ends=True):
            of_steps, missed_s = missed.by_step
            seconds[of_steps] += missed_s
        return summed(side, stages, seconds)
