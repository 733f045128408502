"""Run a command as a user does, and say what it must have printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

GPU = "nvidia-h100-sxm"


class Done(NamedTuple):
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
"""Runs a command. Its arguments are those of the command line."""


def parsed(done: Done) -> dict[str, Any]:
    """The one JSON object that a command printed, after checking that it is one."""
    assert done.code == 0, done.err
    data: dict[str, Any] = json.loads(done.out, parse_constant=_refuse)
    assert data["schema_version"] == 1
    assert finite(data)
    return data


def _refuse(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def finite(value: Any) -> bool:
    """Whether there is no NaN or infinity anywhere in parsed JSON."""
    if isinstance(value, dict):
        return all(finite(inner) for inner in value.values())
    if isinstance(value, list):
        return all(finite(inner) for inner in value)
    return not isinstance(value, float) or math.isfinite(value)


def check_refused(done: Done, *words: str) -> None:
    """A command was refused with one line that has all words, and wrote nothing."""
    assert done.code == 2, done
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
    assert not list(Path.cwd().iterdir()), "something was written"
