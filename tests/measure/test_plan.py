"""A plan is checked when it is made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from condsim.errors import CondsimError
from condsim.measure.plan import LiveOptions, Plan, ProcessOptions, SegmentOptions, plan_fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pairs": 0}, "pairs must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"batch_sizes": [8, 0]}, "batch must be at least 1, got 0"),
        ({"protocol": "strem"}, "unknown protocol 'strem'; did you mean 'stream'"),
        ({"runtime": "compile"}, "unknown runtime 'compile'; did you mean 'compiled'"),
        ({"decisions": "natrual"}, "unknown decisions 'natrual'; did you mean 'natural'"),
        ({"baselines": ("same-flop",)}, "unknown baseline 'same-flop'"),
        (
            {"protocol": "stream", "runtime": "compiled"},
            "protocol 'stream' would time compilations",
        ),
    ],
)
def test_a_bad_plan_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        Plan(**fields)


def test_a_plan_survives_json() -> None:
    plan = Plan([8, None], ["wait"], ("same-params",), "decode", "stream", 7, seed=3, device="cuda")
    told = json.loads(json.dumps(dataclasses.asdict(plan)))
    assert dataclasses.asdict(Plan(**told)) == {
        **told,
        "baselines": ["same-params"],
    }


def test_options_become_fields_of_a_plan() -> None:
    fields = plan_fields({"pairs": 7, "baselines": None}, ProcessOptions, "wait")
    assert fields == {"pairs": 7, "strategies": ["wait"]}
    assert plan_fields({"baselines": ("module",)}, LiveOptions, None) == {
        "baselines": ("module",),
        "strategies": None,
    }


def test_an_option_of_another_function_is_refused() -> None:
    with pytest.raises(TypeError, match="'threads'"):
        plan_fields({"threads": 2}, SegmentOptions, None)
    with pytest.raises(TypeError, match="'where'"):
        plan_fields({"where": "caller"}, ProcessOptions, None)


@pytest.mark.parametrize("keywords", [SegmentOptions, ProcessOptions, LiveOptions])
def test_options_are_fields_of_a_plan(keywords: type) -> None:
    known = {field.name for field in dataclasses.fields(Plan)}
    assert set(keywords.__annotations__) <= known
