"""What the page Compare compares: the scenarios of a choice, and their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from condsim.dashboard.parts import fields, library
from condsim.dashboard.parts.fields import AS_MEASURED
from condsim.dashboard.parts.scenario import Scenario
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.choose import strategies_on
from condsim.predict.simulate import resolve_profile
from condsim.study.ranking import predict_all
from condsim.trace import Trace

AS_CAPTURED = "as captured"
"""Stands among strategies for the one that the trace was captured with."""


@dataclass(frozen=True)
class Choice:
    """What is compared. devices, strategies and models as they are chosen; models: traces.

    every_device, every_strategy: nothing was left out.
    """

    devices: Sequence[str]
    strategies: Sequence[str]
    models: Sequence[str]
    every_device: bool = False
    every_strategy: bool = False


def strategies_of_all(trace: Trace, devices: Sequence[str]) -> list[str]:
    """The strategies that any of the devices has for a trace, each once."""
    names: dict[str, None] = {}
    for device in devices:
        with contextlib.suppress(CondsimError):  # a profile that cannot be read is said in its row
            profile = fields.profile_of(trace, None if device == AS_MEASURED else device)
            names |= dict.fromkeys(strategies_on(trace, profile))
    return list(names)


def scenarios_of(scenario: Scenario, choice: Choice) -> list[Scenario]:
    """A scenario for each trace, device and strategy that is chosen, each in its own dtype.

    A trace that was not measured is left out of the devices as measured.
    """
    scenarios = []
    for model in choice.models:
        where = library.where(model)
        of_model = replace(scenario, name=model, where=where, dtype=None, runtime=None)
        for device in choice.devices:
            if device == AS_MEASURED and library.open_trace(model).profile is None:
                continue
            name = None if device == AS_MEASURED else device
            on_device = replace(of_model, device=name)
            for strategy in choice.strategies:
                scenarios.append(replace(on_device, strategy=named(strategy)))
    return scenarios


def has_strategy(scenario: Scenario) -> bool:
    """Whether the device has the strategy; the captured one is replaced where it is missing."""
    if scenario.strategy is None:
        return True
    trace = library.open_trace(scenario.name)
    try:
        return scenario.strategy in strategies_on(trace, fields.profile_of(trace, scenario.device))
    except CondsimError:
        return True  # the row says what is wrong


def left_out(scenarios: Sequence[Scenario]) -> list[str]:
    """Which devices have not which strategy, a line a strategy and trace. scenarios: of them."""
    devices: dict[tuple[str | None, str], list[str]] = {}
    for scenario in scenarios:
        key = (scenario.strategy, scenario.name)
        devices.setdefault(key, []).append(scenario.device or AS_MEASURED)
    return [
        f"{strategy} of {trace} is not for: {', '.join(names)}."
        for (strategy, trace), names in devices.items()
    ]


def named(strategy: str) -> str | None:
    """A strategy as a scenario has it."""
    return None if strategy == AS_CAPTURED else strategy


def predicted_rows(scenarios: Sequence[Scenario]) -> Iterator[dict[str, Any]]:
    """A row a scenario, of `condsim.study.ranking.predict_all`; its kind of device, its trace."""
    for scenario in scenarios:
        try:
            yield predicted_row(scenario)
        except CondsimError as error:  # a profile that cannot be read
            yield {
                "profile": scenario.device,
                "strategy": scenario.strategy or AS_CAPTURED,
                "error": str(error),
            }


def predicted_row(scenario: Scenario) -> dict[str, Any]:
    """The row of one scenario. Raises CondsimError where its profile cannot be read."""

    def compute(trace: Trace, profile: HardwareProfile | None) -> dict[str, Any]:
        device = resolve_profile(trace, profile)
        options = scenario.options()
        rows = predict_all(trace, [device], [scenario.strategy], scenario.baseline, **options)
        return {"kind": device.kind, "trace": scenario.name, **next(rows)}

    return library.computed_once("row", scenario, compute)
