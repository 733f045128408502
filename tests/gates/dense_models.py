"""The dense model of every case, written here from the weights of its modules."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from condsim.zoo.branch_fashion import BranchFashion
from condsim.zoo.exit_fashion import ExitFashion
from condsim.zoo.merge_fashion import MergeFashion
from condsim.zoo.prune_fashion import PruneFashion
from condsim.zoo.skip_fashion import SHRINK_BEFORE, SkipFashion
from condsim.zoo.sparse_bytes import Layer, SparseBytes
from condsim.zoo.vit import Attention, Block
from gates.models import Case, Depths, Marked
from gates.neurons import Neurons
from gates.strangers import EarlyExits, HardBranches, Skips, Sparse

Forward = Callable[[Any], Any]
"""Inputs of one batch → the dense model's output."""


def dense_model(case: Case) -> Forward:
    """The dense model of a case."""
    if case.name in DENSE:
        return DENSE[case.name](case.model)
    return dense_mixture(case.model, Clamped if case.name == "gpt-oss" else Everyone)


class Everyone(nn.Module):
    """All experts on every row, one after the other, and the mean of their results."""

    def __init__(self, experts: Any) -> None:
        super().__init__()
        self.up, self.down = experts.gate_up_proj, experts.down_proj
        self.up_bias = getattr(experts, "gate_up_proj_bias", None)
        self.down_bias = getattr(experts, "down_proj_bias", None)

    def forward(self, x: torch.Tensor, *_: Any) -> torch.Tensor:
        results = [self.expert(number, x) for number in range(len(self.up))]
        return torch.stack(results).mean(0)

    def expert(self, number: int, x: torch.Tensor) -> torch.Tensor:
        gate, up = (x @ self.up[number].T).tensor_split(2, dim=-1)
        return (F.silu(gate) * up) @ self.down[number].T


class Clamped(Everyone):
    """The experts of gpt-oss: biased, stored [in, out], gate and up interleaved and clamped."""

    def expert(self, number: int, x: torch.Tensor) -> torch.Tensor:
        hidden = x @ self.up[number] + self.up_bias[number]
        gate = hidden[:, 0::2].clamp(max=7.0)
        up = hidden[:, 1::2].clamp(-7.0, 7.0)
        activated = (up + 1) * gate * torch.sigmoid(1.702 * gate)
        result: torch.Tensor = activated @ self.down[number] + self.down_bias[number]
        return result


def dense_mixture(model: nn.Module, everyone: type[Everyone]) -> Forward:
    """A copy of a mixture of experts in which every row takes all of them."""
    dense = copy.deepcopy(model)
    for path, module in list(dense.named_modules()):
        stacked = getattr(module, "gate_up_proj", None)
        if isinstance(stacked, torch.Tensor) and stacked.ndim == 3:
            parent, _, child = path.rpartition(".")
            setattr(dense.get_submodule(parent), child, everyone(module))

    def run(inputs: Any) -> Any:
        return dense(**inputs) if isinstance(inputs, dict) else dense(inputs)

    return run


def dense_exits_of_zoo(model: ExitFashion) -> Forward:
    def run(x: torch.Tensor) -> Any:
        for stage in model.stages:
            x = stage(x)
        return model.heads[-1](x)

    return run


def dense_branch_of_zoo(model: BranchFashion) -> Forward:
    def run(x: torch.Tensor) -> Any:
        return model.head(model.branches[2](model.stem(x)))

    return run


def dense_skips_of_zoo(model: SkipFashion) -> Forward:
    def run(x: torch.Tensor) -> Any:
        x = model.stem(x)
        for number, block in enumerate(model.blocks):
            x = block(model.shrink(x) if number == SHRINK_BEFORE else x)
        return model.head(x)

    return run


def dense_sparse_of_zoo(model: SparseBytes) -> Forward:
    def run(ids: torch.Tensor) -> Any:
        x = model.embed(ids)
        for layer in model.layers:
            assert isinstance(layer, Layer)
            x = layer.attend(x)
            x = x + layer.down(F.relu(layer.up(layer.ffn_norm(x))))
        return model.head(model.norm(x))

    return run


