"""How gates are kept from collapsing while they are trained."""

from __future__ import annotations

import torch
from torch import nn


class Spread(nn.Module):
    """Gate logits spread over the batch, so that no branch is ever starved or takes everything.

    They get the deviation 1 and a learnt mean of `centre` ± `reach`. Used while training only:
    `fold` then writes it into the linear layer that makes the logits.
    """

    def __init__(self, width: int, centre: float, reach: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, momentum=0.05)
        self.shift = nn.Parameter(torch.zeros(width))
        self.centre = centre
        self.reach = reach

    def mean(self) -> torch.Tensor:
        """The mean that the logits get [width]."""
        return self.centre + self.reach * torch.tanh(self.shift)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        spread: torch.Tensor = self.norm(logits) + self.mean()
        return spread

    @torch.no_grad()
    def fold(self, linear: nn.Module) -> None:
        """Make a linear layer give what this module would give of its logits.

        Running statistics stand for the batch's.
        """
        assert isinstance(linear, nn.Linear)
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        scale = torch.rsqrt(self.norm.running_var + self.norm.eps)
        centred = linear.bias - self.norm.running_mean
        bias = centred * scale + self.mean()
        linear.weight.mul_(scale.unsqueeze(1))
        linear.bias.copy_(bias)
