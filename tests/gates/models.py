"""The models that every gate runs.

Tiny ones of transformers with random weights, the zoo, models that were written without condsim in
mind, and one marked by hand that nests three mechanisms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim import zoo
from condsim.trace import Trace
from condsim.zoo.exit_bytes import ExitBytes
from condsim.zoo.merge_fashion import MergeFashion
from condsim.zoo.prune_fashion import PruneFashion
from condsim.zoo.vit import Block
from gates import strangers
from gates.neurons import Neurons

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 64,
    "max_position_embeddings": 256,
    "eos_token_id": None,
}


@dataclass(frozen=True)
class Case:
    """A model in evaluation mode.

    inputs: the batches it is captured with. new_tokens: how many it decodes after each.
    """

    name: str
    model: nn.Module
    inputs: list[Any]
    new_tokens: int = 0

    @functools.cached_property
    def trace(self) -> Trace:
        """Captured once for all tests."""
        return condsim.capture(self.model, self.inputs, measure=False, new_tokens=self.new_tokens)

    def outputs(self) -> list[torch.Tensor]:
        """Every batch through the bare model."""
        return outputs(self.model, self.inputs)


@torch.no_grad()
def outputs(model: nn.Module, inputs: list[Any]) -> list[torch.Tensor]:
    """Logits of every batch."""
    return [logits(model(**i) if isinstance(i, dict) else model(i)) for i in inputs]


def logits(output: Any) -> torch.Tensor:
    """What a model's output is compared by."""
    found = output if isinstance(output, torch.Tensor) else output.logits
    assert isinstance(found, torch.Tensor)
    return found.detach().clone()


def tokens(batches: int, units: int, seq: int) -> list[dict[str, torch.Tensor]]:
    """Random byte ids under a generator of their own."""
    generator = torch.Generator().manual_seed(1)
    return [
        {"input_ids": torch.randint(0, 64, (units, seq), generator=generator)}
        for _ in range(batches)
    ]


def mixtral() -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM

    return MixtralForCausalLM(
        MixtralConfig(
            **{**SMALL, "num_key_value_heads": 2},
            intermediate_size=48,
            num_local_experts=8,
            num_experts_per_tok=2,
        )
    )


def qwen2_moe() -> nn.Module:
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    return Qwen2MoeForCausalLM(
        Qwen2MoeConfig(
            **SMALL,
            intermediate_size=48,
            moe_intermediate_size=24,
            shared_expert_intermediate_size=40,
            num_experts=8,
            num_experts_per_tok=3,
        )
    )


def deepseek_v3() -> nn.Module:
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    return DeepseekV3ForCausalLM(
        DeepseekV3Config(
            **SMALL,
            intermediate_size=48,
            moe_intermediate_size=24,
            n_routed_experts=8,
            num_experts_per_tok=2,
            n_group=2,
            topk_group=1,
            n_shared_experts=1,
            first_k_dense_replace=1,
            q_lora_rank=16,
            kv_lora_rank=16,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=8,
        )
    )


def gpt_oss() -> nn.Module:
    from transformers import GptOssConfig, GptOssForCausalLM

    model = GptOssForCausalLM(
        GptOssConfig(
            **SMALL,
            head_dim=8,
            intermediate_size=24,
            num_local_experts=8,
            num_experts_per_tok=2,
            sliding_window=128,
        )
    )
    for name, p in model.named_parameters():
        if "bias" in name:
            nn.init.normal_(p, std=0.1)
    return model


def uneven(model: nn.Module) -> nn.Module:
    """Gates with larger weights, so that rows differ in what they decide."""
    for name, p in model.named_parameters():
        if p.ndim > 1 and any(part in name for part in ("gate", "router")):
            p.data *= 6
    return model


