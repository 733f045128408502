"""A scenario and its answer; the real server and a real browser, started once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import condsim
from benchmarks import browser
from condsim.dashboard.parts import upload
from condsim.dashboard.parts.scenario import Scenario
from condsim.resources import resource
from condsim.study.answer import Answer, answer
from condsim.trace import Trace

NAME = "exit-fashion"


@pytest.fixture(scope="session")
def trace() -> Trace:
    """A small trace that comes with condsim, measured on the machine of its profile."""
    return condsim.load(resource("traces") / NAME)


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """The trace as it was captured."""
    return Scenario(name=NAME, where=NAME)


@pytest.fixture(scope="session")
def captured(trace: Trace) -> Answer:
    """The answer to `scenario`."""
    return answer(trace)


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that the bombs of `bad_uploads` break."""
    monkeypatch.setattr(upload, "LIMIT_BYTES", 16 << 20)
    monkeypatch.setattr("condsim.trace.read.MOST_OF_PROGRAMS", 12 << 20)
    monkeypatch.setattr(upload, "LIMIT_FILES", 200)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server answers."""
    with browser.served(tmp_path_factory.mktemp("server")) as where:
        yield where


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system."""
    try:
        with browser.chromium() as started:
            yield started
    except browser.Missing as missing:
        pytest.skip(f"the browser test {missing}")


@pytest.fixture(scope="session")
def used_profile(chromium: Any) -> Any:
    """A profile that has been here before: it has the scripts of the page already."""
    return browser.profile(chromium)
