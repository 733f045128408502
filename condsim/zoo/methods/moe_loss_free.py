"""Loss-free balancing: a bias on each expert's score, moved after each step, chooses experts."""

from __future__ import annotations

import torch
from torch import nn

from condsim.zoo.methods._mixtures import OfMixtures
from condsim.zoo.methods.base import METHODS
from condsim.zoo.moe_bytes import Gate, Layer

RATE = 0.001
"""By which a bias moves in a step (Wang et al., 2024, section 4.3)."""


class BiasedGate(Gate):
    """A top-k router whose choice adds a bias to the probabilities, and whose weights do not.

    bias: float [experts]. loads: rows that each expert took in the last forward, int64 [experts].
    """

    def __init__(self, hidden: int, experts: int, top_k: int) -> None:
        super().__init__(hidden, experts, top_k)
        self.bias: torch.Tensor
        self.register_buffer("bias", torch.zeros(experts))
        self.loads = torch.zeros(experts, dtype=torch.int64)

    def forward(
        self, hidden_states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits = nn.functional.linear(hidden_states, self.weight)
        probabilities = logits.softmax(-1)
        indices = torch.topk(probabilities + self.bias, self.top_k, dim=-1).indices
        weights = probabilities.gather(-1, indices)
        if self.training:
            self.loads = torch.bincount(indices.flatten(), minlength=len(self.bias))
        return logits, weights / weights.sum(-1, keepdim=True), indices

    @torch.no_grad()
    def move(self) -> None:
        """Raise the bias of experts that took less than the mean, lower that of the others."""
        missing = self.loads.float().mean() - self.loads
        self.bias += RATE * missing.sign()


@METHODS.register("moe-loss-free")
class MoeLossFree(OfMixtures):
    """The cross entropy alone; biases move after each step."""

    about = f"a bias on each expert's score moves by {RATE:g} after each step"
    source = "Wang et al., 2024 (auxiliary-loss-free load balancing); DeepSeek-V3"

    def __init__(self) -> None:
        super().__init__()
        config = self.network.config
        self.gates = []
        for layer in self.network.layers:
            assert isinstance(layer, Layer)
            gate = BiasedGate(config["hidden"], config["experts"], config["top_k"])
            layer.mlp.gate = gate
            self.gates.append(gate)

    def loss(self, step: int, steps: int) -> torch.Tensor:
        entropy, _ = self.bits_and_routers()
        for gate in self.gates:
            gate.move()
        return entropy
