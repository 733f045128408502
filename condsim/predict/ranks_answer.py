"""What a simulation of several devices answers: of all ranks together, and of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from condsim.cost.sums import CostSums
from condsim.errors import CondsimError
from condsim.parallel.sharding import expert_elements
from condsim.predict.answer import Answer, question_fields, shares
from condsim.predict.baselines import Rivals
from condsim.predict.choose import program_of
from condsim.predict.intervals import Interval, Spread, around, intervals
from condsim.predict.measures import Measures
from condsim.predict.memory import Memory
from condsim.predict.notes import notes_of, outputs_of
from condsim.predict.prediction import Later, Prediction
from condsim.predict.rank import DENSE
from condsim.predict.rank_timeline import rank_timeline
from condsim.predict.ranks import LINKS, SpreadSide, SpreadSimulation
from condsim.predict.side import Side
from condsim.predict.timed import world_seconds
from condsim.predict.waterfall import waterfall


@dataclass(frozen=True)
class SpreadAnswer:
    """What one simulation of several devices answers."""

    simulation: SpreadSimulation

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        asked = self.simulation
        conditional, baseline = asked.conditional, asked.baseline
        steps = len(asked.plan.numbers)
        measures = Measures(asked.plan.numbers, conditional, baseline)
        speedup_interval, latency_interval = self._intervals(measures.speedup, measures.latency_s)
        dense_flops = baseline.total("flops")
        executed = conditional.total("flops") + conditional.total("router_flops")
        return Prediction(
            **question_fields(asked.whole),
            **measures.fields(),
            flops_ratio=dense_flops / self.logical,
            executed_flops=executed / steps,
            baseline_flops=dense_flops / steps,
            speedup_interval=speedup_interval,
            latency_interval=latency_interval,
            estimated=self._bases(),
            rivals=self._rivals(),
            notes=(*notes_of(asked.answers[0]), *self._notes()),
            outputs=outputs_of(asked.ranks[0]),
            later=Later(
                memory=self._memory,
                waterfall=self._waterfall,
                timeline=self._timeline,
                segments=self._segments,
                devices=self._devices,
            ),
        )

    def check(self) -> None:
        """What is impossible is said where it is predicted."""

    @property
    def shared_sides(self) -> list[Side]:
        """Sides that another question finds when they are priced: none."""
        return []

    def forget_sides(self) -> None:
        """Forget tables of kernels: none is kept."""

    def _intervals(self, speedup: float, latency_s: float) -> tuple[Interval, Interval]:
        """The 90 % intervals of (speedup, latency)."""
        asked = self.simulation
        steps = len(asked.plan.numbers)
        of_speedup, (low_s, high_s) = intervals(
            asked.conditional.sources, asked.baseline.sources, self._uncertainty()
        )
        of_latency = (low_s / steps, high_s / steps)
        return around(of_speedup, speedup), around(of_latency, latency_s)

    @property
    def logical(self) -> float:
        """FLOPs that the decisions ask for, on all ranks."""
        return sum(rank.both_sides.logical for rank in self.simulation.answers)

    def _uncertainty(self) -> Spread:
        asked = self.simulation
        known: dict[str, float] = {LINKS: asked.plan.fabric.inside.bandwidth.relative}
        for rank in asked.answers:
            known |= rank.spread().uncertainty
        return replace(asked.answers[0].spread(), uncertainty=known)

    def _bases(self) -> dict[str, float]:
        """Basis word → share of the conditional seconds that rest on it."""
        seconds: dict[str, float] = {}
        for rank in self.simulation.conditional.ranks:
            for basis, of_basis in rank.sums.by_basis.items():
                seconds[basis] = seconds.get(basis, 0.0) + of_basis
        return shares(seconds)

    def _rivals(self) -> dict[str, float]:
        """Estimates that know neither routing nor links: of all ranks together."""
        conditional, baseline = self.simulation.conditional, self.simulation.baseline
        of_ranks = [rank.both_sides.rivals for rank in self.simulation.answers]
        together = Rivals.together(of_ranks)
        hot_sum = baseline.total("hot_s") / conditional.total("hot_s")
        return together.of_flops(baseline.total("flops")) | {"hot_sum": hot_sum}

    def _notes(self) -> list[str]:
        plan = self.simulation.plan
        placement = next(iter(plan.placements.values()))
        slots = len(placement.expert_of) // plan.ranks
        notes = [
            f"{plan.ranks} ranks on {plan.nodes} node(s) of fabric {plan.fabric.name}, {slots} "
            "experts a rank; numbers are of all ranks together, memory is the fullest rank's"
        ]
        if len(plan.numbers) < len(plan.cut) and self.simulation.scenario.steps is None:
            notes.append(f"{len(plan.numbers)} of {len(plan.cut)} steps are looked at")
        if plan.cut.batch < plan.ranks:
            idle = plan.ranks - plan.cut.batch
            notes.append(f"{idle} ranks have no unit of a step, and compute experts only")
        return notes

    def _waterfall(self) -> pd.DataFrame:
        asked = self.simulation
        balanced = [rank.balanced() for rank in asked.answers]
        of_conditional = self._worlds(asked.conditional, balanced, self.logical)
        as_they_are = [rank.sums for rank in asked.baseline.ranks]
        dense_flops = asked.baseline.total("flops")
        of_baseline = self._worlds(asked.baseline, as_they_are, dense_flops)
        return waterfall(of_conditional, of_baseline)

    def _worlds(
        self, side: SpreadSide, balanced: list[CostSums], logical: float
    ) -> dict[str, float]:
        """World → seconds: those of the mean rank, then what the slowest one adds, then links.

        balanced: each rank's sums without load imbalance.
        """
        added: dict[str, float] = {}
        ranks = len(side.ranks)
        peak = self.simulation.whole.peak
        for timed, even in zip(side.ranks, balanced, strict=True):
            of_rank = world_seconds(timed, even, logical / ranks, peak)
            for world, seconds in of_rank.items():
                added[world] = added.get(world, 0.0) + seconds / ranks
        schedule = side.schedule
        added["imbalance"] += float(schedule.waiting_s.mean(1).sum())
        added["communication"] += float(schedule.exposed_s.mean(1).sum())
        return added

    # Ranks

    def _away_bytes(self, slots: float) -> float:
        """Bytes of experts that a rank does not hold. slots: that it holds of each site."""
        asked = self.simulation
        same_for_all = asked.whole.same_for_all
        regime = asked.ranks[0].cut.regime
        wide = program_of(asked.trace, same_for_all(DENSE), regime)
        narrow = program_of(asked.trace, same_for_all("same-flops"), regime)
        elements = expert_elements(wide, narrow, asked.width)
        return (asked.width.wide - slots) * elements * asked.target.float_bytes

    def _memory_of(self, rank: Answer) -> tuple[Memory, Memory]:
        """What one rank needs, (conditional, baseline): less what other ranks hold."""
        asked = self.simulation
        conditional, baseline = rank.memory()
        placement = next(iter(asked.plan.placements.values()))
        held = len(placement.expert_of) / asked.plan.ranks
        dense = asked.width.wide / asked.plan.ranks
        if asked.scenario.baseline != DENSE:
            dense = asked.width.narrow
        return self._without_away(conditional, held), self._without_away(baseline, dense)

    def _without_away(self, memory: Memory, slots: float) -> Memory:
        """A rank's memory without experts that it does not hold; narrower weights by their mean."""
        stored_share = memory.weights_bytes / max(self.simulation.target.weights_bytes, 1)
        held = memory.weights_bytes - self._away_bytes(slots) * stored_share
        return replace(memory, weights_bytes=int(held))

    def _memory(self) -> tuple[Memory, Memory]:
        """What the fullest rank needs."""
        asked = self.simulation
        received = sum(dealt.received.sum(0) for dealt in asked.plan.dealt.values())
        return self._memory_of(asked.answers[int(np.argmax(received))])

    def _devices(self) -> pd.DataFrame:
        """A row a rank; rows, tokens and seconds of a step, the mean over all."""
        asked, plan = self.simulation, self.simulation.plan
        schedule = asked.conditional.schedule
        rows = sum(dealt.of_rank.mean(0) for dealt in plan.dealt.values())
        received = sum(dealt.received.mean(0) for dealt in plan.dealt.values())
        numbers = np.arange(plan.ranks)
        ranks_a_node = plan.ranks // plan.nodes
        table = {
            "rank": numbers,
            "node": numbers // ranks_a_node,
            "units": np.bincount(plan.rank_of_unit, minlength=plan.ranks),
            "rows": rows,
            "tokens_received": received,
            "seconds": schedule.busy_s.mean(0),
            "waiting_s": schedule.waiting_s.mean(0),
            "communication_s": schedule.exposed_s.mean(0),
            "peak_bytes": [self._memory_of(rank)[0].needed_bytes for rank in asked.answers],
        }
        return pd.DataFrame(table)

    def _timeline(self) -> pd.DataFrame:
        asked = self.simulation
        return rank_timeline({"conditional": asked.conditional, "baseline": asked.baseline})

    def _segments(self) -> pd.DataFrame:
        raise CondsimError(
            "by segment: ranks wait for each other, so that the times of operators do not sum up "
            "to the latency; prediction.devices has the seconds of each rank"
        )
