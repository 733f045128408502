"""A model that is spread over ranks: each rank's share is priced as one device is, and ranks wait
for each other at every layer of experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from condsim.cost.device import Target
from condsim.cost.energy import with_idle_j
from condsim.errors import CondsimError
from condsim.parallel.exchange import COMBINE, DISPATCH, all_gather_seconds, exchange_of
from condsim.parallel.fabric import fabric_of
from condsim.parallel.overlap import overlapped
from condsim.parallel.parallel import Parallel
from condsim.parallel.plan import MOST_STEPS, Plan, expert_sites, placements_of
from condsim.parallel.schedule import Schedule
from condsim.parallel.sharding import SHARED, DenseWidth, Stages, token_widths
from condsim.predict.answer import Answer
from condsim.predict.choose import Strategies, program_of
from condsim.predict.intervals import SideSeconds
from condsim.predict.rank import DENSE, RankSimulation, dense_width
from condsim.predict.simulation import CLOCKED_STEPS, Simulation
from condsim.predict.timed import TimedSide
from condsim.program import Op
from condsim.scenario import Scenario
from condsim.strategies import meant, name_of
from condsim.trace import Trace

LINKS = "links"
"""What seconds rest on that exchanges between ranks take."""


def check_strategies(strategies: Mapping[str, str]) -> None:
    """Raises CondsimError for what is known on one device only."""
    for strategy in meant(strategies):
        if strategy.drops or strategy.waits_for_weights:
            raise CondsimError(
                f"parallel: strategy {strategy.name!r} is known on one device only; "
                "choose another one"
            )


@dataclass(frozen=True)
class SpreadSide:
    """One side, spread over ranks.

    ranks: of each rank, its seconds by what they are for, waiting left out.
    """

    ranks: tuple[TimedSide, ...]
    stages: Stages
    schedule: Schedule

    @property
    def seconds(self) -> np.ndarray:
        """Seconds of each step, float [n]."""
        return self.schedule.seconds

    @property
    def energy_j(self) -> float:
        """Joules of a step on all ranks, the mean over the steps."""
        joules = 0.0
        for rank in self.ranks:
            of_steps = with_idle_j(self.seconds, rank.work_j, rank.profile)
            joules += float(of_steps.mean()) + rank.companion_j / len(self.seconds)
        return joules

    def total(self, name: str) -> float:
        """Return a number of `CostSums`, summed over the ranks."""
        return float(sum(getattr(rank.sums, name) for rank in self.ranks))

    @property
    def sources(self) -> SideSeconds:
        """What the seconds rest on: the mean rank's, and the links."""
        by_source: dict[str, float] = {}
        evicted = spread = 0.0
        for rank in self.ranks:
            of_rank = rank.sources
            for source, seconds in of_rank.by_source.items():
                by_source[source] = by_source.get(source, 0.0) + seconds / len(self.ranks)
            evicted += of_rank.evicted[0] / len(self.ranks)
            spread += of_rank.evicted[1] / len(self.ranks)
        by_source[LINKS] = max(float(self.schedule.exposed_s.mean(1).sum()), 0.0)
        return SideSeconds(by_source, (evicted, spread), float(self.seconds.sum()))


