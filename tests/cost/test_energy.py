"""Joules: idle power, arithmetic and traffic, no more than the limit."""

from __future__ import annotations

import pytest

from condsim.cost.energy import energy_j
from condsim.errors import CondsimError
from condsim.hardware import hardware

DEVICE = hardware("nvidia-h100-sxm")


def test_energy_is_clipped_at_the_power_limit() -> None:
    assert energy_j(1.0, 0, 0, DEVICE) == 70
    assert energy_j(1.0, 1e18, 1e15, DEVICE) == 700
    assert energy_j(2.0, 1e12, 1e9, DEVICE) == pytest.approx(140 + 0.45 + 0.122)


def test_traffic_may_be_given_by_level() -> None:
    levels = dict.fromkeys(DEVICE.power.j_per_byte, 1e9)
    dynamic = energy_j(10.0, 0, levels, DEVICE) - energy_j(10.0, 0, 0, DEVICE)
    per_byte = sum(quantity.value for quantity in DEVICE.power.j_per_byte.values())
    assert dynamic == pytest.approx(1e9 * per_byte)


def test_what_the_profile_has_no_energy_for_is_refused() -> None:
    with pytest.raises(CondsimError, match="fp64"):
        energy_j(1.0, 1, 1, DEVICE, dtype="fp64")
    with pytest.raises(CondsimError, match=r"unknown level of power.j_per_byte 'l9'"):
        energy_j(1.0, 1, 1, DEVICE, level="l9")
