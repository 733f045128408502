"""The memory of keys and values, in blocks of so many tokens.

A sequence that answers grows by a token a turn, so it asks for a block every `block` turns, and all
that ask at the same turns are counted together.
"""

from __future__ import annotations


class KvMemory:
    """The memory of one replica.

    tokens: that it has room for; None for no limit. block: tokens of a block.
    """

    def __init__(self, tokens: int | None, block: int) -> None:
        self.block = block
        self.blocks = None if tokens is None else tokens // block
        self.used = 0
        self._growing = [0] * block
        """Turn, modulo `block` → sequences that begin a block then."""

    def blocks_for(self, tokens: int) -> int:
        """Return the blocks of a sequence of so many tokens."""
        return -(-tokens // self.block)

    def fits(self, blocks: int) -> bool:
        """Whether so many more blocks are free."""
        return self.blocks is None or self.used + blocks <= self.blocks

    def fits_grown(self, held: int, tokens: int, turn: int) -> bool:
        """Whether a sequence that holds some tokens may grow, beside those that answer.

        tokens: that it holds then.
        """
        more = self.blocks_for(tokens) - self.blocks_for(held)
        return self.fits(more + self.blocks_of_turn(turn))

    def take(self, held: int, tokens: int) -> None:
        """Let a sequence grow from one number of tokens to another."""
        self.used += self.blocks_for(tokens) - self.blocks_for(held)

    def give_back(self, tokens: int) -> None:
        """Take back what a sequence of so many tokens holds."""
        self.used -= self.blocks_for(tokens)

    def blocks_of_turn(self, turn: int) -> int:
        """Return the blocks that sequences which answer need for their next token."""
        return self._growing[turn % self.block]

    def grow(self, turn: int) -> None:
        """Give these blocks."""
        self.used += self._growing[turn % self.block]

    def starts_growing(self, tokens: int, turn: int) -> None:
        """Count a sequence that answers from now on. tokens: that it holds."""
        self._growing[(turn - tokens) % self.block] += 1

    def stops_growing(self, tokens: int, turn: int) -> None:
        """Count it no more. tokens, turn: as when it started."""
        self._growing[(turn - tokens) % self.block] -= 1
