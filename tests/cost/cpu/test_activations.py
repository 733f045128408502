"""Distances of activations: where memory was touched last, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest

from condsim.cost.cpu.activations import Memory, curves_of, far_per_byte
from condsim.hardware import Activations, hardware
from condsim.lower import ITEMSIZE, Call
from condsim.program import Dim, Op, Tensor, elements

CURVES = Activations(
    distance=[1e6, 5e6, 1e8], read=[0.0, 4e-11, 4e-11], written=[0.0, 8e-11, 8e-11]
)
MB = 250_000  # elements


def tensor(count: int, weight: str = "") -> Tensor:
    return Tensor((Dim(count),), "float", weight)


def call(
    number: int,
    name: str,
    inputs: list[Tensor],
    outputs: list[Tensor],
    born: int = 0,
    freed: tuple[int, ...] = (),
) -> Call:
    return Call(
        Op(name, tuple(inputs), tuple(outputs)),
        {},
        (),
        ((), number),
        [(born, "float")] if born else [],
        [(n, "float") for n in freed],
    )


def far(calls: list[Call], curves: Activations = CURVES) -> dict[Any, float]:
    def bytes_of(_op: Op, t: Tensor, shape: Any, _outs: Any) -> float:
        return float(4 * elements(shape))

    return {
        place: seconds
        for (_, place), seconds in far_per_byte(
            calls, bytes_of, ITEMSIZE.__getitem__, curves
        ).items()
    }


def test_what_a_large_weight_pushed_away_is_read_from_afar() -> None:
    """0 writes a megabyte; 1 streams a weight of 20 MB and reads nothing else; 2 reads what 0 wrote, in place."""
    calls = [
        call(0, "relu_", [tensor(MB)], [tensor(MB)]),
        call(1, "linear", [tensor(20 * MB, "w")], [tensor(8)], born=8, freed=(8,)),
        call(2, "relu_", [tensor(MB)], [tensor(MB)], freed=(MB,)),
    ]
    found = far([call(9, "new_zeros", [], [tensor(MB)], born=MB), *calls])
    assert found[2] == pytest.approx(
        4e-11 / 2 - usual(2e6) / 2, rel=0.05
    )  # half of its bytes are read, half are written in place
    assert 0 not in found  # at once after it was made


def usual(distance: float) -> float:
    """Of reading, in the benchmark of an operator that touches so many bytes."""
    return 4e-11 * (distance - 1e6) / 4e6


def test_a_result_takes_the_block_that_fits_best() -> None:
    memory = Memory()
    for size, now in ((3e6, 1.0), (1e6, 2.0), (2e6, 3.0)):
        assert memory.take(size, now) == float("-inf")
    memory.settle()
    for size in (3e6, 1e6, 2e6):
        memory.give_back(size)
    assert memory.take(1.5e6, 4.0) == 3.0  # of the 2 MB
    assert memory.take(0.5e6, 5.0) == 3.0  # what was left of them
    assert memory.take(1e6, 6.0) == 2.0
    assert memory.take(4e6, 7.0) == float("-inf")


def test_an_operand_is_the_block_of_its_size_touched_last() -> None:
    memory = Memory()
    for size, now in ((8.0, 1.0), (8.0, 2.0), (64.0, 3.0)):
        memory.take(size, now)
    memory.settle()
    assert [memory.touch(8.0, 4.0), memory.touch(8.0, 4.0)] == [
        2.0,
        1.0,
    ]  # two operands are two blocks
    assert memory.touch(16.0, 4.0) == 3.0  # part of a larger one
    assert memory.touch(1e3, 4.0) == float("-inf")


def test_results_on_memory_of_long_ago_cost_more_than_those_on_the_last() -> None:
    def step(weight: int) -> list[Call]:
        return [
            call(0, "mul", [tensor(8)], [tensor(MB)], born=MB, freed=(MB,)),
            call(1, "linear", [tensor(weight, "w")], [tensor(8)], born=8, freed=(8,)),
        ]

    near, distant = far(step(8)), far(step(40 * MB))
    assert 0 not in near
    assert 0 < distant[0] <= 8e-11


def test_a_step_that_moves_nothing_costs_nothing() -> None:
    assert far([]) == {}
    assert far([call(0, "item", [], [])]) == {}


def test_profiles_of_before_take_the_curve_of_small_weights() -> None:
    chip = hardware("nvidia-h100-sxm")
    assert curves_of(chip) is None
    assert curves_of(chip.model_copy(update={"activations": CURVES})) is CURVES


@pytest.mark.parametrize("name", ["read", "written"])
def test_a_curve_has_a_number_a_distance(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have 3 numbers, one a distance"):
        Activations.model_validate({**CURVES.model_dump(), name: [0.0]})
