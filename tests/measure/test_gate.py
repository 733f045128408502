"""A gate waits until nothing disturbs the machine, and judges readings by the fastest one."""

from __future__ import annotations

import pytest

from condsim.hardware import UNDISTURBED
from condsim.measure.gate import Gate
from condsim.timing.yardstick import Yardstick


def gate_with(readings: list[float], undisturbed_s: float, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate whose yardstick says these seconds, one after the other."""
    left = iter(readings)
    gate = Gate(undisturbed_s)
    monkeypatch.setattr(Yardstick, "_read", lambda _self: next(left))
    gate.yardstick = Yardstick(readings=1)
    return gate


def test_a_gate_waits_until_nothing_disturbs(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gate_with([1.0, 1.5, 1.3, 1.1], 1.0, monkeypatch)
    reading_s, waited_s = gate.wait(patience_s=60.0)
    assert reading_s == 1.1
    assert waited_s > 0
    assert not gate.is_open(1.13)
    assert gate.is_open(1.12)


def test_a_fast_reading_needs_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gate_with([1.0, 1.05], 1.0, monkeypatch)
    assert gate.wait(patience_s=60.0) == (1.05, 0.0)


def test_the_faster_of_calibration_and_process_sets_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = gate_with([2.0], 1.0, monkeypatch)
    assert gate.limit_s == UNDISTURBED * 1.0
    gate.undisturbed_s = 3.0
    assert gate.limit_s == UNDISTURBED * 2.0
