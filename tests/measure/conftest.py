"""Two tiny captured models, and where their spec is."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.live.inputs import as_batches, with_targets
from condsim.live.model import LiveModel
from condsim.measure.replay import Captured
from condsim.zoo.specs import load_spec

TINY = Path(__file__).with_name("tiny.py")


def captured(function: str, new_tokens: int = 0) -> Captured:
    """Capture the model that a function of tiny.py makes."""
    spec = f"{TINY}:{function}"
    example = load_spec(spec)
    trace = condsim.capture(
        example.model,
        example.inputs,
        measure=False,
        new_tokens=new_tokens,
        name=function,
        spec=spec,
        train=example.training,
    )
    training = example.training
    live = LiveModel.of(example.model, training)
    targets = None if training is None else training.targets
    return Captured(trace, live, with_targets(as_batches(example.inputs), targets))


@pytest.fixture(scope="session")
def leaving() -> Captured:
    return captured("leaving")


@pytest.fixture(scope="session")
def talking() -> Captured:
    return captured("talking", new_tokens=2)


@pytest.fixture(scope="session")
def trained() -> Captured:
    return captured("trained")
