"""Distances of activations: where memory was touched last, and what that costs."""

from __future__ import annotations

import pytest

from condsim.cost.cpu.activations import CallMemory, activation_curves, far_per_byte
from condsim.hardware import Activations, hardware

CURVES = Activations(
    distance=[1e6, 5e6, 1e8], read=[0.0, 4e-11, 4e-11], written=[0.0, 8e-11, 8e-11]
)
MB = 1e6


Numbered = tuple[int, CallMemory]


def call(number: int, **bytes_touched: object) -> Numbered:
    return number, CallMemory(**bytes_touched)  # type: ignore[arg-type]


def far(calls: list[Numbered]) -> dict[int, float]:
    """Extra seconds a byte of each call."""
    places = [(0, number) for number, _ in calls]
    by_place = far_per_byte(places, [memory for _, memory in calls], CURVES)
    return {number: seconds for (_, number), seconds in by_place.items()}


def test_what_a_large_weight_pushed_away_is_read_from_afar() -> None:
    """0 writes a megabyte; 1 streams a weight of 20 MB; 2 reads what 0 wrote, in place."""
    calls = [
        call(9, new=(MB,)),
        call(0, reads=(MB,), in_place=MB),
        call(1, weights=20 * MB, new=(32.0,), freed=(32.0,), product=True),
        call(2, reads=(MB,), in_place=MB, freed=(MB,)),
    ]
    extra_s = far(calls)
    half_is_read = 4e-11 / 2 - usual(2e6) / 2  # the other half is written in place
    assert extra_s[2] == pytest.approx(half_is_read, rel=0.05)
    assert 0 not in extra_s  # at once after it was made


def usual(distance: float) -> float:
    """Of reading, in the benchmark of an operator that touches so many bytes."""
    return 4e-11 * (distance - 1e6) / 4e6


def test_results_on_memory_of_long_ago_cost_more_than_those_on_the_last() -> None:
    def step(weights: float) -> list[Numbered]:
        return [
            call(0, reads=(32.0,), new=(MB,), freed=(MB,)),
            call(1, weights=weights, new=(32.0,), freed=(32.0,), product=True),
        ]

    near, distant = far(step(32.0)), far(step(40 * MB))
    assert 0 not in near
    assert 0 < distant[0] <= 8e-11


def test_a_step_that_moves_nothing_costs_nothing() -> None:
    assert far([]) == {}
    assert far([call(0)]) == {}


def test_profiles_of_before_take_the_curve_of_small_weights() -> None:
    chip = hardware("nvidia-h100-sxm")
    assert activation_curves(chip) is None
    assert activation_curves(chip.model_copy(update={"activations": CURVES})) is CURVES


@pytest.mark.parametrize("name", ["read", "written"])
def test_a_curve_has_a_number_a_distance(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have 3 numbers, one a distance"):
        Activations.model_validate({**CURVES.model_dump(), name: [0.0]})
