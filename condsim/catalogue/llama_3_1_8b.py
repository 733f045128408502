"""Llama-3.1-8B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-3.1-8b",
    title="Llama-3.1-8B",
    model_type="llama",
    config={
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
    parameters=8.03e9,
    source="huggingface.co/meta-llama/Llama-3.1-8B, config.json",
    licence="Llama 3.1 licence",
)
