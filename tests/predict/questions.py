"""Questions that tests ask."""

from __future__ import annotations

import condsim
from condsim.cost.device import Target
from condsim.predict.choose import choose_strategies
from condsim.predict.simulation import Simulation
from condsim.runtimes import choose_runtime
from condsim.scenario import Scenario
from condsim.trace import Trace


def simulation(trace: Trace, device: str, scenario: Scenario) -> Simulation:
    """What is run for a scenario, by the strategies that were captured."""
    profile = condsim.hardware(device)
    target = Target(profile, profile.dtype, choose_runtime(None, profile))
    return Simulation(trace, target, scenario, choose_strategies(trace, None))
