"""Joules: idle power, arithmetic and traffic, no more than the limit."""

from __future__ import annotations

import pytest

from condsim.cost.energy import with_idle_j, work_j
from condsim.errors import CondsimError
from condsim.hardware import hardware

DEVICE = hardware("nvidia-h100-sxm")


def joules(seconds: float, flops: float, traffic_bytes: float | dict[str, float]) -> float:
    """Of a run on the device."""
    return float(with_idle_j(seconds, work_j(flops, traffic_bytes, DEVICE), DEVICE))


def test_energy_is_clipped_at_the_power_limit() -> None:
    assert joules(1.0, 0, 0) == 70
    assert joules(1.0, 1e18, 1e15) == 700
    assert joules(2.0, 1e12, 1e9) == pytest.approx(140 + 0.45 + 0.122)


def test_traffic_may_be_given_by_level() -> None:
    levels = dict.fromkeys(DEVICE.power.j_per_byte, 1e9)
    dynamic = joules(10.0, 0, levels) - joules(10.0, 0, 0)
    per_byte = sum(quantity.value for quantity in DEVICE.power.j_per_byte.values())
    assert dynamic == pytest.approx(1e9 * per_byte)


def test_what_the_profile_has_no_energy_for_is_refused() -> None:
    with pytest.raises(CondsimError, match="fp64"):
        work_j(1, 1, DEVICE, dtype="fp64")
    with pytest.raises(CondsimError, match=r"unknown level of power.j_per_byte 'l9'"):
        work_j(1, 1, DEVICE, level="l9")
