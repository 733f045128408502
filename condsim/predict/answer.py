"""What a simulation answers: its prediction, and the tables that are worked out when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pandas as pd

from condsim.cost.sums import CostSums
from condsim.errors import CondsimError
from condsim.hardware import Errors
from condsim.predict.baselines import without_imbalance
from condsim.predict.both_sides import BothSides, Walk
from condsim.predict.intervals import (
    CONFORMAL,
    Interval,
    Sources,
    Spread,
    around,
    at_least,
    intervals,
)
from condsim.predict.measures import Measures
from condsim.predict.memory import Memory, memory_of
from condsim.predict.notes import notes_of, outputs_of
from condsim.predict.peak_memory import SAMPLED_STEPS
from condsim.predict.prediction import Later, Prediction
from condsim.predict.segments import segments
from condsim.predict.side import Side
from condsim.predict.simulation import Simulation
from condsim.predict.timed import HOST_LINK, world_seconds
from condsim.predict.timeline import timeline
from condsim.predict.waterfall import waterfall
from condsim.strategies import meant, name_of


@dataclass(frozen=True)
class Answer:
    """What one simulation answers."""

    simulation: Simulation

    @cached_property
    def walk(self) -> Walk:
        """The walk through the steps of both sides."""
        return Walk(self.simulation)

    @property
    def both_sides(self) -> BothSides:
        """The seconds and sums of both sides."""
        return self.walk.both_sides

    def _asked_flops(self) -> float:
        """The FLOPs that the decisions ask for. Raises CondsimError where they ask for none."""
        logical = self.both_sides.logical
        if not logical:
            raise CondsimError(
                f"trace {self.simulation.trace.name!r}: its decisions ask for no FLOPs: no input "
                "takes a branch that multiplies, and the rest only decides, so that nothing can be "
                "said of what is saved; capture inputs of which some take such a branch"
            )
        return logical

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        self.walk.price()
        conditional, baseline = self.both_sides.conditional, self.both_sides.baseline
        c, b = conditional.sums, baseline.sums
        steps = self.simulation.blocks.steps
        measures = Measures(self.simulation.blocks.numbers, conditional, baseline)
        speedup_interval, latency_interval = self._intervals(measures.speedup, measures.latency_s)
        return Prediction(
            **question_fields(self.simulation),
            **measures.fields(),
            flops_ratio=b.flops / self._asked_flops(),
            executed_flops=(c.flops + c.router_flops) / steps,
            baseline_flops=b.flops / steps,
            speedup_interval=speedup_interval,
            latency_interval=latency_interval,
            estimated=shares(c.by_basis),
            rivals=self.both_sides.rivals.speedups(c, b),
            notes=notes_of(self),
            outputs=outputs_of(self.simulation),
            graphs=len(c.graphs),
            prepare_s=self._prepare_s(len(c.graphs)),
            later=Later(
                memory=self.memory,
                waterfall=self._waterfall,
                timeline=self._timeline,
                segments=self._segments,
                sources=self._sources,
            ),
        )

    def check(self) -> None:
        """Raises CondsimError for steps that the trace does not have."""
        len(self.simulation.blocks)

    @property
    def shared_sides(self) -> list[Side]:
        """Sides that are to be priced for the answer, and that another question finds then."""
        return self.walk.shared_sides

    def forget_sides(self) -> None:
        """Forget tables of kernels, which are large, once the sums of all that was asked together
        are known."""
        if self.simulation.protocol.steps_follow:
            self.simulation.forget_sides()

    def _prepare_s(self, compiled: int) -> float:
        """Seconds to prepare the graphs. compiled: how many."""
        graphs = self.simulation.target.profile.graphs
        return compiled * graphs.prepare.value if graphs else 0.0

    # How sure it is

    def _intervals(self, speedup: float, latency_s: float) -> tuple[Interval, Interval]:
        """The 90 % intervals of (speedup, latency)."""
        both, steps = self.both_sides, self.simulation.blocks.steps
        of_speedup, (low_s, high_s) = intervals(
            both.conditional.sources, both.baseline.sources, self.spread()
        )
        of_latency = (low_s / steps, high_s / steps)
        if self.self_check:
            speedup_errors, latency_errors = self.self_check
            of_speedup = at_least(of_speedup, speedup, speedup_errors.covering)
            of_latency = at_least(of_latency, latency_s, latency_errors.covering)
        return around(of_speedup, speedup), around(of_latency, latency_s)

    @cached_property
    def self_check(self) -> tuple[Errors, Errors] | None:
        """How far off speedups and latencies of steps like these were where this machine was
        checked after its calibration; None where it was not, and for graphs, which no check runs.
        """
        check = self.simulation.target.profile.self_check
        if check is None or self.simulation.compiled_on_cpu:
            return None
        latency_s = float(self.both_sides.conditional.seconds.mean())
        cases = check.alike(self.simulation.protocol.name, latency_s)
        return Errors.of_speedup(cases), Errors.of_latency(cases)

    def spread(self) -> Spread:
        """Return how far the seconds of both sides may be off."""
        profile = self.simulation.target.profile
        conditional, baseline = self.both_sides.conditional, self.both_sides.baseline
        uncertainty = {}
        for side in (baseline, conditional):
            for source in side.sources.by_source:
                uncertainty[source] = profile.uncertainty(source)
        uncertainty["dispatch"] = profile.host.dispatch.relative
        uncertainty |= baseline.uncertainty
        uncertainty |= conditional.uncertainty
        if self.simulation.offloading is not None:
            uncertainty[HOST_LINK] = profile.links["host"].relative
        factor = 1.0
        if profile.calibrated:
            factor = CONFORMAL["compiled" if self.simulation.compiled_on_cpu else "eager"]
        return Spread(uncertainty, factor)

    def _sources(self) -> Sources:
        both = self.both_sides
        return Sources(both.conditional.sources, both.baseline.sources, self.spread())

    # Tables

    def _waterfall(self) -> pd.DataFrame:
        both, peak = self.both_sides, self.simulation.peak
        dense = both.baseline.sums
        of_conditional = world_seconds(both.conditional, self.balanced(), both.logical, peak)
        of_baseline = world_seconds(both.baseline, dense, dense.flops, peak)
        return waterfall(of_conditional, of_baseline)

    def balanced(self) -> CostSums:
        """Return what the conditional side costs in a world without load imbalance."""
        asked = self.simulation
        feels = any(strategy.feels_imbalance for strategy in meant(asked.strategies))
        if not feels or name_of(asked.strategies) == asked.scenario.baseline:
            return self.both_sides.conditional.sums
        way = asked.new_way(asked.strategies)
        way.change = partial(without_imbalance, asked.trace)
        way.look_ahead(asked.blocks)
        sums = CostSums(asked.target.profile.calibrated)
        for steps in asked.blocks:
            sums.add(way.side(steps).cost)
        return sums

    def memory(self) -> tuple[Memory, Memory]:
        """Return what the steps of (conditional model, baseline) need."""
        asked = self.simulation
        away_bytes = 0 if asked.offloading is None else asked.offloading.away_bytes
        sample = asked.blocks.sample(SAMPLED_STEPS)
        conditional = asked.way(asked.strategies).lowered(sample)
        baseline = asked.way(asked.baseline_strategies).lowered(sample)
        return (
            memory_of(conditional, asked.target, away_bytes),
            memory_of(baseline, asked.target),
        )

    def _timeline(self) -> pd.DataFrame:
        return timeline(self.simulation.sides(0))

    def _segments(self) -> pd.DataFrame:
        asked = self.simulation
        sides = (asked.sides(block) for block in range(len(asked.blocks)))
        return segments(asked.trace, sides, asked.blocks.steps, asked.protocol)


def question_fields(simulation: Simulation) -> dict[str, Any]:
    """Return the fields of a `Prediction` that say what was asked."""
    scenario, target = simulation.scenario, simulation.target
    return {
        "trace": simulation.trace.name,
        "mechanism": "+".join(simulation.trace.mechanisms),
        "strategy": name_of(simulation.strategies),
        "runtime": target.runtime.name,
        "dtype": target.dtype,
        "weights": scenario.weights or target.dtype,
        "caches": scenario.caches or target.dtype,
        "phase": simulation.cut.phase,
        "batch": simulation.cut.batch,
        "baseline": scenario.baseline,
        "profile": target.profile.name,
        "protocol": simulation.protocol.name,
        "basis": simulation.basis,
    }


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each value in their sum."""
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}
