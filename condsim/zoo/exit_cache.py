"""Keys and values of a decoder whose tokens leave at layers of their own.

A token that leaves early has no keys and values in the layers after its exit, and later tokens look
at it there: it owes them. The cache is written and read for the sequences that still run, and knows
the three ways to pay: copy those of the last layer that ran, project the state at the exit through
the layers that were skipped, or keep that state until the sequence goes past the exit again, and
then compute all that it owes along with its new token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch


class ExitCache:
    """What a decoder keeps of the tokens so far.

    position: tokens so far. pairs: keys and values side by side, float [units, tokens at most,
    2 hidden] a layer. states: at each exit, float [units, tokens at most, hidden]. computed: at
    each exit, the last token of each sequence that went past it, int64 [units].
    """

    def __init__(self, like: torch.Tensor, layers: int, exits: int, most: int) -> None:
        """like: states of the prompt, float [units, positions, hidden]."""
        units, self.position, hidden = like.shape
        self.pairs = [like.new_zeros(units, most, 2 * hidden) for _ in range(layers)]
        self.states = [like.new_zeros(units, most, hidden) for _ in range(exits)]
        last = self.position - 1
        self.computed = [like.new_full((units,), last, dtype=torch.int64) for _ in range(exits)]


@dataclass(frozen=True)
class Running:
    """The sequences that run, and which of their tokens.

    cache: of all sequences. pairs: its keys and values, of these sequences alone where they are a
    slice of all. units: their numbers, int64 [rows]; None where all of `pairs` run. first, stop:
    the tokens that run, one or several. mask: what each of these may look at, bool [tokens, all
    tokens]; None for one token.
    """

    cache: ExitCache
    pairs: tuple[torch.Tensor, ...]
    first: int
    stop: int
    units: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @classmethod
    def next_token(cls, cache: ExitCache) -> Running:
        """One more token of every sequence."""
        return cls(cache, tuple(cache.pairs), cache.position, cache.position + 1)

    def behind(self, rows: Any) -> Running:
        """What runs behind an exit. rows: the selector of `condsim.branch`."""
        if rows.numbers is None:
            return replace(self, pairs=tuple(rows.take(pairs) for pairs in self.pairs))
        units = rows.numbers if self.units is None else rows.take(self.units)
        return replace(self, units=units)

    def with_owed(self, rows: Any, exit: int) -> Running:
        """The same with the tokens that each sequence owes since it last went past an exit.

        As many in every sequence: what one has computed before is computed again, to the same.
        """
        assert self.units is not None
        computed = self.cache.computed[exit].index_select(0, self.units)
        tokens = rows.most_owed(computed, self.stop - 1)
        first = self.stop - tokens
        every = torch.ones(tokens, self.stop, dtype=torch.bool, device=computed.device)
        return replace(self, first=first, mask=every.tril(first))

    # Keys and values

    def write(self, layer: int, pairs: torch.Tensor) -> None:
        """Keep keys and values of the tokens that run: float [rows, tokens, 2 hidden]."""
        self._put(self.pairs[layer], pairs)

    def read(self, layer: int) -> torch.Tensor:
        """Keys and values of all tokens so far, float [rows, all tokens, 2 hidden]."""
        so_far = self.pairs[layer].narrow(1, 0, self.stop)
        return so_far if self.units is None else so_far.index_select(0, self.units)

    def copy(self, layer: int, after: range) -> None:
        """Give the layers of `after` the tokens' keys and values of `layer`."""
        pairs = self._get(self.pairs[layer])
        for skipped in after:
            self._put(self.pairs[skipped], pairs)

    # States at an exit

    def remember(self, exit: int, states: torch.Tensor) -> None:
        """Keep the states of the tokens that run at an exit: float [rows, tokens, hidden]."""
        self._put(self.cache.states[exit], states)

    def remembered(self, exit: int) -> torch.Tensor:
        """The states of the tokens that run, float [rows, tokens, hidden]."""
        return self._get(self.cache.states[exit])

    def went_past(self, exit: int) -> None:
        """Note that the sequences have no debts at an exit any more."""
        assert self.units is not None
        self.cache.computed[exit].index_fill_(0, self.units, self.stop - 1)

    def _put(self, kept: torch.Tensor, new: torch.Tensor) -> None:
        tokens = kept.narrow(1, self.first, self.stop - self.first)
        if self.units is None:
            tokens.copy_(new)
        else:
            tokens.index_copy_(0, self.units, new)

    def _get(self, kept: torch.Tensor) -> torch.Tensor:
        tokens = kept.narrow(1, self.first, self.stop - self.first)
        return tokens if self.units is None else tokens.index_select(0, self.units)


Project = Callable[[int, torch.Tensor], torch.Tensor]
"""(layer, states float [rows, tokens, hidden]) → the keys and values that the layer makes of it."""


def pay(
    left: Any, x: torch.Tensor, running: Running, exit: int, after: range, how: Project
) -> None:
    """Pay what tokens owe that leave at an exit, in the way that the strategy in force says.

    left: the selector of `condsim.branch(site, 0)`. x: states of the tokens at the exit, float
    [rows, tokens, hidden]. after: the layers that they skip.
    """
    leaving = running.behind(left)
    if left.debts == "recomputed":
        leaving.remember(exit, x)
    elif left.debts == "copied":
        leaving.copy(after.start - 1, after)
    else:
        states = left.take(x)
        for layer in after:
            leaving.write(layer, how(layer, states))
