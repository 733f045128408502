"""A calibration is checked on modules that it has not seen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import condsim
from condsim.hardware import CheckedCase, Errors, HardwareProfile, SelfCheck, load_profile
from condsim.protocols import LOOP, REPEAT
from condsim.resources import resource
from condsim.self_check import check as checking
from condsim.self_check.modules import MODULES
from condsim.trace import Trace


def case(
    protocol: str, latency: float, speedup: float = 1.0, measured_s: float = 1e-3
) -> CheckedCase:
    numbers = {"latency": latency, "baseline": latency, "speedup": speedup}
    numbers["measured_s"] = measured_s
    return CheckedCase(module="stack", batch=1, protocol=protocol, **numbers)


def self_check(disturbed: float = 0.0) -> SelfCheck:
    """Half too slow or too fast in pairs, a tenth in a loop."""
    cases = [case("repeat", 1.5, 1.6), case("repeat", 1 / 1.5, 0.625), case("loop", 1.1, 1.0)]
    return SelfCheck(cases=cases, disturbed=disturbed)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def checked(trace: Trace, check: SelfCheck) -> HardwareProfile:
    assert trace.profile is not None
    return trace.profile.replace(self_check=check)


def test_too_slow_and_too_fast_are_equally_far_off() -> None:
    errors = Errors.of_latency(self_check().of("repeat"))
    assert errors == Errors(median=0.5, covering=0.5, worst=0.5)


def test_nine_of_ten_keep_within_the_covering_error() -> None:
    ratios = [1 + number / 100 for number in range(1, 102)]
    errors = Errors.of_speedup([case("repeat", 1.0, ratio) for ratio in ratios])
    assert errors.covering == pytest.approx(0.91, abs=1e-3)
    assert errors.worst == pytest.approx(1.01)


def test_a_protocol_that_was_not_checked_is_answered_by_all_others() -> None:
    assert len(self_check().of("loop")) == 1
    assert len(self_check().of("stream")) == 3


def test_a_step_is_judged_by_steps_of_its_length() -> None:
    cases = [case("loop", 2.0, measured_s=s) for s in (1e-4, 2e-4)]
    cases += [case("loop", 1.1, measured_s=s) for s in (1e-2, 2e-2)]
    check = SelfCheck(cases=cases, disturbed=0.0)
    assert check.alike("loop", 1e-5) == cases[:2]
    assert check.alike("stream", 9e-3) == cases[2:]


def test_intervals_are_at_least_as_wide_as_the_error(trace: Trace) -> None:
    profile = checked(trace, self_check())
    usual = condsim.simulate(trace, batch=8, protocol="repeat")
    wide = condsim.simulate(trace, profile, batch=8, protocol="repeat")
    assert wide.latency_s == usual.latency_s
    low, high = wide.latency_interval
    assert low <= wide.latency_s / 1.5
    assert high >= wide.latency_s * 1.5
    low, high = wide.speedup_interval
    assert low == pytest.approx(wide.speedup / 1.6, rel=1e-3)
    assert high == pytest.approx(wide.speedup * 1.6, rel=1e-3)
    assert low < usual.speedup_interval[0] < usual.speedup_interval[1] < high
    looped = condsim.simulate(trace, profile, batch=8, protocol="loop")
    unchecked = condsim.simulate(trace, batch=8, protocol="loop")
    assert looped.speedup_interval == unchecked.speedup_interval


def test_an_answer_says_that_the_calibration_is_bad_or_the_machine_was_busy(trace: Trace) -> None:
    busy = checked(trace, self_check(disturbed=0.9))
    notes = " ".join(condsim.simulate(trace, busy, protocol="repeat").notes)
    assert "off by 50% (median) to 50% (worst)" in notes
    assert "90% of the timings were disturbed" in notes
    fine = checked(trace, self_check())
    notes = " ".join(condsim.simulate(trace, fine, protocol="loop").notes)
    assert "calibrat" not in notes


def test_a_profile_keeps_its_check_and_an_older_one_has_none(trace: Trace, tmp_path: Path) -> None:
    assert trace.profile is not None
    older = trace.profile.replace(self_check=None)
    assert load_profile(older.save(tmp_path / "old.yaml")).self_check is None
    profile = checked(trace, self_check())
    assert load_profile(profile.save(tmp_path / "own.yaml")).self_check == self_check()


@pytest.mark.parametrize("name", list(MODULES))
def test_a_built_in_module_is_the_same_every_time(name: str) -> None:
    first, second = MODULES[name](), MODULES[name]()
    assert all(map(torch.equal, first.inputs, second.inputs))
    with torch.inference_mode():
        assert torch.equal(first.model(first.inputs[0]), second.model(second.inputs[0]))


def test_what_is_timed_is_predicted_by_the_same_protocol(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One module, few pairs; on the profile of another machine, so that no error is known."""
    monkeypatch.setattr(checking, "MODULES", {"stack": MODULES["stack"]})
    monkeypatch.setattr(checking, "PAIRS", {REPEAT: 1, LOOP: 1})
    monkeypatch.setattr(checking, "STEPS", 1)
    assert trace.profile is not None
    patient = trace.profile.replace(yardstick_s=1.0)
    found = checking.check(patient)
    cases = {(case.protocol, case.batch) for case in found.cases}
    assert cases == {("repeat", 1), ("repeat", 64), ("loop", 1), ("loop", 64)}
    assert all(math.isfinite(case.latency) for case in found.cases)
    assert found.disturbed == 0
