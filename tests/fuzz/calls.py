"""Calls of the library: every public function that runs no model, with arguments good and bad.

Functions and their arguments are asked of the library itself, so that a new one is tried as well.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import condsim
from condsim.scenario import Scenario
from condsim.serve.serve import SCENARIO, SERVICE
from fuzz import damage
from fuzz.bases import DEVICES, NAMES
from fuzz.commands import USUAL
from fuzz.kinds import Question, kind

RUN_MODELS = (
    *("capture", "calibrate", "route", "branch", "tokens", "force", "CondsimError"),
    *("Training", "RoutingHistory", "MaskHistory", "RoutingGenerator"),
)
"""Public names that run models, or take arrays only."""
CALLED = tuple(name for name in condsim.__all__ if name not in RUN_MODELS)
FIXED = ("workers", "dask", "progress", "out", "self")
"""Arguments that would begin processes, wait, write anywhere or call anything."""
MORE_VALUES: dict[str, tuple[Any, ...]] = {
    "layers": (1, 3, 0, 10**9, 1.5),
    "experts": (4, 65536, 0, 2.5),
    "top_k": (1, 2, 0, 10**6),
    "drafts": (1, [1, 2], [], [0], [1.5], "x"),
    "exit": ("x", 0),
    "batches": ([1], [None], [0], [1.5], [], 1, "x"),
    "over": ({"batch": [1, 2]}, {"batch": 1.5}, {"batch": "x"}, {}, [], {"x": [1]}, {1: [1]}),
    "files": ([], ["nowhere"], "nowhere", [1], "."),
    "format": ("table", "x", 0),
    "scenarios": ([], [None], [{}]),
    "name": ("mistral", "gpt-oss", DEVICES[0], "nowhere", "", 5),
    "most_priced": (1, 4, 0, -1, 1.5),
    "by": ("case", "segment", "operator", "x"),
}
"""Argument → values that no option of the command line has."""


@cache
def arguments_of(function: str) -> tuple[str, ...]:
    """Names of what a function may be given; `**more` are fields of a scenario, or of a service."""
    names: list[str] = []
    for name, parameter in inspect.signature(getattr(condsim, function)).parameters.items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            names.append(name)
            continue
        of_both = (*SERVICE, *SCENARIO)
        names += of_both if function == "serve" else [field.name for field in fields(Scenario)]
    return tuple(name for name in dict.fromkeys(names) if name not in FIXED)


@kind("calls")
def _(random: Random, _bases: Path, _folder: Path) -> Question:
    function = random.choice(CALLED)
    known = arguments_of(function)
    names = random.sample(known, min(len(known), random.choice([0, 1, 1, 1, 2, 3])))
    given = {name: _value(random, name) for name in names}
    return {"ask": "call", "function": function, "base": random.choice(NAMES), "arguments": given}


def _value(random: Random, name: str) -> Any:
    """A value that an argument of that name may have, a number at its limits, or anything."""
    usual = (*USUAL.get(name, ()), *USUAL.get(name.removesuffix("_s"), ()))
    known = (*MORE_VALUES.get(name, ()), *usual)
    chance = random.random()
    if known and chance < 0.5:
        return random.choice(known)
    return random.choice(damage.NUMBERS) if chance < 0.8 else damage.junk(random)
