"""What a caller gives is returned, or refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_traces import make_trace

import condsim
from condsim import checks
from condsim.errors import CondsimError

NO_NUMBERS = (math.nan, math.inf, -math.inf, 10**400, "1", None, True, [1], 1j, b"1")


@pytest.mark.parametrize("check", [checks.number, checks.above_zero, checks.seconds])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number(check: Callable[[str, Any], float], value: object) -> None:
    with pytest.raises(CondsimError, match=r"^level must be .*got"):
        check("level", value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, np.float64(2), 0, -1, 9])
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(CondsimError, match=r"^batch must be a whole number from 1 to 8, got"):
        checks.whole("batch", value, most=8)


def test_numbers_of_any_type() -> None:
    assert checks.whole("batch", np.int8(3)) == 3
    assert checks.number("level", np.float32(0.5)) == 0.5
    assert checks.number("level", -1) == -1.0
    assert checks.seconds("wait", 0) == 0.0
    with pytest.raises(CondsimError, match="wait must be 0 or more seconds, got -1"):
        checks.seconds("wait", -1)
    with pytest.raises(CondsimError, match=r"wait must be at most 1e\+09 seconds, got 1e\+308"):
        checks.seconds("wait", 1e308)
    with pytest.raises(CondsimError, match="rate must be a number above 0, got 0"):
        checks.above_zero("rate", 0)


def test_names() -> None:
    assert checks.name("dtype", None) is None
    assert checks.name("dtype", "fp32") == "fp32"
    assert checks.one_of("engine", "closed", ("closed", "events")) == "closed"
    with pytest.raises(CondsimError, match="dtype must be a name, got 5"):
        checks.name("dtype", 5)
    for value in ("close", ["closed"], 5):
        with pytest.raises(CondsimError, match=r"unknown engine .*known: closed, events"):
            checks.one_of("engine", value, ("closed", "events"))


CALLS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("simulate", {"trace": 5}, "a trace is what"),
    ("simulate_many", {"profile": "raspberry-pi-5", "scenarios": 5}, "are of condsim.Scenario"),
    ("simulate_many", {"profile": "raspberry-pi-5", "scenarios": [{}]}, "condsim.Scenario, got {}"),
    ("frontier", {"settings": 5}, "settings must be a list of traces, got 5"),
    ("frontier", {"rivals": [5]}, "a trace is what"),
    ("serve", {"trace": None, "profile": None, "requests": "x.csv"}, "a trace is what"),
    ("serve", {"profile": None, "requests": "x.csv", "seed": -1}, "seed must be a whole number"),
    ("coverage", {"trace": "folder"}, "a trace is what"),
    ("coverage", {"most_priced": 0}, "most_priced must be a whole number of at least 1, got 0"),
    ("coverage", {"steps": [0]}, "coverage chooses steps itself; leave it out"),
    ("speculate", {"strategy": "all"}, "speculate chooses strategy itself; leave it out"),
    ("coverage", {"of": []}, "a trace is what"),
    ("drift", {"a": 1, "b": 1}, "a trace is what"),
    ("drift", {"level": math.nan}, "level must be a number, got nan"),
    ("drift", {"false_alarm_every": 2.5}, "false_alarm_every must be a whole number from 2"),
    ("drift", {"false_alarm_every": 5, "window": "x"}, "window must be a whole number"),
    ("speculate", {"trace": {}}, "a trace is what"),
    ("speculate", {"batch": 1.5}, "batch must be a whole number of at least 1, got 1.5"),
    ("speculate", {"drafts": "x"}, "drafts must be a whole number of at least 1, got 'x'"),
    ("frontier", {"tolerance": "x"}, "tolerance must be a number, got 'x'"),
    ("frontier", {"target": math.inf}, "target must be a number, got inf"),
    ("frontier", {"batches": 5}, "batches must be a list"),
    ("frontier", {"trace": 5}, "is named by a text or a path, got 5"),
    ("advise", {"subject": 5}, "name a trace, its folder, or a model"),
    ("advise", {"profile": "raspberry-pi-5", "pays_from": math.nan}, "pays_from must be a number"),
    ("advise", {"profile": "raspberry-pi-5", "where": 5}, "where must be a name, got 5"),
    ("serve", {"profile": None, "requests": "x.csv", "overhead_s": 1e308}, "at most 1e+09 seconds"),
    ("advise", {"profile": "raspberry-pi-5", "scenario": 5}, "a scenario is named by a text"),
    ("sweep", {"over": [1]}, "over is axis → its values"),
    ("sweep", {"subject": [], "over": {"batch": [1]}}, "name a trace, its folder, or a model"),
    ("fit_routing", {"trace": 5}, "a trace is what"),
    ("import_routing", {"files": 5}, "recorded routing is named by a text or a path, got 5"),
    ("import_routing", {"files": "x", "name": 5}, "name must be a name, got 5"),
    ("routing", {"name": "mixtral", "layers": 1.5, "experts": 8, "top_k": 2}, "layers must be"),
    ("ModelShape", {"layers": "x"}, "layers must be a whole number of at least 1, got 'x'"),
    ("compare", {"traces": 5}, "a trace is named by a text or a path, got 5"),
    ("compare", {"traces": [5]}, "a trace is named by a text or a path, got 5"),
    ("hardware", {"name_or_path": 5}, "a profile is named by a text or a path, got 5"),
    ("load", {"folder": 5}, "a trace is named by a text or a path, got 5"),
)
"""Public function, arguments, what is said of them."""
OF_A_TRACE = {
    "simulate": "trace",
    "simulate_many": "trace",
    "serve": "trace",
    "coverage": "trace",
    "speculate": "trace",
    "frontier": "trace",
    "advise": "subject",
    "sweep": "subject",
}


@pytest.mark.parametrize(("function", "given", "said"), CALLS)
def test_public_functions_refuse_in_one_line(
    function: str, given: dict[str, Any], said: str
) -> None:
    usual = {OF_A_TRACE[function]: make_trace()} if function in OF_A_TRACE else {}
    if function == "drift":
        usual = {"a": make_trace(), "b": make_trace()}
    with pytest.raises(CondsimError) as refused:
        getattr(condsim, function)(**{**usual, **given})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
