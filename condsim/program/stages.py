"""The stages of a training step: forward, backward and optimizer.

A step of several micro-batches runs forward and backward once each, and then its optimizer.
"""

from __future__ import annotations

from collections.abc import Sequence

FORWARD, BACKWARD, OPTIMIZER = "forward", "backward", "optimizer"


def number_of_stage(stages: Sequence[int], node: int) -> int:
    """Return how many stages begin up to a node of the root; 0 in the first forward.

    stages: the nodes with which the stages after the first forward begin.
    """
    return sum(node >= begin for begin in stages)


def name_of_stage(stages: Sequence[int], number: int) -> str:
    """Return the name of a stage. number: as of `number_of_stage`."""
    if number and number == len(stages):
        return OPTIMIZER
    return BACKWARD if number % 2 else FORWARD


def in_forward(stages: Sequence[int], node: int) -> bool:
    """Whether a node of the root belongs to a forward, of whichever micro-batch."""
    return name_of_stage(stages, number_of_stage(stages, node)) == FORWARD
