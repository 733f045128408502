"""Language models that compute less for an input, in the manner in which people publish them:
small, random.

`FORMS`: name → function that returns (model, batches). Each is written by hand after what such a
model does, not copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.reach.mixtures import EXPERTS, HIDDEN, TOP, VOCABULARY, WIDTH, Form, decoder, mlp

HEADS, POSITIONS = 4, 12


class CausalSelfAttention(nn.Module):
    """nanoGPT's attention."""

    def __init__(self) -> None:
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        units, positions, width = x.size()
        q, k, v = self.c_attn(x).split(width, dim=2)
        q, k, v = (
            one.view(units, positions, HEADS, width // HEADS).transpose(1, 2) for one in (q, k, v)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(units, positions, width))


class NanoGptExperts(nn.Module):
    """Top-2 experts of a nanoGPT: a loop over experts, a balancing loss kept on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))
        self.aux_loss = torch.zeros(())

    def forward(self, x):
        units, positions, width = x.shape
        x_flat = x.view(-1, width)
        probs = F.softmax(self.router(x_flat), dim=-1)
        top_probs, top_idx = torch.topk(probs, TOP, dim=-1)
        top_probs = top_probs / top_probs.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(x_flat)
        for i, expert in enumerate(self.experts):
            token_idx, k_idx = torch.where(top_idx == i)
            if token_idx.numel() == 0:
                continue
            out.index_add_(
                0, token_idx, top_probs[token_idx, k_idx].unsqueeze(-1) * expert(x_flat[token_idx])
            )
        load = F.one_hot(top_idx, EXPERTS).float().mean(dim=(0, 1))
        self.aux_loss = EXPERTS * (load * probs.mean(dim=0)).sum()
        return out.view(units, positions, width)


class GptBlock(nn.Module):
    """Attention, then a feed-forward or experts."""

    def __init__(self, feed_forward: nn.Module) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(WIDTH), CausalSelfAttention()
        self.ln_2, self.mlp = nn.LayerNorm(WIDTH), feed_forward

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGpt(nn.Module):
    """nanoGPT with experts in every second block: (logits of the last position, no loss)."""

    def __init__(self) -> None:
        super().__init__()
        parts = {
            "wte": nn.Embedding(VOCABULARY, WIDTH),
            "wpe": nn.Embedding(POSITIONS, WIDTH),
            "h": nn.ModuleList([GptBlock(mlp()), GptBlock(NanoGptExperts())]),
            "ln_f": nn.LayerNorm(WIDTH),
        }
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, idx, targets=None):
        positions = torch.arange(idx.shape[1], device=idx.device)
        x = self.transformer.wte(idx) + self.transformer.wpe(positions)
        for block in self.transformer.h:
            x = block(x)
        x = self.transformer.ln_f(x)
        if targets is None:
            return self.lm_head(x[:, [-1], :]), None
        logits = self.lm_head(x)
        return logits, F.cross_entropy(logits.view(-1, VOCABULARY), targets.view(-1))


class NoisyTopK(nn.Module):
    """makeMoE's router. always: noise in evaluation too, as it is published."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.topkroute_linear, self.noise_linear = (
            nn.Linear(WIDTH, EXPERTS),
            nn.Linear(WIDTH, EXPERTS),
        )
        self.always = always

    def forward(self, x):
        logits = self.topkroute_linear(x)
        if self.always or self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise_linear(x))
        best, ids = logits.topk(TOP, dim=-1)
        sparse = torch.full_like(logits, float("-inf")).scatter(-1, ids, best)
        return F.softmax(sparse, dim=-1), ids


class NoisyMakeMoE(nn.Module):
    """makeMoE's layer with its router in a module."""

    def __init__(self, always: bool = False) -> None:
        super().__init__()
        self.router = NoisyTopK(always)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        gating_output, indices = self.router(x)
        final_output = torch.zeros_like(x)
        flat_x = x.view(-1, x.size(-1))
        flat_gating_output = gating_output.view(-1, gating_output.size(-1))
        for i, expert in enumerate(self.experts):
            expert_mask = (indices == i).any(dim=-1)
            flat_mask = expert_mask.view(-1)
            if flat_mask.any():
                gating_scores = flat_gating_output[flat_mask, i].unsqueeze(1)
                final_output[expert_mask] += (expert(flat_x[flat_mask]) * gating_scores).squeeze(1)
        return final_output


class ArgmaxContinue(nn.Module):
    """Top-1 by argmax: row numbers by nonzero, weighed by the gate's own probability."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        flat = x.reshape(-1, WIDTH)
        probs = self.gate(flat).softmax(dim=-1)
        choice = probs.argmax(dim=-1)
        out = flat.clone()
        for i in range(EXPERTS):
            idx = (choice == i).nonzero().squeeze(-1)
            if idx.numel() == 0:
                continue
            out[idx] = self.experts[i](flat[idx]) * probs[idx, i : i + 1]
        return out.reshape(x.shape)


class SwitchCapacity(nn.Module):
    """Switch: rank of each token at its expert by cumsum, what is over capacity passes by."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.switch = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        tokens = x.reshape(-1, WIDTH)
        capacity = math.ceil(self.factor * tokens.shape[0] / EXPERTS)
        prob, expert_index = self.switch(tokens).softmax(-1).max(-1)
        onehot = F.one_hot(expert_index, EXPERTS)
        position = (onehot.cumsum(0) * onehot).sum(-1) - 1
        keep = position < capacity
        output = torch.zeros_like(tokens)
        for e in range(EXPERTS):
            mine = keep & (expert_index == e)
            output[mine] = self.experts[e](tokens[mine]) * prob[mine, None]
        return output.reshape(x.shape)


