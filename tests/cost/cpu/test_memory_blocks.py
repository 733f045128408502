"""Blocks of memory: what results take, and what operands lie in."""

from __future__ import annotations

from condsim.cost.cpu.memory_blocks import NEVER, Memory


def with_blocks(*sizes: float) -> Memory:
    """A memory whose blocks were made one after the other, at 1, 2, ..."""
    memory = Memory()
    for now, size in enumerate(sizes, start=1):
        assert memory.take(size) == NEVER
        memory.settle(now)
    return memory


def test_a_result_takes_the_block_that_fits_best() -> None:
    memory = with_blocks(3e6, 1e6, 2e6)
    for size in (3e6, 1e6, 2e6):
        memory.give_back(size)
    assert memory.take(1.5e6) == 3  # of the 2 MB
    assert memory.take(0.5e6) == 3  # what was left of them
    assert memory.take(1e6) == 2
    assert memory.take(4e6) == NEVER


def test_an_operand_is_the_block_of_its_size_touched_last() -> None:
    memory = with_blocks(8.0, 8.0, 64.0)
    two_operands = [memory.touch(8.0), memory.touch(8.0)]
    assert two_operands == [2, 1]
    assert memory.touch(16.0) == 3  # part of a larger one
    assert memory.touch(1e3) == NEVER


def test_the_oldest_of_several_blocks_of_a_size_dies() -> None:
    memory = with_blocks(8.0, 8.0)
    memory.give_back(8.0)
    memory.give_back(100.0)  # there is none
    assert memory.take(8.0) == 1  # the memory of the older one
    assert memory.touch(8.0) == 2
    assert memory.touch(8.0) == NEVER  # the other is still the running operator's


def test_what_an_operator_touches_is_touched_when_it_is_done() -> None:
    memory = with_blocks(8.0)
    memory.touch(8.0)
    memory.settle(5)
    assert memory.touch(8.0) == 5


def test_of_blocks_touched_at_once_the_first_operand_s_dies() -> None:
    """The one that is left counts as touched before the operand between the two."""
    memory = with_blocks(8.0, 8.0, 16.0)
    for operand in (8.0, 16.0, 8.0):
        memory.touch(operand)
    memory.settle(5)
    memory.give_back(8.0)
    memory.touch(4.0)  # part of the block of 16 bytes
    assert memory.touch(16.0) == NEVER
    assert memory.touch(8.0) == 5
