"""moe-bytes: a causal language model over bytes.

Its FFNs are mixtures of 8 experts, of which each byte takes 2.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

from condsim.mechanisms.moe import MixtureOfExperts
from condsim.zoo.attention import CausalAttention
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.byte_model import ByteModel
from condsim.zoo.data import training_text, windows
from condsim.zoo.dense_bytes import DenseBytes
from condsim.zoo.training import bits, minimise

BALANCE = 0.001
"""Weight of the load-balancing loss (Switch Transformers, equation 4)."""


class Gate(nn.Module):
    """Top-k router.

    forward gives logits [rows, experts], weights [rows, k] that sum to 1, and indices int64
    [rows, k].
    """

    def __init__(self, hidden: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        weight = torch.randn(experts, hidden) * hidden**-0.5
        self.weight = nn.Parameter(weight)

    def forward(
        self, hidden_states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits = F.linear(hidden_states, self.weight)
        weights, indices = torch.topk(logits.softmax(-1), self.top_k, dim=-1)
        return logits, weights / weights.sum(-1, keepdim=True), indices


class Experts(nn.Module):
    """Gated FFNs with the weights of all experts in one tensor a projection.

    They are called as transformers calls its experts.
    """

    def __init__(self, hidden: int, width: int, experts: int) -> None:
        super().__init__()
        self.num_experts = experts
        gate_up = torch.randn(experts, 2 * width, hidden)
        down = torch.randn(experts, hidden, width)
        self.gate_up_proj = nn.Parameter(gate_up * hidden**-0.5)
        self.down_proj = nn.Parameter(down * width**-0.5)
        self.act_fn = nn.SiLU()

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """The weighted sum of each row's experts [rows, hidden].

        hidden_states: [rows, hidden]. top_k_index: int64 [rows, k]. top_k_weights: [rows, k].
        """
        out = torch.zeros_like(hidden_states)
        for expert in torch.unique(top_k_index).tolist():
            rows, slots = torch.where(top_k_index == expert)
            gate_up = F.linear(hidden_states[rows], self.gate_up_proj[expert])
            gate, up = gate_up.chunk(2, dim=-1)
            y = F.linear(self.act_fn(gate) * up, self.down_proj[expert])
            out.index_add_(0, rows, y * top_k_weights[rows, slots, None])
        return out


class SparseFeedForward(nn.Module):
    """A router and its experts over [batch, seq, hidden]."""

    def __init__(self, hidden: int, width: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.gate = Gate(hidden, experts, top_k)
        self.experts = Experts(hidden, width, experts)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the output and the router's logits [rows, experts]."""
        rows = x.flatten(0, -2)
        logits, weights, indices = self.gate(rows)
        return self.experts(rows, indices, weights).view_as(x), logits


class Layer(nn.Module):
    """Attention, then the mixture of experts, each with a residual."""

    def __init__(
        self, hidden: int, heads: int, width: int, experts: int, top_k: int, max_seq: int
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = CausalAttention(hidden, heads, max_seq)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.mlp = SparseFeedForward(hidden, width, experts, top_k)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x + self.attention(self.attention_norm(x))
        y, logits = self.mlp(self.mlp_norm(x))
        return x + y, logits


@ZOO.register("moe-bytes")
class MoeBytes(ByteModel, ZooModel):
    """Byte ids int64 [batch, seq ≤ 256] → next-byte logits [batch, seq, 256]."""

    mechanism = MixtureOfExperts.name
    data = "text"
    knob = Knob("top_k", (1, 3, 4), 1, 8, whole=True)
    seq = 64
    trained_seq = 128
    batch = 16
    steps = 1100

    def __init__(
        self,
        hidden: int = 96,
        heads: int = 4,
        width: int = 64,
        experts: int = 8,
        top_k: int = 2,
        layers: int = 4,
        max_seq: int = 256,
    ) -> None:
        super().__init__(
            hidden=hidden,
            heads=heads,
            width=width,
            experts=experts,
            top_k=top_k,
            layers=layers,
            max_seq=max_seq,
        )
        self.add_embedding(hidden)
        self.layers = nn.ModuleList()
        for _ in range(layers):
            self.layers.append(Layer(hidden, heads, width, experts, top_k, max_seq))
        self.add_head(hidden)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.run(ids)[0]

    def run(self, ids: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Next-byte logits, and every router's logits [rows, experts]."""
        x = self.embed(ids)
        routers: list[torch.Tensor] = []
        for layer in self.layers:
            x, router = layer(x)
            routers.append(router)
        return self.logits(x), routers

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        text, digest = training_text()
        seq, batch = cls.trained_seq, cls.batch
        possible_starts = len(text) - seq - 1

        def loss(_: int) -> torch.Tensor:
            starts = torch.randint(possible_starts, (batch,))
            ids, targets = windows(text, starts, seq)
            logits, routers = model.run(ids)
            load = torch.zeros(())
            for router in routers:
                load = load + imbalance(router, 2)
            entropy = bits(logits, targets).mean()
            return entropy + BALANCE * load

        minimise(model.parameters(), loss, steps, progress, "moe-bytes")
        return model.eval(), {"data_sha256": digest}

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        """An expert has three matrices, a plain FFN two: so it is half as wide again."""
        return {"dense-same-flops": DenseBytes(192), "dense-same-parameters": DenseBytes(768)}


def imbalance(logits: torch.Tensor, top_k: int) -> torch.Tensor:
    """experts x Σ (share of rows an expert takes) x (its mean probability).

    That is top_k when the experts are balanced, more when they are not. logits: [rows, experts].
    """
    experts = logits.shape[-1]
    probabilities = logits.softmax(-1)
    chosen = logits.topk(top_k, dim=-1).indices
    nothing = torch.zeros_like(probabilities)
    taken = nothing.scatter(-1, chosen, 1.0)
    share_of_rows = taken.mean(0)
    mean_probability = probabilities.mean(0)
    return experts * (share_of_rows * mean_probability).sum()
