"""No balancing: what experts get is what the language loss alone makes of it."""

from __future__ import annotations

import torch

from condsim.zoo.methods._mixtures import OfMixtures
from condsim.zoo.methods.base import METHODS


@METHODS.register("moe-unbalanced")
class MoeUnbalanced(OfMixtures):
    """The cross entropy, and nothing else."""

    about = "nothing balances the experts"
    source = "Shazeer et al., 2017, section 4, on why that is not enough"

    def loss(self, step: int, steps: int) -> torch.Tensor:
        entropy, _ = self.bits_and_routers()
        return entropy
