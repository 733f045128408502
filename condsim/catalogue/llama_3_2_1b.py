"""Llama-3.2-1B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-3.2-1b",
    title="Llama-3.2-1B",
    model_type="llama",
    config={
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    parameters=1.24e9,
    source="huggingface.co/meta-llama/Llama-3.2-1B, config.json",
    licence="Llama 3.2 licence",
)
