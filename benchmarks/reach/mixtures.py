"""Mixtures of experts in the manner of well-known repositories, small, with random weights.

`FORMS`: name → function that returns (model, batches). Each is written by hand after what such a
layer does, not copied.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HIDDEN, EXPERTS, TOP, VOCABULARY = 32, 48, 4, 2, 64
Form = Callable[[], tuple[nn.Module, list[torch.Tensor]]]


def mlp(hidden: int = HIDDEN) -> nn.Sequential:
    """A feed-forward."""
    return nn.Sequential(nn.Linear(WIDTH, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(WIDTH, HIDDEN, False),
            nn.Linear(HIDDEN, WIDTH, False),
            nn.Linear(WIDTH, HIDDEN, False),
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Sparse(nn.Module):
    """A gate and experts."""

    def __init__(self, make=mlp) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(make() for _ in range(EXPERTS))

    def chosen(self, x):
        weights, ids = self.gate(x).softmax(-1).topk(TOP, -1)
        return weights / weights.sum(-1, keepdim=True), ids


class TopOneSequences(Sparse):
    """One expert a token, by masks of sequences [units, positions]."""

    def forward(self, x):
        weight, chosen = self.gate(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mine = chosen == number
            if mine.any():
                out[mine] = expert(x[mine]) * weight[mine].unsqueeze(-1)
        return out


class TopOneFlat(Sparse):
    """One expert a token, by masks of flat rows, and no weight."""

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        chosen = self.gate(rows).argmax(-1)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            mine = chosen == number
            if mine.any():
                out[mine] = expert(rows[mine])
        return out.view_as(x)


class ByWhere(Sparse):
    """Flat rows, torch.where a slot."""

    def forward(self, x):
        rows = x.view(-1, x.shape[-1])
        weights, ids = self.chosen(rows)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            row, slot = torch.where(ids == number)
            out[row] += weights[row, slot, None] * expert(rows[row])
        return out.view_as(x)


class MakeMoE(Sparse):
    """makeMoE: logits of others are minus infinity, rows by (ids == e).any(-1)."""

    def forward(self, x):
        logits = self.gate(x)
        best, ids = logits.topk(TOP, dim=-1)
        sparse = torch.full_like(logits, float("-inf")).scatter(-1, ids, best)
        weights = F.softmax(sparse, dim=-1)
        out, rows, flat_weights = (
            torch.zeros_like(x),
            x.view(-1, x.size(-1)),
            weights.view(-1, weights.size(-1)),
        )
        for number, expert in enumerate(self.experts):
            mine = (ids == number).any(dim=-1)
            flat = mine.view(-1)
            if flat.any():
                given = expert(rows[flat]) * flat_weights[flat, number].unsqueeze(1)
                out[mine] += given.squeeze(1)
        return out


class LitGpt(Sparse):
    """litgpt: masks of all experts at once."""

    def __init__(self) -> None:
        super().__init__(Gated)

    def forward(self, x):
        shape = x.size()
        x = x.view(-1, shape[-1])
        best, ids = torch.topk(self.gate(x), TOP)
        weights = best.softmax(dim=1, dtype=torch.float).to(dtype=x.dtype)
        masks = (ids.unsqueeze(-1) == torch.arange(EXPERTS, device=x.device)).permute(2, 0, 1)
        y = torch.zeros_like(x)
        for mask, expert in zip(masks, self.experts, strict=True):
            token, slot = torch.where(mask)
            y[token] += weights[token, slot, None] * expert(x[token])
        return y.view(shape)


class DeepSeek(Sparse):
    """DeepSeek's moe_infer: rows sorted by expert, counted in Python, put back by scatter; a
    shared expert."""

    def __init__(self) -> None:
        super().__init__(Gated)
        self.shared_experts = Gated()

    def forward(self, x):
        shape = x.shape
        rows = x.view(-1, shape[-1])
        weights, ids = self.chosen(rows)
        return self.moe_infer(rows, ids, weights).view(shape) + self.shared_experts(x)

    def moe_infer(self, x, ids, weights):
        counts = ids.new_zeros((ids.shape[0], EXPERTS))
        counts.scatter_(1, ids, 1)
        of_each = counts.sum(dim=0).cpu().numpy()
        order = ids.view(-1).argsort()
        tokens = x[order // ids.shape[1]]
        outputs, start = [], 0
        for number, count in enumerate(of_each):
            if count == 0:
                continue
            outputs.append(self.experts[number](tokens[start : start + count]))
            start += count
        together = torch.cat(outputs, dim=0)
        put_back = torch.empty_like(together)
        put_back[order] = together
        return (put_back.view(*ids.shape, -1) * weights.unsqueeze(-1)).sum(dim=1)


class Mixtral4(Sparse):
    """Mixtral of transformers 4: one_hot(ids).permute, index_add_."""

    def __init__(self) -> None:
        super().__init__(Gated)

    def forward(self, hidden):
        units, positions, width = hidden.shape
        hidden = hidden.view(-1, width)
        logits = self.gate(hidden)
        weights, ids = torch.topk(F.softmax(logits, dim=1, dtype=torch.float), TOP, dim=-1)
        weights /= weights.sum(dim=-1, keepdim=True)
        weights = weights.to(hidden.dtype)
        final = torch.zeros((units * positions, width), dtype=hidden.dtype, device=hidden.device)
        mask = F.one_hot(ids, num_classes=EXPERTS).permute(2, 1, 0)
        for number in range(EXPERTS):
            slot, top = torch.where(mask[number])
            current = hidden[None, top].reshape(-1, width)
            given = self.experts[number](current) * weights[top, slot, None]
            final.index_add_(0, top, given.to(hidden.dtype))
        return final.reshape(units, positions, width), logits


class Qwen2Moe(Mixtral4):
    """The same with a gated shared expert."""

    def __init__(self) -> None:
        super().__init__()
        self.shared_expert, self.shared_expert_gate = Gated(), nn.Linear(WIDTH, 1, bias=False)

    def forward(self, hidden):
        final, logits = super().forward(hidden)
        shared = torch.sigmoid(self.shared_expert_gate(hidden)) * self.shared_expert(hidden)
        return final + shared, logits


class Stacked(nn.Module):
    """A gate and stacked weights of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.w1, self.w3 = (
            nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) * 0.1),
            nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) * 0.1),
        )
        self.w2 = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN) * 0.1)


