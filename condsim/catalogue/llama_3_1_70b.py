"""Llama-3.1-70B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-3.1-70b",
    title="Llama-3.1-70B",
    model_type="llama",
    config={
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
    },
    parameters=70.6e9,
    source="huggingface.co/meta-llama/Llama-3.1-70B, config.json",
    licence="Llama 3.1 licence",
)
