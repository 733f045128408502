"""Blocks of keys and values: as many as if every token were counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from condsim.serve.memory import KvMemory


@given(
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40)), min_size=1, max_size=10),
)
def test_growing_together_is_growing_one_by_one(
    block: int, sequences: list[tuple[int, int]]
) -> None:
    """Sequences of some tokens that begin to answer at some turn, and 60 turns."""
    memory = KvMemory(None, block)
    lengths: dict[int, int] = {}
    for turn in range(60):
        for number, (tokens, begins) in enumerate(sequences):
            if begins == turn:
                memory.take(0, tokens)
                memory.starts_growing(tokens, turn)
                lengths[number] = tokens
        memory.grow(turn)
        lengths = {number: tokens + 1 for number, tokens in lengths.items()}
        assert memory.used == sum(-(-tokens // block) for tokens in lengths.values())
    for number, tokens in lengths.items():
        memory.stops_growing(*sequences[number])
        memory.give_back(tokens)
    assert memory.used == 0


def test_whole_blocks_are_given_out() -> None:
    memory = KvMemory(50, 16)
    assert memory.blocks == 3
    memory.take(0, 17)
    assert memory.used == 2
    assert memory.fits_grown(17, 32, turn=0)
    assert memory.fits_grown(17, 33, turn=0)
    assert not memory.fits_grown(17, 49, turn=0)
