"""Mixtral-8x7B: 8 experts a layer, a token takes 2."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="mixtral-8x7b",
    title="Mixtral-8x7B",
    model_type="mixtral",
    config={
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 32000,
    },
    parameters=46.7e9,
    source="huggingface.co/mistralai/Mixtral-8x7B-v0.1, config.json",
    licence="Apache-2.0",
    routing="mixtral",
    rivals={
        "llama-2-70b": "like quality: at or above Llama 2 70B, by its authors (arXiv 2401.04088)",
        "llama-2-13b": "like active parameters: 12.9e9 of 46.7e9",
    },
)
