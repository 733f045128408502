"""Blocks of memory: what results take, and what operands lie in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from condsim.cost.cpu.memory_blocks import NEVER, Memory
from condsim.cost.cpu.step_memory import BlocksOfCall


class Operator(NamedTuple):
    """An operator on tensors of so many bytes."""

    reads: tuple[float, ...] = ()
    new: tuple[float, ...] = ()
    freed: tuple[float, ...] = ()


def touched_by(*operators: Operator) -> list[list[int]]:
    """Run operators one after the other, the first of them at 0; returns, for each, when what it
    reads, and then what it makes, was touched before."""
    sizes: list[float] = []
    calls = []
    for number, operator in enumerate(operators):
        places = []
        for of_role in operator:
            places.append(tuple(range(len(sizes), len(sizes) + len(of_role))))
            sizes += of_role
        calls.append(BlocksOfCall(number, *places))
    found = Memory(np.array(sizes)).play(calls)
    return [found[[*call.reads, *call.new]].tolist() for call in calls]


def made(*sizes: float) -> list[Operator]:
    """Operators that make blocks one after the other, at 0, 1, ..."""
    return [Operator(new=(size,)) for size in sizes]


def test_a_result_takes_the_block_that_fits_best() -> None:
    die = Operator(freed=(3e6, 1e6, 2e6))
    *_, found = touched_by(*made(3e6, 1e6, 2e6), die, Operator(new=(1.5e6, 0.5e6, 1e6, 4e6)))
    of_two_mb, rest_of_two_mb = 2, 2
    assert found == [of_two_mb, rest_of_two_mb, 1, NEVER]


def test_an_operand_is_the_block_of_its_size_touched_last() -> None:
    *_, found = touched_by(*made(8.0, 8.0, 64.0), Operator(reads=(8.0, 8.0, 16.0, 1e3)))
    part_of_a_larger_one = 2
    assert found == [1, 0, part_of_a_larger_one, NEVER]


def test_tensors_of_no_bytes_have_no_memory() -> None:
    nothing = Operator(reads=(0.0,), new=(0.0,), freed=(0.0,))
    *_, of_nothing, found = touched_by(*made(8.0), nothing, Operator(reads=(8.0,)))
    assert (of_nothing, found) == ([NEVER, NEVER], [0])


def test_the_oldest_of_several_blocks_of_a_size_dies() -> None:
    there_is_none = 100.0
    die = Operator(freed=(8.0, there_is_none))
    *_, found = touched_by(*made(8.0, 8.0), die, Operator(reads=(8.0, 8.0), new=(8.0,)))
    only_one_is_left, memory_of_the_older_one = NEVER, 0
    assert found == [1, only_one_is_left, memory_of_the_older_one]


def test_what_an_operator_touches_is_touched_when_it_is_done() -> None:
    read = Operator(reads=(8.0,))
    assert touched_by(*made(8.0), read, read) == [[NEVER], [0], [1]]


def test_of_blocks_touched_at_once_the_first_operand_s_dies() -> None:
    """The one that is left counts as touched before the operand between the two."""
    at_once = Operator(reads=(8.0, 16.0, 8.0), freed=(8.0,))
    *_, found = touched_by(*made(8.0, 8.0, 16.0), at_once, Operator(reads=(4.0, 16.0, 8.0)))
    part_of_the_block_of_16, the_block_is_held, the_one_left = 3, NEVER, 3
    assert found == [part_of_the_block_of_16, the_block_is_held, the_one_left]
