"""Blocks of memory: what results take, and what operands lie in."""

from __future__ import annotations

from condsim.cost.cpu.memory_blocks import NEVER, Memory


def test_a_result_takes_the_block_that_fits_best() -> None:
    memory = Memory()
    for size, now in ((3e6, 1.0), (1e6, 2.0), (2e6, 3.0)):
        assert memory.take(size, now) == NEVER
    memory.settle()
    for size in (3e6, 1e6, 2e6):
        memory.give_back(size)
    assert memory.take(1.5e6, 4.0) == 3.0  # of the 2 MB
    assert memory.take(0.5e6, 5.0) == 3.0  # what was left of them
    assert memory.take(1e6, 6.0) == 2.0
    assert memory.take(4e6, 7.0) == NEVER


def test_an_operand_is_the_block_of_its_size_touched_last() -> None:
    memory = Memory()
    for size, now in ((8.0, 1.0), (8.0, 2.0), (64.0, 3.0)):
        memory.take(size, now)
    memory.settle()
    two_operands = [memory.touch(8.0, 4.0), memory.touch(8.0, 4.0)]
    assert two_operands == [2.0, 1.0]
    assert memory.touch(16.0, 4.0) == 3.0  # part of a larger one
    assert memory.touch(1e3, 4.0) == NEVER


def test_the_oldest_of_several_blocks_of_a_size_dies() -> None:
    memory = Memory()
    for now in (1.0, 2.0):
        memory.take(8.0, now)
    memory.settle()
    memory.give_back(8.0)
    assert [block.touched for block in memory.live] == [2.0]
    memory.give_back(100.0)  # there is none
    assert len(memory.live) == 1