def dense_vit_of_zoo(model: PruneFashion | MergeFashion) -> Forward:
    def run(images: torch.Tensor) -> Any:
        embedding = model.embedding
        patches = embedding.patches(images).flatten(2).transpose(1, 2)
        class_tokens = embedding.class_token.repeat(len(images), 1, 1)
        x = torch.cat([class_tokens, patches], 1) + embedding.positions
        for block in model.blocks:
            assert isinstance(block, Block)
            x = x + attention_written_out(block.attention, block.norm_attention(x))
            x = x + block.feed_forward(block.norm_feed_forward(x))
        return model.head.classes(model.head.norm(x[:, 0]))

    return run


def attention_written_out(attention: Attention, x: torch.Tensor) -> torch.Tensor:
    query, key, value = attention.qkv(x).unflatten(-1, (3, attention.heads, -1)).unbind(2)
    scores = torch.einsum("uqhw,ukhw->uhqk", query, key) * query.shape[-1] ** -0.5
    mixed = torch.einsum("uhqk,ukhw->uqhw", scores.softmax(-1), value)
    result: torch.Tensor = attention.out(mixed.flatten(2))
    return result


def dense_depths(model: Depths) -> Forward:
    def run(ids: torch.Tensor) -> Any:
        x = model.embedding(ids)
        seen = torch.full((ids.shape[1], ids.shape[1]), float("-inf")).triu(1)
        for block in model.blocks:
            assert isinstance(block, Block)
            q, k, v = block.attention.by_head(block.norm_attention(x))
            scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + seen
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
            x = x + block.attention.out(mixed)
            x = x + block.feed_forward(block.norm_feed_forward(x))
        return model.head(x)

    return run


def dense_marked(model: Marked) -> Forward:
    def run(x: torch.Tensor) -> Any:
        h = F.relu(model.stem(x))
        h = h + model.block(h)
        return model.head(torch.stack([expert(h) for expert in model.experts]).mean(0))

    return run


def dense_exits(model: EarlyExits) -> Forward:
    def run(x: torch.Tensor) -> Any:
        for stage in model.stages:
            x = stage(x)
        return model.heads[-1](x)

    return run


def dense_skips(model: Skips) -> Forward:
    def run(x: torch.Tensor) -> Any:
        x = torch.relu(model.stem(x))
        for block in model.blocks:
            x = x + block.body(block.norm(x))
        return model.classifier(x)

    return run


def dense_branches(model: HardBranches) -> Forward:
    def run(x: torch.Tensor) -> Any:
        return model.classifier(model.paths["heavy"](torch.tanh(model.stem(x))))

    return run


def dense_predicted(model: Sparse) -> Forward:
    def run(x: torch.Tensor) -> Any:
        for layer, norm in zip(model.layers, model.norms, strict=True):
            x = x + layer.fc2(F.relu(layer.fc1(norm(x))))
        return model.classifier(x.mean(1))

    return run


def dense_neurons(model: Neurons) -> Forward:
    def run(x: torch.Tensor) -> Any:
        for up, down in zip(model.up, model.down, strict=True):
            x = x + down(F.relu(up(x)))
        return model.head(x)

    return run


DENSE: dict[str, Callable[[Any], Forward]] = {
    "exit-fashion": dense_exits_of_zoo,
    "branch-fashion": dense_branch_of_zoo,
    "skip-fashion": dense_skips_of_zoo,
    "prune-fashion": dense_vit_of_zoo,
    "merge-fashion": dense_vit_of_zoo,
    "sparse-bytes": dense_sparse_of_zoo,
    "marked": dense_marked,
    "depths": dense_depths,
    "neurons": dense_neurons,
    "stranger-exits": dense_exits,
    "stranger-skips": dense_skips,
    "stranger-branches": dense_branches,
    "stranger-sparse": dense_predicted,
}
"""Case → how its dense model is made. All others are mixtures of experts with stacked weights."""
