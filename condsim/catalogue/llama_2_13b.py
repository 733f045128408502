"""Llama-2-13B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-2-13b",
    title="Llama-2-13B",
    model_type="llama",
    config={
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
        "vocab_size": 32000,
    },
    parameters=13e9,
    source="huggingface.co/meta-llama/Llama-2-13b-hf, config.json",
    licence="Llama 2 licence",
)
