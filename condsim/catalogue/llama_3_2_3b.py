"""Llama-3.2-3B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="llama-3.2-3b",
    title="Llama-3.2-3B",
    model_type="llama",
    config={
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
    parameters=3.21e9,
    source="huggingface.co/meta-llama/Llama-3.2-3B, config.json",
    licence="Llama 3.2 licence",
)
