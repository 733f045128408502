"""The profile that is made of a calibration's measurements."""

from __future__ import annotations

import pytest

from condsim.calibrate.cpu_profile import INSTRUCTIONS_A_CALL, _rounded
from condsim.calibrate.scattered import FAMILIES
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile


def test_every_family_of_products_has_a_table_with_an_uncertainty(
    tiny_profile: HardwareProfile,
) -> None:
    assert tiny_profile.matmuls.keys() >= {"linear", "mm", *FAMILIES}
    for table in tiny_profile.matmuls.values():
        assert table.uncertainty > 0
        assert min(table.seconds) > 0


def test_every_effect_is_in_the_profile(tiny_profile: HardwareProfile) -> None:
    assert tiny_profile.residency is not None
    assert tiny_profile.activations is not None
    assert tiny_profile.among is not None
    assert tiny_profile.cold is not None
    assert tiny_profile.yardstick_s is not None
    assert tiny_profile.extra_s[NEW] >= 0
    assert set(tiny_profile.cold.own_s) == set(tiny_profile.among.extra_s)


def test_a_module_call_costs_its_instructions(tiny_profile: HardwareProfile) -> None:
    instruction = tiny_profile.host.instruction
    module_call = tiny_profile.host.module_call
    assert instruction is not None
    assert module_call is not None
    assert 1e-9 <= instruction.value < 1e-5
    expected = INSTRUCTIONS_A_CALL * instruction.value
    assert module_call.value == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "small", "large", "weights"),
    [("linear", (1, 64), (4096, 64), [(64, 64)]), ("relu", (1, 16), (4096, 1024), [])],
)
def test_a_larger_operator_takes_longer(
    name: str,
    small: tuple[int, int],
    large: tuple[int, int],
    weights: list[tuple[int, int]],
    tiny_profile: HardwareProfile,
) -> None:
    """A thousand times the work, which no noise can turn round."""
    less = operator_time(SizedOperator(name, [small, *weights], [small]), tiny_profile)
    more = operator_time(SizedOperator(name, [large, *weights], [large]), tiny_profile)
    assert less.seconds < more.seconds
    assert less.seconds >= less.dispatch * 0.99


def test_measured_numbers_are_rounded_and_nothing_else_is() -> None:
    given = {"seconds": [1.23456789e-6, 2.0], "name": "x", "count": 1234567, "none": None}
    expected = {"seconds": [1.2346e-6, 2.0], "name": "x", "count": 1234567, "none": None}
    assert _rounded(given) == expected
