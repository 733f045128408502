"""One question of a trace and a device: both sides cut, lowered, priced and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.cost_model import device_model
from condsim.cost.device import DeviceModel, Target
from condsim.cost.step_cost import StepCost
from condsim.cost.sums import CostSums
from condsim.errors import CondsimError
from condsim.hardware import Errors
from condsim.predict.baselines import Rivals, dropped, logical_flops, without_imbalance
from condsim.predict.choose import (
    Strategies,
    program_of,
)
from condsim.predict.intervals import (
    CONFORMAL,
    Sources,
    Spread,
    around,
    at_least,
    intervals,
)
from condsim.predict.memory import Memory, memory_of
from condsim.predict.notes import notes_of, outputs_of
from condsim.predict.offload import Offloading, play
from condsim.predict.peak_memory import SAMPLED_STEPS
from condsim.predict.prediction import Later, Prediction, StepSeconds
from condsim.predict.segments import segments
from condsim.predict.side import Side, between_runs, price_together
from condsim.predict.timed import HOST_LINK, SideWalk, TimedSide, world_seconds
from condsim.predict.timeline import timeline
from condsim.predict.token_flops import SAME_FLOPS, flops_of_tokens
from condsim.predict.walk import Blocks, Way
from condsim.predict.waterfall import waterfall
from condsim.program import Program
from condsim.protocols import PROTOCOLS, Meanwhile, Protocol, usual
from condsim.runtimes.caches import cached
from condsim.runtimes.quantised import quantised
from condsim.scenario import Scenario
from condsim.steps.extents import Steps
from condsim.steps.rebatch import Cut, rebatch, site_rules
from condsim.strategies import meant, name_of
from condsim.trace import Trace

SAME_PARAMS = "same-params"
"""The baseline that says which FLOPs do not depend on decisions."""

CLOCKED_STEPS = 16
"""Steps that are looked at where host and device are two clocks, which need each step in executed
order."""


@dataclass(frozen=True)
class Walked:
    """What a walk through all steps found. logical: FLOPs that the decisions ask for, in all."""

    conditional: TimedSide
    baseline: TimedSide
    logical: float

    @property
    def rivals(self) -> Rivals:
        """What others would estimate."""
        return Rivals.of(self.conditional.sums, self.baseline.sums, self.logical)


@dataclass(frozen=True)
class Simulation:
    """One question that was found possible.

    strategies: mechanism → strategy of the conditional side.
    """

    trace: Trace
    target: Target
    scenario: Scenario
    strategies: Strategies

    # What is run

    @cached_property
    def model(self) -> DeviceModel:
        """The device, with what it remembers of this trace's operators."""
        key = ("device", *self._target_key())
        return self.trace.results.remember(key, lambda: device_model(self.target))

    @cached_property
    def cut(self) -> Cut:
        """The trace's units in steps."""
        asked = self.scenario
        return rebatch(self.trace, asked.batch, asked.phase, asked.threshold)

    @cached_property
    def selected(self) -> tuple[int, ...] | None:
        """Numbers of the steps that are looked at; None for all."""
        count = len(self.cut)
        if self.scenario.steps is not None:
            return self._checked(self.scenario.steps, count)
        if self.waits_for_weights:  # what a cache has depends on the step before
            return tuple(range(min(count, CLOCKED_STEPS)))
        if self.model.two_clocks and count > CLOCKED_STEPS:
            evenly_spaced = np.linspace(0, count - 1, CLOCKED_STEPS).astype(int)
            distinct: list[int] = np.unique(evenly_spaced).tolist()
            return tuple(distinct)
        return None

    def _checked(self, asked: Iterable[int], count: int) -> tuple[int, ...]:
        chosen = tuple(int(step) for step in asked)
        for step in chosen:
            if step >= count:
                raise CondsimError(
                    f"steps: trace {self.trace.name!r} has {count} steps of {self.cut.batch} "
                    f"units, numbered from 0; there is no step {step}"
                )
        return chosen

    @cached_property
    def blocks(self) -> Blocks:
        """The steps that are looked at."""
        capacity_factor = self.scenario.capacity_factor
        in_one = self.waits_for_weights
        return Blocks(self.cut, self.selected, capacity_factor, in_one)

    @property
    def waits_for_weights(self) -> bool:
        """Whether some strategy copies weights from the host's memory."""
        return any(strategy.waits_for_weights for strategy in meant(self.strategies))

    def _target_key(self) -> tuple[Any, ...]:
        target = self.target
        return target.profile.digest, target.dtype, target.runtime.name

    # Both sides

    @cached_property
    def _ways(self) -> dict[str, Way]:
        """Name of a side's strategies → its program."""
        return {}

    def way(self, strategies: Strategies) -> Way:
        """Return a side's program on the device."""
        name = name_of(strategies)
        if name not in self._ways:
            self._ways[name] = self._way(strategies).look_ahead(self.blocks)
        return self._ways[name]

    def _way(self, strategies: Strategies) -> Way:
        program = self._program(strategies)
        return Way(program, site_rules(self.trace), strategies, self.model)

    def _program(self, strategies: Strategies) -> Program:
        """The program as the runtime runs it."""
        regime = self.cut.regime
        runtime, weights, caches = self.target.runtime, self.scenario.weights, self.scenario.caches
        program = self.recorded(strategies)
        if runtime.fuses is None and weights is None:
            return program

        def rewritten() -> Program:
            runs = runtime.fused(program)
            if weights is not None:
                runs = quantised(runs, weights, [site.name for site in self.trace.sites])
            return runs if caches is None else cached(runs, caches)

        stored = (weights, caches)
        kind = self.target.profile.kind
        named = name_of(strategies)
        key = ("fused", runtime.name, kind, stored, named, regime, *self.program_key)
        return self.trace.results.remember(key, rewritten)

    def recorded(self, strategies: Strategies) -> Program:
        """Return the program before the runtime fuses it."""
        return program_of(self.trace, strategies, self.cut.regime)

    @property
    def program_key(self) -> tuple[Any, ...]:
        """What stands for the part of the program that the device runs; empty for all of it."""
        return ()

    @property
    def share_key(self) -> tuple[Any, ...]:
        """What stands for the part of the model that the device has; empty for all of it."""
        return ()

    def side(self, strategies: Strategies, block: int = 0) -> Side:
        """Return a side of one of the blocks; the first one is priced first."""

        def make() -> Side:
            return self.way(strategies).side(self.blocks[block])

        if not self.remembers_sides:
            return make()
        return self.trace.results.remember(("side", *self._side_key(strategies)), make)

    def _side_key(self, strategies: Strategies) -> tuple[Any, ...]:
        """All that a side depends on."""
        asked = self.scenario
        cut = (self.cut.batch, self.cut.phase, asked.threshold)
        question = (*cut, asked.capacity_factor, asked.weights, asked.caches, *self.share_key)
        return *self._target_key(), *question, self.selected, name_of(strategies)

    @property
    def remembers_sides(self) -> bool:
        """Whether another question finds the sides of this one."""
        return len(self.blocks) == 1 and self.blocks.few

    def same_for_all(self, strategy: str) -> Strategies:
        """Return every mechanism with one strategy, as a baseline has it."""
        return dict.fromkeys(self.strategies, strategy)

    @property
    def conditional(self) -> Side:
        """The conditional side of the first block."""
        return self.side(self.strategies)

    @property
    def baseline(self) -> Side:
        """The baseline of the first block."""
        return self.side(self.same_for_all(self.scenario.baseline))

    @property
    def shared_sides(self) -> list[Side]:
        """Sides that are to be priced for the answer, and that another question finds then."""
        if not self.remembers_sides:
            return []
        both = (self.strategies, self.same_for_all(self.scenario.baseline))
        results = self.trace.results
        needed = list(both)
        if self._timed_apart:
            needed = [side for side in both if self._timed_key(side) not in results]
        if self._logical_key not in results and self._dense not in needed:
            needed.append(self._dense)
        return [self.side(strategies) for strategies in needed]

    @cached_property
    def protocol(self) -> Protocol:
        """What runs between two runs of a step."""
        asked = self.scenario.protocol
        if asked is not None:
            return PROTOCOLS[asked]
        return usual(self.trace.captured_steps(self.cut.phase))

    @cached_property
    def walked(self) -> Walked:
        """What a walk through all steps finds."""
        if self._timed_apart:
            logical = self._logical_alone()
            conditional = self._timed_alone(self.strategies)
            baseline = self._timed_alone(self.same_for_all(self.scenario.baseline))
        else:
            conditional, baseline, logical = self._timed_by_block()
        played = self.offloading
        if played is not None:
            waited_s = float(played.waited_s.sum())
            conditional = replace(conditional, seconds=played.seconds, waited_s=waited_s)
        return Walked(conditional, baseline, logical)

    @property
    def _timed_apart(self) -> bool:
        """Whether a side takes the same whatever it is compared with, so that other questions find
        its seconds again."""
        return self.remembers_sides and self.protocol.meanwhile is not Meanwhile.OTHER_SIDE

    def _timed_alone(self, strategies: Strategies) -> TimedSide:
        """A side in one block, whatever it is compared with; other questions find it again."""

        def walk() -> TimedSide:
            side, alone = self.side(strategies), self._new_walk()
            alone.add(side, between_runs(self.protocol, side, side))
            return alone.timed()

        return self.trace.results.remember(self._timed_key(strategies), walk)

    def _timed_key(self, strategies: Strategies) -> tuple[Any, ...]:
        asked = (self.scenario.engine, self.protocol.name)
        return ("timed", *asked, *self._side_key(strategies))

    def _timed_by_block(self) -> tuple[TimedSide, TimedSide, float]:
        """(both sides, the FLOPs that the decisions ask for), a block of steps after the other."""
        walk_c, walk_b = self._new_walk(), self._new_walk()
        logical = 0.0
        for block in range(len(self.blocks)):
            logical += self._add_block(block, walk_c, walk_b)
        return walk_c.timed(), walk_b.timed(), logical

    def _add_block(self, block: int, walk_c: SideWalk, walk_b: SideWalk) -> float:
        """Add a block of steps, whose sides are forgotten before the next one is priced.

        Returns the FLOPs that its decisions ask for.
        """
        conditional = self.side(self.strategies, block)
        baseline = self.side(self.same_for_all(self.scenario.baseline), block)
        walk_c.add(conditional, between_runs(self.protocol, conditional, baseline))
        walk_b.add(baseline, between_runs(self.protocol, baseline, conditional))
        is_dense = self.scenario.baseline == SAME_PARAMS
        return self._logical_of(baseline if is_dense else self.side(self._dense, block), block)

    def _new_walk(self) -> SideWalk:
        by_events = self.scenario.engine == "events"
        return SideWalk(self.model, self.blocks.steps, by_events)

    @property
    def _dense(self) -> Strategies:
        return self.same_for_all(SAME_PARAMS)

    def _logical_of(self, dense: Side, block: int) -> float:
        return float(self.logical(self.blocks[block], dense.cost).sum())

    @property
    def _logical_key(self) -> tuple[Any, ...]:
        return ("logical", *self._side_key(self._dense))

    def _logical_alone(self) -> float:
        """The FLOPs that the decisions of one block ask for; other questions find them again."""
        results = self.trace.results
        return results.remember(
            self._logical_key, lambda: self._logical_of(self.side(self._dense), 0)
        )

    def logical(self, steps: Steps, dense: StepCost) -> np.ndarray:
        """Return the FLOPs that the decisions ask for, float [steps]. dense: same-params."""
        if steps.lengths:
            program = self.recorded(self.same_for_all(SAME_FLOPS))
            return flops_of_tokens(program, site_rules(self.trace), steps)
        return logical_flops(self.trace, steps, dense)

    @property
    def peak(self) -> float:
        """FLOPs a second of the device's data sheet."""
        return self.target.peak

    @property
    def basis(self) -> str:
        """What the seconds rest on."""
        calibrated = self.target.profile.calibrated and not self.compiled_on_cpu
        return "calibrated" if calibrated else "estimated"

    # The answer

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        price_together(self.shared_sides)
        return self._predicted()

    def check(self) -> None:
        """Raises CondsimError for steps that the trace does not have."""
        len(self.blocks)

    def forget_sides(self) -> None:
        """Forget tables of kernels, which are large, once the sums of all that was asked together
        are known."""
        if self.protocol.steps_follow:
            for strategies in (self.strategies, self.same_for_all(self.scenario.baseline)):
                self.trace.results.forget(("side", *self._side_key(strategies)))

    def _predicted(self) -> Prediction:
        conditional, baseline = self.walked.conditional, self.walked.baseline
        c, b = conditional.sums, baseline.sums
        speedup = float(baseline.seconds.sum() / conditional.seconds.sum())
        latency_s = float(conditional.seconds.mean())
        speedup_interval, (low_s, high_s) = intervals(
            conditional.sources, baseline.sources, self._spread()
        )
        steps = self.blocks.steps
        latency_interval = (low_s / steps, high_s / steps)
        if self.self_check:
            of_speedup, of_latency = self.self_check
            speedup_interval = at_least(speedup_interval, speedup, of_speedup.covering)
            latency_interval = at_least(latency_interval, latency_s, of_latency.covering)
        return Prediction(
            trace=self.trace.name,
            mechanism="+".join(self.trace.mechanisms),
            strategy=name_of(self.strategies),
            runtime=self.target.runtime.name,
            dtype=self.target.dtype,
            weights=self.scenario.weights or self.target.dtype,
            caches=self.scenario.caches or self.target.dtype,
            phase=self.cut.phase,
            batch=self.cut.batch,
            baseline=self.scenario.baseline,
            profile=self.target.profile.name,
            protocol=self.protocol.name,
            speedup=speedup,
            latency_s=latency_s,
            baseline_s=float(baseline.seconds.mean()),
            energy_j=conditional.energy_j,
            baseline_energy_j=baseline.energy_j,
            flops_ratio=b.flops / self.walked.logical,
            executed_flops=(c.flops + c.router_flops) / steps,
            baseline_flops=b.flops / steps,
            speedup_interval=around(speedup_interval, speedup),
            latency_interval=around(latency_interval, latency_s),
            estimated=_shares(c.by_basis),
            of_steps=StepSeconds(self.blocks.numbers, conditional.seconds, baseline.seconds),
            rivals=self.walked.rivals.speedups(c, b),
            notes=notes_of(self),
            outputs=outputs_of(self),
            graphs=len(c.graphs),
            prepare_s=self._prepare_s(len(c.graphs)),
            basis=self.basis,
            later=Later(
                memory=self._memory,
                waterfall=self._waterfall,
                timeline=self._timeline,
                segments=self._segments,
                sources=self._sources,
            ),
        )

    def _sources(self) -> Sources:
        conditional, baseline = self.walked.conditional, self.walked.baseline
        return Sources(conditional.sources, baseline.sources, self._spread())

    def _prepare_s(self, compiled: int) -> float:
        """Seconds to prepare the graphs. compiled: how many."""
        graphs = self.target.profile.graphs
        return compiled * graphs.prepare.value if graphs else 0.0

    @cached_property
    def offloading(self) -> Offloading | None:
        """What the conditional side waits for, where its weights are in the host's memory."""
        if not self.waits_for_weights:
            return None
        return play(self.conditional, self.scenario.expert_cache)

    @cached_property
    def self_check(self) -> tuple[Errors, Errors] | None:
        """How far off speedups and latencies of steps like these were where this machine was
        checked after its calibration; None where it was not, and for graphs, which no check runs.
        """
        check = self.target.profile.self_check
        if check is None or self.compiled_on_cpu:
            return None
        latency_s = float(self.walked.conditional.seconds.mean())
        cases = check.alike(self.protocol.name, latency_s)
        return Errors.of_speedup(cases), Errors.of_latency(cases)

    def _spread(self) -> Spread:
        """How far the seconds of both sides may be off."""
        profile = self.target.profile
        conditional, baseline = self.walked.conditional, self.walked.baseline
        uncertainty = {}
        for side in (baseline, conditional):
            for source in side.sources.by_source:
                uncertainty[source] = profile.uncertainty(source)
        uncertainty["dispatch"] = profile.host.dispatch.relative
        uncertainty |= baseline.uncertainty
        uncertainty |= conditional.uncertainty
        if self.offloading is not None:
            uncertainty[HOST_LINK] = profile.links["host"].relative
        factor = 1.0
        if profile.calibrated:
            factor = CONFORMAL["compiled" if self.compiled_on_cpu else "eager"]
        return Spread(uncertainty, factor)

    @property
    def compiled_on_cpu(self) -> bool:
        """Whether a CPU runs compiled graphs."""
        return self.target.profile.kind == "cpu" and self.target.runtime.host == "kernel"

    def _waterfall(self) -> pd.DataFrame:
        conditional, baseline = self.walked.conditional, self.walked.baseline
        dense_flops = baseline.sums.flops
        logical = self.walked.logical
        of_conditional = world_seconds(conditional, self._balanced(), logical, self.peak)
        of_baseline = world_seconds(baseline, baseline.sums, dense_flops, self.peak)
        return waterfall(of_conditional, of_baseline)

    @cached_property
    def dropped_share(self) -> float:
        """The share of the assignments of rows to experts that are over an expert's capacity."""
        over = total = 0
        for steps in self.blocks:
            over_of_block, of_block = dropped(self.trace, steps)
            over += over_of_block
            total += of_block
        return over / max(total, 1)

    def _memory(self) -> tuple[Memory, Memory]:
        away_bytes = 0 if self.offloading is None else self.offloading.away_bytes
        sample = self.blocks.sample(SAMPLED_STEPS)
        baseline = self.same_for_all(self.scenario.baseline)
        return (
            memory_of(self.way(self.strategies).lowered(sample), self.target, away_bytes),
            memory_of(self.way(baseline).lowered(sample), self.target),
        )

    def _timeline(self) -> pd.DataFrame:
        return timeline(self._sides_of(0))

    def _segments(self) -> pd.DataFrame:
        blocks = (self._sides_of(block) for block in range(len(self.blocks)))
        return segments(self.trace, blocks, self.blocks.steps, self.protocol)

    def _sides_of(self, block: int) -> dict[str, Side]:
        baseline = self.same_for_all(self.scenario.baseline)
        return {
            "conditional": self.side(self.strategies, block),
            "baseline": self.side(baseline, block),
        }

    def _balanced(self) -> CostSums:
        """What the conditional side costs in a world without load imbalance."""
        feels = any(strategy.feels_imbalance for strategy in meant(self.strategies))
        if not feels or name_of(self.strategies) == self.scenario.baseline:
            return self.walked.conditional.sums
        way = self._way(self.strategies)
        way.change = partial(without_imbalance, self.trace)
        way.look_ahead(self.blocks)
        sums = CostSums(self.target.profile.calibrated)
        for steps in self.blocks:
            sums.add(way.side(steps).cost)
        return sums


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """The share of each value in their sum."""
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}
