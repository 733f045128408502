"""Conditional models as people write them who have never heard of condsim: no mark in them, each
gathers and scatters in a way of its own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def convolution(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class EarlyExits(nn.Module):
    """Images [batch, 1, 12, 12] → logits [batch, 5].

    What is not sure yet goes on, in a smaller and smaller batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threshold = 0.27
        self.stages = nn.ModuleList([convolution(1, 6, 2), convolution(6, 6), convolution(6, 8, 2)])
        self.heads = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 5)) for c in (6, 6, 8)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = x.new_zeros(x.shape[0], 5)
        left = torch.arange(x.shape[0], device=x.device)
        for i, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            x = stage(x)
            logits = head(x)
            if i == len(self.stages) - 1:
                result[left] = logits
                break
            confidence, _ = F.softmax(logits, dim=1).max(dim=1)
            done = confidence >= self.threshold
            result[left[done]] = logits[done]
            x, left = x[~done], left[~done]
            if len(left) == 0:
                break
        return result


class GatedBlock(nn.Module):
    """A residual block that a gate may skip, for each row [rows, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 1))
        self.norm = nn.LayerNorm(width)
        self.body = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = torch.sigmoid(self.gate(x)).squeeze(-1) > 0.5
        out = x.clone()
        if keep.any():
            out[keep] += self.body(self.norm(x[keep]))
        return out


class Skips(nn.Module):
    """Rows [batch, 12] → [batch, 5]; two blocks that can be skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(12, 16)
        self.blocks = nn.Sequential(GatedBlock(16), GatedBlock(16))
        self.classifier = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.classifier(self.blocks(torch.relu(self.stem(x))))


class HardBranches(nn.Module):
    """Rows [batch, 12] → logits [batch, 5].

    Every branch runs for every row, and a one-hot choice picks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(12, 8)
        self.router = nn.Linear(8, 3)
        self.paths = nn.ModuleDict(
            {
                "light": nn.Linear(8, 8),
                "middle": nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8)),
                "heavy": nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)),
            }
        )
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> Any:
        h = torch.tanh(self.stem(x))
        chosen = F.one_hot(self.router(h).argmax(dim=-1), num_classes=3).to(h.dtype)
        mixed = sum(chosen[:, i, None] * path(h) for i, path in enumerate(self.paths.values()))
        assert isinstance(mixed, torch.Tensor)
        return self.classifier(mixed)


class PredictedFfn(nn.Module):
    """A feed-forward of 8 blocks of 6 neurons: those that a low-rank predictor wants for any row
    are cut out of the weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.predictor = nn.Sequential(nn.Linear(width, 4, bias=False), nn.Linear(4, 8))
        self.fc1, self.fc2 = nn.Linear(width, 48), nn.Linear(48, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, -2)
        wanted = torch.sigmoid(self.predictor(rows)) > 0.5
        cut = wanted.any(0).nonzero().flatten()
        neurons = (cut[:, None] * 6 + torch.arange(6, device=x.device)).flatten()
        h = F.relu(F.linear(rows, self.fc1.weight[neurons], self.fc1.bias[neurons]))
        h = h * wanted[:, cut].repeat_interleave(6, dim=1)
        return F.linear(h, self.fc2.weight[:, neurons], self.fc2.bias).view(x.shape)


class Sparse(nn.Module):
    """Sequences [batch, seq, 12] → [batch, 5]; two layers whose neurons are predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PredictedFfn(12) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(12) for _ in range(2))
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> Any:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + layer(norm(x))
        return self.classifier(x.mean(1))
