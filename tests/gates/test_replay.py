"""Gate 2: decisions that are forced do what they say.

Replaying a trace gives the model's own output bit by bit, forced baselines are the dense models,
and nothing stays behind.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as nn_module

import condsim
from condsim.zoo.branch_fashion import BranchFashion
from condsim.zoo.exit_fashion import ExitFashion
from condsim.zoo.skip_fashion import SHRINK_BEFORE, SkipFashion
from condsim.zoo.sparse_bytes import Layer, SparseBytes
from gates.models import LANGUAGE, NAMES, STRANGERS, Case, Marked, case, logits, outputs, same
from gates.strangers import EarlyExits, HardBranches, Skips, Sparse


@torch.no_grad()
def played(of: Case) -> list[torch.Tensor]:
    """Every step of the case in captured order, decode steps too."""
    found = []
    for inputs in of.inputs:
        if not of.new_tokens:
            found += outputs(of.model, [inputs])
            continue
        out = of.model(**inputs, use_cache=True)
        found.append(logits(out))
        for _ in range(of.new_tokens):
            out = of.model(
                input_ids=out.logits[:, -1:].argmax(-1),
                past_key_values=out.past_key_values,
                use_cache=True,
            )
            found.append(logits(out))
    return found


def belongings(model: nn.Module) -> list[Any]:
    """What could be left behind: attributes by identity, hooks, modes, global hooks."""
    kept: list[Any] = [
        len(nn_module._global_forward_hooks),
        len(nn_module._global_forward_pre_hooks),
    ]
    for name, m in model.named_modules():
        attributes = sorted((k, id(v)) for k, v in m.__dict__.items())
        hooks = [
            (k, len(v))
            for k, v in sorted(m.__dict__.items())
            if k.endswith("_hooks") and hasattr(v, "__len__")
        ]
        kept.append(
            (
                name,
                attributes,
                hooks,
                m.training,
                getattr(getattr(m, "config", None), "_experts_implementation", None),
            )
        )
    return kept


@pytest.mark.parametrize("name", NAMES)
def test_replay_gives_the_same_bits(name: str) -> None:
    of = case(name)
    own = played(of)
    with condsim.force(of.model, of.trace):
        forced = played(of)
    assert same(own, forced)


@pytest.mark.parametrize(
    "name", ["mixtral", "exit-fashion", "sparse-bytes", "branch-fashion", *STRANGERS]
)  # a kind each; every model is captured again here
def test_capturing_changes_nothing(name: str) -> None:
    of = case(name)
    before, state = of.outputs(), belongings(of.model)
    during: list[torch.Tensor] = []
    hook = of.model.register_forward_hook(lambda _m, _a, out: during.append(logits(out)))
    trace = condsim.capture(of.model, of.inputs[:1], measure=False)
    hook.remove()
    assert len(trace.sites) > 0
    assert belongings(of.model) == state
    assert any(
        same(before[:1], [d]) for d in during[:2]
    )  # the first pass may send rows everywhere, to find sites
    assert same(before, of.outputs())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_after_an_exception(name: str) -> None:
    model = copy.deepcopy(case(name).model)

    def fail(*_: Any) -> None:
        raise RuntimeError("broken layer")

    deep = [m for m in model.modules() if not list(m.children())]
    deep[2 * len(deep) // 3].register_forward_pre_hook(fail)
    for m in deep:
        if isinstance(m, (nn.SiLU, nn.Linear)):
            m.register_forward_pre_hook(fail)
    state = belongings(model)
    with pytest.raises(RuntimeError, match="broken layer"):
        condsim.capture(model, case(name).inputs, measure=False)
    assert belongings(model) == state
    with pytest.raises(RuntimeError, match="broken layer"), condsim.force(model, "balanced"):
        outputs(model, case(name).inputs)
    assert belongings(model) == state


def test_modules_keep_their_modes() -> None:
    model = copy.deepcopy(case("sparse-bytes").model)
    model.train()
    model.get_submodule("head").eval()
    state = belongings(model)
    condsim.capture(model, case("sparse-bytes").inputs[:1], measure=False)
    assert belongings(model) == state


# The dense models, written here from the modules' weights


class Everyone(nn.Module):
    """All experts on every row, their results averaged, one after the other."""

    def __init__(self, experts: Any, kind: str) -> None:
        super().__init__()
        self.e, self.kind = experts, kind

    def forward(self, x: torch.Tensor, *_: Any) -> torch.Tensor:
        total = torch.zeros_like(x)
        for i in range(self.e.gate_up_proj.shape[0]):
            if self.kind == "gpt-oss":
                h = x @ self.e.gate_up_proj[i] + self.e.gate_up_proj_bias[i]
                gate, up = h[:, 0::2].clamp(max=7.0), h[:, 1::2].clamp(-7.0, 7.0)
                total += ((up + 1) * gate * torch.sigmoid(1.702 * gate)) @ self.e.down_proj[
                    i
                ] + self.e.down_proj_bias[i]
            else:
                gate, up = (x @ self.e.gate_up_proj[i].T).tensor_split(2, dim=-1)
                total += (gate * torch.sigmoid(gate) * up) @ self.e.down_proj[i].T
        return total / self.e.gate_up_proj.shape[0]


def dense_moe(model: nn.Module, name: str) -> Callable[[Any], Any]:
    dense = copy.deepcopy(model)
    for path, m in list(dense.named_modules()):
        stacked = getattr(m, "gate_up_proj", None)
        if isinstance(stacked, torch.Tensor) and stacked.ndim == 3:
            parent, _, child = path.rpartition(".")
            setattr(dense.get_submodule(parent), child, Everyone(m, name))
    return lambda i: dense(**i) if isinstance(i, dict) else dense(i)


def dense_exit(model: ExitFashion) -> Callable[[Any], Any]:
    def run(x: torch.Tensor) -> Any:
        for stage in model.stages:
            x = stage(x)
        return model.heads[-1](x)

    return run


def dense_branch(model: BranchFashion) -> Callable[[Any], Any]:
    return lambda x: model.head(model.branches[2](model.stem(x)))


def dense_skip(model: SkipFashion) -> Callable[[Any], Any]:
    def run(x: torch.Tensor) -> Any:
        x = model.stem(x)
        for i, block in enumerate(model.blocks):
            x = block(model.shrink(x) if i == SHRINK_BEFORE else x)
        return model.head(x)

    return run


def dense_sparse(model: SparseBytes) -> Callable[[Any], Any]:
    def run(ids: torch.Tensor) -> Any:
        x = model.embed(ids)
        for layer in model.layers:
            assert isinstance(layer, Layer)
            x = layer.attend(x)
            x = x + layer.down(F.relu(layer.up(layer.ffn_norm(x))))
        return model.head(model.norm(x))

    return run


def dense_marked(model: Marked) -> Callable[[Any], Any]:
    def run(x: torch.Tensor) -> Any:
        h = F.relu(model.stem(x))
        h = h + model.block(h)
        return model.head(torch.stack([e(h) for e in model.experts]).mean(0))

    return run


def dense_exits(model: EarlyExits) -> Callable[[Any], Any]:
    return lambda x: model.heads[2](model.stages[2](model.stages[1](model.stages[0](x))))


def dense_skips(model: Skips) -> Callable[[Any], Any]:
    def run(x: torch.Tensor) -> Any:
        x = torch.relu(model.stem(x))
        for block in model.blocks:
            x = x + block.body(block.norm(x))
        return model.classifier(x)

    return run


def dense_branches(model: HardBranches) -> Callable[[Any], Any]:
    return lambda x: model.classifier(model.paths["heavy"](torch.tanh(model.stem(x))))


def dense_predicted(model: Sparse) -> Callable[[Any], Any]:
    def run(x: torch.Tensor) -> Any:
        for layer, norm in zip(model.layers, model.norms, strict=True):
            x = x + layer.fc2(F.relu(layer.fc1(norm(x))))
        return model.classifier(x.mean(1))

    return run


DENSE: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "exit-fashion": dense_exit,
    "branch-fashion": dense_branch,
    "skip-fashion": dense_skip,
    "sparse-bytes": dense_sparse,
    "marked": dense_marked,
    "stranger-exits": dense_exits,
    "stranger-skips": dense_skips,
    "stranger-branches": dense_branches,
    "stranger-sparse": dense_predicted,
}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_same_params_is_the_dense_model(name: str) -> None:
    of = case(name)
    dense = DENSE[name](of.model) if name in DENSE else dense_moe(of.model, name)
    with condsim.force(of.model, "same-params", trace=of.trace):
        forced = of.outputs()
    for i, found in zip(of.inputs, forced, strict=True):
        torch.testing.assert_close(found, logits(dense(i)), rtol=1e-5, atol=1e-5)
    assert not same(forced, of.outputs()), "forcing changed nothing"


@pytest.mark.parametrize("name", [n for n in NAMES if n in LANGUAGE or n == "moe-bytes"])
@torch.no_grad()
def test_strategies_agree(name: str) -> None:
    """Grouped, batched, padded (with room for all) and looped are one function."""
    from condsim.live.execution import Execution
    from condsim.live.inputs import as_batches
    from gates.harness import live

    batch = as_batches(case(name).inputs)[0]
    found = [
        logits(live(name).run(batch, Execution({"moe": s}, room=batch.units * (batch.seq or 1))))
        for s in ("looped", "grouped", "batched", "padded")
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-5)
