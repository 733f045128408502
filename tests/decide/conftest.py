"""A shipped trace that is quick to simulate."""

from __future__ import annotations

import pytest

import condsim
from condsim.resources import resource
from condsim.trace import Trace


@pytest.fixture(scope="session")
def exits() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


@pytest.fixture(scope="session")
def experts() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")
