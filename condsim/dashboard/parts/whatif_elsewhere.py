"""A device whose numbers were changed, as a file, and how to get what the page What if says."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from condsim.dashboard.parts.figure import Recipe
from condsim.dashboard.parts.reproduce import (
    flags,
    keywords,
    python,
    simulate_command,
    simulate_python,
    subject_words,
)
from condsim.dashboard.parts.scenario import FIELDS, Scenario
from condsim.decide.knobs import HALF, TWICE, Knob, edited
from condsim.hardware import HardwareProfile


def file_of(profile: HardwareProfile) -> str:
    """Name of the file of a changed device."""
    return f"{profile.name}.yaml"


def yaml_of(profile: HardwareProfile) -> bytes:
    """A profile as condsim writes it."""
    with tempfile.TemporaryDirectory() as folder:
        return profile.save(Path(folder) / file_of(profile)).read_bytes()


def recipe(scenario: Scenario, profile: HardwareProfile, factors: Mapping[str, float]) -> Recipe:
    """How to get the same answer. profile: the device as it is."""
    if not factors:
        return Recipe(scenario, simulate_command(scenario), simulate_python(scenario))
    file = file_of(edited(profile, factors))
    others = [name for name in FIELDS if name != "device"]
    words = [*subject_words(scenario.where), "--device", file, *flags(scenario, others)]
    command = " ".join(["condsim simulate", *words])
    changed = scenario.changed()
    name = changed.pop("device", None)
    device = "trace.profile" if name is None else f"condsim.hardware({name!r})"
    arguments = ["trace", "device", *keywords(changed)]
    lines = [
        "from condsim.decide.knobs import edited",
        f"device = edited({device}, {dict(factors)!r})",
        f"p = condsim.simulate({', '.join(arguments)})",
        "print(p.speedup, p.speedup_interval, p.verdict)",
    ]
    return Recipe(scenario, command, python([scenario.where], *lines))


def moves_command(scenario: Scenario, known: list[Knob]) -> str:
    """What to type for the speedups with half and twice as much of each number."""
    start = " ".join(["condsim sweep", *subject_words(scenario.where)])
    rest = " ".join(flags(scenario))
    lines = [f"{start} --grid {knob.path}={HALF:g},{TWICE:g} {rest}".strip() for knob in known]
    return "\n".join(lines)


def moves_code(scenario: Scenario, known: list[Knob]) -> str:
    """What to run in Python for them."""
    changed = scenario.changed()
    name = changed.pop("device", None)
    listed = ", ".join([repr(name), *keywords(changed)])
    paths = [knob.path for knob in known]
    return python(
        [scenario.where],
        f"for path in {paths!r}:",
        f"    print(condsim.sweep(trace, {{path: [{HALF}, {TWICE}]}}, {listed}))",
    )
