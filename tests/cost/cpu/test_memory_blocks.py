"""Blocks of memory: what results take, and what operands lie in."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.cost.cpu.memory_blocks import NEVER, Memory
from condsim.cost.cpu.step_memory import BlocksOfCall


class Process:
    """Operators that run one after the other, the first of them at 1."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.now = 0

    def run(
        self,
        reads: Sequence[float] = (),
        new: Sequence[float] = (),
        freed: Sequence[float] = (),
    ) -> list[int]:
        """Run an operator on tensors of so many bytes; returns when what it reads, and then what
        it makes, was touched before."""
        self.now += 1
        sizes = [*reads, *new, *freed]
        made, dead = len(reads), len(reads) + len(new)
        call = BlocksOfCall(
            0, tuple(range(made)), tuple(range(made, dead)), tuple(range(dead, len(sizes)))
        )
        return self.memory.play([call], sizes, before=self.now)[:dead]


def with_blocks(*sizes: float) -> Process:
    """A process whose blocks were made one after the other, at 1, 2, ..."""
    process = Process()
    for size in sizes:
        assert process.run(new=[size]) == [NEVER]
    return process


def test_a_result_takes_the_block_that_fits_best() -> None:
    process = with_blocks(3e6, 1e6, 2e6)
    process.run(freed=[3e6, 1e6, 2e6])
    found = process.run(new=[1.5e6, 0.5e6, 1e6, 4e6])
    of_two_mb, rest_of_two_mb = 3, 3
    assert found == [of_two_mb, rest_of_two_mb, 2, NEVER]


def test_an_operand_is_the_block_of_its_size_touched_last() -> None:
    process = with_blocks(8.0, 8.0, 64.0)
    part_of_a_larger_one = 3
    assert process.run(reads=[8.0, 8.0, 16.0, 1e3]) == [2, 1, part_of_a_larger_one, NEVER]


def test_tensors_of_no_bytes_have_no_memory() -> None:
    process = with_blocks(8.0)
    assert process.run(reads=[0.0], new=[0.0], freed=[0.0]) == [NEVER, NEVER]
    assert process.run(reads=[8.0]) == [1]


def test_the_oldest_of_several_blocks_of_a_size_dies() -> None:
    process = with_blocks(8.0, 8.0)
    there_is_none = 100.0
    process.run(freed=[8.0, there_is_none])
    only_one_is_left = NEVER
    memory_of_the_older_one = 1
    assert process.run(reads=[8.0, 8.0], new=[8.0]) == [
        2,
        only_one_is_left,
        memory_of_the_older_one,
    ]


def test_what_an_operator_touches_is_touched_when_it_is_done() -> None:
    process = with_blocks(8.0)
    assert process.run(reads=[8.0]) == [1]
    assert process.run(reads=[8.0]) == [2]


def test_of_blocks_touched_at_once_the_first_operand_s_dies() -> None:
    """The one that is left counts as touched before the operand between the two."""
    process = with_blocks(8.0, 8.0, 16.0)
    process.run(reads=[8.0, 16.0, 8.0], freed=[8.0])
    part_of_the_block_of_16, the_block_is_held, the_one_left = 4, NEVER, 4
    found = process.run(reads=[4.0, 16.0, 8.0])
    assert found == [part_of_the_block_of_16, the_block_is_held, the_one_left]
