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
from condsim.errors import CondsimError
from condsim.lower import Lowered, lower
from condsim.predict.baselines import (
    Rivals,
    dropped_share,
    logical_flops,
    without_imbalance,
)
from condsim.predict.intervals import CONFORMAL, Spread, around, intervals
from condsim.predict.offload import Offloading, play
from condsim.predict.peak_memory import peak_with_weights
from condsim.predict.prediction import AS_CAPTURED, Later, Prediction
from condsim.predict.segments import segments
from condsim.predict.side import Side, price_together
from condsim.predict.timed import HOST_LINK, TimedSide, world_seconds
from condsim.predict.timeline import timeline
from condsim.predict.waterfall import waterfall
from condsim.program import Program
from condsim.scenario import Scenario
from condsim.steps.extents import CAPACITY_FACTOR, Steps
from condsim.steps.rebatch import Cut, rebatch, site_rules
from condsim.strategies import STRATEGIES, name_of
from condsim.strategies.choose import (
    Strategies,
    program_of,
)
from condsim.trace import Trace

CLOCKED_STEPS = 16
"""Steps that are looked at where host and device are two clocks, which need each step in executed
order."""

LARGE_SIDE_STEPS = 10_000
"""Sides of more steps are not remembered."""


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
        count = len(self.cut.steps)
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
    def steps(self) -> Steps:
        """The steps that are looked at."""
        steps = self.cut.steps
        if self.selected is not None:
            numbers = np.array(self.selected, int)
            steps = steps.take(numbers)
        return replace(steps, capacity_factor=self.scenario.capacity_factor)

    @property
    def waits_for_weights(self) -> bool:
        """Whether some strategy copies weights from the host's memory."""
        return any(STRATEGIES[name].waits_for_weights for name in self.strategies.values())

    def _target_key(self) -> tuple[Any, ...]:
        target = self.target
        return target.profile.digest, target.dtype, target.runtime.name

    # Both sides

    def lowered(self, strategies: Mapping[str, str], steps: Steps) -> Lowered:
        """Return a side's program on given steps."""
        program = self._program(strategies)
        rules = site_rules(self.trace)
        return lower(program, rules, strategies, steps)

    def _program(self, strategies: Mapping[str, str]) -> Program:
        """The program as the runtime runs it."""
        regime = self.cut.regime
        runtime = self.target.runtime
        program = program_of(self.trace, strategies, regime)
        if runtime.fuses is None:
            return program
        kind = self.target.profile.kind
        key = ("fused", runtime.name, kind, name_of(strategies), regime)
        return self.trace.results.remember(key, lambda: runtime.fused(program))

    def side(self, strategies: Mapping[str, str]) -> Side:
        """Return a side of all steps that are looked at."""
        make = partial(self._side, strategies)
        if not self.remembers_sides:
            return make()
        asked = self.scenario
        question = (self.cut.batch, self.cut.phase, asked.threshold, asked.capacity_factor)
        key = ("side", *self._target_key(), *question, self.selected, name_of(strategies))
        return self.trace.results.remember(key, make)

    @property
    def remembers_sides(self) -> bool:
        """Whether another question finds the sides of this one."""
        return len(self.steps) <= LARGE_SIDE_STEPS

    def _side(self, strategies: Mapping[str, str]) -> Side:
        lowered = self.lowered(strategies, self.steps)
        return Side(lowered, self.model)

    @cached_property
    def conditional(self) -> Side:
        return self.side(self.strategies)

    @cached_property
    def baseline(self) -> Side:
        return self._same_for_all(self.scenario.baseline)

    def _same_for_all(self, strategy: str) -> Side:
        """The side that runs every mechanism with one strategy, as a baseline does."""
        strategies = dict.fromkeys(self.strategies, strategy)
        return self.side(strategies)

    @property
    def sides(self) -> list[Side]:
        """All sides that the answer rests on."""
        return [self.conditional, self.baseline, self._same_for_all("same-params")]

    @cached_property
    def logical(self) -> np.ndarray:
        """FLOPs that the decisions ask for, float [steps]."""
        dense = self._same_for_all("same-params")
        return logical_flops(self.trace, self.steps, dense.cost)

    @property
    def peak(self) -> float:
        """FLOPs a second of the device's data sheet."""
        peak_flops = self.target.profile.peak_flops
        return peak_flops[self.target.dtype].value

    @property
    def basis(self) -> str:
        """What the seconds rest on."""
        calibrated = self.target.profile.calibrated and not self.compiled_on_cpu
        return "calibrated" if calibrated else "estimated"

    # The answer

    def prediction(self) -> Prediction:
        """Return what the simulation says."""
        if self.remembers_sides:
            price_together(self.sides)
        conditional, baseline = self.timed
        speedup = float(baseline.seconds.sum() / conditional.seconds.sum())
        latency_s = float(conditional.seconds.mean())
        speedup_interval, (low_s, high_s) = intervals(
            conditional.sources, baseline.sources, self._spread()
        )
        steps = len(self.steps)
        latency_interval = (low_s / steps, high_s / steps)
        c, b = conditional.side.cost, baseline.side.cost
        executed_flops = c.flops + c.router_flops
        rivals = Rivals(self.target.profile, self.peak)
        return Prediction(
            trace=self.trace.name,
            mechanism="+".join(self.trace.mechanisms),
            strategy=name_of(self.strategies),
            runtime=self.target.runtime.name,
            dtype=self.target.dtype,
            phase=self.cut.phase,
            batch=self.cut.batch,
            baseline=self.scenario.baseline,
            profile=self.target.profile.name,
            speedup=speedup,
            latency_s=latency_s,
            baseline_s=float(baseline.seconds.mean()),
            energy_j=conditional.side.energy_j(conditional.seconds),
            baseline_energy_j=baseline.side.energy_j(baseline.seconds),
            flops_ratio=float(b.flops.sum() / self.logical.sum()),
            executed_flops=float(executed_flops.mean()),
            baseline_flops=float(b.flops.mean()),
            speedup_interval=around(speedup_interval, speedup),
            latency_interval=around(latency_interval, latency_s),
            estimated=_shares(c.by_basis),
            steps=self._steps_table(conditional.seconds, baseline.seconds),
            rivals=rivals.speedups(c, b, self.logical),
            notes=self._notes(),
            outputs=self._outputs(),
            graphs=c.graphs,
            prepare_s=self._prepare_s(c.graphs),
            basis=self.basis,
            later=Later(
                peaks=self._peaks,
                waterfall=self._waterfall,
                timeline=self._timeline,
                segments=self._segments,
            ),
        )

    def _prepare_s(self, compiled: int) -> float:
        """Seconds to prepare the graphs. compiled: how many."""
        graphs = self.target.profile.graphs
        return compiled * graphs.prepare.value if graphs else 0.0

    @cached_property
    def timed(self) -> tuple[TimedSide, TimedSide]:
        """Seconds of the conditional side and the baseline."""
        conditional, baseline = self.conditional, self.baseline
        in_turn = self.scenario.protocol == "repeat"
        by_events = self.scenario.engine == "events"
        timed_c = TimedSide.of(conditional, baseline if in_turn else None, by_events)
        timed_b = TimedSide.of(baseline, conditional if in_turn else None, by_events)
        played = self.offloading
        if played is not None:
            timed_c = replace(timed_c, seconds=played.seconds, waited_s=played.waited_s)
        return timed_c, timed_b

    @cached_property
    def offloading(self) -> Offloading | None:
        """What the conditional side waits for, where its weights are in the host's memory."""
        if not self.waits_for_weights:
            return None
        return play(self.conditional, self.scenario.expert_cache)

    def _spread(self) -> Spread:
        """How far the seconds of both sides may be off."""
        profile = self.target.profile
        conditional, baseline = self.timed
        uncertainty = {}
        for side in (baseline, conditional):
            for source in side.sources.by_source:
                uncertainty[source] = profile.uncertainty(source)
        uncertainty["dispatch"] = profile.host.dispatch.relative
        uncertainty |= baseline.side.cost.uncertainty
        uncertainty |= conditional.side.cost.uncertainty
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
        conditional, baseline = self.timed
        logical = float(self.logical.sum())
        even = self.balanced().cost
        dense = baseline.side.cost
        dense_flops = float(dense.flops.sum())
        of_conditional = world_seconds(conditional, even, logical, self.peak)
        of_baseline = world_seconds(baseline, dense, dense_flops, self.peak)
        return waterfall(of_conditional, of_baseline)

    def _steps_table(self, conditional_s: np.ndarray, baseline_s: np.ndarray) -> pd.DataFrame:
        selected = self.selected
        numbers = np.arange(len(self.steps)) if selected is None else np.array(selected)
        columns = {
            "step": numbers,
            "conditional_s": conditional_s,
            "baseline_s": baseline_s,
        }
        return pd.DataFrame(columns, copy=False)

    def _notes(self) -> tuple[str, ...]:
        return (
            *self.trace.header.notes,
            *self._notes_on_steps(),
            *self._notes_on_strategies(),
        )

    def _notes_on_steps(self) -> list[str]:
        """How the steps differ from the captured ones."""
        captured_in, predicted_in = self.trace.dtype, self.target.dtype
        notes = []
        if self.target.profile.calibrated and captured_in != predicted_in:
            notes.append(
                f"captured in {captured_in}, predicted in {predicted_in}: casts between the "
                "two are as captured"
            )
        dropped = self.cut.dropped
        if dropped:
            notes.append(f"{dropped} units of partial last steps are left out")
        if self.scenario.steps is None and self.selected is not None:
            looked_at = len(self.selected)
            all_steps = len(self.cut.steps)
            if looked_at < all_steps:
                notes.append(
                    f"{looked_at} of {all_steps} steps are looked at: host and device are two "
                    "clocks here, which need each step in order; percentiles mean little"
                )
        flagged = program_of(self.trace, self.strategies, self.cut.regime).flagged
        if flagged:
            count = len(flagged)
            notes.append(f"{count} operators keep the size they were captured at: {flagged[0]}")
        return notes

    def _notes_on_strategies(self) -> list[str]:
        """What the strategies change about the model."""
        chosen = [STRATEGIES[name] for name in self.strategies.values()]
        notes = []
        for strategy in chosen:
            if strategy.changes:
                notes.append(f"{strategy.name}: {strategy.changes}")
        notes += self._ignored()
        if any(strategy.drops for strategy in chosen):
            share = self._dropped_share
            factor = self.steps.capacity_factor
            notes.append(
                f"capacity factor {factor:g}: {share:.1%} of the assignments "
                "are over an expert's capacity and dropped, so outputs differ from the model's"
            )
        return notes

    def _ignored(self) -> list[str]:
        """What was asked for and changes nothing."""
        drops = any(STRATEGIES[name].drops for name in self.strategies.values())
        ignored = []
        if self.scenario.capacity_factor != CAPACITY_FACTOR and not drops:
            ignored.append("capacity_factor")
        if self.scenario.expert_cache is not None and not self.waits_for_weights:
            ignored.append("expert_cache")
        strategy = name_of(self.strategies)
        return [f"{name} changes nothing: strategy {strategy} does not use it" for name in ignored]

    def _outputs(self) -> str:
        """How the outputs differ from the model's, in a few words."""
        chosen = [STRATEGIES[name] for name in self.strategies.values()]
        words = [f"changed by {strategy.name}" for strategy in chosen if strategy.changes]
        if any(strategy.drops for strategy in chosen):
            share = self._dropped_share
            words += [f"{share:.1%} of the assignments dropped"] if share else []
        return ", ".join(words) or AS_CAPTURED

    @cached_property
    def _dropped_share(self) -> float:
        return dropped_share(self.trace, self.steps)

    def _peaks(self) -> tuple[int, int]:
        away_bytes = 0 if self.offloading is None else self.offloading.away_bytes
        conditional = peak_with_weights(self.conditional.lowered, self.target)
        baseline = peak_with_weights(self.baseline.lowered, self.target)
        return conditional - away_bytes, baseline

    def _timeline(self) -> pd.DataFrame:
        sides = {"conditional": self.conditional, "baseline": self.baseline}
        return timeline(sides)

    def _segments(self) -> pd.DataFrame:
        sides = {"conditional": self.conditional, "baseline": self.baseline}
        return segments(self.trace, sides, repeat=self.scenario.protocol == "repeat")

    def balanced(self) -> Side:
        """Return the conditional side in a world without load imbalance."""
        feels = any(STRATEGIES[name].feels_imbalance for name in self.strategies.values())
        if not feels or name_of(self.strategies) == self.scenario.baseline:
            return self.conditional
        even_steps = without_imbalance(self.trace, self.steps)
        lowered = self.lowered(self.strategies, even_steps)
        return Side(lowered, self.model)


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """The share of each value in their sum."""
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()}
