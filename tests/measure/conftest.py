"""Two tiny captured models, and where their spec is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import condsim
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.trace import Trace
from condsim.zoo.specs import load_spec

TINY = Path(__file__).with_name("tiny.py")


@dataclass
class Captured:
    """A trace, and what it was captured from."""

    trace: Trace
    live: LiveModel
    batches: list[Batch]


def captured(function: str, new_tokens: int = 0) -> Captured:
    spec = f"{TINY}:{function}"
    example = load_spec(spec)
    trace = condsim.capture(
        example.model,
        example.inputs,
        measure=False,
        new_tokens=new_tokens,
        name=function,
        spec=spec,
    )
    return Captured(trace, LiveModel.of(example.model), as_batches(example.inputs))


@pytest.fixture(scope="session")
def leaving() -> Captured:
    return captured("leaving")


@pytest.fixture(scope="session")
def talking() -> Captured:
    return captured("talking", new_tokens=2)
