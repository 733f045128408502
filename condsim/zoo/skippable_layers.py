"""Decoder layers that a token may jump over, as FlexiDepth adds them to a trained Llama.

A router decides for each token before a layer. Keys and values are made of all tokens, so that
later ones can look at them. A token that jumps over the layer has no query, no output projection
and no feed-forward there, but a narrow feed-forward in their place.
Source: Luo et al., 2025, Adaptive layer-skipping in pre-trained LLMs (arXiv 2503.23798).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.mechanisms.skip import Skip

JUMPS, ENTERS = 0, 1
"""The branches."""
ENOUGH = 0.5
"""Of the router's score, from which on a token enters."""


@dataclass(frozen=True)
class Widths:
    """router: its bottleneck. adapter: neurons of the feed-forward of tokens that jump over."""

    router: int
    adapter: int


class Router(nn.Module):
    """States [rows, hidden] → which rows enter, int64 [rows]."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(hidden, width, bias=False)
        self.wide = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.wide(torch.tanh(self.narrow(rows)))
        score = self.score(seen).sigmoid().squeeze(-1)
        enters: torch.Tensor = (score > ENOUGH).long()
        return enters


class Adapter(nn.Module):
    """What tokens run that jump over a layer: [rows, hidden] → the same."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, width, bias=False)
        self.up = nn.Linear(hidden, width, bias=False)
        self.down = nn.Linear(width, hidden, bias=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        gated = F.silu(self.gate(rows)) * self.up(rows)
        out: torch.Tensor = self.down(gated)
        return out


class SkippableLayer(nn.Module):
    """A layer of transformers' Llama: [units, positions, hidden] → the same."""

    def __init__(self, own: Any, hidden: int, widths: Widths) -> None:
        super().__init__()
        self.own = own
        self.router = Router(hidden, widths.router)
        self.adapter = Adapter(hidden, widths.adapter)
        self.site_index = ""  # the path of the router, which `name_sites` writes

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        cache: Any = None,
        position_embeddings: Any = None,
        **_: Any,
    ) -> torch.Tensor:
        normed = self.own.input_layernorm(hidden_states)
        rows = normed.flatten(0, 1)
        condsim.route(self.site_index, Skip.name, lambda: self.router(rows))
        mixed = self._attention(normed, attention_mask, cache, position_embeddings)
        x = hidden_states + mixed
        y: torch.Tensor = x + self._feed_forwards(self.own.post_attention_layernorm(x))
        return y

    def _attention(
        self, x: torch.Tensor, mask: torch.Tensor | None, cache: Any, angles: Any
    ) -> torch.Tensor:
        """Attention of all tokens, whose projections only those run that enter."""
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
        from transformers.models.llama.modeling_llama import (
            apply_rotary_pos_emb,
            eager_attention_forward,
        )

        attention = self.own.self_attn
        query = self._of_entering(x, attention.q_proj)
        parts = []
        for part in (query, attention.k_proj(x), attention.v_proj(x)):
            by_head = part.unflatten(-1, (-1, attention.head_dim))
            parts.append(by_head.transpose(1, 2))
        q, k = apply_rotary_pos_emb(parts[0], parts[1], *angles)
        v = parts[2]
        if cache is not None:
            k, v = cache.update(k, v, attention.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            attention.config._attn_implementation, eager_attention_forward
        )
        mixed, _ = attend(attention, q, k, v, mask, dropout=0.0, scaling=attention.scaling)
        return self._of_entering(mixed.flatten(2), attention.o_proj)

    def _of_entering(self, x: torch.Tensor, projection: Any) -> torch.Tensor:
        """A projection of the tokens that enter, zeros of the others."""
        rows = x.flatten(0, 1)
        out = rows.new_zeros(len(rows), projection.out_features)
        entering: Any
        with condsim.branch(self.site_index, ENTERS) as entering:
            if entering:
                out = entering.put(out, projection(entering.take(rows)))
        return out.view(*x.shape[:-1], -1)

    def _feed_forwards(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's own feed-forward, or the narrow one."""
        rows = x.flatten(0, 1)
        out = torch.zeros_like(rows)
        chosen: Any
        with condsim.branch(self.site_index, JUMPS) as chosen:
            if chosen:
                out = chosen.put(out, self.adapter(chosen.take(rows)))
        with condsim.branch(self.site_index, ENTERS) as chosen:
            if chosen:
                out = chosen.put(out, self.own.mlp(chosen.take(rows)))
        return out.view_as(x)


def with_skippable_layers(model: Any, first: int, widths: Widths) -> nn.Module:
    """Return a Llama whose layers from a number on may be jumped over. model: of transformers."""
    layers = model.model.layers
    for number in range(first, len(layers)):
        layer = SkippableLayer(layers[number], model.config.hidden_size, widths)
        layers[number] = layer.to(model.config.dtype)

    def name_sites(decoder: Any, _args: Any) -> None:
        """A decoder of fewer layers has names of its own."""
        for number, layer in enumerate(decoder.layers):
            if isinstance(layer, SkippableLayer):
                layer.site_index = f"model.layers.{number}.router"

    model.model.register_forward_pre_hook(name_sites)
    changed: nn.Module = model.eval()
    return changed
