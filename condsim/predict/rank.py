"""One rank of a model that is spread over several: its share, priced as one device is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.errors import CondsimError
from condsim.parallel.plan import Plan, expert_sites
from condsim.parallel.sharding import (
    DenseWidth,
    Stages,
    dense_of_rank,
    gathered_extent,
    of_rank,
)
from condsim.predict.baselines import logical_flops
from condsim.predict.choose import Strategies, program_of
from condsim.predict.simulation import Simulation
from condsim.predict.stage_seconds import clocked, summed
from condsim.predict.timed import TimedSide
from condsim.predict.token_flops import SAME_FLOPS
from condsim.predict.walk import Blocks
from condsim.program import Program
from condsim.steps.extents import Steps
from condsim.steps.rebatch import Cut, site_rules
from condsim.strategies import name_of
from condsim.trace import Trace

DENSE = "same-params"


def rank_program(
    trace: Trace, strategies: Mapping[str, str], regime: str, width: DenseWidth
) -> Program:
    """Return what each rank runs. width: of dense baselines, in experts."""
    name = name_of(strategies)

    def make() -> Program:
        program = program_of(trace, strategies, regime)
        if name == SAME_FLOPS:
            return program
        if name == DENSE:
            narrow = program_of(trace, dict.fromkeys(strategies, SAME_FLOPS), regime)
            return dense_of_rank(program, narrow, width)
        top_k = {site.name: site.top_k or 1 for site in expert_sites(trace)}
        return of_rank(program, top_k)

    key = ("program of a rank", name, regime, str(width.wanted))
    return trace.results.remember(key, make)


def dense_width(trace: Trace, ranks: int) -> DenseWidth:
    """Return the width of dense baselines, of which each rank has an equal part.

    Raises CondsimError for layers of unlike experts.
    """
    sites = expert_sites(trace)
    wide, narrow = sites[0].branches, sites[0].top_k or 1
    alike = all(site.branches == wide and (site.top_k or 1) == narrow for site in sites)
    if wide == narrow or not alike:
        raise CondsimError(
            "parallel: every layer must have the same experts and top-k, and more experts than a "
            "row takes"
        )
    names = tuple(site.name for site in sites)
    return DenseWidth(names, wide, narrow, Fraction(wide, ranks))


@dataclass(frozen=True)
class RankSimulation(Simulation):
    """One rank's share of a question. width: of dense baselines, in experts."""

    plan: Plan
    rank: int
    width: DenseWidth

    @cached_property
    def cut(self) -> Cut:
        return self.plan.share(self.rank)

    @cached_property
    def selected(self) -> tuple[int, ...] | None:
        return tuple(self.plan.numbers.tolist())

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks(self.cut, self.selected, self.scenario.capacity_factor, in_one=True)

    @property
    def program_key(self) -> tuple[Any, ...]:
        return ("of a rank", str(self.width.wanted))

    @property
    def share_key(self) -> tuple[Any, ...]:
        return (*self.plan.key, self.rank)

    def recorded(self, strategies: Strategies) -> Program:
        return rank_program(self.trace, strategies, self.cut.regime, self.width)

    def logical(self, steps: Steps, dense: StepCost) -> np.ndarray:
        """As on one device, but a rank's dense share is a part of the width on all tokens."""
        shared = dict(steps.extents)
        whole = logical_flops(self.trace, replace(steps, extents=shared), dense)
        share = float(self.width.wanted / self.width.wide)
        for site, rule in site_rules(self.trace).items():
            if not rule.mechanism.mixes_experts:
                continue
            flops = np.array(self.trace.site(site).branch_flops)
            per_row = rule.mechanism.dense_flops(flops, steps.costliest.get(site))
            executed = steps.extents[gathered_extent(site)] * share
            whole = whole + (steps.arriving(rule) - executed) * per_row
        return whole

    # Stages

    def stages_of(self, strategies: Strategies) -> Stages:
        """Return where ranks wait for each other."""
        sites = [] if name_of(strategies) == SAME_FLOPS else list(self.plan.placements)
        program = self.side(strategies).lowered.program
        assert self.scenario.parallel is not None
        overlaps = bool(sites) and self.scenario.parallel.overlap is not None
        return Stages.of(program, sites, overlaps)

    def stage_seconds(self, strategies: Strategies, timed: TimedSide, stages: Stages) -> np.ndarray:
        """Return the seconds of each slot, float [n, slots], whose sum is the rank's own time.

        stages: of `stages_of`, the same for all ranks.
        """
        side = self.side(strategies)
        if self.model.two_clocks:
            return clocked(side, stages)
        return summed(side, stages, timed.seconds)
