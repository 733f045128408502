"""A simulation's two sides walked through all steps: the seconds and sums of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from condsim.predict.baselines import Rivals
from condsim.predict.choose import Strategies
from condsim.predict.side import Side, between_runs, price_together
from condsim.predict.simulation import SAME_PARAMS, Simulation
from condsim.predict.timed import SideWalk, TimedSide
from condsim.protocols import Meanwhile


@dataclass(frozen=True)
class BothSides:
    """What both sides take. logical: FLOPs that the decisions ask for, in all steps."""

    conditional: TimedSide
    baseline: TimedSide
    logical: float

    @property
    def rivals(self) -> Rivals:
        """What others would estimate."""
        return Rivals.of(self.conditional.sums, self.baseline.sums, self.logical)


@dataclass(frozen=True)
class Walk:
    """Walks both sides of a simulation through its steps.

    A side that takes the same whatever it is compared with is walked once for all questions of its
    trace. Any other is walked block by block beside the side that it is compared with.
    """

    simulation: Simulation

    @cached_property
    def both_sides(self) -> BothSides:
        """What the walk through all steps finds."""
        if self._each_alone:
            logical = self._logical_alone()
            conditional = self._timed_alone(self.simulation.strategies)
            baseline = self._timed_alone(self.simulation.baseline_strategies)
        else:
            conditional, baseline, logical = self._timed_by_block()
        played = self.simulation.offloading
        if played is not None:
            waited_s = float(played.waited_s.sum())
            conditional = replace(conditional, seconds=played.seconds, waited_s=waited_s)
        return BothSides(conditional, baseline, logical)

    # Sides that are priced together

    def price(self) -> None:
        """Price together what the sides have in common."""
        price_together(self.shared_sides)

    @property
    def shared_sides(self) -> list[Side]:
        """Sides that are to be priced for the answer, and that another question finds then."""
        asked = self.simulation
        if not asked.remembers_sides:
            return []
        both = (asked.strategies, asked.baseline_strategies)
        results = asked.trace.results
        needed = list(both)
        if self._each_alone:
            needed = [side for side in both if self._timed_key(side) not in results]
        if self._logical_key not in results and self._dense not in needed:
            needed.append(self._dense)
        return [asked.side(strategies) for strategies in needed]

    # A side alone

    @property
    def _each_alone(self) -> bool:
        """Whether a side takes the same whatever it is compared with, so that other questions find
        its seconds again."""
        meanwhile = self.simulation.protocol.meanwhile
        return self.simulation.remembers_sides and meanwhile is not Meanwhile.OTHER_SIDE

    def _timed_alone(self, strategies: Strategies) -> TimedSide:
        """A side in one block; other questions find it again."""

        def walk() -> TimedSide:
            side, alone = self.simulation.side(strategies), self._new_walk()
            alone.add(side, between_runs(self.simulation.protocol, side, side))
            return alone.timed()

        return self.simulation.trace.results.remember(self._timed_key(strategies), walk)

    def _timed_key(self, strategies: Strategies) -> tuple[Any, ...]:
        asked = self.simulation
        how = (asked.scenario.engine, asked.protocol.name)
        return ("timed", *how, *asked.side_key(strategies))

    def _logical_alone(self) -> float:
        """The FLOPs that the decisions of one block ask for; other questions find them again."""

        def count() -> float:
            return self._logical_of(self.simulation.side(self._dense), 0)

        return self.simulation.trace.results.remember(self._logical_key, count)

    @property
    def _logical_key(self) -> tuple[Any, ...]:
        return ("logical", *self.simulation.side_key(self._dense))

    # Both sides, block by block

    def _timed_by_block(self) -> tuple[TimedSide, TimedSide, float]:
        """(both sides, the FLOPs that the decisions ask for), a block of steps after the other."""
        walk_c, walk_b = self._new_walk(), self._new_walk()
        logical = 0.0
        for block in range(len(self.simulation.blocks)):
            logical += self._add_block(block, walk_c, walk_b)
        return walk_c.timed(), walk_b.timed(), logical

    def _add_block(self, block: int, walk_c: SideWalk, walk_b: SideWalk) -> float:
        """Add a block of steps, whose sides are forgotten before the next one is priced.

        Returns the FLOPs that its decisions ask for.
        """
        asked = self.simulation
        conditional = asked.side(asked.strategies, block)
        baseline = asked.side(asked.baseline_strategies, block)
        walk_c.add(conditional, between_runs(asked.protocol, conditional, baseline))
        walk_b.add(baseline, between_runs(asked.protocol, baseline, conditional))
        is_dense = asked.scenario.baseline == SAME_PARAMS
        dense = baseline if is_dense else asked.side(self._dense, block)
        return self._logical_of(dense, block)

    def _new_walk(self) -> SideWalk:
        asked = self.simulation
        by_events = asked.scenario.engine == "events"
        return SideWalk(asked.model, asked.blocks.steps, by_events)

    @property
    def _dense(self) -> Strategies:
        return self.simulation.same_for_all(SAME_PARAMS)

    def _logical_of(self, dense: Side, block: int) -> float:
        steps = self.simulation.blocks[block]
        return float(self.simulation.logical(steps, dense.cost).sum())
