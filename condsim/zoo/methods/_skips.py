"""What methods for the gates of skip-fashion share: its data, and a loss of sampled gates."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.methods.base import TrainingMethod
from condsim.zoo.skip_fashion import SHRINK_BEFORE, SkipFashion, block_costs, open_share
from condsim.zoo.training import ShuffledBatches


class OfSkips(TrainingMethod):
    """Images and labels of a step, and the network that is trained on them."""

    model = "skip-fashion"
    steps = 600

    def __init__(self) -> None:
        self.network = SkipFashion().train()
        self.images, self.labels, _ = fashion_training()
        count = len(self.images) - VALIDATION_IMAGES
        self.batches = ShuffledBatches(count, SkipFashion.batch)

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.network.parameters()

    def in_use(self) -> nn.Module:
        return self.network

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels of a step."""
        rows = self.batches(step)
        return self.images[rows], self.labels[rows]

    def opened(self, images: torch.Tensor, step: int, steps: int) -> int:
        """How many images of a batch, the first ones, enter every block."""
        return round(len(images) * open_share(step, steps))


def sampled(
    network: SkipFashion, images: torch.Tensor, opened: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class logits [rows, 10] under gates that are drawn, and of each row of the rest the log
    probability of what was drawn, and what its blocks cost, float [rows - opened] each.

    opened: so many rows, the first ones, enter every block. Gates get no gradient from the logits.
    """
    x = network.stem(images)
    costs = block_costs()
    likely = spent = torch.zeros(len(images) - opened)
    for i, block in enumerate(network.blocks):
        if i == SHRINK_BEFORE:
            x = network.shrink(x)
        score = network.gates[i](x[opened:].detach()).squeeze(-1)
        policy = torch.distributions.Bernoulli(logits=score)
        drawn = policy.sample()
        likely = likely + policy.log_prob(drawn)
        spent = spent + costs[i] * drawn
        gate = torch.cat([torch.ones(opened), drawn])[:, None, None, None]
        x = gate * block(x) + (1 - gate) * x
    return network.head(x), likely, spent
