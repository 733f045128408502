"""The heap of the C library: what fits where, and what is given back."""

from __future__ import annotations

from condsim.cost.cpu.heap import MAPPED_BYTES, TRIMMED_BYTES, Heap

MB = 1_000_000


def test_a_freed_block_is_not_new_when_it_comes_again() -> None:
    heap = Heap()
    first, new = heap.take(MB)
    heap.give_back(first)
    assert new == first.size
    assert heap.take(MB) == (first, 0)


def test_a_large_request_finds_what_it_left() -> None:
    heap = Heap()
    large, new = heap.take(1.5 * MAPPED_BYTES)
    assert new == large.size
    heap.give_back(large)
    assert heap.take(1.5 * MAPPED_BYTES) == (large, 0)


def test_neighbours_that_are_free_are_one_block() -> None:
    heap = Heap()
    first, second, third, above = [heap.take(MB)[0] for _ in range(4)]
    for block in (first, third, second):
        heap.give_back(block)
    joined, new = heap.take(3 * MB)
    assert (joined.start, new) == (first.start, 0)
    assert joined.end <= above.start


def test_the_smallest_block_that_is_large_enough_is_taken() -> None:
    heap = Heap()
    large, _, small, _ = [heap.take(size)[0] for size in (4 * MB, MB, 2 * MB, MB)]
    heap.give_back(large)
    heap.give_back(small)
    assert heap.take(1.5 * MB)[0].start == small.start


def test_a_free_end_is_given_back_once_it_is_large() -> None:
    heap = Heap()
    blocks = [heap.take(TRIMMED_BYTES / 4)[0] for _ in range(5)]
    for block in reversed(blocks):
        heap.give_back(block)
    kept, again = [heap.take(TRIMMED_BYTES / 4)[1] for _ in range(2)]
    assert kept == 0
    assert again > 0.9 * TRIMMED_BYTES / 4
