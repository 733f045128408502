"""A block between two layers, and the FLOPs that PyTorch's own counter sees."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

HIDDEN = 16
INPUTS = 8


class Net(nn.Module):
    """A layer, and a block on its activations: [rows, INPUTS] → [rows, HIDDEN]."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.first, self.block = nn.Linear(INPUTS, HIDDEN), block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.first(x).relu())


def counted(net: nn.Module, batch: torch.Tensor) -> int:
    """FLOPs of one forward."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(batch)
    return int(counter.get_total_flops())
