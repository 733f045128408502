"""Texts that are padded on the left decode as the model's own generate() decodes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

import condsim

LENGTH, STEPS, WORDS = 12, 2, 64
PADS = (0, 4, 7, 9)

SIZES: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}


def mixtral(**more: Any) -> nn.Module:
    return MixtralForCausalLM(MixtralConfig(num_local_experts=8, **SIZES, **more))


def qwen3_moe() -> nn.Module:
    config = Qwen3MoeConfig(num_experts=8, moe_intermediate_size=24, head_dim=8, **SIZES)
    return Qwen3MoeForCausalLM(config)


def olmoe() -> nn.Module:
    return OlmoeForCausalLM(OlmoeConfig(num_experts=8, **SIZES))


def sharpened(model: nn.Module) -> nn.Module:
    """The model with larger weights, so that its routing depends on what is attended to."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(8)
    return model.eval()


def padded_texts() -> dict[str, torch.Tensor]:
    """ids and mask [4, LENGTH] of texts that are padded on the left."""
    ids = torch.randint(2, WORDS, (len(PADS), LENGTH))
    mask = torch.ones_like(ids)
    for row, pad in enumerate(PADS):
        ids[row, :pad] = 0
        mask[row, :pad] = 0
    return {"input_ids": ids, "attention_mask": mask}


def generated(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The experts [STEPS, rows, k] that each layer of `generate()` takes while decoding."""
    taken: dict[str, list[torch.Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, args: tuple[torch.Tensor, ...], _out: Any) -> None:
            taken.setdefault(name, []).append(args[1].clone())

        return hook

    layers = [(name, part) for name, part in model.named_modules() if name.endswith("experts")]
    hooks = [part.register_forward_hook(keep(name)) for name, part in layers]
    model.generate(**batch, max_new_tokens=STEPS + 1, do_sample=False)
    for hook in hooks:
        hook.remove()
    return {name: torch.stack(calls[1 : STEPS + 1]).numpy() for name, calls in taken.items()}


@pytest.mark.parametrize(
    "make",
    [
        mixtral,
        pytest.param(lambda: mixtral(sliding_window=6), marks=pytest.mark.slow, id="window"),
        pytest.param(qwen3_moe, marks=pytest.mark.slow),
        pytest.param(olmoe, marks=pytest.mark.slow),
    ],
)
def test_decisions_are_those_of_generate(make: Any) -> None:
    torch.manual_seed(0)
    model = sharpened(make())
    batch = padded_texts()
    trace = condsim.capture(model, [batch], measure=False, new_tokens=STEPS)
    own = generated(model, batch)
    prompt = batch["input_ids"].numel()
    assert [site.name for site in trace.sites] == list(own)
    for site in trace.sites:
        decoded = trace.decisions(site.name).ids[prompt:].reshape(STEPS, len(PADS), -1)
        assert np.array_equal(np.sort(decoded), np.sort(own[site.name])), site.name
