"""How the weight blocks behind a guard run: one selector a strategy.

Such a selector is what `condsim.branch` yields at a site of sparse activation. `weight` cuts the
blocks that run out of a weight matrix, and `mask` sets to zero what a row did not ask for.
Where the first product of a feed-forward decides, `take` picks the activations that go on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from condsim.live.execution import Execution, Frame, Routed
from condsim.registry import Registry


class BlockSelector:
    """All weight blocks: the dense layer (`same-params`).

    arriving: rows that reach the guard, running: blocks that run behind it; None where the strategy
        does not count them.
    used: true, because guarded code that does not cut its weights runs all blocks.
    tokens: None, because its rows owe nothing.
    """

    arriving: int | None = None
    running: int | None = None
    used = True
    tokens: int | None = None

    def __bool__(self) -> bool:
        return True

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        """The blocks of w along `dim` that run. w: a tensor whose `dim` is blocks x block size."""
        return w

    def take(self, h: torch.Tensor) -> torch.Tensor:
        """The activations of the blocks that run, of h [rows, width of all]."""
        return h

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        """h [rows, width of what runs] with zeros in the blocks that a row did not ask for."""
        return h


class GatheredBlocks(BlockSelector):
    """Copy the blocks that any row asks for into a smaller matrix.

    The number of blocks must reach the host: a synchronisation.
    """

    def __init__(self, asked: torch.Tensor) -> None:
        """asked: the blocks that each row asks for, bool [rows, blocks]."""
        self.asked = asked
        self.numbers = asked.any(0).nonzero().squeeze(-1)
        self.arriving, self.running = asked.shape[0], self.numbers.shape[0]
        self.blocks = asked.shape[1]
        self.block_size = 0  # known once a weight was cut

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        self.block_size = w.shape[dim] // self.blocks
        shape = list(w.shape)
        shape[dim : dim + 1] = [self.blocks, self.block_size]
        return w.view(shape).index_select(dim, self.numbers).flatten(dim, dim + 1)

    def take(self, h: torch.Tensor) -> torch.Tensor:
        self.block_size = h.shape[-1] // self.blocks
        if self.block_size == 1:
            return h.index_select(-1, self.numbers)
        blocks = h.unflatten(-1, (self.blocks, self.block_size))
        return blocks.index_select(-2, self.numbers).flatten(-2)

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        asked = self.asked.index_select(1, self.numbers).unsqueeze(-1)
        blocks = h.view(*h.shape[:-1], self.numbers.shape[0], self.block_size)
        return (blocks * asked).flatten(-2)


class MaskedBlocks(BlockSelector):
    """Run every block and set to zero what a row did not ask for."""

    def __init__(self, asked: torch.Tensor) -> None:
        """asked: the blocks that each row asks for, bool [rows, blocks]."""
        self.asked = asked
        self.arriving, self.running = asked.shape

    def mask(self, h: torch.Tensor) -> torch.Tensor:
        blocks = h.view(*h.shape[:-1], self.asked.shape[1], -1)
        return (blocks * self.asked.unsqueeze(-1)).flatten(-2)


class SlicedBlocks(BlockSelector):
    """The first blocks by a slice: a dense layer of the mean logical width (`same-flops`)."""

    def __init__(self, kept: int, blocks: int) -> None:
        self.kept, self.blocks = kept, blocks
        self.running = kept

    def weight(self, w: torch.Tensor, dim: int) -> torch.Tensor:
        block_size = w.shape[dim] // self.blocks
        return w.narrow(dim, 0, block_size * self.kept)

    def take(self, h: torch.Tensor) -> torch.Tensor:
        return self.weight(h, h.ndim - 1)


Rule = Callable[[Execution, Routed, Frame], BlockSelector]
"""(what is in force, the site's decision, the guard that is about to run) → its selector."""
BLOCK_SELECTORS: Registry[Rule] = Registry("strategy of weight blocks")
"""Strategy → what makes its selectors."""


@BLOCK_SELECTORS.register("gathered")
def gathered(execution: Execution, routed: Routed, frame: Frame) -> BlockSelector:
    """Rows that did not take the guards outside ask for no block."""
    asked = routed.decided()
    for mask in frame.masks:
        asked = asked & mask.unsqueeze(-1)
    return GatheredBlocks(asked)


@BLOCK_SELECTORS.register("masked")
def masked(execution: Execution, routed: Routed, frame: Frame) -> BlockSelector:
    return MaskedBlocks(routed.decided())


@BLOCK_SELECTORS.register("same-params")
def same_params(execution: Execution, routed: Routed, frame: Frame) -> BlockSelector:
    return BlockSelector()


@BLOCK_SELECTORS.register("same-flops")
def same_flops(execution: Execution, routed: Routed, frame: Frame) -> BlockSelector:
    kept = execution.rows_kept[routed.site]
    return SlicedBlocks(int(kept.sum()), len(kept))
