"""Llama-2-70B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-2-70b",
    title="Llama-2-70B",
    model_type="llama",
    config={
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
    },
    parameters=69e9,
    source="huggingface.co/meta-llama/Llama-2-70b-hf, config.json",
    licence="Llama 2 licence",
)
