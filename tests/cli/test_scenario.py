"""The shared options: the same for every command that takes them, and what the library is given."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from cli.harness import Run
from condsim.cli.scenario import ALL, OneDeviceOptions, ScenarioOptions
from condsim.errors import CondsimError
from condsim.scenario import Scenario

ONLY_SIMULATE = {
    "--capacity-factor",
    "--context",
    "--expert-cache",
    "--parallel",
    "--timeline",
    "--plot",
}


def options(help_text: str) -> list[str]:
    """The long options that a help page names, in order."""
    return re.findall(r"^│[ *]+(--[a-z-]+)", help_text, re.MULTILINE)


def test_a_report_takes_what_simulate_takes_but_what_it_hides(run: Run) -> None:
    simulate = options(run("simulate", "--help").out)
    report = options(run("report", "--help").out)
    assert [name for name in simulate if name not in ONLY_SIMULATE] == [
        name for name in report if name != "--output"
    ]


def test_keywords_are_arguments_of_the_library() -> None:
    every = ScenarioOptions(batch=2, capacity_factor=2.0, expert_cache=0.5, parallel="expert=2")
    arguments = {field.name for field in fields(Scenario)}
    assert set(every.keywords()) <= arguments


def test_what_is_not_given_keeps_the_library_s_default() -> None:
    keywords = ScenarioOptions().keywords()
    assert "capacity_factor" not in keywords
    assert all(value is None for value in keywords.values())


@pytest.mark.parametrize(
    ("scenario", "asks_for_all"),
    [
        (ScenarioOptions(), False),
        (ScenarioOptions(device=ALL), True),
        (ScenarioOptions(strategy=ALL), True),
        (ScenarioOptions(device="this-machine", strategy="looped"), False),
    ],
)
def test_all(scenario: ScenarioOptions, asks_for_all: bool) -> None:
    assert scenario.names_all is asks_for_all


@pytest.mark.parametrize("bad", [{"batch": 0}, {"baseline": "same-param"}])
@pytest.mark.parametrize("kind", [ScenarioOptions, OneDeviceOptions])
def test_what_no_trace_could_be_run_with(kind: type[ScenarioOptions], bad: dict[str, Any]) -> None:
    with pytest.raises(CondsimError):
        kind(**bad).check()
