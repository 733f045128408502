"""Forwards of two inputs that are taped and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from condsim.live.lift.meanings import Meaning
from condsim.live.lift.nodes import Ref
from condsim.live.lift.reader import read_tape
from condsim.live.lift.reading import Reading
from condsim.live.lift.tape import Tape

ROWS = 6

Forward = Callable[[torch.Tensor, torch.Tensor], Any]
"""(scores [rows, 2], rows [rows, 3]) → a tensor."""


def read(forward: Forward) -> Reading:
    """What the tensors of a forward mean."""
    tape = Tape(nn.Identity(), lone=True)
    tape.run(forward, (torch.randn(ROWS, 2), torch.randn(ROWS, 3)), {})
    return read_tape(tape, ROWS)


def meaning(forward: Forward) -> Meaning:
    """What the result of a forward means."""
    reading = read(forward)
    result = reading.tape.output
    assert isinstance(result, Ref)
    return reading.values[result]


def enters(scores: torch.Tensor) -> torch.Tensor:
    """A decision, bool [rows]."""
    return scores[:, 0] > 0
