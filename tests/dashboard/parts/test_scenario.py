"""A scenario as plain values and as a link."""

from __future__ import annotations

from urllib.parse import parse_qsl

from condsim.dashboard.parts.scenario import FIELDS, IN_LINK, Scenario
from condsim.trace import Trace

EVERYTHING = Scenario(
    name="mine",
    where="traces/mine",
    device="nvidia-h100-sxm",
    strategy="wait",
    batch=4,
    baseline="same-flops",
    dtype="bf16",
    runtime="compiled",
    threshold=0.5,
    phase="prefill",
    protocol="loop",
)


def test_nothing_is_changed_at_first() -> None:
    assert Scenario(name="mine", where="mine").changed() == {}


def test_what_is_changed_comes_in_one_order() -> None:
    assert tuple(EVERYTHING.changed()) == FIELDS


def test_a_link_holds_every_field_and_the_baseline_always() -> None:
    assert Scenario(name="mine", where="mine").query() == "trace=mine&baseline=same-params"
    query = dict(parse_qsl(EVERYTHING.query()))
    assert set(query) == set(IN_LINK)
    assert query["trace"] == "mine"
    assert query["threshold"] == "0.5"


def test_options_are_arguments_of_simulate_even_at_their_defaults() -> None:
    assert set(Scenario(name="mine", where="mine").options().values()) == {None}
    assert EVERYTHING.options()["batch"] == 4


def test_without_a_device_the_profile_is_that_of_the_trace(trace: Trace) -> None:
    asked: list[str] = []

    def find(name: str) -> object:
        asked.append(name)
        return trace.profile

    assert Scenario(name="mine", where="mine").profile(trace, find) is trace.profile
    assert asked == []
    EVERYTHING.profile(trace, find)
    assert asked == ["nvidia-h100-sxm"]
