"""An auxiliary loss: experts that take many rows get their probability pushed down."""

from __future__ import annotations

import torch

from condsim.zoo.methods._mixtures import OfMixtures
from condsim.zoo.methods.base import METHODS
from condsim.zoo.moe_bytes import imbalance

WEIGHT = 0.01
"""Of the loss (Switch Transformers, section 2.2); the shipped model has a tenth of it."""


@METHODS.register("moe-auxiliary")
class MoeAuxiliary(OfMixtures):
    """The cross entropy and, for each layer, experts x Σ share of rows x mean probability."""

    about = f"a loss of weight {WEIGHT:g} on uneven loads"
    source = "Switch Transformers (Fedus et al., 2021), equation 4"

    def loss(self, step: int, steps: int) -> torch.Tensor:
        entropy, routers = self.bits_and_routers()
        load = torch.zeros(())
        for router in routers:
            load = load + imbalance(router, self.network.config["top_k"])
        return entropy + WEIGHT * load
