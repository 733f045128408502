"""Two stages of convolutions; images that are easy leave after the first."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.self_check.modules.built_in import built_in

CHANNELS, CLASSES, SIDE = 32, 10, 14


class Stage(nn.Module):
    """Two convolutions with norms."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        for _ in range(2):
            convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
            self.convolutions.append(nn.Sequential(convolution, nn.BatchNorm2d(CHANNELS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return x


@built_in("exit", 16, CHANNELS, SIDE, SIDE)
class Exit(nn.Module):
    """Feature maps [images, CHANNELS, SIDE, SIDE] → class logits [images, CLASSES]."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()
        self.heads = nn.ModuleList(nn.Linear(CHANNELS, CLASSES) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        logits: torch.Tensor | None = None

        def decide() -> torch.Tensor:
            return (x[:, 0, 0, 0] > 0).long()

        rows: Any
        condsim.route("exit", "early_exit", decide, branches=2)
        with condsim.branch("exit", 0) as rows:
            if rows:
                logits = rows.put(None, self.heads[0](rows.take(h).mean((2, 3))))
        with condsim.branch("exit", 1) as rows:
            if rows:
                late = self.second(rows.take(h)).mean((2, 3))
                logits = rows.put(logits, self.heads[1](late))
        assert logits is not None
        return logits