@dataclass(frozen=True)
class SpreadSimulation:
    """One question about several devices: what is run on each.

    What comes out is told by `condsim.predict.ranks_answer`.

    strategies: mechanism → strategy of the conditional side.
    """

    trace: Trace
    target: Target
    scenario: Scenario
    strategies: Strategies

    @property
    def parallel(self) -> Parallel:
        assert self.scenario.parallel is not None
        return self.scenario.parallel

    @cached_property
    def whole(self) -> Simulation:
        """The question of one device."""
        return Simulation(self.trace, self.target, self.scenario, self.strategies)

    @cached_property
    def plan(self) -> Plan:
        """Who gets what. Raises CondsimError for what cannot be spread over ranks."""
        check_strategies(self.strategies)
        expert_sites(self.trace)
        self._check_overlap()
        fabric = fabric_of(self.target.profile, self.parallel.fabric)
        nodes = fabric.nodes(self.parallel.expert)
        placements = placements_of(self.trace, self.parallel, nodes)
        return Plan(self.trace, self.whole.cut, self._numbers(), fabric, placements)

    def _check_overlap(self) -> None:
        if self.parallel.overlap is None:
            return
        program = self.whole.recorded(self.strategies)
        modules = [node.module for node in program.root.nodes if isinstance(node, Op)]
        if not any(SHARED in module for module in modules):
            raise CondsimError(
                f"parallel: overlap {self.parallel.overlap!r}: {self.trace.name!r} has no shared "
                "experts; leave overlap out"
            )

    def _numbers(self) -> np.ndarray:
        count = len(self.whole.cut)
        if self.scenario.steps is not None:
            selected = self.whole.selected
            assert selected is not None
            return np.unique(selected)
        most = CLOCKED_STEPS if self.whole.model.two_clocks else MOST_STEPS
        return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))

    @cached_property
    def ranks(self) -> tuple[RankSimulation, ...]:
        """The share of each rank."""
        asked = (self.trace, self.target, self.scenario, self.strategies, self.plan)
        shares = [RankSimulation(*asked, rank, self.width) for rank in range(self.plan.ranks)]
        return tuple(shares)

    @cached_property
    def width(self) -> DenseWidth:
        """The width of dense baselines: a rank has an equal part of it."""
        return dense_width(self.trace, self.parallel.expert)

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """What each rank's share answers alone, without waiting for the others."""
        return tuple(Answer(rank) for rank in self.ranks)

    @cached_property
    def conditional(self) -> SpreadSide:
        timed = [rank.both_sides.conditional for rank in self.answers]
        return self._spread(self.strategies, timed)

    @cached_property
    def baseline(self) -> SpreadSide:
        timed = [rank.both_sides.baseline for rank in self.answers]
        return self._spread(self.whole.baseline_strategies, timed)

    def _spread(self, strategies: Strategies, timed: list[TimedSide]) -> SpreadSide:
        stages = self.ranks[0].stages_of(strategies)
        of_ranks = []
        for rank, own in zip(self.ranks, timed, strict=True):
            of_ranks.append(rank.stage_seconds(strategies, own, stages))
        slots_s = np.stack(of_ranks, axis=1)
        stages_s, beside_s = np.split(slots_s, [len(stages)], axis=2)
        dense = name_of(strategies) == DENSE
        schedule = Schedule(stages_s, self._exchanges(stages, dense))
        if stages.overlaps:
            schedule = overlapped(schedule, beside_s)
        busy = schedule.busy_s
        own_time = [replace(own, seconds=busy[:, rank]) for rank, own in enumerate(timed)]
        return SpreadSide(tuple(own_time), stages, schedule)

    def _exchanges(self, stages: Stages, dense: bool) -> np.ndarray:
        """Seconds of dispatch and combine at each site, float [n, stages - 1].

        dense: all ranks gather all tokens, and scatter the sums of their parts.
        """
        found = np.zeros((len(self.plan.numbers), len(stages) - 1))
        for number, site in enumerate(stages.sites):
            dispatch_s, combine_s = self._gathered(site) if dense else self._sent(site)
            found[:, 2 * number] = dispatch_s
            found[:, 2 * number + 1] = combine_s
        return found

    def _sent(self, site: str) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of (dispatch, combine) of one site, float [n] each."""
        fabric, phase = self.plan.fabric, self.whole.cut.phase
        exchange = exchange_of(self.parallel.exchange, fabric, phase)
        sent = self.plan.sent(site, self._token_width(site), self.target.float_bytes)
        dispatch_s = exchange.seconds(sent, DISPATCH, fabric)
        return dispatch_s, exchange.seconds(sent, COMBINE, fabric)

    def _gathered(self, site: str) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of (all-gather, reduce-scatter) of one site's tokens, float [n] each."""
        tokens = self.plan.own_tokens[site].sum(1)
        size = tokens * self._token_width(site) * self.target.float_bytes
        ranks, link = self.plan.ranks, self.plan.fabric.slowest(self.plan.ranks)
        seconds = all_gather_seconds(size, ranks, link)
        return seconds, seconds

    def _token_width(self, site: str) -> int:
        return self._token_widths[site]

    @cached_property
    def _token_widths(self) -> dict[str, int]:
        """Site → elements of a token."""
        regime = self.ranks[0].cut.regime
        dense = program_of(self.trace, self.whole.same_for_all(DENSE), regime)
        return token_widths(dense, self.plan.placements)
