"""One side of a served model, and what steps of it cost as condsim predicts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from condsim.cost.cost_model import device_model
from condsim.cost.device import DeviceModel, Target
from condsim.cost.energy import with_idle_j
from condsim.predict.carried import Carried
from condsim.predict.choose import program_of
from condsim.predict.gate import answering
from condsim.predict.side import Side
from condsim.predict.walk import Way
from condsim.program import Program
from condsim.program.regime import Regime
from condsim.runtimes.served import with_unpacked_attention
from condsim.steps.extents import CAPACITY_FACTOR, Steps
from condsim.steps.rebatch import site_rules
from condsim.strategies import meant
from condsim.trace import Trace


def phases_of(trace: Trace) -> set[str]:
    """Return the phases that a trace has programs of."""
    regimes = (name.partition("/")[2] for name in trace.programs)
    return {Regime.parse(regime).phase for regime in regimes}


@dataclass
class ServedSide:
    """The conditional model or a baseline, on one device.

    strategies: mechanism → strategy, or a baseline's name for all.
    capacity_factor: of an expert, where a strategy pads. unpacked: whether attention of new tokens
        runs in the kernel that attends for prompts too. priced: steps that were priced so far.
    """

    trace: Trace
    target: Target
    strategies: Mapping[str, str]
    capacity_factor: float = CAPACITY_FACTOR
    unpacked: bool = False
    priced: int = 0
    _ways: dict[str, Way] = field(default_factory=dict)

    @cached_property
    def model(self) -> DeviceModel:
        """The device, with what it remembers of the trace's operators."""
        return device_model(self.target)

    @property
    def two_clocks(self) -> bool:
        """Whether host and device run apart, so that each step is played by itself."""
        return self.model.two_clocks

    def price(self, phase: str, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
        """Return (seconds, joules) of steps that follow each other, float [n] each.

        Kernels for new sizes are there already: a server has been running for a while. Steps of one
        unit and of more run different programs, so each follows its like.
        """
        units = steps.extents["batch"]
        seconds, joules = np.empty(len(units)), np.empty(len(units))
        for single, alike in ((True, units == 1), (False, units > 1)):
            if alike.any():
                regime = str(Regime(phase, single))
                seconds[alike], joules[alike] = self._price(regime, steps.take(alike))
        self.priced += len(units)
        return seconds, joules

    def _price(self, regime: str, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
        with answering(self.trace.name, self.target.profile.name):
            side = self.side(regime, steps)
            seconds = side.clocked_s.copy()
            carried = Carried(self.target.profile, self.target.model_bytes)
            for missed in carried.missed_weights(side.cost, None, ends=True):
                of_steps, missed_s = missed.by_step
                seconds[of_steps] += missed_s
            joules = with_idle_j(seconds, side.work_j, self.target.profile)
            return seconds, joules + side.cost.companion_j

    def recorded(self, regime: str) -> Program:
        """Return the operators of a regime, as they were recorded."""
        return program_of(self.trace, self.strategies, regime)

    def program(self, regime: str) -> Program:
        """Return what is run in a regime."""
        return self._way(regime).program

    def side(self, regime: str, steps: Steps) -> Side:
        """Return steps of one regime, priced when they are asked."""
        return self._way(regime).side(steps)

    @property
    def waits_for_weights(self) -> bool:
        """Whether some strategy copies weights from the host's memory."""
        return any(strategy.waits_for_weights for strategy in meant(self.strategies))

    def _way(self, regime: str) -> Way:
        if regime not in self._ways:
            program = self.target.runtime.fused(self.recorded(regime))
            if self.unpacked:
                program = with_unpacked_attention(program)
            rules = site_rules(self.trace)
            self._ways[regime] = Way(program, rules, self.strategies, self.model)
        return self._ways[regime]
