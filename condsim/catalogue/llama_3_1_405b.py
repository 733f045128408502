"""Llama-3.1-405B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-3.1-405b",
    title="Llama-3.1-405B",
    model_type="llama",
    config={
        "hidden_size": 16384,
        "intermediate_size": 53248,
        "num_hidden_layers": 126,
        "num_attention_heads": 128,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
    parameters=405.9e9,
    source="huggingface.co/meta-llama/Llama-3.1-405B, config.json",
    licence="Llama 3.1 licence",
)
