"""Mixtral-8x22B: 8 experts a layer, a token takes 2."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="mixtral-8x22b",
    title="Mixtral-8x22B",
    model_type="mixtral",
    config={
        "hidden_size": 6144,
        "intermediate_size": 16384,
        "num_hidden_layers": 56,
        "num_attention_heads": 48,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "vocab_size": 32768,
    },
    parameters=140.6e9,
    source="huggingface.co/mistralai/Mixtral-8x22B-v0.3, config.json",
    licence="Apache-2.0",
    routing="mixtral",
    rivals={
        "llama-2-70b": "the dense model that its authors compare it with",
    },
)
