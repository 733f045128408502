"""How far off a calibration is, from predicted over measured."""

from __future__ import annotations

from typing import Any

import pytest

from condsim.hardware.self_check import CheckedCase, Errors, SelfCheck


def case(**given: Any) -> CheckedCase:
    fields: dict[str, Any] = {
        "module": "stack",
        "batch": 1,
        "protocol": "stream",
        "measured_s": 1.0,
        "latency": 1.0,
        "baseline": 1.0,
        "speedup": 1.0,
    }
    return CheckedCase(**{**fields, **given})


def test_too_fast_and_too_slow_by_a_factor_are_equally_far_off() -> None:
    errors = Errors.of_speedup([case(speedup=1.25), case(speedup=1 / 1.25)])
    assert errors.median == errors.worst == pytest.approx(0.25)


def test_latencies_are_of_both_sides() -> None:
    errors = Errors.of_latency([case(latency=1.0, baseline=2.0)])
    assert errors.worst == pytest.approx(1.0)
    assert errors.median == pytest.approx(2**0.5 - 1, abs=1e-3)


def test_the_cases_of_another_protocol_stand_in_where_none_was_checked() -> None:
    check = SelfCheck(cases=[case(protocol="stream"), case(protocol="repeat")], disturbed=0)
    assert [found.protocol for found in check.of("repeat")] == ["repeat"]
    assert len(check.of("pair")) == 2


def test_cases_alike_are_those_of_steps_as_long() -> None:
    cases = [case(measured_s=seconds) for seconds in (1e-4, 1e-3, 1e-1, 1.0)]
    check = SelfCheck(cases=cases, disturbed=0)
    assert [found.measured_s for found in check.alike("stream", 0.3)] == [1e-1, 1.0]


def test_a_machine_is_busy_where_most_timings_were_disturbed() -> None:
    assert SelfCheck(cases=[case()], disturbed=0.6).busy
    assert not SelfCheck(cases=[case()], disturbed=0.4).busy
