"""Copy the weight blocks that any row of the batch asks for into a smaller matrix."""

from __future__ import annotations

from condsim.strategies import Guard, Rows, strategy


@strategy("gathered", "sparse_activation", shapes="any", steered="host")
def gathered(guard: Guard) -> Rows:
    """The union of the blocks that rows ask for."""
    return guard.arriving, (guard.counts > 0).sum(1)
