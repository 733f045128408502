"""Straight-through gates of skip-fashion: hard forward, soft backward."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from condsim.zoo.methods._skips import OfSkips
from condsim.zoo.skip_fashion import NOISY_SHARE, Gate
from condsim.zoo.spread import Spread


class Relaxed(OfSkips):
    """As skip-fashion itself is trained: scores are spread over the batch, so that no gate closes.

    noisy_share: of the steps, in which a logistic noise is added to a gate's score.
    """

    noisy_share: float

    def __init__(self) -> None:
        super().__init__()
        self.spreads = nn.ModuleList(Spread(1, centre=0.0, reach=1.0) for _ in self.network.blocks)

    def parameters(self) -> Iterable[nn.Parameter]:
        return [*self.network.parameters(), *self.spreads.parameters()]

    def loss(self, step: int, steps: int) -> torch.Tensor:
        images, labels = self.batch(step)
        opened = self.opened(images, step, steps)
        noisy = step < self.noisy_share * steps
        logits, spent = self.network.gated(images, self.spreads, opened, noisy)
        return F.cross_entropy(logits, labels) + spent

    def in_use(self) -> nn.Module:
        """A copy whose gates give spread scores."""
        network = copy.deepcopy(self.network)
        for gate, spread in zip(network.gates, self.spreads, strict=True):
            assert isinstance(gate, Gate)
            assert isinstance(spread, Spread)
            spread.fold(gate[-1])
        return network


OWN_NOISY_SHARE = NOISY_SHARE
"""Of the model as it ships."""
