"""A gated feed-forward of whose neurons a predictor picks those that a row needs.

It takes the place of a decoder's own: what is left out gives zero behind a ReLU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.mechanisms.sparse_activation import SparseActivation


class PredictedNeurons(nn.Module):
    """[units, positions, hidden] → the same.

    The second projection is stored [neurons, hidden], so that a neuron's weights lie together.
    rank: of the predictor, which is two matrices.
    Source: Liu et al., Deja Vu, 2023; Song et al., PowerInfer, 2023.
    """

    def __init__(self, hidden: int, neurons: int, rank: int) -> None:
        super().__init__()
        self.neurons = neurons
        self.gate_proj = nn.Linear(hidden, neurons, bias=False)
        self.up_proj = nn.Linear(hidden, neurons, bias=False)
        self.down = nn.Parameter(torch.zeros(neurons, hidden))
        self.narrow = nn.Linear(hidden, rank, bias=False)
        self.wide = nn.Linear(rank, neurons, bias=False)
        self.site_index = ""  # the path of the module, which `name_sites` writes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, 1)
        site = self.site_index
        condsim.route(
            site,
            SparseActivation.name,
            lambda: self.wide(F.relu(self.narrow(rows))) > 0,
            branches=self.neurons,
        )
        chosen: Any
        with condsim.branch(site) as chosen:
            gate = F.linear(rows, chosen.weight(self.gate_proj.weight, 0))
            up = F.linear(rows, chosen.weight(self.up_proj.weight, 0))
            active = chosen.mask(F.relu(gate) * up)
            result: torch.Tensor = active @ chosen.weight(self.down, 0)
        return result.view_as(x)


def with_predicted_neurons(model: Any, rank: int) -> nn.Module:
    """Return a Llama with such feed-forwards. model: of transformers."""
    config = model.config
    for layer in model.model.layers:
        layer.mlp = PredictedNeurons(config.hidden_size, config.intermediate_size, rank)
        layer.mlp.to(config.dtype)

    def name_sites(decoder: Any, _args: Any) -> None:
        """A decoder of fewer layers has names of its own."""
        for number, layer in enumerate(decoder.layers):
            layer.mlp.site_index = f"model.layers.{number}.mlp"

    model.model.register_forward_pre_hook(name_sites)
    changed: nn.Module = model.eval()
    return changed
