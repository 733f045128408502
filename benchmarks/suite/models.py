"""The models of the suite.

A name says it all: `family-key-key…`, where a key is letters and a number: `mixtral-d256-e8-k2-l4`.

Every name is also a spec, `benchmarks/suite/models.py:NAME`, so that fresh processes can build the
model. Weights are random (the zoo's are trained), and thresholds lie at a quantile of the scores
that the model gives its own inputs, so that rows differ in what they decide.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim import zoo
from condsim.errors import CondsimError
from condsim.zoo.attention import CausalAttention
from condsim.zoo.data import fashion_sample
from condsim.zoo.example import Example
from condsim.zoo.merge_fashion import MergeFashion
from condsim.zoo.prune_fashion import PruneFashion

Sizes = dict[str, float]
Family = tuple[str, Callable[[Sizes], nn.Module]]
"""(kind of inputs, how a model of some sizes is made)."""
SEQ = 32
"""Tokens a sequence, but for the zoo's models."""
UNITS = 128
"""Sequences in the inputs, in batches of 8."""
BF16 = "-bf16"
"""How the name of a model ends that is in bf16."""


def build(name: str, families: Mapping[str, Family] | None = None) -> Example:
    """The model that a name says, with its inputs; in bf16 where it ends so.

    families: the suite's where there are none. Raises CondsimError for a name that says nothing.
    """
    known = FAMILIES if families is None else families
    if name.endswith(BF16):
        whole = build(name.removesuffix(BF16), known)
        inputs = [
            x.bfloat16() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
            for x in whole.inputs
        ]
        return dataclasses.replace(whole, name=name, model=whole.model.bfloat16(), inputs=inputs)
    zoo_name = next((z for z in zoo.ZOO if name == z or name.startswith(f"{z}-")), None)
    family, sizes = _parse(name, zoo_name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if zoo_name is not None:
            return _of_zoo(name, zoo_name, sizes)
        if family not in known:
            raise CondsimError(
                f"the suite has no model {name!r}; families: {', '.join([*zoo.ZOO, *known])}"
            )
        kind, make = known[family]
        model = make(sizes).eval()
        inputs = (
            _images() if kind == "images" else list(torch.randint(0, 256, (UNITS, SEQ)).split(8))
        )
        if isinstance(model, (Quantiles, PruneVit)):
            model.settle(inputs[0], sizes["q"] / 100)
        return Example(
            name,
            "",
            model,
            [{"input_ids": i} for i in inputs] if kind == "tokens of transformers" else inputs,
        )  # type: ignore[misc]


def decodes(name: str, families: Mapping[str, Family]) -> bool:
    """Whether the model has a KV cache and a decode phase."""
    return families.get(name.split("-")[0], ("", None))[0] == "tokens of transformers"


def __getattr__(name: str) -> Callable[[], Example]:
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda: build(name)


def _parse(name: str, zoo_name: str | None) -> tuple[str, Sizes]:
    family, *keys = (
        [zoo_name, *name[len(zoo_name) :].strip("-").split("-")] if zoo_name else name.split("-")
    )
    found = [re.fullmatch(r"([a-z]+)([0-9.]+)", key) for key in keys if key]
    if not all(found):
        raise CondsimError(
            f"the suite cannot read the name {name!r}: "
            "it wants family-key-key…, a key being letters and a number"
        )
    return family, {m[1]: float(m[2]) for m in found if m}


def _of_zoo(name: str, zoo_name: str, sizes: Sizes) -> Example:
    """A trained model of the zoo; t: its threshold, k: its top-k, m: tokens that it merges."""
    example = zoo.load(zoo_name, batch=16, batches=32 if zoo.ZOO[zoo_name].data == "text" else 128)
    model: Any = example.model
    if "m" in sizes:
        model.merged = int(sizes["m"])
    if "t" in sizes:
        model.threshold = sizes["t"]
    if "k" in sizes:
        for layer in model.layers:
            layer.mlp.gate.top_k = int(sizes["k"])
    return dataclasses.replace(example, name=name)


def _images() -> list[torch.Tensor]:
    return list(torch.split(fashion_sample()[0][:1024], 16))


def decoder(sizes: Sizes) -> dict[str, Any]:
    """What the configurations of transformers' decoders share. d: hidden size, l: layers."""
    d = int(sizes["d"])
    heads = max(d // 64, 2)
    return {
        "hidden_size": d,
        "num_hidden_layers": int(sizes["l"]),
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "vocab_size": 256,
        "max_position_embeddings": 512,
    }


def mixtral(s: Sizes) -> nn.Module:
    """e experts of width i, of which k."""
    from transformers import MixtralConfig, MixtralForCausalLM

    shared = decoder(s)
    shared["num_key_value_heads"] //= 2
    return MixtralForCausalLM(
        MixtralConfig(
            **shared,
            intermediate_size=int(s["i"]),
            num_local_experts=int(s["e"]),
            num_experts_per_tok=int(s["k"]),
            sliding_window=None,
        )
    )


def qwen2moe(s: Sizes) -> nn.Module:
    """e experts of width i, of which k, and a shared expert of width 2 i."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    width = int(s["i"])
    return Qwen2MoeForCausalLM(
        Qwen2MoeConfig(
            **decoder(s),
            intermediate_size=2 * width,
            moe_intermediate_size=width,
            shared_expert_intermediate_size=2 * width,
            num_experts=int(s["e"]),
            num_experts_per_tok=int(s["k"]),
        )
    )


def deepseekv3(s: Sizes) -> nn.Module:
    """e experts of width i in 4 groups, of which k, and a shared one; the first layer is dense;
    latent attention."""
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    width = int(s["i"])
    return DeepseekV3ForCausalLM(
        DeepseekV3Config(
            **decoder(s),
            intermediate_size=4 * width,
            moe_intermediate_size=width,
            n_routed_experts=int(s["e"]),
            num_experts_per_tok=int(s["k"]),
            n_group=4,
            topk_group=2,
            n_shared_experts=1,
            first_k_dense_replace=1,
            q_lora_rank=64,
            kv_lora_rank=32,
            qk_rope_head_dim=16,
            qk_nope_head_dim=32,
            v_head_dim=32,
        )
    )


def gptoss(s: Sizes) -> nn.Module:
    """e experts of width i, of which k, with biases; sliding and full attention in turn."""
    from transformers import GptOssConfig, GptOssForCausalLM

    model = GptOssForCausalLM(
        GptOssConfig(
            **decoder(s),
            head_dim=64,
            intermediate_size=int(s["i"]),
            num_local_experts=int(s["e"]),
            num_experts_per_tok=int(s["k"]),
            sliding_window=128,
        )
    )
    for name, p in model.named_parameters():
        if "experts" in name and "bias" in name:
            nn.init.normal_(p, std=0.1)
    return model


class Quantiles(nn.Module):
    """A model whose decisions compare scores with thresholds at a quantile of what its inputs
    give."""

    def __init__(self) -> None:
        super().__init__()
        self.thresholds: dict[str, float] = {}
        self.quantile: float | None = None

    def above(self, site: str, score: torch.Tensor) -> torch.Tensor:
        """Where a score exceeds its site's threshold: bool, of the score's shape."""
        if self.quantile is not None:
            self.thresholds[site] = float(score.flatten().quantile(self.quantile))
        return score > self.thresholds[site]

    @torch.inference_mode()
    def settle(self, inputs: torch.Tensor, quantile: float) -> None:
        """Put the thresholds where a share `quantile` of the rows is not above them."""
        self.quantile = quantile
        self(inputs)
        self.quantile = None


class Block(nn.Module):
    """Pre-norm attention and a GELU FFN of 4 d over [batch, seq, d]."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2))
        self.attention = CausalAttention(d, max(d // 64, 2), SEQ)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norms[0](x))
        y: torch.Tensor = x + self.down(F.gelu(self.up(self.norms[1](x))))
        return y


class ExitFormer(Quantiles):
    """Token ids [batch, seq] → class logits [batch, 10]: l blocks; behind every second one,
    sequences leave whose score a linear layer finds low."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        d = int(s["d"])
        self.embed = nn.Embedding(256, d)
        self.blocks = nn.ModuleList(
            nn.Sequential(Block(d), Block(d)) for _ in range(int(s["l"]) // 2)
        )
        self.heads = nn.ModuleList(nn.Linear(d, 10) for _ in self.blocks)
        self.scorers = nn.ModuleList(nn.Linear(d, 1) for _ in self.blocks)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.rest(0, self.embed(ids))

    def rest(self, at: int, x: torch.Tensor) -> torch.Tensor:
        """From stage `at` on."""
        x = self.blocks[at](x)
        if at + 1 == len(self.blocks):
            return self.heads[at](x.mean(1))  # type: ignore[no-any-return]
        out: Any = None

        def leave() -> torch.Tensor:
            nonlocal out
            pooled = x.mean(1)
            out = self.heads[at](pooled)
            return self.above(f"exit{at}", self.scorers[at](pooled).squeeze(-1)).long()

        rows: Any
        condsim.route(f"exit{at}", "early_exit", leave, branches=2)
        with condsim.branch(f"exit{at}", 1) as rows:
            if rows:
                out = rows.put(out, self.rest(at + 1, rows.take(x)))
        result: torch.Tensor = out
        return result


class SkipFormer(Quantiles):
    """Token ids [batch, seq] → logits [batch, seq, 256]: in each of l blocks a token enters the
    FFN only if a linear layer finds its score high."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        d = int(s["d"])
        self.embed, self.head = nn.Embedding(256, d), nn.Linear(d, 256)
        self.blocks = nn.ModuleList(Block(d) for _ in range(int(s["l"])))
        self.scorers = nn.ModuleList(nn.Linear(d, 1) for _ in self.blocks)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for i, block in enumerate(self.blocks):
            x = x + block.attention(block.norms[0](x))
            x = self.feed(i, block, x.flatten(0, 1)).view_as(x)
        logits: torch.Tensor = self.head(x)
        return logits

    def feed(self, i: int, block: Any, x: torch.Tensor) -> torch.Tensor:
        """x [rows, d] with the FFN of the rows that enter it."""
        rows: Any
        condsim.route(
            f"skip{i}",
            "skip",
            lambda: self.above(f"skip{i}", self.scorers[i](x).squeeze(-1)).long(),
            branches=2,
        )
        with condsim.branch(f"skip{i}", 1) as rows:
            if rows:
                h = rows.take(x)
                x = rows.put(x, h + block.down(F.gelu(block.up(block.norms[1](h)))))
        return x


class BranchFormer(nn.Module):
    """Token ids [batch, seq] → logits [batch, seq, 256]: l layers of attention and an FFN of d,
    2 d or 4 d, which a linear layer picks a token."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        d = int(s["d"])
        self.embed, self.head = nn.Embedding(256, d), nn.Linear(d, 256)
        layers = range(int(s["l"]))
        self.attention = nn.ModuleList(CausalAttention(d, max(d // 64, 2), SEQ) for _ in layers)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in layers)
        self.gates = nn.ModuleList(nn.Linear(d, 3) for _ in layers)
        self.ffns = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(nn.Linear(d, w * d), nn.ReLU(), nn.Linear(w * d, d))
                for w in (1, 2, 4)
            )
            for _ in layers
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for i, (attention, norm) in enumerate(zip(self.attention, self.norms, strict=True)):
            x = x + attention(norm(x))
            x = x + self.feed(i, x.flatten(0, 1)).view_as(x)
        logits: torch.Tensor = self.head(x)
        return logits

    def feed(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """The FFN that each row [rows, d] picks."""
        condsim.route(f"path{i}", "multi_branch", lambda: self.gates[i](x).argmax(-1), branches=3)
        out: Any = None
        rows: Any
        for choice, ffn in enumerate(self.ffns[i]):  # type: ignore[arg-type]
            with condsim.branch(f"path{i}", choice) as rows:
                if rows:
                    out = rows.put(out, ffn(rows.take(x)))
        result: torch.Tensor = out
        return result


class SparseFormer(Quantiles):
    """Token ids [batch, seq] → logits [batch, seq, 256]: in each of l layers, ReLU FFNs of b
    blocks of 64 neurons, of which a low-rank predictor picks.

    A sequence's tokens agree on most blocks: its first token's score counts as much as their own.
    """

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        d, self.count = int(s["d"]), int(s["b"])
        self.embed, self.head = nn.Embedding(256, d), nn.Linear(d, 256)
        self.attention = nn.ModuleList(
            CausalAttention(d, max(d // 64, 2), SEQ) for _ in range(int(s["l"]))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in self.attention)
        self.predictors = nn.ModuleList(
            nn.Sequential(nn.Linear(d, 16, bias=False), nn.Linear(16, self.count))
            for _ in self.attention
        )
        self.up = nn.ModuleList(nn.Linear(d, 64 * self.count) for _ in self.attention)
        self.down = nn.ModuleList(nn.Linear(64 * self.count, d) for _ in self.attention)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        for i, (attention, norm) in enumerate(zip(self.attention, self.norms, strict=True)):
            x = x + attention(norm(x))
            x = x + self.feed(i, x).view_as(x)
        logits: torch.Tensor = self.head(x)
        return logits

    def feed(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """The picked blocks of layer i's FFN, for x [batch, seq, d]."""
        rows, up, down = x.flatten(0, 1), self.up[i], self.down[i]

        def pick() -> torch.Tensor:
            score = self.predictors[i](x)
            return self.above(f"ffn{i}", (score + 4 * score[:, :1]).flatten(0, 1))

        condsim.route(f"ffn{i}", "sparse_activation", pick, branches=self.count)
        chosen: Any
        with condsim.branch(f"ffn{i}") as chosen:
            h = F.relu(F.linear(rows, chosen.weight(up.weight, 0), chosen.weight(up.bias, 0)))
            y: torch.Tensor = F.linear(chosen.mask(h), chosen.weight(down.weight, 1), down.bias)
        return y


class BranchNet(Quantiles):
    """Images [batch, 1, 28, 28] → class logits [batch, 10]: c channels; in each of l stages a
    light or a heavy path, by a linear layer's score."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        c = int(s["c"])
        self.stem = nn.Conv2d(1, c, 3, stride=2, padding=1)
        stages = range(int(s["l"]))
        self.scorers = nn.ModuleList(nn.Linear(c, 1) for _ in stages)
        self.light = nn.ModuleList(nn.Conv2d(c, c, 1) for _ in stages)
        self.heavy = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))
            for _ in stages
        )
        self.head = nn.Linear(c, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(images))
        for i in range(len(self.scorers)):
            x = F.relu(x + self.stage(i, x))
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits

    def stage(self, i: int, x: torch.Tensor) -> torch.Tensor:
        """The path that each image takes through stage i."""

        condsim.route(
            f"path{i}",
            "multi_branch",
            lambda: self.above(f"path{i}", self.scorers[i](x.mean((2, 3))).squeeze(-1)).long(),
            branches=2,
        )
        out: Any = None
        rows: Any
        for choice, path in enumerate((self.light[i], self.heavy[i])):
            with condsim.branch(f"path{i}", choice) as rows:
                if rows:
                    out = rows.put(out, path(rows.take(x)))
        result: torch.Tensor = out
        return result


class PruneVit(PruneFashion):
    """A vision transformer of l blocks that drops a share q of the tokens before the second and
    the middle block. p: pixels a side of a patch."""

    def __init__(self, s: Sizes) -> None:
        blocks = int(s["l"])
        super().__init__(int(s["p"]), int(s["d"]), 4, blocks, sites=(1, blocks // 2 + 1))

    @torch.inference_mode()
    def settle(self, images: torch.Tensor, quantile: float) -> None:
        """Move the scores so that a share `quantile` of them is not above 0."""
        x = self.embedding(images)
        for site, scorer in enumerate(self.scorers):
            for block in self._blocks_before(site):
                x = block(x)
            last = scorer[-1]
            last.bias -= scorer(x)[:, 1:].flatten().quantile(quantile)


def merge_vit(s: Sizes) -> nn.Module:
    """A vision transformer of l blocks that merges m tokens in every other one.

    p: pixels a side of a patch.
    """
    return MergeFashion(int(s["m"]), int(s["p"]), int(s["d"]), 4, int(s["l"]))


FAMILIES: dict[str, Family] = {
    "mixtral": ("tokens of transformers", mixtral),
    "qwen2moe": ("tokens of transformers", qwen2moe),
    "deepseekv3": ("tokens of transformers", deepseekv3),
    "gptoss": ("tokens of transformers", gptoss),
    "exitformer": ("tokens", ExitFormer),
    "skipformer": ("tokens", SkipFormer),
    "branchformer": ("tokens", BranchFormer),
    "sparseformer": ("tokens", SparseFormer),
    "branchnet": ("images", BranchNet),
    "prunevit": ("images", PruneVit),
    "mergevit": ("images", merge_vit),
}