class GptFast(Stacked):
    """gpt-fast: copies of the chosen experts' weights, one product each."""

    def forward(self, x):
        rows = x.view(-1, WIDTH)
        weights, ids = torch.topk(F.softmax(self.gate(rows), dim=-1), TOP, dim=-1)
        weights /= weights.sum(dim=-1, keepdim=True)
        w1, w3, w2 = self.w1[ids], self.w3[ids], self.w2[ids]
        x1 = F.silu(torch.einsum("ti,taoi->tao", rows, w1))
        x3 = torch.einsum("ti,taoi->tao", rows, w3)
        each = torch.einsum("tao,taio->tai", x1 * x3, w2)
        return torch.einsum("tai,ta->ti", each, weights).view_as(x)


class TorchTitan(Stacked):
    """torchtitan: rows sorted by expert, a grouped product, scatter_add."""

    def forward(self, x):
        rows = x.view(-1, WIDTH)
        scores, ids = torch.topk(torch.sigmoid(self.gate(rows).to(torch.float32)), k=TOP, dim=1)
        order = torch.argsort(ids.view(-1), stable=True)
        counts = torch.histc(ids.view(-1).float(), bins=EXPERTS, min=0, max=EXPERTS - 1)
        of_rows = scores.view(-1)[order]
        token = (order // TOP).reshape(-1, 1).expand(-1, WIDTH)
        routed = torch.gather(rows, dim=0, index=token)
        ends = torch.cumsum(counts, dim=0, dtype=torch.int32)
        h = F.silu(torch._grouped_mm(routed, self.w1.transpose(-2, -1), offs=ends))
        h = h * torch._grouped_mm(routed, self.w3.transpose(-2, -1), offs=ends)
        given = torch._grouped_mm(h, self.w2.transpose(-2, -1), offs=ends)
        weighed = (given.to(torch.float32) * of_rows.reshape(-1, 1)).to(rows.dtype)
        return torch.zeros_like(rows).scatter_add(dim=0, index=token, src=weighed).view_as(x)


class NanoMoE(nn.Module):
    """nanoMoE: a one-hot dispatch with a capacity over stacked experts, by bmm."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.c_fc = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN) * 0.1)
        self.c_proj = nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) * 0.1)

    def forward(self, x):
        units, positions, width = x.size()
        tokens = units * positions
        logits = self.gate(x)
        best, ids = logits.topk(TOP, dim=-1)
        probs = F.softmax(torch.full_like(logits, float("-inf")).scatter_(-1, ids, best), dim=-1)
        capacity = int(TOP * 1.25 * tokens / EXPERTS)
        capacity += capacity % 2
        mask = F.one_hot(ids.view(tokens, TOP), num_classes=EXPERTS).permute(1, 0, 2)
        rank = (torch.cumsum(mask.reshape(TOP * tokens, EXPERTS), dim=0) - 1).reshape(
            TOP, tokens, EXPERTS
        )
        mask = mask * torch.lt(rank, capacity)
        rank = torch.sum(mask * rank, dim=-1)
        weights = mask * probs.view(tokens, EXPERTS)[None, :]
        place = F.one_hot(rank, num_classes=capacity)
        weights = torch.sum(weights.unsqueeze(3) * place.unsqueeze(2), dim=0)
        batches = weights.bool().permute(1, 2, 0).type(x.dtype) @ x.view(tokens, width)
        given = torch.bmm(F.gelu(torch.bmm(batches, self.c_fc)), self.c_proj)
        return (weights.view(tokens, -1) @ given.view(-1, width)).view(units, positions, width)


class AllRun(Sparse):
    """Every expert runs on every row; weights of the others are zero."""

    def forward(self, x):
        weights, ids = self.chosen(x)
        of_all = torch.zeros(*x.shape[:-1], EXPERTS).scatter(-1, ids, weights)
        results = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (results * of_all.unsqueeze(-1)).sum(-2)


class Unlike(nn.Module):
    """Experts of unlike width."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(mlp(16 * (number + 1)) for number in range(EXPERTS))

    def forward(self, x):
        rows = x.reshape(-1, WIDTH)
        weights, ids = self.gate(rows).softmax(-1).topk(TOP, -1)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            row, slot = (ids == number).nonzero(as_tuple=True)
            out.index_add_(0, row, expert(rows[row]) * weights[row, slot].unsqueeze(-1))
        return out.view_as(x)


class Decoder(nn.Module):
    """Two such layers behind norms, between an embedding and a head."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.layers = nn.ModuleList(make() for _ in range(2))

    def forward(self, ids):
        x = self.embedding(ids)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            given = layer(norm(x))
            x = x + (given[0] if isinstance(given, tuple) else given)
        return self.head(x)


def decoder(make: Callable[[], nn.Module]) -> Form:
    """A form of a layer: a small decoder with it, and two batches of ids."""

    def form() -> tuple[nn.Module, list[torch.Tensor]]:
        return Decoder(make), [torch.randint(0, VOCABULARY, (4, 12)) for _ in range(2)]

    return form


FORMS: dict[str, Form] = {
    "top-1, masks of sequences": decoder(TopOneSequences),
    "top-1, masks of flat rows, no weight": decoder(TopOneFlat),
    "flat rows, torch.where": decoder(ByWhere),
    "makeMoE, any(-1)": decoder(MakeMoE),
    "litgpt, masks of all experts": decoder(LitGpt),
    "DeepSeek moe_infer, shared expert": decoder(DeepSeek),
    "transformers 4 Mixtral, one_hot.permute": decoder(Mixtral4),
    "Qwen2-MoE, the same and a shared expert": decoder(Qwen2Moe),
    "gpt-fast, weights of the chosen": decoder(GptFast),
    "torchtitan, grouped product": decoder(TorchTitan),
    "nanoMoE, one-hot and capacity": decoder(NanoMoE),
    "all experts run, zero weights": decoder(AllRun),
    "experts of unlike width": decoder(Unlike),
}
