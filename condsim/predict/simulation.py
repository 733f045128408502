"""One question of a trace and a device: its steps, the programs that run, and both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from condsim.cost.cost_model import device_model
from condsim.cost.device import DeviceModel, Target
from condsim.cost.step_cost import StepCost
from condsim.errors import CondsimError
from condsim.predict.baselines import dropped, logical_flops
from condsim.predict.choose import Strategies, program_of
from condsim.predict.offload import Offloading, play
from condsim.predict.side import Side
from condsim.predict.token_flops import SAME_FLOPS, flops_of_tokens
from condsim.predict.walk import Blocks, Way
from condsim.program import Program
from condsim.protocols import PROTOCOLS, Protocol, usual
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
class Simulation:
    """One question that was found possible: what is run for it.

    What comes out is timed by `condsim.predict.both_sides` and told by `condsim.predict.answer`.

    strategies: mechanism → strategy of the conditional side.
    """

    trace: Trace
    target: Target
    scenario: Scenario
    strategies: Strategies

    # The device

    @cached_property
    def model(self) -> DeviceModel:
        """The device, with what it remembers of this trace's operators."""
        key = ("device", *self._target_key())
        return self.trace.results.remember(key, lambda: device_model(self.target))

    def _target_key(self) -> tuple[Any, ...]:
        target = self.target
        return target.profile.digest, target.dtype, target.runtime.name

    @property
    def peak(self) -> float:
        """FLOPs a second of the device's data sheet."""
        return self.target.peak

    @property
    def compiled_on_cpu(self) -> bool:
        """Whether a CPU runs compiled graphs."""
        return self.target.profile.device_class.is_host and self.target.runtime.host == "kernel"

    @property
    def basis(self) -> str:
        """What the seconds rest on."""
        calibrated = self.target.profile.calibrated and not self.compiled_on_cpu
        return "calibrated" if calibrated else "estimated"

    # Its steps

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

    @cached_property
    def dropped_share(self) -> float:
        """The share of the assignments of rows to experts that are over an expert's capacity."""
        over = total = 0
        for steps in self.blocks:
            over_of_block, of_block = dropped(self.trace, steps)
            over += over_of_block
            total += of_block
        return over / max(total, 1)

    @cached_property
    def protocol(self) -> Protocol:
        """What runs between two runs of a step."""
        asked = self.scenario.protocol
        if asked is not None:
            return PROTOCOLS[asked]
        return usual(self.trace.captured_steps(self.cut.phase))

    # Its programs

    def recorded(self, strategies: Strategies) -> Program:
        """Return the program before the runtime fuses it."""
        return program_of(self.trace, strategies, self.cut.regime)

    @property
    def program_key(self) -> tuple[Any, ...]:
        """What stands for the part of the program that the device runs; empty for all of it."""
        return ()

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

    def way(self, strategies: Strategies) -> Way:
        """Return a side's program on the device."""
        name = name_of(strategies)
        if name not in self._ways:
            self._ways[name] = self.new_way(strategies).look_ahead(self.blocks)
        return self._ways[name]

    @cached_property
    def _ways(self) -> dict[str, Way]:
        """Name of a side's strategies → its program."""
        return {}

    def new_way(self, strategies: Strategies) -> Way:
        """Return a side's program on the device, before it knows any steps."""
        program = self._program(strategies)
        return Way(program, site_rules(self.trace), strategies, self.model)

    # Its sides

    @property
    def conditional(self) -> Side:
        """The conditional side of the first block."""
        return self.side(self.strategies)

    @property
    def baseline(self) -> Side:
        """The baseline of the first block."""
        return self.side(self.baseline_strategies)

    @property
    def baseline_strategies(self) -> Strategies:
        """Mechanism → the baseline's name."""
        return self.same_for_all(self.scenario.baseline)

    def same_for_all(self, strategy: str) -> Strategies:
        """Return every mechanism with one strategy, as a baseline has it."""
        return dict.fromkeys(self.strategies, strategy)

    def sides(self, block: int) -> dict[str, Side]:
        """Return both sides of one of the blocks, by name."""
        return {
            "conditional": self.side(self.strategies, block),
            "baseline": self.side(self.baseline_strategies, block),
        }

    def side(self, strategies: Strategies, block: int = 0) -> Side:
        """Return a side of one of the blocks; the first one is priced first."""

        def make() -> Side:
            return self.way(strategies).side(self.blocks[block])

        if not self.remembers_sides:
            return make()
        return self.trace.results.remember(("side", *self.side_key(strategies)), make)

    def side_key(self, strategies: Strategies) -> tuple[Any, ...]:
        """Return all that a side depends on."""
        asked = self.scenario
        cut = (self.cut.batch, self.cut.phase, asked.threshold)
        question = (*cut, asked.capacity_factor, asked.weights, asked.caches, *self.share_key)
        return *self._target_key(), *question, self.selected, name_of(strategies)

    @property
    def share_key(self) -> tuple[Any, ...]:
        """What stands for the part of the model that the device has; empty for all of it."""
        return ()

    @property
    def remembers_sides(self) -> bool:
        """Whether another question finds the sides of this one."""
        return len(self.blocks) == 1 and self.blocks.few

    def forget_sides(self) -> None:
        """Forget both sides, whose tables of kernels are large."""
        for strategies in (self.strategies, self.baseline_strategies):
            self.trace.results.forget(("side", *self.side_key(strategies)))

    @property
    def waits_for_weights(self) -> bool:
        """Whether some strategy copies weights from the host's memory."""
        return any(strategy.waits_for_weights for strategy in meant(self.strategies))

    @cached_property
    def offloading(self) -> Offloading | None:
        """What the conditional side waits for, where its weights are in the host's memory."""
        if not self.waits_for_weights:
            return None
        share = self.scenario.expert_cache
        if not self.remembers_sides:
            return play(self.conditional, share)
        key = ("offloading", share, *self.side_key(self.strategies))
        return self.trace.results.remember(key, lambda: play(self.conditional, share))

    def logical(self, steps: Steps, dense: StepCost) -> np.ndarray:
        """Return the FLOPs that the decisions ask for, float [steps]. dense: same-params."""
        if steps.lengths:
            program = self.recorded(self.same_for_all(SAME_FLOPS))
            return flops_of_tokens(program, site_rules(self.trace), steps)
        return logical_flops(self.trace, steps, dense)
