"""Models of the second list, which no constant of condsim was ever looked at with.

They are families of transformers that the suite lacks, vision transformers as timm writes them, and
models as users write them. Names have the form of those in `benchmarks.suite.models`. The list of
cases, `outside.csv`, is frozen: a change of the cost model is judged with it, never chosen by it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from benchmarks.suite import models
from benchmarks.suite.models import Family, Quantiles, Sizes
from condsim.zoo.example import Example

IMAGE, PATCH = 28, 7
"""Pixels of an image's side, and of a patch's."""
CLASSES = 10
VOCABULARY = 256


def build(name: str) -> Example:
    """Build the model that a name says, with its inputs.

    Raises CondsimError for a name that says nothing.
    """
    return models.build(name, FAMILIES)


def __getattr__(name: str) -> Callable[[], Example]:
    if name.startswith("__"):
        raise AttributeError(name)
    return partial(build, name)


# Decoders of transformers


def _decoder(s: Sizes) -> dict[str, Any]:
    shared = models.decoder(s)
    shared["num_key_value_heads"] = max(shared["num_attention_heads"] // 2, 1)
    return shared


def flexolmo(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, k a token, with norms behind attention and
    experts."""
    from transformers import FlexOlmoConfig, FlexOlmoForCausalLM

    experts = {"num_experts": int(s["e"]), "num_experts_per_tok": int(s["k"])}
    config = FlexOlmoConfig(
        **_decoder(s), intermediate_size=int(s["i"]), **experts, eos_token_id=1, pad_token_id=0
    )
    return FlexOlmoForCausalLM(config)


def qwen3moe(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, k a token, none shared, with normalised heads of
    64."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    config = Qwen3MoeConfig(
        **_decoder(s),
        head_dim=64,
        intermediate_size=2 * int(s["i"]),
        moe_intermediate_size=int(s["i"]),
        num_experts=int(s["e"]),
        num_experts_per_tok=int(s["k"]),
    )
    return Qwen3MoeForCausalLM(config)


