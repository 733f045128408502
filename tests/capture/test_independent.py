"""Decisions that follow from a whole batch are said to; those of single rows are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from condsim.capture.capture_trace import capture_trace
from condsim.capture.header import Labels
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel

WIDTH = 8
Gate = Callable[[torch.Tensor], torch.Tensor]
"""Scores [rows] → which rows enter, bool [rows]."""


class Gated(nn.Module):
    """Rows enter a block by a rule over their scores."""

    def __init__(self, enters: Gate) -> None:
        super().__init__()
        self.gate, self.block = nn.Linear(WIDTH, 1, bias=False), nn.Linear(WIDTH, WIDTH)
        self.enters = enters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.enters(self.gate(x).squeeze(-1))
        out = x.clone()
        out[keep] = self.block(x[keep])
        return out


def notes(enters: Gate) -> list[str]:
    torch.manual_seed(0)
    model = Gated(enters).eval()
    batches = as_batches([torch.randn(16, WIDTH) for _ in range(2)])
    trace = capture_trace(LiveModel.of(model), batches, Labels("gated"))
    return [note for note in trace.header.notes if "what else is in the batch" in note]


@pytest.mark.parametrize(
    ("enters", "depends"),
    [
        (lambda scores: scores > 0, False),
        (lambda scores: scores > scores.mean() + scores.std(), True),
        (lambda scores: scores.softmax(0) > 1 / 16, True),
        (lambda scores: scores.cumsum(0) > 0, True),
        (lambda scores: scores.flip(0).cumsum(0).flip(0) > 0, True),
    ],
)
def test_a_gate_that_compares_rows_is_noted(enters: Gate, depends: bool) -> None:
    found = notes(enters)
    assert bool(found) == depends
    assert all(note.startswith("gate decides by what else is in the batch") for note in found)
