"""REINFORCE: a gate is a policy, and what an image's loss was tells whether it did well."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from condsim.zoo.methods._skips import OfSkips, sampled
from condsim.zoo.methods.base import METHODS


@METHODS.register("skip-reinforce")
class SkipReinforce(OfSkips):
    """The reward is the negative of an image's cross entropy and of what its blocks cost.

    It is compared with the mean of the batch (a baseline, which changes no expected gradient).
    """

    about = "gates are drawn, and rewarded by what the image's loss and cost were"
    source = "Williams, 1992; SkipNet (Wang et al., 2018), section 3.3"

    def loss(self, step: int, steps: int) -> torch.Tensor:
        images, labels = self.batch(step)
        opened = self.opened(images, step, steps)
        logits, likely, spent = sampled(self.network, images, opened)
        entropy = F.cross_entropy(logits, labels, reduction="none")
        loss_of_row = (entropy[opened:] + spent).detach()
        worse_than_mean = loss_of_row - loss_of_row.mean()
        of_policy = (worse_than_mean * likely).mean()
        value: torch.Tensor = entropy.mean() + of_policy
        return value
