"""One question, validated where it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from condsim.errors import CondsimError
from condsim.scenario import Scenario


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"batch": 0}, "batch"),
        ({"batch": 1.5}, "batch"),
        ({"baseline": "dense"}, "baseline"),
        ({"protocol": "loops"}, "unknown protocol 'loops'; did you mean 'loop'"),
        ({"engine": "simpy"}, "engine"),
        ({"threshold": float("nan")}, "threshold must be a number, got nan"),
        ({"capacity_factor": 0.0}, "capacity_factor must be above 0 and at most 10000, got 0.0"),
        ({"capacity_factor": float("inf")}, "capacity_factor must be a number, got inf"),
        ({"expert_cache": 1.5}, "from 0 to 1, got 1.5"),
        ({"capacity_factor": "a"}, "capacity_factor must be a number, got 'a'"),
        ({"threshold": "x"}, "threshold must be a number, got 'x'"),
        ({"batch": True}, "batch must be a whole number of at least 1, got True"),
        ({"batch": "8"}, "batch must be a whole number of at least 1, got '8'"),
        ({"steps": (2, -1)}, "steps must be a whole number of at least 0, got -1"),
        ({"steps": (1.5,)}, "steps must be a whole number of at least 0, got 1.5"),
        ({"steps": ()}, "steps: got none"),
        ({"steps": 5}, "steps must be a list of whole numbers, got 5"),
        ({"steps": "01"}, "steps must be a list of whole numbers, got '01'"),
        ({"steps": ((0,),)}, "steps must be a whole number"),
        ({"capacity_factor": 1e18}, "capacity_factor must be above 0 and at most 10000"),
        ({"capacity_factor": 10**400}, "capacity_factor must be a number"),
        ({"threshold": float("inf")}, "threshold must be a number, got inf"),
        ({"strategy": 5}, "strategy must be a name, got 5"),
        ({"strategy": {"moe": 5}}, "a mapping is mechanism → name"),
        ({"strategy": {1: "looped"}}, "a mapping is mechanism → name"),
        ({"phase": b"prefill"}, "phase must be a name"),
        ({"dtype": 32}, "dtype must be a name, got 32"),
        ({"runtime": ["eager"]}, "runtime must be a name"),
        ({"baseline": ["same-params"]}, "baseline"),
        ({"protocol": ["loop"]}, "protocol"),
    ],
)
def test_impossible_values_are_refused_in_one_line(asked: dict[str, Any], line: str) -> None:
    with pytest.raises(CondsimError, match=line) as refused:
        Scenario(**asked)
    assert "\n" not in str(refused.value)


def test_another_question_keeps_the_other_values() -> None:
    asked = Scenario(strategy="looped", batch=4)
    assert asked.but(batch=8) == Scenario(strategy="looped", batch=8)
    assert asked.batch == 4


def test_a_changed_question_is_validated_too() -> None:
    with pytest.raises(CondsimError, match="batch"):
        Scenario().but(batch=-1)


def test_arguments_are_what_differs_from_the_defaults() -> None:
    assert Scenario().arguments() == {}
    asked = Scenario(strategy="looped", batch=4, threshold=0.0)
    assert asked.arguments() == {"strategy": "looped", "batch": 4, "threshold": 0.0}
