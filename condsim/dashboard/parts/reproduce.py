"""How to get a page's numbers elsewhere: on the command line, and in Python."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.scenario import FIELDS, Scenario

MODELS = [
    "from condsim.catalogue import CATALOGUE",
    "from condsim.catalogue.parts.question import Question, trace_of",
]
"""Imports of a program about a model of the catalogue."""
SPEEDUP = "print(p.speedup, p.speedup_interval, p.verdict)"


def flags(scenario: Scenario, names: Iterable[str] = FIELDS) -> list[str]:
    """Command line options of what differs from its default. names: those that a command takes."""
    changed = scenario.changed()
    words = []
    for name in names:
        if name in changed:
            words += [f"--{name}", str(changed[name])]
    return words


def simulate_command(scenario: Scenario, *more: str, names: Iterable[str] = FIELDS) -> str:
    """`condsim simulate` with the same question.

    more: further words. names: the fields of the scenario that are given.
    """
    words = [*subject_words(scenario.where), *flags(scenario, names), *more]
    return shlex.join(["condsim", "simulate", *words])


def subject_words(where: str) -> list[str]:
    """What the command line is given for a trace, or for a model and what is asked of it."""
    asked = asked_model(where)
    return [where] if asked is None else asked.words()


def app_command(scenario: Scenario) -> str:
    """`condsim app` on the same trace."""
    return shlex.join(["condsim", "app", scenario.where])


def simulate_python(scenario: Scenario, last: str = SPEEDUP) -> str:
    """`condsim.simulate` with the same question. last: what is done with its prediction `p`."""
    changed = scenario.changed()
    arguments = ["trace"]
    if "device" in changed:
        arguments.append(repr(changed.pop("device")))
    arguments += keywords(changed)
    call = f"p = condsim.simulate({', '.join(arguments)})"
    return python([scenario.where], call, last)


def keywords(arguments: Mapping[str, Any]) -> list[str]:
    """Keyword arguments as they are written in Python, without those that are None."""
    return [f"{name}={value!r}" for name, value in arguments.items() if value is not None]


def python(where: Sequence[str], *lines: str) -> str:
    """Python that loads `trace`, or `traces` where there are several, and then runs `lines`.

    where: names of traces that come with condsim, or folders; may be empty.
    """
    program = ["import condsim"]
    if any(asked_model(place) for place in where):
        program += MODELS
    elif any(_is_shipped(place) for place in where):
        program.append("from condsim.resources import resource")
    program.append("")
    loads = [_load(place) for place in where]
    if len(loads) == 1:
        program.append(f"trace = {loads[0]}")
    elif loads:
        listed = "".join(f"    {load},\n" for load in loads)
        program.append(f"traces = [\n{listed}]")
    return "\n".join([*program, *lines])


def _is_shipped(place: str) -> bool:
    """Whether a trace comes with condsim: every other one is named by its folder."""
    return not Path(place).exists()


def _load(place: str) -> str:
    asked = asked_model(place)
    if asked is not None:
        return asked.python()
    if _is_shipped(place):
        return f'condsim.load(resource("traces") / {place!r})'
    return f"condsim.load({place!r})"