def phimoe(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, of which a router picks two, one after the other."""
    from transformers import PhimoeConfig, PhimoeForCausalLM

    config = PhimoeConfig(
        **_decoder(s),
        intermediate_size=int(s["i"]),
        num_local_experts=int(s["e"]),
        num_experts_per_tok=2,
    )
    return PhimoeForCausalLM(config)


def glm4moe(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, k a token by sigmoids, and a shared expert.

    Its first layer is dense.
    """
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    config = Glm4MoeConfig(
        **_decoder(s),
        intermediate_size=4 * int(s["i"]),
        moe_intermediate_size=int(s["i"]),
        n_routed_experts=int(s["e"]),
        num_experts_per_tok=int(s["k"]),
        n_shared_experts=1,
        first_k_dense_replace=1,
    )
    return Glm4MoeForCausalLM(config)


def dots1(s: Sizes) -> nn.Module:
    """Build a decoder like glm4moe, with normalised heads and two shared experts."""
    from transformers import Dots1Config, Dots1ForCausalLM

    config = Dots1Config(
        **_decoder(s),
        intermediate_size=4 * int(s["i"]),
        moe_intermediate_size=int(s["i"]),
        n_routed_experts=int(s["e"]),
        num_experts_per_tok=int(s["k"]),
        n_shared_experts=2,
        first_k_dense_replace=1,
        sliding_window=None,
    )
    return Dots1ForCausalLM(config)


def ernie45moe(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, k a token, and two shared experts.

    Its first layer is dense.
    """
    from transformers import Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM

    config = Ernie4_5_MoeConfig(
        **_decoder(s),
        intermediate_size=4 * int(s["i"]),
        moe_intermediate_size=int(s["i"]),
        moe_num_experts=int(s["e"]),
        moe_k=int(s["k"]),
        moe_num_shared_experts=2,
    )
    return Ernie4_5_MoeForCausalLM(config)


def hunyuanmoe(s: Sizes) -> nn.Module:
    """Build a decoder of e experts of width i, k a token, and a shared expert.

    Its heads are normalised after rotation.
    """
    from transformers import HunYuanMoEV1Config, HunYuanMoEV1ForCausalLM

    config = HunYuanMoEV1Config(
        **_decoder(s),
        head_dim=64,
        intermediate_size=int(s["i"]),
        num_experts=int(s["e"]),
        moe_topk=int(s["k"]),
    )
    return HunYuanMoEV1ForCausalLM(config)


# Models as users write them


class LoopedExperts(nn.Module):
    """A gate and a list of e two-layer experts of width i; each runs the rows that picked it."""

    def __init__(self, width: int, s: Sizes) -> None:
        super().__init__()
        experts, inner = int(s["e"]), int(s["i"])
        self.top_k = int(s["k"])
        self.gate = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
            for _ in range(experts)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., width] → the same shape."""
        rows = x.reshape(-1, x.shape[-1])
        weight, chosen = torch.topk(self.gate(rows).softmax(-1), self.top_k, dim=-1)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            row, rank = torch.where(chosen == number)
            out.index_add_(0, row, expert(rows[row]) * weight[row, rank, None])
        return out.view_as(x)


class TinyGpt(nn.Module):
    """Token ids [batch, seq] → logits: learned positions, l layers, experts in each."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        width = int(s["d"])
        layers = range(int(s["l"]))
        self.embed = nn.Embedding(VOCABULARY, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.attention = nn.ModuleList(SelfAttention(width, causal=True) for _ in layers)
        self.mlp_norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.mlp = nn.ModuleList(LoopedExperts(width, s) for _ in layers)
        self.head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        stack = zip(self.norms, self.attention, self.mlp_norms, self.mlp, strict=True)
        for norm, attention, mlp_norm, mlp in stack:
            x = x + attention(norm(x))
            x = x + mlp(mlp_norm(x))
        logits: torch.Tensor = self.head(x)
        return logits


class SelfAttention(nn.Module):
    """Attention with one layer for queries, keys and values, as timm writes it."""

    def __init__(self, width: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = max(width // 64, 2), causal
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, positions, width = x.shape
        qkv = self.qkv(x).reshape(batch, positions, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        y: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, positions, width))
        return y


class Mlp(nn.Module):
    """Two layers of four times the width, as timm writes them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.drop(self.act(self.fc1(x)))
        y: torch.Tensor = self.drop(self.fc2(inner))
        return y


class VitBlock(nn.Module):
    """Pre-norm attention and an MLP with learned scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = SelfAttention(width), Mlp(width)
        self.scale1 = nn.Parameter(torch.full((width,), 0.5))
        self.scale2 = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.scale1 * self.attn(self.norm1(x))
        return x + self.scale2 * self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Images [batch, 1, 28, 28] → [batch, 17, width]: a class token before 16 patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH, stride=PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        positions = (IMAGE // PATCH) ** 2 + 1
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, positions, width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.proj(images).flatten(2).transpose(1, 2)
        token = self.cls_token.expand(len(x), -1, -1)
        return torch.cat([token, x], 1) + self.pos_embed


class ExitVit(Quantiles):
    """Images → class logits; images leave behind every second block by a linear layer's score."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        width = int(s["d"])
        stages = range(int(s["l"]) // 2)
        self.patches = Patches(width)
        self.stages = nn.ModuleList(nn.Sequential(VitBlock(width), VitBlock(width)) for _ in stages)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in stages)
        self.heads = nn.ModuleList(nn.Linear(width, CLASSES) for _ in stages)
        self.scorers = nn.ModuleList(nn.Linear(width, 1) for _ in stages)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.rest(0, self.patches(images))

    def rest(self, at: int, x: torch.Tensor) -> torch.Tensor:
        """Run the stages from `at` on: rows [batch, 17, width] → logits [batch, 10]."""
        x = self.stages[at](x)
        if at + 1 == len(self.stages):
            logits: torch.Tensor = self.heads[at](self.norms[at](x[:, 0]))
            return logits
        out: Any = None

        def leave() -> torch.Tensor:
            nonlocal out
            token = self.norms[at](x[:, 0])
            out = self.heads[at](token)
            return self.above(f"exit{at}", self.scorers[at](token).squeeze(-1)).long()

        rows: Any
        condsim.route(f"exit{at}", "early_exit", leave, branches=2)
        with condsim.branch(f"exit{at}", 1) as rows:
            if rows:
                out = rows.put(out, self.rest(at + 1, rows.take(x)))
        result: torch.Tensor = out
        return result


class SkipVit(Quantiles):
    """Images → class logits; an image skips those of l blocks that a linear layer scores low."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        width = int(s["d"])
        self.patches = Patches(width)
        self.blocks = nn.ModuleList(VitBlock(width) for _ in range(int(s["l"])))
        self.scorers = nn.ModuleList(nn.Linear(width, 1) for _ in self.blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images)
        for number, block in enumerate(self.blocks):
            x = self.pass_through(number, block, x)
        logits: torch.Tensor = self.head(self.norm(x[:, 0]))
        return logits

    def pass_through(self, number: int, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Run one block on those images that enter it."""
        site, scorer = f"skip{number}", self.scorers[number]

        def enter() -> torch.Tensor:
            return self.above(site, scorer(x.mean(1)).squeeze(-1)).long()

        rows: Any
        condsim.route(site, "skip", enter, branches=2)
        with condsim.branch(site, 1) as rows:
            if rows:
                x = rows.put(x, block(rows.take(x)))
        return x


class BranchVit(Quantiles):
    """Images → class logits; in each of l blocks a narrow or a wide MLP, by an image's score."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        width = int(s["d"])
        layers = range(int(s["l"]))
        self.patches = Patches(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.attn = nn.ModuleList(SelfAttention(width) for _ in layers)
        self.narrow = nn.ModuleList(nn.Linear(width, width) for _ in layers)
        self.wide = nn.ModuleList(Mlp(width) for _ in layers)
        self.scorers = nn.ModuleList(nn.Linear(width, 1) for _ in layers)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images)
        for number, (norm, attn) in enumerate(zip(self.norms, self.attn, strict=True)):
            x = x + attn(norm(x))
            x = x + self.branch(number, x)
        logits: torch.Tensor = self.head(x[:, 0])
        return logits

    def branch(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """Run the MLP that each image takes."""
        site, scorer = f"path{number}", self.scorers[number]

        def choose() -> torch.Tensor:
            return self.above(site, scorer(x[:, 0]).squeeze(-1)).long()

        rows: Any
        out: Any = None
        condsim.route(site, "multi_branch", choose, branches=2)
        for choice, path in enumerate((self.narrow[number], self.wide[number])):
            with condsim.branch(site, choice) as rows:
                if rows:
                    out = rows.put(out, path(rows.take(x)))
        result: torch.Tensor = out
        return result


FAMILIES: dict[str, Family] = {
    "flexolmo": ("tokens of transformers", flexolmo),
    "qwen3moe": ("tokens of transformers", qwen3moe),
    "phimoe": ("tokens of transformers", phimoe),
    "glm4moe": ("tokens of transformers", glm4moe),
    "dots1": ("tokens of transformers", dots1),
    "ernie45moe": ("tokens of transformers", ernie45moe),
    "hunyuanmoe": ("tokens of transformers", hunyuanmoe),
    "tinygpt": ("tokens", TinyGpt),
    "exitvit": ("images", ExitVit),
    "skipvit": ("images", SkipVit),
    "branchvit": ("images", BranchVit),
}