class ChoosyExperts(nn.Module):
    """Expert choice: each expert takes its best rows of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        rows = x.reshape(-1, WIDTH)
        scores = self.gate(rows).softmax(dim=-1)
        weights, picked = torch.topk(scores.t(), rows.shape[0] * TOP // EXPERTS, dim=-1)
        out = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            out.index_add_(0, picked[e], weights[e].unsqueeze(-1) * expert(rows[picked[e]]))
        return out.view(x.shape)


class HashGpt(nn.Module):
    """Hash layers: the token's id says the expert."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.norm = nn.LayerNorm(WIDTH)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))
        self.register_buffer("table", torch.randint(0, EXPERTS, (VOCABULARY,)))

    def forward(self, ids):
        x = self.embed(ids)
        bucket = self.table[ids]
        h, y = self.norm(x), torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            m = bucket == e
            if m.any():
                y[m] = expert(h[m])
        return self.head(x + y)


class DenseMixture(nn.Module):
    """All experts, weighed by a softmax: decides nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(mlp() for _ in range(EXPERTS))

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=-1)
        return (outputs * weights.unsqueeze(-2)).sum(-1)


class MergedWeights(nn.Module):
    """SMEAR: experts' weights are averaged for each sequence: decides nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.weight = nn.Parameter(torch.randn(EXPERTS, WIDTH, WIDTH) * 0.1)

    def forward(self, x):
        probs = self.gate(x.mean(1)).softmax(-1)
        return torch.bmm(x, torch.einsum("be,eij->bij", probs, self.weight))


class LoraExperts(nn.Module):
    """A frozen layer beside low-rank experts, of which a token takes two."""

    def __init__(self, rank: int = 4) -> None:
        super().__init__()
        self.base = nn.Linear(WIDTH, WIDTH)
        self.router = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.lora_A = nn.ModuleList(nn.Linear(WIDTH, rank, bias=False) for _ in range(EXPERTS))
        self.lora_B = nn.ModuleList(nn.Linear(rank, WIDTH, bias=False) for _ in range(EXPERTS))

    def forward(self, x):
        flat = x.reshape(-1, WIDTH)
        weights, ids = self.router(flat).softmax(-1).topk(TOP, dim=-1)
        weights = weights / weights.sum(-1, keepdim=True)
        result = self.base(flat)
        for e in range(EXPERTS):
            row, slot = torch.where(ids == e)
            delta = self.lora_B[e](self.lora_A[e](flat[row])) * 2.0
            result = result.index_add(0, row, delta * weights[row, slot].unsqueeze(-1))
        return result.view(x.shape)


class Buffers(nn.Module):
    """DeepSpeed's or Tutel's manner: rows scattered into [experts, capacity], one bmm, gathered
    back."""

    def __init__(self) -> None:
        super().__init__()
        self.wg = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.w_in = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN) * 0.1)
        self.w_out = nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) * 0.1)

    def forward(self, x):
        rows = x.reshape(-1, WIDTH)
        gates = self.wg(rows).softmax(dim=1)
        gate, index = gates.max(dim=1)
        capacity = math.ceil(1.25 * rows.shape[0] / EXPERTS)
        mask = F.one_hot(index, num_classes=EXPERTS)
        location = ((torch.cumsum(mask, dim=0) - 1) * mask).sum(dim=1)
        fits = location < capacity
        slot = torch.where(fits, index * capacity + location, EXPERTS * capacity)
        buffer = rows.new_zeros(EXPERTS * capacity + 1, WIDTH).index_add(0, slot, rows)
        dispatched = buffer[:-1].view(EXPERTS, capacity, WIDTH)
        given = torch.bmm(F.gelu(torch.bmm(dispatched, self.w_in)), self.w_out).view(-1, WIDTH)
        padded = torch.cat([given, given.new_zeros(1, WIDTH)])
        return (padded[slot] * (gate * fits).unsqueeze(1)).view(x.shape)


def _texts(units: int, batches: int = 2) -> list[torch.Tensor]:
    return [torch.randint(0, VOCABULARY, (units, POSITIONS)) for _ in range(batches)]


def whole(make: Callable[[], nn.Module], units: int = 4, batches: int = 2) -> Form:
    """A form of a whole language model."""
    return lambda: (make(), _texts(units, batches))


FORMS: dict[str, Form] = {
    "nanoGPT with top-2 experts": whole(NanoGpt),
    "makeMoE, router module, noise in training": decoder(NoisyMakeMoE),
    "makeMoE as published, noise in evaluation": decoder(lambda: NoisyMakeMoE(always=True)),
    "top-1 argmax, nonzero, continue": decoder(ArgmaxContinue),
    "Switch, capacity by cumsum, masks": decoder(SwitchCapacity),
    "expert choice, index_add": decoder(ChoosyExperts),
    "hash layers, a table of ids": whole(HashGpt),
    "dense mixture, softmax over all": decoder(DenseMixture),
    "SMEAR, merged weights": decoder(MergedWeights),
    "LoRA experts beside a frozen layer": decoder(LoraExperts),
    "buffers [experts, capacity], bmm": decoder(Buffers),
}
