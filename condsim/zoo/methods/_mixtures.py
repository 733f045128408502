"""What methods that balance the experts of moe-bytes share: its data, and its cross entropy."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from condsim.zoo.data import training_text, windows
from condsim.zoo.methods.base import TrainingMethod
from condsim.zoo.moe_bytes import MoeBytes
from condsim.zoo.training import bits


class OfMixtures(TrainingMethod):
    """Text of a step, and the network that is trained on it."""

    model = "moe-bytes"
    steps = 300

    def __init__(self) -> None:
        self.network = MoeBytes().train()
        self.text, _ = training_text()

    def parameters(self) -> Iterable[nn.Parameter]:
        return self.network.parameters()

    def in_use(self) -> nn.Module:
        return self.network

    def bits_and_routers(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Bits a byte of a batch of the training text, and each router's logits."""
        seq = MoeBytes.trained_seq
        starts = torch.randint(len(self.text) - seq - 1, (MoeBytes.batch,))
        ids, targets = windows(self.text, starts, seq)
        logits, routers = self.network.run(ids)
        return bits(logits, targets).mean(), routers
