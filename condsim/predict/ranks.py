"""A model that is spread over ranks: each rank's share is priced as one device is, and ranks wait
for each other at every layer of experts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from condsim.cost.device import Target
from condsim.cost.energy import with_idle_j
from condsim.errors import CondsimError
from condsim.parallel.exchange import COMBINE, DISPATCH, all_gather_seconds, exchange_of
from condsim.parallel.fabric import fabric_of
from condsim.parallel.overlap import overlapped
from condsim.parallel.parallel import Parallel
from condsim.parallel.plan import MOST_STEPS, Plan, expert_sites, placements_of
from condsim.parallel.schedule import Schedule
from condsim.parallel.sharding import (
    SHARED,
    DenseWidth,
    Stages,
    expert_elements,
    token_width,
)
from condsim.predict.baselines import Rivals
from condsim.predict.choose import Strategies, program_of
from condsim.predict.intervals import SideSeconds, Spread, around, intervals
from condsim.predict.memory import Memory
from condsim.predict.notes import notes_of, outputs_of
from condsim.predict.prediction import Later, Prediction, StepSeconds
from condsim.predict.rank import DENSE, RankSimulation
from condsim.predict.side import Side
from condsim.predict.simulation import CLOCKED_STEPS, Simulation
from condsim.predict.timed import TimedSide, world_seconds
from condsim.predict.waterfall import waterfall
from condsim.program import Op
from condsim.scenario import Scenario
from condsim.strategies import meant, name_of
from condsim.trace import Trace

LINKS = "links"
"""What seconds rest on that exchanges between ranks take."""


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
    """One question about several devices."""

    trace: Trace
    target: Target
    scenario: Scenario
    strategies: Strategies

    @property
    def shared_sides(self) -> list[Side]:
        """Sides that another question finds when they are priced: none."""
        return []

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
        self._check_strategies()
        expert_sites(self.trace)
        self._check_overlap()
        fabric = fabric_of(self.target.profile, self.parallel.fabric)
        nodes = fabric.nodes(self.parallel.expert)
        placements = placements_of(self.trace, self.parallel, nodes)
        return Plan(self.trace, self.whole.cut, self._numbers(), fabric, placements)

    def _check_strategies(self) -> None:
        for strategy in meant(self.strategies):
            if strategy.drops or strategy.waits_for_weights:
                raise CondsimError(
                    f"parallel: strategy {strategy.name!r} is known on one device only; "
                    "choose another one"
                )

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
        return tuple(RankSimulation(*asked, rank, self.width) for rank in range(self.plan.ranks))

    @cached_property
    def width(self) -> DenseWidth:
        """The width of dense baselines: a rank has an equal part of it."""
        sites = expert_sites(self.trace)
        wide, narrow = sites[0].branches, sites[0].top_k or 1
        alike = all(site.branches == wide and (site.top_k or 1) == narrow for site in sites)
        if wide == narrow or not alike:
            raise CondsimError(
                "parallel: every layer must have the same experts and top-k, and more experts than "
                "a row takes"
            )
        names = tuple(site.name for site in sites)
        return DenseWidth(names, wide, narrow, Fraction(wide, self.parallel.expert))

    @property
    def baseline_strategies(self) -> Strategies:
        return self.whole.same_for_all(self.scenario.baseline)

    @cached_property
    def conditional(self) -> SpreadSide:
        timed = [rank.walked.conditional for rank in self.ranks]
        return self._spread(self.strategies, timed)

    @cached_property
    def baseline(self) -> SpreadSide:
        timed = [rank.walked.baseline for rank in self.ranks]
        return self._spread(self.baseline_strategies, timed)

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
        regime = self.ranks[0].cut.regime
        return token_width(program_of(self.trace, self.whole.same_for_all(DENSE), regime), site)

    # The answer

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        conditional, baseline = self.conditional, self.baseline
        steps = len(self.plan.numbers)
        speedup = float(baseline.seconds.sum() / conditional.seconds.sum())
        latency_s = float(conditional.seconds.mean())
        speedup_interval, (low_s, high_s) = intervals(
            conditional.sources, baseline.sources, self._uncertainty()
        )
        flops, dense_flops = conditional.total("flops"), baseline.total("flops")
        executed = flops + conditional.total("router_flops")
        return Prediction(
            trace=self.trace.name,
            mechanism="+".join(self.trace.mechanisms),
            strategy=name_of(self.strategies),
            runtime=self.target.runtime.name,
            dtype=self.target.dtype,
            weights=self.scenario.weights or self.target.dtype,
            phase=self.whole.cut.phase,
            batch=self.whole.cut.batch,
            baseline=self.scenario.baseline,
            profile=self.target.profile.name,
            protocol=self.whole.protocol.name,
            speedup=speedup,
            latency_s=latency_s,
            baseline_s=float(baseline.seconds.mean()),
            energy_j=conditional.energy_j,
            baseline_energy_j=baseline.energy_j,
            flops_ratio=dense_flops / self.logical,
            executed_flops=executed / steps,
            baseline_flops=dense_flops / steps,
            speedup_interval=around(speedup_interval, speedup),
            latency_interval=around((low_s / steps, high_s / steps), latency_s),
            estimated=self._bases(),
            of_steps=StepSeconds(self.plan.numbers, conditional.seconds, baseline.seconds),
            rivals=self._rivals(),
            notes=(*notes_of(self.ranks[0]), *self._notes()),
            outputs=outputs_of(self.ranks[0]),
            basis=self.whole.basis,
            later=Later(
                memory=self._memory,
                waterfall=self._waterfall,
                timeline=self._timeline,
                segments=self._segments,
                devices=self._devices,
            ),
        )

    @property
    def logical(self) -> float:
        """FLOPs that the decisions ask for, on all ranks."""
        return sum(rank.walked.logical for rank in self.ranks)

    def _uncertainty(self) -> Spread:
        spread = self.ranks[0]._spread()
        known: dict[str, float] = {LINKS: self.plan.fabric.inside.bandwidth.relative}
        for rank in self.ranks:
            known |= rank._spread().uncertainty
        return replace(spread, uncertainty=known)

    def _bases(self) -> dict[str, float]:
        """Basis word → share of the conditional seconds that rest on it."""
        seconds: dict[str, float] = {}
        for rank in self.conditional.ranks:
            for basis, of_basis in rank.sums.by_basis.items():
                seconds[basis] = seconds.get(basis, 0.0) + of_basis
        total = sum(seconds.values())
        return {basis: of_basis / total for basis, of_basis in seconds.items()}

    def _rivals(self) -> dict[str, float]:
        """Estimates that know neither routing nor links: of all ranks together."""
        together = Rivals.together([rank.walked.rivals for rank in self.ranks])
        hot_s = self.baseline.total("hot_s") / self.conditional.total("hot_s")
        return together.of_flops(self.baseline.total("flops")) | {"hot_sum": hot_s}

    def _notes(self) -> list[str]:
        plan, placement = self.plan, next(iter(self.plan.placements.values()))
        slots = len(placement.expert_of) // plan.ranks
        notes = [
            f"{plan.ranks} ranks on {plan.nodes} node(s) of fabric {plan.fabric.name}, {slots} "
            "experts a rank; numbers are of all ranks together, memory is the fullest rank's"
        ]
        if len(plan.numbers) < len(plan.cut) and self.scenario.steps is None:
            notes.append(f"{len(plan.numbers)} of {len(plan.cut)} steps are looked at")
        if plan.cut.batch < plan.ranks:
            idle = plan.ranks - plan.cut.batch
            notes.append(f"{idle} ranks have no unit of a step, and compute experts only")
        return notes

    def _waterfall(self) -> pd.DataFrame:
        of_conditional = self._worlds(self.conditional, self.strategies, self.logical)
        dense_flops = self.baseline.total("flops")
        of_baseline = self._worlds(self.baseline, self.baseline_strategies, dense_flops)
        return waterfall(of_conditional, of_baseline)

    def _worlds(self, side: SpreadSide, strategies: Strategies, logical: float) -> dict[str, float]:
        """World → seconds: those of the mean rank, then what the slowest one adds, then links."""
        conditional = strategies == self.strategies
        added: dict[str, float] = {}
        ranks = len(self.ranks)
        for rank, timed in zip(self.ranks, side.ranks, strict=True):
            even = rank._balanced() if conditional else timed.sums
            of_rank = world_seconds(timed, even, logical / ranks, self.whole.peak)
            for world, seconds in of_rank.items():
                added[world] = added.get(world, 0.0) + seconds / ranks
        schedule = side.schedule
        added["imbalance"] += float(schedule.waiting_s.mean(1).sum())
        added["communication"] += float(schedule.exposed_s.mean(1).sum())
        return added

    # Ranks

    def _away_bytes(self, slots: float) -> float:
        """Bytes of experts that a rank does not hold. slots: that it holds of each site."""
        same = self.whole.same_for_all
        regime = self.ranks[0].cut.regime
        wide = program_of(self.trace, same(DENSE), regime)
        narrow = program_of(self.trace, same("same-flops"), regime)
        elements = expert_elements(wide, narrow, self.width)
        return (self.width.wide - slots) * elements * self.target.float_bytes

    def _memory_of(self, rank: RankSimulation) -> tuple[Memory, Memory]:
        """What one rank needs, (conditional, baseline): less what other ranks hold."""
        conditional, baseline = rank.whole_memory()
        placement = next(iter(self.plan.placements.values()))
        held = len(placement.expert_of) / self.plan.ranks
        dense = self.width.wide / self.plan.ranks
        if self.scenario.baseline != DENSE:
            dense = self.width.narrow
        return self._without_away(conditional, held), self._without_away(baseline, dense)

    def _without_away(self, memory: Memory, slots: float) -> Memory:
        """A rank's memory without experts that it does not hold; narrower weights by their mean."""
        stored_share = memory.weights_bytes / max(self.target.weights_bytes, 1)
        held = memory.weights_bytes - self._away_bytes(slots) * stored_share
        return replace(memory, weights_bytes=int(held))

    def _memory(self) -> tuple[Memory, Memory]:
        received = sum(dealt.received.sum(0) for dealt in self.plan.dealt.values())
        return self._memory_of(self.ranks[int(np.argmax(received))])

    def _devices(self) -> pd.DataFrame:
        schedule = self.conditional.schedule
        rows = sum(dealt.rows.sum(2).mean(0) for dealt in self.plan.dealt.values())
        received = sum(dealt.received.mean(0) for dealt in self.plan.dealt.values())
        units = np.bincount(self.plan.rank_of_unit, minlength=self.plan.ranks)
        table = {
            "rank": np.arange(self.plan.ranks),
            "node": np.arange(self.plan.ranks) // (self.plan.ranks // self.plan.nodes),
            "units": units,
            "rows": rows,
            "tokens_received": received,
            "seconds": schedule.busy_s.mean(0),
            "waiting_s": schedule.waiting_s.mean(0),
            "communication_s": schedule.exposed_s.mean(0),
            "peak_bytes": [self._memory_of(rank)[0].needed_bytes for rank in self.ranks],
        }
        return pd.DataFrame(table)

    def _timeline(self) -> pd.DataFrame:
        from condsim.predict.rank_timeline import rank_timeline

        return rank_timeline({"conditional": self.conditional, "baseline": self.baseline})

    def _segments(self) -> pd.DataFrame:
        raise CondsimError(
            "by segment: ranks wait for each other, so that the times of operators do not sum up "
            "to the latency; prediction.devices has the seconds of each rank"
        )
