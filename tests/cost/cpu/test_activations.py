"""Distances of activations: where memory was touched last, and what that costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from condsim.cost.cpu.activations import activation_curves, far_per_byte
from condsim.cost.cpu.step_memory import BlocksOfCall, StepBlocks, StepMemory
from condsim.hardware import Activations, hardware

CURVES = Activations(
    distance=[1e6, 5e6, 1e8], read=[0.0, 4e-11, 4e-11], written=[0.0, 8e-11, 8e-11]
)
MB = 1e6


class Call(NamedTuple):
    """A call that touches so many bytes. owner: whose it is."""

    owner: int
    reads: tuple[float, ...] = ()
    new: tuple[float, ...] = ()
    freed: tuple[float, ...] = ()
    weights: float = 0.0
    in_place: float = 0.0
    product: bool = False


def memory_of(calls: list[Call]) -> StepMemory:
    """What a step of these calls touches."""
    sizes: list[float] = []
    of_call: list[int] = []
    blocks = []
    read, new = [], []
    for number, call in enumerate(calls):
        first = len(sizes)
        sizes += [*call.reads, *call.new, *call.freed]
        of_call += [number] * (len(sizes) - first)
        reads_end = first + len(call.reads)
        new_end = reads_end + len(call.new)
        tensors = (range(first, reads_end), range(reads_end, new_end), range(new_end, len(sizes)))
        blocks.append(BlocksOfCall(number, *map(tuple, tensors)))
        read += [True] * len(call.reads) + [False] * (len(sizes) - reads_end)
        new += [False] * len(call.reads) + [True] * len(call.new) + [False] * len(call.freed)
    return StepMemory(
        StepBlocks(blocks),
        np.array(sizes),
        np.array(of_call, int),
        np.array(read, bool),
        np.array(new, bool),
        np.zeros(len(new), bool),
        np.array([call.weights for call in calls]),
        np.array([call.in_place for call in calls]),
        np.array([call.product for call in calls], bool),
    )


def far(calls: list[Call]) -> dict[int, float]:
    """Extra seconds a byte of each owner that has some."""
    owner = np.array([call.owner for call in calls], int)
    seconds = far_per_byte(memory_of(calls), owner, 10, CURVES)
    return {number: each_s for number, each_s in enumerate(seconds.tolist()) if each_s}


def test_what_a_large_weight_pushed_away_is_read_from_afar() -> None:
    """0 writes a megabyte; 1 streams a weight of 20 MB; 2 reads what 0 wrote, in place."""
    calls = [
        Call(9, new=(MB,)),
        Call(0, reads=(MB,), in_place=MB),
        Call(1, weights=20 * MB, new=(32.0,), freed=(32.0,), product=True),
        Call(2, reads=(MB,), in_place=MB, freed=(MB,)),
    ]
    extra_s = far(calls)
    half_is_read = 4e-11 / 2 - usual(2e6) / 2  # the other half is written in place
    assert extra_s[2] == pytest.approx(half_is_read, rel=0.05)
    assert 0 not in extra_s  # at once after it was made


def usual(distance: float) -> float:
    """Of reading, in the benchmark of an operator that touches so many bytes."""
    return 4e-11 * (distance - 1e6) / 4e6


def test_results_on_memory_of_long_ago_cost_more_than_those_on_the_last() -> None:
    def step(weights: float) -> list[Call]:
        return [
            Call(0, reads=(32.0,), new=(MB,), freed=(MB,)),
            Call(1, weights=weights, new=(32.0,), freed=(32.0,), product=True),
        ]

    near, distant = far(step(32.0)), far(step(40 * MB))
    assert 0 not in near
    assert 0 < distant[0] <= 8e-11


def test_a_step_that_moves_nothing_costs_nothing() -> None:
    assert far([]) == {}
    assert far([Call(0)]) == {}


def test_profiles_of_before_take_the_curve_of_small_weights() -> None:
    chip = hardware("nvidia-h100-sxm")
    assert activation_curves(chip) is None
    assert activation_curves(chip.model_copy(update={"activations": CURVES})) is CURVES


@pytest.mark.parametrize("name", ["read", "written"])
def test_a_curve_has_a_number_a_distance(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have 3 numbers, one a distance"):
        Activations.model_validate({**CURVES.model_dump(), name: [0.0]})