class Marked(nn.Module):
    """Rows float [batch, 16] → [batch, 5].

    Behind an exit there are a block that may be skipped and four experts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(16, 24)
        self.early = nn.Linear(24, 5)
        self.jump = nn.Linear(24, 1)
        self.block = nn.Sequential(nn.Linear(24, 40), nn.ReLU(), nn.Linear(40, 24))
        self.gate = nn.Linear(24, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(24, 20), nn.GELU(), nn.Linear(20, 24)) for _ in range(4)
        )
        self.head = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> Any:
        h = F.relu(self.stem(x))
        out: Any = None

        def leave() -> tuple[torch.Tensor, None, torch.Tensor]:
            nonlocal out
            out = self.early(h)
            sure = out.softmax(-1).amax(-1)
            return (sure < 0.26).long(), None, sure

        rows: Any
        condsim.route("exit", "early_exit", leave, branches=2)
        with condsim.branch("exit", 1) as rows:
            if rows:
                out = rows.put(out, self.rest(rows.take(h)))
        return out

    def rest(self, h: torch.Tensor) -> torch.Tensor:
        """What stands behind the exit."""
        rows: Any
        condsim.route("jump", "skip", lambda: (self.jump(h).squeeze(-1) > 0).long(), branches=2)
        with condsim.branch("jump", 1) as rows:
            if rows:
                h = rows.put(h, h_plus(self.block, rows.take(h)))

        def choose() -> tuple[torch.Tensor, torch.Tensor]:
            weights, ids = self.gate(h).softmax(-1).topk(2)
            return ids, weights / weights.sum(-1, keepdim=True)

        condsim.route("mix", "moe", choose, branches=4)
        mixed = torch.zeros_like(h)
        for e, expert in enumerate(self.experts):
            with condsim.branch("mix", e) as rows:
                if rows:
                    mixed = rows.add(mixed, expert(rows.take(h)))
        result: torch.Tensor = self.head(mixed)
        return result


def h_plus(block: nn.Module, h: torch.Tensor) -> torch.Tensor:
    """A residual block."""
    result: torch.Tensor = h + block(h)
    return result


def marked() -> nn.Module:
    return Marked()


class Depths(nn.Module):
    """Byte ids [units, positions] → logits [units, positions, 64].

    Half of the tokens enter each of two causal blocks, those that a router scores highest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 16)
        self.blocks = nn.ModuleList(Block(16, 2) for _ in range(2))
        self.routers = nn.ModuleList(nn.Linear(16, 1) for _ in range(2))
        self.head = nn.Linear(16, 64)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for number, block in enumerate(self.blocks):
            router, entering = self.routers[number], max(1, x.shape[1] // 2)

            def score(router: nn.Module = router, x: torch.Tensor = x) -> torch.Tensor:
                scores: torch.Tensor = router(x).squeeze(-1)
                return scores

            condsim.route(f"depth{number}", "mixture_of_depths", score, kept=entering)
            for tokens in condsim.tokens(f"depth{number}"):
                x = tokens.back(x, self.entered(block, tokens.take(x), tokens.mask))
        logits: torch.Tensor = self.head(x)
        return logits

    def entered(self, block: nn.Module, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """What a block makes of the tokens that entered it; each sees those before it."""
        seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        result: torch.Tensor = block(x, seen if mask is None else seen & mask)
        return result


def decoder() -> nn.Module:
    """A small decoder whose bytes leave at two exits, with logits that tell bytes apart."""
    model = ExitBytes(
        hidden=16, heads=2, width=32, layers=4, exits=(1, 2), max_seq=64, threshold=0.5
    )
    model.head.weight.data *= 6
    return model.eval()


LANGUAGE: dict[str, Callable[[], nn.Module]] = {
    "mixtral": mixtral,
    "qwen2-moe": qwen2_moe,
    "deepseek-v3": deepseek_v3,
    "gpt-oss": gpt_oss,
}
STRANGERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "stranger-exits": (strangers.EarlyExits, (1, 12, 12)),
    "stranger-skips": (strangers.Skips, (12,)),
    "stranger-branches": (strangers.HardBranches, (12,)),
    "stranger-sparse": (strangers.Sparse, (3, 12)),
}
"""How to make a model, and the shape of a unit of its input."""
TOKENS: dict[str, Callable[[], nn.Module]] = {
    "prune-fashion": lambda: PruneFashion(patch=7, hidden=16, heads=2, blocks=3, sites=(1, 2)),
    "merge-fashion": lambda: MergeFashion(merged=4, patch=7, hidden=16, heads=2, blocks=3),
}
"""Vision transformers of the zoo that are made anew, smaller."""
DECODER = "exits-while-decoding"
"""A model that decides in decode steps only, so that gates of whole inputs do not ask for it."""
NAMES = (*LANGUAGE, *sorted(zoo.ZOO), *STRANGERS, "marked", "depths", "neurons")


@functools.cache
def case(name: str) -> Case:
    """One of NAMES."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name in LANGUAGE:
            return Case(name, LANGUAGE[name]().eval(), tokens(3, 4, 10), new_tokens=2)
        if name in TOKENS:
            images = list(torch.randn(5, 8, 1, 28, 28))
            return Case(name, TOKENS[name]().eval(), images)
        if name == DECODER:
            return Case(name, decoder(), tokens(3, 4, 10), new_tokens=6)
        if name == "depths":
            ids = torch.randint(0, 64, (5, 8, 12), generator=torch.Generator().manual_seed(1))
            return Case(name, Depths().eval(), list(ids))
        if name == "marked":
            return Case(name, marked().eval(), list(torch.randn(5, 8, 16)))
        if name == "neurons":
            return Case(name, Neurons().eval(), list(torch.randn(5, 8, 12)))
        if name in STRANGERS:
            make, shape = STRANGERS[name]
            return Case(name, uneven(make().eval()), list(torch.randn(5, 8, *shape)))
    example = zoo.load(name, batch=8, batches=5, seq=None if zoo.ZOO[name].data == "images" else 12)
    return Case(name, example.model, example.inputs)


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Bit by bit."""
    return len(a) == len(b) and all(
        np.array_equal(x.numpy(), y.numpy()) for x, y in zip(a, b, strict=True)
    )
