"""A tiny model that generates text, captured once."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.trace import Trace
from condsim.zoo.specs import load_spec

TINY = Path(__file__).parents[1] / "measure" / "tiny.py"


@pytest.fixture(scope="session")
def talking() -> Trace:
    example = load_spec(f"{TINY}:talking")
    return condsim.capture(
        example.model, example.inputs, measure=False, new_tokens=3, name="talking"
    )
