"""Llama-2-7B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-2-7b",
    title="Llama-2-7B",
    model_type="llama",
    config={
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
    },
    parameters=6.74e9,
    source="huggingface.co/meta-llama/Llama-2-7b-hf, config.json",
    licence="Llama 2 licence",
)
