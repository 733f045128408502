"""How to get the rows of the page Compare on the command line and in Python."""

from __future__ import annotations

import shlex
from dataclasses import replace

from condsim.dashboard.parts import library
from condsim.dashboard.parts.compared import AS_CAPTURED, Choice, named
from condsim.dashboard.parts.fields import AS_MEASURED
from condsim.dashboard.parts.reproduce import flags, keywords, python
from condsim.dashboard.parts.scenario import Scenario


def command(scenario: Scenario, choice: Choice) -> str:
    """What to type for them: a line a trace and strategy, with a loop over some devices."""
    strategies = ["all"] if choice.every_strategy else choice.strategies
    lines = []
    for model in choice.models:
        for strategy in strategies:
            lines += _lines(library.where(model), strategy, scenario, choice)
    return "\n".join(lines)


def _lines(where: str, strategy: str, scenario: Scenario, choice: Choice) -> list[str]:
    """The lines of one trace and strategy."""
    chosen = [] if strategy == AS_CAPTURED else ["--strategy", strategy]
    more = [*chosen, *flags(scenario, ("batch", "baseline", "phase", "threshold"))]
    start = ["condsim", "simulate", where]
    if choice.every_device:
        return [shlex.join([*start, "--device", "all", *more])]
    names = [device for device in choice.devices if device != AS_MEASURED]
    lines = [] if len(names) == len(choice.devices) else [shlex.join([*start, *more])]
    if len(names) == 1:
        lines.append(shlex.join([*start, "--device", names[0], *more]))
    elif names:
        one = f"{shlex.join(start)} --device $device {shlex.join(more)}".strip()
        lines.append(f"for device in {shlex.join(names)}; do {one}; done")
    return lines


def code(scenario: Scenario, choice: Choice) -> str:
    """What to run in Python for them."""
    names = [device for device in choice.devices if device != AS_MEASURED]
    devices = f"[condsim.hardware(n) for n in {names!r}]"
    if AS_MEASURED in choice.devices:
        devices += " + [trace.profile]"
    strategies = [named(strategy) for strategy in choice.strategies]
    own = replace(scenario, dtype=None, runtime=None)
    listed = ", ".join([repr(scenario.baseline), *keywords(own.options())])
    call = f"predict_all(trace, devices, {strategies!r}, {listed})"
    lines = [f"devices = {devices}", f"print(*{call}, sep='\\n')"]
    if len(choice.models) > 1:
        lines = ["for trace in traces:", *(f"    {line}" for line in lines)]
    where = [library.where(model) for model in choice.models]
    return python(where, "from condsim.study.ranking import predict_all", *lines)
