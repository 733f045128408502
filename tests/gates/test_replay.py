"""Gate 2: decisions that are forced do what they say.

Replaying a trace gives the model's own output bit by bit, forced baselines are the dense models,
and nothing stays behind.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as nn_module

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from gates.dense_models import dense_model
from gates.harness import live
from gates.models import LANGUAGE, NAMES, STRANGERS, Case, case, logits, outputs, same

ONE_OF_A_KIND = ["mixtral", "exit-fashion", "sparse-bytes", "branch-fashion", *STRANGERS]
"""Models that are captured once more."""


@torch.no_grad()
def played(of: Case) -> list[torch.Tensor]:
    """Logits of every step of the case in captured order, decode steps too."""
    results = []
    for inputs in of.inputs:
        if not of.new_tokens:
            results += outputs(of.model, [inputs])
            continue
        out = of.model(**inputs, use_cache=True)
        results.append(logits(out))
        for _ in range(of.new_tokens):
            out = of.model(
                input_ids=out.logits[:, -1:].argmax(-1),
                past_key_values=out.past_key_values,
                use_cache=True,
            )
            results.append(logits(out))
    return results


def belongings(model: nn.Module) -> list[Any]:
    """What could be left behind: attributes by identity, hooks, modes, global hooks."""
    of_modules = [_belongings(name, module) for name, module in model.named_modules()]
    before_all, after_all = nn_module._global_forward_pre_hooks, nn_module._global_forward_hooks
    return [len(before_all), len(after_all), *of_modules]


def _belongings(name: str, module: nn.Module) -> tuple[Any, ...]:
    attributes, hooks = [], []
    for attribute, value in sorted(module.__dict__.items()):
        attributes.append((attribute, id(value)))
        if attribute.endswith("_hooks") and hasattr(value, "__len__"):
            hooks.append((attribute, len(value)))
    config = getattr(module, "config", None)
    implementation = getattr(config, "_experts_implementation", None)
    return name, attributes, hooks, module.training, implementation


def fail(*_: Any) -> None:
    raise RuntimeError("broken layer")


@pytest.mark.parametrize("name", NAMES)
def test_replay_gives_the_same_bits(name: str) -> None:
    of = case(name)
    own = played(of)
    with condsim.force(of.model, of.trace):
        forced = played(of)
    assert same(own, forced)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_capturing_changes_nothing(name: str) -> None:
    of = case(name)
    before, state = of.outputs(), belongings(of.model)
    during: list[torch.Tensor] = []
    hook = of.model.register_forward_hook(lambda _m, _a, out: during.append(logits(out)))
    trace = condsim.capture(of.model, of.inputs[:1], measure=False)
    hook.remove()
    assert len(trace.sites) > 0
    assert belongings(of.model) == state
    # The first pass may send rows everywhere, to find sites.
    assert any(same(before[:1], [output]) for output in during[:2])
    assert same(before, of.outputs())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_after_an_exception(name: str) -> None:
    model = copy.deepcopy(case(name).model)
    leaves = [module for module in model.modules() if not list(module.children())]
    leaves[2 * len(leaves) // 3].register_forward_pre_hook(fail)
    for module in leaves:
        if isinstance(module, (nn.SiLU, nn.Linear)):
            module.register_forward_pre_hook(fail)
    state = belongings(model)
    with pytest.raises(CondsimError, match="broken layer"):
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


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_same_params_is_the_dense_model(name: str) -> None:
    of = case(name)
    dense = dense_model(of)
    with condsim.force(of.model, "same-params", trace=of.trace):
        forced = of.outputs()
    for inputs, output in zip(of.inputs, forced, strict=True):
        torch.testing.assert_close(output, logits(dense(inputs)), rtol=1e-5, atol=1e-5)
    assert not same(forced, of.outputs()), "forcing changed nothing"


@pytest.mark.parametrize("name", [n for n in NAMES if n in LANGUAGE or n == "moe-bytes"])
@torch.no_grad()
def test_strategies_agree(name: str) -> None:
    """Grouped, batched, padded (with room for all) and looped are one function."""
    batch = as_batches(case(name).inputs)[0]
    rows = batch.units * (batch.seq or 1)

    def output(strategy: str) -> torch.Tensor:
        return logits(live(name).run(batch, Execution({"moe": strategy}, room=rows)))

    looped = output("looped")
    for strategy in ("grouped", "batched", "padded"):
        torch.testing.assert_close(output(strategy), looped, rtol=1e-4, atol=1e-5)
